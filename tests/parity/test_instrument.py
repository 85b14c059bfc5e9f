"""The instrument itself: what it would overlook. No proxies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.parity.compare import names_nothing, read_list
from tests.parity.constants import is_constant
from tests.parity.measured import Measured, Tally, measured, stats_differences
from tests.parity.stats_kinds import kinds


def outcome(**stats: Any) -> dict[str, Any]:
    return {"open": stats.pop("open", {}), "stats": Measured(**stats)}


@pytest.mark.parametrize("pattern", ["*", "counter *", "response +*", "log +*", "end: * -> *", "upstream 2 -*", "**"])
def test_a_pattern_that_names_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(f'[[intended]]\ncases = ["a: b"]\ndiffers = ["{pattern}"]\nreason = "none"\n')
    with pytest.raises(ValueError, match="name the lines"):
        read_list(path)


@pytest.mark.parametrize("pattern", ["counter *.tx_reset: 0 -> 1", "response +GOAWAY *", "upstream -", "log code: *"])
def test_a_pattern_that_names_lines_is_taken(pattern: str) -> None:
    assert not names_nothing(pattern)


def test_an_entry_about_every_case_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text('[[open]]\ncases = ["*"]\ndiffers = ["counter a: 1 -> 0"]\nreason = "none"\n')
    with pytest.raises(ValueError, match="name the lines"):
        read_list(path)


@pytest.mark.parametrize("ours", [0.0, 0.3, 300_000.0])
def test_a_long_time_that_is_zero_or_of_another_unit_differs(ours: float) -> None:
    name = "cluster.up.upstream_rq_time"
    found = list(stats_differences(outcome(histograms={name: (1, 305.0)}), outcome(histograms={name: (1, ours)})))
    assert found == [f"time {name}: about 305 -> {ours:.0f}"]


def test_long_times_within_the_factor_are_counted_and_short_ones_are_not() -> None:
    long, short = "cluster.up.upstream_rq_time", "cluster.up.upstream_cx_connect_ms"
    tally = Tally()
    real = outcome(histograms={long: (1, 305.0), short: (1, 1.0)})
    ours = outcome(histograms={long: (1, 350.0), short: (1, 40.0)})
    assert list(stats_differences(real, ours, tally)) == []
    assert tally.times == {long: 1}
    assert tally.of("histogram") == (2, 2)


def test_each_kind_of_stat_differs_by_itself() -> None:
    real = outcome(counters={"cluster.up.a": 1}, gauges={"cluster.up.b": 2}, open={"http.test.c": 1})
    ours = outcome(counters={"cluster.up.a": 2}, gauges={}, histograms={"http.test.d": (3, 0.0)})
    assert list(stats_differences(real, ours)) == [
        "counter cluster.up.a: 1 -> 2", "open gauge http.test.c: 1 -> 0", "gauge cluster.up.b: 2 -> 0",
        "histogram http.test.d: 0 -> 3",
    ]  # fmt: skip


def test_what_grew_is_measured() -> None:
    before, now = Measured({"a": 3}, {}, {"h": (1, 5.0)}), Measured({"a": 5, "b": 0}, {"g": 7}, {"h": (3, 9.0)})
    assert now.since(before) == Measured({"a": 2}, {"g": 7}, {"h": (2, 4.0)})


def test_histograms_are_read_from_the_detailed_buckets() -> None:
    totals = [{"lower_bound": 300, "width": 10, "count": 2}, {"lower_bound": 0, "width": 0, "count": 1}]
    parts = [{"histograms": {"details": [{"name": "cluster.up.upstream_rq_time", "totals": totals}]}}]
    read = measured({}, {}, parts, lambda name: name)
    assert read.histograms == {"cluster.up.upstream_rq_time": (3, 610.0)}


def test_zero_constants_and_what_only_envoy_has_are_told_apart() -> None:
    names = {
        "cluster.up.upstream_rq_total": (5, 5), "cluster.up.upstream_rq_timeout": (0, 0),
        "cluster.up.upstream_cx_http3_total": (0, 0), "http2.nghttp2_downstream_connections": (1, ""),
    }  # fmt: skip
    assert kinds(names, ["cluster.up.upstream_rq_total"]) == (1, 1, 1)


def test_a_stat_that_ours_counts_is_no_constant() -> None:
    assert is_constant("cluster.up.upstream_cx_http3_total")
    assert not is_constant("cluster.up.upstream_rq_total")
