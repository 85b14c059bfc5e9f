"""The echo filter (envoy.filters.network.echo): the peer gets back what it sends. It must not keep anything."""

from __future__ import annotations

from envoymesh.filters.network.filter import TerminalFilter, TerminalFilterFactory, TerminalNetworkFilter
from envoymesh.network.api import Connection


class EchoFilter(TerminalNetworkFilter):
    """One connection. While the peer does not take what is written, it is not read."""

    __slots__ = ()

    def on_data(self, data: bytes) -> int:
        """Send bytes from the peer back; returns how many were taken: all."""
        self.connection.write(data)
        return len(data)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The peer does not take its bytes back: do not read it (Envoy reads on, and keeps everything in memory)."""
        self.connection.read_disable(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """The peer takes bytes again: read it again."""
        self.connection.read_disable(False)


class EchoFilterFactory(TerminalFilterFactory):
    """Makes echo filters."""

    __slots__ = ()

    def create(self, connection: Connection) -> TerminalFilter:
        """The filter of one connection."""
        return EchoFilter(connection)
