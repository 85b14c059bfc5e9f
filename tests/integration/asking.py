"""Clients that ask without a pause and count what they lose, over HTTP/1 and HTTP/2, plain and TLS.

    with Clients(address, 20, Http1Client) as clients:
        ...the proxy is told to end...
    clients.lost, clients.answered

Each asks on a connection it keeps, connects anew when it was told to close (`connection: close`, GOAWAY), and is done
when nobody listens any more. It must not know what tests expect.
"""

from __future__ import annotations

import socket
import ssl
import threading
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.integration.harness import Address

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
FIELDS = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
PATIENCE = 15.0
"""Seconds that a client waits for an answer before it counts as lost."""


def connect(address: Address, tls: ssl.SSLContext | None) -> socket.socket:
    """A connection. Errors: OSError where nobody listens, or nobody shakes hands."""
    sock = socket.create_connection(address, PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock if tls is None else tls.wrap_socket(sock, server_hostname="a")


class Http1Client:
    """One connection after the other, one request after the other.

    Args:
        sock: connected.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._answer = b""
        self.told = False

    def ask(self) -> bool:
        """One request; whether it was answered."""
        self._answer = b""
        try:
            self._sock.sendall(GET)
            while not self._is_whole():
                data = self._sock.recv(65536)
                if not data:
                    return False
                self._answer += data
        except OSError:
            return False
        self.told = b"\r\nconnection: close\r\n" in self._answer
        return self._answer.startswith(b"HTTP/1.1 200")

    def _is_whole(self) -> bool:
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return False
        return len(body) == int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0] or 0)


class Http2Client:
    """As Http1Client, with one stream after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self.told = False

    def ask(self) -> bool:
        """One request; whether it was answered."""
        try:
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, FIELDS, end_stream=True)
            while True:
                if data := self._h2.data_to_send():
                    self._sock.sendall(data)
                if (answered := self._read(stream)) is not None:
                    return answered
        except (OSError, h2.exceptions.ProtocolError):
            return False

    def _read(self, stream: int) -> bool | None:
        data = self._sock.recv(65536)
        if not data:
            return False
        answered = None
        # After a GOAWAY h2 forbids what RFC 9113 section 6.8 allows: to read on. So it does not get to see that frame.
        data, told = without_goaway(data)
        self.told = self.told or told
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                answered = True
            elif isinstance(event, h2.events.StreamReset):
                answered = False
        return answered


def without_goaway(data: bytes) -> tuple[bytes, bool]:
    """The frames that are no GOAWAY, and whether one was; our proxies' small answers come in whole frames."""
    kept, at, told = b"", 0, False
    while at + 9 <= len(data):
        end = at + 9 + int.from_bytes(data[at : at + 3], "big")
        if data[at + 3] == 7:
            told = True
        else:
            kept += data[at:end]
        at = end
    return kept + data[at:], told


class Clients:
    """So many clients in threads of their own; the end of the block waits for them.

    Attributes:
        answered, lost: requests, of all clients.
    """

    def __init__(
        self,
        address: Address,
        count: int,
        kind: type[Http1Client] | type[Http2Client] = Http1Client,
        tls: ssl.SSLContext | None = None,
        *,
        keep: bool = True,
    ) -> None:
        self._address = address
        self._kind = kind
        self._tls = tls
        self._keep = keep
        self._lock = threading.Lock()
        self.answered = 0
        self.lost = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        answered, lost = 0, 0
        while not lost:
            try:
                sock = connect(self._address, self._tls)
            except ConnectionRefusedError:
                break
            except OSError:
                lost += 1  # accepted, and then no handshake
                break
            with sock:
                client = self._kind(sock)
                while not lost and not client.told:
                    if client.ask():
                        answered += 1
                        with self._lock:
                            self.answered += 1
                    else:
                        lost += 1
                    if not self._keep:
                        break
        with self._lock:
            self.lost += lost
