"""docs/testing.md is true: its files are written to a folder, and its tests run there as a person would run them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", re.M | re.S)
FILES = dict(BLOCK.findall((ROOT / "docs/testing.md").read_text()))
TEN_LINES = ("test_retry.py", "test_canary.py", "test_ejection.py")


def run(folder: Path, *words: str) -> str:
    """Run pytest there, without this repository's settings."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-p", "envoymesh.testing.plugin", "-q", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def count_of(*names: str) -> int:
    """How many tests there are in files of the document; one of them runs twice."""
    return sum(FILES[name].count("def test_") + FILES[name].count("parametrize") for name in names)


SHORT = [name for name in FILES if name.startswith("test_") and name != "test_mesh.py"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_on_ours(tmp_path: Path) -> None:
    assert f"{count_of(*SHORT)} passed" in run(written(tmp_path), *SHORT)


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.timeout(300)
def test_on_the_real_envoy(tmp_path: Path, oracle: Path) -> None:
    assert f"{count_of(*SHORT)} passed" in run(written(tmp_path), *SHORT, f"--envoymesh-envoy={oracle}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_mesh(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for name in ("docker-compose.yaml", "front-envoy", "service-envoy", "service", "certs"):
        (folder / name).symlink_to(ROOT / name)
    assert "1 passed" in run(folder, "test_mesh.py")


@pytest.mark.parametrize("name", TEN_LINES)
def test_under_ten_lines(name: str) -> None:
    assert len([line for line in FILES[name].splitlines() if line.strip()]) < 10
