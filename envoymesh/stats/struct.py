"""`@stats_struct`: a class of stats from its annotations, made with all its stats by `create(scope)`.

    @stats_struct
    class ClusterStats(StatsStruct):
        upstream_rq_total: Counter
        upstream_rq_active: Gauge
        upstream_rq_time: Annotated[Histogram, "ms"]
        tracing_client_enabled: Annotated[Counter, Named("tracing.client_enabled")]

    stats = ClusterStats.create(scope)

A field's name is the stat's name under the scope unless `Named` says another; a histogram's string is its unit. A field
whose type is another struct is created under the same scope, or under the scope below it that `Named("x.")` names.

A struct is either counted, every field of it somewhere in the package, or it is a `ConstantStats`.
It must not hold values: an instance is slots with stats in them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import get_annotations
from typing import Any, Self, TypeVar, get_args, get_type_hints

from envoymesh.stats.histogram import Histogram
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.store import Scope

ClassT = TypeVar("ClassT")
Plan = tuple[tuple[str, Callable[[Scope], object]], ...]


@dataclass(frozen=True)
class Named:
    """In an annotation: the stat's name under the scope, where it is no Python name or differs from the field's."""

    name: str


class StatsStruct:
    """Base of stats structs, which gives them `create`; the decorator gives them slots and the plan."""

    __slots__ = ()
    _plan: Plan = ()

    @classmethod
    def create(cls, scope: Scope) -> Self:
        """Make (or find) every stat of the struct under `scope`."""
        struct = cls()
        for field, make in cls._plan:
            setattr(struct, field, make(scope))
        return struct

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(getattr(self, field)) for field, _ in self._plan)})"


class ConstantStats(StatsStruct):
    """Base of the structs that nobody counts: their stats are zero because what they count cannot happen here.

    The rule, for the whole package: such a stat belongs to a feature that this proxy does not have (HTTP/3, EDS, SDS,
    subsets, the overload manager), and it is there only because people add up and alert on Envoy's names. A stat of
    anything that we do is in another struct and is counted; when a feature arrives, its stats move there.
    `tests/unit/stats/test_counted.py` checks both halves.
    """

    __slots__ = ()


def _maker(kind: Any, name: str, unit: str) -> Callable[[Scope], object]:
    if kind is Counter:
        return lambda scope: scope.counter(name)
    if kind is Gauge:
        return lambda scope: scope.gauge(name)
    if kind is Histogram:
        return lambda scope: scope.histogram(name, unit)
    if kind is TextReadout:
        return lambda scope: scope.text_readout(name)
    if isinstance(kind, type) and issubclass(kind, StatsStruct):
        return lambda scope: kind.create(scope.scope(name) if name.endswith(".") else scope)
    raise TypeError(f"stats_struct: field {name!r} is {kind!r}, not a stat or a stats struct")


def _plan_of(hints: dict[str, Any]) -> Plan:
    plan = []
    for field, hint in hints.items():
        kind, *extras = get_args(hint) or (hint,)
        name = next((extra.name for extra in extras if isinstance(extra, Named)), field)
        unit = next((extra for extra in extras if isinstance(extra, str)), "")
        plan.append((field, _maker(kind, name, unit)))
    return tuple(plan)


def stats_struct(cls: type[ClassT]) -> type[ClassT]:
    """Turn annotated fields into slots filled by `create(scope)`. Derive from `StatsStruct` so that types show it."""
    own = [field for field in get_annotations(cls) if not field.startswith("_")]
    hints = {field: hint for field, hint in get_type_hints(cls, include_extras=True).items() if field != "_plan"}
    body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
    body.update(__slots__=tuple(own), _plan=_plan_of(hints))
    bases = cls.__bases__ if issubclass(cls, StatsStruct) else (StatsStruct,)
    return type(cls.__name__, bases, body)
