"""Runs every case: those of one setup on one pair, those of the common one on a few pairs at once.

It must not know what is intended but by the list.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.parity.case import Case
from tests.parity.certificates import write_certificates
from tests.parity.compare import Difference, Intended, by_case, differences, unintended
from tests.parity.configuration import COMMON
from tests.parity.measured import Tally
from tests.parity.pair import Pair, Result
from tests.parity.setup import Setup

PAIRS = 5

NameValues = dict[str, tuple[int | str, int | str]]
"""Every stat of the common setup at the end of the run: its value in the real Envoy and in ours ("" for none)."""


def run_all(cases: Sequence[Case], oracle: Path, folder: Path, pairs: int = PAIRS) -> tuple[list[Result], NameValues]:
    """What both did in every case, in the order of the cases, and all names of the common setup's stats.

    Most of a case is waiting for silence, so several pairs share one processor well.
    """
    certificates = folder / "certificates"
    certificates.mkdir(parents=True, exist_ok=True)
    write_certificates(certificates)
    runner = _Runner(cases, oracle, folder, certificates)
    threads = [threading.Thread(target=runner.work, args=(number,)) for number in range(min(pairs, len(cases)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if runner.failures:
        raise runner.failures[0]
    return [runner.results[case.id] for case in cases], runner.names


@dataclass(frozen=True)
class Findings:
    """Results, the differences in them, and those that the list does not cover.

    Args:
        again: cases that differed beyond the list at first and were run once more, with what differed.
        tally: stats that were equal and not zero.
        names: every stat of the common setup.
    """

    results: list[Result]
    found: list[Difference]
    left: list[Difference]
    again: dict[str, list[str]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    names: NameValues = field(default_factory=dict)


def find_all(cases: Sequence[Case], oracle: Path, folder: Path, listed: Sequence[Intended]) -> Findings:
    """Run the cases; those with differences beyond the list once more, for a busy machine can be late."""
    first, names = run_all(cases, oracle, folder / "first")
    results = {result.case.id: result for result in first}
    suspects = by_case(each for result in first for each in unintended(differences(result), listed))
    if suspects:
        again, _ = run_all([case for case in cases if case.id in suspects], oracle, folder / "second")
        results.update((result.case.id, result) for result in again)
    tally = Tally()
    found = [each for result in results.values() for each in differences(result, tally)]
    return Findings(list(results.values()), found, unintended(found, listed), suspects, tally, names)


class _Runner:
    """Cases that wait, and results that have come."""

    def __init__(self, cases: Sequence[Case], oracle: Path, folder: Path, certificates: Path) -> None:
        self.results: dict[str, Result] = {}
        self.names: NameValues = {}
        self.failures: list[BaseException] = []
        self._oracle, self._folder, self._certificates = oracle, folder, certificates
        self._jobs: queue.SimpleQueue[tuple[Setup, list[Case]]] = queue.SimpleQueue()
        for job in _jobs([case for case in cases if case.setup is not None]):
            self._jobs.put(job)
        self._waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        # What waits for a timer goes first, so that no pair is busy with it alone at the end.
        for case in sorted((case for case in cases if case.setup is None), key=lambda each: -each.quiet):
            self._waiting.put(case)

    def work(self, number: int) -> None:
        """One thread's life: setups of their own, then a pair for the common one."""
        try:
            _until_empty(lambda: self._job(*self._jobs.get_nowait(), number))
            if not self._waiting.empty() and not self.failures:
                with self._pair(COMMON, f"common-{number}") as pair:
                    _until_empty(lambda: self._run(pair, self._waiting.get_nowait()))
                    self._keep_names(pair)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the run's
            self.failures.append(error)

    def _pair(self, setup: Setup, name: str) -> Pair:
        return Pair(self._oracle, self._folder / name, self._certificates, setup)

    def _job(self, setup: Setup, cases: list[Case], number: int) -> None:
        with self._pair(setup, f"{setup.name}-{number}-{len(self.results)}") as pair:
            for case in cases:
                self._run(pair, case)

    def _run(self, pair: Pair, case: Case) -> None:
        if not self.failures:
            self.results[case.id] = pair.run(case)

    def _keep_names(self, pair: Pair) -> None:
        real, ours = (side.names() for side in pair.sides)
        self.names = {name: (real.get(name, ""), ours.get(name, "")) for name in real.keys() | ours.keys()}


def _jobs(cases: Sequence[Case]) -> list[tuple[Setup, list[Case]]]:
    """Setups with their cases; one of a setup that is alone is a job of its own."""
    jobs: dict[tuple[str, str], tuple[Setup, list[Case]]] = {}
    for case in cases:
        assert case.setup is not None
        key = (case.setup.name, case.id if case.setup.alone else "")
        jobs.setdefault(key, (case.setup, []))[1].append(case)
    return list(jobs.values())


def _until_empty(step: Callable[[], None]) -> None:
    try:
        while True:
            step()
    except queue.Empty:
        return
