"""Notices when the loop stood still: Envoy's watchdog, for the one thread that is main thread and worker at once.

A timer touches it every half miss timeout; a touch that comes late was a miss. It must not end the process.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.network.api import Dispatcher
from envoymesh.stats.server import WatchdogStats

MISS_TIMEOUT = 0.2
"""Seconds: the default of Watchdog.miss_timeout (bootstrap.v3)."""

MEGA_MISS_TIMEOUT = 1.0
"""Seconds: the default of Watchdog.megamiss_timeout."""

_TOUCH_INTERVAL = MISS_TIMEOUT / 2


class Watchdog:
    """Counts stalls in every struct it is given."""

    def __init__(self, dispatcher: Dispatcher, stats: Sequence[WatchdogStats]) -> None:
        self._dispatcher = dispatcher
        self._stats = stats
        self._touched = 0.0
        self._timer = dispatcher.create_timer(self._touch)

    def start(self) -> None:
        """Begin to watch."""
        self._touched = self._dispatcher.now()
        self._timer.enable(_TOUCH_INTERVAL)

    def stop(self) -> None:
        """Cease to watch."""
        self._timer.disable()

    def _touch(self) -> None:
        now = self._dispatcher.now()
        silence = now - self._touched
        self._touched = now
        self._timer.enable(_TOUCH_INTERVAL)
        if silence < MISS_TIMEOUT:
            return
        for stats in self._stats:
            stats.watchdog_miss.inc()
            if silence >= MEGA_MISS_TIMEOUT:
                stats.watchdog_mega_miss.inc()
