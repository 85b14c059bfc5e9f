"""Says when this process has no descriptors, memory or ports left for another connection: once, however often it fails.

It must not decide what is done about it: whoever met the shortage waits, or fails as a local failure.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
from typing import Final

from envoymesh.network.loop.dispatcher import LoopDispatcher

_log: Final = logging.getLogger("envoymesh.connection")

LOCAL_ERRORS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)
"""What the system answers when it is we who lack something; EADDRNOTAVAIL and EAGAIN: no source port is free."""

QUIET: Final = 3.0
"""Seconds without another failure after which a shortage counts as over: connections come and go at the limit."""


class Shortage:
    """What the listeners and the connector of one worker tell their failures to.

    Args:
        dispatcher: the worker's.
    """

    __slots__ = ("_began", "_dispatcher", "_last", "_timer")

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self._dispatcher = dispatcher
        self._began: float | None = None
        self._last = 0.0
        self._timer = dispatcher.create_timer(self._look)

    def note(self, what: str, error: OSError) -> None:
        """`what` failed because this process or machine has run out of something; `error` says of what."""
        self._last = self._dispatcher.now()
        if self._began is not None:
            return
        self._began = self._last
        self._timer.enable(QUIET)
        _log.warning("%s: %s%s. This is not said again until it is over", what, *_reason(error))

    def _look(self) -> None:
        began = self._began
        assert began is not None
        left = self._last + QUIET - self._dispatcher.now()
        if left > 0:
            self._timer.enable(left)
            return
        self._began = None
        _log.warning("connections are made and accepted again, after a shortage of %.1f s", self._last - began)

    def __repr__(self) -> str:
        return f"Shortage({'none' if self._began is None else 'now'})"


def _reason(error: OSError) -> tuple[str, str]:
    """What is lacking, and how much of it there is."""
    text = os.strerror(error.errno or 0)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return text, f" (their limit is {limit})" if error.errno == errno.EMFILE else ""
