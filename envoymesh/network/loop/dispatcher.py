"""The worker's loop as the rest of the proxy sees it: time, timers, deferred calls, and where stray exceptions end.

It must not know what runs on the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import trait

from envoymesh.network.api import Dispatcher, ExceptionHandler
from envoymesh.network.loop.timers import QueueTimer, TimerQueues

_log: Final = logging.getLogger("envoymesh.dispatcher")

GRACE: Final = 0.001
"""Seconds between the looks at a connection whose time is up: one pass of a busy loop."""

LOOKS: Final = 10
"""How many looks it gets: more than the passes that TCP, the transport and a TLS handshake take."""

_monotonic: Final = time.monotonic
_time: Final = time.time

REPORT_INTERVAL: Final = 1.0
"""Seconds for which an exception from one place in the code is logged once: peers may be able to cause it at will."""

_REMEMBERED_REPORTS: Final = 256


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop where it installs, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@trait
class Flushable:
    """An object that collects bytes during a turn of the loop, to be written at its end."""

    __slots__ = ()

    @abstractmethod
    def flush(self) -> None:
        """Write them. Must let no exception out."""


class LoopDispatcher(Dispatcher):
    """Implements `envoymesh.network.api.Dispatcher` on an event loop, and takes over the loop's exception handler.

    Args:
        loop: the worker's loop; whoever made it runs and closes it.
    """

    __slots__ = ("_reported", "_timers", "_to_flush", "errors", "loop", "on_error")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.errors = 0
        self._to_flush: list[Flushable] = []
        self.on_error: Callable[[], None] | None = None
        # When an exception was last logged, and how many of its kind were not since, by its place in the code.
        self._reported: dict[str, tuple[float, int]] = {}
        self._timers = TimerQueues(time.monotonic, loop.call_later, self._run)
        loop.set_exception_handler(self._loop_exception)

    def now(self) -> float:
        """Monotonic seconds."""
        return _monotonic()

    def wall_time(self) -> float:
        """Seconds since the epoch."""
        return _time()

    def create_timer(self, callback: Callable[[], None], owner: ExceptionHandler | None = None) -> QueueTimer:
        """A disabled timer; `owner` hears of what its callback raises."""
        return self._timers.create(callback, owner)

    def post(self, callback: Callable[[], None]) -> None:
        """Call soon, in a later turn of the loop."""
        self.loop.call_soon(callback)

    def flush_later(self, connection: Flushable) -> None:
        """Flush at the end of this turn of the loop.

        One call of the loop serves all connections: uvloop writes each piece at once, and a system call for a head and
        another one for its body cost 12% of a small exchange.
        """
        if not self._to_flush:
            self.loop.call_soon(self._flush_all)
        self._to_flush.append(connection)

    def _flush_all(self) -> None:
        to_flush, self._to_flush = self._to_flush, []
        for connection in to_flush:
            connection.flush()

    def report(self, what: str, error: BaseException | None) -> None:
        """An exception that nobody expected: count it, and log it with its traceback, once in REPORT_INTERVAL."""
        self.errors += 1
        place = _place_of(error)
        now = _monotonic()
        last, silent = self._reported.get(place, (-REPORT_INTERVAL, 0))
        if now - last < REPORT_INTERVAL:
            self._reported[place] = (last, silent + 1)
        else:
            if len(self._reported) >= _REMEMBERED_REPORTS:
                self._reported.clear()
            self._reported[place] = (now, 0)
            again = f" (and {silent} times since it was last logged)" if silent else ""
            _log.critical("unexpected exception in %s%s", what, again, exc_info=error)
        if self.on_error is not None:
            self.on_error()

    def _run(self, timer: QueueTimer) -> None:
        try:
            timer.fire()
        except Exception as error:  # noqa: BLE001 one timer's mistake must not stop the others
            if timer.owner is None:
                self.report("a timer's callback", error)
            else:
                timer.owner.on_exception("a timer's callback", error)

    def _loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.report(str(context.get("message") or "the event loop"), context.get("exception"))

    def __repr__(self) -> str:
        return f"LoopDispatcher({type(self.loop).__module__}, errors={self.errors})"


def _place_of(error: BaseException | None) -> str:
    """The exception's kind, and the line that raised it."""
    traceback = None if error is None else error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return type(error).__name__
    return f"{type(error).__name__} {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
