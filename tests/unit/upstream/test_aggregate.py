"""A cluster of clusters: where requests go as hosts of the clusters come, leave and fail."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol
from envoymesh.network.api import Address
from envoymesh.stats import Store
from envoymesh.upstream.aggregate import Aggregate
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.lb.settings import ClusterProvidedSettings
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from tests.support.fakes import FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.upstream import Asker


class World:
    """Clusters ``a`` and ``b``, and an aggregate of them and of one that is not there."""

    def __init__(self, *names: str) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        self.random = 0.0
        self.clusters = {name: self.make(name) for name in "ab"}
        self.whole = self.make("whole", lb=ClusterProvidedSettings())
        self.aggregate = Aggregate(names or ("a", "none", "b"), self.clusters.get, lambda: self.random, 50)
        self.whole.balancer = self.whole.owners = self.aggregate
        self.initialised = 0
        self.whole.start(self.aggregate, self.on_initialised)

    def make(self, name: str, **settings: Any) -> Cluster:
        runtime = FakeRuntime()
        info = ClusterInfo(ClusterSettings(name=name, **settings), Store().scope(f"cluster.{name}."), runtime)
        return Cluster(info, self.connector, self.dispatcher, lambda: self.random, runtime)

    def on_initialised(self) -> None:
        self.initialised += 1

    def fill(self, name: str, *numbers: int, priority: int = 0) -> list[Host]:
        endpoints = [EndpointSettings(f"10.0.0.{number}", 80, priority=priority) for number in numbers]
        hosts = [Host(Address(each.host, 80), each) for each in endpoints]
        self.clusters[name].priority_set.update_hosts(priority, hosts)
        return hosts

    def fail(self, name: str, *hosts: Host) -> None:
        for host in hosts:
            host.health_flag_set(FAILED_ACTIVE_HC)
        self.clusters[name].priority_set.update_health(hosts)

    def picks(self) -> dict[str, int]:
        """How many of a hundred draws each host gets, by its number."""
        found: dict[str, int] = {}
        for draw in range(100):
            self.random = (draw + 0.5) / 100
            host = self.whole.choose_host(None)
            number = "none" if host is None else host.address.host.rpartition(".")[2]
            found[number] = found.get(number, 0) + 1
        return found


@pytest.fixture
def world() -> World:
    return World()


def share(picks: dict[str, int], *numbers: int) -> int:
    return sum(picks.get(str(number), 0) for number in numbers)


def test_without_hosts_there_is_none_to_pick(world: World) -> None:
    assert world.initialised == 1
    assert world.whole.choose_host(None) is None
    assert world.whole.stats.upstream_cx_none_healthy.value == 1


def test_the_first_cluster_takes_all_while_it_can(world: World) -> None:
    world.fill("a", 1, 2)
    world.fill("b", 3)
    assert share(world.picks(), 1, 2) == 100
    assert world.whole.hosts == ()


def test_the_next_cluster_takes_what_the_first_cannot(world: World) -> None:
    first, second = world.fill("a", 1, 2)
    world.fill("b", 3)
    world.fail("a", second)
    # One of two hosts, with the overprovisioning factor of 1.4.
    assert (share(world.picks(), 1), share(world.picks(), 3)) == (70, 30)
    world.fail("a", first)
    assert share(world.picks(), 3) == 100


def test_all_priorities_of_a_cluster_come_before_the_next_cluster(world: World) -> None:
    [low] = world.fill("a", 1)
    world.fill("a", 2, priority=2)
    world.fill("b", 3)
    world.fail("a", low)
    assert share(world.picks(), 2) == 100


def test_hosts_that_come_later_count(world: World) -> None:
    world.fill("b", 3)
    assert share(world.picks(), 3) == 100
    world.fill("a", 1)
    assert share(world.picks(), 1) == 100
    world.fill("a")
    assert share(world.picks(), 3) == 100


def test_the_connections_are_those_of_the_hosts_own_cluster(world: World) -> None:
    [host] = world.fill("b", 3)
    asker = Asker()
    world.whole.new_stream(host, asker, asker, HttpProtocol.HTTP11)  # type: ignore[arg-type]
    world.connector.last.established()
    assert asker.outcome == "ready"
    assert world.clusters["b"].stats.upstream_cx_total.value == 1
    assert world.whole.stats.upstream_cx_total.value == 0


def test_after_the_stop_it_hears_of_no_change(world: World) -> None:
    world.fill("b", 3)
    world.whole.shutdown()
    world.fill("a", 1)
    assert share(world.picks(), 3) == 100
