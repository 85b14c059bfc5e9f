"""The soak's clients, a process of its own: `python -m tests.adversarial.crowd ADDRESSES`.

For each line `SECONDS` on standard input they ask for so long, close what they opened but two kept connections, and a
line of JSON says what was asked and what was not answered. Well-behaved clients count every answer that is not 200.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.adversarial.attack import Ground, tls
from tests.adversarial.attacks import BY_NAME
from tests.adversarial.prober import Http1, Http2, ProbeError
from tests.integration.harness import Address

PATH = "/pair"
PAUSE = 0.004
"""Seconds between two requests of a client."""
BODY = b"x" * 300_000
MISBEHAVIOUR = (
    "slow-heads", "ping", "rapid-reset", "half-closed", "resets", "garbage", "endless-head", "tls-hellos",
    "tls-garbage", "upstream-endless-head", "upstream2-ping", "endless-trailers",
)  # fmt: skip


class Http1Tls(Http1):
    """HTTP/1 over TLS."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.socket = tls(self.socket, "http/1.1")


class Crowd:
    """All of them."""

    def __init__(self, addresses: dict[str, Address]) -> None:
        self._addresses = addresses
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._random = random.Random(7)
        self._kept = Http1(addresses["plain"])
        self._kept2 = Http2(addresses["plain"])

    def run(self, seconds: float) -> dict[str, dict[str, int]]:
        """Ask for so long; what was asked and what went wrong."""
        self._asked.clear()
        self._failures.clear()
        end = time.monotonic() + seconds
        actions: dict[str, Callable[[float], None]] = {
            "kept": lambda _: self._kept.ask(PATH), "kept-2": lambda _: self._kept2.ask(PATH),
            "http1": self._many(Http1, "plain"), "http2": self._many(Http2, "plain"),
            "tls": self._many(Http1Tls, "tls"), "fresh": self._fresh, "upload": self._upload,
            "abandoned": self._abandoned, "scrape": self._scrape, "misbehaving": self._misbehave,
        }  # fmt: skip
        threads = [threading.Thread(target=self._repeat, args=[name, act, end]) for name, act in actions.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"asked": dict(self._asked), "failures": dict(self._failures)}

    def _repeat(self, name: str, act: Callable[[float], None], end: float) -> None:
        while time.monotonic() < end:
            try:
                act(end)
                failure = ""
            except (ProbeError, OSError) as error:
                failure = f"{name}: {type(error).__name__} {error}"
                if name.startswith("kept"):
                    self._renew()
            with self._lock:
                self._asked[name] += 1
                if failure:
                    self._failures[failure] += 1
            time.sleep(PAUSE)

    def _renew(self) -> None:
        self._kept, self._kept2 = Http1(self._addresses["plain"]), Http2(self._addresses["plain"])

    def _many(self, kind: type[Http1] | type[Http2], listener: str) -> Callable[[float], None]:
        def act(end: float) -> None:
            with _opened(kind, self._addresses[listener]) as client:
                for _ in range(self._random.randrange(1, 50)):
                    client.ask(PATH)

        return act

    def _fresh(self, end: float) -> None:
        with _opened(Http1, self._addresses["plain"]) as client:
            client.ask(PATH)

    def _upload(self, end: float) -> None:
        with _opened(Http1, self._addresses["plain"]) as client:
            head = b"POST /sink HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.socket.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
            if not client.line().startswith(b"HTTP/1.1 200"):
                raise ProbeError("an upload was refused")

    def _abandoned(self, end: float) -> None:
        """A large answer, of which some is read; then FIN or RST."""
        with _opened(Http1, self._addresses["plain"]) as client:
            client.socket.sendall(b"GET /hostile/big HTTP/1.1\r\nHost: a.com\r\n\r\n")
            client.need(self._random.randrange(1, 500_000))
            if self._random.random() < 0.5:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.05)

    def _scrape(self, end: float) -> None:
        path = self._random.choice(("/stats", "/stats/prometheus", "/config_dump", "/clusters", "/memory"))
        with _opened(Http1, self._addresses["admin"]) as client:
            client.socket.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
            if not client.line().startswith(b"HTTP/1.1 200"):
                raise ProbeError(f"{path} was refused")
            while client.socket.recv(1 << 18):
                pass
        time.sleep(0.5)

    def _misbehave(self, end: float) -> None:
        name = self._random.choice(MISBEHAVIOUR)
        ground = Ground(self._addresses, max(0.05, min(0.5, end - time.monotonic())))
        ground.begin()
        BY_NAME[name].run(ground)
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))


@contextmanager
def _opened(kind: type[Http1] | type[Http2], address: Address) -> Iterator[Http1 | Http2]:
    client = kind(address)
    try:
        yield client
    finally:
        client.socket.close()


def main(addresses: dict[str, Address]) -> None:
    """One run for each line of standard input."""
    crowd = Crowd(addresses)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(crowd.run(float(line))), flush=True)


if __name__ == "__main__":
    main({name: tuple(each) for name, each in json.loads(sys.argv[1]).items()})
