"""The transcripts in README.md and docs/explain.md are what the commands say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoymesh.cli import main
from envoymesh.explain.route_test_file import load_tests
from tests.support.loggers import loggers_restored

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
COMMANDS = [r"envoymesh explain -c shop\.yaml", r"envoymesh check -c shop\.yaml"]


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    with loggers_restored():
        yield


@pytest.mark.parametrize("command", COMMANDS)
def test_transcripts(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(Path(__file__).parent / "data")
    block = re.search(rf"    \$ ({command}.*)\n((?:    .*\n)+)", README)
    assert block is not None
    main(shlex.split(block[1])[1:])
    left = capsys.readouterr().out.splitlines()
    for line in (each[4:] for each in block[2].splitlines() if each.strip() != "..."):
        assert line in left, f"not said (or not in this order): {line}"
        left = left[left.index(line) + 1 :]


def test_the_route_tests_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/explain.md").read_text(), re.DOTALL)
    assert block is not None
    file = tmp_path / "tests.yaml"
    file.write_text(block[1])
    assert [each.name for each in load_tests(str(file))] == ["a tenth sees the canary", "old pages"]
