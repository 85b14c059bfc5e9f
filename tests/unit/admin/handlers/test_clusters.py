"""/clusters, in the shapes of the real Envoy 1.40."""

import json

import pytest

from envoymesh.admin.handlers.clusters import health_flags
from envoymesh.admin.views import ClusterStatus, HealthFlags, HostStatus, OutlierThresholds, SocketAddress, Thresholds

COUNTERS = {"cx_connect_fail": 0, "cx_total": 1, "rq_error": 0, "rq_success": 2, "rq_timeout": 0, "rq_total": 2}
GAUGES = {"cx_active": 1, "rq_active": 0, "rq_pending_active": 0}
SERVICE1 = ClusterStatus(
    "service1",
    "alias1",
    Thresholds(max_connections=7),
    Thresholds(max_retries=9),
    [HostStatus(SocketAddress("127.0.0.1", 80), COUNTERS, GAUGES, hostname="foo", weight=3, region="r1", zone="z1")],
)
SERVICE2 = ClusterStatus("service2", "service2", Thresholds(), Thresholds(), [], outlier=OutlierThresholds())
BROKEN = HostStatus(
    SocketAddress("::1", 81),
    COUNTERS,
    GAUGES,
    health=HealthFlags(failed_active_health_check=True, eds_health_status="UNHEALTHY"),
    canary=True,
    priority=1,
    success_rate=99.5,
)


def test_clusters_as_text(ask) -> None:
    assert ask("/clusters", clusters=lambda: [SERVICE1]).body.splitlines() == [
        "service1::observability_name::alias1",
        "service1::default_priority::max_connections::7",
        "service1::default_priority::max_pending_requests::1024",
        "service1::default_priority::max_requests::1024",
        "service1::default_priority::max_retries::3",
        "service1::high_priority::max_connections::1024",
        "service1::high_priority::max_pending_requests::1024",
        "service1::high_priority::max_requests::1024",
        "service1::high_priority::max_retries::9",
        "service1::added_via_api::false",
        "service1::127.0.0.1:80::cx_active::1",
        "service1::127.0.0.1:80::cx_connect_fail::0",
        "service1::127.0.0.1:80::cx_total::1",
        "service1::127.0.0.1:80::rq_active::0",
        "service1::127.0.0.1:80::rq_error::0",
        "service1::127.0.0.1:80::rq_pending_active::0",
        "service1::127.0.0.1:80::rq_success::2",
        "service1::127.0.0.1:80::rq_timeout::0",
        "service1::127.0.0.1:80::rq_total::2",
        "service1::127.0.0.1:80::hostname::foo",
        "service1::127.0.0.1:80::health_flags::healthy",
        "service1::127.0.0.1:80::weight::3",
        "service1::127.0.0.1:80::region::r1",
        "service1::127.0.0.1:80::zone::z1",
        "service1::127.0.0.1:80::sub_zone::",
        "service1::127.0.0.1:80::canary::false",
        "service1::127.0.0.1:80::priority::0",
        "service1::127.0.0.1:80::success_rate::-1",
        "service1::127.0.0.1:80::local_origin_success_rate::-1",
    ]


def test_an_unhealthy_host_says_why(ask) -> None:
    cluster = ClusterStatus("c", "c", Thresholds(), Thresholds(), [BROKEN])
    lines = ask("/clusters", clusters=lambda: [cluster]).body.splitlines()
    assert "c::[::1]:81::health_flags::/failed_active_hc/failed_eds_health" in lines
    assert "c::[::1]:81::canary::true" in lines
    assert "c::[::1]:81::success_rate::99.5" in lines
    (status,) = json.loads(ask("/clusters?format=json", clusters=lambda: [cluster]).body)["cluster_statuses"]
    (host,) = status["host_statuses"]
    assert host["health_status"] == {"failed_active_health_check": True, "eds_health_status": "UNHEALTHY"}
    assert host["success_rate"] == {"value": 99.5}
    assert host["priority"] == 1


@pytest.mark.parametrize(
    ("health", "text"),
    [
        (HealthFlags(), "healthy"),
        (HealthFlags(eds_health_status="DRAINING"), "/eds_status_draining"),
        (HealthFlags(eds_health_status="DEGRADED", pending_active_hc=True), "/degraded_eds_health/pending_active_hc"),
    ],
)
def test_health_flags_are_in_envoys_order(health: HealthFlags, text: str) -> None:
    assert health_flags(health) == text


def test_an_outlier_detector_adds_four_lines(ask) -> None:
    lines = ask("/clusters", clusters=lambda: [SERVICE2]).body.splitlines()
    assert lines[1:5] == [
        "service2::outlier::success_rate_average::-1",
        "service2::outlier::success_rate_ejection_threshold::-1",
        "service2::outlier::local_origin_success_rate_average::-1",
        "service2::outlier::local_origin_success_rate_ejection_threshold::-1",
    ]


def test_clusters_by_name(ask) -> None:
    body = ask("/clusters?filter=e2$", clusters=lambda: [SERVICE1, SERVICE2]).body
    assert {line.partition("::")[0] for line in body.splitlines()} == {"service2"}
    refused = ask("/clusters?filter=(")
    assert (refused.status, refused.body) == (400, "Invalid re2 regex")


def test_clusters_as_json(ask) -> None:
    (status,) = json.loads(ask("/clusters?format=json", clusters=lambda: [SERVICE1]).body)["cluster_statuses"]
    assert list(status) == ["name", "host_statuses", "circuit_breakers", "observability_name"]
    assert status["circuit_breakers"]["thresholds"][1] == {
        "priority": "HIGH",
        "max_connections": 1024,
        "max_pending_requests": 1024,
        "max_requests": 1024,
        "max_retries": 9,
    }
    (host,) = status["host_statuses"]
    assert list(host) == ["address", "stats", "health_status", "weight", "hostname", "locality"]
    assert host["stats"][:2] == [{"name": "cx_connect_fail"}, {"value": "1", "name": "cx_total"}]
    assert host["stats"][6] == {"type": "GAUGE", "value": "1", "name": "cx_active"}
    assert host["locality"] == {"region": "r1", "zone": "z1"}
