"""The direct response filter (envoy.filters.network.direct_response): a fixed answer, and the end of the connection.

It must not look at what the peer says.
"""

from __future__ import annotations

from envoymesh.filters.network.filter import TerminalFilter, TerminalFilterFactory, TerminalNetworkFilter
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import CloseType, Connection

DETAILS = "direct_response"
"""Envoy's code details, of the connection too."""


class DirectResponseFilter(TerminalNetworkFilter):
    """One connection."""

    __slots__ = ("_response",)

    def __init__(self, connection: Connection, response: bytes) -> None:
        super().__init__(connection)
        self._response = response

    def on_new_connection(self) -> None:
        """Answer and close."""
        if self._response:
            self.connection.write(self._response)
        self.connection.close(CloseType.FLUSH_WRITE, DETAILS)

    def add_connection_facts(self, info: StreamInfo) -> None:
        """Tell the log why the connection was closed."""
        info.response_code_details = DETAILS


class DirectResponseFilterFactory(TerminalFilterFactory):
    """Makes direct response filters."""

    __slots__ = ("_response",)

    def __init__(self, response: bytes) -> None:
        self._response = response

    def create(self, connection: Connection) -> TerminalFilter:
        """The filter of one connection."""
        return DirectResponseFilter(connection, self._response)
