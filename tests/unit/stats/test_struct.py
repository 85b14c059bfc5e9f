"""stats_struct: classes of stats from annotations."""

from typing import Annotated

import pytest

from envoymesh.stats import Counter, Gauge, Histogram, Named, StatsStruct, Store, TextReadout, Unit, stats_struct


@stats_struct
class Inner(StatsStruct):
    hits: Counter


@stats_struct
class Outer(StatsStruct):
    rq_total: Counter
    rq_active: Gauge
    rq_time: Annotated[Histogram, "ms"]
    version: TextReadout
    client_enabled: Annotated[Counter, Named("tracing.client_enabled")]
    inner: Annotated[Inner, Named("inner.")]


def test_create_makes_every_stat_under_the_scope() -> None:
    store = Store()
    stats = Outer.create(store.scope("s."))
    assert sorted(store.counters.by_name) == ["s.inner.hits", "s.rq_total", "s.tracing.client_enabled"]
    assert stats.rq_time.unit is Unit.MILLISECONDS
    assert stats.inner.hits is store.counters.by_name["s.inner.hits"]
    assert stats.version.name == "s.version"


def test_the_instances_are_slots() -> None:
    stats = Outer.create(Store().scope("s."))
    assert not hasattr(stats, "__dict__")
    with pytest.raises(AttributeError):
        stats.other = 1  # type: ignore[attr-defined]


def test_creating_twice_finds_the_same_stats() -> None:
    store = Store()
    assert Outer.create(store.scope("s.")).rq_total is Outer.create(store.scope("s.")).rq_total


def test_a_struct_may_extend_another() -> None:
    @stats_struct
    class More(Inner):
        misses: Counter

    store = Store()
    More.create(store.scope("s."))
    assert sorted(store.counters.by_name) == ["s.hits", "s.misses"]


def test_a_field_that_is_no_stat_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="'count' is <class 'int'>"):

        @stats_struct
        class Wrong(StatsStruct):
            count: int


def test_repr_names_every_stat() -> None:
    assert "Counter(s.hits: 0)" in repr(Inner.create(Store().scope("s.")))
