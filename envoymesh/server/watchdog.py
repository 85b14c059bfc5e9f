"""Notices when the loop stood still: Envoy's watchdog, for the one thread that is main thread and worker at once.

A timer touches it every half miss timeout; a touch that comes late was a miss. Where a kill timeout is set, a loop that
stands still for as long ends the process, as Envoy's does; worker processes are ended by their parent instead.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from envoymesh.network.api import Dispatcher
from envoymesh.stats.server import WatchdogStats

SHORTEST_TOUCH_INTERVAL = 0.01
"""Seconds: a miss timeout of less than twice this is noticed no sooner."""


@dataclass(frozen=True, slots=True)
class WatchdogSettings:
    """An envoy.config.bootstrap.v3.Watchdog, with Envoy's defaults; all times are in seconds.

    Attributes:
        kill_timeout: None where it is not set; 0 is never.
        multikill_timeout: 0 is never.
        multikill_threshold: from 0 to 1.
    """

    miss_timeout: float = 0.2
    megamiss_timeout: float = 1.0
    kill_timeout: float | None = None
    max_kill_timeout_jitter: float = 0.0
    multikill_timeout: float = 0.0
    multikill_threshold: float = 0.0

    def kill_after(self, default: float, random: Callable[[], float]) -> float:
        """The kill timeout with its jitter, or the default where none is set; 0 is never."""
        timeout = default if self.kill_timeout is None else self.kill_timeout
        return timeout + random() * self.max_kill_timeout_jitter if timeout else 0.0


@dataclass(frozen=True, slots=True)
class Watchdogs:
    """The bootstrap's `watchdogs`, or its older `watchdog` for both."""

    main_thread: WatchdogSettings = WatchdogSettings()
    worker: WatchdogSettings = WatchdogSettings()

    def kill_after(self, random: Callable[[], float]) -> float:
        """For one process that is main thread and worker at once: the shorter kill timeout of those set; 0 is never."""
        wanted = [each.kill_after(0.0, random) for each in (self.main_thread, self.worker)]
        return min(filter(None, wanted), default=0.0)


class Lifeline:
    """Ends the process when `hold` has not been called for so long: each thread's stack on stderr, and exit code 1.

    It is a thread of faulthandler's, which needs no interpreter: a loop inside a C function is ended as well.

    Args:
        seconds: the time, exceeded by a quarter at most.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.interval = seconds / 4
        self._held: float | None = None

    def hold(self, now: float) -> None:
        """The loop runs; to be called once in each `interval`, in which it costs one thread's start."""
        if self._held is None or now - self._held >= self.interval:
            self._held = now
            faulthandler.dump_traceback_later(self._seconds + self.interval, exit=True)

    def cut(self) -> None:
        """From now on it does not end the process."""
        self._held = None
        faulthandler.cancel_dump_traceback_later()


class Watchdog:
    """Counts stalls in the structs it is given, each by its own settings.

    Args:
        watched: settings, and the structs that count by them.
        lifeline: held at each touch; None where nothing ends the process.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        watched: Sequence[tuple[WatchdogSettings, Sequence[WatchdogStats]]],
        lifeline: Lifeline | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._watched = watched
        self._lifeline = lifeline
        self._touched = 0.0
        # A miss may be longer than a mega miss, as in Envoy.
        shortest = min(min(each.miss_timeout, each.megamiss_timeout) for each, _ in watched)
        if lifeline is not None:
            shortest = min(shortest, lifeline.interval)
        self._interval = max(SHORTEST_TOUCH_INTERVAL, shortest / 2)
        self._timer = dispatcher.create_timer(self._touch)

    def start(self) -> None:
        """Begin to watch."""
        self._touched = self._dispatcher.now()
        self._timer.enable(self._interval)
        self._hold()

    def stop(self) -> None:
        """Stop watching."""
        self._timer.disable()
        if self._lifeline is not None:
            self._lifeline.cut()

    def _hold(self) -> None:
        if self._lifeline is not None:
            self._lifeline.hold(self._touched)

    def _touch(self) -> None:
        now = self._dispatcher.now()
        silence = now - self._touched
        self._touched = now
        self._timer.enable(self._interval)
        self._hold()
        # A timeout shorter than the interval can allow would count every touch.
        least = 2 * self._interval
        for settings, structs in self._watched:
            for stats in structs:
                if silence >= max(least, settings.miss_timeout):
                    stats.watchdog_miss.inc()
                if silence >= max(least, settings.megamiss_timeout):
                    stats.watchdog_mega_miss.inc()
