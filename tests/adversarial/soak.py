"""`make soak`: hours in minutes. Mixed load on ours in cycles; after each, at rest, what is left of it.

    python -m tests.adversarial.soak [--minutes 30] [--dry]

A cycle is load (HTTP/1, HTTP/2, TLS, new connections, uploads, answers abandoned, scrapes, misbehaving clients) while
one of two upstreams is killed and started again, then rest until streams are over. Memory, descriptors, timers and
streams are read at rest, where they must be the same cycle by cycle.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from envoymesh.native.loader import activate
from tests.adversarial import report
from tests.adversarial.configuration import configuration
from tests.adversarial.stage import Program, Stage, pooled, standing, under_way
from tests.adversarial.watched import look
from tests.integration.harness import Address, Proxy

CYCLE = 30.0
"""Seconds of load in a cycle."""
FEWEST = 6
"""Cycles of a soak, however short it is: the cycles are shorter then."""
KEPT_OPEN = "http.test.downstream_cx_active"
"""Not 0 at rest: the crowd keeps two connections through all cycles."""
REST = 15.0
"""Seconds within which streams are over after the load."""
FLAT = {"rss": 2 * 1024, "descriptors": 0, "timers": 0, "connections": 0}
"""By how much the median of the last third of the cycles may stand above that of the second. Memory is in KiB."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A proxy at rest: KiB, and numbers of things. `seconds` since the beginning.

    Pooled upstream connections are left out, and the timer that each has: there are now more of them and now fewer.
    """

    seconds: float
    rss: int
    pss: int
    descriptors: int
    timers: int
    streams: int
    connections: int
    objects: int


@dataclass(slots=True)
class Soak:
    """What a soak saw."""

    samples: list[Sample] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    peak_rss: int = 0
    restarts: int = 0

    def drift(self, what: str) -> float:
        """The median of the last third minus that of the second: the first third warms up."""
        values: list[int] = [getattr(sample, what) for sample in self.samples]
        third = len(values) // 3
        return statistics.median(values[-third:]) - statistics.median(values[third:-third])

    @property
    def faults(self) -> list[str]:
        """What was not flat, in words."""
        found = [f"{what} {self.drift(what):+g}" for what, limit in FLAT.items() if self.drift(what) > limit]
        found += [f"{sample.streams} streams at rest" for sample in self.samples if sample.streams]
        return found + [f"{count} x {words}" for words, count in self.failures.items()]


def soak(seconds: float, folder: Path, tell: Callable[[str], object] = print) -> Soak:
    """Cycles of load, so long together, and rest."""
    cycles = max(FEWEST, round(seconds / CYCLE))
    cycle = seconds / cycles
    done = Soak()
    window = str(folder / "window")
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder))
        pair = stack.enter_context(Pair())
        config = configuration("mesh", {**stage.upstreams}, folder, pair=pair.addresses)
        command = [
            sys.executable,
            "-m",
            "tests.adversarial.watched",
            window,
            "proxy",
            "--concurrency",
            "1",
            "-l",
            "error",
        ]
        proxy = stack.enter_context(Proxy(command, config, folder / "proxy"))
        addresses = json.dumps({**proxy.addresses, "admin": proxy.admin})
        crowd = stack.enter_context(Program("crowd", addresses))
        began = time.monotonic()
        for _ in range(cycles):
            crowd.tell(f"{cycle}")
            done.restarts += pair.shake(cycle)
            said = json.loads(crowd.answer())
            done.asked.update(said["asked"])
            done.failures.update(said["failures"])
            done.peak_rss = max(done.peak_rss, _peak(proxy))
            done.samples.append(_at_rest(proxy, window, began))
            tell(row(done.samples[-1]))
    return done


class Pair:
    """Two upstreams of one cluster, of which one at a time is killed and started again on its port."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: list[ExitStack] = []
        self.addresses: list[Address] = []

    def __enter__(self) -> Pair:
        for _ in range(2):
            self._running.append(ExitStack())
            self.addresses.append(self._start(self._running[-1], 0))
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._running:
            each.close()

    def _start(self, stack: ExitStack, port: int) -> Address:
        started = stack.enter_context(Program("upstream", "good", str(port)))
        host, port = json.loads(started.answer())["good"]
        return host, port

    def shake(self, seconds: float) -> int:
        """For so long: down, up, pause, the other one. Returns how often."""
        times, end = 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.5:
            which = times % 2
            self._running[which].close()
            time.sleep(0.1)
            self._start(self._running[which], self.addresses[which][1])
            times += 1
            time.sleep(min(5.0, max(0.0, left - 0.5)))
        time.sleep(max(0.0, end - time.monotonic()))
        return times


def _peak(proxy: Proxy) -> int:
    return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{proxy.process.pid}/status").read_text())[0])


def _at_rest(proxy: Proxy, window: str, began: float) -> Sample:
    """Wait until streams are over, then count. The crowd's two kept connections stay."""
    deadline = time.monotonic() + REST
    while set(under_way(proxy)) - {KEPT_OPEN} and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # closed connections are let go a moment after their streams
    pid = proxy.process.pid
    pss = re.findall(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    seen, kept = look(window), pooled(proxy)
    connections = seen["TcpConnection"] + seen["TlsConnection"]
    return Sample(
        time.monotonic() - began, proxy.resident_kib, int(pss[0]), standing(proxy), seen["timers"] - kept,
        seen["ActiveStream"], connections - kept, seen["objects"],
    )  # fmt: skip


HEADER = (
    "| minute | RSS (MiB) | PSS (MiB) | descriptors | timers | streams | connections | objects |\n"
    "|---|---|---|---|---|---|---|---|"
)


def row(sample: Sample) -> str:
    """One line of the table."""
    return (
        f"| {sample.seconds / 60:.1f} | {sample.rss / 1024:.1f} | {sample.pss / 1024:.1f} | {sample.descriptors} | "
        f"{sample.timers} | {sample.streams} | {sample.connections} | {sample.objects} |"
    )


def markdown(done: Soak, minutes: float) -> str:
    """The document's part: conditions, about ten lines, the verdict."""
    step = max(1, len(done.samples) // 10)
    shown: Sequence[Sample] = [*done.samples[:-1:step], done.samples[-1]]
    asked = ", ".join(f"{name} {count:,}" for name, count in sorted(done.asked.items()))
    verdict = "flat" if not done.faults else f"**not flat: {'; '.join(done.faults)}**"
    drifts = ", ".join(f"{what} {done.drift(what):+g}" for what in FLAT)
    return f"""\
Measured {datetime.now(UTC):%Y-%m-%d}: {minutes:g} minutes, {len(done.samples)} cycles, Python \
{platform.python_version()}, ours {activate()}. Asked (calls of each client): {asked}. Upstreams killed and started \
again: {done.restarts}. Not answered: {sum(done.failures.values())}. Most memory under load: \
{done.peak_rss / 1024:.1f} MiB.

{HEADER}
{chr(10).join(map(row, shown))}

Last third against second third, medians (RSS in KiB): {drifts}: {verdict}.
"""


def main() -> int:
    """Soak, print, write. 1 when something was not flat."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversarial.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES") or 30))
    parser.add_argument("--dry", action="store_true", help="do not write docs/reliability.md")
    options = parser.parse_args()
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory(prefix="envoymesh-soak-") as folder:
        done = soak(options.minutes * 60, Path(folder), lambda line: print(line, flush=True))
    text = markdown(done, options.minutes)
    print(f"\n{text}")
    if not options.dry:
        report.write("soak", text)
    return 1 if done.faults else 0


if __name__ == "__main__":
    sys.exit(main())
