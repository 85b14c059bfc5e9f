"""One replica of a service that fails when it is told to, a process of its own: HTTP/1 on one port, HTTP/2 on another.

    python -m tests.adversarial.replica ADDRESS PORT PORT2    # says `ready`; each line of standard input is a manner

Manners: `well`, `slow` (an answer takes SLOW seconds), `failing` (503), `resetting` (a request resets its connection).
It must not know who asks.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from typing import Final

from tests.parity import frames
from tests.parity.frames import HEADERS, PING, SETTINGS

SLOW: Final = 0.8
"""Seconds; longer than a try may take."""
OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
FAILED: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
_ACK: Final = 1
_END_STREAM: Final = 1


class State:
    """How all connections of the replica behave just now."""

    manner = "well"


class Served(asyncio.Protocol):
    """A connection."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.take()

    def take(self) -> None:
        """Answer the requests that are here."""
        raise NotImplementedError

    def answer(self, well: bytes, failed: bytes) -> None:
        """Answer one of them, as the manner is."""
        manner = self._state.manner
        if manner == "resetting":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif manner == "slow":
            asyncio.get_running_loop().call_later(SLOW, self.write, well)
        else:
            self.write(failed if manner == "failing" else well)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


class Http1(Served):
    """Requests without bodies."""

    def take(self) -> None:
        while b"\r\n\r\n" in self.data and not self.transport.is_closing():
            _, _, self.data = self.data.partition(b"\r\n\r\n")
            self.answer(OK, FAILED)


class Http2(Served):
    """Streams that end with their head."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(frames.settings())
        self._greeted = False

    def take(self) -> None:
        if not self._greeted:
            if len(self.data) < len(frames.PREFACE):
                return
            self.data = self.data[len(frames.PREFACE) :]
            self._greeted = True
        while len(self.data) >= 9 and not self.transport.is_closing():
            size = 9 + int.from_bytes(self.data[:3], "big")
            if len(self.data) < size:
                return
            frame, self.data = self.data[:size], self.data[size:]
            self._take_frame(frame)

    def _take_frame(self, frame: bytes) -> None:
        kind, flags, stream = frame[3], frame[4], int.from_bytes(frame[5:9], "big")
        if kind == SETTINGS and not flags & _ACK:
            self.write(frames.frame(SETTINGS, _ACK))
        elif kind == PING and not flags & _ACK:
            self.write(frames.frame(PING, _ACK, 0, frame[9:]))
        elif kind == HEADERS and flags & _END_STREAM:
            head = [(b":status", b"200"), (b"content-length", b"2")]
            well = frames.headers(head, stream, end=False) + frames.data(b"hi", stream)
            self.answer(well, frames.headers([(b":status", b"503")], stream))


async def serve(host: str, port: int, port2: int) -> None:
    """Serve until the standard input ends."""
    state, loop = State(), asyncio.get_running_loop()
    kept = [
        await loop.create_server(lambda: Http1(state), host, port, reuse_address=True),
        await loop.create_server(lambda: Http2(state), host, port2, reuse_address=True),
    ]
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        state.manner = line.strip()
        print(state.manner, flush=True)
    del kept
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
