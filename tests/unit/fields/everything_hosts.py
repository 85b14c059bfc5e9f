"""Clusters with every message about hosts and their connections. It must not decide what a field means."""

from __future__ import annotations

from typing import Any

TYPE = "type.googleapis.com/"
EMPTY: dict[str, Any] = {}
SELECTOR = TYPE + "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
PROVIDED = {"lb_policy": "CLUSTER_PROVIDED"}


def bind_config() -> dict[str, Any]:
    """An envoy.config.core.v3.BindConfig with extra source addresses."""
    option = {"level": 1, "name": 2, "int_value": 3}
    extra = {"address": _socket("::1"), "socket_options": {"socket_options": [option]}}
    return {
        "source_address": _socket("127.0.0.1"),
        "extra_source_addresses": [extra],
        "freebind": True,
        "socket_options": [{"level": 1, "name": 2, "buf_value": "AA=="}],
        "local_address_selector": {"name": "s", "typed_config": {"@type": SELECTOR}},
    }


def host_clusters() -> list[dict[str, Any]]:
    """Clusters of all types."""
    more_sources = {"source_address": _socket("127.0.0.1"), "additional_source_addresses": [_socket("::1")]}
    raw = {
        "name": "raw",
        "typed_config": {"@type": TYPE + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
    }
    return [
        {
            "name": "static",
            "load_assignment": _assignment("127.0.0.1"),
            "transport_socket_matches": [{"name": "m", "match": EMPTY, "transport_socket": raw}],
            "upstream_bind_config": bind_config(),
            "upstream_connection_options": {"tcp_keepalive": EMPTY, "happy_eyeballs_config": EMPTY},
            "preconnect_policy": EMPTY,
            "common_lb_config": EMPTY,
        },
        {
            "name": "named",
            "cluster_type": {"name": "envoy.cluster.strict_dns"},
            "load_assignment": _assignment("localhost"),
            "upstream_bind_config": more_sources,
        },
        {
            "name": "dns",
            "cluster_type": _typed(
                "clusters.dns.v3.DnsCluster",
                dns_failure_refresh_rate={"base_interval": "1s"},
                all_addresses_in_single_endpoint=True,
            ),
            "load_assignment": {"cluster_name": "dns", "endpoints": [{"lb_endpoints": [_endpoint("localhost")]}]},
        },
        {"name": "whole", "cluster_type": _typed("clusters.aggregate.v3.ClusterConfig", clusters=["dns"]), **PROVIDED},
        {
            "name": "original",
            "type": "ORIGINAL_DST",
            "original_dst_lb_config": {"metadata_key": {"key": "a", "path": [{"key": "b"}]}},
            **PROVIDED,
        },
        *checked_clusters(),
    ]


def checked_clusters() -> list[dict[str, Any]]:
    """A cluster for each kind of health check."""
    header = {"header": {"key": "a", "value": "b"}}
    http = {
        "path": "/",
        "method": "POST",
        "send": {"text": "00"},
        "receive": [{"binary": "AA=="}],
        "request_headers_to_add": [header],
        "expected_statuses": [{"start": 200, "end": 201}],
        "retriable_statuses": [{"start": 500, "end": 501}],
        "service_name_matcher": {"prefix": "a"},
    }
    sink = _typed("health_check.event_sinks.file.v3.HealthCheckEventFileSink", event_log_path="/dev/null")
    http2 = {"explicit_http_config": {"http2_protocol_options": EMPTY}}
    options = {HTTP_OPTIONS: {"@type": TYPE + HTTP_OPTIONS, **http2}}
    kinds = [
        ({"http_health_check": http, "event_logger": [sink], "tls_options": EMPTY}, EMPTY),
        ({"tcp_health_check": {"send": {"text": "00"}, "receive": [{"text": "00"}]}}, EMPTY),
        ({"grpc_health_check": {"initial_metadata": [header]}}, {"typed_extension_protocol_options": options}),
    ]
    times = {"timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1}
    own = {"port_value": 1, "address": {"socket_address": _socket("127.0.0.1")}}
    host = {"endpoint": {"address": {"socket_address": _socket("127.0.0.1")}, "health_check_config": own}}
    return [
        {
            "name": f"checked{at}",
            "health_checks": [{**times, **kind}],
            "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [host]}]},
            **more,
        }
        for at, (kind, more) in enumerate(kinds)
    ]


def _socket(host: str) -> dict[str, Any]:
    return {"address": host, "port_value": 0}


def _typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": "t", "typed_config": {"@type": f"{TYPE}envoy.extensions.{kind}", **fields}}


def _endpoint(host: str) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": 1}}}}


def _assignment(host: str) -> dict[str, Any]:
    endpoint = _endpoint(host)
    if host != "localhost":
        more = {"address": {"socket_address": {"address": "::1", "port_value": 1}}}
        endpoint["endpoint"]["additional_addresses"] = [more]
    drop = {"category": "c", "drop_percentage": {"numerator": 1}}
    return {
        "cluster_name": "c",
        "endpoints": [{"locality": {"region": "r"}, "lb_endpoints": [endpoint]}],
        "policy": {"drop_overloads": [drop]},
    }
