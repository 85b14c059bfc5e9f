"""Runs scenarios: subjects side by side, round by round, and keeps every figure.

All subjects of a scenario are up at the same time and loaded one after the other; each round turns the order round, so
that what drifts on the machine drifts for all. Ratios are taken within a round and only then reduced to a median.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.processes import BenchError
from bench.scenarios import Bench, Figures, Scenario, warm_up
from bench.subjects import ENVOY, Running, Site, Subject


@dataclass(slots=True)
class Outcome:
    """What became of a scenario.

    Args:
        rounds: subject name -> figures round by round.
        absent: subject name -> why there are no figures.
    """

    scenario: Scenario
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def values(self, subject: str, key: str) -> list[float]:
        """The known values of a column."""
        return [value for figures in self.rounds.get(subject, ()) if (value := figures.get(key)) is not None]

    def median(self, subject: str, key: str) -> float | None:
        """The median of a column, None without any value."""
        values = self.values(subject, key)
        return statistics.median(values) if values else None

    def ratio(self, subject: str, key: str, base: str = ENVOY) -> float | None:
        """The median over the rounds of subject / base, None where either is missing."""
        pairs = zip(self.rounds.get(subject, ()), self.rounds.get(base, ()), strict=False)
        ratios = [
            mine / its for figures, bases in pairs if (mine := figures.get(key)) is not None and (its := bases.get(key))
        ]
        return statistics.median(ratios) if ratios else None


def run_scenario(scenario: Scenario, subjects: Sequence[Subject], rounds: int, site: Site, bench: Bench) -> Outcome:
    """Measure a scenario with all subjects that can take part. One that fails is out, and the outcome says why."""
    outcome = Outcome(scenario)
    taking_part = list(_taking_part(scenario, subjects, outcome))
    with ExitStack() as stack:
        running = {}
        if not scenario.fresh:
            for subject in list(taking_part):
                try:
                    running[subject.name] = _start(subject, scenario, site, stack)
                    warm_up(scenario, running[subject.name], bench)
                except BenchError as error:
                    outcome.absent[subject.name] = str(error)
        for turn in range(rounds):
            for subject in taking_part if turn % 2 == 0 else reversed(taking_part):
                if subject.name in outcome.absent:
                    continue
                try:
                    figures = _measure(scenario, subject, running.get(subject.name), site, bench)
                except BenchError as error:
                    outcome.absent[subject.name] = str(error)
                else:
                    outcome.rounds.setdefault(subject.name, []).append(figures)
    return outcome


def _taking_part(scenario: Scenario, subjects: Iterable[Subject], outcome: Outcome) -> Iterable[Subject]:
    for subject in subjects:
        if scenario.only and subject.name not in scenario.only:
            continue
        reason = subject.missing() or subject.unfit(scenario.setup)
        if reason is None:
            yield subject
        else:
            outcome.absent[subject.name] = reason


def _start(subject: Subject, scenario: Scenario, site: Site, stack: ExitStack) -> Running:
    folder = Path(tempfile.mkdtemp(prefix=f"{scenario.name}-", dir=site.folder))
    running = subject.start(scenario.setup, replace(site, folder=folder))
    stack.callback(running.stop)
    return running


def _measure(scenario: Scenario, subject: Subject, running: Running | None, site: Site, bench: Bench) -> Figures:
    if running is not None:
        return scenario.measure(subject.name, running, bench)
    with ExitStack() as stack:
        return scenario.measure(subject.name, _start(subject, scenario, site, stack), bench)
