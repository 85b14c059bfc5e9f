"""How a downstream connection ends that is to end without a loss.

HTTP/2 clients are told: GOAWAY. HTTP/1 has no word for it but an answer's `connection: close`, and a request may be on
its way. So when the process is about to end, the next answer says it; and a connection without a request is closed once
it has been idle for LEAVE_GRACE, which is at once for one that was idle that long already. A request that has begun to
arrive counts as one. This module must not know what codecs there are.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.filters.network.http_connection_manager.settings import DEFERRED_CLOSE
from envoymesh.http.codec import ServerCodec
from envoymesh.network.api import CloseType, Connection, Dispatcher, Timer

LEAVE_GRACE: Final = 0.5
"""Seconds within which a client that has just been answered asks again, if it goes on; also the time between the two
GOAWAYs, for requests that cross the first one (RFC 9113 section 6.8)."""

LAST_LOOK: Final = 0.001
"""Seconds from the decision to close until the close: the loop reads once more what has arrived."""


@trait
class LeavingConnection:
    """What this module needs of a downstream connection.

    Attributes:
        idle_since: monotonic seconds of the end of the last request.
        multiplexed: it speaks HTTP/2.
    """

    __slots__ = ()

    connection: Connection
    dispatcher: Dispatcher
    idle_since: float
    multiplexed: bool

    @property
    @abstractmethod
    def is_busy(self) -> bool:
        """Whether a request is under way, or has begun to arrive."""

    @abstractmethod
    def leave(self) -> None:
        """The process is about to end, and this connection should before it, without a loss."""

    @abstractmethod
    def close_after_requests(self) -> None:
        """Take no more requests, and close when those under way are answered."""


class Goodbye:
    """Announces the end, now and once more `seconds` later; the connection is closed after its last request.

    Attributes:
        timer: makes the second announcement; disabled, there is none.
    """

    __slots__ = ("_codec", "_manager", "timer")

    def __init__(self, manager: LeavingConnection, codec: ServerCodec, seconds: float) -> None:
        self._manager = manager
        self._codec = codec
        self.timer: Timer = manager.dispatcher.create_timer(self._end)
        codec.shutdown_notice()
        self.timer.enable(seconds)

    def _end(self) -> None:
        self._codec.go_away()
        self._manager.close_after_requests()


class IdleWatch:
    """Closes an HTTP/1 connection, or one that has not said yet what it speaks, when it is idle.

    Attributes:
        timer: disabled, the watch ends.
    """

    __slots__ = ("_decided", "_manager", "timer")

    def __init__(self, manager: LeavingConnection) -> None:
        self._manager = manager
        self._decided = False
        self.timer: Timer = manager.dispatcher.create_timer(self._look)
        self._look()

    def _look(self) -> None:
        manager = self._manager
        if manager.multiplexed:
            manager.leave()  # it is HTTP/2 after all
            return
        left = LEAVE_GRACE
        if not manager.is_busy:
            left += manager.idle_since - manager.dispatcher.now()
        if left > LAST_LOOK:
            self._decided = False
            self.timer.enable(left)
        elif not self._decided:
            self._decided = True
            self.timer.enable(LAST_LOOK)
        else:
            manager.connection.close(CloseType.FLUSH_WRITE, DEFERRED_CLOSE)
