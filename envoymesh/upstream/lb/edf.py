"""Earliest deadline first: weighted round robin (Envoy's `EdfScheduler`).

Each entry's deadline moves by the inverse of its weight when picked, so that in any window an entry comes
as often as its weight says, spread evenly. Equal deadlines come in the order of insertion.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class EdfScheduler(Generic[T]):
    """A schedule of weighted entries; weights are positive."""

    __slots__ = ("_now", "_order", "_queue")

    def __init__(self) -> None:
        self._now = 0.0
        self._order = 0
        # Deadline, order of insertion, weight, time of adding, picks, entry.
        self._queue: list[tuple[float, int, float, float, int, T]] = []

    def add(self, weight: float, entry: T) -> None:
        """Add an entry, due one interval of its weight from now."""
        self._order += 1
        heapq.heappush(self._queue, (self._now + 1 / weight, self._order, weight, self._now, 1, entry))

    def pick(self) -> T:
        """The entry that is due, which is put back at once. Errors: IndexError when there is none."""
        self._now, _, weight, added, picks, entry = self._queue[0]
        self._order += 1
        # A sum of intervals would drift, and equal deadlines would then come in a changing order.
        deadline = added + (picks + 1) / weight
        heapq.heapreplace(self._queue, (deadline, self._order, weight, added, picks + 1, entry))
        return entry
