"""`Listener.access_log`: a line for each connection's end, also where no filter chain matched or TLS failed.

As in Envoy such a line knows the connection and nothing of its requests. It must not know sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from envoymesh.access_loggers.logger import AccessLog
from envoymesh.formatter import FormatterContext
from envoymesh.http.stream_info import ResponseFlag, StreamInfo, connection_info
from envoymesh.network.api import Connection, Dispatcher, EndedConnection


class ConnectionOwner(Protocol):
    """The terminal network filter of a connection: it knows what was spoken."""

    def add_connection_facts(self, info: StreamInfo) -> None:
        """The connection is over: add to `info` what this filter knows of it."""


class ConnectionLog:
    """The access loggers of one listener."""

    def __init__(self, access_logs: Sequence[AccessLog], dispatcher: Dispatcher) -> None:
        self._access_logs = access_logs
        self._dispatcher = dispatcher
        self._owners: dict[int, ConnectionOwner] = {}

    def on_accept(self, connection: Connection, owner: ConnectionOwner) -> None:
        """A connection is usable; at its end `owner` is asked what was spoken on it."""
        self._owners[connection.id] = owner

    def on_ended(self, ended: EndedConnection) -> None:
        """A connection is over: write its line."""
        now = self._dispatcher.now()
        info = self._facts(ended, self._owners.pop(ended.connection.id, None), now)
        context = FormatterContext(info, None, None, None, now)
        for access_log in self._access_logs:
            access_log.log(context)

    def _facts(self, ended: EndedConnection, owner: ConnectionOwner | None, now: float) -> StreamInfo:
        connection = ended.connection
        info = connection_info(connection, self._dispatcher.wall_time(), now, ended.accepted)
        if owner is not None:
            info.bytes_received, info.bytes_sent = connection.bytes_received, connection.bytes_sent
            owner.add_connection_facts(info)
        if ended.unmatched:
            info.flags = ResponseFlag.NO_ROUTE_FOUND
            info.response_code_details = "filter_chain_not_found"
        if connection.close_details == "transport_socket_timeout":
            info.termination_details = "transport socket timeout was reached"
        return info
