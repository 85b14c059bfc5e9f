"""How work grows with what a hostile peer (or user) sends: each family of inputs at n and at 2n, side by side.

Calls are counted, of Python and of C, which is the same on any machine: `test_work.py` holds their ratio to two. They
do not see bytes that one call copies again and again: for that, processor time at a large n is printed, and not
asserted. A ratio of 2 is linear work, one of 4 is quadratic.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fuzz import families

Run = Callable[[], object]

REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """One family: bytes, calls and seconds at n, and ratios of 2n to n."""

    name: str
    size: int
    calls: int
    calls_ratio: float
    seconds: float
    seconds_ratio: float


def count_calls(run: Run) -> int:
    """Calls of functions of Python and of C."""
    calls = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


def seconds_of(make: Callable[[int], tuple[int, Run]], n: int) -> float:
    """Processor time of one run: the least of a few, each on something new."""
    found = []
    for _ in range(REPEATS):
        _, run = make(n)
        gc.collect()
        gc.disable()
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
        gc.enable()
    return min(found)


def calls_ratio(make: Callable[[int], tuple[int, Run]], n: int) -> tuple[int, float]:
    """Calls at n, and the ratio of those at 2n to them. A first run fills what is remembered for ever."""
    make(2 * n)[1]()
    once, twice = (count_calls(make(count)[1]) for count in (n, 2 * n))
    return once, twice / once


def measure(name: str) -> Measured:
    """One family, at its large size."""
    family = families.FAMILIES[name]
    calls, ratio = calls_ratio(family.make, family.small)
    once, twice = (seconds_of(family.make, count) for count in (family.large, 2 * family.large))
    return Measured(name, family.make(family.large)[0], calls, ratio, once, twice / max(once, 1e-6))


def report(names: list[str]) -> str:
    """The table, with the worst ratios last."""
    rows = [measure(name) for name in names or families.FAMILIES]
    lines = [f"{'family':34} {'calls':>8} {'2n/n':>6} {'bytes':>9} {'CPU ms':>8} {'ns/byte':>8} {'2n/n':>6}"]
    for row in rows:
        per_byte = row.seconds * 1e9 / row.size
        lines.append(
            f"{row.name:34} {row.calls:>8} {row.calls_ratio:>6.2f} {row.size:>9} {row.seconds * 1e3:>8.1f} "
            f"{per_byte:>8.0f} {row.seconds_ratio:>6.2f}"
        )
    calls = max(rows, key=lambda row: row.calls_ratio)
    seconds = max(rows, key=lambda row: row.seconds_ratio)
    lines.append(f"worst ratio of calls: {calls.calls_ratio:.2f} ({calls.name})")
    lines.append(f"worst ratio of CPU time: {seconds.seconds_ratio:.2f} ({seconds.name})")
    return "\n".join(lines)
