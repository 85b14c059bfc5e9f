"""Gives a codec bytes as a connection does: what it does not take comes again, before anything new.

feeder = Feeder(codec, lambda: wire.disabled == 0)
feeder.feed(b"...")      # until all is taken, or the codec has disabled reading
feeder.go_on()           # after it has enabled reading again
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Feeder:
    """The unread bytes of one connection. `turns` counts the codec's calls."""

    def __init__(self, codec: Any, reads: Callable[[], bool] = lambda: True) -> None:
        self._codec = codec
        self._reads = reads
        self.unread = b""
        self.turns = 0

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        self.unread += data
        self.go_on()

    def go_on(self) -> None:
        """Turns of the loop, until nothing is left to do."""
        while self.unread and self._reads():
            self.turn()

    def turn(self) -> None:
        """One turn."""
        data, self.unread = self.unread, b""
        self.turns += 1
        taken = self._codec.dispatch(data)
        assert 0 <= taken <= len(data)
        assert taken or not self._reads(), "a codec that takes nothing must have disabled reading"
        self.unread = data[taken:]
