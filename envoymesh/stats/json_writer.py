"""The JSON writer: admin's `/stats?format=json`, `{"stats":[...]}` with one last entry for all histograms.

It must not choose stats (selection.py) nor change any.
"""

from collections.abc import Callable, Sequence
from json import dumps

from envoymesh.stats.histogram import BUCKETS, QUANTILES, Distribution, Histogram
from envoymesh.stats.numbers import json_number
from envoymesh.stats.selection import BucketMode, Selection
from envoymesh.stats.store import Store
from envoymesh.stats.text import counts_below, counts_between

_PERCENTS = "[" + ",".join(json_number(round(100 * share, 6)) for share in QUANTILES) + "]"


def write_json(store: Store, selection: Selection) -> str:
    """All chosen stats as one line of JSON."""
    entries = [f'{{"name":{dumps(stat.name)},"value":{dumps(stat.value)}}}' for stat in selection.text_readouts(store)]
    entries += [f'{{"name":"{_quoted(stat.name)}","value":{stat.value}}}' for stat in selection.numbers(store)]
    histograms = selection.histograms(store)
    if histograms:
        entries.append(f'{{"histograms":{_SHAPES[selection.buckets](histograms)}}}')
    return f'{{"stats":[{",".join(entries)}]}}'


def _quoted(name: str) -> str:
    return name if '"' not in name and "\\" not in name and name.isprintable() else dumps(name)[1:-1]


def _quantiles(histogram: Histogram) -> str:
    pairs = zip(histogram.cumulative.quantiles(), histogram.interval.quantiles(), strict=True)
    rows = [f'{{"cumulative":{json_number(whole)},"interval":{json_number(interval)}}}' for whole, interval in pairs]
    return f"[{','.join(rows)}]"


def _summary(histograms: Sequence[Histogram]) -> str:
    rows = [f'{{"name":{dumps(stat.name)},"values":{_quantiles(stat)}}}' for stat in histograms]
    return f'{{"supported_quantiles":{_PERCENTS},"computed_quantiles":[{",".join(rows)}]}}'


def _samples(distribution: Distribution) -> str:
    rows = [
        f'{{"lower_bound":{json_number(low)},"width":{json_number(width)},"count":{count}}}'
        for low, width, count in distribution.detailed()
    ]
    return f"[{','.join(rows)}]"


def _detailed(histograms: Sequence[Histogram]) -> str:
    rows = [
        f'{{"name":{dumps(stat.name)},"totals":{_samples(stat.cumulative)},"intervals":{_samples(stat.interval)},'
        f'"percentiles":{_quantiles(stat)}}}'
        for stat in histograms
    ]
    return f'{{"supported_percentiles":{_PERCENTS},"details":[{",".join(rows)}]}}'


def _buckets(count: Callable[[Distribution], Sequence[int]]) -> Callable[[Sequence[Histogram]], str]:
    def one(histogram: Histogram) -> str:
        rows = [
            f'{{"upper_bound":{json_number(bound)},"interval":{interval},"cumulative":{whole}}}'
            for bound, interval, whole in zip(
                BUCKETS, count(histogram.interval), count(histogram.cumulative), strict=True
            )
        ]
        return f'{{"name":{dumps(histogram.name)},"buckets":[{",".join(rows)}]}}'

    return lambda histograms: f"[{','.join(map(one, histograms))}]"


_SHAPES: dict[BucketMode, Callable[[Sequence[Histogram]], str]] = {
    BucketMode.UNSET: _summary,
    BucketMode.SUMMARY: _summary,
    BucketMode.CUMULATIVE: _buckets(counts_below),
    BucketMode.DISJOINT: _buckets(counts_between),
    BucketMode.DETAILED: _detailed,
}
