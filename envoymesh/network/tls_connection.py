"""TLS between a transport and a handler, with OpenSSL working on memory.

Own TLS in place of the loop's: one object a connection, no task for a handshake, close_notify and FIN as Envoy sends
them, and the listener may look at the ClientHello before it chooses the context. This module must not know settings.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from envoymesh.network.api import ConnectionEvent
from envoymesh.network.connection import TcpConnection
from envoymesh.network.dispatcher import LoopDispatcher
from envoymesh.network.sockets import Bytes
from envoymesh.network.tls import TlsContext
from envoymesh.network.tls_errors import PeerRejectedError, failure_reason, failure_stat

_READ_SIZE = 65536


class TlsConnection(TcpConnection):
    """A connection whose bytes are encrypted; CONNECTED comes after the handshake and the checks of the peer.

    Args:
        dispatcher: the worker's dispatcher.
        buffer_limit: as TcpConnection's, of encrypted bytes.
        context: the side's TLS.
        server_name: what the ClientHello asks for: known on the upstream side, and where the listener has looked.
    """

    __slots__ = ("_asked", "_incoming", "_outgoing", "_raw", "_tls_context", "_tls_object")

    def __init__(
        self, dispatcher: LoopDispatcher, buffer_limit: int, context: TlsContext, server_name: str = ""
    ) -> None:
        super().__init__(dispatcher, buffer_limit)
        self.requested_server_name = server_name
        # The name in the ClientHello, which is the connection's when the handshake is done.
        self._asked = server_name
        self._tls_context = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls_object = context.wrap(self._incoming, self._outgoing)
        self._raw: Callable[[Bytes], None] = self._collect

    @property
    def buffered(self) -> tuple[int, int]:
        """As TcpConnection's; what is received waits encrypted."""
        return self._incoming.pending, super().buffered[1]

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes from the transport."""
        if self._closing is not None or self.closed:
            return
        self._incoming.write(data)
        if self.established:
            self._pump()
        else:
            self._shake()

    def eof_received(self) -> bool:
        """FIN: the end after a close_notify; without one it is a cut, and the connection is closed (as in Envoy)."""
        return self._peer_ended and self._closing is None

    def _transport_ready(self) -> None:
        self._shake()

    def _write_through(self) -> Callable[[Bytes], None]:
        return self._encrypt

    def _resume_reading(self) -> None:
        super()._resume_reading()
        self._dispatcher.post(self._pump)

    def _end_output(self) -> None:
        try:
            self._tls_object.unwrap()
        except ssl.SSLError:
            # The peer's close_notify has not come yet; ours is in the buffer, which is all that is wanted.
            pass
        self._send_outgoing()
        self.flush()

    def _shake(self) -> None:
        context = self._tls_context
        context.asked = self._asked or self.requested_server_name
        try:
            self._tls_object.do_handshake()
        except ssl.SSLWantReadError:
            self._asked = context.asked.lower()
            self._send_outgoing()
            return
        except ssl.SSLError as error:
            self._handshake_failed(error)
            return
        self.requested_server_name = context.asked.lower()
        try:
            self.tls = context.finish(self._tls_object, context.asked)
        except PeerRejectedError as error:
            self._handshake_failed(error)
            return
        self._send_outgoing()
        self._connected()
        self._pump()

    def _handshake_failed(self, error: ssl.SSLError | PeerRejectedError) -> None:
        self._tls_context.failed(failure_stat(error))
        self.failure_reason = failure_reason(error)
        self.abandon = None
        # The alert must still go out, so this is a close with a flush.
        self._send_outgoing()
        self.flush()
        if self._transport is not None:
            self._transport.close()
        self._finish(ConnectionEvent.REMOTE_CLOSE)

    def _encrypt(self, data: Bytes) -> None:
        if not data:
            return
        try:
            written = self._tls_object.write(data)
            while written < len(data):
                data = memoryview(data)[written:]
                written = self._tls_object.write(data)
        except ssl.SSLError as error:
            self._broken(error)
            return
        self._raw(self._outgoing.read())

    def _pump(self) -> None:
        """Decrypt and deliver, one record at a time, for as long as the handler reads."""
        tls, incoming = self._tls_object, self._incoming
        try:
            while (incoming.pending or tls.pending()) and not self._read_disabled and not self.closed:
                data = tls.read(_READ_SIZE)
                if not data:
                    self._peer_closed_tls()
                    break
                self.bytes_received += len(data)
                self._sink(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._peer_closed_tls()
        except ssl.SSLError as error:
            self._broken(error)
        except Exception as error:  # noqa: BLE001 as in TcpConnection.data_received
            self._handler_failed("on_data", error)
        self._send_outgoing()

    def _peer_closed_tls(self) -> None:
        if not self._peer_ended:
            self._peer_ended = True
            if self._closing is None:
                self._tell("on_eof")

    def _broken(self, error: ssl.SSLError) -> None:
        """The peer broke the protocol after the handshake."""
        self.failure_reason = failure_reason(error)
        self._tls_context.failed("connection_error")
        self._send_outgoing()
        self._abort(reset=False)
        self._finish(ConnectionEvent.REMOTE_CLOSE)

    def _send_outgoing(self) -> None:
        if self._outgoing.pending and not self.closed:
            self._raw(self._outgoing.read())
