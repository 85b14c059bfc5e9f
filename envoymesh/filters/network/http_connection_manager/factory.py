"""Makes the connection managers of one filter chain. It must not hold anything of one connection."""

from __future__ import annotations

from dataclasses import replace

from envoymesh.access_loggers import AccessLog
from envoymesh.filters.network.filter import TerminalFilter, TerminalFilterFactory
from envoymesh.filters.network.http_connection_manager.connection_manager import ConnectionManager
from envoymesh.filters.network.http_connection_manager.manager_config import ConnectionManagerConfig
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.network.api import Connection


class ConnectionManagerFactory(TerminalFilterFactory):
    """The connection managers that share a configuration.

    Args:
        buffer_limit: per_connection_buffer_limit_bytes.
    """

    __slots__ = ("_buffer_limit", "_context")

    def __init__(self, context: ConnectionManagerConfig, buffer_limit: int) -> None:
        self._context = context
        self._buffer_limit = buffer_limit

    def create(self, connection: Connection) -> TerminalFilter:
        """The connection manager of one connection."""
        return ConnectionManager(self._context, connection, self._buffer_limit)

    def count_failed_handshake(self, remote: bool) -> None:
        """Count the connection as one of this connection manager's, as Envoy does."""
        self._context.count_failed_handshake(remote)

    def leave(self) -> None:
        """Each connection is told, and those that are still to come."""
        self._context.leave()

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""
        self._context.sample_buffers()

    @property
    def settings(self) -> HttpConnectionManagerSettings:
        """What they are told to do."""
        return self._context.settings

    def add_access_log(self, log: AccessLog) -> None:
        """Tell one more logger of each request, beside those that are configured."""
        settings = self._context.settings
        self._context.settings = replace(settings, access_logs=(*settings.access_logs, log))

    @property
    def is_busy(self) -> bool:
        """Whether streams of connections that are gone are still to be ended."""
        return bool(self._context.managers)
