"""Clusters with every message about hosts and their connections. It must not decide what a field means."""

from __future__ import annotations

from typing import Any

TYPE = "type.googleapis.com/"
EMPTY: dict[str, Any] = {}
SELECTOR = TYPE + "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector"
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
