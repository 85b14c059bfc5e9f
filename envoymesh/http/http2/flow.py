"""Whose data goes next when the connection's window opens (RFC 9113 section 5.2): round robin, a frame a turn.

It must not know what streams send, nor of receiving.
"""

from __future__ import annotations

from abc import abstractmethod

from mypy_extensions import trait

from envoymesh.http.http2.frames import DEFAULT_WINDOW


@trait
class Sender:
    """A stream, as the scheduler sees it."""

    __slots__ = ()

    @abstractmethod
    def send_pending_frame(self) -> bool:
        """Send one frame of what waits; tells whether more could follow."""


class SendScheduler:
    """The connection's send window, and the streams that wait for it.

    A stream that waits for its own window only is not listed: `enqueue` it again when that opens.

    Attributes:
        window: bytes that the peer takes on this connection now.
        blocked: the connection's write buffer is full; what waits is better kept here than there.
    """

    __slots__ = ("_running", "_waiting", "blocked", "window")

    def __init__(self) -> None:
        self.window = DEFAULT_WINDOW
        self.blocked = False
        self._waiting: dict[Sender, None] = {}
        self._running = False

    def enqueue(self, stream: Sender) -> None:
        """The stream may have something to send: it takes its turn, at once where the window is open."""
        self._waiting[stream] = None
        self.run()

    def discard(self, stream: Sender) -> None:
        """The stream is gone."""
        self._waiting.pop(stream, None)

    def run(self) -> None:
        """Send while somebody waits, the window is open and the write buffer has room."""
        if self._running:
            return  # a stream's owner writes while its frame is sent: it is listed, and the loop below comes to it
        self._running = True
        waiting = self._waiting
        try:
            while waiting and self.window > 0 and not self.blocked:
                stream = next(iter(waiting))
                del waiting[stream]
                if stream.send_pending_frame():
                    waiting[stream] = None
        finally:
            self._running = False

    def __repr__(self) -> str:
        return f"<SendScheduler window={self.window} waiting={len(self._waiting)}>"
