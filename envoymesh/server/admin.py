"""Wires the admin to the server: what each view shows, made from live objects when a request asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from envoymesh.admin.context import AdminContext
from envoymesh.admin.dump.config import (
    bootstrap_dump,
    clusters_dump,
    endpoints_dump,
    listeners_dump,
    routes_dump,
    scoped_routes_dump,
    secrets_dump,
)
from envoymesh.admin.process_memory import process_memory
from envoymesh.admin.views import (
    CertificateDetails,
    CertificateEntry,
    ClusterStatus,
    HealthFlags,
    HostStatus,
    ListenerStatus,
    SocketAddress,
    Thresholds,
)
from envoymesh.network.api import Address
from envoymesh.network.certificates import CertificateFacts
from envoymesh.network.listener import TcpListener
from envoymesh.server.version import version_text
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import ThresholdSettings

if TYPE_CHECKING:
    from envoymesh.server.server import Server

HOT_RESTART_VERSION = "disabled"
"""There is no hot restart: what Envoy answers with --disable-hot-restart."""


def make_admin_context(server: Server) -> AdminContext:
    """Everything that the admin's handlers use."""
    settings = server.settings
    return AdminContext(
        store=server.store,
        server=server,
        log_levels=server.process_log,
        runtime=server.runtime,
        version=version_text(),
        hot_restart_version=HOT_RESTART_VERSION,
        command_line_options=server.options.command_line_options(),
        node=settings.node,
        clusters=lambda: [_cluster_status(cluster) for cluster in server.clusters.clusters().values()],
        listeners=lambda: [_listener_status(listener) for listener in server.listeners],
        certificates=lambda: _certificates(server.listeners),
        memory=process_memory,
        config_dumps=_config_dumps(server),
        endpoint_dump=lambda: endpoints_dump([]),
        unready_targets=dict,
    )


def _config_dumps(server: Server) -> Sequence[Callable[[], Any]]:
    started = server.started_wall_time
    settings = server.settings
    listeners = [(reader.message, started) for _, reader in settings.listeners]
    clusters = [(reader.message, started) for reader in settings.cluster_readers]
    return (
        lambda: bootstrap_dump(server.loaded.message, started),
        lambda: clusters_dump(clusters),
        lambda: listeners_dump(listeners),
        scoped_routes_dump,
        lambda: routes_dump([(message, started) for message in server.route_messages]),
        lambda: secrets_dump([]),
    )


def _socket_address(address: Address) -> SocketAddress:
    return SocketAddress(address.host, address.port)


def _listener_status(listener: TcpListener) -> ListenerStatus:
    first, *others = [_socket_address(address) for address in listener.addresses]
    return ListenerStatus(listener.settings.name, first, others)


def _thresholds(settings: ThresholdSettings) -> Thresholds:
    return Thresholds(
        settings.max_connections, settings.max_pending_requests, settings.max_requests, settings.max_retries
    )


def _cluster_status(cluster: Cluster) -> ClusterStatus:
    settings = cluster.settings
    return ClusterStatus(
        name=cluster.name,
        observability_name=settings.stat_name,
        default=_thresholds(settings.default_thresholds),
        high=_thresholds(settings.high_thresholds),
        hosts=[_host_status(host) for host in cluster.hosts],
    )


def _host_status(host: Host) -> HostStatus:
    stats, endpoint = host.stats, host.endpoint
    counters = (
        stats.cx_connect_fail,
        stats.cx_total,
        stats.rq_error,
        stats.rq_success,
        stats.rq_timeout,
        stats.rq_total,
    )
    gauges = (stats.cx_active, stats.rq_active)
    status = endpoint.health_status
    return HostStatus(
        address=_socket_address(host.address),
        counters={counter.name: counter.value for counter in counters},
        gauges={gauge.name: gauge.value for gauge in gauges},
        hostname=host.hostname,
        health=HealthFlags(eds_health_status="HEALTHY" if status == "UNKNOWN" else status),
        weight=host.weight,
        region=endpoint.region,
        zone=endpoint.zone,
        sub_zone=endpoint.sub_zone,
        canary=host.canary,
    )


def _certificates(listeners: Sequence[TcpListener]) -> list[CertificateEntry]:
    entries = []
    for listener in listeners:
        for context in listener.tls_contexts:
            authority = [_certificate(path, facts) for path, facts in context.ca_certificates()]
            chain = [_certificate(path, facts) for path, facts in context.certificate_chain()]
            entries.append(CertificateEntry(authority, chain))
    return entries


def _certificate(path: str, facts: CertificateFacts) -> CertificateDetails:
    names = [("dns", name) for name in facts.dns_sans]
    names += [("uri", name) for name in facts.uri_sans]
    names += [("ip_address", name) for name in facts.ip_sans]
    return CertificateDetails(
        path=path,
        serial_number=facts.serial_number,
        subject_alt_names=names,
        days_until_expiration=max(0, (facts.expiration_time - datetime.now(UTC)).days),
        valid_from=int(facts.valid_from.timestamp()),
        expiration_time=int(facts.expiration_time.timestamp()),
    )
