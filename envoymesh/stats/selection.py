"""Selection: which stats a reader asked for, and in which shape histograms are shown.

Stats are given in parts, so that who shows them can let others go in between; a part is made when it is asked for.
It must not know a query string's syntax beyond the words of its values (admin reads the request), nor write anything.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Final

from envoymesh.stats.histogram import Histogram
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.store import AnyStatT, Store

NUMBERS: Final = 32
"""Stats of one value that are looked at, and written, at once: a few hundredths of a millisecond."""

HISTOGRAMS: Final = 2
"""The same for histograms: one with many buckets takes some tenths of a millisecond to write."""


class StatType(Enum):
    """The query parameter `type`."""

    ALL = "All"
    COUNTERS = "Counters"
    HISTOGRAMS = "Histograms"
    GAUGES = "Gauges"
    TEXT_READOUTS = "TextReadouts"


class BucketMode(Enum):
    """The query parameter `histogram_buckets`; unset means the writer's own default."""

    UNSET = ""
    CUMULATIVE = "cumulative"
    DISJOINT = "disjoint"
    DETAILED = "detailed"
    SUMMARY = "summary"


@dataclass(frozen=True)
class Selection:
    """A reader's wishes. `matches` tests a full name (a compiled filter), or is None to take every name."""

    used_only: bool = False
    matches: Callable[[str], object] | None = None
    invert: bool = False
    type: StatType = StatType.ALL
    buckets: BucketMode = BucketMode.UNSET
    text_readouts_as_gauges: bool = False

    def text_readouts(self, store: Store) -> Iterator[list[TextReadout]]:
        """The chosen text readouts, by name, in parts."""
        return self._parts(store.text_readouts.ordered(), StatType.TEXT_READOUTS)

    def counters(self, store: Store) -> Iterator[list[Counter]]:
        """The chosen counters, by name, in parts."""
        return self._parts(store.counters.ordered(), StatType.COUNTERS)

    def gauges(self, store: Store) -> Iterator[list[Gauge]]:
        """The chosen gauges, by name, in parts."""
        return self._parts(store.gauges.ordered(), StatType.GAUGES)

    def histograms(self, store: Store) -> Iterator[list[Histogram]]:
        """The chosen histograms, by name, in parts."""
        return self._parts(store.histograms.ordered(), StatType.HISTOGRAMS, HISTOGRAMS)

    def numbers(self, store: Store) -> Iterator[list[Counter] | list[Gauge] | list[Counter | Gauge]]:
        """The chosen counters and gauges together, by name, in parts."""
        if self.type is StatType.ALL:
            return self._parts(store.numbers.ordered(), StatType.ALL)
        return chain(self.counters(store), self.gauges(store))

    def _parts(self, stats: Sequence[AnyStatT], type_: StatType, size: int = NUMBERS) -> Iterator[list[AnyStatT]]:
        """Those of the stats, all of one type, that are asked for: out of each `size` of them, which may be none."""
        if self.type in (StatType.ALL, type_):
            for begin in range(0, len(stats), size):
                yield self._chosen(stats[begin : begin + size])

    def _chosen(self, stats: Iterable[AnyStatT]) -> list[AnyStatT]:
        if self.used_only:
            stats = [stat for stat in stats if stat.used]
        if self.matches is not None:
            matches, invert = self.matches, self.invert
            return [stat for stat in stats if bool(matches(stat.name)) is not invert]
        return list(stats)
