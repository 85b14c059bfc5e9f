"""The client's role: we open streams, and the peer answers (RFC 9113 sections 3.4, 5.1 and 8).

Rules of this module:
- A stream gets its id when its headers are sent, so that ids rise in the order of the wire (section 5.1.1).
- What a peer's GOAWAY leaves out was not processed, and is reset as refused: it may be sent elsewhere (section 6.8).
- A response is one or no final header list after any number of interim ones; bodies that cannot be (HEAD, 204, 304)
  are errors of their streams (section 8.1.1).

It must not know which request is for whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import cast

from envoymesh.http.codec import (
    CUT_SHARE,
    ClientCodec,
    ClientCodecCallbacks,
    CodecConnection,
    RequestEncoder,
    ResponseDecoder,
    StreamResetReason,
)
from envoymesh.http.headers import (
    HeaderField,
    RequestHeaders,
    ResponseHeaders,
    is_upgrade,
    upgrade_fields_removed,
    weight,
)
from envoymesh.http.http2.connection import Http2Codec
from envoymesh.http.http2.frames import MAX_STREAM_ID, PREFACE, ErrorCode, Http2StreamError, Setting
from envoymesh.http.http2.messages import BYTESTREAM, NO_BODY_YET, NO_LENGTH, VIOLATION, MalformedMessageError
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Http2Stats
from envoymesh.http.http2.stream import REMOTE_CLOSED, Http2Stream


class ClientStream(Http2Stream, RequestEncoder):
    """A request and its response; the RequestEncoder.

    Attributes:
        method: of the request, once sent.
        answered: the final response headers are here.
    """

    __slots__ = ("_client", "answered", "method")

    def __init__(self, client: Http2ClientCodec, decoder: ResponseDecoder) -> None:
        super().__init__(client, 0)
        self._client = client
        self.decoder = decoder
        self.content_left = NO_BODY_YET
        self.method = b""
        self.answered = False

    def encode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """The request headers; the stream gets its id."""
        if self.gone:
            return
        self.method = headers.method
        self._client.open(self)
        if b"upgrade" in headers.index and is_upgrade(headers):
            self.method = b"CONNECT"  # RFC 8441
            headers = _extended_connect(headers)
        fields = self.fields_sent = _request_fields(headers)
        self.header_frames_sent += self._client.write_headers(self.id, fields, end_stream)
        if end_stream:
            self.local_closed()


def _extended_connect(headers: RequestHeaders) -> RequestHeaders:
    """An upgrade as HTTP/2 has it (RFC 8441 section 4)."""
    made = headers.copy()
    made.method, made.protocol = b"CONNECT", headers.get(b"upgrade")
    made.fields = upgrade_fields_removed(headers)
    return made


def _request_fields(headers: RequestHeaders) -> list[HeaderField]:
    """Pseudo-headers (section 8.3), then the rest. Their order means nothing, and is Envoy's."""
    authority = headers.authority
    method = headers.method
    if method == b"CONNECT" and (headers.protocol is None or headers.protocol == BYTESTREAM):
        fields = [(b":method", method)]
        if authority is not None:
            fields.insert(0 if type(headers) is RequestHeaders else 1, (b":authority", authority))
    elif type(headers) is RequestHeaders:  # it came by HTTP/1
        fields = [] if authority is None else [(b":authority", authority)]
        fields += (b":path", headers.path), (b":method", method), (b":scheme", headers.scheme or b"http")
        if headers.protocol is not None:
            fields.append((b":protocol", headers.protocol))
    else:
        fields = [(b":method", method), (b":scheme", headers.scheme or b"http"), (b":path", headers.path)]
        if authority is not None:
            fields.append((b":authority", authority))
        if headers.protocol is not None:
            fields.append((b":protocol", headers.protocol))
    return fields + headers.fields


class Http2ClientCodec(Http2Codec, ClientCodec):
    """An upstream connection's codec; writes the preface and its SETTINGS when it is made."""

    __slots__ = ("_callbacks", "_going_away", "_next_id", "_unopened")

    largest_enable_push = 0

    def __init__(
        self, connection: CodecConnection, callbacks: ClientCodecCallbacks, settings: Http2Settings, stats: Http2Stats
    ) -> None:
        super().__init__(connection, settings, stats)
        self._callbacks = callbacks
        self._next_id = 1
        self._going_away = False
        # Streams whose headers have not been sent.
        self._unopened: dict[ClientStream, None] = {}
        connection.write(PREFACE)
        self.send_settings(
            [
                (Setting.ENABLE_PUSH, 0),
                *settings.custom_settings,
                (Setting.HEADER_TABLE_SIZE, settings.hpack_table_size),
                (Setting.ENABLE_CONNECT_PROTOCOL, int(settings.allow_connect)),
                (Setting.MAX_CONCURRENT_STREAMS, settings.max_concurrent_streams),
                (Setting.INITIAL_WINDOW_SIZE, settings.initial_stream_window_size),
            ]
        )

    # ClientCodec

    def new_stream(self, decoder: ResponseDecoder) -> ClientStream:
        """Begin a request; its id, and the peer's notice, come with its headers."""
        stream = ClientStream(self, decoder)
        self._unopened[stream] = None
        return stream

    @property
    def capacity(self) -> int:
        """How many streams can begin now; negative after the peer lowered its limit."""
        limit = self.settings.max_concurrent_streams
        peers = self.peer_max_concurrent_streams
        if peers is not None and peers < limit:
            limit = peers
        return limit - len(self.streams) - len(self._unopened)

    @property
    def is_amid_message(self) -> bool:
        """A message of HTTP/2 never ends with the connection, and is reset with it."""
        return False

    @property
    def can_take_stream(self) -> bool:
        """Whether a stream can begin now: limits, GOAWAY, ids left (section 5.1.1)."""
        return (
            not self._going_away
            and not self.failed
            and self.capacity > 0
            and self._next_id + 2 * len(self._unopened) <= MAX_STREAM_ID
        )

    def on_eof(self) -> None:
        """The peer's FIN has no meaning of its own in HTTP/2: what is under way is reset with the connection."""

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone."""
        if not super().reset_all_streams(reason, details):
            return False
        unopened = list(islice(self._unopened, CUT_SHARE))
        for stream in unopened:
            self._unopened.pop(stream, None)
            if not stream.gone:
                stream.release()
                stream.tell_reset(reason, details)
        return not self._unopened

    # From streams

    def open(self, stream: ClientStream) -> None:
        """Give a stream its id (section 5.1.1) and, for it may have changed since, the peer's window."""
        self._unopened.pop(stream, None)
        stream.id = self._next_id
        self._next_id += 2
        stream.send_window = self.peer_initial_window
        stream.receive_window = self.receive_initial_window
        self.streams[stream.id] = stream
        self.guard.streams_opened += 1
        self.stats.streams_active.inc()

    def on_stream_complete(self, stream: Http2Stream) -> None:
        """Its slot is free."""
        self._callbacks.on_stream_complete()

    def on_stream_reset(self, stream: Http2Stream) -> None:
        """Its slot is free."""
        if not stream.id:
            self._unopened.pop(stream, None)  # type: ignore[call-overload]  # a client has no others
        self._callbacks.on_stream_reset()

    # From the peer

    def is_idle(self, stream_id: int) -> bool:
        """We have not opened it; even ids are pushes, which we refuse."""
        return stream_id >= self._next_id or not stream_id & 1

    def on_peer_limits(self) -> None:
        """The peer's limit of streams, known or changed."""
        self._callbacks.on_settings(self.peer_max_concurrent_streams)

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """No new streams; those after `last_stream_id` were not processed (section 6.8)."""
        self._going_away = True
        self.work += len(self.streams)
        refused = [stream for stream in self.streams.values() if stream.id > last_stream_id]
        for stream in refused + list(self._unopened):
            if stream.gone:
                continue  # the owner of a stream that was reset before it has ended this one
            self._forget(stream)
            stream.tell_reset(StreamResetReason.REMOTE_REFUSED_STREAM_RESET, "http2.remote_refuse")
            self._remember_reset(stream.id, by_us=True)
            self.on_stream_reset(stream)
        self._callbacks.on_go_away(code)

    def on_block_begins(self, stream_id: int) -> None:
        """Nothing: only we open streams."""

    def on_headers(self, stream_id: int, fields: Sequence[HeaderField], too_large: str, end_stream: bool) -> None:
        """A response, interim or final, or trailers."""
        stream = self.streams.get(stream_id)
        if stream is None:
            self.stats.headers_cb_no_stream.inc()
            self.refuse_frame(None, stream_id, "HEADERS")
        elif isinstance(stream, ClientStream) and not stream.answered:
            self._decode_response(stream, fields, too_large, end_stream)
        else:
            self.on_trailers(stream, fields, too_large, end_stream)

    def _decode_response(
        self, stream: ClientStream, fields: Sequence[HeaderField], too_large: str, end_stream: bool
    ) -> None:
        stream.header_frames_received += self.block_size
        stream.fields_received = fields
        if too_large:
            self.refuse_large(stream.id, too_large)
        try:
            response = self._reader.response(fields)
            if response.status < 200 and end_stream:
                raise MalformedMessageError(VIOLATION)  # section 8.1
        except MalformedMessageError as error:
            raise self.malformed(stream.id, error) from None
        if response.status < 200:
            stream.trailers_received += weight(fields)
            stream.fields_received = ()
            cast(ResponseDecoder, stream.decoder).decode_1xx_headers(response)
            return
        stream.answered = True
        stream.content_left = self._expected_content(stream, response, end_stream)
        if end_stream:
            stream.state |= REMOTE_CLOSED
        cast(ResponseDecoder, stream.decoder).decode_headers(response, end_stream)
        stream.finish_if_closed()

    def _expected_content(self, stream: ClientStream, response: ResponseHeaders, end_stream: bool) -> int:
        """How many bytes of body are to come, or NO_LENGTH (RFC 9110 section 6.4.1). Errors: Http2StreamError."""
        status = response.status
        if stream.method == b"HEAD" or status in (204, 304):
            return 0
        length = self._reader.content_length
        if stream.method == b"CONNECT" and status < 300:
            _tell_upgrade(stream, response)
            return NO_LENGTH
        if end_stream and length > 0:
            raise Http2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, VIOLATION)
        return length


def _tell_upgrade(stream: ClientStream, response: ResponseHeaders) -> None:
    """The answer to an extended CONNECT as HTTP/1 has it: 101, and what was switched to."""
    protocol = dict(stream.fields_sent).get(b":protocol")
    if protocol is not None and response.status == 200:
        response.status = 101
        response.set(b"upgrade", protocol)
        response.set(b"connection", b"upgrade")
