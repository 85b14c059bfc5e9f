"""The two ends of a dry run: a client and upstreams that are not there, on connections that touch no socket.

Both speak with the proxy's own codecs, so that it reads and writes what it would on a wire. An upstream answers every
request at once, with 200 and nothing else. This module must not know a configuration.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final

from mypy_extensions import trait

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    ClientCodec,
    ClientCodecCallbacks,
    CodecConnection,
    HttpProtocol,
    RequestDecoder,
    RequestEncoder,
    ResponseDecoder,
    ResponseEncoder,
    ServerCodec,
    ServerCodecCallbacks,
    StreamCallbacks,
    StreamResetReason,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.http.http1 import Http1ClientCodec, Http1ServerCodec, Http1Settings
from envoymesh.http.http2 import HTTP2_PREFACE_START, Http2ClientCodec, Http2ServerCodec, Http2Settings
from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.metadata import Metadata
from envoymesh.network.api import (
    DEFAULT_SOCKET,
    Address,
    CertificateInfo,
    ClientTls,
    CloseType,
    ConnectCounts,
    Connection,
    ConnectionEvent,
    ConnectionHandler,
    ConnectionPreface,
    Dispatcher,
    ProxiedConnection,
    TlsInfo,
    UpstreamSocketSettings,
    WriteFilter,
)
from envoymesh.stats import Store

MOST_BYTES: Final = 1 << 20
"""Of one body that is kept; the rest is only counted."""

_ANSWER: Final = 200


class DryTls:
    """What a connection's TLS would say; implements `network.api.TlsInfo`."""

    def __init__(self, alpn: str, sni: str) -> None:
        self.version = "TLSv1.3"
        self.cipher = "TLS_AES_256_GCM_SHA384"
        self.alpn = alpn
        self.sni = sni
        self.peer_certificate_presented = False
        self.peer_certificate_validated = False
        self.peer: CertificateInfo | None = None
        self.local: CertificateInfo | None = None


@trait
class FarEnd:
    """Who is at the other end of a connection."""

    __slots__ = ()

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Bytes that the proxy wrote."""

    @abstractmethod
    def on_closed(self) -> None:
        """The proxy has closed the connection."""


class DryConnection(Connection):
    """A connection as the proxy sees it. What it writes comes to the far end in a later turn, as on a wire."""

    __slots__ = (
        "_dispatcher",
        "_far",
        "_handler",
        "_incoming",
        "_outgoing",
        "_read_disabled",
        "_write_filter",
        "aborted",
        "bytes_received",
        "bytes_sent",
        "close_details",
        "closed",
        "delayed_close_timed_out",
        "direct_addresses",
        "failure_reason",
        "filter_chain_name",
        "id",
        "listener_metadata",
        "listener_name",
        "local_address",
        "metadata",
        "proxied",
        "remote_address",
        "requested_server_name",
        "reset_by_peer",
        "start_time",
        "stream_info",
        "tls",
    )

    def __init__(self, dispatcher: Dispatcher, number: int, local: Address, remote: Address) -> None:
        self._dispatcher = dispatcher
        self._far: FarEnd | None = None
        self._handler: ConnectionHandler | None = None
        self._incoming = b""
        self._outgoing = b""
        self._read_disabled = 0
        self._write_filter: WriteFilter | None = None
        self.id = number
        self.local_address = local
        self.remote_address = remote
        self.tls: TlsInfo | None = None
        self.requested_server_name = ""
        self.filter_chain_name = ""
        self.listener_name = ""
        self.metadata: Metadata | None = None
        self.proxied: ProxiedConnection | None = None
        self.direct_addresses: tuple[Address | None, Address | None] | None = None
        self.listener_metadata: dict[str, dict[str, Any]] | None = None
        self.failure_reason = ""
        self.bytes_received = 0
        self.bytes_sent = 0
        self.closed = False
        self.reset_by_peer = False
        self.close_details = ""
        self.delayed_close_timed_out = False
        self.aborted = False
        self.start_time = dispatcher.now()
        self.stream_info = None

    def __repr__(self) -> str:
        return f"<DryConnection {self.id} {self.remote_address}>"

    # The far end's side

    def attach(self, far: FarEnd) -> None:
        """Who is there."""
        self._far = far

    def connected(self) -> None:
        """An upstream connection has come about."""
        if self._handler is not None and not self.closed:
            self._handler.on_event(ConnectionEvent.CONNECTED)

    def receive(self, data: bytes) -> None:
        """The far end has written."""
        self.bytes_received += len(data)
        self._incoming += data
        self._dispatcher.post(self._read)

    def hang_up(self) -> None:
        """The far end has gone."""
        if not self.closed:
            self.closed = True
            if self._handler is not None:
                self._handler.on_event(ConnectionEvent.REMOTE_CLOSE)

    def _read(self) -> None:
        if self.closed or self._read_disabled or not self._incoming or self._handler is None:
            return
        data, self._incoming = self._incoming, b""
        taken = self._handler.on_data(data)
        self._incoming = data[taken:] + self._incoming
        if self._incoming and taken:
            self._dispatcher.post(self._read)

    def _deliver(self) -> None:
        data, self._outgoing = self._outgoing, b""
        if data and self._far is not None:
            self._far.take(data)

    def _tell_close(self) -> None:
        self._deliver()
        if self._handler is not None:
            self._handler.on_event(ConnectionEvent.LOCAL_CLOSE)
        if self._far is not None:
            self._far.on_closed()

    # Connection

    @property
    def buffered(self) -> tuple[int, int]:
        """Bytes that wait."""
        return len(self._incoming), len(self._outgoing)

    def set_handler(self, handler: ConnectionHandler) -> None:
        """Who gets data and events."""
        self._handler = handler

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        if self._write_filter is not None:
            self._write_filter.on_write(data, False)
        else:
            self.write_unfiltered(data, False)

    def enable_half_close(self) -> None:
        """No side ends here before the other."""

    def write_end_stream(self) -> None:
        """Nothing more will be written."""
        if self._write_filter is not None:
            self._write_filter.on_write(b"", True)

    def unread(self, data: bytes) -> None:
        """Bytes that come again."""
        self._incoming = data + self._incoming
        self._dispatcher.post(self._read)

    def set_write_filter(self, write_filter: WriteFilter) -> None:
        """Who sees what is written."""
        self._write_filter = write_filter

    def write_unfiltered(self, data: bytes, end_stream: bool) -> None:
        """Queue bytes."""
        if self.closed or not data:
            return
        self.bytes_sent += len(data)
        if not self._outgoing:
            self._dispatcher.post(self._deliver)
        self._outgoing += data

    def read_disable(self, disable: bool) -> None:
        """Counted."""
        self._read_disabled += 1 if disable else -1
        if not self._read_disabled and self._incoming:
            self._dispatcher.post(self._read)

    def close(self, how: CloseType, details: str = "") -> None:
        """End."""
        if self.closed:
            return
        self.closed = True
        self.close_details = details
        self.aborted = how is CloseType.ABORT_RESET
        if how in (CloseType.NO_FLUSH, CloseType.ABORT_RESET):
            self._tell_close()
        else:
            self._dispatcher.post(self._tell_close)

    def set_delayed_close_timeout(self, seconds: float) -> None:
        """The far end does not wait."""


def _feed(codec: ClientCodec | ServerCodec, data: bytes) -> str:
    """Give a codec all bytes; what it cannot read is told, empty where it can."""
    try:
        while data:
            taken = codec.dispatch(data)
            if not taken:
                return "bytes that nobody takes"
            data = data[taken:]
    except CodecProtocolError as error:
        return error.details
    return ""


class DryClient(FarEnd, CodecConnection, ClientCodecCallbacks, ResponseDecoder, StreamCallbacks):
    """A client with one request.

    Attributes:
        headers, body, trailers: of the response; None before it.
        interim: statuses of interim responses.
        reset: why the response broke off, empty where it did not.
        ended: the response is whole.
        hung_up: the proxy has closed the connection.
    """

    __slots__ = (
        "_codec",
        "_connection",
        "_encoder",
        "body",
        "ended",
        "headers",
        "hung_up",
        "interim",
        "reset",
        "trailers",
    )

    def __init__(self, connection: DryConnection, http2: bool) -> None:
        self._connection = connection
        scope = Store().scope("")
        self._codec: ClientCodec
        if http2:
            self._codec = Http2ClientCodec(self, self, Http2Settings(), Http2CodecStats.create(scope))
        else:
            self._codec = Http1ClientCodec(self, self, Http1Settings(), Http1CodecStats.create(scope))
        self._encoder: RequestEncoder | None = None
        self.headers: ResponseHeaders | None = None
        self.body = b""
        self.trailers: HeaderMap | None = None
        self.interim: list[int] = []
        self.reset = ""
        self.ended = False
        self.hung_up = False
        connection.attach(self)

    def send(self, headers: RequestHeaders, body: bytes) -> None:
        """Send the request."""
        encoder = self._encoder = self._codec.new_stream(self)
        encoder.set_callbacks(self)
        encoder.encode_headers(headers, not body)
        if body:
            encoder.encode_data(body, True)

    def take(self, data: bytes) -> None:
        """Bytes of the response."""
        self.reset = _feed(self._codec, data) or self.reset

    def on_closed(self) -> None:
        """The proxy has closed the connection: the end of a response that has no other."""
        self.hung_up = True
        try:
            self._codec.on_eof()
        except CodecProtocolError as error:
            self.reset = self.reset or error.details

    def write(self, data: bytes) -> None:
        """Bytes of the request."""
        self._connection.receive(data)

    def read_disable(self, disable: bool) -> None:
        """This client takes everything."""

    def on_codec_reset(self) -> None:
        """The connection is of no more use."""

    def on_go_away(self, error_code: int) -> None:
        """There is no other request."""

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        """One stream is enough."""

    def on_close_notify(self) -> None:
        """The connection ends after the response."""

    def on_stream_complete(self) -> None:
        """Both directions are over."""

    def on_stream_reset(self) -> None:
        """The stream is over."""

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response."""
        self.interim.append(headers.status)

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response."""
        self.headers = headers
        self.ended = end_stream

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Its body."""
        if len(self.body) < MOST_BYTES:
            self.body += data
        self.ended = end_stream

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """Its trailers."""
        self.trailers = trailers
        self.ended = True

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The proxy gave up."""
        self.reset = self.reset or details or reason.value

    def on_above_write_buffer_high_watermark(self) -> None:
        """There is no buffer."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """There is no buffer."""

    def on_response_held(self) -> None:
        """Clients hold nothing back."""

    def on_response_sent(self) -> None:
        """Clients send no responses."""


class DryRequest(RequestDecoder, StreamCallbacks):
    """A request that an upstream got.

    Attributes:
        headers: as they came.
        size: bytes of the body.
        answer: what it was answered with.
    """

    __slots__ = ("_encoder", "answer", "ended", "headers", "size")

    def __init__(self, encoder: ResponseEncoder) -> None:
        self._encoder: ResponseEncoder = encoder
        self.headers: RequestHeaders | None = None
        self.size = 0
        self.ended = False
        self.answer: ResponseHeaders | None = None
        encoder.set_callbacks(self)

    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        """The upstream cannot read the request."""
        self._encoder.encode_headers(ResponseHeaders(status, [(b"content-length", b"0")]), True)

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """The request."""
        self.headers = headers
        self._end(end_stream)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Its body."""
        self.size += len(data)
        self._end(end_stream)

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """Its trailers."""
        self._end(True)

    def _end(self, end_stream: bool) -> None:
        if not end_stream or self.ended or self.headers is None:
            return
        self.ended = True
        fields = [(b"content-length", b"0")]
        if is_grpc(self.headers):
            fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"0")]
        self.answer = ResponseHeaders(_ANSWER, list(fields))
        self._encoder.encode_headers(ResponseHeaders(_ANSWER, fields), True)

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The proxy gave up."""
        self.ended = True

    def on_above_write_buffer_high_watermark(self) -> None:
        """There is no buffer."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """There is no buffer."""

    def on_response_held(self) -> None:
        """Nothing is held back."""

    def on_response_sent(self) -> None:
        """It is."""


class DryUpstream(FarEnd, CodecConnection, ServerCodecCallbacks):
    """The upstream end of one connection.

    Attributes:
        address: where the proxy connected to.
        requests: what came.
        protocol: what was spoken; None before the first byte.
    """

    __slots__ = ("_codec", "_connection", "address", "protocol", "requests")

    def __init__(self, connection: DryConnection, address: Address) -> None:
        self._connection = connection
        self._codec: ServerCodec | None = None
        self.address = address
        self.requests: list[DryRequest] = []
        self.protocol: HttpProtocol | None = None
        connection.attach(self)

    def take(self, data: bytes) -> None:
        """Bytes of requests."""
        codec = self._codec
        if codec is None:
            codec = self._codec = self._choose(data)
            self.protocol = codec.protocol
        _feed(codec, data)

    def _choose(self, data: bytes) -> ServerCodec:
        scope = Store().scope("")
        if data.startswith(HTTP2_PREFACE_START):
            return Http2ServerCodec(self, self, Http2Settings(), Http2CodecStats.create(scope))
        return Http1ServerCodec(self, self, Http1Settings(), Http1CodecStats.create(scope))

    def on_closed(self) -> None:
        """The proxy has closed the connection."""

    def write(self, data: bytes) -> None:
        """Bytes of responses."""
        self._connection.receive(data)

    def read_disable(self, disable: bool) -> None:
        """This upstream takes everything."""

    def on_codec_reset(self) -> None:
        """The connection is of no more use."""

    def new_stream(self, encoder: ResponseEncoder) -> RequestDecoder:
        """A request begins."""
        request = DryRequest(encoder)
        self.requests.append(request)
        return request

    def on_go_away(self, error_code: int) -> None:
        """There are no more requests."""


class DryConnector:
    """Makes connections to upstreams that are not there; implements `network.api.Connector`.

    Attributes:
        upstreams: those of this run, in order.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.upstreams: list[DryUpstream] = []

    def connect(
        self,
        address: Address,
        handler: ConnectionHandler,
        *,
        connect_timeout: float,
        buffer_limit: int,
        tls: ClientTls | None = None,
        socket: UpstreamSocketSettings = DEFAULT_SOCKET,
        additional_addresses: tuple[Address, ...] = (),
        counts: ConnectCounts | None = None,
        preface: ConnectionPreface | None = None,
    ) -> Connection:
        """Connect, in a later turn."""
        connection = DryConnection(self._dispatcher, len(self.upstreams) + 2, Address("192.0.2.1", 0), address)
        if tls is not None:
            # The best that a peer can offer.
            connection.tls = DryTls("h2", "")
        connection.set_handler(handler)
        self.upstreams.append(DryUpstream(connection, address))
        self._dispatcher.post(connection.connected)
        return connection
