"""How much more two workers do than one: `python -m bench.workers [ROUNDS]`.

Two workers on two cores leave no core for the load generator and the upstream. Room is made by a scale model: each
worker may use SHARE of a core (a CPU quota, by control group), one worker then has that share in all and two have twice
that, and what is left of the machine is the load's. Workers are not pinned, so two run on both cores at once. Needs
Linux and the right to make control groups. It must not judge.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load, run_load
from bench.mesh_config import Ports, Setup, bootstrap
from bench.processes import BenchError, Process, free_port
from bench.upstream import Upstream

SHARE = 0.25
PERIOD = 10_000
"""Microseconds after which a quota is renewed."""

SECONDS = 4.0
CONNECTIONS = 64
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Round:
    """What one run gave: requests a second, CPU microseconds a request of all workers, the busiest worker's part."""

    rate: float
    cpu: float
    largest_part: float


@contextmanager
def limited(pids: Sequence[int], share: float) -> Iterator[None]:
    """Each process in a control group of its own, with `share` of a core."""
    quota = int(PERIOD * share)
    made: list[Path] = []
    try:
        for pid in pids:
            old = (_GROUPS / "cpu").is_dir()
            group = (_GROUPS / "cpu" if old else _GROUPS) / f"envoymesh-bench-{pid}"
            group.mkdir()
            made.append(group)
            if old:
                (group / "cpu.cfs_period_us").write_text(str(PERIOD))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (group / "cpu.max").write_text(f"{quota} {PERIOD}")
            (group / "cgroup.procs").write_text(str(pid))
        yield
    except OSError as error:
        raise BenchError(f"no control group with a CPU quota can be made here: {error}") from None
    finally:
        for group in made:
            for pid in (group / "cgroup.procs").read_text().split():
                (group.parent / "cgroup.procs").write_text(pid)
            group.rmdir()


def workers_of(pid: int) -> list[int]:
    """The processes that serve: a parent's children, or the process itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] or [pid]


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(fields[0]) / 1e9


def run_once(concurrency: int, upstream: Upstream, folder: Path) -> Round:
    """Start, limit, warm up, measure, stop."""
    ports = Ports(free_port(), free_port(), upstream.http1)
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(Setup(), ports, folder, None)))
    flags = ["-c", str(config), "--concurrency", str(concurrency), "-l", "warning"]
    everywhere = frozenset(os.sched_getaffinity(0))
    proxy = Process("envoymesh", [sys.executable, "-m", "envoymesh", "proxy", *flags], everywhere, folder / "log")
    try:
        proxy.wait_for_port(ports.listener)
        workers = workers_of(proxy.pid)
        with limited(workers, SHARE):
            load = Load(connections=CONNECTIONS * concurrency)
            run_load(load, ports.listener, 1.0, folder)
            before = [cpu_seconds(pid) for pid in workers]
            result = run_load(load, ports.listener, SECONDS, folder)
            used = [cpu_seconds(pid) - then for pid, then in zip(workers, before, strict=True)]
    finally:
        proxy.stop()
    if result.errors:
        raise BenchError(f"{result.errors} errors")
    return Round(result.rate, sum(used) / result.requests * 1e6, max(used) / sum(used))


def main(rounds: int) -> None:
    """Alternate one worker and two, and print the medians."""
    found: dict[int, list[Round]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="envoymesh-bench-") as name:
        folder = Path(name)
        upstream = Upstream(folder)
        try:
            for _ in range(rounds):
                for concurrency, results in found.items():
                    results.append(run_once(concurrency, upstream, folder))
                    print(concurrency, results[-1], flush=True)
        finally:
            upstream.stop()
    rate = {concurrency: statistics.median(each.rate for each in results) for concurrency, results in found.items()}
    cpu = {concurrency: statistics.median(each.cpu for each in results) for concurrency, results in found.items()}
    print(f"{SHARE:.0%} of a core each: {rate[1]:.0f} -> {rate[2]:.0f} requests/s, x {rate[2] / rate[1]:.2f}")
    print(f"CPU a request: {cpu[1]:.0f} -> {cpu[2]:.0f} us")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    except BenchError as error:
        sys.exit(f"bench.workers: {error}")
