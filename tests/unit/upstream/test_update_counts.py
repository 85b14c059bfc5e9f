"""Figures of changes of hosts, as Envoy merges them."""

from __future__ import annotations

from envoymesh.stats import Store
from envoymesh.stats.server import ClusterManagerStats
from envoymesh.upstream.update_counts import UpdateCounts


class World:
    """A cluster's figures, and a clock."""

    def __init__(self, window: float = 1.0) -> None:
        self.now = 100.0
        self.store = Store()
        self.counts = UpdateCounts(ClusterManagerStats.create(self.store.scope("")), window, lambda: self.now)

    def shown(self) -> dict[str, int]:
        return {counter.name: counter.value for counter in self.store.counters.ordered() if counter.value}


def test_a_change_of_health_counts_for_each_priority() -> None:
    world = World()
    world.counts.count_health(2)
    assert world.shown() == {"cluster_updated": 2, "update_out_of_merge_window": 2}


def test_further_ones_within_the_window_count_as_one() -> None:
    world = World()
    for _ in range(3):
        world.counts.count_health(1)
        world.now += 0.2
    assert world.shown() == {"cluster_updated": 1, "cluster_updated_via_merge": 1, "update_out_of_merge_window": 1}
    world.now += 2.0
    world.counts.count_health(1)
    assert world.shown()["update_out_of_merge_window"] == 2


def test_a_change_of_members_takes_those_that_wait_along() -> None:
    world = World()
    world.counts.count_members(0)
    world.counts.count_health(1)
    world.counts.count_members(0)
    assert world.shown() == {"cluster_updated": 2, "cluster_updated_via_merge": 1, "update_merge_cancelled": 1}


def test_no_window() -> None:
    world = World(0.0)
    world.counts.count_health(1)
    world.counts.count_health(1)
    assert world.shown() == {"cluster_updated": 2}
