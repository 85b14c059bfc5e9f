"""Hosts by priority, health and locality, and who is told of what."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.network.api import Address
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.host_set import HostsPerLocality, PrioritySet, PrioritySetObserver
from envoymesh.upstream.settings import NO_LOCALITY, EndpointSettings, Locality
from tests.support.stand_ins import stands_for

A, B, C = Locality("r", "a"), Locality("r", "b"), Locality("q", "c")


def host(port: int, locality: Locality = NO_LOCALITY, health: str = "UNKNOWN", priority: int = 0) -> Host:
    endpoint = EndpointSettings("10.0.0.1", port, health_status=health, locality=locality, priority=priority)
    return Host(Address("10.0.0.1", port), endpoint)


def ports(hosts: Sequence[Host]) -> list[int]:
    return [each.address.port for each in hosts]


def bucket_ports(per_locality: HostsPerLocality) -> list[list[int]]:
    return [ports(bucket) for bucket in per_locality.buckets]


class Recorder(stands_for(PrioritySetObserver)):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        self.told.append(("members", priority, ports(added), ports(removed)))

    def on_health_changed(self, priority: int) -> None:
        self.told.append(("health", priority))


def test_there_is_always_one_set() -> None:
    (only,) = PrioritySet().host_sets
    assert (only.priority, only.hosts, only.hosts_per_locality.buckets) == (0, (), ())


def test_hosts_are_sorted_by_health() -> None:
    hosts = PrioritySet()
    hosts.update_hosts(0, [host(1), host(2, health="DEGRADED"), host(3, health="DRAINING"), host(4, health="TIMEOUT")])
    (only,) = hosts.host_sets
    parts = only.hosts, only.healthy_hosts, only.degraded_hosts, only.excluded_hosts
    assert [ports(part) for part in parts] == [[1, 2, 3, 4], [1], [2], [3]]


def test_one_locality_shares_the_tuple() -> None:
    hosts = PrioritySet()
    hosts.update_hosts(0, [host(1), host(2)])
    (only,) = hosts.host_sets
    assert only.healthy_hosts is only.hosts
    assert only.hosts_per_locality.buckets[0] is only.hosts
    assert only.healthy_hosts_per_locality is only.hosts_per_locality


def test_localities_are_ordered_and_keep_their_index() -> None:
    hosts = PrioritySet()
    hosts.update_hosts(0, [host(1, B), host(2, A, "DEGRADED"), host(3, C), host(4, B, "UNHEALTHY")], {A: 7, C: 9})
    (only,) = hosts.host_sets
    assert bucket_ports(only.hosts_per_locality) == [[3], [2], [1, 4]]
    assert bucket_ports(only.healthy_hosts_per_locality) == [[3], [], [1]]
    assert bucket_ports(only.degraded_hosts_per_locality) == [[], [2], []]
    assert only.locality_weights == (9, 7, 0)
    assert not only.hosts_per_locality.has_local_locality


def test_the_own_locality_is_first() -> None:
    hosts = PrioritySet(local_locality=B)
    hosts.update_hosts(0, [host(1, B), host(2, A), host(3, C)], {B: 1, C: 2})
    (only,) = hosts.host_sets
    assert bucket_ports(only.hosts_per_locality) == [[1], [3], [2]]
    assert only.locality_weights == (1, 2, 0)
    assert only.healthy_hosts_per_locality.has_local_locality


def test_an_own_locality_without_hosts_has_no_bucket() -> None:
    hosts = PrioritySet(local_locality=B)
    hosts.update_hosts(0, [host(2, A), host(3, C)])
    assert bucket_ports(hosts.host_sets[0].hosts_per_locality) == [[3], [2]]
    assert not hosts.host_sets[0].hosts_per_locality.has_local_locality


def test_no_priority_is_missing_below_the_highest() -> None:
    hosts = PrioritySet()
    hosts.update_hosts(2, [host(1, priority=2)], overprovisioning_factor=200, weighted_priority_health=True)
    assert [(each.priority, len(each.hosts)) for each in hosts.host_sets] == [(0, 0), (1, 0), (2, 1)]
    assert (hosts.host_sets[2].overprovisioning_factor, hosts.host_sets[2].weighted_priority_health) == (200, True)
    assert hosts.host_sets[0].overprovisioning_factor == 140


def test_observers_hear_who_came_and_who_left() -> None:
    hosts, seen = PrioritySet(), Recorder()
    first, second, third = host(1), host(2), host(3)
    hosts.update_hosts(0, [first])
    hosts.add_observer(seen)
    hosts.update_hosts(0, [first, second, third])
    hosts.update_hosts(0, [third])
    hosts.update_hosts(0, [third])
    hosts.remove_observer(seen)
    hosts.update_hosts(0, [])
    assert seen.told == [("members", 0, [2, 3], []), ("members", 0, [], [1, 2]), ("members", 0, [], [])]


def test_a_change_of_health_is_told_once_for_each_priority() -> None:
    hosts, seen = PrioritySet(), Recorder()
    low, high, also_high = host(1), host(2, priority=1), host(3, priority=1)
    hosts.update_hosts(0, [low])
    hosts.update_hosts(1, [high, also_high])
    hosts.add_observer(seen)
    high.health_flag_set(FAILED_ACTIVE_HC)
    also_high.health_flag_set(FAILED_ACTIVE_HC)
    hosts.update_health([high, also_high])
    assert seen.told == [("health", 1)]
    assert (hosts.host_sets[1].healthy_hosts, hosts.host_sets[1].hosts) == ((), (high, also_high))
    assert hosts.host_sets[0].healthy_hosts == (low,)


def test_what_was_read_does_not_change() -> None:
    hosts = PrioritySet()
    first = host(1)
    hosts.update_hosts(0, [first])
    before = hosts.host_sets[0].healthy_hosts
    first.health_flag_set(FAILED_ACTIVE_HC)
    hosts.update_health([first])
    assert before == (first,)


def test_hosts_of_all_priorities() -> None:
    hosts = PrioritySet()
    low, high = host(1), host(2, priority=1)
    hosts.update_hosts(0, [low])
    hosts.update_hosts(1, [high])
    assert hosts.hosts() == (low, high)
    hosts.update_hosts(0, [])
    assert hosts.hosts() == (high,)
