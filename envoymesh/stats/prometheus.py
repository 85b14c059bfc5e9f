"""The Prometheus writer (text format 0.0.4): admin's `/stats/prometheus`.

Tags are cut out of names and become labels; the lines of one metric follow one `# TYPE` line. Counters come first, then
gauges, text readouts (as gauges, when asked), histograms; each sorted by the name without tags, then by full name.
It must not choose stats (selection.py) nor change any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from envoymesh.stats.histogram import BUCKETS, QUANTILES, Histogram
from envoymesh.stats.numbers import exact, fixed, plain
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.selection import HISTOGRAMS, NUMBERS, BucketMode, Selection
from envoymesh.stats.store import Store
from envoymesh.stats.tags import Tags

_FOREIGN = re.compile(r"[^a-zA-Z0-9_]")
_BOUNDS = [fixed(bound) for bound in BUCKETS]
_SHARES = [plain(share) for share in QUANTILES]

Stat = Counter | Gauge | Histogram | TextReadout
LinesOf = Callable[[str, str, Stat], Sequence[str]]
"""A stat's lines, from its metric's name, its labels and itself."""


def write_prometheus(store: Store, selection: Selection) -> Iterator[str]:
    """All chosen stats, in pieces. Raises ValueError, at once, for a bucket mode that the format has no word for."""
    if selection.buckets in (BucketMode.DISJOINT, BucketMode.DETAILED):
        raise ValueError("unsupported prometheus histogram bucket mode")
    return _pieces(_Namer(store), store, selection)


def _pieces(namer: _Namer, store: Store, selection: Selection) -> Iterator[str]:
    yield from namer.write("counter", selection.counters(store), _number)
    yield from namer.write("gauge", selection.gauges(store), _number)
    if selection.text_readouts_as_gauges:
        yield from namer.write("gauge", selection.text_readouts(store), _text)
    if selection.buckets is BucketMode.SUMMARY:
        yield from namer.write("summary", selection.histograms(store), _summary, HISTOGRAMS)
    else:
        yield from namer.write("histogram", selection.histograms(store), _buckets, HISTOGRAMS)


class _Namer:
    """Turns dotted names and tags into metric names and labels, each spelling worked out once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._labels: dict[Tags, str] = {}

    def write(
        self, kind: str, parts: Iterable[Sequence[Stat]], lines_of: LinesOf, at_once: int = NUMBERS
    ) -> Iterator[str]:
        """The lines of stats that come sorted by full name, `at_once` stats in a piece.

        Nothing can be written until all are known; the pieces are empty until then.
        """
        # Lists of existing stats, not a tuple for each: 100,000 new objects would keep the garbage collector busy.
        groups: dict[str, list[Stat]] = {}
        for stats in parts:
            for stat in stats:
                groups.setdefault(self._store.tagged(stat.name)[0], []).append(stat)
            yield ""
        for name in sorted(groups):
            metric = "envoy_" + _FOREIGN.sub("_", name)
            group = groups.pop(name)
            yield f"# TYPE {metric} {kind}\n"
            for begin in range(0, len(group), at_once):
                some = group[begin : begin + at_once]
                yield "".join(
                    [f"{line}\n" for stat in some for line in lines_of(metric, self._labels_of(stat.name), stat)]
                )

    def _labels_of(self, name: str) -> str:
        tags = self._store.tagged(name)[1]
        labels = self._labels.get(tags)
        if labels is None:
            labels = self._labels[tags] = _labels_of(tags)
        return labels


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _labels_of(tags: Tags) -> str:
    return ",".join(f'{_FOREIGN.sub("_", tag)}="{_escaped(value)}"' for tag, value in tags)


def _number(metric: str, labels: str, stat: Stat) -> Sequence[str]:
    assert isinstance(stat, Counter | Gauge)
    return (f"{metric}{{{labels}}} {stat.value}",)


def _text(metric: str, labels: str, stat: Stat) -> Sequence[str]:
    assert isinstance(stat, TextReadout)
    return (f'{metric}{{{labels}{"," if labels else ""}text_value="{_escaped(stat.value)}"}} 0',)


def _buckets(metric: str, labels: str, stat: Stat) -> Sequence[str]:
    assert isinstance(stat, Histogram)
    whole, comma = stat.cumulative, "," if labels else ""
    lines = [
        f'{metric}_bucket{{{labels}{comma}le="{bound}"}} {whole.count_below(limit)}'
        for bound, limit in zip(_BOUNDS, BUCKETS, strict=True)
    ]
    lines.append(f'{metric}_bucket{{{labels}{comma}le="+Inf"}} {whole.sample_count}')
    lines.append(f"{metric}_sum{{{labels}}} {exact(whole.sample_sum)}")
    lines.append(f"{metric}_count{{{labels}}} {whole.sample_count}")
    return lines


def _summary(metric: str, labels: str, stat: Stat) -> Sequence[str]:
    assert isinstance(stat, Histogram)
    interval, comma = stat.interval, "," if labels else ""
    lines = [
        f'{metric}{{{labels}{comma}quantile="{share}"}} {exact(value)}'
        for share, value in zip(_SHARES, interval.quantiles(), strict=True)
    ]
    lines.append(f"{metric}_sum{{{labels}}} {exact(interval.sample_sum)}")
    lines.append(f"{metric}_count{{{labels}}} {interval.sample_count}")
    return lines
