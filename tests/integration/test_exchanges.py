"""Every exchange of the table: ours answers as the real Envoy did, and the real Envoy still does."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.integration.exchanges import CASES, RACES, Case
from tests.integration.harness import Proxy
from tests.integration.outcomes import EXPECTED_PATH, Outcome, run_all

EXPECTED: dict[str, Outcome] = json.loads(EXPECTED_PATH.read_text())


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return run_all(Proxy.ours, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, oracle: Path) -> dict[str, Outcome]:
    return run_all(partial(Proxy.real, oracle), tmp_path_factory.mktemp("real"))


def test_names_are_unique_and_all_are_recorded() -> None:
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names)) == sorted(EXPECTED)


@pytest.mark.parametrize("case", [case for case in CASES if not case.differs], ids=lambda case: case.name)
def test_ours_answers_as_envoy(case: Case, ours: dict[str, Outcome]) -> None:
    assert ours[case.name] == EXPECTED[case.name]


@pytest.mark.parametrize("case", [case for case in CASES if case.differs], ids=lambda case: case.name)
def test_where_ours_differs_it_still_ends(case: Case, ours: dict[str, Outcome]) -> None:
    outcome = ours[case.name]
    assert outcome["end"] == "FIN" or outcome["response"].startswith("HTTP/1.1 200"), outcome


@pytest.mark.oracle
@pytest.mark.parametrize(
    "case", [each for each in CASES if not each.differs and each.name not in RACES], ids=lambda case: case.name
)
def test_the_real_envoy_answers_as_recorded(case: Case, real: dict[str, Outcome]) -> None:
    assert real[case.name] == EXPECTED[case.name]
