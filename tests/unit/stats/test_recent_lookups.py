"""RecentLookups: how often stats were looked up by name."""

from envoymesh.stats import Store
from envoymesh.stats.recent_lookups import CAPACITY


def test_names_are_kept_only_when_asked_for() -> None:
    store = Store()
    scope = store.scope("a.")
    scope.counter("x")
    assert (store.lookups.total, store.lookups.counts()) == (1, [])
    store.lookups.enable(True)
    for name in ("x", "y", "x"):
        scope.counter(name)
    assert store.lookups.total == 4
    assert store.lookups.counts() == [(2, "a.x"), (1, "a.y")]


def test_the_oldest_give_way() -> None:
    lookups = Store().lookups
    lookups.enable(True)
    for _ in range(CAPACITY):
        lookups.note("old")
    lookups.note("new")
    assert lookups.counts() == [(CAPACITY - 1, "old"), (1, "new")]


def test_clear_begins_anew_and_disable_forgets() -> None:
    lookups = Store().lookups
    lookups.enable(True)
    lookups.note("a")
    lookups.clear()
    assert (lookups.total, lookups.counts(), lookups.enabled) == (0, [], True)
    lookups.note("a")
    lookups.enable(False)
    assert (lookups.total, lookups.counts()) == (1, [])
