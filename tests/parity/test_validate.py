"""What a validated configuration is told, ours beside the real Envoy: older fields of clusters, and pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
EXTENSIONS = "type.googleapis.com/envoy.extensions."
PLAIN: dict[str, Any] = {"http_protocol_options": {}}
CARES = {"@type": f"{EXTENSIONS}network.dns_resolver.cares.v3.CaresDnsResolverConfig"}
SERVERS = [{"socket_address": {"address": "127.0.0.1", "port_value": 53}}]


def _http(**options: Any) -> dict[str, Any]:
    return {"typed_extension_protocol_options": {HTTP: {"@type": f"type.googleapis.com/{HTTP}", **options}}}


def _balancing(**options: Any) -> dict[str, Any]:
    return {"common_lb_config": options}


def _host(path: str, **more: Any) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path, **more}}}}]}]
    return {"load_assignment": {"cluster_name": "c", "endpoints": endpoints}}


def _breakers(which: str = "thresholds", **limits: Any) -> dict[str, Any]:
    return {"circuit_breakers": {which: [limits]}}


CLUSTERS: dict[str, dict[str, Any]] = {
    "nothing more": {},
    "HTTP/2": {"http2_protocol_options": {}},
    "HTTP/1": PLAIN,
    "both": {"http2_protocol_options": {}, **PLAIN},
    "both, as downstream": {"http2_protocol_options": {}, **PLAIN, "protocol_selection": "USE_DOWNSTREAM_PROTOCOL"},
    "both, replaced": {"http2_protocol_options": {}, **PLAIN, **_http(explicit_http_config=PLAIN)},
    "as downstream": {"protocol_selection": "USE_DOWNSTREAM_PROTOCOL"},
    "as configured": {"protocol_selection": "USE_CONFIGURED_PROTOCOL"},
    "names without TLS": {"upstream_http_protocol_options": {"auto_sni": True, "auto_san_validation": True}},
    "names without TLS, newer": _http(
        upstream_http_protocol_options={"auto_sni": True}, explicit_http_config=PLAIN
    ),
    "common options": {"common_http_protocol_options": {"idle_timeout": "5s", "max_headers_count": 9}},
    "requests": {"max_requests_per_connection": 2},
    "requests twice": {
        "max_requests_per_connection": 2, "common_http_protocol_options": {"max_requests_per_connection": 3},
    },
    "requests twice, newer": {
        "max_requests_per_connection": 2,
        **_http(common_http_protocol_options={"max_requests_per_connection": 3}, explicit_http_config=PLAIN),
    },
    "requests, newer": {"max_requests_per_connection": 2, **_http(explicit_http_config=PLAIN)},
    "parser": {"http_protocol_options": {"use_balsa_parser": True}},
    "codec": {"http2_protocol_options": {"use_oghttp2_codec": True}},
    "zones": _balancing(zone_aware_lb_config={"min_cluster_size": 3, "fail_traffic_on_panic": True}),
    "merged updates": _balancing(update_merge_window="5s", ignore_new_hosts_until_first_hc=True),
    "host set change": _balancing(close_connections_on_host_set_change=True),
    "host status": _balancing(override_host_status={"statuses": ["HEALTHY"]}),
    "load reports": {"lrs_report_endpoint_metrics": ["x"]},
    "DNS servers": {"type": "STRICT_DNS", "dns_resolvers": SERVERS, "use_tcp_for_dns_lookups": True},
    "DNS resolution": {"type": "STRICT_DNS", "dns_resolution_config": {"resolvers": SERVERS}},
    "DNS resolver": {"type": "STRICT_DNS", "typed_dns_resolver_config": {"name": "c", "typed_config": CARES}},
    "pipe": _host("/run/x.sock", mode=0o600),
    "abstract pipe": _host("@x"),
    "abstract pipe with a mode": _host("@x", mode=0o600),
    "long pipe": _host("/" + "x" * 107),
    "pipe with a zero": _host("/x\0y"),
    "outliers": {"outlier_detection": {}},
    "outliers, longest time": {"outlier_detection": {"base_ejection_time": "400s"}},
    "outliers, too short a time": {"outlier_detection": {"base_ejection_time": "9s", "max_ejection_time": "8s"}},
    "outliers, no interval": {"outlier_detection": {"interval": "0s"}},
    "outliers, too many percent": {"outlier_detection": {"enforcing_success_rate": 101}},
    "outliers, no longer time": {"outlier_detection": {"max_ejection_time_jitter": "0s"}},
    "breakers": _breakers(max_connections=0, max_retries=0, max_connection_pools=0, track_remaining=True),
    "breakers, a budget": _breakers(retry_budget={"budget_percent": {"value": 100}}),
    "breakers, too large a budget": _breakers(retry_budget={"budget_percent": {"value": 101}}),
    "breakers of hosts": _breakers("per_host_thresholds", max_connections=1, track_remaining=True),
    "breakers of hosts, requests": _breakers("per_host_thresholds", max_requests=1),
    "breakers of hosts, a budget": _breakers("per_host_thresholds", retry_budget={}),
}  # fmt: skip

PIPES: dict[str, dict[str, Any]] = {
    "path": {"path": "/run/x.sock"},
    "no path": {},
    "mode": {"path": "/run/x.sock", "mode": 0o777},
    "too much of a mode": {"path": "/run/x.sock", "mode": 0o1000},
    "abstract": {"path": "@x"},
    "abstract, nameless": {"path": "@"},
    "abstract with a mode": {"path": "@x", "mode": 1},
    "longest": {"path": "/" + "x" * 106},
    "too long": {"path": "/" + "x" * 107},
    "too long in bytes": {"path": "/" + "\u00e9" * 54},
    "zero": {"path": "/x\0y"},
}

REFUSED = {
    "both": "Both HTTP1 and HTTP2 options may only be configured with non-default 'protocol_selection' values",
    "requests twice": "Only one of max_requests_per_connection from Cluster or HttpProtocolOptions can be specified",
    "requests twice, newer": "Only one of max_requests_per_connection from Cluster or HttpProtocolOptions can be",
    "abstract pipe with a mode": "Cannot set mode for Abstract AF_UNIX sockets",
    "long pipe": "exceeds maximum UNIX domain socket path size of 108",
    "pipe with a zero": "UNIX domain socket pathname contains embedded null characters",
    "no path": "value length must be at least 1",
    "too much of a mode": "value must be less than or equal to 511",
    "abstract with a mode": "Cannot set mode for Abstract AF_UNIX sockets",
    "too long": "exceeds maximum UNIX domain socket path size of 108",
    "too long in bytes": "exceeds maximum UNIX domain socket path size of 108",
    "zero": "UNIX domain socket pathname contains embedded null characters",
    "outliers, too short a time": "max_ejection_time cannot be smaller than base_ejection_time",
    "outliers, no interval": "value must be greater than",
    "outliers, too many percent": "value must be less than or equal to 100",
    "breakers, too large a budget": "value must be",
    "breakers of hosts, requests": "Unsupported field in per_host_thresholds",
    "breakers of hosts, a budget": "Unsupported field in per_host_thresholds",
}
"""What both say; the others both take."""


def _validated(command: list[str], path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [*command, "--mode", "validate", "-c", str(path)], capture_output=True, timeout=60, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def check(oracle: Path, config: dict[str, Any], folder: Path, refused: str) -> None:
    """Both take it, or both refuse it with these words."""
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    commands = ([str(oracle)], [sys.executable, "-m", "envoymesh", "proxy"])
    with ThreadPoolExecutor(2) as pool:
        real, ours = pool.map(lambda command: _validated(command, path), commands)
    assert (ours[0], real[0]) == ((1, 1) if refused else (0, 0)), f"{ours[1]}\n{real[1]}"
    assert refused in real[1]
    assert refused in ours[1]


@pytest.mark.parametrize("name", CLUSTERS)
def test_clusters(oracle: Path, name: str, tmp_path: Path) -> None:
    cluster = {"name": "c", "type": "STATIC", "connect_timeout": "1s", **CLUSTERS[name]}
    check(oracle, {"static_resources": {"clusters": [cluster]}}, tmp_path, REFUSED.get(name, ""))


@pytest.mark.parametrize("name", PIPES)
def test_the_admin_at_a_pipe(oracle: Path, name: str, tmp_path: Path) -> None:
    admin = {"address": {"pipe": PIPES[name]}, "access_log_path": "/dev/null"}
    check(oracle, {"admin": admin}, tmp_path, REFUSED.get(name, ""))
