"""TLS between a transport and a handler, with OpenSSL working on memory.

It replaces the loop's own TLS: one object for each connection, no task for a handshake, close_notify and FIN as Envoy
sends them, and the listener may look at the ClientHello before it chooses the context. What is written in one turn of
the loop is collected as plain text and encrypted at the flush, so that a head and its body are one record. This module
must not know settings.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final

from envoymesh.network.api import ConnectionEvent
from envoymesh.network.connection.sockets import Bytes
from envoymesh.network.connection.tcp_connection import READ_SHARE, TcpConnection
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.tls.errors import PeerRejectedError, failure_reason, failure_stat
from envoymesh.network.tls.tls_context import TlsContext

_RECORD: Final = 16384
"""Bytes of plain text in the largest record (RFC 8446 section 5.1): no read brings more, and no write joins more."""

_HEADER: Final = 5
"""Bytes of a record's header: type, version, length."""

_ALL: Final = -1

_FLIGHT: Final = 65536
"""Bytes of a server's handshake that are kept until it is over: the messages of interest come first."""

_RECORDS_SHARE: Final = 32
"""Records that are decrypted in one turn of the loop: a peer may put one byte in each, or ask for new keys in each."""


class TlsConnection(TcpConnection):
    """A connection whose bytes are encrypted; CONNECTED comes after the handshake and the checks of the peer.

    Args:
        dispatcher: the worker's dispatcher.
        buffer_limit: as TcpConnection's, of encrypted bytes.
        context: the side's TLS.
        server_name: what the ClientHello asks for, on the upstream side.
    """

    __slots__ = (
        "_asked",
        "_encrypted",
        "_end",
        "_flight",
        "_incoming",
        "_more",
        "_outgoing",
        "_record_left",
        "_tls_context",
        "_tls_object",
    )

    def __init__(
        self, dispatcher: LoopDispatcher, buffer_limit: int, context: TlsContext, server_name: str = ""
    ) -> None:
        super().__init__(dispatcher, buffer_limit)
        self._asked = server_name
        # The server's first bytes in the handshake, for `read_server_flight`.
        self._flight = bytearray()
        # What ended the peer's side; it takes effect when everything before it has been delivered.
        self._end: ssl.SSLError | None = None
        # Bytes that have arrived and are not in the BIO yet; whether they hold a record for another turn; and how many
        # bytes are missing of the record whose beginning is in the BIO.
        self._encrypted = b""
        self._more = False
        self._record_left = 0
        self._tls_context = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls_object = context.wrap(self._incoming, self._outgoing)

    @property
    def buffered(self) -> tuple[int, int]:
        """As TcpConnection's; what is received waits encrypted."""
        received, written = super().buffered
        return received + self._incoming.pending + len(self._encrypted), written

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes from the transport."""
        if self.closed:
            return
        if self._closing is not None:
            self._drop(len(data))
            return
        self._encrypted = self._encrypted + data if self._encrypted else data
        if self.established:
            self._pump()
        else:
            self._feed(_ALL)
            if not self._tls_context.server_side:
                self._note_flight(data)
            self._shake()

    def eof_received(self) -> bool:
        """FIN: the end after a close_notify; without one it is a cut, and the connection is closed (as in Envoy)."""
        if self._half_close and self.established and self._closing is None:
            self._peer_closed_tls()
        return self._peer_ended and self._closing is None

    def _transport_ready(self) -> None:
        # A server has nothing to say before the ClientHello.
        if not self._tls_context.server_side:
            self._shake()

    def flush(self) -> None:
        """Encrypt what was written in this turn of the loop, and hand it to the operating system."""
        try:
            self._encrypt()
        except ssl.SSLError as error:
            self._broken(error)
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _last_words(self) -> list[Bytes]:
        # An abort writes past the transport; what is collected is plain text and must not get there.
        with suppress(ssl.SSLError):
            self._encrypt()
        return [self._outgoing.read()] if self._outgoing.pending else []

    def _resume_reading(self) -> None:
        super()._resume_reading()
        if self._incoming.pending or self._more or self._end is not None:
            self._post_turn()

    def _end_output(self) -> None:
        # The peer's close_notify has not come yet, so unwrap raises; ours is in the BIO, which is all that is wanted.
        with suppress(ssl.SSLError):
            self._encrypt()
            self._tls_object.unwrap()
        self.flush()

    def _send_fin(self) -> None:
        # As in Envoy: close_notify has ended our side, and TCP stays open for the peer's close_notify.
        pass

    def _shake(self) -> None:
        context = self._tls_context
        context.asked = self._asked
        try:
            self._tls_object.do_handshake()
        except ssl.SSLWantReadError:
            self._asked = context.asked
            self._send_flight()
            return
        except ssl.SSLError as error:
            self._handshake_failed(error)
            return
        try:
            self.tls = context.finish(self._tls_object, context.asked, bytes(self._flight))
        except PeerRejectedError as error:
            self._handshake_failed(error)
            return
        self._flight.clear()
        self._send_outgoing()
        self._connected()
        self._pump()

    def _send_flight(self) -> None:
        data = self._outgoing.read()
        if self._tls_context.server_side:
            self._note_flight(data)
        if data and self._transport is not None:
            self._transport.write(data)

    def _note_flight(self, data: bytes) -> None:
        if len(self._flight) < _FLIGHT:
            self._flight += data

    def _handshake_failed(self, error: ssl.SSLError | PeerRejectedError) -> None:
        self._tls_context.failed(failure_stat(error))
        self.failure_reason = failure_reason(error)
        self.abandon = None
        # The alert must still go out, so this is a close with a flush.
        self.flush()
        if self._transport is not None:
            self._transport.close()
        self._finish(ConnectionEvent.REMOTE_CLOSE)

    def _encrypt(self) -> None:
        """Move what is collected into the outgoing BIO. Errors: ssl.SSLError, and what is left is lost."""
        collected, self._collected = self._collected, []
        size, self._collected_size = self._collected_size, 0
        if len(collected) > 1 and size <= _RECORD:
            collected = [b"".join(collected)]
        write = self._tls_object.write
        for data in collected:
            left = len(data)
            while left:
                # One call writes one record.
                written = write(data)
                left -= written
                if left:
                    data = memoryview(data)[written:]

    def _take_turn(self) -> None:
        self._turn_posted = False
        if self._dropped() or self._read_disabled:
            return  # as in TcpConnection
        unread, self._unread = self._unread, b""
        if unread:
            taken = self._deliver(unread)
            self._suspend(unread[taken:])
        elif self._pump() and self._reading():
            self._suspended = False
            if not self._read_disabled:
                super()._resume_reading()

    def _pump(self) -> bool:
        """Decrypt and deliver one turn's share, if the handler reads; False when the connection is to go on later."""
        data = self._decrypt() if not self._read_disabled else b""
        if data or self._more:
            taken = self._deliver(data) if data else 0
            if taken < len(data) or self._more or self._suspended:
                self._suspend(data[taken:])
                self._send_outgoing()
                return False
        end = self._end
        if end is not None and not self.closed and not self._read_disabled:
            if isinstance(end, ssl.SSLZeroReturnError):
                self._peer_closed_tls()
            else:
                self._broken(end)
        self._send_outgoing()
        return True

    def _decrypt(self) -> bytes:
        """The plain text of what has arrived, a turn's share at most; what ends it is kept in `_end`."""
        records: list[bytes] = []
        size = 0
        tls, incoming = self._tls_object, self._incoming
        self._feed(_RECORDS_SHARE)
        try:
            while incoming.pending or tls.pending():
                data = tls.read(_RECORD)
                if not data:
                    self._end = ssl.SSLZeroReturnError()
                    break
                records.append(data)
                size += len(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._end = error
        self.bytes_received += size
        return records[0] if len(records) == 1 else b"".join(records)

    def _feed(self, most: int) -> None:
        """Give OpenSSL so many records of what has arrived, or READ_SHARE bytes; `_more` tells whether others wait.

        OpenSSL processes everything that it is given, and a record may be nothing but a costly change of keys. The
        bytes of a record's header (RFC 8446 section 5.1) stay here until all five have come.
        """
        data = self._encrypted
        position, end, left = 0, len(data), self._record_left
        while most and position < READ_SHARE:
            if not left:
                if end - position < _HEADER:
                    break
                left = _HEADER + (data[position + 3] << 8 | data[position + 4])
            step = min(left, end - position)
            position += step
            left -= step
            if left:
                break
            most -= 1
        self._record_left = left
        if position:
            self._incoming.write(data if position == end else data[:position])
            self._encrypted = data[position:]
        self._more = len(self._encrypted) >= _HEADER

    def _peer_closed_tls(self) -> None:
        if not self._peer_ended:
            self._peer_ended = True
            if self._closing is None:
                self._tell("on_eof")
            if self._write_ended and self._closing is None and self._transport is not None:
                self._end_both()

    def _broken(self, error: ssl.SSLError) -> None:
        """The peer broke the protocol after the handshake."""
        self.failure_reason = failure_reason(error)
        self._tls_context.failed("connection_error")
        self._send_outgoing()
        self._abort(reset=False)
        self._finish(ConnectionEvent.REMOTE_CLOSE)

    def _send_outgoing(self) -> None:
        """What OpenSSL itself has to say (handshake, session tickets, alerts) leaves at the end of the turn."""
        if self._outgoing.pending:
            self._dispatcher.flush_later(self)
