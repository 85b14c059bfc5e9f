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
from envoymesh.network.listener.client_hello import ClientHello, ClientHelloReader
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
        self, transport: asyncio.Transport, hello: ClientHello | None, accepted: float | None = None, data: bytes = b""
    ) -> TcpConnection | None:
        """Its first bytes are known: `data`. It was accepted at `accepted`, by default just now."""

    def now(self) -> float:
        """The time now."""

    def on_unmatched_end(self, transport: asyncio.Transport, accepted: float, hello: ClientHello | None) -> None:
        """A connection ended before it got a filter chain; `accepted` is monotonic seconds."""

    def hand_over(self, connection: TcpConnection, chain: FilterChainSettings) -> None:
        """A connection is usable."""

    def inspected(self, hello: ClientHello) -> None:
        """Count what was found."""

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


class Inspector(asyncio.Protocol):
    """Envoy's tls_inspector: holds back a connection's first bytes until they tell whether they are TLS, and for whom.

    Args:
        listener: who accepted it.
        transport: the connection's.
    """

    __slots__ = ("_accepted", "_data", "_listener", "_reader", "_timer", "_transport")

    def __init__(self, listener: Accepting, transport: asyncio.Transport) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = transport
        self._data = bytearray()
        self._reader = ClientHelloReader()
        self._accepted = listener.now()
        listener.stats.downstream_pre_cx_active.inc()
        self._timer = listener.limit_inspection(self._timed_out)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Some of the first bytes."""
        self._data += data
        hello = self._reader.feed(data)
        if hello is None:
            return
        self._listener.inspected(hello)
        if hello.too_large:
            self._listener.stats.downstream_listener_filter_error.inc()
            self._close()
            return
        self._go_on(hello)

    def eof_received(self) -> None:
        """The peer will not send the rest; the loop closes the transport."""
        if self._data and self._transport is not None:
            end_with_reset(self._transport)  # as where no chain matches

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer left before it had shown itself."""
        if self._transport is not None:
            self._listener.stats.downstream_listener_filter_remote_close.inc()
            self._listener.on_unmatched_end(self._done(), self._accepted, None)

    def _timed_out(self) -> None:
        self._listener.stats.downstream_pre_cx_timeout.inc()
        if self._listener.settings.continue_on_listener_filters_timeout:
            self._go_on(None)
        else:
            self._close()

    def _go_on(self, hello: ClientHello | None) -> None:
        transport = self._done()
        self._listener.start_connection(transport, hello, self._accepted, bytes(self._data))

    def _close(self) -> None:
        transport = self._done()
        self._listener.on_unmatched_end(transport, self._accepted, None)
        if self._data:
            end_with_reset(transport)  # as where no chain matches
        transport.close()

    def _done(self) -> asyncio.Transport:
        transport, self._transport = cast(asyncio.Transport, self._transport), None
        self._listener.stats.downstream_pre_cx_active.dec()
        if self._timer is not None:
            self._timer.disable()
        return transport
