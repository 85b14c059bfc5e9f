"""A well-behaved client, in a process of its own: asks one request after the other, and notes how long each waited.

    python -m tests.adversarial.prober ADDRESS PATH    # one line begins; the next ends it, and prints

Requests go in turn over a kept HTTP/1 connection, a new one, and a kept HTTP/2 connection. It must not judge.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Sequence
from itertools import count

from hpack import Decoder

from tests.integration.harness import Address
from tests.parity import frames

PERIOD = 0.001
"""Seconds between two requests."""
MOST_FAILURES = 100
"""After so many the proxy is not worth asking."""
PATIENCE = 15.0
"""Seconds after which a request is given up, and counts as not served."""
_END_STREAM, _SETTINGS, _HEADERS, _DATA = 1, 4, 1, 0


class ProbeError(Exception):
    """A request was not answered with 200."""


class Kept:
    """A connection, and the next request over it."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def need(self, size: int) -> bytes:
        """So many bytes, once they are here."""
        while len(self._data) < size:
            more = self.socket.recv(65536)
            if not more:
                raise ProbeError("the connection ended")
            self._data += more
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def line(self) -> bytes:
        """Up to the next empty line."""
        while b"\r\n\r\n" not in self._data:
            more = self.socket.recv(65536)
            if not more:
                raise ProbeError("the connection ended")
            self._data += more
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return head


class Http1(Kept):
    """HTTP/1."""

    def ask(self, path: str) -> None:
        """One request and its answer. Errors: ProbeError, OSError."""
        self.socket.sendall(b"GET %b HTTP/1.1\r\nHost: a.com\r\n\r\n" % path.encode())
        head = self.line()
        if not head.startswith(b"HTTP/1.1 200"):
            raise ProbeError(head.partition(b"\r\n")[0].decode("latin-1"))
        if self.need(2) != b"hi":
            raise ProbeError("another body")


_WINDOW_STEP = 16384


class Http2(Kept):
    """HTTP/2 with prior knowledge."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._ids = count(1, 2)
        self._taken = 0  # bytes of bodies since the connection's window was last opened
        self._decoder = Decoder()
        self.socket.sendall(frames.hello())

    def ask(self, path: str) -> None:
        """One request and its answer. Errors: ProbeError, OSError."""
        stream = next(self._ids)
        self.socket.sendall(frames.headers(frames.request("GET", path), stream))
        ended = False
        while not ended:
            header = self.need(9)
            payload = self.need(int.from_bytes(header[:3], "big"))
            kind, flags, of = header[3], header[4], int.from_bytes(header[5:9], "big")
            if kind == _SETTINGS and not flags:
                self.socket.sendall(frames.frame(_SETTINGS, 1))
            elif kind == _HEADERS:
                self._check(list(self._decoder.decode(payload, raw=True)))
            elif kind in (3, 7):
                raise ProbeError(f"frame {kind}: {payload[:100]!r}")
            elif kind == _DATA:
                self._taken += len(payload)
                if self._taken >= _WINDOW_STEP:
                    self.socket.sendall(frames.window_update(self._taken, 0))
                    self._taken = 0
            ended = of == stream and bool(flags & _END_STREAM) and kind in (_HEADERS, _DATA)

    def _check(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        if fields[0][1] != b"200":
            raise ProbeError(f"status {fields[0][1].decode()}")


def _fresh(address: Address, path: str) -> None:
    made = Http1(address)
    try:
        made.ask(path)
    finally:
        made.socket.close()


def probe(address: Address, path: str) -> dict[str, object]:
    """Ask until the next line on standard input; the waits by way to ask, and what went wrong."""
    kept1, kept2 = Http1(address), Http2(address)
    ways = {
        "kept": lambda: kept1.ask(path),
        "fresh": lambda: _fresh(address, path),
        "http2": lambda: kept2.ask(path),
    }
    for way in ways.values():
        way()
    print("ready", flush=True)
    waits: dict[str, list[float]] = {name: [] for name in ways}
    failures: list[str] = []
    while not select.select([sys.stdin.fileno()], [], [], PERIOD)[0]:
        for name, way in ways.items():
            began = time.monotonic()
            try:
                way()
            except (ProbeError, OSError) as error:
                failures.append(f"{name}: {type(error).__name__} {error}")
            waits[name].append(time.monotonic() - began)
        if len(failures) > MOST_FAILURES:
            break
    sys.stdin.readline()
    kept1.socket.close()
    kept2.socket.close()
    return {"waits": waits, "failures": failures}


def main(address: Address, path: str) -> None:
    """One line begins to probe, the next one ends it."""
    while sys.stdin.readline():
        print(json.dumps(probe(address, path)), flush=True)


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    main((host, int(port)), sys.argv[2])
