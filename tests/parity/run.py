"""Runs every case on a few pairs at once. Must not judge what it finds."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.parity.case import Case
from tests.parity.certificates import write_certificates
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
