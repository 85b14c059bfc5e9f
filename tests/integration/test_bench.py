"""The benchmark runs: one tiny scenario from end to end. How fast anything is is not looked at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_quick_run_measures_our_proxy(tool: Callable[[str], str], tmp_path: Path) -> None:
    for name in ("wrk", "h2load", "nginx", "taskset"):
        tool(name)
    command = [sys.executable, "-m", "bench", "--quick", "--scenario", "chain", "--subject", "envoymesh"]
    done = subprocess.run(
        [*command, "--output", tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| envoymesh |" in (tmp_path / "REPORT.md").read_text()


def test_an_unknown_scenario_is_named(tool: Callable[[str], str]) -> None:
    for name in ("wrk", "h2load", "nginx", "taskset"):
        tool(name)
    command = [sys.executable, "-m", "bench", "--quick", "--scenario", "nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("bench: no such scenario: nonsense; there are h1-1, ")
