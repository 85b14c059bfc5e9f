"""What the table says of figures, and where it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.adversarial.report import DOCUMENT, GROWTH_LIMIT, Figures, verdict, write
from tests.adversarial.soak import FLAT, Sample, Soak
from tests.adversarial.stage import Outcome

CALM = Figures(worst=10.0, p99=1.0, growth=100, failures=0, late=0, left={}, alive=True)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (CALM, "held"),
        (replace(CALM, worst=40.0), "held"),
        (replace(CALM, worst=40.1), "**waits**"),
        (replace(CALM, growth=GROWTH_LIMIT), "held"),
        (replace(CALM, growth=GROWTH_LIMIT + 1), "**memory**"),
        (replace(CALM, failures=2, late=3), "**2 probes not served; 3 late connections**"),
        (replace(CALM, left={"descriptors": 4}), "**left: descriptors 4**"),
        (replace(CALM, alive=False), "**the proxy ended**"),
    ],
)
def test_a_verdict(ours: Figures, said: str) -> None:
    assert verdict(CALM, ours) == said


def test_without_the_real_envoy_waits_are_not_judged() -> None:
    assert verdict(None, replace(CALM, worst=5000.0)) == "held"


def test_rounds_are_reduced_to_the_median_wait_and_the_most_memory() -> None:
    rounds = [
        Outcome({"kept": [1.0] * 99 + [worst]}, [], growth, {}, {"late": 1}, True)
        for worst, growth in ((9.0, 5), (50.0, 1), (7.0, 2))
    ]
    figures = Figures.of(rounds)
    assert (figures.worst, figures.growth, figures.late) == (9.0, 5, 3)


def test_a_table_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nz\n")
    write("x", "new", document)
    assert document.read_text() == "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nz\n"
    with pytest.raises(ValueError, match="no place for y"):
        write("y", "new", document)


@pytest.mark.parametrize("name", ["attacks", "soak"])
def test_the_page_has_a_place_for_each_table(name: str) -> None:
    assert f"<!-- {name}: begin -->" in DOCUMENT.read_text()


def test_a_soak_is_flat_or_says_what_grew() -> None:
    flat = Sample(0, 1000, 900, 20, 3, 0, 2, 500)
    assert not Soak(samples=[flat] * 9).faults
    grown = replace(flat, rss=1000 + FLAT["rss"] + 1, timers=4)
    assert Soak(samples=[flat] * 6 + [grown] * 3).faults == [f"rss +{FLAT['rss'] + 1}", "timers +1"]
    assert Soak(samples=[flat] * 8 + [replace(flat, streams=1)]).faults == ["1 streams at rest"]
