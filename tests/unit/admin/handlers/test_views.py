"""/clusters, /listeners, /certs, /memory, /server_info and /init_dump, in the shapes of the real Envoy 1.40."""

import json

import pytest

from envoymesh.admin.handlers.clusters import health_flags
from envoymesh.admin.views import (
    CertificateDetails,
    CertificateEntry,
    ClusterStatus,
    HealthFlags,
    HostStatus,
    ListenerStatus,
    OutlierThresholds,
    SocketAddress,
    Thresholds,
)

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


LISTENERS = [
    ListenerStatus("main", SocketAddress("0.0.0.0", 8080), [SocketAddress("::", 8080)]),
    ListenerStatus("local", SocketAddress("/run/x.sock")),
]


def test_listeners_as_text(ask) -> None:
    body = ask("/listeners", listeners=lambda: LISTENERS).body
    assert body == "main::0.0.0.0:8080\nmain::[::]:8080\nlocal::/run/x.sock\n"


def test_listeners_as_json(ask) -> None:
    first, second = json.loads(ask("/listeners?format=json", listeners=lambda: LISTENERS).body)["listener_statuses"]
    assert first == {
        "name": "main",
        "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},
        "additional_local_addresses": [{"socket_address": {"address": "::", "port_value": 8080}}],
    }
    assert second["local_address"] == {"pipe": {"path": "/run/x.sock"}}


def test_certs(ask) -> None:
    details = CertificateDetails("/c.pem", "1b", [("dns", "a.example"), ("uri", "spiffe://x")], 29, 0, 86400)
    (entry,) = json.loads(ask("/certs", certificates=lambda: [CertificateEntry(cert_chain=[details])]).body)[
        "certificates"
    ]
    assert entry == {
        "ca_cert": [],
        "cert_chain": [
            {
                "path": "/c.pem",
                "serial_number": "1b",
                "subject_alt_names": [{"dns": "a.example"}, {"uri": "spiffe://x"}],
                "days_until_expiration": "29",
                "valid_from": "1970-01-01T00:00:00Z",
                "expiration_time": "1970-01-02T00:00:00Z",
            }
        ],
    }
    assert ask("/certs").body == '{\n "certificates": []\n}\n'


def test_memory_prints_zeros_too(ask) -> None:
    assert json.loads(ask("/memory").body) == {
        "allocated": "1",
        "heap_size": "2",
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": "3",
    }


def test_server_info(ask) -> None:
    response = ask("/server_info")
    assert response.content_type == "application/json"
    info = json.loads(response.body)
    assert list(info) == [
        "version", "state", "uptime_current_epoch", "uptime_all_epochs", "hot_restart_version",
        "command_line_options", "node", "hot_restart_initializing",
    ]  # fmt: skip
    assert (info["state"], info["uptime_current_epoch"], info["uptime_all_epochs"]) == ("LIVE", "12s", "3600s")
    options = info["command_line_options"]
    assert (options["concurrency"], options["mode"], options["drain_time"]) == (1, "Serve", "600s")
    assert options["config_yaml"] == ""
    assert options["newer_than_the_message"] is True
    assert list(options)[:3] == ["base_id", "concurrency", "config_path"]
    assert (info["node"]["id"], info["node"]["extensions"]) == ("n1", [])


@pytest.mark.parametrize(
    ("query", "names"), [("", ["listener", "cluster"]), ("?mask=listener", ["listener"]), ("?mask=other", [])]
)
def test_init_dump(ask, query: str, names: list[str]) -> None:
    targets = {"listener": ["RDS x"], "cluster": ["EDS y"]}
    dumped = json.loads(ask(f"/init_dump{query}", unready_targets=lambda: targets).body)
    assert [each["name"] for each in dumped.get("unready_targets_dumps", [])] == names
