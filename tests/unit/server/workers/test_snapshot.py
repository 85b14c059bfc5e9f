"""The whole out of its parts: which figures add up, which are shown once, and what stays of a worker that ended."""

import pickle
from collections.abc import Collection
from dataclasses import replace

import pytest

from envoymesh.admin.views import ClusterStatus, HostStatus, MemoryUsage, SocketAddress, Thresholds
from envoymesh.server.workers.snapshot import (
    SENT_AT_ONCE,
    Ended,
    Snapshot,
    is_parents,
    renamed_for,
    snapshot_parts,
    takes_highest,
    whole_clusters,
    whole_memory,
    whole_stats,
)
from envoymesh.stats import Store
from envoymesh.stats.image import HistogramImage, StoreImage, images_of
from tests.support.images import image_of
from tests.support.steps import finished

MEMORY = MemoryUsage(allocated=1, heap_size=2, total_physical_bytes=3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cluster.a.membership_total", True),
        ("cluster.a.membership_change", True),
        ("cluster.a.circuit_breakers.default.cx_open", True),
        ("cluster.a.circuit_breakers.default.remaining_cx", False),
        ("cluster.a.upstream_cx_active", False),
        ("cluster.membership_total.upstream_rq_total", False),
        ("cluster_manager.cluster_added", True),
        ("thread_local_cluster_manager.worker_1.clusters_inflated", True),
        ("listener.127.0.0.1_80.downstream_cx_active", False),
        ("server.memory_allocated", False),
    ],
)
def test_what_takes_the_highest(name: str, expected: bool) -> None:
    assert takes_highest(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("server.uptime", True),
        ("server.main_thread.watchdog_miss", True),
        ("server.worker_1.watchdog_miss", False),
        ("server.memory_physical_size", False),
        ("server.total_connections", False),
        ("server.envoy_bug_failures", False),
        ("server.stats_recent_lookups", False),
        ("main_thread.watchdog_miss", True),
        ("workers.watchdog_miss", False),
        ("listener_manager.workers_started", True),
        ("runtime.num_keys", True),
        ("cluster.server.uptime", False),
    ],
)
def test_what_is_the_parents(name: str, expected: bool) -> None:
    assert is_parents(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("listener.127.0.0.1_80.worker_0.downstream_cx_total", "listener.127.0.0.1_80.worker_2.downstream_cx_total"),
        ("server.worker_0.watchdog_miss", "server.worker_2.watchdog_miss"),
        ("cluster.worker_0.upstream_rq_total", "cluster.worker_0.upstream_rq_total"),
        ("listener.a.http.x.downstream_rq_2xx", "listener.a.http.x.downstream_rq_2xx"),
    ],
)
def test_each_worker_has_its_own_names(name: str, expected: str) -> None:
    assert renamed_for(2)(name) == expected
    assert renamed_for(0)(name) == name


def test_stats_of_the_whole() -> None:
    parent = StoreImage(
        counters={"server.worker_restarts": 1, "http.admin.rq": 2, "http.a.rq": 7, "filesystem.write_completed": 1},
        gauges={"server.concurrency": 2, "cluster.a.circuit_breakers.default.remaining_cx": 10},
        used={"server.concurrency", "http.a.rq"},
        histograms={"http.a.time": HistogramImage("ms", {}, {5: 100})},
    )
    worker = StoreImage(
        counters={"http.a.rq": 3, "filesystem.write_completed": 4, "listener_manager.listener_added": 1},
        gauges={"server.concurrency": 9, "cluster.a.circuit_breakers.default.remaining_cx": 6},
        used={"http.a.rq"},
        histograms={"http.a.time": HistogramImage("ms", {5: 1}, {5: 2})},
    )
    whole = finished(whole_stats(parent, [worker, worker]))
    assert whole.counters == {
        "server.worker_restarts": 1,
        "http.admin.rq": 2,
        "http.a.rq": 6,
        "filesystem.write_completed": 9,
    }
    assert whole.gauges == {"server.concurrency": 2, "cluster.a.circuit_breakers.default.remaining_cx": 12}
    assert whole.used == {"server.concurrency", "http.a.rq"}
    assert whole.histograms == {"http.a.time": HistogramImage("ms", {5: 2}, {5: 4})}


def test_memory_adds_up() -> None:
    assert whole_memory([MEMORY, MEMORY]) == MemoryUsage(allocated=2, heap_size=4, total_physical_bytes=6)


def host(port: int, total: int, active: int = 0) -> HostStatus:
    return HostStatus(SocketAddress("127.0.0.1", port), {"cx_total": total}, {"cx_active": active})


def cluster(*hosts: HostStatus) -> ClusterStatus:
    return ClusterStatus("a", "a", Thresholds(), Thresholds(), hosts)


def test_hosts_add_up_and_each_is_shown_once() -> None:
    first, second = cluster(host(1, 2, 1), host(2, 5)), cluster(host(1, 3, 4), host(3, 1))
    (whole,) = whole_clusters([[first], [second]], [cluster(host(1, 100), host(9, 1))])
    assert whole == replace(first, hosts=[host(1, 105, 5), host(2, 5), host(3, 1)])


def test_a_worker_that_ended_leaves_its_counts() -> None:
    ended = Ended()
    stats = StoreImage({"c": 3}, {"active": 1}, {"c", "active"}, {}, {"h": HistogramImage("ms", {1: 1}, {1: 1})})
    for _ in range(2):
        ended.add(Snapshot(stats, [cluster(host(1, 2, 7))], MEMORY, 1))
    assert ended.stats == StoreImage({"c": 6}, {}, {"c"}, {}, {"h": HistogramImage("ms", {}, {1: 2})})
    (whole,) = whole_clusters([[cluster(host(1, 1, 1))]], ended.clusters)
    assert whole.hosts == [host(1, 5, 1)]
    ended.reset_counters()
    assert ended.stats.counters == {"c": 0}


def test_a_snapshot_is_told_in_parts_that_add_up() -> None:
    store = Store()
    scope = store.scope("s.")
    for index in range(3 * SENT_AT_ONCE):
        scope.counter(f"{index}").inc()
    hosts = [HostStatus(SocketAddress("10.0.0.1", port), {}, {}) for port in range(2 * SENT_AT_ONCE)]
    clusters = [ClusterStatus(name, name, Thresholds(), Thresholds(), iter_only(hosts)) for name in ("a", "b")]
    parts = [part for part in snapshot_parts(images_of(store), iter(clusters)) if part is not None]
    assert len(parts) >= 5
    assert all(len(part.stats) < 2 * SENT_AT_ONCE for part in parts)
    whole = Snapshot()
    for part in pickle.loads(pickle.dumps(parts)):
        whole.add(part)
    assert whole.stats == image_of(store)
    assert [(cluster.name, len(cluster.hosts)) for cluster in whole.clusters] == [("a", len(hosts)), ("b", len(hosts))]
    whole.add(Snapshot(memory=MEMORY, connections=7))
    assert (whole.memory, whole.connections) == (MEMORY, 7)


def iter_only(hosts: list[HostStatus]) -> Collection[HostStatus]:
    """Hosts as the view of a live cluster gives them: no list, and nothing to send to another process."""
    return {host.address: host for host in hosts}.values()
