"""Processes of a benchmark: started on chosen cores, measured from /proc, stopped by their own handle.

It must not know what the processes are for.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT = 30.0
STOP_LIMIT = 10.0

_CORES = sorted(os.sched_getaffinity(0))
SUBJECT_CORES = frozenset(_CORES[:1])
"""What is measured has a core of its own, so that its CPU time is not a neighbour's cache misses."""
LOAD_CORES = frozenset(_CORES[1:]) or SUBJECT_CORES
"""The load generator and the upstream share the rest."""


class BenchError(Exception):
    """A run that cannot go on, in words for the person who started it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants used. Seconds, and KiB summed over the processes."""

    cpu: float
    rss: int
    peak_rss: int


class Process:
    """A running program and its descendants.

    Args:
        log: where its standard output and error go.
    """

    def __init__(self, name: str, command: Sequence[str], cores: frozenset[int], log: Path) -> None:
        self.name = name
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                pinned(command, cores),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Its process id; taskset's place is taken by the program."""
        return self._popen.pid

    def wait_for_port(self, port: int, limit: float = START_LIMIT) -> float:
        """Wait until something accepts on the port; returns the seconds since the start.

        Raises:
            BenchError: the process ended, or `limit` seconds passed.
        """
        while not accepts(port):
            if self._popen.poll() is not None or time.monotonic() > self.started + limit:
                raise BenchError(f"{self.name} does not listen on {port}; its last words:\n{self.last_words()}")
            time.sleep(0.002)
        return time.monotonic() - self.started

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]

    def usage(self) -> Usage:
        """CPU time and memory up to now; children that have ended are counted in."""
        family = _family(self._popen.pid)
        status = [_status(pid) for pid in family]
        return Usage(
            sum(_cpu_ticks(pid) for pid in family) / TICKS,
            sum(sizes.get("VmRSS", 0) for sizes in status),
            sum(sizes.get("VmHWM", 0) for sizes in status),
        )

    def stop(self) -> None:
        """SIGTERM, STOP_LIMIT to follow it, then SIGKILL to what is left of it and of its descendants."""
        family = _family(self._popen.pid)
        self._popen.terminate()
        try:
            self._popen.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for pid in family[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def pinned(command: Sequence[str], cores: frozenset[int]) -> list[str]:
    """A command that runs on these cores only; taskset replaces itself by it."""
    return ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether something listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _family(pid: int) -> list[int]:
    """A process and all its descendants, those that are gone meanwhile left out."""
    found, todo = [], [pid]
    while todo:
        member = todo.pop()
        found.append(member)
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                todo.extend(map(int, children.read_text().split()))
            except OSError:
                continue
    return [member for member in found if Path(f"/proc/{member}").exists()]


def _cpu_ticks(pid: int) -> int:
    """utime, stime, cutime and cstime (proc(5)); the command's name may contain anything but a last parenthesis."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def _status(pid: int) -> dict[str, int]:
    """The sizes in /proc/PID/status, in KiB."""
    sizes = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value.split()[0])
    return sizes
