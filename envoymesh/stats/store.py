"""Store and Scope: where stats are named, made once, found again and forgotten.

Asking twice for one full name gives one object. A scope is a prefix with an owner; when its last holder removes it, the
stats made under it are forgotten. The store must not know what a name means (tags.py) nor how stats are written.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from sys import intern
from typing import Final, Generic, TypeVar, cast

from envoymesh.stats.histogram import Histogram, Unit
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.recent_lookups import RecentLookups
from envoymesh.stats.tags import TagRule, Tags, default_rules, extract

Stat = Counter | Gauge | Histogram | TextReadout
StatT = TypeVar("StatT", Counter, Gauge, Histogram, TextReadout)
AnyStatT = TypeVar("AnyStatT", bound=Stat)
_name = attrgetter("name")

_FEW: Final = 64
"""So many insertions into a long list cost about as much as sorting it anew."""


def sanitize(name: str) -> str:
    """A stat name as Envoy stores it: `://`, `:/`, `:` and NUL become `_`."""
    if ":" in name or "\0" in name:
        for bad in ("://", ":/", ":", "\0"):
            name = name.replace(bad, "_")
    return name


class Index(Generic[AnyStatT]):
    """Stats in the order of their names, kept up to date as they come and go.

    What has changed is worked in when the order is asked for: a few stats are inserted, many are sorted in.
    """

    __slots__ = ("_added", "_gone", "_ordered")

    def __init__(self) -> None:
        self._ordered: list[AnyStatT] = []
        self._added: list[AnyStatT] = []
        self._gone: list[AnyStatT] = []

    def add(self, stat: AnyStatT) -> None:
        """Take in a stat whose name is new."""
        self._added.append(stat)

    def discard(self, stat: AnyStatT) -> None:
        """Forget a stat, which is there."""
        self._gone.append(stat)

    def ordered(self) -> list[AnyStatT]:
        """All stats, by name. Read only; it stays as it is when stats come and go, for they make a new list."""
        if self._gone:
            gone = {id(stat) for stat in self._gone}
            self._ordered = [stat for stat in self._ordered if id(stat) not in gone]
            self._added = [stat for stat in self._added if id(stat) not in gone]
            self._gone = []
        if self._added:
            self._ordered = self._with(self._added)
            self._added = []
        return self._ordered

    def _with(self, added: Sequence[AnyStatT]) -> list[AnyStatT]:
        if len(added) > _FEW:
            return sorted([*self._ordered, *added], key=_name)
        ordered = self._ordered.copy()
        for stat in added:
            insort(ordered, stat, key=_name)
        return ordered


class Family(Generic[StatT]):
    """Every stat of one type: `by_name` is for looking up, `ordered()` for showing.

    Args:
        numbers: also takes this family's stats.
    """

    __slots__ = ("_index", "_numbers", "by_name")

    def __init__(self, numbers: Index[Counter | Gauge] | None = None) -> None:
        self.by_name: dict[str, StatT] = {}
        self._index: Index[StatT] = Index()
        self._numbers: Index[StatT] | None = cast("Index[StatT] | None", numbers)

    def add(self, stat: StatT) -> None:
        """Take in a stat whose name is new."""
        self.by_name[stat.name] = stat
        self._index.add(stat)
        if self._numbers is not None:
            self._numbers.add(stat)

    def discard(self, stat: Stat) -> None:
        """Forget a stat."""
        known = self.by_name.pop(stat.name, None)
        if known is not None:
            self._index.discard(known)
            if self._numbers is not None:
                self._numbers.discard(known)

    def ordered(self) -> list[StatT]:
        """All stats, by name, as `Index.ordered` gives them."""
        return self._index.ordered()


class Store:
    """All stats of a process. `tag_rules` say what is cut out of names for writers that know tags."""

    def __init__(self, tag_rules: Iterable[TagRule] | None = None) -> None:
        self.numbers: Index[Counter | Gauge] = Index()
        self.counters: Family[Counter] = Family(self.numbers)
        self.gauges: Family[Gauge] = Family(self.numbers)
        self.histograms: Family[Histogram] = Family()
        self.text_readouts: Family[TextReadout] = Family()
        self._scopes: dict[str, Scope] = {}
        self._tag_rules = default_rules() if tag_rules is None else tuple(tag_rules)
        # Three dictionaries of strings rather than an object for each stat, which the garbage collector would look at.
        self._bare: dict[str, str] = {}
        self._tags: dict[str, Tags] = {}
        self._all_tags: dict[Tags, Tags] = {}
        self.lookups = RecentLookups()

    def scope(self, prefix: str, verbatim: bool = False) -> "Scope":
        """The scope of a prefix (with its final dot, or "" for the root); the caller becomes one of its holders.

        Names below a `verbatim` one keep their colons.
        """
        prefix = prefix if verbatim else sanitize(prefix)
        scope = self._scopes.get(prefix)
        if scope is None:
            scope = self._scopes[prefix] = Scope(self, prefix, verbatim)
        scope.holders += 1
        return scope

    def tagged(self, name: str) -> tuple[str, Tags]:
        """A full name as (the name without its tags, its tags), worked out once."""
        bare = self._bare.get(name)
        if bare is None:
            bare, tags = extract(name, self._tag_rules)
            self._bare[name] = bare = intern(bare)
            self._tags[name] = self._all_tags.setdefault(tags, tags)
        return bare, self._tags[name]

    def settle(self) -> None:
        """Sort the names now, while nobody waits, rather than when they are first shown."""
        for index in (self.numbers, self.counters, self.gauges, self.histograms, self.text_readouts):
            index.ordered()

    def flush(self) -> None:
        """End an interval: merge every histogram (the server's `stats_flush_interval`, 5 s)."""
        for _ in self.flushing():
            pass

    def flushing(self) -> Iterator[None]:
        """`flush`, a histogram at each step."""
        for histogram in tuple(self.histograms.by_name.values()):
            histogram.flush()
            yield

    def reset_counters(self) -> None:
        """Set every counter to zero."""
        for counter in self.counters.by_name.values():
            if counter.value:  # most are zero, and need no call
                counter.reset()

    def forget(self, scope: "Scope", stats: Iterable[Stat]) -> None:
        """Drop a scope that nobody holds and the stats made under it."""
        self._scopes.pop(scope.prefix, None)
        for stat in stats:
            for family in (self.counters, self.gauges, self.histograms, self.text_readouts):
                if family.by_name.get(stat.name) is stat:
                    family.discard(stat)
            self._bare.pop(stat.name, None)
            self._tags.pop(stat.name, None)

    def __repr__(self) -> str:
        return f"Store({len(self.counters.by_name)} counters, {len(self.gauges.by_name)} gauges)"


class Scope:
    """Makes the stats whose names begin with `prefix`. Get one from `Store.scope` or from another scope."""

    __slots__ = ("_children", "_stats", "_store", "_verbatim", "holders", "prefix")

    def __init__(self, store: Store, prefix: str, verbatim: bool = False) -> None:
        self._store = store
        self._verbatim = verbatim
        self.prefix = prefix
        self.holders = 0
        self._stats: list[Stat] = []
        self._children: list[Scope] = []

    def scope(self, name: str, verbatim: bool = False) -> "Scope":
        """The scope below this one whose prefix is this prefix and `name` (with its final dot); as `Store.scope`."""
        child = self._store.scope(self.prefix + name, verbatim or self._verbatim)
        if child.holders == 1:
            self._children.append(child)
        return child

    def counter(self, name: str) -> Counter:
        """The counter of this name."""
        return self._get(self._store.counters, Counter, name)

    def gauge(self, name: str) -> Gauge:
        """The gauge of this name."""
        return self._get(self._store.gauges, Gauge, name)

    def text_readout(self, name: str) -> TextReadout:
        """The text readout of this name."""
        return self._get(self._store.text_readouts, TextReadout, name)

    def histogram(self, name: str, unit: Unit | str = Unit.UNSPECIFIED) -> Histogram:
        """The histogram of this name; `unit` ("ms", "us", "bytes", "percent", "") counts when it is made."""
        histogram = self._get(self._store.histograms, Histogram, name)
        if unit:
            histogram.unit = Unit(unit)
        return histogram

    def _get(self, family: Family[StatT], make: type[StatT], name: str) -> StatT:
        full = self.prefix + name if self._verbatim else sanitize(self.prefix + name)
        self._store.lookups.note(full)
        stat = family.by_name.get(full)
        if stat is None:
            stat = make(full)
            family.add(stat)
            self._stats.append(stat)
        return stat

    def remove(self) -> None:
        """Stop holding the scope. The last holder's call forgets its stats and the scopes below it.

        A cluster that replaces one of the same name holds the scope before the old one removes it, so values live on.
        """
        self.holders -= 1
        if self.holders <= 0:
            self._drop()

    def _drop(self) -> None:
        for child in self._children:
            child._drop()
        self._store.forget(self, self._stats)
        self._stats, self._children, self.holders = [], [], 0

    def __repr__(self) -> str:
        return f"Scope({self.prefix!r}, {len(self._stats)} stats, {self.holders} holders)"
