"""Rates, percentiles and their history, all bounded. Pure: the time is given, in seconds of any clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

RATE_WINDOW = 5.0
LATENCY_WINDOW = 60.0
MOST_LATENCIES = 3000
HISTORY = 300
"""Values that are kept: five minutes at one a second."""


class Counts(NamedTuple):
    """What a counter pair stood at."""

    time: float
    requests: int
    errors: int


class Rate:
    """Requests and errors a second, from counters that only grow; one that fell was started anew."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: deque[Counts] = deque()

    def add(self, now: float, requests: int, errors: int) -> None:
        """The counters stand so now."""
        seen = self._seen
        if seen and (requests < seen[-1].requests or errors < seen[-1].errors):
            seen.clear()
        seen.append(Counts(now, requests, errors))
        while len(seen) > 2 and seen[1].time <= now - RATE_WINDOW:
            seen.popleft()

    def now(self) -> tuple[float, float]:
        """(requests, errors) a second over the last few seconds."""
        if len(self._seen) < 2:
            return 0.0, 0.0
        first, last = self._seen[0], self._seen[-1]
        seconds = max(last.time - first.time, 1e-3)
        return (last.requests - first.requests) / seconds, (last.errors - first.errors) / seconds


class Latencies:
    """Milliseconds of the last minute's requests."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=MOST_LATENCIES)

    def add(self, now: float, milliseconds: float) -> None:
        """A request has ended."""
        self._seen.append((now, milliseconds))

    def percentiles(self, now: float) -> tuple[float | None, float | None]:
        """(p50, p99); None where there was no request."""
        seen = self._seen
        while seen and seen[0][0] < now - LATENCY_WINDOW:
            seen.popleft()
        if not seen:
            return None, None
        ordered = sorted(ms for _, ms in seen)
        return at_rank(ordered, 0.5), at_rank(ordered, 0.99)


def at_rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * share // 1) - 1))]


class Moment(NamedTuple):
    """A node's or an edge's figures at one refresh."""

    time: float
    rps: float
    errors: float
    p50: float | None
    p99: float | None


class History:
    """The last HISTORY moments of each node and edge; what has not been seen for so long is forgotten."""

    def __init__(self) -> None:
        self._moments: dict[str, deque[Moment]] = {}

    def add(self, id_: str, moment: Moment) -> None:
        """A refresh."""
        self._moments.setdefault(id_, deque(maxlen=HISTORY)).append(moment)

    def forget(self, before: float) -> None:
        """Drop what was last seen before this time."""
        old = [id_ for id_, moments in self._moments.items() if moments[-1].time < before]
        for id_ in old:
            del self._moments[id_]

    def of(self, id_: str) -> dict[str, list[float | None]]:
        """One value a refresh, the oldest first, by the name of the figure."""
        moments = self._moments.get(id_, ())
        return {
            "times": [each.time for each in moments],
            "rps": [each.rps for each in moments],
            "errors": [each.errors for each in moments],
            "p50": [each.p50 for each in moments],
            "p99": [each.p99 for each in moments],
        }
