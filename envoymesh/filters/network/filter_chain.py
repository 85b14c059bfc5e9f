"""What a filter chain's connections get: the filters of its `filters`, made anew for each connection.

It stands on the chain's settings (`FilterChainSettings.factory`). It must not know which filters there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.network.filter import (
    FilterFactory,
    TerminalFilter,
    TerminalFilterFactory,
    TerminalNetworkFilter,
)
from envoymesh.filters.network.filter_manager import NetworkFilterManager
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import Connection, ConnectionEvent, Dispatcher


class ForwardingTerminal(TerminalFilter):
    """Stands before a `TerminalNetworkFilter`, which may be of a class that is not compiled.

    Calls of a trait's methods do not see what such a class overrides; calls of its base's do.
    """

    __slots__ = ("filter",)

    def __init__(self, filter_: TerminalNetworkFilter) -> None:
        self.filter = filter_

    def __repr__(self) -> str:
        return f"<ForwardingTerminal {self.filter!r}>"

    def on_new_connection(self) -> None:
        """The connection is usable."""
        self.filter.on_new_connection()

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer; returns how many were taken."""
        return self.filter.on_data(data)

    def on_eof(self) -> None:
        """The peer has ended its side."""
        self.filter.on_eof()

    def on_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""
        self.filter.on_event(event)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The peer does not take what is written."""
        self.filter.on_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """The peer takes bytes again."""
        self.filter.on_below_write_buffer_low_watermark()

    def add_connection_facts(self, info: StreamInfo) -> None:
        """What the filter knows of the connection."""
        self.filter.add_connection_facts(info)


class NetworkFilterChainFactory:
    """One filter chain's filters.

    Args:
        filters: those before the terminal one, in order.
        buffer_limit: per_connection_buffer_limit_bytes.
    """

    __slots__ = ("_buffer_limit", "_dispatcher", "_filters", "terminal")

    def __init__(
        self,
        terminal: TerminalFilterFactory,
        filters: Sequence[FilterFactory],
        dispatcher: Dispatcher,
        buffer_limit: int,
    ) -> None:
        self.terminal = terminal
        self._filters = tuple(filters)
        self._dispatcher = dispatcher
        self._buffer_limit = buffer_limit

    def create(self, connection: Connection) -> TerminalFilter:
        """Make a usable connection's filters; `start` then hands it to them."""
        made = self.terminal.create(connection)
        return ForwardingTerminal(made) if isinstance(made, TerminalNetworkFilter) else made

    def start(self, connection: Connection, terminal: TerminalFilter) -> None:
        """Hand a connection to its filters: to the terminal one itself, where that is the only one."""
        if not self._filters:
            connection.set_handler(terminal)
            terminal.on_new_connection()
            return
        manager = NetworkFilterManager(connection, self._dispatcher, self._buffer_limit, terminal)
        for add in self._filters:
            add(manager)
        manager.start()
