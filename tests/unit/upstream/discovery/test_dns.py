"""DNS discovery on a fake clock and resolver; counts as the real Envoy's for the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from envoymesh.network.api import DnsResponse, DnsStatus
from envoymesh.stats import Store
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.dns import DnsDiscovery
from envoymesh.upstream.host import FAILED_ACTIVE_HC, PENDING_DYNAMIC_REMOVAL, Host
from envoymesh.upstream.host_set import PrioritySet, PrioritySetObserver
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from tests.support.fakes import FakeDispatcher, FakeResolver, FakeRuntime
from tests.support.stand_ins import stands_for


class World(stands_for(PrioritySetObserver)):
    """A discovery, its clock and its resolver; `updates` are the lists it told, as addresses."""

    def __init__(self, *names: str, kind: str = "STRICT_DNS", random: float = 0.5, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.resolver = FakeResolver()
        self.store = Store()
        endpoints = [EndpointSettings(name, 80, hostname=name) for name in names or ("service1",)]
        settings.setdefault("endpoints", endpoints)
        cluster = ClusterSettings(name="c", discovery_type=kind, **settings)
        self.info = ClusterInfo(cluster, self.store.scope("cluster.c."), FakeRuntime())
        self.stats = self.info.stats
        self.discovery = DnsDiscovery(self.info, self.resolver, self.dispatcher, lambda: random)
        self.priority_set = PrioritySet()
        self.priority_set.add_observer(self)
        self.updates: list[list[str]] = []
        self.initialised = 0
        self.discovery.start(self.priority_set, self.on_initialised)

    @property
    def hosts(self) -> Sequence[Host]:
        return self.priority_set.hosts()

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        self.updates.append([str(host.address) for host in self.hosts])

    def on_health_changed(self, priority: int) -> None:
        raise AssertionError("discovery changes members")

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


def test_an_address_twice_in_an_answer_is_one_host_and_in_two_answers_two() -> None:
    world = World("a", "b")
    for query in list(world.resolver.queries):
        query.answer("10.0.0.1", "10.0.0.1")
    assert world.updates == [["10.0.0.1:80"], ["10.0.0.1:80", "10.0.0.1:80"]]
    assert [host.hostname for host in world.hosts] == ["a", "b"]


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


def test_a_logical_cluster_has_one_host_which_another_replaces() -> None:
    world = World(kind="LOGICAL_DNS")
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    [first] = world.hosts
    assert [str(address) for address in first.additional_addresses] == ["10.0.0.2:80"]
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    assert world.counts() == {"attempt": 2, "success": 2, "no_rebuild": 1}
    assert list(world.hosts) == [first]
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.2", "10.0.0.1")
    assert world.updates == [["10.0.0.1:80"], ["10.0.0.2:80"]]
    assert world.stats.total_match_count.value == 3


def test_the_first_record_of_a_logical_host_says_how_long_it_lives() -> None:
    world = World(kind="LOGICAL_DNS", respect_dns_ttl=True)
    answer = [DnsResponse("10.0.0.1", 40.0), DnsResponse("10.0.0.2", 20.0)]
    world.resolver.last.finish(DnsStatus.COMPLETED, answer)
    world.dispatcher.advance(39.9)
    assert len(world.resolver.queries) == 1
    world.dispatcher.advance(0.2)
    assert len(world.resolver.queries) == 2


def test_a_logical_host_stays_when_its_name_is_empty_for_a_while() -> None:
    world = World(kind="LOGICAL_DNS")
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(5.0)
    world.resolver.last.answer()
    assert str(world.hosts[0].address) == "10.0.0.1:80"
    assert world.counts() == {"attempt": 2, "success": 1, "failure": 1}


def test_a_cluster_without_names_is_initialised_at_once() -> None:
    info = ClusterInfo(ClusterSettings("c", discovery_type="STRICT_DNS"), Store().scope("cluster.c."), FakeRuntime())
    done: list[bool] = []
    DnsDiscovery(info, FakeResolver(), FakeDispatcher(), lambda: 0.5).start(PrioritySet(), lambda: done.append(True))
    assert done == [True]


def test_without_warming_it_is_initialised_at_once() -> None:
    world = World(wait_for_warm_on_init=False)
    assert world.initialised == 1
    world.resolver.last.answer("10.0.0.1")
    assert (world.initialised, world.updates) == (1, [["10.0.0.1:80"]])


def test_each_name_counts_in_its_priority() -> None:
    endpoints = [EndpointSettings("a", 80), EndpointSettings("b", 80, priority=1), EndpointSettings("c", 80)]
    world = World(endpoints=endpoints)
    for number, query in enumerate(list(world.resolver.queries)):
        query.answer(f"10.0.0.{number}")
    assert [[str(host.address) for host in each.hosts] for each in world.priority_set.host_sets] == [
        ["10.0.0.0:80", "10.0.0.2:80"], ["10.0.0.1:80"],
    ]  # fmt: skip


def test_a_healthy_host_stays_while_checks_say_so() -> None:
    world = World()
    world.info.has_health_checker = True
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    healthy, failing = world.hosts
    assert healthy.health_flag_get(FAILED_ACTIVE_HC)
    assert failing.health_flag_get(FAILED_ACTIVE_HC)
    healthy.health_flag_clear(FAILED_ACTIVE_HC)
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.3")
    assert world.updates[-1] == ["10.0.0.3:80", "10.0.0.1:80"]
    assert healthy.health_flag_get(PENDING_DYNAMIC_REMOVAL)
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.1")
    assert not healthy.health_flag_get(PENDING_DYNAMIC_REMOVAL)


def test_health_on_removal_can_be_ignored() -> None:
    world = World(ignore_health_on_host_removal=True)
    world.info.has_health_checker = True
    world.resolver.last.answer("10.0.0.1")
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.3")
    assert world.updates[-1] == ["10.0.0.3:80"]


def test_the_family_asked_for_is_the_clusters() -> None:
    world = World(dns_lookup_family="V4_ONLY")
    assert (world.resolver.last.name, world.resolver.last.lookup_family) == ("service1", "V4_ONLY")
