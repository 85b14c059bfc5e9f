"""The retry priority `previous_priorities`: a retry keeps away from priorities that were tried (Envoy's
`PreviousPrioritiesRetryPriority`). It must not know retries, only hosts that were attempted."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import HostSet, PrioritySet
from envoymesh.upstream.lb.priorities import PriorityLoad, availability


class PreviousPriorities:
    """What one request has tried.

    Args:
        update_frequency: the load is worked out anew after each so many attempts.
    """

    __slots__ = ("_attempted", "_excluded", "_frequency", "_load")

    def __init__(self, update_frequency: int) -> None:
        self._frequency = update_frequency
        self._attempted: list[Host] = []
        self._excluded: set[int] = set()
        self._load: PriorityLoad | None = None

    def on_host_attempted(self, host: Host) -> None:
        """A try goes to this host."""
        self._attempted.append(host)

    def determine_priority_load(self, priority_set: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        """The load without the priorities that were tried; the original one where none is left."""
        attempts = len(self._attempted)
        if attempts < self._frequency:
            return original
        if attempts % self._frequency == 0:
            self._excluded |= {host.priority for host in self._attempted}
            self._load = self._adjusted(priority_set.host_sets)
        return original if self._load is None else self._load

    def _adjusted(self, host_sets: Sequence[HostSet]) -> PriorityLoad | None:
        health = [availability(each, len(each.healthy_hosts), False) for each in host_sets]
        degraded = [availability(each, len(each.degraded_hosts), True) for each in host_sets]
        left_healthy, left_degraded = self._without_excluded(health), self._without_excluded(degraded)
        if not any(left_healthy) and not any(left_degraded):
            # All have been tried: begin again.
            self._excluded.clear()
            self._attempted.clear()
            left_healthy, left_degraded = health, degraded
        total = min(100, sum(left_healthy) + sum(left_degraded))
        return None if total == 0 else _spread(left_healthy, left_degraded, total)

    def _without_excluded(self, available: Sequence[int]) -> list[int]:
        return [0 if priority in self._excluded else percent for priority, percent in enumerate(available)]


def _spread(health: Sequence[int], degraded: Sequence[int], total: int) -> PriorityLoad:
    """Percent by priority; what is left by rounding is given out in further rounds."""
    load = PriorityLoad([0] * len(health), [0] * len(degraded))
    left = 100
    while left > 0:
        for of_kind, available in ((load.healthy, health), (load.degraded, degraded)):
            for priority, percent in enumerate(available):
                more = min(left, percent * 100 // total)
                of_kind[priority] += more
                left -= more
    return load
