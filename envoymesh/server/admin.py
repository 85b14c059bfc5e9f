"""Wires the admin to the server: what each view shows, made from live objects when a request asks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from envoymesh.admin.certificate_view import certificate_entry
from envoymesh.admin.cluster_view import cluster_status
from envoymesh.admin.context import AdminParts
from envoymesh.admin.process_memory import process_memory
from envoymesh.admin.proto.dump import (
    bootstrap_dump,
    clusters_dump,
    endpoints_dump,
    listeners_dump,
    routes_dump,
    scoped_routes_dump,
    secrets_dump,
)
from envoymesh.admin.views import CertificateEntry, ClusterStatus, ListenerStatus, SocketAddress
from envoymesh.network.api import Address
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.tls.tls_context import TlsContext
from envoymesh.server.live_explainer import LiveExplainer
from envoymesh.server.version import version_text
from envoymesh.upstream.cluster import Cluster

if TYPE_CHECKING:
    from envoymesh.server.config import AdminSettings
    from envoymesh.server.server import Server

HOT_RESTART_VERSION = "disabled"
"""There is no hot restart: what Envoy answers with --disable-hot-restart."""


def make_admin_context(server: Server, admin: AdminSettings) -> AdminParts:
    """Everything that the admin's handlers use."""
    settings = server.settings
    return AdminParts(
        store=server.store,
        server=server,
        log_levels=server.process_log,
        runtime=server.runtime,
        version=version_text(),
        hot_restart_version=HOT_RESTART_VERSION,
        command_line_options=server.options.command_line_options(),
        node=settings.node,
        clusters=lambda: _clusters(server),
        listeners=lambda: map(_listener_status, tuple(server.listeners)),
        certificates=lambda: certificates(
            server.listeners, server.clusters.clusters().values(), server.dispatcher.wall_time()
        ),
        memory=process_memory,
        config_dumps=_config_dumps(server),
        endpoint_dump=lambda: endpoints_dump(_clusters(server)),
        unready_targets=dict,
        cpu_profiler=server.cpu_profiler,
        allows=admin.allows,
        explainer=LiveExplainer(server),
        failures=server.failures,
        recent=server.recent,
        python_files=lambda: [each.told() for each in server.scripts.scripts],
    )


def _clusters(server: Server) -> Iterable[ClusterStatus]:
    return map(cluster_status, tuple(server.clusters.clusters().values()))


def _config_dumps(server: Server) -> Sequence[Callable[[], Generator[None, None, Any]]]:
    started = server.started_wall_time
    settings = server.settings
    listeners = [(reader.message, started) for _, reader in settings.listeners]
    clusters = [(reader.message, started) for reader in settings.cluster_readers]
    return (
        lambda: bootstrap_dump(server.loaded.message, settings.configured_node, started),
        lambda: clusters_dump(clusters),
        lambda: listeners_dump(listeners),
        lambda: scoped_routes_dump([(message, started) for message in server.scoped_route_messages]),
        lambda: routes_dump([(message, started) for message in server.route_messages]),
        lambda: secrets_dump([]),
    )


def _socket_address(address: Address) -> SocketAddress:
    return SocketAddress(address.host, address.port if address.ip else None)


def _listener_status(listener: TcpListener) -> ListenerStatus:
    first, *others = [_socket_address(address) for address in listener.addresses]
    return ListenerStatus(listener.settings.name, first, others)


def certificates(
    listeners: Iterable[TcpListener], clusters: Iterable[Cluster], now: float
) -> Iterator[CertificateEntry]:
    """Every TLS context's certificates, listeners' first, made as they are iterated over; `now` is UNIX seconds."""
    for listener in tuple(listeners):
        for context in tuple(listener.tls_contexts):
            yield certificate_entry(context, now)
    for cluster in tuple(clusters):
        for each in cluster.tls_contexts():
            if isinstance(each, TlsContext):
                yield certificate_entry(each, now)
