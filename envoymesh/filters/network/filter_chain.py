"""What a filter chain's connections get: the filters of its `filters`, made anew for each connection.

It stands on the chain's settings (`FilterChainSettings.factory`). It must not know which filters there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.network.filter import FilterFactory, TerminalFilter, TerminalFilterFactory
from envoymesh.filters.network.filter_manager import NetworkFilterManager
from envoymesh.network.api import Connection, Dispatcher


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
        return self.terminal.create(connection)

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
