"""The echo filter (envoy.filters.network.echo): the peer gets back what it sends. It must not keep anything."""

from __future__ import annotations

from envoymesh.filters.network.filter import TerminalFilter, TerminalFilterFactory, TerminalNetworkFilter
from envoymesh.network.api import Connection


class EchoFilter(TerminalNetworkFilter):
    """One connection. While the peer does not take what is written, it is not read."""

    __slots__ = ()

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer go back."""
        self.connection.write(data)
        return len(data)

    def on_above_write_buffer_high_watermark(self) -> None:
        """Envoy reads on, and keeps all of it."""
        self.connection.read_disable(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """Go on."""
        self.connection.read_disable(False)


class EchoFilterFactory(TerminalFilterFactory):
    """Makes echo filters."""

    __slots__ = ()

    def create(self, connection: Connection) -> TerminalFilter:
        """The filter of one connection."""
        return EchoFilter(connection)
