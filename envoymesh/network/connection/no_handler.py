"""The handler of a connection that has none yet or no more. It must not know connections."""

from __future__ import annotations

from typing import Final

from envoymesh.network.api import ConnectionEvent, ConnectionHandler


class NoHandler(ConnectionHandler):
    """Stands in until `set_handler`; a connection without a handler reads nothing."""

    def on_data(self, data: bytes) -> int:
        """Dropped."""
        return len(data)

    def on_eof(self) -> None:
        """Dropped."""

    def on_event(self, event: ConnectionEvent) -> None:
        """Dropped."""

    def on_above_write_buffer_high_watermark(self) -> None:
        """Dropped."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """Dropped."""


NO_HANDLER: Final = NoHandler()
