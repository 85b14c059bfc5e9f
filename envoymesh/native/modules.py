"""What is compiled: all that a request passes, so that calls go through tables and not through look-ups by name.

This module must not import what it names.
"""

from __future__ import annotations

import hashlib
import json
import sysconfig
from pathlib import Path
from typing import TypedDict

PACKAGE = Path(__file__).resolve().parents[1]
"""The package's folder."""

FOLDER = Path(__file__).resolve().parent / "built"
"""Where compiled modules are kept, beside a manifest for each kind of Python."""

_ROOMS = (
    "stats",
    "network",
    "http",
    "matching",
    "formatter",
    "router",
    "upstream",
    "access_loggers",
    "filters",
    "native",
)
ROOMS = ("errors.py", "explain/wire.py", "metadata.py", "runtime.py", *(f"{room}/**/*.py" for room in _ROOMS))
"""Where compiled modules are, and all that they may import (ARCHITECTURE.md)."""

GROUP = "envoymesh"
"""What the one library of all modules is called, as `envoymesh__mypyc`."""

MODULES = (
    "explain.wire",
    "filters.http.router.balancer_context",
    "filters.http.router.direct",
    "filters.http.router.filter",
    "filters.http.router.headers",
    "filters.http.router.hedging",
    "filters.http.router.redirect_follower",
    "filters.http.router.retry_state",
    "filters.http.router.settings",
    "filters.http.router.shadow_writer",
    "filters.http.router.timeouts",
    "filters.network.direct_response.filter",
    "filters.network.echo.filter",
    "filters.network.filter",
    "filters.network.filter_chain",
    "filters.network.filter_manager",
    "filters.network.http_connection_manager.active_stream",
    "filters.network.http_connection_manager.connection_manager",
    "filters.network.http_connection_manager.date",
    "filters.network.http_connection_manager.header_mutation",
    "filters.network.http_connection_manager.leaving",
    "filters.network.http_connection_manager.local_reply",
    "filters.network.http_connection_manager.manager_config",
    "filters.network.http_connection_manager.path",
    "filters.network.http_connection_manager.request_checks",
    "filters.network.http_connection_manager.request_id",
    "filters.network.http_connection_manager.request_timers",
    "filters.network.http_connection_manager.settings",
    "filters.network.http_connection_manager.upgrades",
    "filters.network.sni_cluster.filter",
    "filters.network.tcp_proxy.filter",
    "filters.network.tcp_proxy.meter",
    "filters.network.tcp_proxy.proxy_config",
    "filters.network.tcp_proxy.settings",
    "http.codec",
    "http.failed_requests",
    "http.filter",
    "http.filter_manager.filter_chain",
    "http.filter_manager.filter_handle",
    "http.filter_manager.filter_plan",
    "http.filter_manager.filter_walk",
    "http.grpc",
    "http.headers",
    "http.http1.chunked",
    "http.http1.client",
    "http.http1.connection",
    "http.http1.head",
    "http.http1.reason",
    "http.http1.response_head",
    "http.http1.server",
    "http.http1.settings",
    "http.http1.stream",
    "http.http1.target",
    "http.http2.client",
    "http.http2.connection",
    "http.http2.flood",
    "http.http2.flow",
    "http.http2.frame_reader",
    "http.http2.frames",
    "http.http2.hpack",
    "http.http2.hpack_tables",
    "http.http2.messages",
    "http.http2.meter",
    "http.http2.no_decoder",
    "http.http2.server",
    "http.http2.session",
    "http.http2.settings",
    "http.http2.stream",
    "http.inline_headers",
    "http.keepalive",
    "http.no_codec",
    "http.recent_requests",
    "http.stream_info",
    "matching.addresses",
    "matching.filter_state",
    "matching.headers",
    "matching.queries",
    "matching.strings",
    "matching.tree.data",
    "matching.tree.inputs",
    "matching.tree.match_tree",
    "matching.values",
    "metadata",
    "network.api",
    "network.connection.no_handler",
    "network.connection.sockets",
    "network.connection.tcp_connection",
    "network.listener.handshaking",
    "network.loop.dispatcher",
    "network.loop.timers",
    "network.proxy_protocol",
    "network.tls.tls_connection",
    "router.actions.answers",
    "router.actions.cluster",
    "router.actions.durations",
    "router.actions.hash_policy",
    "router.actions.internal_redirects",
    "router.actions.rewrites",
    "router.actions.weighted",
    "router.authority",
    "router.domains",
    "router.filter_configs",
    "router.match.conditions",
    "router.mirror",
    "router.numbers",
    "router.path_index",
    "router.paths",
    "router.request_counts",
    "router.retry",
    "router.route_list",
    "router.scoped",
    "router.table",
    "runtime",
    "stats.histogram",
    "stats.primitives",
    "upstream.aggregate",
    "upstream.api",
    "upstream.authority",
    "upstream.client",
    "upstream.cluster",
    "upstream.cluster_info",
    "upstream.discovery.original_dst",
    "upstream.dynamic_forward_proxy.cluster",
    "upstream.dynamic_forward_proxy.dns_cache",
    "upstream.failures",
    "upstream.grpc",
    "upstream.health.api",
    "upstream.health.checker",
    "upstream.health.connection",
    "upstream.health.grpc",
    "upstream.health.http",
    "upstream.health.tcp",
    "upstream.health.told",
    "upstream.host",
    "upstream.host_set",
    "upstream.lb.api",
    "upstream.lb.bounded_load",
    "upstream.lb.cluster_provided",
    "upstream.lb.edf",
    "upstream.lb.edf_balancer",
    "upstream.lb.factory",
    "upstream.lb.hashes",
    "upstream.lb.hashing",
    "upstream.lb.least_request",
    "upstream.lb.locality_wrr",
    "upstream.lb.maglev",
    "upstream.lb.override_host",
    "upstream.lb.previous_priorities",
    "upstream.lb.priorities",
    "upstream.lb.random_choice",
    "upstream.lb.ring_hash",
    "upstream.lb.round_robin",
    "upstream.lb.settings",
    "upstream.lb.subset",
    "upstream.lb.zone_aware",
    "upstream.outlier.api",
    "upstream.outlier.detector",
    "upstream.outlier.host_monitor",
    "upstream.outlier.keys",
    "upstream.pool.connection",
    "upstream.pool.options",
    "upstream.pool.pool",
    "upstream.pool.pools",
    "upstream.pool.proxy_protocol",
    "upstream.pool.tcp",
    "upstream.request_stats",
    "upstream.resource_manager",
    "upstream.settings",
    "upstream.tcp_stream",
    "upstream.timeouts",
    "upstream.transport_sockets",
    "upstream.tunnel_request",
    "upstream.upstream_request",
)
"""Dotted names below the package."""


class Manifest(TypedDict):
    """What was compiled.

    Attributes:
        fingerprint: `fingerprint()` of what it was made from.
        modules: file names in FOLDER by dotted names.
    """

    fingerprint: str
    modules: dict[str, str]


def source_of(module: str) -> Path:
    """The file of a module of MODULES."""
    return PACKAGE / (module.replace(".", "/") + ".py")


def fingerprint(package: Path = PACKAGE) -> str:
    """What compiled modules must have been made from to be used: these sources, for this kind of Python.

    Types of modules that are not compiled are in the machine code too, so all count that compiled ones may import.
    """
    digest = hashlib.sha256(str(sysconfig.get_config_var("SOABI")).encode())
    for file in sorted(file for room in ROOMS for file in package.glob(room)):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def read_manifest() -> Manifest | None:
    """The manifest for this kind of Python, or None where nothing was compiled for it, or not to the end."""
    try:
        manifest: Manifest = json.loads(manifest_file().read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return manifest if all((FOLDER / file).is_file() for file in manifest["modules"].values()) else None


def read_fresh_manifest() -> Manifest | None:
    """The manifest, if it is of these very sources; else None."""
    manifest = read_manifest()
    return manifest if manifest is not None and manifest["fingerprint"] == fingerprint() else None


def manifest_file() -> Path:
    """Where the manifest for this kind of Python is, or would be."""
    return FOLDER / f"{sysconfig.get_config_var('SOABI')}.json"
