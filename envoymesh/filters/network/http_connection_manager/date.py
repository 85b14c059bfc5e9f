"""The Date header's value, made once a second. Must not read a clock of its own."""

from __future__ import annotations

from email.utils import formatdate

from envoymesh.network.api import Dispatcher


class DateProvider:
    """Gives IMF-fixdate bytes (RFC 9110 section 5.6.7)."""

    __slots__ = ("_dispatcher", "_second", "_value")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._second = -1
        self._value = b""

    def value(self) -> bytes:
        """The current date, such as ``Mon, 06 Jul 2020 06:20:00 GMT``."""
        second = int(self._dispatcher.wall_time())
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True).encode()
        return self._value
