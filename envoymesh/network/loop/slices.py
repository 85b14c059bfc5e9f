"""Long work in short slices: a little in each turn of the loop, so that others who are served there hardly wait.

A request takes two or three turns of the loop, so it waits longer by two or three slices. It must not know what the
work is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from envoymesh.network.api import Dispatcher

SLICE: Final = 0.0005
"""Seconds of a turn that all long work together takes, and whatever its last step takes beyond that."""

SHARE: Final = 0.125
LONGEST: Final = 0.002
"""Where turns are long, since the loop is busy, a slice is this share of a turn, up to so many seconds: somebody waits
for long work, too."""


class Slices:
    """The long work of one loop. Pieces of work take turns, each a slice at a time."""

    __slots__ = ("_dispatcher", "_left", "_posted", "_works")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._works: deque[Iterator[object]] = deque()
        self._posted = False
        self._left = 0.0

    def add(self, work: Iterator[object]) -> None:
        """Begin work in a later turn.

        Args:
            work: does a step, well below a millisecond, each time it is asked for its next item; the items themselves
                do not matter. An exception ends it and goes to the loop, which reports it.
        """
        self._works.append(work)
        self._post()

    def _post(self) -> None:
        if self._works and not self._posted:
            self._posted = True
            self._left = self._dispatcher.now()
            self._dispatcher.post(self._take_slice)

    def _take_slice(self) -> None:
        self._posted = False
        work = self._works.popleft()
        now = self._dispatcher.now
        began = now()
        end = began + min(LONGEST, max(SLICE, SHARE * (began - self._left)))
        try:
            for _ in work:
                if now() >= end:
                    self._works.append(work)
                    break
        finally:
            self._post()

    def __repr__(self) -> str:
        return f"Slices({len(self._works)} under way)"
