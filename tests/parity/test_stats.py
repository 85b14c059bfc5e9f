"""Stats by the same names: the sandbox's two configurations under the same traffic, ours beside the real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.integration.harness import Proxy
from tests.parity.stats_compare import Difference, compare_prometheus, compare_stats
from tests.parity.stats_mesh import TIERS, MakeProxy, Snapshot, StatsMesh
from tests.parity.stats_report import left_out, section, unlisted

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

LEAST_SHARE = 0.95

# (tier) -> snapshot, and what the fixed sequence of admin requests added.
Run = tuple[dict[str, Snapshot], dict[str, int]]


def observe(make_proxy: MakeProxy, folder: Path) -> Run:
    with StatsMesh(make_proxy, folder) as mesh:
        mesh.drive()
        snapshots = {tier: mesh.snapshot(tier) for tier in TIERS}
        return snapshots, mesh.admin_growth()


@pytest.fixture(scope="module")
def runs(oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Run]]:
    """(the real Envoy's, ours), made at the same time."""
    with ThreadPoolExecutor(2) as pool:
        real = pool.submit(observe, partial(Proxy.real, oracle), tmp_path_factory.mktemp("real"))
        ours = pool.submit(observe, Proxy.ours, tmp_path_factory.mktemp("ours"))
        yield real.result(), ours.result()


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
    assert found.compared > 300
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
