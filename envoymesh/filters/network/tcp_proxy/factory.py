"""Makes the TCP proxy filters of one filter chain. It must not hold anything of one connection."""

from __future__ import annotations

from envoymesh.filters.network.filter import TerminalFilter, TerminalFilterFactory
from envoymesh.filters.network.tcp_proxy.filter import TcpProxyFilter
from envoymesh.filters.network.tcp_proxy.proxy_config import TcpProxyConfig
from envoymesh.network.api import Connection


class TcpProxyFilterFactory(TerminalFilterFactory):
    """The TCP proxy filters that share a configuration."""

    __slots__ = ("_context",)

    def __init__(self, context: TcpProxyConfig) -> None:
        self._context = context

    def create(self, connection: Connection) -> TerminalFilter:
        """The filter of one connection."""
        return TcpProxyFilter(self._context, connection)

    def count_failed_handshake(self, remote: bool) -> None:
        """Count the connection as one of this filter's, as Envoy does."""
        self._context.stats.downstream_cx_total.inc()

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""
        self._context.sample_buffers()
