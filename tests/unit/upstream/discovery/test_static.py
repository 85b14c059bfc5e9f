"""STATIC discovery: once, and all of it."""

from __future__ import annotations

from envoymesh.stats import Store
from envoymesh.upstream.discovery.static import StaticDiscovery
from envoymesh.upstream.settings import EndpointSettings
from envoymesh.upstream.stats import ClusterStats


def test_hosts_come_at_once_and_duplicates_stay() -> None:
    stats = ClusterStats.create(Store().scope("cluster.c."))
    endpoints = [EndpointSettings("10.0.0.1", 80), EndpointSettings("::1", 81), EndpointSettings("10.0.0.1", 80)]
    told: list[object] = []
    discovery = StaticDiscovery(endpoints, stats)
    discovery.start(lambda hosts: told.append([str(host.address) for host in hosts]), lambda: told.append("done"))
    discovery.stop()
    assert told == [["10.0.0.1:80", "[::1]:81", "10.0.0.1:80"], "done"]
    assert stats.total_match_count.value == 3
