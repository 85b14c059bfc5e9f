"""Timers that cost a dictionary entry: one loop timer serves all of them.

The rules:
- Timers of one duration are due in the order in which they were enabled, so a queue for each duration needs no sorting.
- Only the earliest deadline over all queues is armed in the loop. Disabling never disarms: the wake-up then finds
  nothing due and arms the next, so a duration costs at most one needless wake-up for each time it passes.
- However many are due, TIMERS_SHARE of them fire in one turn of the loop, the others in the next ones.
- A duration that is not in use yet is rounded up to whole milliseconds, so jittered durations share queues.

This module must not import asyncio: the loop is a function that arms one timer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Final, Protocol

from envoymesh.network.api import ExceptionHandler, Timer

RESOLUTION: Final = 0.001
"""Seconds; what is due within half of it fires now."""

MAX_IDLE_QUEUES: Final = 64
"""Empty queues are kept for their next use up to this number of queues."""

TIMERS_SHARE: Final = 64
"""Timers that fire in one turn of the loop: those of a thousand connections that came together end together."""

NEVER: Final = math.inf


class Armed(Protocol):
    """A loop's timer."""

    def cancel(self) -> None:
        """Do not fire."""


class _Queue:
    """The enabled timers of one duration, in order of their deadlines (a dict keeps the order of insertion)."""

    __slots__ = ("seconds", "timers")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.timers: dict[QueueTimer, None] = {}


class QueueTimer(Timer):
    """Implements `envoymesh.network.api.Timer`."""

    __slots__ = ("_callback", "_queue", "_timers", "deadline", "owner")

    def __init__(self, timers: TimerQueues, callback: Callable[[], None], owner: ExceptionHandler | None) -> None:
        self._timers = timers
        self._callback = callback
        self.owner = owner
        self._queue: _Queue | None = None
        self.deadline = NEVER

    def enable(self, seconds: float) -> None:
        """(Re)start: fires once, `seconds` from now (resolution 1 ms)."""
        if self._queue is not None:
            del self._queue.timers[self]
        timers = self._timers
        queue = timers.queues.get(seconds)
        if queue is None:
            queue = timers.queue_for(seconds)
        self._queue = queue
        self.deadline = deadline = timers.now() + queue.seconds
        queue.timers[self] = None
        if deadline < timers.armed_for:
            timers.arm(deadline)

    def disable(self) -> None:
        """Do not fire. Harmless when not enabled."""
        queue = self._queue
        if queue is not None:
            self._queue = None
            del queue.timers[self]

    @property
    def enabled(self) -> bool:
        """Whether it will fire."""
        return self._queue is not None

    def fire(self) -> None:
        """Call back; the timer may be enabled again from within."""
        self._callback()

    def __repr__(self) -> str:
        return f"QueueTimer({self._callback!r}, {self.deadline if self._queue is not None else 'disabled'})"


class TimerQueues:
    """All timers of one loop.

    Args:
        now: monotonic seconds.
        call_later: arms one timer of the loop: seconds, callback.
        run: fires a timer and lets no exception out.
    """

    __slots__ = ("_armed", "_call_later", "_run", "armed_for", "now", "queues")

    def __init__(
        self,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Armed],
        run: Callable[[QueueTimer], None],
    ) -> None:
        self.now = now
        self._call_later = call_later
        self._run = run
        self.queues: dict[float, _Queue] = {}
        self.armed_for = NEVER
        self._armed: Armed | None = None

    def create(self, callback: Callable[[], None], owner: ExceptionHandler | None = None) -> QueueTimer:
        """A disabled timer."""
        return QueueTimer(self, callback, owner)

    def queue_for(self, seconds: float) -> _Queue:
        """The queue of a duration that has none by its own name: that of whole milliseconds, which may be new."""
        rounded = max(0.0, math.ceil(round(seconds / RESOLUTION, 6)) * RESOLUTION)
        queue = self.queues.get(rounded)
        if queue is None:
            queue = self.queues[rounded] = _Queue(rounded)
        return queue

    def arm(self, deadline: float) -> None:
        """Have the loop wake us at `deadline`, in place of any later time."""
        if self._armed is not None:
            self._armed.cancel()
        self.armed_for = deadline
        self._armed = self._call_later(max(0.0, deadline - self.now()), self._wake)

    def _wake(self) -> None:
        self._armed = None
        # While callbacks run, enable() must not arm: the next deadline is known only after them.
        self.armed_for = -NEVER
        for timer in self._due(self.now() + RESOLUTION / 2):
            # An earlier callback may have disabled this one, or enabled it for later.
            if timer.enabled and timer.deadline <= self.now() + RESOLUTION / 2:
                timer.disable()
                self._run(timer)
        self._drop_idle_queues()
        self.armed_for = NEVER
        deadline = self._earliest()
        if deadline != NEVER:
            self.arm(deadline)

    def _due(self, until: float) -> list[QueueTimer]:
        """Those that fire in this turn, the earliest first."""
        due: list[QueueTimer] = []
        for queue in self.queues.values():
            for timer in itertools.islice(queue.timers, TIMERS_SHARE):
                if timer.deadline > until:
                    break
                due.append(timer)
        due.sort(key=lambda timer: timer.deadline)
        return due[:TIMERS_SHARE]

    def _earliest(self) -> float:
        deadlines = [next(iter(queue.timers)).deadline for queue in self.queues.values() if queue.timers]
        return min(deadlines, default=NEVER)

    def _drop_idle_queues(self) -> None:
        if len(self.queues) > MAX_IDLE_QUEUES:
            self.queues = {seconds: queue for seconds, queue in self.queues.items() if queue.timers}
