"""`Listener.access_log`: a line for each connection's end, also where no filter chain matched or TLS failed.

As in Envoy such a line knows the connection and nothing of its requests. It must not know sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from envoymesh.formatter import FormatterContext
from envoymesh.http.access_log.logger import AccessLog
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from envoymesh.network.api import Connection, Dispatcher, EndedConnection

if TYPE_CHECKING:
    from envoymesh.http.connection_manager import ConnectionManager


class ConnectionLog:
    """The access loggers of one listener."""

    def __init__(self, access_logs: Sequence[AccessLog], dispatcher: Dispatcher) -> None:
        self._access_logs = access_logs
        self._dispatcher = dispatcher
        self._managers: dict[int, ConnectionManager] = {}

    def on_accept(self, connection: Connection, manager: ConnectionManager) -> None:
        """A connection is usable; its manager will know what it spoke."""
        self._managers[connection.id] = manager

    def on_ended(self, ended: EndedConnection) -> None:
        """A connection is over: write its line."""
        now = self._dispatcher.now()
        info = self._facts(ended, self._managers.pop(ended.connection.id, None))
        info.start_wall_time = self._dispatcher.wall_time() - (now - ended.accepted)
        context = FormatterContext(info, None, None, None, now)
        for access_log in self._access_logs:
            access_log.log(context)

    def _facts(self, ended: EndedConnection, manager: ConnectionManager | None) -> StreamInfo:
        connection = ended.connection
        info = StreamInfo(connection, None if manager is None else manager.protocol, ended.accepted, 0.0, 0)
        if manager is not None:
            info.bytes_received, info.bytes_sent = connection.bytes_received, connection.bytes_sent
            if manager.codec_failed:
                info.flags = ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR
        if ended.unmatched:
            info.flags = ResponseFlag.NO_ROUTE_FOUND
            info.response_code_details = "filter_chain_not_found"
        if connection.close_details == "transport_socket_timeout":
            info.termination_details = "transport socket timeout was reached"
        return info
