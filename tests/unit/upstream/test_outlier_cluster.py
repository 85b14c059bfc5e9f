"""Outlier detection together with a cluster: picks, connections of who is ejected, and what the admin is shown."""

from __future__ import annotations

import pytest

from envoymesh.admin.cluster_view import cluster_status
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import ClientTls
from envoymesh.stats import Store
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_manager import StaticClusterManager
from envoymesh.upstream.host import FAILED_ACTIVE_HC, FAILED_OUTLIER_CHECK
from envoymesh.upstream.lb.settings import LbSettings, RandomSettings, RoundRobinSettings
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from tests.support.fakes import FakeConnector, FakeDispatcher, FakeResolver, FakeRuntime
from tests.support.upstream import Asker

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
DETECTION = OutlierDetectionSettings(consecutive_5xx=1, max_ejection_percent=50, interval=1.0, base_ejection_time=1.0)


class World:
    """A manager of one cluster with two hosts."""

    def __init__(self, lb: LbSettings | None = None, outliers: OutlierDetectionSettings | None = DETECTION) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        self.store = Store()
        endpoints = [EndpointSettings("10.0.0.1", 80), EndpointSettings("10.0.0.2", 80)]
        settings = ClusterSettings(
            "c", "c", lb=lb or RoundRobinSettings(), endpoints=endpoints, outlier_detection=outliers
        )
        self.manager = StaticClusterManager(
            [settings], self.store.scope(""), self.connector, lambda dns: FakeResolver(), self.dispatcher,
            lambda: 0.0, FakeRuntime(), lambda tls, scope: ClientTls(),
        )  # fmt: skip
        self.manager.initialise(lambda: None)
        cluster = self.manager.get("c")
        assert cluster is not None
        self.cluster: Cluster = cluster

    def fail(self, number: int) -> None:
        monitor = self.cluster.hosts[number].outlier_detector
        assert monitor is not None
        monitor.put_http_response_code(500)

    def picks(self) -> set[str]:
        return {host.address.host for host in (self.cluster.choose_host(None) for _ in range(8)) if host is not None}

    def stat(self, name: str) -> int:
        return {stat.name: stat.value for stat in (*self.store.counters.ordered(), *self.store.gauges.ordered())}[name]


def test_who_is_ejected_is_not_picked_from_the_same_turn_on() -> None:
    for lb in (RoundRobinSettings(), RandomSettings()):
        world = World(lb)
        world.fail(0)
        assert world.picks() == {"10.0.0.2"}
        assert world.stat("cluster.c.membership_healthy") == 1
        world.dispatcher.advance(1.0)
        assert world.stat("cluster.c.membership_healthy") == 2
    assert world.stat("cluster.c.membership_change") == 1
    assert world.stat("cluster_manager.cluster_updated") == 1
    assert world.stat("cluster_manager.cluster_updated_via_merge") == 1


@pytest.mark.parametrize("answered_first", [True, False])
def test_connections_of_who_is_ejected_end_with_their_request(answered_first: bool) -> None:
    world, asker = World(), Asker()
    world.cluster.new_stream(world.cluster.hosts[0], asker, asker, HttpProtocol.HTTP11)
    connection = world.connector.last
    connection.established()
    assert asker.ready is not None
    asker.ready.encode_headers(RequestHeaders(b"GET", b"/", b"a", b"http", []), True)
    if answered_first:
        connection.receive(ANSWER)
        assert not connection.closed
    world.fail(0)
    assert connection.closed is answered_first
    if not answered_first:
        connection.receive(ANSWER)
    assert connection.closed


def test_what_the_admin_is_shown() -> None:
    world = World()
    world.fail(0)
    status = cluster_status(world.cluster)
    assert status.outlier is not None
    assert status.outlier.success_rate_average == -1.0
    first, second = status.hosts
    assert (first.health.failed_outlier_check, second.health.failed_outlier_check) == (True, False)
    assert cluster_status(World(outliers=None).cluster).outlier is None


def test_without_a_detector_nobody_listens() -> None:
    world = World(outliers=None)
    assert world.cluster.outlier_detector is None
    assert all(host.outlier_detector is None for host in world.cluster.hosts)
    assert not [name for name in world.store.counters.by_name if "outlier" in name]
    assert not world.dispatcher.timers


def test_it_ends_with_its_cluster() -> None:
    world = World()
    assert world.dispatcher.timers
    world.manager.shutdown()
    assert not world.dispatcher.timers


def test_a_check_that_passes_brings_a_host_back() -> None:
    world = World()
    host = world.cluster.hosts[0]
    world.fail(0)
    host.health_flag_set(FAILED_ACTIVE_HC)
    world.cluster.on_host_health_success(host)
    assert host.health_flag_get(FAILED_OUTLIER_CHECK), "one of the last checks has failed it"
    host.health_flag_clear(FAILED_ACTIVE_HC)
    world.cluster.on_host_health_success(host)
    assert not host.health_flag_get(FAILED_OUTLIER_CHECK)
    assert world.stat("cluster.c.outlier_detection.ejections_active") == 0
