"""The Prometheus writer (text format 0.0.4): admin's `/stats/prometheus`.

Tags are cut out of names and become labels; the lines of one metric follow one `# TYPE` line. Counters come first, then
gauges, text readouts (as gauges, when asked), histograms; each sorted by the name without tags, then by full name.
It must not choose stats (selection.py) nor change any.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from envoymesh.stats.histogram import BUCKETS, QUANTILES, Histogram
from envoymesh.stats.numbers import exact, fixed, plain
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.selection import BucketMode, Selection
from envoymesh.stats.store import Store
from envoymesh.stats.tags import Tags

_FOREIGN = re.compile(r"[^a-zA-Z0-9_]")
_BOUNDS = [fixed(bound) for bound in BUCKETS]
_SHARES = [plain(share) for share in QUANTILES]

Stat = Counter | Gauge | Histogram | TextReadout
Group = tuple[str, list[tuple[Stat, str]]]


def write_prometheus(store: Store, selection: Selection) -> str:
    """All chosen stats. Raises ValueError for a bucket mode that the format has no word for."""
    if selection.buckets in (BucketMode.DISJOINT, BucketMode.DETAILED):
        raise ValueError("unsupported prometheus histogram bucket mode")
    kind, histogram_lines = ("histogram", _buckets)
    if selection.buckets is BucketMode.SUMMARY:
        kind, histogram_lines = ("summary", _summary)
    namer = _Namer(store)
    lines: list[str] = []
    namer.write(lines, "counter", selection.counters(store), _number)
    namer.write(lines, "gauge", selection.gauges(store), _number)
    if selection.text_readouts_as_gauges:
        namer.write(lines, "gauge", selection.text_readouts(store), _text)
    namer.write(lines, kind, selection.histograms(store), histogram_lines)
    return "\n".join(lines) + "\n" if lines else ""


class _Namer:
    """Turns dotted names and tags into metric names and labels, each spelling worked out once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._labels: dict[Tags, str] = {}

    def write(
        self, lines: list[str], kind: str, stats: Iterable[Stat], lines_of: Callable[[str, str, Stat], Sequence[str]]
    ) -> None:
        """Add the lines of stats that come sorted by full name."""
        groups: dict[str, list[tuple[Stat, str]]] = {}
        for stat in stats:
            name, tags = self._store.tagged(stat.name)
            labels = self._labels.get(tags)
            if labels is None:
                labels = self._labels[tags] = _labels_of(tags)
            groups.setdefault(name, []).append((stat, labels))
        for name in sorted(groups):
            metric = "envoy_" + _FOREIGN.sub("_", name)
            lines.append(f"# TYPE {metric} {kind}")
            for stat, labels in groups[name]:
                lines += lines_of(metric, labels, stat)


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
