"""The CPU profiler of `/cpuprofiler`: samples the loop's thread and writes what it saw as a speedscope file.

A thread of its own looks at the loop's Python stack 100 times a second and weighs it with the CPU time that the loop's
thread has used since; where the platform does not tell CPU time, with wall time. The file is JSON for
https://www.speedscope.app (its "sampled" profile); any flame graph tool of that format opens it. It must not slow the
loop down by more than the look itself.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import IO, Any

_log = logging.getLogger("envoymesh.admin")

INTERVAL = 0.01
"""Seconds between two samples."""

MOST_SAMPLES = 360_000
"""An hour: what comes after is not kept."""

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class Samples:
    """Stacks with their weights, each frame and each stack kept once."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, str, int], int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}
        self._samples: list[int] = []
        self._weights: list[float] = []

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, frame: FrameType | None, seconds: float) -> None:
        """Note where a thread is, innermost frame given, and what time that stands for."""
        stack = []
        while frame is not None:
            code = frame.f_code
            key = (code.co_qualname, code.co_filename, code.co_firstlineno)
            stack.append(self._frames.setdefault(key, len(self._frames)))
            frame = frame.f_back
        stack.reverse()
        self._samples.append(self._stacks.setdefault(tuple(stack), len(self._stacks)))
        self._weights.append(seconds)

    def document(self, name: str) -> dict[str, Any]:
        """The speedscope document."""
        stacks = [list(stack) for stack in self._stacks]
        profile = {
            "type": "sampled",
            "name": name,
            "unit": "seconds",
            "startValue": 0,
            "endValue": sum(self._weights),
            "samples": [stacks[index] for index in self._samples],
            "weights": self._weights,
        }
        frames = [{"name": name, "file": file, "line": line} for name, file, line in self._frames]
        return {"$schema": _SCHEMA, "exporter": "envoymesh", "shared": {"frames": frames}, "profiles": [profile]}


class CpuProfiler:
    """Profiles the thread that makes it.

    Args:
        path: where the profile goes (`admin.profile_path`).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread_id = threading.get_ident()
        self._stopping = threading.Event()
        self._sampler: threading.Thread | None = None
        self._samples = Samples()
        self._file: IO[str] | None = None

    @property
    def enabled(self) -> bool:
        """Whether it samples."""
        return self._sampler is not None

    def start(self) -> bool:
        """Begin to sample; does nothing where that has begun. False when the file cannot be written."""
        if self._sampler is not None:
            return True
        try:
            self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115 it is written when the profile ends
        except OSError as error:
            _log.error("cannot write the CPU profile to %s: %s", self._path, error.strerror)
            return False
        self._samples = Samples()
        self._stopping.clear()
        self._sampler = threading.Thread(target=self._run, name="cpu_profiler", daemon=True)
        self._sampler.start()
        return True

    def stop(self) -> None:
        """End, and write the file; does nothing where it has not begun."""
        sampler, file = self._sampler, self._file
        if sampler is None or file is None:
            return
        self._stopping.set()
        sampler.join()
        self._sampler = self._file = None
        try:
            with file:
                json.dump(self._samples.document("envoymesh main thread"), file)
        except OSError as error:
            _log.error("cannot write the CPU profile to %s: %s", self._path, error.strerror)

    def _run(self) -> None:
        clock = cpu_clock(self._thread_id)
        before = clock()
        while not self._stopping.wait(INTERVAL) and len(self._samples) < MOST_SAMPLES:
            now = clock()
            if now > before:
                self._samples.add(sys._current_frames().get(self._thread_id), now - before)
                before = now


def cpu_clock(thread_id: int) -> Callable[[], float]:
    """A clock of the CPU seconds that a thread has used, or of wall time where there is no such clock (macOS)."""
    if sys.platform == "linux":
        clock_id = time.pthread_getcpuclockid(thread_id)
        return lambda: time.clock_gettime(clock_id)
    return time.perf_counter
