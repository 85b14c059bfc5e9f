"""The server's role: the peer opens streams, and we answer (RFC 9113 sections 3.4, 5.1 and 8).

Rules of this module:
- A stream's id is odd and larger than all before it; ids that were skipped are closed unused (section 5.1.1).
- Each header list that opens a stream is announced with `new_stream` before it is judged, so that what was refused is
  counted and logged above; only a stream over the limit of streams, or after GOAWAY, never gets there.

It must not know what a request is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from envoymesh.http.codec import (
    CodecConnection,
    HttpProtocol,
    RequestDecoder,
    ResponseEncoder,
    ServerCodec,
    ServerCodecCallbacks,
)
from envoymesh.http.headers import HeaderField, ResponseHeaders, is_upgrade, upgrade_fields_removed, weight
from envoymesh.http.http2.connection import Http2Codec
from envoymesh.http.http2.frame_reader import invalid_frame, protocol_error
from envoymesh.http.http2.frames import PREFACE, ErrorCode, FrameType, Http2StreamError, Setting
from envoymesh.http.http2.messages import NO_BODY_YET, NO_LENGTH, VIOLATION, MalformedMessageError
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Http2Stats
from envoymesh.http.http2.stream import REMOTE_CLOSED, Http2Stream

_STATUS_FIELDS: Final = [(b":status", b"%03d" % status) for status in range(1000)]
_REMEMBERED_GAPS: Final = 32
_TYPE_AT: Final = 3  # the place of the type in a frame


class ServerStream(Http2Stream, ResponseEncoder):
    """A request and its response; the ResponseEncoder."""

    __slots__ = ("close_connection_after_response", "protocol")

    def __init__(self, codec: Http2Codec, stream_id: int) -> None:
        super().__init__(codec, stream_id)
        self.answers = True
        self.protocol = HttpProtocol.HTTP2
        self.close_connection_after_response = False

    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response."""
        if not self.gone:
            fields = [_STATUS_FIELDS[headers.status], *headers.fields]
            self.trailers_sent += weight(fields)
            self.header_frames_sent += self.codec.write_headers(self.id, fields, False)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The final response headers."""
        if self.gone:
            return
        status, fields = headers.status, headers.fields
        if b"upgrade" in headers.index and is_upgrade(headers):
            # There is no 101 in HTTP/2 (section 8.6): RFC 8441 answers with 200.
            status, fields = 200 if status == 101 else status, upgrade_fields_removed(headers)
        fields = self.fields_sent = [_STATUS_FIELDS[status], *fields]
        self.header_frames_sent += self.codec.write_headers(self.id, fields, end_stream)
        if end_stream:
            self.local_closed()


class _Unopened(CodecConnection):
    """The connection during the first dispatch. Our SETTINGS wait, and acknowledgements with them, until there is an
    answer or all is read: as from Envoy, a client whose first bytes are refused without an answer gets none of them."""

    __slots__ = ("_codec", "connection", "waiting")

    def __init__(self, codec: Http2ServerCodec, connection: CodecConnection) -> None:
        self._codec = codec
        self.connection = connection
        self.waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """One frame."""
        if data[_TYPE_AT] in (FrameType.SETTINGS, FrameType.PING):
            self.waiting.append(data)
        else:
            self._codec.greet()
            self.connection.write(data)

    def read_disable(self, disable: bool) -> None:
        """The connection's."""
        self.connection.read_disable(disable)

    def on_codec_reset(self) -> None:
        """HTTP/1 only."""


class Http2ServerCodec(Http2Codec, ServerCodec):
    """A downstream connection's codec; writes its SETTINGS when it has read something, as Envoy does."""

    __slots__ = ("_callbacks", "_gaps", "_preface")

    def __init__(
        self, connection: CodecConnection, callbacks: ServerCodecCallbacks, settings: Http2Settings, stats: Http2Stats
    ) -> None:
        super().__init__(connection, settings, stats)
        self._callbacks = callbacks
        self._preface = PREFACE
        # Ids that the peer left out, as (first, last).
        self._gaps: list[tuple[int, int]] = []
        self.connection = _Unopened(self, connection)

    def greet(self) -> None:
        """Our SETTINGS, once."""
        unopened = self.connection
        if isinstance(unopened, _Unopened):
            self.connection = unopened.connection
            settings = self.settings
            self.send_settings(
                [
                    *settings.custom_settings,
                    (Setting.HEADER_TABLE_SIZE, settings.hpack_table_size),
                    (Setting.ENABLE_CONNECT_PROTOCOL, int(settings.allow_connect)),
                    (Setting.MAX_CONCURRENT_STREAMS, settings.max_concurrent_streams),
                    (Setting.INITIAL_WINDOW_SIZE, settings.initial_stream_window_size),
                ]
            )
            for data in unopened.waiting:
                self.connection.write(data)

    def read(self, data: bytes) -> int:
        """The preface first, then frames; returns how many bytes were taken. Errors: Http2ConnectionError."""
        preface = self._preface
        if preface:
            head = data[: len(preface)]
            if not preface.startswith(head):
                raise invalid_frame("bad client magic byte string")  # section 3.4
            self._preface = preface[len(head) :]
            taken = super().read(data[len(head) :])
            self.greet()
            return len(head) + taken
        return super().read(data)

    def is_idle(self, stream_id: int) -> bool:
        """The peer has not opened it; even ids are ours, and we open none."""
        return stream_id > self._last_peer_id or not stream_id & 1

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """The client will open no more."""
        self._callbacks.on_go_away(code)

    def on_headers(self, stream_id: int, fields: Sequence[HeaderField], too_large: str, end_stream: bool) -> None:
        """A request, or trailers."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            if stream.content_left == NO_BODY_YET and isinstance(stream, ServerStream):
                stream.content_left = NO_LENGTH
                self._take_request(stream, fields, too_large, end_stream)
            else:
                self.stats.trailers.inc()
                self.on_trailers(stream, fields, too_large, end_stream)
        elif stream_id > self._last_peer_id and stream_id & 1:
            self._take_request(self._open(stream_id), fields, too_large, end_stream)
        else:
            if not stream_id & 1:
                raise invalid_frame("HEADERS: invalid stream_id")  # section 5.1.1
            if self._was_skipped(stream_id):
                raise protocol_error("HEADERS: invalid stream_id")
            self.refuse_frame(None, stream_id, "HEADERS")

    def _was_skipped(self, stream_id: int) -> bool:
        return any(first <= stream_id <= last for first, last in self._gaps)

    def _note_id(self, stream_id: int) -> None:
        expected = self._last_peer_id + 2 if self._last_peer_id else 1
        if stream_id > expected:
            self._gaps.append((expected, stream_id - 2))
            del self._gaps[:-_REMEMBERED_GAPS]
        self._last_peer_id = stream_id

    def on_block_begins(self, stream_id: int) -> None:
        """A request begins with its HEADERS frame, however long its block takes."""
        if stream_id > self._last_peer_id and stream_id & 1:
            self._open(stream_id).content_left = NO_BODY_YET

    def _open(self, stream_id: int) -> ServerStream:
        self._note_id(stream_id)
        if stream_id > self._goaway_id or len(self.streams) >= self.settings.max_concurrent_streams:
            # Section 5.1.2: the peer may try again, elsewhere or later.
            self.stats.stream_refused_errors.inc()
            raise Http2StreamError(stream_id, ErrorCode.REFUSED_STREAM, "http2.stream_refused")
        self.guard.streams_opened += 1
        stream = ServerStream(self, stream_id)
        self.streams[stream_id] = stream
        self.stats.streams_active.inc()
        stream.decoder = self._callbacks.new_stream(stream)
        return stream

    def _take_request(
        self, stream: ServerStream, fields: Sequence[HeaderField], too_large: str, end_stream: bool
    ) -> None:
        stream.header_frames_received = self.block_size
        stream.fields_received = fields
        if too_large:
            self.refuse_large(stream.id, too_large)
        reader = self._reader
        try:
            request = reader.request(fields)
        except MalformedMessageError as error:
            raise self.malformed(stream.id, error) from None
        if reader.dropped_underscores:
            self._count_dropped(reader.dropped_underscores)
        if reader.content_length != NO_LENGTH:
            stream.content_left = reader.content_length
            if end_stream and reader.content_length:
                raise self.malformed(stream.id, MalformedMessageError(VIOLATION))
        if end_stream:
            stream.state |= REMOTE_CLOSED
        cast(RequestDecoder, stream.decoder).decode_headers(request, end_stream)

    def _count_dropped(self, count: int) -> None:
        for _ in range(count):
            self.stats.dropped_headers_with_underscores.inc()
