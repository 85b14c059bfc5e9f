"""Clusters of the upstream room as /clusters shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from envoymesh.admin.cluster_view import cluster_status
from envoymesh.admin.views import SocketAddress
from envoymesh.network.api import Address, PipeAddress
from envoymesh.stats import Store
from envoymesh.upstream.host import Host
from envoymesh.upstream.outlier.detector import OutlierDetector
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, Locality, ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats
from tests.support.fakes import FakeRuntime


@dataclass
class FakeCluster:
    """What the view reads of a cluster; a real one needs a connector and a dispatcher."""

    settings: ClusterSettings
    hosts: Sequence[Host] = ()
    outlier_detector: OutlierDetector | None = None
    hosts_changed: float = 0.0

    @property
    def name(self) -> str:
        return self.settings.name

    def resource_manager(self, priority: str = "DEFAULT") -> ResourceManager:
        settings = self.settings
        thresholds = settings.high_thresholds if priority == "HIGH" else settings.default_thresholds
        runtime = FakeRuntime({"DEFAULT.max_requests": 5})
        return ResourceManager(thresholds, CircuitBreakerStats.create(Store().scope("c.")), runtime, f"{priority}.")


def test_a_host_shows_its_endpoint_and_its_counts() -> None:
    host = Host(
        Address("127.0.0.1", 80), EndpointSettings("app", 80, hostname="app", weight=3, locality=Locality("r", "", "s"))
    )
    host.stats.rq_total.add(2)
    host.stats.cx_active.set(1)
    status = cluster_status(FakeCluster(ClusterSettings("c", high_thresholds=ThresholdSettings(max_retries=9)), [host]))
    (shown,) = status.hosts
    assert shown.address == SocketAddress("127.0.0.1", 80)
    assert (shown.hostname, shown.weight, shown.region, shown.zone, shown.sub_zone) == ("app", 3, "r", "", "s")
    assert (shown.counters["rq_total"], shown.gauges["cx_active"]) == (2, 1)
    assert {"cx_connect_fail", "cx_total", "rq_error", "rq_success", "rq_timeout"} <= shown.counters.keys()
    assert status.high.max_retries == 9
    assert (status.default.max_retries, status.default.max_requests) == (3, 5)


def test_the_observability_name_is_the_alternative_stat_name() -> None:
    assert cluster_status(FakeCluster(ClusterSettings("c", stat_name="alias"))).observability_name == "alias"
    assert cluster_status(FakeCluster(ClusterSettings("c"))).observability_name == "c"


@pytest.mark.parametrize(
    ("given", "shown"),
    [("UNKNOWN", "HEALTHY"), ("HEALTHY", "HEALTHY"), ("TIMEOUT", "UNHEALTHY"), ("DRAINING", "DRAINING")],
)
def test_health_as_the_endpoint_gives_it(given: str, shown: str) -> None:
    host = Host(Address("::1", 80), EndpointSettings("::1", 80, health_status=given))
    (status,) = cluster_status(FakeCluster(ClusterSettings("c"), [host])).hosts
    assert status.health.eds_health_status == shown


def test_a_host_at_a_pipe() -> None:
    host = Host(PipeAddress("/run/a.sock"), EndpointSettings("/run/a.sock", 0, is_pipe=True))
    (status,) = cluster_status(FakeCluster(ClusterSettings("c"), [host])).hosts
    assert (status.address, str(status.address)) == (SocketAddress("/run/a.sock"), "/run/a.sock")
