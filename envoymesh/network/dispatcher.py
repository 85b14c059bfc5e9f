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

from envoymesh.network.api import Dispatcher
from envoymesh.network.timers import QueueTimer, TimerQueues

_log: Final = logging.getLogger("envoymesh.dispatcher")
_monotonic: Final = time.monotonic
_time: Final = time.time


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop where it installs, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@trait
class Flushable:
    """What collects bytes during a turn of the loop."""

    __slots__ = ()

    @abstractmethod
    def flush(self) -> None:
        """Write them. Must let no exception out."""


class LoopDispatcher(Dispatcher):
    """Implements `envoymesh.network.api.Dispatcher` on an event loop, and takes over the loop's exception handler.

    Args:
        loop: the worker's loop; whoever made it runs and closes it.
    """

    __slots__ = ("_timers", "_to_flush", "errors", "loop", "on_error")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.errors = 0
        self._to_flush: list[Flushable] = []
        self.on_error: Callable[[], None] | None = None
        self._timers = TimerQueues(time.monotonic, loop.call_later, self._run)
        loop.set_exception_handler(self._loop_exception)

    def now(self) -> float:
        """Monotonic seconds."""
        return _monotonic()

    def wall_time(self) -> float:
        """Seconds since the epoch."""
        return _time()

    def create_timer(self, callback: Callable[[], None]) -> QueueTimer:
        """A disabled timer."""
        return self._timers.create(callback)

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
        """An exception that nobody expected: log it with its traceback and count it."""
        self.errors += 1
        _log.critical("unexpected exception in %s", what, exc_info=error)
        if self.on_error is not None:
            self.on_error()

    def _run(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 one timer's mistake must not stop the others
            self.report("a timer's callback", error)

    def _loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.report(str(context.get("message") or "the event loop"), context.get("exception"))

    def __repr__(self) -> str:
        return f"LoopDispatcher({type(self.loop).__module__}, errors={self.errors})"
