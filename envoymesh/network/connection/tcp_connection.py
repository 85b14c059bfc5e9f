"""A TCP connection over one asyncio (or uvloop) transport, accepted or connecting.

The rules:
- Bytes written before CONNECTED wait, bytes written or received once the close has begun are dropped.
- The close event goes to the handler exactly once. Who began decides between LOCAL and REMOTE.
- A handler's unexpected exception is reported with its traceback, and its connection is closed.
- A connection gets a bounded share of a turn of the loop: its handler is called once in a turn, and what the handler
  does not take waits here (`_unread`) for the next one, while the socket is not read.

`TlsConnection` puts TLS between the transport and the handler. This module must not know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Any, Final, cast

from envoymesh.metadata import Metadata
from envoymesh.network.api import (
    Address,
    CloseType,
    Connection,
    ConnectionEvent,
    ConnectionHandler,
    ConnectionPreface,
    ProxiedConnection,
    Timer,
    TlsInfo,
    WriteFilter,
)
from envoymesh.network.connection.no_handler import NO_HANDLER
from envoymesh.network.connection.sockets import Bytes, address_of, end_with_reset, remote_address_of, write_at_once
from envoymesh.network.loop.dispatcher import GRACE, LOOKS, Flushable, LoopDispatcher

FLUSH_NOW: Final = 65536
"""Bytes that may be collected in one turn of the loop before they are written at once."""

LARGEST_JOIN: Final = 8192
"""Bytes up to which pieces are joined for one write; more leave as they are by one writev: a third less at 16 KiB."""

SMALLEST_PIECE: Final = 256
"""Bytes that pieces have on average, at least, for a writev: a thousand tiny ones are joined."""

READ_SHARE: Final = 131072
"""Bytes that end a connection's share of a turn. uvloop reads up to 256,000 bytes at once and, where a read was full,
again in the same turn, 32 times."""

DELAYED_CLOSE_TIMEOUT: Final = 1.0

LAST_LOOKS: Final = 32
"""Reads of READ_SHARE bytes, or shares of a handler, that a connection gets at most after a write has failed."""

_NO_LIMIT: Final = (1 << 31) - 1
"""uvloop's watermarks are C ints."""

_ids: Final = itertools.count(1)


def as_protocol(connection: TcpConnection) -> asyncio.Protocol:
    """The connection as a loop takes it: by its methods, which is all that a loop asks for."""
    return cast(asyncio.Protocol, connection)


class TcpConnection(Connection, Flushable):
    """Implements `envoymesh.network.api.Connection`, and the asyncio protocol of its transport.

    Args:
        dispatcher: the worker's dispatcher.
        buffer_limit: per_connection_buffer_limit_bytes: the high watermark of the write buffer, half of it the low
            one; 0 is no limit.
    """

    __slots__ = (
        "_buffer_limit",
        "_close_timer",
        "_closing",
        "_collected",
        "_collected_size",
        "_delayed_close_timeout",
        "_dispatcher",
        "_half_close",
        "_handler",
        "_looks",
        "_open",
        "_peer_ended",
        "_read_disabled",
        "_receiver",
        "_suspended",
        "_transport",
        "_turn_posted",
        "_unflushed",
        "_unread",
        "_waiting",
        "_write_ended",
        "_write_filter",
        "abandon",
        "aborted",
        "bytes_received",
        "bytes_sent",
        "close_details",
        "closed",
        "delayed_close_timed_out",
        "direct_addresses",
        "established",
        "failure_reason",
        "filter_chain_name",
        "id",
        "listener_metadata",
        "listener_name",
        "local_address",
        "metadata",
        "on_closed",
        "preface",
        "proxied",
        "remote_address",
        "requested_server_name",
        "reset_by_peer",
        "start_time",
        "stream_info",
        "tls",
    )

    def __init__(self, dispatcher: LoopDispatcher, buffer_limit: int) -> None:
        self.id = next(_ids)
        self.local_address: Address | None = None
        self.remote_address: Address | None = None
        self.tls: TlsInfo | None = None
        self.requested_server_name = ""
        self.failure_reason = ""
        self.bytes_received = 0
        self.bytes_sent = 0
        self.closed = False
        self.close_details = ""
        self.delayed_close_timed_out = False
        self.reset_by_peer = False
        self.aborted = False
        self.start_time = 0.0
        self.stream_info: Any = None
        self.filter_chain_name = ""
        self.listener_name = ""
        self.metadata: Metadata | None = None
        self.proxied: ProxiedConnection | None = None
        self.direct_addresses: tuple[Address | None, Address | None] | None = None
        self.listener_metadata: dict[str, dict[str, Any]] | None = None
        self.established = False
        # Called once at the end of the connection, after the handler: the listener's book-keeping.
        self.on_closed: Callable[[TcpConnection], None] | None = None
        # What is written before anything else, TLS too; None is nothing.
        self.preface: ConnectionPreface | None = None
        # Ends the attempt to connect, while there is one.
        self.abandon: Callable[[], object] | None = None
        self._dispatcher = dispatcher
        self._buffer_limit = buffer_limit
        self._handler: ConnectionHandler = NO_HANDLER
        self._transport: asyncio.Transport | None = None
        self._receiver: ConnectionHandler = NO_HANDLER
        self._open = False
        self._waiting: list[Bytes] = []
        self._collected: list[Bytes] = []
        self._collected_size = 0
        self._read_disabled = 0
        self._closing: CloseType | None = None
        self._peer_ended = False
        self._half_close = False
        self._write_ended = False
        # With a write filter `_open` stays False, so that writes on other connections need not ask for one.
        self._write_filter: WriteFilter | None = None
        # The handler has had its share: the transport is paused until the next turn, or until it enables reading.
        self._suspended = False
        self._turn_posted = False
        self._unread = b""
        self._delayed_close_timeout = DELAYED_CLOSE_TIMEOUT
        self._close_timer: Timer | None = None
        self._unflushed = 0
        self._looks = 0

    # envoymesh.network.api.Connection

    @property
    def buffered(self) -> tuple[int, int]:
        """Bytes that wait: (received ones for the handler, written ones for the operating system)."""
        transport = self._transport
        written = self._collected_size + (0 if transport is None else transport.get_write_buffer_size())
        return len(self._unread), written

    def set_handler(self, handler: ConnectionHandler) -> None:
        """Who gets data and events."""
        if not self.closed:
            self._handler = handler
            if self._closing is None:
                self._receiver = handler

    def write(self, data: Bytes) -> None:
        """Queue bytes; batched into few system calls by the end of the loop turn."""
        self.bytes_sent += len(data)
        if self._open:
            self._collect(data)
        elif not (self.established or self.closed):
            self._waiting.append(data)
        elif self._write_filter is not None and self._may_write():
            self.bytes_sent -= len(data)  # counted when the filter passes it on, as it then is
            self._write_filter.on_write(bytes(data), False)

    def enable_half_close(self) -> None:
        """A FIN without close_notify is no cut."""
        self._half_close = True

    def write_end_stream(self) -> None:
        """Half-close: FIN, or TLS's close_notify, follows what is queued."""
        if not self._may_write():
            return
        if self._write_filter is None:
            self._end_writing()
        else:
            self._write_filter.on_write(b"", True)

    def set_write_filter(self, write_filter: WriteFilter) -> None:
        """Hand everything that is written to this filter; only for a connection that is established."""
        self._write_filter = write_filter
        self._open = False

    def write_unfiltered(self, data: bytes, end_stream: bool) -> None:
        """Queue bytes that have passed the write filter."""
        if self._may_write():
            if data:
                self.bytes_sent += len(data)
                self._collect(data)
            if end_stream:
                self._end_writing()

    def _may_write(self) -> bool:
        return self.established and not (self.closed or self._write_ended) and self._closing is None

    def _end_writing(self) -> None:
        self._write_ended = True
        self._open = False
        self._end_output()
        if self.closed:
            return  # a failed write has closed it
        if self._peer_ended:
            self._closing = CloseType.FLUSH_WRITE
            self._end_both()
        else:
            self._send_fin()

    def _end_both(self) -> None:
        """Both sides have ended: close when what is queued is out. As in Envoy, where the peer ended last and nothing
        is queued, the connection is closed at once, and counts as closed by the peer."""
        transport = cast(asyncio.Transport, self._transport)
        transport.close()
        if self._closing is None and not transport.get_write_buffer_size():
            self._finish(ConnectionEvent.REMOTE_CLOSE)
        elif self._delayed_close_timeout and not self.closed:
            self._arm_close_timer()

    def unread(self, data: bytes) -> None:
        """Bytes that come again, before anything new."""
        self._suspend(data)

    def read_disable(self, disable: bool) -> None:
        """Counted: True stops reading, as many False resume."""
        if self.closed:
            return
        if disable:
            self._read_disabled += 1
            if self._read_disabled == 1 and self._reading() and not self._suspended:
                cast(asyncio.Transport, self._transport).pause_reading()
            return
        if self._read_disabled == 0:
            raise AssertionError("read_disable(False) without its True")
        self._read_disabled -= 1
        if self._read_disabled == 0:
            if self._suspended:
                self._post_turn()
            elif self._reading():
                self._resume_reading()

    def set_delayed_close_timeout(self, seconds: float) -> None:
        """How long FLUSH_WRITE_AND_DELAY waits for the peer after the flush, and any flush for the peer to take
        something; 0 closes at once after a flush that may take any time (delayed_close_timeout)."""
        self._delayed_close_timeout = seconds

    def close(self, how: CloseType, details: str = "") -> None:
        """Begin to close; NO_FLUSH and ABORT_RESET are done on return, also after a flush was begun."""
        if self.closed:
            return
        self.close_details = self.close_details or details
        self.aborted = self.aborted or how is CloseType.ABORT_RESET
        now = how is CloseType.NO_FLUSH or how is CloseType.ABORT_RESET
        if now or not self.established:
            self._abort(reset=how is CloseType.ABORT_RESET)
            self._finish(ConnectionEvent.LOCAL_CLOSE)
        elif self._closing is None:
            self._begin_flush(how)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is up."""
        if self.closed:
            cast(asyncio.Transport, transport).abort()
            return
        self._transport = cast(asyncio.Transport, transport)
        self.local_address = address_of(transport.get_extra_info("sockname"))
        if self.remote_address is None:  # that of an upstream is known
            self.remote_address = remote_address_of(transport, self.local_address)
        limit = min(self._buffer_limit or _NO_LIMIT, _NO_LIMIT)
        self._transport.set_write_buffer_limits(high=limit, low=limit // 2)
        if self.preface is not None:
            self._write_preface(self.preface, self._transport)
        self._transport_ready()

    def _write_preface(self, preface: ConnectionPreface, transport: asyncio.Transport) -> None:
        # As in Envoy its bytes are not the connection's.
        transport.write(preface.preface(self.local_address, self.remote_address))

    def data_received(self, data: bytes) -> None:
        """Bytes from the transport."""
        size = len(data)
        self.bytes_received += size
        if self._closing is not None or self._read_disabled:
            self._unexpected(data)
            return
        taken = self._deliver(data)
        if taken < size or size >= READ_SHARE:
            self._suspend(data[taken:])

    def eof_received(self) -> bool:
        """The peer sent FIN. True keeps the transport open for what is still to be sent."""
        self._peer_ended = True
        if self._closing is CloseType.FLUSH_WRITE_AND_DELAY:
            return False
        if self._closing is None:
            self._tell("on_eof")
        if self._write_ended and self._closing is None and not self.closed:
            self._end_both()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if exc is not None and not self.start_time and self._reading():
            self._read_what_is_left()
        local = self._closing is not None and exc is None
        self.reset_by_peer = isinstance(exc, ConnectionResetError)
        self._finish(ConnectionEvent.LOCAL_CLOSE if local else ConnectionEvent.REMOTE_CLOSE)

    def _read_what_is_left(self) -> None:
        """The peer does not take what is written: but it may have said why, before it closed. A server that refuses a
        request by its head does so while the body is on its way. The transport is still there, and its socket open."""
        transport = cast(asyncio.Transport, self._transport)
        self._tell("on_write_failed")
        for _ in range(LAST_LOOKS):
            if not self._reading() or self._read_disabled:
                return
            try:
                data = os.read(transport.get_extra_info("socket").fileno(), READ_SHARE)
            except OSError:
                data = b""
            if data:
                self.data_received(data)
            elif self._suspended:
                self._take_turn()
            else:
                return

    def pause_writing(self) -> None:
        """The transport's buffer is above the high watermark."""
        if not self.closed:
            self._tell("on_above_write_buffer_high_watermark")

    def resume_writing(self) -> None:
        """The transport's buffer is at or below the low watermark."""
        if not self.closed and self._closing is None:
            self._tell("on_below_write_buffer_low_watermark")

    # The connector's and the listener's side.

    def limit_connect(self, seconds: float, on_timeout: Callable[[], None]) -> None:
        """Call `on_timeout` unless CONNECTED or the end comes within `seconds`."""
        self._close_timer = self._dispatcher.create_timer(on_timeout)
        self._close_timer.enable(seconds)

    def connect_failed(self, reason: str, local: bool = False) -> None:
        """The attempt to connect ended without a connection; `local`: because something was missing on this side."""
        self.failure_reason = reason
        self.abandon = None
        self._finish(ConnectionEvent.LOCAL_CLOSE if local else ConnectionEvent.REMOTE_CLOSE)

    # The share of a turn

    def _unexpected(self, data: bytes) -> None:
        """Bytes that come while nobody reads: after the close has begun, or at the very beginning, since a loop begins
        to read after `connection_made`, also where reading was paused in it."""
        if self._closing is not None:
            self._drop(len(data))
            return
        self._suspend(data)
        cast(asyncio.Transport, self._transport).pause_reading()

    def _drop(self, size: int) -> None:
        """Bytes that come after the close has begun are read for the peer's FIN behind them, a share in each turn."""
        if size >= READ_SHARE and self._transport is not None:
            self._transport.pause_reading()
            self._post_turn()

    def _dropped(self) -> bool:
        """Whether the close has begun; then what was paused by `_drop` is read on."""
        if self.closed or self._closing is None:
            return self.closed
        if self._closing is CloseType.FLUSH_WRITE_AND_DELAY:
            cast(asyncio.Transport, self._transport).resume_reading()
        return True

    def _deliver(self, data: bytes) -> int:
        """Hand bytes to the handler; returns how many it took, or all where it is of no use to ask it again."""
        try:
            return self._receiver.on_data(data)
        except Exception as error:  # noqa: BLE001 whatever the handler did, the loop and the others go on
            self._handler_failed("on_data", error)
            return len(data)

    def _suspend(self, rest: bytes) -> None:
        """The handler has had its share of this turn: `rest` waits, and the socket is not read."""
        if self.closed or self._closing is not None:
            return
        self._unread = self._unread + rest if self._unread else rest
        if not self._suspended:
            self._suspended = True
            if not self._read_disabled:
                cast(asyncio.Transport, self._transport).pause_reading()
        if not self._read_disabled:
            self._post_turn()

    def _post_turn(self) -> None:
        if not self._turn_posted:
            self._turn_posted = True
            self._dispatcher.post(self._take_turn)

    def _take_turn(self) -> None:
        """Go on where the last turn ended."""
        self._turn_posted = False
        if self._dropped() or self._read_disabled:
            return  # over, or to be posted again when reading is enabled
        data, self._unread = self._unread, b""
        if data:
            taken = self._deliver(data)
            self._suspend(data[taken:])
        elif self._reading():
            self._suspended = False
            self._resume_reading()

    # How it is done; TlsConnection overrides the first six.

    def _transport_ready(self) -> None:
        self._connected()

    def _resume_reading(self) -> None:
        cast(asyncio.Transport, self._transport).resume_reading()

    def _end_output(self) -> None:
        """Write the last bytes of TLS, where there is TLS, into the transport."""
        self.flush()

    def _send_fin(self) -> None:
        cast(asyncio.Transport, self._transport).write_eof()

    def _last_words(self) -> list[Bytes]:
        return self._collected

    def _connected(self) -> None:
        """CONNECTED: what waited goes out, and from now on writes go through."""
        self.abandon = None
        self.established = True
        self._stop_timer()
        transport = cast(asyncio.Transport, self._transport)
        if self._read_disabled:
            transport.pause_reading()
        waiting, self._waiting = self._waiting, []
        self._open = True
        for data in waiting:
            self._collect(data)
        self._event(ConnectionEvent.CONNECTED)

    def _collect(self, data: Bytes) -> None:
        if not self._collected:
            self._dispatcher.flush_later(self)
        self._collected.append(data)
        self._collected_size += len(data)
        if self._collected_size > FLUSH_NOW:
            self.flush()

    def flush(self) -> None:
        """Hand what was written in this turn of the loop to the operating system."""
        if self._collected and self._transport is not None:
            collected, self._collected = self._collected, []
            size, self._collected_size = self._collected_size, 0
            count = len(collected)
            if count > 1 and size > LARGEST_JOIN and size > count * SMALLEST_PIECE:
                self._transport.writelines(collected)
            else:
                self._transport.write(collected[0] if count == 1 else b"".join(collected))

    def _reading(self) -> bool:
        return self.established and not self.closed and self._closing is None and not self._peer_ended

    def _begin_flush(self, how: CloseType) -> None:
        """Write what is queued; FLUSH_WRITE_AND_DELAY then reads (and drops) until the peer's FIN or the timeout.

        As in Envoy no FIN is sent before: a peer that still sends would take it for the end, and its data for a reset.
        """
        transport = cast(asyncio.Transport, self._transport)
        if self._delayed_close_timeout == 0 or self._peer_ended:
            how = CloseType.FLUSH_WRITE
        if how is CloseType.FLUSH_WRITE:
            self._end_output()
        else:
            self.flush()
        if self.closed:
            return
        self._closing = how
        self._open = False
        self._receiver = NO_HANDLER
        if how is CloseType.FLUSH_WRITE:
            transport.close()
        elif self._read_disabled or self._suspended:
            transport.resume_reading()
        self._unread = b""
        if self._delayed_close_timeout:
            self._arm_close_timer()

    def _arm_close_timer(self) -> None:
        self._unflushed = cast(asyncio.Transport, self._transport).get_write_buffer_size()
        self._looks = LOOKS
        if self._close_timer is None:
            self._close_timer = self._dispatcher.create_timer(self._close_timeout)
        self._close_timer.enable(self._delayed_close_timeout)

    def _close_timeout(self) -> None:
        # While the peer still takes bytes, the wait begins anew, as in Envoy.
        transport = cast(asyncio.Transport, self._transport)
        unflushed = transport.get_write_buffer_size()
        if unflushed < self._unflushed:
            self._arm_close_timer()
            return
        # A busy loop fires its timers before it looks at its sockets: the peer may have room that we have not seen yet.
        if unflushed and self._looks and self._close_timer is not None:
            self._looks -= 1
            self._close_timer.enable(GRACE)
            return
        self.delayed_close_timed_out = True
        if unflushed:
            self._abort(reset=False)
        else:
            self._end_output()
            transport.close()
        self._finish(ConnectionEvent.LOCAL_CLOSE)

    def _stop_timer(self) -> None:
        if self._close_timer is not None:
            self._close_timer.disable()
            self._close_timer = None

    def _abort(self, reset: bool) -> None:
        if self.abandon is not None:
            abandon, self.abandon = self.abandon, None
            abandon()
        if self._transport is None:
            return
        # Bytes that Envoy would not have read yet are in the system's buffer there, which makes RST of its close.
        if reset or (self._unread and self._read_disabled and len(self._unread) == self.bytes_received):
            end_with_reset(self._transport)
        elif not self._peer_ended:
            write_at_once(self._transport, self._last_words())
        self._transport.abort()

    def _finish(self, event: ConnectionEvent) -> None:
        if self.closed:
            return
        self.closed = True
        self._open = False
        self._receiver = NO_HANDLER
        self._transport = None
        self._waiting = self._collected = []
        self._unread = b""
        self._stop_timer()
        handler, self._handler = self._handler, NO_HANDLER
        on_closed, self.on_closed = self.on_closed, None
        try:
            handler.on_event(event)
        except Exception as error:  # noqa: BLE001 the connection is gone already
            self._dispatcher.report(f"{self!r}: on_event of {handler!r}", error)
        try:
            if on_closed is not None:
                on_closed(self)
        except Exception as error:  # noqa: BLE001 a log's fault must not keep other connections from being closed
            self._dispatcher.report(f"{self!r}: on_closed", error)
        self.stream_info = None  # it refers to this connection

    def _event(self, event: ConnectionEvent) -> None:
        try:
            self._handler.on_event(event)
        except Exception as error:  # noqa: BLE001 as in data_received
            self._handler_failed("on_event", error)

    def _tell(self, what: str) -> None:
        try:
            getattr(self._handler, what)()
        except Exception as error:  # noqa: BLE001 as in data_received
            self._handler_failed(what, error)

    def _handler_failed(self, what: str, error: Exception) -> None:
        self._dispatcher.report(f"{self!r}: {what} of {self._handler!r}", error)
        self.close(CloseType.NO_FLUSH, "unexpected_exception")

    def __repr__(self) -> str:
        state = "closed" if self.closed else "closing" if self._closing else "open" if self._transport else "connecting"
        return f"<{type(self).__name__} C{self.id} {self.local_address} -> {self.remote_address} {state}>"
