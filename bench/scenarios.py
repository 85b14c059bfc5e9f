"""What is measured: one class for each kind of measurement, and the list of scenarios.

A scenario measures one started subject once and returns figures by column; rounds, order and ratios are `run.py`'s.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.request import urlopen

from bench.load import Load, LoadResult, run_load, run_paced
from bench.mesh_config import Setup
from bench.processes import BenchError
from bench.subjects import Running

Figures = Mapping[str, float | None]
WARM_UP = 1.0


@dataclass(frozen=True, slots=True)
class Column:
    """A figure's place in the report: `key` in Figures, its title with the unit, digits behind the point."""

    key: str
    title: str
    digits: int = 0


CPU = Column("cpu", "CPU µs/request", 1)
RATE = Column("rate", "requests/s")
P50 = Column("p50", "p50 ms", 2)
P99 = Column("p99", "p99 ms", 2)
PEAK = Column("peak", "peak RSS MiB", 1)
ERRORS = Column("errors", "errors")
START = Column("start", "start to listening ms")
RESIDENT = Column("rss", "RSS idle MiB", 1)


@dataclass(frozen=True, slots=True)
class Bench:
    """What scenarios share in a run.

    Args:
        seconds: of each load.
        maximum: subject name -> the highest rate that the plain HTTP/1 scenario has seen.
    """

    seconds: float
    folder: Path
    maximum: dict[str, float] = field(default_factory=dict)


class Scenario(Protocol):
    """One thing to measure.

    Attributes:
        name: for the command line.
        columns: what it reports; the first is the one that is compared.
        fresh: each measurement needs a subject that has just started.
        only: the subjects it is for; empty for all that are fit.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def setup(self) -> Setup: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...
    @property
    def fresh(self) -> bool: ...
    @property
    def only(self) -> tuple[str, ...]: ...

    def measure(self, name: str, running: Running, bench: Bench) -> Figures:
        """Measure the subject of that name once.

        Raises:
            BenchError: it cannot be done.
        """


MESH = ("envoymesh", "before", "Envoy")
SMALL_GET = Load()
PLAIN_SETUP = Setup()


@dataclass(frozen=True, slots=True)
class LoadScenario:
    """As many requests as the subject takes: what each costs."""

    name: str
    title: str
    load: Load = SMALL_GET
    setup: Setup = PLAIN_SETUP
    only: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """CPU first; a chain's also tier by tier."""
        tiers = (Column("cpu0", "front", 1), Column("cpu1", "sidecar", 1)) if self.setup.chain else ()
        return (CPU, *tiers, RATE, P50, P99, PEAK, ERRORS)

    def measure(self, name: str, running: Running, bench: Bench) -> Figures:
        """One load."""
        before = [process.usage() for process in running.processes]
        result = self._run(running, bench)
        after = [process.usage() for process in running.processes]
        if not result.requests:
            raise BenchError(f"{name} answered nothing in {self.name} ({result.errors} errors)")
        costs = [(late.cpu - early.cpu) / result.requests * 1e6 for early, late in zip(before, after, strict=True)]
        if self.name == PLAIN:
            bench.maximum[name] = max(result.rate, bench.maximum.get(name, 0.0))
        tiers = {f"cpu{place}": cost for place, cost in enumerate(costs)}
        return {"cpu": sum(costs), **tiers, **_seen(result), "peak": sum(usage.peak_rss for usage in after) / 1024}

    def _run(self, running: Running, bench: Bench) -> LoadResult:
        return run_load(self.load, running.port, bench.seconds, bench.folder, self.setup.tls)


@dataclass(frozen=True, slots=True)
class PacedScenario:
    """Latency at one offered rate: 70% of what the slowest of ours and Envoy took at most."""

    name: str = "paced"
    title: str = "latency at the same offered rate (70% of the slower one's maximum), 16 connections"
    setup: Setup = PLAIN_SETUP
    only: tuple[str, ...] = MESH
    fresh: bool = False
    columns: tuple[Column, ...] = (P99, P50, RATE, ERRORS)

    def measure(self, name: str, running: Running, bench: Bench) -> Figures:
        """One load at that rate."""
        if not bench.maximum:
            raise BenchError(f"{self.name} needs the scenario {PLAIN} before it")
        rate = 0.7 * min(bench.maximum[name] for name in self.only if name in bench.maximum)
        return _seen(run_paced(16, rate, running.port, bench.seconds, bench.folder))


@dataclass(frozen=True, slots=True)
class StartScenario:
    """A fresh process: how soon it listens, what it weighs, how long its stats take."""

    name: str
    title: str
    setup: Setup = PLAIN_SETUP
    only: tuple[str, ...] = MESH
    fresh: bool = True
    columns: tuple[Column, ...] = (START, RESIDENT, Column("stats", "GET /stats ms", 1))

    def measure(self, name: str, running: Running, bench: Bench) -> Figures:
        """Look at what was just started."""
        rss = sum(process.usage().rss for process in running.processes) / 1024
        began = time.perf_counter()
        with urlopen(f"http://127.0.0.1:{running.admin}/stats", timeout=30) as answer:
            answer.read()
        return {"start": running.start_seconds * 1e3, "rss": rss, "stats": (time.perf_counter() - began) * 1e3}


@dataclass(frozen=True, slots=True)
class IdleScenario:
    """Connections that have had one request each and now do nothing: what each one weighs."""

    count: int
    name: str = "idle"
    title: str = "idle connections"
    setup: Setup = PLAIN_SETUP
    only: tuple[str, ...] = ()
    fresh: bool = True
    columns: tuple[Column, ...] = (Column("bytes", "bytes per idle connection"), RESIDENT)

    def measure(self, name: str, running: Running, bench: Bench) -> Figures:
        """Open them, look, close them."""
        _one_request(running.port).close()
        before = sum(process.usage().rss for process in running.processes)
        with ExitStack() as stack:
            for _ in range(self.count):
                stack.enter_context(_one_request(running.port))
            after = sum(process.usage().rss for process in running.processes)
        return {"bytes": (after - before) * 1024 / self.count, "rss": after / 1024}


def _one_request(port: int) -> socket.socket:
    """A connection that has had its answer."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
        raise BenchError(f"no answer on port {port}")
    return connection


def _seen(result: LoadResult) -> dict[str, float | None]:
    return {"rate": result.rate, "p50": result.p50, "p99": result.p99, "errors": result.errors}


PLAIN = "h1-16"
_KIB64, _MIB10 = 64 * 1024, 10 * 1024 * 1024
_H2 = Load("h2load", 16, streams=10)
_ROUTED = "/area{}/shop/item-7"

SCENARIOS: tuple[Scenario, ...] = (
    LoadScenario("h1-1", "HTTP/1 to HTTP/1, 92 bytes, 1 connection", Load(connections=1)),
    LoadScenario(PLAIN, "HTTP/1 to HTTP/1, 92 bytes, 16 connections"),
    LoadScenario("h1-256", "HTTP/1 to HTTP/1, 92 bytes, 256 connections", Load(connections=256)),
    LoadScenario("h1-2000", "HTTP/1 to HTTP/1, 92 bytes, 2,000 connections", Load(connections=2000)),
    PacedScenario(),
    LoadScenario("chain", "the chain: front HTTP/1 to HTTP/2, sidecar HTTP/2 to HTTP/1", setup=Setup(chain=True)),
    LoadScenario("front", "the front alone: HTTP/1 to HTTP/2", setup=Setup(http2_upstream=True)),
    LoadScenario(
        "sidecar",
        "the sidecar alone: HTTP/2 (one connection, 16 streams) to HTTP/1",
        Load("h2load", 1, streams=16),
        Setup(http2_downstream=True),
    ),
    LoadScenario(
        "h2", "HTTP/2 downstream: 16 connections, 10 streams each, to HTTP/1", _H2, Setup(http2_downstream=True)
    ),
    LoadScenario("tls", "TLS downstream, keep-alive, 16 connections", setup=Setup(tls=True)),
    LoadScenario("tls-handshakes", "TLS downstream, a handshake for each request", Load(close=True), Setup(tls=True)),
    LoadScenario("down-1k", "response bodies of 1 KiB", Load(path="/body/1024")),
    LoadScenario("down-64k", "response bodies of 64 KiB", Load(path=f"/body/{_KIB64}")),
    LoadScenario("down-10m", "response bodies of 10 MiB", Load(path=f"/body/{_MIB10}")),
    LoadScenario("up-1k", "request bodies of 1 KiB", Load(path="/upload", upload=1024)),
    LoadScenario("up-64k", "request bodies of 64 KiB", Load(path="/upload", upload=_KIB64)),
    LoadScenario("up-10m", "request bodies of 10 MiB", Load(path="/upload", upload=_MIB10)),
    LoadScenario("routes-20", "20 regex routes before the one that matches", setup=Setup(routes=20), only=MESH),
    LoadScenario("routes-200", "200 regex routes before the one that matches", setup=Setup(routes=200), only=MESH),
    LoadScenario("access-log", "one access log line a request", setup=Setup(access_log=True)),
    StartScenario("start", "one cluster: start, memory, stats"),
    StartScenario("clusters-500", "500 clusters: start, memory, stats", Setup(clusters=500)),
    IdleScenario(1000),
)


def choose(names: list[str]) -> list[Scenario]:
    """The scenarios of these names, all for none; in the order above.

    Raises:
        BenchError: a name that is none's.
    """
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        known = ", ".join(scenario.name for scenario in SCENARIOS)
        raise BenchError(f"no such scenario: {', '.join(sorted(unknown))}; there are {known}")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


def warm_up(scenario: Scenario, running: Running, bench: Bench) -> None:
    """Let a subject reach its pace: connections, caches, compiled code."""
    if isinstance(scenario, LoadScenario):
        run_load(scenario.load, running.port, WARM_UP, bench.folder, scenario.setup.tls)
