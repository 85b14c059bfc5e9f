"""The upstreams of the attacks, a process of its own: a good one for whoever probes, and one with bad manners.

    python -m tests.adversarial.upstream    # prints the addresses as JSON, lives until its standard input ends

The hostile one picks its manner by the path, `/hostile/MANNER`. It must not know attacks.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

from tests.integration.harness import Address
from tests.parity import frames
from tests.parity.frames import CONTINUATION, DATA, HEADERS, PING, PRIORITY, frame

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
BATCH = 1000
MOST = 1 << 40
"""Bytes that a manner without end sends at most; the client's going ends it long before."""

Send = Callable[[bytes], None]


class Good(asyncio.Protocol):
    """Answers each head with two bytes. Bodies have no empty line in them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._tail = b""

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        heads = data.count(b"\r\n\r\n")
        self._tail = data[-3:] if not data.endswith(b"\r\n\r\n") else b""
        if heads:
            self._transport.write(OK * heads)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


class Sink(asyncio.Protocol):
    """Reads a body to nowhere; answers when a chunked one ends, or a head without one comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        ends = data.count(b"\r\n0\r\n\r\n") + data.count(b"content-length: 1\r\n")
        if ends:
            self._transport.write(OK * ends)


# HTTP/1 manners: what is sent in answer to one request.


def _endless(send: Send, piece: bytes, opening: bytes = b"") -> None:
    send(opening)
    for _ in range(MOST // len(piece)):
        send(piece)


def _bytewise(send: Send, data: bytes) -> None:
    for at in range(len(data)):
        send(data[at : at + 1])


def _unread(send: Send) -> None:
    """Longer than any attack; then what a client left behind is let go of too."""
    time.sleep(5)


def _switch_and_rest(send: Send) -> None:
    send(SWITCH)
    _unread(send)


HTTP1_MANNERS: dict[str, Callable[[Send], None]] = {
    "big": lambda send: _endless(send, b"x" * 65536, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % MOST),
    "one-byte-chunks": lambda send: _endless(send, b"1\r\nx\r\n" * BATCH, CHUNKED),
    "endless-1xx": lambda send: _endless(send, b"HTTP/1.1 102 Processing\r\n\r\n" * BATCH),
    "endless-100": lambda send: _endless(send, b"HTTP/1.1 100 Continue\r\n\r\n" * BATCH),
    "endless-head": lambda send: _endless(send, b"x" * 65536, b"HTTP/1.1 200 OK\r\nx: "),
    "many-fields": lambda send: _endless(send, b"x: y\r\n" * BATCH, b"HTTP/1.1 200 OK\r\n"),
    "head-bytewise": lambda send: _bytewise(
        send, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + b"x: yyyyyyy\r\n" * 95 + b"\r\nhi"
    ),
    "chunk-size-bytewise": lambda send: _endless(lambda data: _bytewise(send, data), b"0000000001\r\nx\r\n", CHUNKED),
    "chunk-extension": lambda send: _endless(send, b"x" * 65536, CHUNKED + b"1;"),
    "endless-trailers": lambda send: _endless(send, b"x: y\r\n" * BATCH, CHUNKED + b"0\r\n"),
    "unasked": lambda send: _endless(send, OK * BATCH),
    "blank-lines": lambda send: _endless(send, b"\r\n" * BATCH),
    "silent": _unread,
    "unread": _unread,
}

TUNNEL_MANNERS: dict[str, Callable[[Send], None]] = {
    "tunnel": lambda send: _endless(send, b"x" * 65536, SWITCH),
    "deaf-tunnel": _switch_and_rest,
}
"""What is done once an upgrade is asked for: attacks of clients need them."""


# HTTP/2 manners: what is sent in answer to the first request of a connection, which is stream 1.

HEAD = frames.headers([(":status", "200")], 1, end=False)
PLAIN_BLOCK = frames.block([(":status", "200")])

HTTP2_MANNERS: dict[str, Callable[[Send], None]] = {
    "ping": lambda send: _endless(send, frame(PING, 0, 0, bytes(8)) * BATCH),
    "settings": lambda send: _endless(send, frames.settings() * BATCH),
    "settings-entries": lambda send: _endless(send, frames.settings(*[(4, 65535)] * 2700)),
    "unknown-frames": lambda send: _endless(send, frame(0xEE) * BATCH),
    "one-byte-data": lambda send: _endless(send, frames.data(b"x", 1, end=False) * BATCH, HEAD),
    "empty-data": lambda send: _endless(send, frame(DATA, 0, 1) * BATCH, HEAD),
    "continuation": lambda send: _endless(
        send, frame(CONTINUATION, 0, 1, b"x" * 1000), frame(HEADERS, 0, 1, PLAIN_BLOCK)
    ),
    "window-update": lambda send: _endless(send, frames.window_update(1) * BATCH),
    "priority": lambda send: _endless(send, frame(PRIORITY, 0, 1, b"\0\0\0\3\0") * BATCH),
    "endless-1xx": lambda send: _endless(send, frames.headers([(":status", "102")], 1, end=False) * BATCH),
    "hpack-bomb": lambda send: _endless(
        send, frame(HEADERS, 4, 1, PLAIN_BLOCK + b"\x40" + frames.block([("bomb", "b" * 3900)])[1:] + b"\xbe" * 12000)
    ),
    "silent": _unread,
}  # fmt: skip


class Hostile:
    """A threaded upstream on raw sockets that answers by a manner. Each connection serves one request."""

    def __init__(self, manners: dict[str, Callable[[Send], None]], http2: bool) -> None:
        self._manners = manners
        self._http2 = http2
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.address: Address = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=[accepted], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                self._manners[self._manner(client)](client.sendall)
            except OSError:
                pass  # the proxy has had enough, or its client has gone

    def _manner(self, client: socket.socket) -> str:
        """Reads until a path is there; HTTP/2 literals are plain text too, as the proxies write them, or Huffman's."""
        if self._http2:
            return self._manner_http2(client)
        data = b""
        while b"\r\n\r\n" not in data:
            data += _some(client)
        return data.split(b" ", 2)[1].rpartition(b"/")[2].decode()

    def _manner_http2(self, client: socket.socket) -> str:
        client.sendall(frames.settings() + frame(frames.SETTINGS, frames.ACK))
        data = b""
        while len(data) < len(frames.PREFACE):
            data += _some(client)
        data = data[len(frames.PREFACE) :]
        transcript = frames.Transcript()
        while not (path := transcript.value(1, b":path")):
            found, used = frames.split(data)
            data = data[used:]
            for each in found:
                transcript.add(each)
            if not found:
                data += _some(client)
        return path.rpartition(b"/")[2].decode()


def _some(client: socket.socket) -> bytes:
    data = client.recv(65536)
    if not data:
        raise ConnectionResetError
    return data


async def _serve_good(port: int) -> None:
    loop = asyncio.get_running_loop()
    good = await loop.create_server(Good, "127.0.0.1", port, backlog=4096)
    print(json.dumps({"good": good.sockets[0].getsockname()}), flush=True)
    await _end(loop)


async def _serve_bad() -> None:
    loop = asyncio.get_running_loop()
    made = {name: await loop.create_server(each, "127.0.0.1", 0, backlog=4096) for name, each in SERVERS.items()}
    addresses = {name: server.sockets[0].getsockname() for name, server in made.items()}
    addresses["hostile"] = Hostile(HTTP1_MANNERS | TUNNEL_MANNERS, http2=False).address
    addresses["hostile2"] = Hostile(HTTP2_MANNERS, http2=True).address
    print(json.dumps(addresses), flush=True)
    await _end(loop)


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    """With the standard input, and as if it were killed."""
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


SERVERS = {"busy": Good, "sink": Sink}


def main(which: str, port: int) -> None:
    """`good` for the prober's own, on a port if one is wanted; `bad` for those that attacks use."""
    threading.stack_size(256 * 1024)
    if which == "bad":
        os.nice(10)
    asyncio.run(_serve_good(port) if which == "good" else _serve_bad())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
