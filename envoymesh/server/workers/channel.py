"""One end of the socket pair between parent and worker, on an event loop. It must not know what messages mean."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from envoymesh.server.workers.protocol import FrameReader, Message, encode


class Channel(asyncio.Protocol):
    """Sends and receives messages.

    Args:
        on_message: gets each message.
        on_lost: called once, when the other process has ended or has closed its end.
    """

    def __init__(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls, sock: socket.socket, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> Channel:
        """A channel on one end of a socket pair, which it takes over."""
        sock.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_connection(lambda: cls(on_message, on_lost), sock=sock)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has taken the socket."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        for message in self._reader.feed(data):
            self._on_message(message)

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone."""
        self._transport = None
        self._on_lost()

    def send(self, message: Message) -> None:
        """Send; to nobody once the other end is gone."""
        if self._transport is not None:
            self._transport.write(encode(message))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
