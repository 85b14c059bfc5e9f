"""STATIC discovery: once, and all of it."""

from __future__ import annotations

from envoymesh.stats import Store
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.static import StaticDiscovery
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, Locality
from tests.support.fakes import FakeRuntime


def discovered(**settings: object) -> tuple[ClusterInfo, PrioritySet]:
    """A STATIC cluster after its start."""
    info = ClusterInfo(ClusterSettings("c", **settings), Store().scope("cluster.c."), FakeRuntime())  # type: ignore[arg-type]
    hosts = PrioritySet()
    done: list[bool] = []
    discovery = StaticDiscovery(info)
    discovery.start(hosts, lambda: done.append(True))
    discovery.stop()
    assert done == [True]
    return info, hosts


def test_hosts_come_at_once_and_duplicates_stay() -> None:
    endpoints = [EndpointSettings("10.0.0.1", 80), EndpointSettings("::1", 81), EndpointSettings("10.0.0.1", 80)]
    info, hosts = discovered(endpoints=endpoints)
    assert [str(host.address) for host in hosts.hosts()] == ["10.0.0.1:80", "[::1]:81", "10.0.0.1:80"]
    assert info.stats.total_match_count.value == 3


def test_each_priority_has_its_hosts_and_what_the_settings_say() -> None:
    near, far = Locality("r", "near"), Locality("r", "far")
    endpoints = [
        EndpointSettings("10.0.0.1", 80, priority=2, locality=near),
        EndpointSettings("10.0.0.2", 80, locality=near),
        EndpointSettings("10.0.0.3", 80, locality=far),
    ]
    weights = {0: {near: 3, far: 4}, 2: {near: 5}}
    _, hosts = discovered(
        endpoints=endpoints, locality_weights=weights, overprovisioning_factor=200, weighted_priority_health=True
    )
    first, second, third = hosts.host_sets
    assert [len(each.hosts) for each in hosts.host_sets] == [2, 0, 1]
    assert (first.locality_weights, third.locality_weights) == ((4, 3), (5,))
    assert (first.overprovisioning_factor, first.weighted_priority_health) == (200, True)
    assert second.overprovisioning_factor == 140
