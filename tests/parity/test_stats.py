"""Stats by the same names: the sandbox's two configurations under the same traffic, ours beside the real Envoy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.stats_compare import Difference, compare_prometheus, compare_stats
from tests.parity.stats_mesh import TIERS
from tests.parity.stats_report import left_out, section, unlisted
from tests.parity.stats_run import Run, run_both

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

LEAST_SHARE = 0.95


@pytest.fixture(scope="module")
def runs(oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """(the real Envoy's, ours)."""
    return run_both(oracle, tmp_path_factory.mktemp("stats"))


@pytest.fixture(scope="module")
def text(runs: tuple[Run, Run]) -> dict[str, Difference]:
    (real, _), (ours, _) = runs
    return {tier: compare_stats(real[tier], ours[tier]) for tier in TIERS}


@pytest.fixture(scope="module")
def prometheus(runs: tuple[Run, Run]) -> dict[str, Difference]:
    (real, _), (ours, _) = runs
    return {tier: compare_prometheus(real[tier], ours[tier]) for tier in TIERS}


@pytest.mark.parametrize("tier", TIERS)
def test_names(text: dict[str, Difference], tier: str) -> None:
    found = text[tier]
    assert found.share >= LEAST_SHARE
    assert not unlisted(found.missing, "name")
    assert not found.extra


@pytest.mark.parametrize("tier", TIERS)
def test_types(text: dict[str, Difference], tier: str) -> None:
    assert not text[tier].types


@pytest.mark.parametrize("tier", TIERS)
def test_values(text: dict[str, Difference], tier: str) -> None:
    found = text[tier]
    assert len(unlisted(found.compared, "value")) > 300
    assert len(unlisted(found.moved, "value")) > 60  # the rest agrees at zero, which says little
    wrong = unlisted(list(found.values), "value")
    assert not {name: found.values[name] for name in wrong}


@pytest.mark.parametrize("tier", TIERS)
def test_prometheus_names_types_and_tags(
    text: dict[str, Difference], prometheus: dict[str, Difference], tier: str
) -> None:
    found = prometheus[tier]
    assert found.share >= LEAST_SHARE
    assert not found.extra
    assert not found.types
    # A name that /stats lacks is a series here, and nothing else is missing.
    assert len(found.missing) == len(text[tier].missing)


def test_what_admin_requests_add(runs: tuple[Run, Run]) -> None:
    (_, real), (_, ours) = runs
    assert real["http.admin.downstream_rq_total"] == 6
    assert ours == real


def test_every_reason_is_needed(text: dict[str, Difference]) -> None:
    missing = [name for found in text.values() for name in found.missing]
    unused = [entry for entry in left_out("name") if not any(entry.pattern.search(name) for name in missing)]
    assert not unused


def test_the_document_has_a_row_for_each_configuration(text: dict[str, Difference]) -> None:
    written = section(text)
    assert all(f"| {tier} |" in written for tier in TIERS)
    assert "no reason is known" not in written
