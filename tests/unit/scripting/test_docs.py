"""docs/filters.md's example, word for word: a filter that awaits a cluster and its test, in twenty lines together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/filters.md"
MOST_LINES = 20


def test_the_example_and_its_test(tmp_path: Path) -> None:
    written, test = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len([*written.splitlines(), *test.splitlines()]) <= MOST_LINES
    (tmp_path / "who.py").write_text(written)
    (tmp_path / "test_who.py").write_text(test)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_readme_shows_the_same_filter() -> None:
    written = re.search(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert written is not None
    shown = "".join(f"    {line}\n" for line in written[1].splitlines() if line)
    readme = DOCUMENT.parents[1].joinpath("README.md").read_text()
    assert shown in re.sub(r"\n\n+", "\n", readme)
