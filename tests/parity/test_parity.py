"""The gate: no difference between the real Envoy and ours but those on the list, and no entry that nothing needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RUN_AGAIN
from tests.parity.cases.table import AREAS, CASES
from tests.parity.compare import Difference, by_case, read_list, unused
from tests.parity.run import Findings, find_all

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    # Those of the instrument's upstreams are left to the collector where a peer went; no proxy is concerned.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def findings(oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """All cases, run once."""
    return find_all(CASES, oracle, tmp_path_factory.mktemp("parity"), read_list())


@pytest.mark.parametrize("area", AREAS)
def test_area(findings: Findings, area: str, record_property: Callable[[str, object], None]) -> None:
    for name, texts in findings.again.items():
        if name.startswith(f"{area}: "):
            record_property(RUN_AGAIN, f"{name} ({texts[0]})")
    left: list[Difference] = [each for each in findings.left if each.area == area]
    assert not left, "\n".join("\n    ".join([name, *texts]) for name, texts in by_case(left).items())


def test_list_has_no_entry_without_need(findings: Findings) -> None:
    assert [entry.cases for entry in unused(findings.found, read_list())] == []


def test_stats_that_moved_are_many(findings: Findings) -> None:
    """What is equal at zero is not counted here: a run that compared nothing would agree in everything."""
    least = {"counter": 150, "open gauge": 10, "gauge": 10, "histogram": 15}
    assert {kind: findings.tally.of(kind)[0] >= count for kind, count in least.items()} == dict.fromkeys(least, True)
    assert len(findings.tally.times) >= 5


def test_there_are_cases_enough() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 250
