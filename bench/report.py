"""Turns outcomes into what people read: Markdown tables, the targets, and the data of the plot.

It must not measure, and it judges nothing but the targets of its own table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.run import Outcome
from bench.scenarios import Column
from bench.subjects import ENVOY, OURS

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: `value(outcome)` is at most `limit`."""

    scenario: str
    text: str
    limit: float
    value: Callable[[Outcome], float | None]


def _to_envoy(outcome: Outcome) -> float | None:
    return outcome.ratio(OURS, outcome.scenario.columns[0].key)


def _own(key: str) -> Callable[[Outcome], float | None]:
    return lambda outcome: outcome.median(OURS, key)


def _to_cheapest_python_peer(outcome: Outcome) -> float | None:
    ratios = [ratio for peer in PYTHON_PEERS if (ratio := outcome.ratio(OURS, "cpu", peer)) is not None]
    return max(ratios, default=None)


PYTHON_PEERS = ("aiohttp", "proxy.py", "mitmproxy")
_CPU = "CPU per request, ours / Envoy"
TARGETS = (
    Target("h1-16", _CPU, 0.9, _to_envoy),
    Target("h1-256", _CPU, 0.9, _to_envoy),
    Target("chain", _CPU, 1.0, _to_envoy),
    Target("h2", _CPU, 1.0, _to_envoy),
    Target("tls", _CPU, 1.2, _to_envoy),
    Target("down-64k", _CPU, 1.2, _to_envoy),
    Target("down-10m", _CPU, 1.2, _to_envoy),
    Target("up-64k", _CPU, 1.2, _to_envoy),
    Target("up-10m", _CPU, 1.2, _to_envoy),
    Target("h1-16", "CPU per request, ours / cheapest Python peer", 1 / 3, _to_cheapest_python_peer),
    Target("paced", "p99 at the same rate, ours / Envoy", 1.5, _to_envoy),
    Target("start", "RSS idle, MiB", 80.0, _own("rss")),
    Target("start", "start to listening, ms", 600.0, _own("start")),
    Target("idle", "bytes per idle connection", 12 * 1024.0, _own("bytes")),
)


def markdown(outcomes: Sequence[Outcome], conditions: Sequence[tuple[str, str]], plot: str | None) -> str:
    """The whole report.

    Args:
        conditions: what was run on what, as pairs.
        plot: the picture's file name, None for none.
    """
    lines = ["# Benchmark", ""]
    lines += [
        "Medians of all rounds, with the lowest and the highest. Each round loads the subjects one after the other, in",
        "turned order; ratios are taken within a round. CPU is user and system time of the subject's processes.",
        "Written by `make bench`; bench/NOTES.md says what was tried, where time goes, what a second worker brings.",
        "",
        *(f"- {name}: {value}" for name, value in conditions),
        "",
    ]
    if plot is not None:
        lines += [f"![CPU per request, against Envoy]({plot})", ""]
    lines += _targets(outcomes)
    for outcome in outcomes:
        lines += _section(outcome)
    return "\n".join(lines).rstrip() + "\n"


def _targets(outcomes: Sequence[Outcome]) -> list[str]:
    by_name = {outcome.scenario.name: outcome for outcome in outcomes}
    rows = []
    for target in TARGETS:
        outcome = by_name.get(target.scenario)
        value = None if outcome is None else target.value(outcome)
        if value is not None:
            met = "met" if value <= target.limit else f"missed by {(value / target.limit - 1) * 100:.0f}%"
            rows.append([target.scenario, target.text, _number(target.limit, 2), _number(value, 2), met])
    if not rows:
        return []
    return ["## Targets", "", *_table(["scenario", "what", "at most", "measured", ""], rows), ""]


def _section(outcome: Outcome) -> list[str]:
    scenario = outcome.scenario
    columns = scenario.columns
    head = ["subject", f"{columns[0].title} / {ENVOY}'s", *(column.title for column in columns)]
    rows = []
    for subject in outcome.rounds:
        ratio = outcome.ratio(subject, columns[0].key)
        rows.append([subject, _number(ratio, 2), *(_spread(outcome, subject, column) for column in columns)])
    lines = [f"## {scenario.name}: {scenario.title}", "", *_table(head, rows), ""]
    if outcome.absent:
        # A reason may be long (a program's last words): its first line says it.
        reasons = (f"{name} ({reason.splitlines()[0]})" for name, reason in outcome.absent.items())
        lines += [f"Not here: {'; '.join(reasons)}.", ""]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def _spread(outcome: Outcome, subject: str, column: Column) -> str:
    values = outcome.values(subject, column.key)
    middle = _number(outcome.median(subject, column.key), column.digits)
    if len(values) < 2:
        return middle
    return f"{middle} ({_number(min(values), column.digits)} to {_number(max(values), column.digits)})"


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:,.{digits}f}"


def plot_data(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What bench/plot.py draws: for each load scenario, each subject's CPU per request against Envoy's."""
    data = []
    for outcome in outcomes:
        key = outcome.scenario.columns[0].key
        ratios = {name: ratio for name in outcome.rounds if (ratio := outcome.ratio(name, key)) is not None}
        if key == "cpu" and ratios:
            data.append({"scenario": outcome.scenario.name, "ratios": ratios})
    return data
