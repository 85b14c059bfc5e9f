"""What every test may ask of the machine: a Docker engine, the real Envoy, a browser, a tool, compiled modules, wheels.

Where one is missing its tests skip, and the run says so once, loudly, at its end. When ENVOYMESH_REQUIRE (of docker,
oracle, tools, native, wheels, browser) names it, as .ci/run does, the missing thing is a failure instead. This file
must not know what the tests do with them.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRED = frozenset(word.strip() for word in os.environ.get("ENVOYMESH_REQUIRE", "").split(",") if word.strip())
NOT_TESTED = "NOT TESTED: "
INTERPRETED = "interpreted only: "
RUN_AGAIN = "run again"
"""The property of a test that tells what it had to do twice."""
COMPILED = "ENVOYMESH_TESTS_COMPILED"
ORACLE_DEFAULT = Path.home() / ".cache/envoymesh/oracle/bin/envoy"


# Here and not in a hook: other conftest.py import the package before any hook is called. Workers of pytest-xdist do not
# have the command line, but the environment.
if "--compiled" in sys.argv:
    os.environ[COMPILED] = "1"
if os.environ.get(COMPILED):
    from tests.support.compiled import activate

    activate()


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """--compiled: unit tests run on compiled modules (tests/support/compiled.py)."""
    parser.addoption("--compiled", action="store_true", help="run on the compiled data path that was built for tests")


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On compiled modules, leave out what says that it is `interpreted_only`; the summary counts it in one line."""
    if config.getoption("--compiled"):
        for item in items:
            marker = item.get_closest_marker("interpreted_only")
            if marker is not None:
                item.add_marker(pytest.mark.skip(reason=f"{INTERPRETED}{marker.args[0]}"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is left out on compiled modules."""
    _leave_out(config, items)


def _reasons(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    found: Counter[str] = Counter()
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if NOT_TESTED in reason:
            found[reason.partition(NOT_TESTED)[2]] += 1
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line about what this machine could not test, one for each thing that agreed only the second time."""
    again = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == RUN_AGAIN and getattr(report, "when", "") == "call"
    ]
    if again:
        terminalreporter.write_line(f"{len(again)} parity cases were run a second time:")
        terminalreporter.write_line("\n".join(f"    {each}" for each in again))
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = [each for each in skipped if isinstance(each.longrepr, tuple) and INTERPRETED in each.longrepr[2]]
    if left_out:
        terminalreporter.write_line(f"{len(left_out)} tests are for an interpreted data path only")
    reasons = _reasons(terminalreporter.stats.get("skipped", []))
    if reasons:
        words = "; ".join(f"{what} ({count} tests skipped)" for what, count in sorted(reasons.items()))
        terminalreporter.write_line(f"!!! NOT TESTED ON THIS MACHINE: {words}", red=True, bold=True)
