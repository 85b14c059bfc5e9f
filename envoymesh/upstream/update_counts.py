"""How changes of a cluster's hosts are counted (``cluster_manager.cluster_updated`` and its like).

Envoy holds changes of health alone back for `update_merge_window` after another change, and then applies them as one
(`ClusterManagerImpl::scheduleUpdate`). Here each counts at once for who picks hosts, and only figures tell of the
window. This module must not change anything but figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoymesh.stats.server import ClusterManagerStats

_NEVER: Final = -1e9


class UpdateCounts:
    """Those of one cluster.

    Args:
        window: seconds; 0 is none.
        now: monotonic seconds.
    """

    def __init__(self, stats: ClusterManagerStats, window: float, now: Callable[[], float]) -> None:
        self._stats = stats
        self._window = window
        self._now = now
        self._last: dict[int, float] = {}
        self._merged_until: dict[int, float] = {}

    def count_members(self, priority: int) -> None:
        """Hosts came or left."""
        self._stats.cluster_updated.inc()
        now = self._now()
        if self._merged_until.pop(priority, _NEVER) > now:
            self._stats.update_merge_cancelled.inc()
        self._last[priority] = now

    def count_health(self, priorities: int) -> None:
        """The health of hosts changed: so many priorities are looked at anew, whichever they are of."""
        for priority in range(priorities):
            self._count_health(priority)

    def _count_health(self, priority: int) -> None:
        stats, now = self._stats, self._now()
        if not self._window:
            stats.cluster_updated.inc()
        elif now - self._last.get(priority, _NEVER) > self._window:
            stats.cluster_updated.inc()
            stats.update_out_of_merge_window.inc()
            self._last[priority] = now
        elif self._merged_until.get(priority, _NEVER) <= now:
            stats.cluster_updated_via_merge.inc()
            self._merged_until[priority] = now + self._window
