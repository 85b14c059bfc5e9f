"""Priorities, panics, localities by weight and zones, as they choose the hosts that a pick is made among."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.priorities import PriorityLoad
from envoymesh.upstream.lb.settings import (
    LbSettings,
    LocalitySettings,
    RandomSettings,
    RoundRobinSettings,
    ZoneAwareSettings,
)
from tests.support.balancing import Balanced, Context, draws, host, in_zones, priority_set
from tests.support.fakes import FakeRuntime

ROUND = RoundRobinSettings()
WEIGHTED = RoundRobinSettings(LocalitySettings(weighted=True))


def hosts(first: int, count: int, **endpoint: Any) -> list[Host]:
    return [host(first + place, **endpoint) for place in range(count)]


def every_draw(world: Balanced) -> Counter[int]:
    """The picks of a hundred requests, one for each percent of chance (`draws(*range(100))`)."""
    return Counter(world.picks(100))


# Priorities


def test_what_a_priority_cannot_take_goes_to_the_next() -> None:
    first = [*hosts(1, 1), host(2, health_status="UNHEALTHY")]
    world = Balanced(ROUND, priority_set(first, hosts(3, 1)), draws(*range(100)))
    assert every_draw(world) == {1: 70, 3: 30}


def test_degraded_hosts_take_what_is_left() -> None:
    members = [*hosts(1, 1), host(2, health_status="DEGRADED")]
    world = Balanced(ROUND, priority_set(members), draws(*range(100)))
    assert every_draw(world) == {1: 70, 2: 30}


def test_a_priority_that_comes_later() -> None:
    world = Balanced(ROUND, priority_set([host(1, health_status="UNHEALTHY")]), draws(*range(100)))
    assert every_draw(world) == {1: 100}
    assert world.stat("lb_healthy_panic") == 100
    world.hosts.update_hosts(1, hosts(2, 1))
    assert every_draw(world) == {2: 100}


@pytest.mark.parametrize("fail", [False, True])
def test_in_a_panic_all_hosts_count_or_none(fail: bool) -> None:
    settings = RoundRobinSettings(LocalitySettings(zone_aware=ZoneAwareSettings(fail_traffic_on_panic=fail)))
    world = Balanced(settings, priority_set([host(1), *hosts(2, 3, health_status="UNHEALTHY")]))
    assert set(world.picks(8)) == ({0} if fail else {1, 2, 3, 4})
    assert world.stat("lb_healthy_panic") == 8


def test_another_panic_threshold() -> None:
    world = Balanced(ROUND, priority_set([host(1), *hosts(2, 3, health_status="UNHEALTHY")]))
    world.balancer.set_panic_threshold(20)
    assert set(world.picks(8)) == {1}
    world.balancer.set_panic_threshold(26)
    assert set(world.picks(8)) == {1, 2, 3, 4}


def test_health_that_changes_is_heard_at_once() -> None:
    world = Balanced(ROUND, priority_set(hosts(1, 2), hosts(3, 1)))
    assert set(world.picks(4)) == {1, 2}
    for each in world.hosts.host_sets[0].hosts:
        each.health_flag_set(FAILED_ACTIVE_HC)
    world.hosts.update_health(world.hosts.host_sets[0].hosts)
    assert set(world.picks(4)) == {3}


# Retries


def test_a_retry_looks_further_as_often_as_it_may() -> None:
    world = Balanced(ROUND, priority_set(hosts(1, 3)))
    first, second, _ = world.hosts.hosts()
    assert world.pick(Context(refused=[first, second], attempts=2)) == 3
    assert world.pick(Context(refused=[first, second], attempts=1)) == 2  # the last one, refused as it is


def test_a_first_try_refuses_nobody() -> None:
    class First(Context):
        def is_retry(self) -> bool:
            return False

    world = Balanced(ROUND, priority_set(hosts(1, 2)))
    assert world.pick(First(refused=world.hosts.hosts())) == 1


def test_a_retry_may_have_a_load_of_its_own() -> None:
    world = Balanced(ROUND, priority_set(hosts(1, 1), hosts(2, 1)), draws(*range(100)))

    def second(members: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        assert original.healthy == [100, 0]
        return PriorityLoad([0, 100], [0, 0])

    assert world.picks(3, Context(load=second)) == [2, 2, 2]


# Localities by weight


def in_localities(weights: dict[str, int], *members: Host, settings: LbSettings = WEIGHTED) -> Balanced:
    made = PrioritySet()
    made.update_hosts(0, members, in_zones(weights))
    return Balanced(settings, made)


def test_localities_by_weight() -> None:
    world = in_localities({"a": 1, "b": 3}, host(1, zone="a"), host(2, zone="b"), host(3, zone="b"))
    assert Counter(world.picks(80)) == {1: 20, 2: 30, 3: 30}


def test_weights_of_localities_need_a_policy_that_wants_them() -> None:
    world = in_localities({"a": 1, "b": 3}, host(1, zone="a"), host(2, zone="b"), settings=ROUND)
    assert Counter(world.picks(80)) == {1: 40, 2: 40}


def test_a_locality_without_weight_gets_nothing() -> None:
    world = in_localities({"a": 1}, host(1, zone="a"), host(2, zone="b"))
    assert set(world.picks(20)) == {1}


def test_a_locality_with_too_few_healthy_hosts_counts_less() -> None:
    sick = [host(number, zone="b", health_status="UNHEALTHY") for number in (3, 4)]
    world = in_localities({"a": 1, "b": 1}, *hosts(10, 6, zone="a"), host(2, zone="b"), *sick)
    counts = Counter(world.picks(1460))
    # 140% of a third of its hosts can take 0.4667 of its weight.
    assert counts[2] == pytest.approx(1460 * 0.4667 / 1.4667, abs=3)


def test_localities_of_degraded_hosts() -> None:
    members = [host(1, zone="a", health_status="DEGRADED"), host(2, zone="b", health_status="DEGRADED")]
    assert Counter(in_localities({"a": 1, "b": 3}, *members).picks(40)) == {1: 10, 2: 30}


def test_no_weights_at_all() -> None:
    assert set(in_localities({}, host(1, zone="a"), host(2, zone="b")).picks(10)) == {1, 2}


# Zones


def zones(upstream: dict[str, int], local: dict[str, int], here: str = "a", **more: Any) -> Balanced:
    """Upstream hosts 1, 2, ... by zone, and proxies in the local cluster; this one is in zone `here`."""
    made = PrioritySet(priority_set(local=here).local_locality)
    made.update_hosts(0, _by_zone(upstream, 1))
    beside = PrioritySet(made.local_locality)
    beside.update_hosts(0, _by_zone(local, 100))
    settings = more.pop("settings", None) or RoundRobinSettings(
        LocalitySettings(zone_aware=ZoneAwareSettings(min_cluster_size=1, **more.pop("zone", {})))
    )
    return Balanced(settings, made, more.pop("random", lambda: 0.0), local=beside, **more)


def _by_zone(counts: dict[str, int], first: int) -> list[Host]:
    names = [zone for zone, count in counts.items() for _ in range(count)]
    return [host(first + place, zone=zone) for place, zone in enumerate(names)]


def test_all_stays_in_the_zone_where_it_has_its_share_of_hosts() -> None:
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1})
    assert set(world.picks(10)) == {1, 2}
    assert world.stat("lb_zone_routing_all_directly") == 10
    assert world.stat("lb_recalculate_zone_structures") == 1


def test_some_leaves_the_zone_where_its_hosts_are_too_few() -> None:
    # A quarter of the hosts for half of the proxies: half of the requests stay.
    world = zones(
        {"a": 1, "b": 3}, {"a": 1, "b": 1}, random=iter([0.0, *[0.1, 0.1, 0.1, 0.49, 0.1, 0.51, 0.3]]).__next__
    )
    found = [world.pick() for _ in range(2)]
    assert found == [1, 1]
    assert world.stat("lb_zone_routing_sampled") == 2
    assert world.pick() in {2, 3, 4}
    assert world.stat("lb_zone_routing_cross_zone") == 1


def test_what_leaves_goes_where_there_is_room() -> None:
    world = zones({"a": 1, "b": 3, "c": 6}, {"a": 6, "b": 2, "c": 2}, random=random.Random(1).random)
    counts = Counter(world.picks(3000))
    by_zone = {
        zone: sum(counts[n] for n in numbers) for zone, numbers in {"a": [1], "b": [2, 3, 4], "c": range(5, 11)}.items()
    }
    # Of 60% of the proxies, hosts here take 10%; there is room for 10% in b and for 40% in c.
    assert by_zone["a"] == pytest.approx(3000 / 6, abs=120)
    assert by_zone["b"] == pytest.approx(2500 / 5, abs=120)


def test_no_capacity_is_left_by_rounding() -> None:
    # 33.34% of the proxies and 33.33% of the hosts are here, and 66.66% of both elsewhere.
    world = zones({"a": 1, "b": 2}, {"a": 3334, "b": 6666}, random=lambda: 0.99999)
    assert set(world.picks(4)) == {2, 3}
    assert world.stat("lb_zone_no_capacity_left") == world.stat("lb_zone_routing_cross_zone") == 4


@pytest.mark.parametrize(
    ("upstream", "local", "here", "stat"),
    [
        ({"a": 4}, {"a": 1, "b": 1}, "a", ""),  # one zone of hosts
        ({"a": 2, "b": 2}, {"a": 2}, "a", ""),  # one zone of proxies
        ({"a": 2, "b": 2}, {"b": 1, "c": 1}, "a", "lb_local_cluster_not_ok"),
    ],
)
def test_no_zones(upstream: dict[str, int], local: dict[str, int], here: str, stat: str) -> None:
    world = zones(upstream, local, here)
    assert set(world.picks(12)) == {1, 2, 3, 4}
    assert not stat or world.stat(stat) == 1


def test_a_cluster_may_be_too_small() -> None:
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1}, settings=ROUND)
    assert set(world.picks(12)) == {1, 2, 3, 4}
    assert world.stat("lb_zone_cluster_too_small") == 1


def test_the_runtime_says_from_which_size_on() -> None:
    runtime = FakeRuntime({"upstream.zone_routing.min_cluster_size": 4})
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1}, settings=ROUND, runtime=runtime)
    assert set(world.picks(12)) == {1, 2}


def test_a_share_of_requests_looks_at_zones() -> None:
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1}, zone={"routing_enabled": 0.0})
    assert set(world.picks(12)) == {1, 2, 3, 4}


@pytest.mark.parametrize("fail", [False, True])
def test_proxies_in_a_panic(fail: bool) -> None:
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1}, zone={"fail_traffic_on_panic": fail})
    beside = world_local(world)
    for each in beside.hosts():
        each.health_flag_set(FAILED_ACTIVE_HC)
    # Health of the proxies counts, their number does not change.
    beside.host_sets[0].sort_by_health()
    assert set(world.picks(12)) == ({0} if fail else {1, 2, 3, 4})
    assert world.stat("lb_local_cluster_not_ok") == 12


def world_local(world: Balanced) -> PrioritySet:
    assert world.local is not None
    return world.local


def test_proxies_that_come_change_the_shares() -> None:
    world = zones({"a": 1, "b": 1}, {"a": 1, "b": 1})
    assert set(world.picks(4)) == {1}
    world_local(world).update_hosts(0, _by_zone({"b": 1, "c": 1}, 100))
    assert world.stat("lb_recalculate_zone_structures") == 2
    assert set(world.picks(4)) == {1, 2}


@pytest.mark.parametrize(("least", "expected"), [(1, {1}), (2, {1, 2, 3, 4})])
def test_forced_to_stay(least: int, expected: set[int]) -> None:
    world = zones(
        {"a": 1, "b": 3}, {"a": 1, "b": 1}, zone={"force_local_zone_min_size": least}, random=random.Random(2).random
    )
    assert set(world.picks(60)) == expected


def test_shares_by_weight() -> None:
    made = PrioritySet(priority_set(local="a").local_locality)
    made.update_hosts(0, [host(1, zone="a", weight=3), host(2, zone="b"), host(3, zone="b"), host(4, zone="b")])
    beside = PrioritySet(made.local_locality)
    beside.update_hosts(0, _by_zone({"a": 1, "b": 1}, 100))
    zone = ZoneAwareSettings(min_cluster_size=1, by_weight=True)
    world = Balanced(RoundRobinSettings(LocalitySettings(zone_aware=zone)), made, local=beside)
    assert set(world.picks(10)) == {1}


def test_only_priority_0_is_routed_by_zones() -> None:
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1})
    world.hosts.update_hosts(1, [host(20, zone="b"), host(21, zone="a")])
    for each in world.hosts.host_sets[0].hosts:
        each.health_flag_set(FAILED_ACTIVE_HC)
    world.hosts.update_health(world.hosts.host_sets[0].hosts)
    assert set(world.picks(6)) == {20, 21}


def test_random_hosts_by_zone() -> None:
    settings = RandomSettings(LocalitySettings(zone_aware=ZoneAwareSettings(min_cluster_size=1)))
    world = zones({"a": 2, "b": 2}, {"a": 1, "b": 1}, settings=settings, random=draws(0, 0, 1, 1, 2, 2, 3, 3))
    assert set(world.picks(8)) == {1, 2}


def test_a_balancer_that_is_stopped_does_not_hear_of_proxies() -> None:
    world = zones({"a": 1, "b": 1}, {"a": 1, "b": 1})
    world.balancer.stop()
    world_local(world).update_hosts(0, [])
    assert world.stat("lb_recalculate_zone_structures") == 1
