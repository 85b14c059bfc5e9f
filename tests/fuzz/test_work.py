"""Twice as much of whatever a hostile peer sends makes twice the calls, not four times. No clock is looked at."""

from __future__ import annotations

import pytest

from tests.fuzz.families import FAMILIES
from tests.fuzz.work import calls_ratio, count_calls, report

MOST = 2.25
"""Of calls at 2n to calls at n: linear work is 2, and a little more where a table of a thousand entries fills."""


@pytest.mark.parametrize("name", FAMILIES)
def test_work_is_linear_in_input(name: str) -> None:
    family = FAMILIES[name]
    _, ratio = calls_ratio(family.make, family.small)
    assert ratio <= MOST


def test_calls_are_counted() -> None:
    def squared(n: int) -> tuple[int, object]:
        return n, lambda: [len("x") for _ in range(n * n)]

    assert count_calls(squared(10)[1]) >= 100  # type: ignore[arg-type]
    assert calls_ratio(squared, 20)[1] > 3  # type: ignore[arg-type]


def test_the_report_names_the_worst() -> None:
    lines = report(["path of slashes", "http1 blank lines"]).splitlines()
    assert [line[:16].strip() for line in lines[1:3]] == ["path of slashes", "http1 blank line"]
    assert lines[-2].startswith("worst ratio of calls: ")
    assert lines[-1].startswith("worst ratio of CPU time: ")
