"""Listeners and what runs on them: sockets from the network room, connection managers from the HTTP room.

The only network filter is the HTTP connection manager; another is refused by name.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from envoymesh.access_loggers import AccessLog
from envoymesh.access_loggers.connection_log import ConnectionLog
from envoymesh.config.reader import Reader
from envoymesh.filters.http.context import FilterContext
from envoymesh.filters.http.registry import FILTERS, read_route_filter_config
from envoymesh.filters.network.http_connection_manager.config import HttpConfigContext, read_connection_manager
from envoymesh.filters.network.http_connection_manager.connection_manager import ConnectionManager
from envoymesh.filters.network.http_connection_manager.context import HttpContext
from envoymesh.filters.network.http_connection_manager.date import DateProvider
from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.http_connection_manager.stats import (
    HttpConnectionManagerStats,
    ListenerHttpStats,
    UnusedTracingStats,
)
from envoymesh.http.filter_manager.filter_plan import NamedFilter
from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.network.api import Connection
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.loop.shortage import Shortage
from envoymesh.network.settings import FilterChainSettings, ListenerSettings
from envoymesh.network.stats import (
    AdminListenerStats,
    ListenerStats,
    SslStats,
    TlsInspectorStats,
    UnusedListenerStats,
)
from envoymesh.router.config import RouteContext
from envoymesh.router.table import ClusterAction, RouteTable
from envoymesh.runtime import NO_LIMIT, RuntimeReader
from envoymesh.server.config import CONNECTION_MANAGER
from envoymesh.server.drain import DrainManager
from envoymesh.stats import Scope, Store, sanitize
from envoymesh.upstream.api import ClusterManager

_log = logging.getLogger("envoymesh.config")

ADMIN_STAT_NAME = "admin"
"""Where others have an address in ``listener.<address>.``; there is no other listener of this name."""


@dataclass(slots=True)
class ListenerParts:
    """What all listeners share.

    Attributes:
        connections: how many there are on all listeners, the admin's too.
    """

    dispatcher: LoopDispatcher
    store: Store
    runtime: RuntimeReader
    clusters: ClusterManager
    http_config: HttpConfigContext
    drain: DrainManager
    random: Callable[[], float]
    shortage: Shortage
    connections: Callable[[], int]


class HttpContexts:
    """Makes the context of each connection manager filter; they share codec stats, ids and the date."""

    def __init__(self, parts: ListenerParts) -> None:
        self._parts = parts
        root = parts.store.scope("")
        self._http1 = Http1CodecStats.create(root.scope("http1."))
        self._http2: Http2CodecStats | None = None
        self._dates = DateProvider(parts.dispatcher)
        self._ids = RequestIdGenerator(os.urandom)
        self._next_stream_id = itertools.count(1).__next__
        self.all: list[HttpContext] = []

    def make(
        self, settings: HttpConnectionManagerSettings, listener_scope: Scope, drain_close: Callable[[], bool]
    ) -> HttpContext:
        """A context, which is remembered for draining."""
        store = self._parts.store
        if self._http2 is None:
            self._http2 = Http2CodecStats.create(store.scope("http2."))
        prefix = f"http.{sanitize(settings.stat_prefix)}."
        context = HttpContext(
            settings=settings,
            stats=HttpConnectionManagerStats.create(store.scope(prefix)),
            listener_stats=ListenerHttpStats.create(listener_scope.scope(prefix)),
            http1_stats=self._http1,
            http2_stats=self._http2,
            dispatcher=self._parts.dispatcher,
            dates=self._dates,
            request_ids=self._ids,
            drain_close=drain_close,
            next_stream_id=self._next_stream_id,
            runtime=self._parts.runtime,
        )
        self.all.append(context)
        return context


def http_settings(
    chain: FilterChainSettings, listener: Reader, parts: ListenerParts, config: HttpConfigContext
) -> HttpConnectionManagerSettings:
    """Read the connection manager of a filter chain. Errors: ConfigError for any other network filter."""
    if len(chain.filters) != 1:
        raise listener.error("filter_chains", "a filter chain needs exactly one filter, the HTTP connection manager")
    name, reader = chain.filters[0]
    if reader.type_name != CONNECTION_MANAGER:
        raise reader.error("", f"network filter {name} ({reader.type_name}) is not supported by envoymesh")
    settings = read_connection_manager(reader, config)
    # A cluster that was refused is not unknown.
    if settings.route_table.validate_clusters and not listener.has_refused:
        check_routes(settings.route_table, parts.clusters, reader)
    warn_of_unknown_filters(settings)
    return settings


def warn_of_unknown_filters(settings: HttpConnectionManagerSettings) -> None:
    """Settings in routes for a filter that is not there have no effect, here as in Envoy, which says nothing."""
    table = settings.route_table
    for name in sorted(table.configured_filters - {each.name for each in settings.filters.filters}):
        _log.warning("route table %s: typed_per_filter_config of %s, which is not in http_filters", table.name, name)


def check_routes(table: RouteTable, clusters: ClusterManager, reader: Reader) -> None:
    """Every route's cluster exists. Errors: ConfigError naming the cluster."""
    for i, host in enumerate(table.virtual_hosts):
        for j, route in enumerate(host.routes):
            action = route.action
            if isinstance(action, ClusterAction) and clusters.get(action.cluster) is None:
                field = f"route_config.virtual_hosts[{i}].routes[{j}].route.cluster"
                raise reader.error(field, f"route: unknown cluster '{action.cluster}'")


def read_http_filters(readers: Sequence[Reader], context: FilterContext) -> list[NamedFilter]:
    """The filters of `http_filters`. Errors: ConfigError for unknown filters and a wrong or missing terminal filter."""
    last = len(readers) - 1
    found = [each.attempt(partial(_read_http_filter, at == last, context)) for at, each in enumerate(readers)]
    return [each for each in found if each is not None]


def _read_http_filter(is_last: bool, context: FilterContext, each: Reader) -> NamedFilter:
    name = each.string("name")
    config = each.any_()
    if config is None:
        raise each.error("typed_config", f"HTTP filter {name} needs a typed_config")
    # It is for types that a server does not know; Envoy too refuses those of which it has not even the message.
    each.accept("is_optional")
    kind = FILTERS.get(config.type_name)
    if kind is None:
        raise each.error("typed_config", f"HTTP filter {name} ({config.type_name}) is not supported by envoymesh")
    if kind.is_terminal != is_last:
        raise each.error("name", _terminal_problem(name, config.type_name, is_last))
    disabled = each.boolean("disabled")
    if disabled and is_last:
        raise each.error(
            "disabled", f"Error: the last (terminal) filter ({name}) in the chain cannot be disabled by default."
        )
    return NamedFilter(name, kind.read(config, context), disabled)


def _terminal_problem(name: str, type_name: str, is_last: bool) -> str:
    if is_last:
        return f"Error: non-terminal filter named {name} of type {type_name} is the last filter in a http filter chain."
    return f"Error: terminal filter named {name} of type {type_name} must be the last filter in a http filter chain."


def make_listener(
    settings: ListenerSettings,
    parts: ListenerParts,
    contexts: HttpContexts,
    http: dict[int, HttpConnectionManagerSettings],
    stat_name: str,
    logs: Sequence[AccessLog] = (),
) -> TcpListener:
    """A listener whose connections get connection managers.

    Args:
        http: connection manager settings by the identity of their filter chain.
        logs: the listener's own access logs.
    """
    scope = parts.store.scope(f"listener.{sanitize(stat_name)}.")
    is_admin = stat_name == ADMIN_STAT_NAME
    # The admin stays to the end.
    drain_close = (lambda: False) if is_admin else drain_close_of(settings, parts.drain)
    made = {key: contexts.make(each, scope, drain_close) for key, each in http.items()}
    buffer_limit = settings.per_connection_buffer_limit_bytes
    log = ConnectionLog(logs, parts.dispatcher) if logs else None

    def on_accept(connection: Connection, chain: FilterChainSettings) -> None:
        manager = ConnectionManager(made[id(chain)], connection, buffer_limit)
        if log is not None:
            log.on_accept(connection, manager)
        connection.set_handler(manager)

    chains = [*settings.filter_chains, *filter(None, [settings.default_filter_chain])]
    has_tls = any(chain.tls is not None for chain in chains)
    listener = TcpListener(
        parts.dispatcher,
        settings,
        on_accept,
        (AdminListenerStats if is_admin else ListenerStats).create(scope),
        SslStats(scope) if has_tls else None,
        TlsInspectorStats.create(parts.store.scope("tls_inspector.")) if settings.inspect_tls else None,
        parts.shortage,
    )
    if not is_admin:
        UnusedListenerStats.create(scope)
        for each in http.values():
            UnusedTracingStats.create(parts.store.scope(f"http.{sanitize(each.stat_prefix)}.tracing."))
    listener.on_handshake_failed = lambda chain, remote: made[id(chain)].count_failed_handshake(remote)
    listener.on_ended = None if log is None else log.on_ended
    limit_connections(listener, parts)
    return listener


def route_context(runtime: RuntimeReader, random: Callable[[], float]) -> RouteContext:
    """What routes may refer to."""

    def read(name: str, reader: Reader, optional: bool) -> Any:
        return read_route_filter_config(name, reader, optional, context)

    context = RouteContext(read, runtime, random)
    return context


def limit_connections(listener: TcpListener, parts: ListenerParts) -> None:
    """The listener's own limit and that of all, both by runtime."""
    name = listener.settings.name
    listener.connection_limit = parts.runtime.number(
        f"envoy.resource_limits.listener.{name}.connection_limit", NO_LIMIT
    )
    limit = parts.runtime.number("overload.global_downstream_max_connections", NO_LIMIT)
    listener.global_limit_reached = lambda: limit.value < NO_LIMIT and parts.connections() >= limit.value


def drain_close_of(settings: ListenerSettings, drain: DrainManager) -> Callable[[], bool]:
    """Whether connections of a listener should end, as its `drain_type` says."""
    return drain.drain_close_modify_only if settings.drain_type == "MODIFY_ONLY" else drain.drain_close


def filter_context(stat_prefix: str, parts: ListenerParts) -> FilterContext:
    """What the filters of one connection manager may refer to."""
    return FilterContext(
        parts.clusters,
        parts.dispatcher,
        parts.store.scope(f"http.{sanitize(stat_prefix)}."),
        parts.random,
        parts.runtime,
    )
