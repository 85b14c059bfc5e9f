"""A pair: the real Envoy and ours, side by side, and one case done on both at the same time.

How a connection ends takes time to know. Two halves that agree after a short silence are believed; where they differ,
each gets the time it may need, so that only differences are slow. This file must not know what is intended.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.parity.case import Case
from tests.parity.client import LIMIT, Client
from tests.parity.configuration import LOG_SEPARATOR
from tests.parity.measured import Measured, determined_gauges
from tests.parity.outcome import Outcome, differences_of
from tests.parity.setup import Setup
from tests.parity.side import Side

AGREED = 0.16
DIFFERENT = 0.8
LATE_LINES = 0.2
"""Seconds that the log, counters and upstreams get to agree; what is late all the same is run again."""

_SERVICE_TIME = re.compile(rb"(?i)x-envoy-upstream-service-time: (\d+)\r\n")
# What HPACK, TLS records and frames weigh is the implementation's; in HTTP/1 without TLS every byte is determined.
_HTTP2_BYTES = re.compile(r"^cluster\.http2.*_bytes_total")
_WIRE_FIELD = re.compile(r"(down|up)-(head-|plain-)?(rx|tx)=")
_BYTES = re.compile(r"_bytes_(total|wire|received|sent)|_wire_bytes|cx_[rt]x_bytes")


@dataclass(frozen=True)
class Result:
    """What both did in a case."""

    case: Case
    real: Outcome
    ours: Outcome


class Pair:
    """Two sides with one setup, one case at a time."""

    def __init__(self, oracle: Path, folder: Path, certificates: Path, setup: Setup) -> None:
        self._certificates = certificates
        self.sides = (
            Side(oracle, folder / "real", certificates, setup),
            Side(None, folder / "ours", certificates, setup),
        )
        self._both = ThreadPoolExecutor(2)

    def __enter__(self) -> Self:
        starting = [self._both.submit(side.__enter__) for side in self.sides]
        failed = [each.exception() for each in starting]
        for side, failure in zip(self.sides, failed, strict=True):
            if failure is None and any(failed):
                side.__exit__(None, None, None)
        for failure in failed:
            if failure is not None:
                raise failure
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for side in self.sides:
            side.__exit__(kind, error, at)
        self._both.shutdown()

    def run(self, case: Case) -> Result:
        """Do a case on both sides."""
        for side in self.sides:
            side.begin()
        clients = [Client(case, side, self._certificates) for side in self.sides]
        try:
            _wait_for_end(case, clients, self.sides)
            opened = self._open_gauges()
        finally:
            for client in clients:
                client.close()
        real, ours = self._outcomes(case, clients, opened)
        for side in self.sides:
            side.end()
            assert side.setup.alone or not side.ended, f"{case.id}: a proxy died:\n{side.proxy.log}"
        return Result(case, real, ours)

    def _open_gauges(self) -> list[dict[str, int]]:
        """Gauges before the clients close; those that differ get a moment to agree."""
        deadline = time.monotonic() + LATE_LINES
        while True:
            found = [determined_gauges(side.open_gauges()) for side in self.sides]
            if found[0] == found[1] or time.monotonic() > deadline:
                return found
            time.sleep(0.03)

    def _outcomes(self, case: Case, clients: list[Client], opened: list[dict[str, int]]) -> list[Outcome]:
        list(self._both.map(lambda side: side.settle(), self.sides))
        # A duration of more digits than one makes the response of that side longer.
        slow = any(_extra_digits(client) for client in clients)
        deadline = time.monotonic() + LATE_LINES
        while True:
            outcomes = [
                {
                    "response": side.named(client.text),
                    "end": client.end,
                    "open": gauges,
                    **_determined(case, client, side.collect(case.lines), slow),
                }
                for side, client, gauges in zip(self.sides, clients, opened, strict=True)
            ]
            if not any(differences_of(*outcomes)) or time.monotonic() > deadline:
                return outcomes
            time.sleep(0.03)


def _wait_for_end(case: Case, clients: list[Client], sides: tuple[Side, Side]) -> None:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if all(client.stepped and client.over for client in clients):
            return
        silence = time.monotonic() - max(client.last for client in clients)
        if silence >= AGREED and all(client.stepped for client in clients):
            texts = [side.named(client.text) for side, client in zip(sides, clients, strict=True)]
            agreed = texts[0] == texts[1] and clients[0].received and clients[0].end == clients[1].end
            if silence >= max(case.quiet, AGREED if agreed else DIFFERENT):
                return
        time.sleep(0.02)


def _extra_digits(client: Client) -> int:
    return sum(len(digits) - 1 for digits in _SERVICE_TIME.findall(client.received))


def _determined(case: Case, client: Client, left: Outcome, slow: bool) -> Outcome:
    """Without bytes that are not determined: all of them, or the digits of a duration beyond the first."""
    left["log"] = [_determined_line(case, line, slow) for line in left["log"]]
    stats: Measured = left["stats"]
    undetermined = _HTTP2_BYTES if case.bytes_counted else _BYTES
    counters = {name: value for name, value in stats.counters.items() if not undetermined.search(name)}
    extra = _extra_digits(client)
    for name in counters:
        if extra and name.endswith("downstream_cx_tx_bytes_total"):
            counters[name] -= extra
    left["stats"] = Measured(counters, stats.gauges, stats.histograms)
    return left


def _determined_line(case: Case, line: str, slow: bool) -> str:
    """A log line without fields of bytes on the wire that are not determined, as counters are."""
    upstream_too = " | cluster=http2" in line
    kept = []
    for part in line.split(LOG_SEPARATOR):
        field = _WIRE_FIELD.match(part)
        if field is not None and field[1] == "down":
            keep = not (slow and field[3] == "tx") if case.bytes_counted else field[0] == "down-plain-rx="
        else:
            keep = field is None or field[2] == "plain-" or not upstream_too
        kept += [part] if keep else []
    return LOG_SEPARATOR.join(kept)
