"""Stores and scopes: one object a name, and scopes that go."""

from envoymesh.stats import Store, Unit, sanitize


def test_the_same_full_name_is_the_same_object() -> None:
    store = Store()
    assert store.scope("cluster.").counter("a.x") is store.scope("cluster.a.").counter("x")
    assert store.scope("cluster.").scope("a.").gauge("x") is store.scope("").gauge("cluster.a.x")


def test_a_name_may_be_a_counter_and_a_gauge() -> None:
    scope = Store().scope("s.")
    scope.counter("x").inc()
    assert scope.gauge("x").value == 0


def test_names_are_sanitised_as_envoy_does() -> None:
    assert sanitize("listener.[::1]:80.http://a/b:/c\0") == "listener.[__1]_80.http_a/b_c_"
    assert Store().scope("listener.0.0.0.0:80.").counter("x").name == "listener.0.0.0.0_80.x"


def test_a_histogram_keeps_its_unit() -> None:
    scope = Store().scope("s.")
    assert scope.histogram("t", "ms").unit is Unit.MILLISECONDS
    assert scope.histogram("t").unit is Unit.MILLISECONDS


def test_a_removed_scope_takes_its_stats_and_those_below() -> None:
    store = Store()
    scope = store.scope("cluster.a.")
    scope.counter("x")
    scope.scope("circuit_breakers.").gauge("y")
    store.scope("cluster.a.b.").counter("z")
    scope.remove()
    assert not store.gauges.by_name
    assert [stat.name for stat in store.counters.ordered()] == ["cluster.a.b.z"]


def test_a_replaced_cluster_keeps_its_stats() -> None:
    store = Store()
    old = store.scope("cluster.a.")
    old.counter("x").inc()
    new = store.scope("cluster.a.")
    old.remove()
    assert new.counter("x").value == 1
    assert "cluster.a.x" in store.counters.by_name
    new.remove()
    assert not store.counters.by_name


def test_a_name_made_again_after_removal_starts_at_zero() -> None:
    store = Store()
    first = store.scope("a.")
    stat = first.counter("x")
    stat.inc()
    first.remove()
    assert store.scope("a.").counter("x").value == 0
    assert store.scope("a.").counter("x") is not stat


def test_order_follows_additions_and_removals() -> None:
    store = Store()
    scope = store.scope("b.")
    scope.counter("z")
    scope.counter("a")
    assert [stat.name for stat in store.counters.ordered()] == ["b.a", "b.z"]
    store.scope("a.").counter("x")
    assert [stat.name for stat in store.counters.ordered()] == ["a.x", "b.a", "b.z"]
    scope.remove()
    assert [stat.name for stat in store.counters.ordered()] == ["a.x"]


def test_flush_merges_every_histogram_and_reset_clears_every_counter() -> None:
    store = Store()
    scope = store.scope("s.")
    scope.histogram("h").record(1)
    scope.counter("c").inc()
    scope.gauge("g").set(3)
    store.flush()
    store.reset_counters()
    assert scope.histogram("h").cumulative.sample_count == 1
    assert (scope.counter("c").value, scope.gauge("g").value) == (0, 3)
