"""Earliest deadline first: weighted round robin, pick for pick as Envoy's `EdfScheduler`.

Each entry is due one interval (the inverse of its weight) after it was put in, so that it comes as often as its weight
says, spread evenly. Equal deadlines come in the order in which entries were put in. This module must not know what its
entries are, nor keep their weights: a weight may be another one each time.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MAX_PICKS: Final = 429496729
"""Picks that a start at a random place goes through at the most (a tenth of what 32 bits hold)."""
_EPSILON: Final = 1e-13
"""Added to weights where picks are skipped by arithmetic, so that multiples of each other stay apart, as in Envoy."""


class EdfScheduler(Generic[T]):
    """A schedule of weighted entries; weights are positive."""

    __slots__ = ("_now", "_order", "_queue")

    def __init__(self) -> None:
        self._now = 0.0
        self._order = 0
        # Deadline, order of insertion, entry.
        self._queue: list[tuple[float, int, T]] = []

    def add(self, weight: float, entry: T) -> None:
        """Add an entry, due one interval of its weight from now."""
        heapq.heappush(self._queue, (self._now + 1.0 / weight, self._order, entry))
        self._order += 1

    def due(self) -> T:
        """The entry that is due; time moves on to it. Errors: IndexError where there is none."""
        first = self._queue[0]
        self._now = first[0]
        return first[2]

    def put_back(self, weight: float, entry: T) -> None:
        """Put back what `due` gave, with its weight from now on."""
        heapq.heapreplace(self._queue, (self._now + 1.0 / weight, self._order, entry))
        self._order += 1

    def start(self, entries: Sequence[T], weights: Sequence[float], picks: int) -> None:
        """Fill an empty schedule, as if so many picks had been made of it (`EdfScheduler::createWithPicks`).

        Most of them are skipped by arithmetic: each entry has been picked at least its share of times, rounded down.
        """
        picks %= _MAX_PICKS
        total = sum([weight + _EPSILON for weight in weights])
        done = 0
        latest = 0.0
        for order, entry in enumerate(entries):
            weight = weights[order] + _EPSILON
            own = int(weight * picks / total)
            if own > 0 and own / weight >= picks / total:
                own -= 1
            self._queue.append(((own + 1) / weight, order, entry))
            latest = max(latest, own / weight)
            done += own
        heapq.heapify(self._queue)
        self._now = latest
        self._order = len(entries)
        of_entry = {id(entry): weights[order] for order, entry in enumerate(entries)}
        for _ in range(picks - done):
            entry = self.due()
            self.put_back(of_entry[id(entry)], entry)
