"""What every test may ask of the machine: a Docker engine, the real Envoy, a command-line tool, compiled modules.

Where one is missing its tests skip, and the run says so once, loudly, at its end. When ENVOYMESH_REQUIRE (of docker,
oracle, tools, native) names it, as .ci/run does, the missing thing is a failure instead. This file must not know what
the tests do with them.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRED = frozenset(word.strip() for word in os.environ.get("ENVOYMESH_REQUIRE", "").split(",") if word.strip())
NOT_TESTED = "NOT TESTED: "
ORACLE_DEFAULT = Path.home() / ".cache/envoymesh/oracle/bin/envoy"


def missing(kind: str, what: str) -> NoReturn:
    """End the test because `what` is not there: a failure when `kind` is required, else a skip."""
    if kind in REQUIRED:
        pytest.fail(f"{what}, and ENVOYMESH_REQUIRE names {kind}", pytrace=False)
    pytest.skip(f"{NOT_TESTED}{what}")


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A Docker engine answers and `docker compose` is version 2."""
    if not _answers("docker", "info"):
        missing("docker", "no Docker engine answers")
    if not _answers("docker", "compose", "version"):
        missing("docker", "docker compose (v2) is not installed")


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The real Envoy's program: $ENVOYMESH_ORACLE, or where .ci/run puts it."""
    path = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    if not os.access(path, os.X_OK):
        missing("oracle", f"the real Envoy is not at {path} (ENVOYMESH_ORACLE)")
    return path


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """A function: a command's name (curl, nghttp, h2load) -> its path."""

    def find(name: str) -> str:
        return shutil.which(name) or missing("tools", f"{name} is not installed")

    return find


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, so that its fixtures are made once; an xdist_group of its own goes first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(item.config.rootpath))))


def _reasons(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    found: Counter[str] = Counter()
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if NOT_TESTED in reason:
            found[reason.partition(NOT_TESTED)[2]] += 1
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line about what this machine could not test."""
    reasons = _reasons(terminalreporter.stats.get("skipped", []))
    if reasons:
        words = "; ".join(f"{what} ({count} tests skipped)" for what, count in sorted(reasons.items()))
        terminalreporter.write_line(f"!!! NOT TESTED ON THIS MACHINE: {words}", red=True, bold=True)
