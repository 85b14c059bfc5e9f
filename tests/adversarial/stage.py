"""Proxies, upstreams, attackers and probers as processes, and what one attack did to one proxy.

    with Stage(folder) as stage, stage.proxy("ours", "mesh") as target:
        outcome = target.attacked(BY_NAME["ping"], seconds=1)

It must not know which outcome is good.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from bench.processes import LOAD_CORES, SUBJECT_CORES, pinned
from tests.adversarial.attack import Attack
from tests.adversarial.configuration import Addresses, configuration, write_certificate
from tests.integration.harness import Proxy

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = 0.05
"""Seconds between two looks at memory."""
ADMIN_TRIES = 4
"""How often the admin is asked, each time for ten seconds."""
SETTLE = 30.0
"""Seconds within which connections, streams and descriptors of an attack are gone."""
_GONE = r"^http\.test\.downstream_(cx|rq)_active$|^cluster\..*\.upstream_rq_(active|pending_active)$"
_KEPT = r"^cluster\..*\.upstream_cx_active$"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one proxy under one attack. Waits in milliseconds, memory in KiB.

    Attributes:
        failures: probes that were not answered with 200, in words.
        growth: the most memory during the attack, beyond that before it.
        left: what was still there SETTLE seconds after the attack: gauges that are not 0, and more descriptors.
        done: what the attacker says it did.
    """

    waits: dict[str, list[float]]
    failures: list[str]
    growth: int
    left: dict[str, int]
    done: dict[str, int]
    alive: bool

    @property
    def all_waits(self) -> list[float]:
        """Of all ways to ask."""
        return [wait for waits in self.waits.values() for wait in waits]

    @property
    def worst(self) -> float:
        """The longest wait."""
        return max(self.all_waits, default=0.0)

    @property
    def p99(self) -> float:
        """99 of 100 waited no longer."""
        waits = self.all_waits
        return statistics.quantiles(waits, n=100, method="inclusive")[-1] if len(waits) > 1 else self.worst


class Target:
    """A running proxy, with an attacker and a prober of its own."""

    def __init__(self, proxy: Proxy, attacker: Program, prober: Program) -> None:
        self.proxy = proxy
        self._attacker = attacker
        self._prober = prober

    def attacked(self, attack: Attack, seconds: float) -> Outcome:
        """Attack it, probe it meanwhile, and look at what is left."""
        before = standing(self.proxy)
        self._prober.tell("begin")
        self._prober.answer()
        with _Memory(self.proxy) as memory:
            self._attacker.tell(f"{attack.name} {seconds}")
            done = json.loads(self._attacker.answer())
        self._prober.tell("end")
        probed = json.loads(self._prober.answer())
        alive = self.proxy.process.poll() is None
        waits = {way: [wait * 1000 for wait in waits] for way, waits in probed["waits"].items()}
        left = self._left(before) if alive else {}
        return Outcome(waits, probed["failures"], memory.growth, left, done, alive)

    def _left(self, before: int) -> dict[str, int]:
        deadline = time.monotonic() + SETTLE
        while True:
            left = under_way(self.proxy)
            more = standing(self.proxy) - before
            if more > 0:
                left["descriptors"] = more
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.02)


def under_way(proxy: Proxy) -> dict[str, int]:
    """Gauges of connections, requests and streams, where they are not 0."""
    return {name: value for name, value in _gauges(proxy, _GONE).items() if value}


def pooled(proxy: Proxy) -> int:
    """Upstream connections: pools may keep them."""
    return sum(_gauges(proxy, _KEPT).values())


def standing(proxy: Proxy) -> int:
    """Descriptors, without those of upstream connections. A look is a connection too, which may not be closed yet."""
    looks = []
    for _ in range(3):
        time.sleep(0.01)
        looks.append(proxy.descriptors - pooled(proxy))
    return min(looks)


def _gauges(proxy: Proxy, pattern: str) -> dict[str, int]:
    text = _asked(proxy, f"/stats?format=json&usedonly&type=Gauges&filter={quote(pattern)}")
    return {each["name"]: each["value"] for each in json.loads(text)["stats"] if "name" in each}


def _asked(proxy: Proxy, path: str) -> str:
    """The admin's answer, of which a proxy that still chews on an attack may owe us some time."""
    for _ in range(ADMIN_TRIES - 1):
        try:
            return proxy.admin_get(path)
        except TimeoutError:
            continue
    return proxy.admin_get(path)


class _Memory:
    """Looks at a proxy's resident memory while it is entered."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._before = self._most = proxy.resident_kib

    @property
    def growth(self) -> int:
        """KiB beyond what there was before."""
        return self._most - self._before

    def _look(self) -> None:
        while not self._over.wait(SAMPLE):
            try:
                self._most = max(self._most, self._proxy.resident_kib)
            except (OSError, TypeError):
                return  # the proxy has died, which its exit code tells

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


class Stage:
    """Upstreams and certificates, and the proxies that use them.

    Args:
        folder: for configurations, certificates and logs.
        real: the real Envoy's program; None where it is not to take part.
        apart: proxies have a core of their own, as in the benchmark; for measurements.
    """

    def __init__(self, folder: Path, real: Path | None = None, apart: bool = False) -> None:
        self._folder = folder
        self._real = real
        self._apart = apart
        self._count = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_many_files())
            write_certificate(self._folder)
            self.upstreams: Addresses = {}
            for which in ("good", "bad"):
                cores = LOAD_CORES if self._apart else None
                upstream = stack.enter_context(Program("upstream", which, cores=cores))
                self.upstreams |= {name: tuple(each) for name, each in json.loads(upstream.answer()).items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @contextmanager
    def proxy(self, which: str, setup: str) -> Iterator[Target]:
        """A fresh proxy: `ours` or `envoy`."""
        self._count += 1
        folder = self._folder / f"{self._count}-{which}-{setup}"
        command = [str(self._real)] if which == "envoy" else [sys.executable, "-m", "envoymesh", "proxy"]
        flags = ["--concurrency", "1", "-l", "warning", *(["--use-dynamic-base-id"] if which == "envoy" else [])]
        config = configuration(setup, self.upstreams, self._folder)
        command = pinned(command, SUBJECT_CORES) if self._apart else command
        with ExitStack() as stack:
            proxy = stack.enter_context(Proxy(command, config, folder, *flags))
            yield Target(proxy, *(stack.enter_context(each) for each in self._clients(proxy)))

    def _clients(self, proxy: Proxy) -> tuple[Program, Program]:
        """An attacker and a prober."""
        cores = LOAD_CORES if self._apart else None
        addresses = json.dumps({**proxy.addresses, "admin": proxy.admin})
        host, port = proxy.addresses["plain"]
        return Program("attacker", addresses, cores=cores), Program("prober", f"{host}:{port}", "/probe", cores=cores)


@contextmanager
def _many_files() -> Iterator[None]:
    """As many open files for those who are started as the system lets them have: attacks need two for a connection."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Program:
    """One of this folder's programs, spoken to by lines.

    Args:
        cores: where it runs; None leaves it to the system.
    """

    def __init__(self, name: str, *arguments: str, cores: frozenset[int] | None = None) -> None:
        command = [sys.executable, "-m", f"tests.adversarial.{name}", *arguments]
        self._name = name
        self._process = subprocess.Popen(
            pinned(command, cores) if cores else command,
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """By the end of its standard input; failing that, killed."""
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the {self._name} has ended"
        return line
