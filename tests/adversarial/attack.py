"""What an attack is, and how clients that misbehave are driven: many sockets, one thread, a bounded time.

It must not know proxies, nor judge what they do.
"""

from __future__ import annotations

import itertools
import selectors
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.integration.harness import Address

MOST_CONNECTIONS = 20_000
"""Connections of one attack, however fast it is turned away: the bound of its count."""
AGAIN_AFTER = 0.002
"""Seconds before a connection that ended is made anew."""
PATIENCE = 10.0


@dataclass(slots=True)
class Ground:
    """Where an attack runs, and for how long.

    Attributes:
        addresses: listeners by name, and `admin`.
        done: what it did, for whoever wants to know that it was not turned away at the gate.
    """

    addresses: dict[str, Address]
    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    end: float = 0.0

    def begin(self) -> None:
        """The time runs from now."""
        self.end = time.monotonic() + self.seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.end or self.done["connections"] >= MOST_CONNECTIONS

    def connect(self, listener: str = "plain") -> socket.socket:
        """A blocking connection that sends small pieces at once."""
        self.done["connections"] += 1
        made = socket.create_connection(self.addresses[listener], PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Args:
        name: what tests and tables call it.
        text: what is done, in a few words.
        run: does it, until the ground's time is over.
        setup: the configuration that it needs: `mesh`, or `wide` with its many clusters.
    """

    name: str
    text: str
    run: Callable[[Ground], None]
    setup: str = "mesh"


Script = Callable[[], Iterable[bytes]]
"""What one connection sends, piece by piece. An endless one goes on until the time is over."""


@dataclass(frozen=True, slots=True)
class Flood:
    """Connections that all send the same script, as fast as the proxy takes it. Call it with the ground.

    Args:
        reads: whether answers are read, and dropped.
        pause: seconds between two pieces on a connection.
        then: what follows a script's end: `hold`, `half-close`, `close` (and begin anew) or `reset` (the same by RST).
        alpn: the protocol to agree on where the listener speaks TLS.
        receive_buffer: bytes of the socket's receive buffer; 0 leaves it to the system.
    """

    script: Script
    listener: str = "plain"
    connections: int = 4
    reads: bool = True
    pause: float = 0.0
    then: str = "hold"
    alpn: str = ""
    receive_buffer: int = 0

    def __call__(self, ground: Ground) -> None:
        """Attack until the time is over, then let all connections go."""
        with selectors.DefaultSelector() as selector:
            clients = [_Client(self, ground, selector) for _ in range(self.connections)]
            try:
                while not ground.over:
                    for key, events in selector.select(0.002):
                        key.data.serve(events)
                    now = time.monotonic()
                    for client in clients:
                        client.wake(now)
            finally:
                for client in clients:
                    client.drop()


class _Client:
    """One connection after the other, each with a script of its own."""

    def __init__(self, flood: Flood, ground: Ground, selector: selectors.BaseSelector) -> None:
        self._flood = flood
        self._ground = ground
        self._selector = selector
        self._socket: socket.socket | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._piece = memoryview(b"")
        self._due = time.monotonic()  # when to go on; 0 while nothing is to be waited for
        self._events = 0

    def wake(self, now: float) -> None:
        """Go on where a pause is over."""
        if not self._due or now < self._due or self._ground.over:
            return
        self._due = 0.0
        try:
            if self._socket is None:
                self._socket = self._made()
                self._pieces = iter(self._flood.script())
            self._next_piece()
        except OSError:
            self._ground.done["refused"] += 1
            self._again()

    def _made(self) -> socket.socket:
        made = self._ground.connect(self._flood.listener)
        if self._flood.receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._flood.receive_buffer)
        if self._flood.alpn:
            made = tls(made, self._flood.alpn)
        made.setblocking(False)
        return made

    def serve(self, events: int) -> None:
        """The socket is ready."""
        if self._socket is None:
            return
        try:
            if events & selectors.EVENT_READ and not self._read(self._socket):
                return
            if events & selectors.EVENT_WRITE:
                self._send(self._socket)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._ground.done["ended by the proxy"] += 1
            self._again()

    def _read(self, client: socket.socket) -> bool:
        data = client.recv(1 << 18)
        self._ground.done["received"] += len(data)
        if not data:
            self._ground.done["ended by the proxy"] += 1
            self._again()
        return bool(data)

    def _send(self, client: socket.socket) -> None:
        sent = client.send(self._piece)
        self._ground.done["sent"] += sent
        self._piece = self._piece[sent:]
        if not self._piece:
            if self._flood.pause:
                self._due = time.monotonic() + self._flood.pause
                self._watch(write=False)
            else:
                self._next_piece()

    def _next_piece(self) -> None:
        piece = next(self._pieces, None)
        if piece is not None:
            self._piece = memoryview(piece)
            self._watch(write=True)
        elif self._flood.then in ("close", "reset"):
            if self._flood.then == "reset" and self._socket is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._again()
        else:
            if self._flood.then == "half-close" and self._socket is not None:
                self._socket.shutdown(socket.SHUT_WR)
            self._watch(write=False)

    def _again(self) -> None:
        self.drop()
        self._due = time.monotonic() + AGAIN_AFTER

    def _watch(self, write: bool) -> None:
        wanted = (selectors.EVENT_READ if self._flood.reads else 0) | (selectors.EVENT_WRITE if write else 0)
        if wanted == self._events or self._socket is None:
            return
        if not self._events:
            self._selector.register(self._socket, wanted, self)
        elif not wanted:
            self._selector.unregister(self._socket)
        else:
            self._selector.modify(self._socket, wanted, self)
        self._events = wanted

    def drop(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            if self._events:
                self._selector.unregister(self._socket)
            self._socket.close()
        self._socket, self._events, self._due = None, 0, 0.0


def tls(client: socket.socket, alpn: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLSocket:
    """Shake hands; the server may be anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(client, server_hostname="a.example.com")


# Scripts


def forever(piece: bytes, opening: bytes = b"") -> Script:
    """The opening, then the piece for ever."""
    return lambda: itertools.chain([opening] if opening else [], itertools.repeat(piece))


def once(*pieces: bytes) -> Script:
    """These pieces."""
    return lambda: pieces


def bytewise(data: bytes) -> Script:
    """One byte a piece."""
    return lambda: (data[at : at + 1] for at in range(len(data)))
