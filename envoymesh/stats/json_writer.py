"""The JSON writer: admin's `/stats?format=json`, `{"stats":[...]}` with one last entry for all histograms.

It must not choose stats (selection.py) nor change any.
"""

from collections.abc import Callable, Iterator, Sequence
from json import dumps

from envoymesh.stats.histogram import BUCKETS, QUANTILES, Distribution, Histogram
from envoymesh.stats.numbers import json_number
from envoymesh.stats.selection import BucketMode, Selection
from envoymesh.stats.store import Store
from envoymesh.stats.text import counts_below, counts_between

_PERCENTS = "[" + ",".join(json_number(round(100 * share, 6)) for share in QUANTILES) + "]"


def write_json(store: Store, selection: Selection) -> Iterator[str]:
    """All chosen stats as one line of JSON, in pieces."""
    yield '{"stats":['
    comma = ""
    for entries in _values(store, selection):
        yield comma + ",".join(entries) if entries else ""
        comma = "," if entries else comma
    before, row, after = _SHAPES[selection.buckets]
    opening, closing = f'{comma}{{"histograms":{before}', ""
    for histograms in selection.histograms(store):
        yield opening + ",".join(map(row, histograms)) if histograms else ""
        if histograms:
            opening, closing = ",", f"{after}}}"
    yield f"{closing}]}}"


def _values(store: Store, selection: Selection) -> Iterator[list[str]]:
    for readouts in selection.text_readouts(store):
        yield [f'{{"name":{dumps(stat.name)},"value":{dumps(stat.value)}}}' for stat in readouts]
    for numbers in selection.numbers(store):
        yield [f'{{"name":"{_quoted(stat.name)}","value":{stat.value}}}' for stat in numbers]


def _quoted(name: str) -> str:
    return name if '"' not in name and "\\" not in name and name.isprintable() else dumps(name)[1:-1]


def _quantiles(histogram: Histogram) -> str:
    pairs = zip(histogram.cumulative.quantiles(), histogram.interval.quantiles(), strict=True)
    rows = [f'{{"cumulative":{json_number(whole)},"interval":{json_number(interval)}}}' for whole, interval in pairs]
    return f"[{','.join(rows)}]"


def _summary(histogram: Histogram) -> str:
    return f'{{"name":{dumps(histogram.name)},"values":{_quantiles(histogram)}}}'


def _samples(distribution: Distribution) -> str:
    rows = [
        f'{{"lower_bound":{json_number(low)},"width":{json_number(width)},"count":{count}}}'
        for low, width, count in distribution.detailed()
    ]
    return f"[{','.join(rows)}]"


def _detailed(histogram: Histogram) -> str:
    return (
        f'{{"name":{dumps(histogram.name)},"totals":{_samples(histogram.cumulative)},'
        f'"intervals":{_samples(histogram.interval)},"percentiles":{_quantiles(histogram)}}}'
    )


def _buckets(count: Callable[[Distribution], Sequence[int]]) -> Callable[[Histogram], str]:
    def one(histogram: Histogram) -> str:
        rows = [
            f'{{"upper_bound":{json_number(bound)},"interval":{interval},"cumulative":{whole}}}'
            for bound, interval, whole in zip(
                BUCKETS, count(histogram.interval), count(histogram.cumulative), strict=True
            )
        ]
        return f'{{"name":{dumps(histogram.name)},"buckets":[{",".join(rows)}]}}'

    return one


_QUANTILES = f'{{"supported_quantiles":{_PERCENTS},"computed_quantiles":['
_PERCENTILES = f'{{"supported_percentiles":{_PERCENTS},"details":['

# What stands before the histograms, a histogram's row, and what stands behind them.
_SHAPES: dict[BucketMode, tuple[str, Callable[[Histogram], str], str]] = {
    BucketMode.UNSET: (_QUANTILES, _summary, "]}"),
    BucketMode.SUMMARY: (_QUANTILES, _summary, "]}"),
    BucketMode.CUMULATIVE: ("[", _buckets(counts_below), "]"),
    BucketMode.DISJOINT: ("[", _buckets(counts_between), "]"),
    BucketMode.DETAILED: (_PERCENTILES, _detailed, "]}"),
}
