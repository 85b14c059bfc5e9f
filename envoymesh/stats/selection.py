"""Selection: which stats a reader asked for, and in which shape histograms are shown.

It must not know a query string's syntax beyond the words of its values (admin reads the request), nor write anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from envoymesh.stats.histogram import Histogram
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.store import Store

StatT = TypeVar("StatT", Counter, Gauge, Histogram, TextReadout)


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

    def of(self, stats: Iterable[StatT], type_: StatType) -> list[StatT]:
        """Those of the stats, all of one type, that are asked for."""
        if self.type not in (StatType.ALL, type_):
            return []
        if self.used_only:
            stats = [stat for stat in stats if stat.used]
        if self.matches is not None:
            matches, invert = self.matches, self.invert
            return [stat for stat in stats if bool(matches(stat.name)) is not invert]
        return list(stats)

    def text_readouts(self, store: Store) -> list[TextReadout]:
        """The chosen text readouts, by name."""
        return self.of(store.text_readouts.ordered(), StatType.TEXT_READOUTS)

    def counters(self, store: Store) -> list[Counter]:
        """The chosen counters, by name."""
        return self.of(store.counters.ordered(), StatType.COUNTERS)

    def gauges(self, store: Store) -> list[Gauge]:
        """The chosen gauges, by name."""
        return self.of(store.gauges.ordered(), StatType.GAUGES)

    def histograms(self, store: Store) -> list[Histogram]:
        """The chosen histograms, by name."""
        return self.of(store.histograms.ordered(), StatType.HISTOGRAMS)

    def numbers(self, store: Store) -> list[Counter | Gauge]:
        """The chosen counters and gauges together, by name."""
        numbers: list[Counter | Gauge] = [*self.counters(store), *self.gauges(store)]
        numbers.sort(key=_name)
        return numbers


def _name(stat: Counter | Gauge) -> str:
    return stat.name
