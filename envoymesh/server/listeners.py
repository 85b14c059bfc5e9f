"""Listeners and what runs on them: sockets from the network room, network filters by their registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from envoymesh.access_loggers import AccessLog
from envoymesh.access_loggers.connection_log import ConnectionLog
from envoymesh.config.reader import Reader
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.registry import FILTERS, read_route_filter_config
from envoymesh.filters.listener.factory_context import ListenerFilterFactoryContext
from envoymesh.filters.listener.proxy_protocol.config import default_proxy_protocol_filter
from envoymesh.filters.listener.registry import read_listener_filters
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext
from envoymesh.filters.network.filter import TerminalFilterFactory
from envoymesh.filters.network.filter_chain import NetworkFilterChainFactory
from envoymesh.filters.network.http_connection_manager.config import ConnectionManagerFactoryContext
from envoymesh.filters.network.http_connection_manager.manager_configs import ConnectionManagerConfigs
from envoymesh.filters.network.registry import read_network_filters
from envoymesh.http.filter_manager.filter_plan import NamedFilter
from envoymesh.network.api import Connection
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.loop.shortage import Shortage
from envoymesh.network.settings import FilterChainSettings, ListenerSettings
from envoymesh.network.stats import (
    AdminListenerStats,
    ListenerStats,
    SslStats,
    UnusedListenerStats,
)
from envoymesh.router.config import RouteFactoryContext
from envoymesh.runtime import NO_LIMIT, RuntimeReader
from envoymesh.server.drain import DrainManager
from envoymesh.stats import Store, sanitize
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.cluster_manager import ClusterManager

ADMIN_STAT_NAME = "admin"
"""Where others have an address in ``listener.<address>.``; there is no other listener of this name."""


@dataclass(slots=True)
class ListenerParts:
    """What all listeners share.

    Attributes:
        http: what connection managers share.
        connections: how many there are on all listeners, the admin's too.
        terminals: what makes the terminal filters of each filter chain, of all listeners.
    """

    dispatcher: LoopDispatcher
    store: Store
    runtime: RuntimeReader
    clusters: ClusterManager
    http: ConnectionManagerConfigs
    client: AsyncClient
    http_config: ConnectionManagerFactoryContext
    drain: DrainManager
    random: Callable[[], float]
    shortage: Shortage
    connections: Callable[[], int]
    terminals: list[TerminalFilterFactory]


def read_http_filters(readers: Sequence[Reader], context: HttpFilterFactoryContext) -> list[NamedFilter]:
    """The filters of `http_filters`. Errors: ConfigError for unknown filters and a wrong or missing terminal filter."""
    last = len(readers) - 1
    found = [each.attempt(partial(_read_http_filter, at == last, context)) for at, each in enumerate(readers)]
    return [each for each in found if each is not None]


def _read_http_filter(is_last: bool, context: HttpFilterFactoryContext, each: Reader) -> NamedFilter:
    name = each.string("name")
    config = each.any_()
    if config is None:
        raise each.error("typed_config", f"HTTP filter {name} needs a typed_config")
    # It lets a server leave out filters that it does not know; Envoy, too, refuses types whose message it lacks.
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


def filter_chain_settings(
    settings: ListenerSettings, reader: Reader, parts: ListenerParts, stat_name: str
) -> ListenerSettings:
    """The settings of a listener with what makes filters on each filter chain, or None there where it was refused.

    Args:
        reader: the listener's.
    Errors: ConfigError.
    """
    context = network_filter_context(settings, parts, stat_name)

    def filled(chain: FilterChainSettings, at: Reader) -> FilterChainSettings:
        return replace(chain, factory=at.attempt(lambda it: read_network_filters(it, chain.filters, context)))

    chains = tuple(map(filled, settings.filter_chains, reader.repeated("filter_chains")))
    default = settings.default_filter_chain
    if default is not None:
        default = filled(default, reader.required("default_filter_chain"))
    scope = ListenerFilterFactoryContext(parts.store.scope(""))
    listener_filters = read_listener_filters(settings.listener_filters, scope)
    if chains and chains[0].use_proxy_proto:
        listener_filters += (default_proxy_protocol_filter(scope),)
    return replace(settings, filter_chains=chains, default_filter_chain=default, listener_filters=listener_filters)


def network_filter_context(
    settings: ListenerSettings, parts: ListenerParts, stat_name: str
) -> NetworkFilterFactoryContext:
    """What the network filters of one listener may refer to."""
    is_admin = stat_name == ADMIN_STAT_NAME
    return NetworkFilterFactoryContext(
        dispatcher=parts.dispatcher,
        store=parts.store,
        listener_scope=parts.store.scope(f"listener.{sanitize(stat_name)}."),
        clusters=parts.clusters,
        # The admin's connections do not drain: it is served to the end.
        drain_close=(lambda: False) if is_admin else drain_close_of(settings, parts.drain),
        buffer_limit=settings.per_connection_buffer_limit_bytes,
        random=parts.random,
        runtime=parts.runtime,
        access_logs=parts.http_config.access_logs,
        http=parts.http,
        http_config=parts.http_config,
    )


def make_listener(
    settings: ListenerSettings, parts: ListenerParts, stat_name: str, logs: Sequence[AccessLog] = ()
) -> TcpListener:
    """A listener whose connections get the filters of their filter chain (`FilterChainSettings.factory`).

    Args:
        logs: the listener's own access logs.
    """
    scope = parts.store.scope(f"listener.{sanitize(stat_name)}.")
    is_admin = stat_name == ADMIN_STAT_NAME
    log = ConnectionLog(logs, parts.dispatcher) if logs else None

    def on_accept(connection: Connection, chain: FilterChainSettings) -> None:
        factory: NetworkFilterChainFactory = chain.factory
        terminal = factory.create(connection)
        if log is not None:
            log.on_accept(connection, terminal)
        factory.start(connection, terminal)

    chains = [*settings.filter_chains, *filter(None, [settings.default_filter_chain])]
    has_tls = any(chain.tls is not None for chain in chains)
    listener = TcpListener(
        parts.dispatcher,
        settings,
        on_accept,
        (AdminListenerStats if is_admin else ListenerStats).create(scope),
        SslStats(scope) if has_tls else None,
        parts.shortage,
    )
    if not is_admin:
        UnusedListenerStats.create(scope)
    listener.on_handshake_failed = lambda chain, remote: chain.factory.terminal.count_failed_handshake(remote)
    listener.on_ended = None if log is None else log.on_ended
    parts.terminals.extend(chain.factory.terminal for chain in chains)
    limit_connections(listener, parts)
    return listener


def route_context(runtime: RuntimeReader, random: Callable[[], float], store: Store) -> RouteFactoryContext:
    """What routes may refer to."""

    def read(name: str, reader: Reader, optional: bool) -> Any:
        return read_route_filter_config(name, reader, optional, context)

    context = RouteFactoryContext(read, runtime, random, scope=store.scope(""))
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


def filter_context(stat_prefix: str, parts: ListenerParts) -> HttpFilterFactoryContext:
    """What the filters of one connection manager may refer to."""
    return HttpFilterFactoryContext(
        parts.clusters,
        parts.client,
        parts.dispatcher,
        parts.store.scope(f"http.{sanitize(stat_prefix)}."),
        parts.random,
        parts.runtime,
        lambda: parts.drain.health_check_failed,
        parts.http_config.service_cluster,
        parts.http_config.access_logs.scripts,
    )
