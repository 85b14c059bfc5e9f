"""DNS discovery on a fake clock and resolver; counts as the real Envoy's for the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from envoymesh.network.api import DnsResponse, DnsStatus
from envoymesh.stats import Store
from envoymesh.upstream.discovery.dns import DnsDiscovery
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from envoymesh.upstream.stats import ClusterStats
from tests.support.fakes import FakeDispatcher, FakeResolver


class World:
    """A discovery, its clock and its resolver; `updates` are the lists it told, as addresses."""

    def __init__(self, *names: str, kind: str = "STRICT_DNS", random: float = 0.5, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.resolver = FakeResolver()
        self.stats = ClusterStats.create(Store().scope("cluster.c."))
        endpoints = [EndpointSettings(name, 80, hostname=name) for name in names or ("service1",)]
        cluster = ClusterSettings(name="c", discovery_type=kind, endpoints=endpoints, **settings)
        self.discovery = DnsDiscovery(cluster, self.stats, self.resolver, self.dispatcher, lambda: random)
        self.updates: list[list[str]] = []
        self.hosts: Sequence[Host] = ()
        self.initialised = 0
        self.discovery.start(self.on_update, self.on_initialised)

    def on_update(self, hosts: Sequence[Host]) -> None:
        self.hosts = hosts
        self.updates.append([str(host.address) for host in hosts])

    def on_initialised(self) -> None:
        self.initialised += 1

    def counts(self) -> dict[str, int]:
        names = ("attempt", "success", "failure", "no_rebuild")
        return {name: count for name in names if (count := getattr(self.stats, f"update_{name}").value)}


def test_all_addresses_become_hosts() -> None:
    world = World()
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    assert world.updates == [["10.0.0.1:80", "10.0.0.2:80"]]
    assert world.hosts[0].hostname == "service1"
    assert world.initialised == 1
    assert world.counts() == {"attempt": 1, "success": 1}


def test_it_asks_again_after_the_refresh_rate() -> None:
    world = World(dns_refresh_rate=5.0)
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(4.9)
    assert len(world.resolver.queries) == 1
    world.dispatcher.advance(0.2)
    assert len(world.resolver.queries) == 2


def test_the_refresh_waits_for_the_answer() -> None:
    world = World(dns_refresh_rate=5.0)
    world.dispatcher.advance(60.0)
    assert len(world.resolver.queries) == 1


def test_hosts_that_stay_are_the_same_objects() -> None:
    world = World()
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    first = world.hosts[0]
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.3", "10.0.0.1")
    assert world.updates[-1] == ["10.0.0.3:80", "10.0.0.1:80"]
    assert world.hosts[1] is first


def test_the_same_addresses_in_another_order_change_nothing() -> None:
    world = World()
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.2", "10.0.0.1")
    assert len(world.updates) == 1
    assert world.counts() == {"attempt": 2, "success": 2, "no_rebuild": 1}


def test_an_address_twice_is_one_host() -> None:
    world = World("a", "b")
    for query in list(world.resolver.queries):
        query.answer("10.0.0.1", "10.0.0.1")
    assert world.updates[-1] == ["10.0.0.1:80"]


def test_a_failing_resolver_keeps_the_last_good_set() -> None:
    world = World(dns_refresh_rate=5.0)
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(5.0)
    world.resolver.last.fail()
    assert len(world.updates) == 1
    world.dispatcher.advance(5.0)
    assert len(world.resolver.queries) == 3
    assert world.counts() == {"attempt": 3, "success": 1, "failure": 1}


def test_an_answer_without_addresses_empties_the_cluster() -> None:
    world = World()
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(5.0)
    world.resolver.last.answer()
    assert world.updates[-1] == []


def test_a_name_without_addresses_from_the_start_counts_as_unchanged() -> None:
    world = World()
    world.resolver.last.answer()
    assert world.updates == []
    assert world.initialised == 1
    assert world.counts() == {"attempt": 1, "success": 1, "no_rebuild": 1}


def test_a_first_failure_initialises_too() -> None:
    world = World()
    world.resolver.last.fail()
    assert (world.initialised, world.updates) == (1, [])


def test_initialised_when_every_name_was_tried() -> None:
    world = World("a", "b", dns_refresh_rate=1.0)
    first, second = world.resolver.queries
    first.answer("10.0.0.1")
    world.dispatcher.advance(1.0)
    world.resolver.last.answer("10.0.0.1")
    assert world.initialised == 0
    second.answer("10.0.0.2")
    assert world.initialised == 1
    assert world.updates == [["10.0.0.1:80"], ["10.0.0.1:80", "10.0.0.2:80"]]
    world.dispatcher.advance(1.0)
    world.resolver.last.answer("10.0.0.9")
    assert world.initialised == 1


@pytest.mark.parametrize(("ttl", "delay"), [(30.0, 30.0), (0.0, 5.0)])
def test_the_records_own_time_to_live(ttl: float, delay: float) -> None:
    world = World(respect_dns_ttl=True, dns_refresh_rate=5.0)
    world.resolver.last.answer("10.0.0.1", ttl=ttl)
    world.dispatcher.advance(delay - 0.1)
    assert len(world.resolver.queries) == 1
    world.dispatcher.advance(0.2)
    assert len(world.resolver.queries) == 2


def test_the_shortest_time_to_live_of_an_answer_counts() -> None:
    world = World(respect_dns_ttl=True, dns_refresh_rate=5.0)
    answer = [DnsResponse("10.0.0.1", 40.0), DnsResponse("10.0.0.2", 20.0), DnsResponse("10.0.0.3", 60.0)]
    world.resolver.last.finish(DnsStatus.COMPLETED, answer)
    world.dispatcher.advance(19.9)
    assert len(world.resolver.queries) == 1
    world.dispatcher.advance(0.2)
    assert len(world.resolver.queries) == 2


def test_jitter_spreads_refreshes() -> None:
    world = World(dns_refresh_rate=5.0, dns_jitter=2.0, random=0.5)
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(5.9)
    assert len(world.resolver.queries) == 1
    world.dispatcher.advance(0.2)
    assert len(world.resolver.queries) == 2


def test_failures_back_off_up_to_a_limit_and_start_over() -> None:
    world = World(dns_failure_refresh_rate=(2.0, 8.0), dns_refresh_rate=60.0, random=0.5)
    for delay in (1.0, 2.0, 4.0, 4.0):
        asked = len(world.resolver.queries)
        world.resolver.last.fail()
        world.dispatcher.advance(delay - 0.1)
        assert len(world.resolver.queries) == asked
        world.dispatcher.advance(0.2)
        assert len(world.resolver.queries) == asked + 1
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(60.0)
    world.resolver.last.fail()
    asked = len(world.resolver.queries)
    world.dispatcher.advance(1.1)
    assert len(world.resolver.queries) == asked + 1


def test_many_failures_overflow_nothing() -> None:
    world = World(dns_failure_refresh_rate=(1.0, 10.0), random=0.999)
    for _ in range(1200):
        world.resolver.last.fail()
        world.dispatcher.advance(10.0)
    assert len(world.resolver.queries) == 1201


def test_after_the_stop_nothing_is_asked_or_told() -> None:
    world = World("a", "b")
    first, second = world.resolver.queries
    first.answer("10.0.0.1")
    world.discovery.stop()
    assert second.cancelled
    world.dispatcher.advance(60.0)
    assert len(world.resolver.queries) == 2


def test_a_logical_cluster_has_one_host_that_moves() -> None:
    world = World(kind="LOGICAL_DNS")
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    assert world.updates == [["10.0.0.1:80"]]
    [host] = world.hosts
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.1")
    assert world.counts() == {"attempt": 2, "success": 2, "no_rebuild": 1}
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.2", "10.0.0.1")
    assert str(host.address) == "10.0.0.2:80"
    assert len(world.updates) == 1
    assert world.counts()["no_rebuild"] == 1


def test_a_logical_host_stays_when_its_name_is_empty_for_a_while() -> None:
    world = World(kind="LOGICAL_DNS")
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(5.0)
    world.resolver.last.answer()
    assert str(world.hosts[0].address) == "10.0.0.1:80"


def test_a_cluster_without_names_is_initialised_at_once() -> None:
    dispatcher, resolver = FakeDispatcher(), FakeResolver()
    stats = ClusterStats.create(Store().scope("cluster.c."))
    settings = ClusterSettings(name="c", discovery_type="STRICT_DNS")
    done: list[bool] = []
    discovery = DnsDiscovery(settings, stats, resolver, dispatcher, lambda: 0.5)
    discovery.start(lambda hosts: None, lambda: done.append(True))
    assert done == [True]


def test_the_family_asked_for_is_the_clusters() -> None:
    world = World(dns_lookup_family="V4_ONLY")
    assert (world.resolver.last.name, world.resolver.last.lookup_family) == ("service1", "V4_ONLY")
