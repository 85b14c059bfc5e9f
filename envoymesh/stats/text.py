"""The text writer: admin's `/stats`. Text readouts, then counters and gauges, then histograms, each by name.

It must not choose stats (selection.py) nor change any.
"""

from collections.abc import Callable, Iterator, Sequence

from envoymesh.stats.histogram import BUCKETS, QUANTILES, Distribution, Histogram
from envoymesh.stats.numbers import brief, plain
from envoymesh.stats.selection import BucketMode, Selection
from envoymesh.stats.store import Store


def write_text(store: Store, selection: Selection) -> Iterator[str]:
    """All chosen stats, a line each, in pieces; a detailed histogram takes four lines."""
    summary = _SUMMARIES[selection.buckets]
    for readouts in selection.text_readouts(store):
        yield "".join([f'{stat.name}: "{stat.value}"\n' for stat in readouts])
    for numbers in selection.numbers(store):
        yield "".join([f"{stat.name}: {stat.value}\n" for stat in numbers])
    for histograms in selection.histograms(store):
        yield "".join([f"{stat.name}:{_described(stat, summary)}\n" for stat in histograms])


def _described(histogram: Histogram, summary: Callable[[Histogram], str]) -> str:
    return summary(histogram) if histogram.used else " No recorded values"


def quantiles(histogram: Histogram) -> str:
    """` P0(i,c) P25(i,c) ...`: each quantile in the last interval and since the start."""
    pairs = zip(QUANTILES, histogram.interval.quantiles(), histogram.cumulative.quantiles(), strict=True)
    return "".join(f" P{100 * share:g}({plain(interval)},{plain(whole)})" for share, interval, whole in pairs)


def counts_below(distribution: Distribution) -> list[int]:
    """How many samples lie at or below each standard bucket bound."""
    return [distribution.count_below(bound) for bound in BUCKETS]


def counts_between(distribution: Distribution) -> list[int]:
    """How many samples lie between each standard bucket bound and the one before."""
    below = counts_below(distribution)
    return [count - before for count, before in zip(below, [0, *below], strict=False)]


def _buckets(count: Callable[[Distribution], Sequence[int]]) -> Callable[[Histogram], str]:
    def summary(histogram: Histogram) -> str:
        rows = zip(BUCKETS, count(histogram.interval), count(histogram.cumulative), strict=True)
        return "".join(f" B{brief(bound)}({interval},{whole})" for bound, interval, whole in rows)

    return summary


def _samples(distribution: Distribution) -> str:
    return ", ".join(f"{brief(low)},{brief(width)}:{count}" for low, width, count in distribution.detailed())


def _detailed(histogram: Histogram) -> str:
    return (
        f"\n  totals={_samples(histogram.cumulative)}\n  intervals={_samples(histogram.interval)}"
        f"\n  summary={quantiles(histogram)[1:]}"
    )


_SUMMARIES: dict[BucketMode, Callable[[Histogram], str]] = {
    BucketMode.UNSET: quantiles,
    BucketMode.SUMMARY: quantiles,
    BucketMode.CUMULATIVE: _buckets(counts_below),
    BucketMode.DISJOINT: _buckets(counts_between),
    BucketMode.DETAILED: _detailed,
}
