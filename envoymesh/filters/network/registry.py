"""The one list of network filters: message type -> its name, what reads its settings, and whether it ends a chain.

A new filter is one more line here; nothing registers itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from envoymesh.config.reader import Reader
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext
from envoymesh.filters.network.filter import FilterFactory, TerminalFilterFactory
from envoymesh.filters.network.filter_chain import NetworkFilterChainFactory
from envoymesh.filters.when_used import when_used

_PACKAGE = "envoy.extensions.filters.network."

CONNECTION_MANAGER = _PACKAGE + "http_connection_manager.v3.HttpConnectionManager"


@dataclass(frozen=True, slots=True)
class NetworkFilterKind:
    """One kind of filter that is not terminal.

    Args:
        name: its well-known name, for ``/server_info``.
        read: its message -> what adds it to a connection. Errors: ConfigError.
    """

    name: str
    read: Callable[[Reader, NetworkFilterFactoryContext], FilterFactory]


@dataclass(frozen=True, slots=True)
class TerminalFilterKind:
    """One kind of filter that ends a chain; exactly one must, as its last.

    Args:
        name: its well-known name, for ``/server_info``.
        read: its message -> what makes one for each connection. Errors: ConfigError.
    """

    name: str
    read: Callable[[Reader, NetworkFilterFactoryContext], TerminalFilterFactory]


NETWORK_FILTERS: dict[str, NetworkFilterKind | TerminalFilterKind] = {
    _PACKAGE + "direct_response.v3.Config": TerminalFilterKind(
        "envoy.filters.network.direct_response",
        when_used("network.direct_response.config", "direct_response_filter_factory"),
    ),
    _PACKAGE + "echo.v3.Echo": TerminalFilterKind(
        "envoy.filters.network.echo", when_used("network.echo.config", "echo_filter_factory")
    ),
    CONNECTION_MANAGER: TerminalFilterKind(
        "envoy.filters.network.http_connection_manager",
        when_used("network.http_connection_manager.config", "http_connection_manager_factory"),
    ),
    _PACKAGE + "sni_cluster.v3.SniCluster": NetworkFilterKind(
        "envoy.filters.network.sni_cluster", when_used("network.sni_cluster.config", "sni_cluster_filter_factory")
    ),
    _PACKAGE + "tcp_proxy.v3.TcpProxy": TerminalFilterKind(
        "envoy.filters.network.tcp_proxy", when_used("network.tcp_proxy.config", "tcp_proxy_filter_factory")
    ),
    "envoymesh.network.PythonFilter": NetworkFilterKind(
        "envoymesh.network.python", when_used("network.python.config", "python_network_filter_factory")
    ),
}


def read_network_filters(
    chain: Reader, filters: Sequence[tuple[str, Reader]], context: NetworkFilterFactoryContext
) -> NetworkFilterChainFactory | None:
    """Read the filters of a filter chain; None where one was refused, and that noted (`Reader.attempt`).

    Args:
        chain: the reader of the chain, for errors.
        filters: name and message of each.
    Errors: ConfigError for unknown filters and a wrong or missing terminal filter.
    """
    if not filters:
        # Envoy accepts it, and closes each connection that comes.
        raise chain.error("filters", "a filter chain needs at least one filter, the terminal one as its last")
    *others, last = filters
    made = [reader.attempt(partial(_read_filter, name, context)) for name, reader in others]
    name, reader = last
    terminal = reader.attempt(partial(_read_terminal, name, context))
    factories = [each for each in made if each is not None]
    if terminal is None or len(factories) < len(made):
        return None
    return NetworkFilterChainFactory(terminal, factories, context.dispatcher, context.buffer_limit)


def _read_filter(name: str, context: NetworkFilterFactoryContext, reader: Reader) -> FilterFactory:
    kind = _kind_of(name, reader)
    if isinstance(kind, TerminalFilterKind):
        what = f"terminal filter named {name} of type {kind.name}"
        raise reader.error("", f"Error: {what} must be the last filter in a network filter chain.")
    return kind.read(reader, context)


def _read_terminal(name: str, context: NetworkFilterFactoryContext, reader: Reader) -> TerminalFilterFactory:
    kind = _kind_of(name, reader)
    if isinstance(kind, NetworkFilterKind):
        what = f"non-terminal filter named {name} of type {kind.name}"
        raise reader.error("", f"Error: {what} is the last filter in a network filter chain.")
    return kind.read(reader, context)


def _kind_of(name: str, reader: Reader) -> NetworkFilterKind | TerminalFilterKind:
    kind = NETWORK_FILTERS.get(reader.type_name)
    if kind is None:
        raise reader.error("", f"network filter {name} ({reader.type_name}) is not supported by envoymesh")
    return kind
