"""A new environment with a wheel in it, for those who look at what a wheel brings along. uv makes it in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from release.wheels import ROOT, TOOLS, build


def with_pure_wheel(folder: Path, *options: str) -> Path:
    """Make an environment below `folder` with a pure wheel of these sources and its dependencies; gives its python.

    Args:
        options: of `uv pip install`, for the dependencies.

    Errors: subprocess.CalledProcessError, after uv's own words.
    """
    environment = folder / "environment"
    python = environment / "bin/python"
    wheel = build("pure", folder / "wheel")
    _uv("venv", "--python", sys.executable, str(environment))
    # First the dependencies as the project itself names them: those of a wheel are no direct ones to uv.
    _uv("pip", "install", "--python", str(python), *options, "-r", str(ROOT / "pyproject.toml"))
    _uv("pip", "install", "--python", str(python), "--no-deps", str(wheel))
    return python


def frozen(python: Path) -> list[str]:
    """NAME==VERSION of everything in an environment but the package itself."""
    command = [str(TOOLS / "uv"), "pip", "freeze", "--python", str(python)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("envoymesh ")]


def conflicts(python: Path) -> str:
    """What `uv pip check` says against an environment; empty for nothing."""
    command = [str(TOOLS / "uv"), "pip", "check", "--python", str(python)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def _uv(*words: str) -> None:
    subprocess.run([str(TOOLS / "uv"), *words, "--quiet"], check=True)
