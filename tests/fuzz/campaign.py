"""`make fuzz`: all targets in turn for so many seconds, by hypothesis and, where it is installed, by atheris.

Hypothesis runs in this process on the grammars, and makes what fails small. Atheris runs in a process of its own, with
the same grammars' inputs to begin with. It must not know what a target tests.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz import corpus
from tests.fuzz.failure import Failure, describe
from tests.fuzz.registry import find
from tests.fuzz.target import Target

ROUND = 20
"""Examples between two looks at the clock."""

SEEDS = 40
"""Inputs of each grammar that the guided fuzzer begins with, besides the corpus."""

GUIDED_END = 60
"""Seconds that the guided process may take beyond its time: for its seeds on a slow machine, and for one slow input."""


@dataclass
class Row:
    """What was done for one target. `seeds` are for the guided fuzzer."""

    target: str
    examples: int = 0
    guided: int = 0
    failures: list[Failure] = field(default_factory=list)
    seeds: list[bytes] = field(default_factory=list)

    def add(self, target: Target, data: bytes) -> None:
        """A failing input, unless one like it is known."""
        failure = describe(target.name, target.check, data)
        if failure.text not in [known.text for known in self.failures]:
            self.failures.append(failure)


def has_atheris() -> bool:
    """Whether coverage-guided fuzzing can be had."""
    return importlib.util.find_spec("atheris") is not None


def by_grammar(target: Target, row: Row, seconds: float) -> None:
    """Hypothesis, until the time is over or something fails."""
    end = time.monotonic() + seconds
    failing: list[bytes] = []

    def check(data: bytes) -> None:
        row.examples += 1
        if len(row.seeds) < SEEDS:
            row.seeds.append(data)
        try:
            target.check(data)
        except Exception:
            failing.append(data)
            raise

    while time.monotonic() < end:
        try:
            _quiet(ROUND)(given(target.inputs)(check))()
        except Exception:
            if not failing:
                raise  # the grammar's own fault
            row.add(target, failing[-1])
            return


def _quiet(examples: int) -> Any:
    phases = [Phase.generate, Phase.shrink]
    checks = list(HealthCheck)
    return settings(max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=checks)


def by_coverage(targets: list[Target], rows: dict[str, Row], seconds: float) -> None:
    """Atheris, until the time is over."""
    with tempfile.TemporaryDirectory() as place:
        names = [target.name for target in targets]
        _write_seeds(targets, rows, Path(place, "inputs"))
        command = [sys.executable, "-m", "tests.fuzz.guided", str(seconds), place, *names]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + GUIDED_END, check=False, errors="replace"
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError("the coverage-guided fuzzer does not end") from None
        report = Path(place, "report.json")
        artifacts = [path.read_bytes() for path in Path(place).glob("artifact-*")]
        for data in artifacts:
            target = targets[data[0] % len(targets)]
            text = "too long, or too much memory:\n" + done.stderr[-1000:]
            rows[target.name].failures.append(Failure(target.name, data[1:], text))
        if not artifacts and not report.exists():
            raise RuntimeError(f"the coverage-guided fuzzer ended with {done.returncode}:\n{done.stderr[-3000:]}")
        found = json.loads(report.read_text()) if report.exists() else {"executions": {}, "failures": []}
        for name, count in found["executions"].items():
            rows[name].guided = count
        for name, data in found["failures"]:
            rows[name].add(targets[names.index(name)], bytes.fromhex(data))


def _write_seeds(targets: list[Target], rows: dict[str, Row], folder: Path) -> None:
    folder.mkdir()
    for place, target in enumerate(targets):
        for number, data in enumerate([*corpus.load(target.name), *rows[target.name].seeds]):
            (folder / f"{target.name}-{number:04d}").write_bytes(bytes([place]) + data[: target.max_size])


def run(names: list[str], seconds: float) -> list[Row]:
    """Fuzz: each target by its grammar for its share of the time, then all of them by coverage."""
    guided = has_atheris()
    if not guided:
        print("!!! atheris is not installed: NO COVERAGE-GUIDED FUZZING, hypothesis alone", flush=True)
    share = seconds / (2 if guided else 1)
    targets = [find(name) for name in names]
    rows = {name: Row(name) for name in names}
    for target in targets:
        by_grammar(target, rows[target.name], share / len(names))
    if guided:
        by_coverage(targets, rows, share)
    return list(rows.values())


def table(rows: list[Row]) -> str:
    """What was done, a line each."""
    lines = [f"{'target':16} {'executions':>10} {'coverage-guided':>16} {'failures':>9}"]
    for row in rows:
        guided = str(row.guided) if row.guided else "no"
        lines.append(f"{row.target:16} {row.examples + row.guided:>10} {guided:>16} {len(row.failures):>9}")
    return "\n".join(lines)
