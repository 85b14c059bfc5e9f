"""Targets under atheris (libFuzzer): inputs that reach new code are changed further. A process of its own.

    python -m tests.fuzz.guided SECONDS FOLDER TARGET...

One process for all targets, for its start costs seconds: the first byte of an input says which target it is for. The
first inputs are in FOLDER/inputs. It must be the first that imports envoymesh, whose modules it instruments. What it
found is in FOLDER/report.json; what libFuzzer ended it for (a hang, too much memory) is in FOLDER/artifact-*.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import atheris  # type: ignore[import-not-found]

from tests.fuzz.registry import find
from tests.fuzz.target import Target

LONGEST = 20
"""Seconds that one input may take."""


class Run:
    """Counts executions, and keeps the inputs that fail: the fuzzer goes on behind them."""

    def __init__(self, names: list[str], seconds: float, folder: Path) -> None:
        with atheris.instrument_imports(include=["envoymesh"]):
            self.targets = [find(name) for name in names]
        self.folder = folder
        self.executions: Counter[str] = Counter()
        self.failures: dict[tuple[str, str], str] = {}
        self.end = time.monotonic() + seconds

    def __call__(self, data: bytes) -> None:
        if data:
            target = self.targets[data[0] % len(self.targets)]
            self.run(target, data[1 : 1 + target.max_size])
        if time.monotonic() > self.end:
            self.report()
            os._exit(0)  # libFuzzer has no other end that lets us speak

    def run(self, target: Target, data: bytes) -> None:
        """One execution; one failure is kept for each target and kind of exception."""
        self.executions[target.name] += 1
        try:
            target.check(data)
        except Exception as error:  # noqa: BLE001 whatever it is, it is what is looked for
            self.failures.setdefault((target.name, type(error).__name__), data.hex())

    def report(self) -> None:
        """Write what there is."""
        failures = [(name, data) for (name, _), data in self.failures.items()]
        (self.folder / "report.json").write_text(json.dumps({"executions": self.executions, "failures": failures}))


def main(seconds: str, place: str, *names: str) -> None:
    """Fuzz, and end the process."""
    folder = Path(place)
    run = Run(list(names), float(seconds), folder)
    most = max(target.max_size for target in run.targets) + 1
    limits = [f"-max_len={most}", f"-timeout={LONGEST}", f"-artifact_prefix={folder}/artifact-"]
    atheris.Setup([sys.argv[0], "-verbosity=0", *limits, str(folder / "inputs")], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
