"""Coroutines of filters, led without an event loop's task: what does not wait ends before `start` returns.

A coroutine may await a `Wait`, or a future of the loop (anything with `add_done_callback`). Who ends it early closes
it, so that its ``finally`` blocks run; they must not await. This module must not know what is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Wait(Generic[T]):
    """A value that comes later, for `await`."""

    __slots__ = ("_callbacks", "_error", "_on_cancel", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | None = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._on_cancel: Callable[[], None] | None = None

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """What stops the work that nobody waits for any more."""
        self._on_cancel = callback

    def succeed(self, value: T) -> None:
        """Here it is. Who waits goes on before this returns."""
        self._value = value
        self._end()

    def fail(self, error: Exception) -> None:
        """It will not come; the error is raised where it was awaited."""
        self._error = error
        self._end()

    def cancel(self) -> None:
        """Nobody waits any more."""
        stop, self._on_cancel = self._on_cancel, None
        if stop is not None and not self.done:
            stop()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call when it is there."""
        self._callbacks.append(callback)

    def _end(self) -> None:
        if self.done:
            return
        self.done = True
        self._on_cancel = None
        callbacks, self._callbacks = self._callbacks, []
        for each in callbacks:
            each(self)

    def __await__(self) -> Generator[Wait[T], None, T]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # it is done, so there is one


class Running:
    """One coroutine under way.

    Args:
        post: calls something in a later turn of the loop.
        on_end: told what it returned.
        on_error: told what it raised.
    """

    __slots__ = ("_active", "_awaited", "_coroutine", "_on_end", "_on_error", "_post", "ended")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        post: Callable[[Callable[[], None]], None],
        on_end: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._coroutine = coroutine
        self._post = post
        self._on_end = on_end
        self._on_error = on_error
        self._awaited: Any = None
        self._active = False
        self.ended = False

    def step(self, _: object = None) -> None:
        """Go on, to its end or to the next `await` that has to wait."""
        if self.ended:
            return
        self._awaited = None
        self._active = True
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            returned = end.value
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:  # noqa: BLE001 whoever made this decides what it costs
            self._finish(self._on_error, error)
            return
        except BaseException as error:  # noqa: BLE001 the CancelledError of a future that was awaited
            self._finish(self._on_error, RuntimeError(f"what was awaited was cancelled: {error!r}"))
            return
        else:
            self._active = False
            self._wait_for(awaited)
            return
        self._finish(self._on_end, returned)

    def _finish(self, tell: Callable[[Any], None], what: Any) -> None:
        self._active = False
        if not self.ended:
            self.ended = True
            tell(what)

    def _wait_for(self, awaited: Any) -> None:
        if self.ended:  # it was closed by something that it called
            self._coroutine.close()
        elif awaited is None:
            self._post(self.step)
        elif hasattr(awaited, "add_done_callback"):
            if hasattr(awaited, "_asyncio_future_blocking"):
                awaited._asyncio_future_blocking = False  # what a task would do: the future was awaited properly
            self._awaited = awaited
            awaited.add_done_callback(self.step)
        else:
            self._coroutine.close()
            self._finish(self._on_error, TypeError(f"a filter cannot await {awaited!r}"))

    def close(self) -> None:
        """End it where it stands; nobody is told. What its ``finally`` blocks raise comes out here."""
        if self.ended:
            return
        self.ended = True
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.cancel()
        if not self._active:
            self._coroutine.close()
