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


def test_the_order_is_kept_as_stats_come_and_go() -> None:
    store = Store()
    some, other = store.scope("m."), store.scope("n.")
    for name in ("b", "d", "a"):
        some.counter(name)
        other.gauge(name)
    first = store.numbers.ordered()
    assert [stat.name for stat in first] == ["m.a", "m.b", "m.d", "n.a", "n.b", "n.d"]
    some.counter("c")
    store.scope("a.").gauge("z")
    assert len(store.numbers.ordered()) == 8
    assert len(first) == 6, "who walks over it may go on"
    store.scope("z.").histogram("h")
    other.remove()
    assert [stat.name for stat in store.numbers.ordered()] == ["a.z", "m.a", "m.b", "m.c", "m.d"]
    assert [stat.name for stat in store.counters.ordered()] == ["m.a", "m.b", "m.c", "m.d"]
    assert [stat.name for stat in store.gauges.ordered()] == ["a.z"]
    assert [stat.name for stat in first] == ["m.a", "m.b", "m.d", "n.a", "n.b", "n.d"]


def test_a_stat_that_goes_before_anybody_asked_for_the_order() -> None:
    store = Store()
    gone = store.scope("a.")
    gone.counter("x")
    gone.remove()
    store.scope("a.").counter("x")
    again = store.scope("a.").counter("x")
    assert store.counters.ordered() == store.numbers.ordered() == [again]
    store.scope("a.").counter("x")
    assert len(store.numbers.ordered()) == 1


def test_many_that_come_at_once_are_sorted_in() -> None:
    store = Store()
    scope = store.scope("")
    for number in range(0, 1000, 2):
        scope.counter(f"{number:04}")
    store.settle()
    for number in range(1, 1000, 2):
        scope.counter(f"{number:04}")
    assert [stat.name for stat in store.counters.ordered()] == [f"{number:04}" for number in range(1000)]


def test_flushing_takes_a_histogram_at_a_step() -> None:
    store = Store()
    scope = store.scope("")
    histograms = [scope.histogram(name) for name in "abc"]
    for histogram in histograms:
        histogram.record(1)
    steps = store.flushing()
    next(steps)
    scope.histogram("new while it is under way")
    assert [histogram.used for histogram in histograms] == [True, False, False]
    assert len(list(steps)) == 2
    assert all(histogram.used for histogram in histograms)
