"""Runs every case on a few pairs at once. It must not know what is intended but by the list."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.parity.case import Case
from tests.parity.certificates import write_certificates
from tests.parity.compare import Difference, Intended, differences, unintended
from tests.parity.pair import Pair, Result

PAIRS = 5


def run_all(cases: Sequence[Case], oracle: Path, folder: Path, pairs: int = PAIRS) -> list[Result]:
    """What both did in every case, in the order of the cases.

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
    return [runner.results[case.id] for case in cases]


@dataclass(frozen=True)
class Findings:
    """Results, the differences in them, and those that the list does not cover."""

    results: list[Result]
    found: list[Difference]
    left: list[Difference]


def find_all(cases: Sequence[Case], oracle: Path, folder: Path, listed: Sequence[Intended]) -> Findings:
    """Run the cases; those with differences beyond the list once more, for a busy machine can be late."""
    results = {result.case.id: result for result in run_all(cases, oracle, folder / "first")}
    suspects = {each.case for result in results.values() for each in unintended(differences(result), listed)}
    if suspects:
        again = run_all([case for case in cases if case.id in suspects], oracle, folder / "second")
        results.update((result.case.id, result) for result in again)
    found = [each for result in results.values() for each in differences(result)]
    return Findings(list(results.values()), found, unintended(found, listed))


class _Runner:
    """Cases that wait, and results that have come."""

    def __init__(self, cases: Sequence[Case], oracle: Path, folder: Path, certificates: Path) -> None:
        self.results: dict[str, Result] = {}
        self.failures: list[BaseException] = []
        self._oracle, self._folder, self._certificates = oracle, folder, certificates
        self._waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        # What waits for a timer goes first, so that no pair is busy with it alone at the end.
        for case in sorted(cases, key=lambda each: -each.quiet):
            self._waiting.put(case)

    def work(self, number: int) -> None:
        """One pair's life."""
        try:
            with Pair(self._oracle, self._folder / str(number), self._certificates) as pair:
                while not self.failures:
                    case = self._waiting.get_nowait()
                    self.results[case.id] = pair.run(case)
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the run's
            self.failures.append(error)
