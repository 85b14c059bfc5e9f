"""Ratios, targets and tables of the benchmark's report."""

from bench.report import markdown, plot_data
from bench.run import Outcome
from bench.scenarios import Figures, Scenario, choose
from bench.subjects import ENVOY, OURS


def scenario(name: str) -> Scenario:
    return choose([name])[0]


def load(cpu: float, p99: float | None = 1.0) -> Figures:
    return {"cpu": cpu, "rate": 1e6 / cpu, "p50": 0.5, "p99": p99, "peak": 40.0, "errors": 0}


def outcome() -> Outcome:
    rounds = {OURS: [load(80), load(45), load(30)], ENVOY: [load(100), load(50), load(20)]}
    return Outcome(scenario("h1-16"), rounds, {"nginx": "nginx is not installed"})


def test_ratios_are_taken_within_a_round() -> None:
    assert outcome().ratio(OURS, "cpu") == 0.9
    assert outcome().median(OURS, "cpu") == 45


def test_no_ratio_without_the_other() -> None:
    alone = Outcome(scenario("h1-16"), {OURS: [load(80)]})
    assert alone.ratio(OURS, "cpu") is None
    assert plot_data([alone]) == []


def test_an_unknown_figure_is_left_out() -> None:
    some = Outcome(scenario("h1-16"), {OURS: [load(80, None), load(80, 3.0)]})
    assert some.values(OURS, "p99") == [3.0]


def test_the_report() -> None:
    text = markdown([outcome()], [("machine", "a fast one")], "report.png")
    assert "- machine: a fast one" in text
    assert "![CPU per request, against Envoy](report.png)" in text
    assert "| h1-16 | CPU per request, ours / Envoy | 0.90 | 0.90 | met |" in text
    assert "| envoymesh | 0.90 | 45.0 (30.0 to 80.0) |" in text
    assert "Not here: nginx (nginx is not installed)." in text


def test_a_missed_target_says_by_how_much() -> None:
    missed = Outcome(scenario("chain"), {OURS: [load(150)], ENVOY: [load(100)]})
    assert "| chain | CPU per request, ours / Envoy | 1.00 | 1.50 | missed by 50% |" in markdown([missed], [], None)


def test_the_plot_has_all_subjects() -> None:
    assert plot_data([outcome()]) == [{"scenario": "h1-16", "ratios": {OURS: 0.9, ENVOY: 1.0}}]
