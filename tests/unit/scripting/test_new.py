"""`envoymesh new filter`: what it writes passes its own test, and the YAML that it tells makes a proxy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from envoymesh.cli import main
from envoymesh.filters.http.python.config import KIND
from envoymesh.scripting.script import Script


def test_what_is_written_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "filter", "say_hello", "--folder", str(tmp_path)]) == 0
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "3 passed" in run.stdout, run.stdout + run.stderr
    (entry,) = yaml.safe_load(capsys.readouterr().out)
    value = entry["typed_config"]["value"]
    assert entry["is_optional"] is True
    script = Script(value["file"], KIND, "", value["config"], Path(value["file"]).read_bytes())
    assert script.current.cls.__name__ == "SayHello"


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_mine.py").write_text("mine")
    assert main(["new", "filter", "mine", "--folder", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["test_mine.py"]


@pytest.mark.parametrize("name", ["", "Über", "a-b", "class", "../x", "1a"])
def test_names_are_files_names(tmp_path: Path, name: str) -> None:
    assert main(["new", "filter", name, "--folder", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []
