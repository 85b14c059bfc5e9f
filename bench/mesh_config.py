"""The Envoy v3 bootstraps of the scenarios, for our proxy and the real Envoy alike (JSON, which is YAML).

Everything is at Envoy's defaults but the limits that a load would hit. It must not know who reads the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct"
_PYTHON_FILTER = "type.googleapis.com/envoymesh.http.PythonFilter"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a subject is to be, whoever it is.

    Args:
        tls: the downstream speaks TLS.
        http2_downstream, http2_upstream: cleartext HTTP/2 with prior knowledge on that side.
        chain: two tiers, HTTP/2 between them.
        routes: regex routes in front of the one that matches.
        access_log: one line a request to a file.
        clusters: in all; the first one is used.
        python_filter: the source of a filter in Python before the router, for ours alone.
    """

    tls: bool = False
    http2_downstream: bool = False
    http2_upstream: bool = False
    chain: bool = False
    routes: int = 0
    access_log: bool = False
    clusters: int = 1
    python_filter: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a tier listens (0 admin for none), and where it sends."""

    listener: int
    admin: int
    upstream: int


def bootstrap(setup: Setup, ports: Ports, folder: Path, certificate: tuple[Path, Path] | None) -> dict[str, Any]:
    """The bootstrap of one tier; `certificate` is chain and key where the setup has TLS."""
    chain: dict[str, Any] = {"filters": [_manager(setup, folder)]}
    if setup.tls and certificate is not None:
        chain["transport_socket"] = _transport_socket(*certificate)
    listener = {"name": "listener", "address": _address(ports.listener), "filter_chains": [chain]}
    clusters = [_cluster(f"cluster{i}", ports.upstream, setup.http2_upstream) for i in range(setup.clusters)]
    resources = {"listeners": [listener], "clusters": clusters}
    return {"admin": {"address": _address(ports.admin)}, "static_resources": resources}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _manager(setup: Setup, folder: Path) -> dict[str, Any]:
    routes = [_route({"safe_regex": {"regex": f"/area{i}/[a-z]+/item-[0-9]+"}}) for i in range(setup.routes)]
    virtual_host = {"name": "all", "domains": ["*"], "routes": [*routes, _route({"prefix": "/"})]}
    manager: dict[str, Any] = {
        "@type": _HCM,
        "codec_type": "AUTO",
        "stat_prefix": "bench",
        "route_config": {"name": "routes", "virtual_hosts": [virtual_host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    if setup.python_filter:
        manager["http_filters"].insert(0, _python_filter(setup.python_filter, folder / "stamp.py"))
    if setup.access_log:
        log = {"@type": _FILE_LOG, "path": str(folder / "access.log")}
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": log}]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _python_filter(source: str, file: Path) -> dict[str, Any]:
    file.write_text(source)
    settings = {"@type": _TYPED_STRUCT, "type_url": _PYTHON_FILTER, "value": {"file": str(file)}}
    return {"name": "stamp", "typed_config": settings}


def _route(match: dict[str, Any]) -> dict[str, Any]:
    return {"match": match, "route": {"cluster": "cluster0"}}


def _transport_socket(chain: Path, key: Path) -> dict[str, Any]:
    pair = {"certificate_chain": {"filename": str(chain)}, "private_key": {"filename": str(key)}}
    context = {"@type": _TLS, "common_tls_context": {"tls_certificates": [pair]}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _cluster(name: str, port: int, http2: bool) -> dict[str, Any]:
    limits = {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}
    endpoint = {"endpoint": {"address": _address(port)}}
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if http2:
        options = {
            "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        cluster["typed_extension_protocol_options"] = {_HTTP_OPTIONS: options}
    return cluster
