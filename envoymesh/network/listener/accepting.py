"""What an accepted connection is before its filter chain is known: just accepted, or under inspection.

These are small and short-lived; what they find they tell the listener, and they must not decide anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from envoymesh.network.api import Timer
from envoymesh.network.connection.sockets import end_with_reset
from envoymesh.network.connection.tcp_connection import TcpConnection
from envoymesh.network.listener.filter import AcceptedSocket, ListenerFilterStatus
from envoymesh.network.settings import FilterChainSettings, ListenerSettings
from envoymesh.network.stats import ListenerStats


class Accepting(Protocol):
    """What this module needs of the listener."""

    settings: ListenerSettings
    stats: ListenerStats
    on_handshake_failed: Callable[[FilterChainSettings, bool], None]

    def admit(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """A connection was accepted."""

    def start_connection(
        self, transport: asyncio.Transport, accepted: AcceptedSocket | None, since: float, data: bytes = b""
    ) -> TcpConnection | None:
        """Its first bytes are known: `data`. It was accepted at `since`."""

    def now(self) -> float:
        """The time now."""

    def on_unmatched_end(self, accepted: AcceptedSocket, since: float) -> None:
        """A connection ended before it got a filter chain; `since` is monotonic seconds."""

    def hand_over(self, connection: TcpConnection, chain: FilterChainSettings) -> None:
        """A connection is usable."""

    def limit_inspection(self, callback: Callable[[], None]) -> Timer | None:
        """Start listener_filters_timeout."""


class Accepted(asyncio.Protocol):
    """A connection that was accepted just now; its successor takes the transport over at once.

    Args:
        listener: who accepted it.
    """

    __slots__ = ("_listener",)

    def __init__(self, listener: Accepting) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there: hand it to its successor."""
        try:
            self._listener.admit(cast(asyncio.Transport, transport))
        except Exception:
            # The loop reports it; the connection has no other owner yet.
            cast(asyncio.Transport, transport).abort()
            raise


class Inspected(asyncio.Protocol):
    """A connection that listener filters hold back: its bytes are kept until each of them has seen enough.

    Args:
        listener: who accepted it.
        transport: the connection's.
        accepted: what is known of it.
    """

    __slots__ = ("_accepted", "_at", "_data", "_filters", "_listener", "_started", "_timer", "_transport")

    def __init__(self, listener: Accepting, transport: asyncio.Transport, accepted: AcceptedSocket) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = transport
        self._accepted = accepted
        self._data = bytearray()
        self._filters = [make() for make in listener.settings.listener_filters]
        self._at = -1  # whose turn it is
        self._started = listener.now()
        listener.stats.downstream_pre_cx_active.inc()
        self._timer = listener.limit_inspection(self._timed_out)
        transport.set_protocol(self)
        self._run(ListenerFilterStatus.CONTINUE)

    def _run(self, status: ListenerFilterStatus) -> None:
        """Go on after a filter has answered: with the next one, with what has come, or with the connection."""
        while status is ListenerFilterStatus.CONTINUE:
            self._at += 1
            if self._at == len(self._filters):
                self._go_on()
                return
            current = self._filters[self._at]
            status = current.on_accept(self._accepted)
            if status is ListenerFilterStatus.STOP and self._data:
                status = current.on_data(self._accepted, self._data)
        if status is ListenerFilterStatus.CLOSE:
            self._close()

    def data_received(self, data: bytes) -> None:
        """Some of the first bytes."""
        self._data += data
        self._accepted.peeked = True
        self._run(self._filters[self._at].on_data(self._accepted, self._data))

    def eof_received(self) -> None:
        """The peer will not send the rest; the loop closes the transport."""
        if self._data and self._transport is not None:
            end_with_reset(self._transport)  # as where no chain matches

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer left before it had shown itself."""
        if self._transport is not None:
            self._listener.stats.downstream_listener_filter_remote_close.inc()
            self._done()
            self._listener.on_unmatched_end(self._accepted, self._started)

    def _timed_out(self) -> None:
        self._listener.stats.downstream_pre_cx_timeout.inc()
        if self._listener.settings.continue_on_listener_filters_timeout:
            self._go_on()
        else:
            self._close()

    def _go_on(self) -> None:
        transport = self._done()
        self._listener.start_connection(transport, self._accepted, self._started, bytes(self._data))

    def _close(self) -> None:
        transport = self._done()
        self._listener.on_unmatched_end(self._accepted, self._started)
        if self._data:
            end_with_reset(transport)  # as where no chain matches
        transport.close()

    def _done(self) -> asyncio.Transport:
        transport, self._transport = cast(asyncio.Transport, self._transport), None
        self._listener.stats.downstream_pre_cx_active.dec()
        if self._timer is not None:
            self._timer.disable()
        return transport
