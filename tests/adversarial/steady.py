"""Constant load, a process of its own: `python -m tests.adversarial.steady ADDRESS`.

For each line `SECONDS` on standard input some clients ask for so long, each request after the answer to the one before
and at most one every PACE; a line of JSON says how long each waited, and which were lost. It must not judge.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter

from tests.adversarial.prober import Http1, Http2, ProbeError
from tests.integration.harness import Address

PACE = 0.02
"""Seconds between two requests of a client."""
CLIENTS: tuple[tuple[type[Http1] | type[Http2], str], ...] = (
    (Http1, "/one"), (Http1, "/one"), (Http1, "/two"), (Http2, "/two"), (Http2, "/two"), (Http2, "/one"),
)  # fmt: skip
"""What each speaks, and the path, which says what the upstream speaks."""


class Client:
    """One of them; its connection stays as long as it serves."""

    def __init__(self, kind: type[Http1] | type[Http2], address: Address, path: str) -> None:
        self._kind = kind
        self._address = address
        self._path = path
        self._connection: Http1 | Http2 | None = None
        self.waits: list[float] = []
        self.lost: Counter[str] = Counter()

    def run(self, end: float) -> None:
        """Ask until then."""
        while (began := time.monotonic()) < end:
            try:
                self._ask()
            except (ProbeError, OSError) as error:
                self.lost[f"{self._kind.__name__} {self._path}: {type(error).__name__} {error}"] += 1
                self._connection = None
            waited = time.monotonic() - began
            self.waits.append(waited)
            time.sleep(max(0.0, PACE - waited))

    def _ask(self) -> None:
        if self._connection is None:
            self._connection = self._kind(self._address)
        self._connection.ask(self._path)


def run(clients: list[Client], seconds: float) -> dict[str, object]:
    """All of them for so long; how long requests waited, and which were lost."""
    end = time.monotonic() + seconds
    for each in clients:
        each.waits.clear()
        each.lost.clear()
    threads = [threading.Thread(target=each.run, args=[end]) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost: Counter[str] = Counter()
    for each in clients:
        lost.update(each.lost)
    return {"waits": [wait for each in clients for wait in each.waits], "lost": dict(lost)}


def main(address: Address) -> None:
    """One run for each line of standard input."""
    clients = [Client(kind, address, path) for kind, path in CLIENTS]
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(run(clients, float(line))), flush=True)


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    main((host, int(port)))
