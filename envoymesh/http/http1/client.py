"""The client's side: one request out, its response in, and again while both ends keep the connection.

Whatever the peer sends that is not the answer to a request (before one, or behind its end) makes the connection
unusable: it could be taken for the next one's answer. This module must not decide about retries or pools.
"""

from __future__ import annotations

from typing import Final

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    ClientCodec,
    ClientCodecCallbacks,
    CodecConnection,
    RequestEncoder,
    ResponseDecoder,
    StreamResetReason,
)
from envoymesh.http.headers import HeaderField, RequestHeaders, ResponseHeaders
from envoymesh.http.http1.connection import (
    BEHIND,
    DISCARD,
    HEAD,
    LENGTH,
    RAW,
    TUNNEL,
    Http1Connection,
    Names,
    asks_for_close,
    index_of,
    parse_content_length,
    require_chunked,
)
from envoymesh.http.http1.head import CODEC_ERROR, HeadParser
from envoymesh.http.http1.response_head import ResponseHeadParser
from envoymesh.http.http1.settings import Http1Settings, Http1Stats
from envoymesh.http.http1.stream import (
    CHUNKED_FIELD,
    NO_CONTENT_FIELD,
    Http1Stream,
    framing_fields_removed,
    lists_token,
)

# RFC 9110 section 9.3: content has no meaning in these, so none is not announced (requestShouldHaveNoBody).
_BODILESS_METHODS: Final = frozenset({b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT"})


class Http1RequestEncoder(Http1Stream, RequestEncoder):
    """One request's sender."""

    __slots__ = ("is_connect", "is_head", "is_upgrade")

    def __init__(self, codec: Http1ClientCodec) -> None:
        super().__init__(codec)
        self.is_head = False
        self.is_connect = False
        self.is_upgrade = False

    def encode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """The request headers."""
        if self.closed or self.started:
            return
        fields = headers.fields
        index = headers.index
        if len(index) != len(fields) or b"transfer-encoding" in index or b"host" in index:
            fields = [field for field in framing_fields_removed(fields) if field[0] != b"host"]
        method = headers.method
        self.is_head = method == b"HEAD"
        self.is_connect = method == b"CONNECT"
        self.is_upgrade = b"upgrade" in index and lists_token(headers.joined(b"connection") or b"", b"upgrade")
        authority = headers.authority or b""
        target = authority if self.is_connect else headers.path
        fields = self._frame(method, fields, index.get(b"content-length"), end_stream)
        start = method + b" " + target + b" HTTP/1.1\r\n"
        self._send_head(start, [(b"host", authority), *fields], end_stream)

    def _frame(
        self, method: bytes, fields: list[HeaderField], content_length: bytes | None, end_stream: bool
    ) -> list[HeaderField]:
        """Decide how the peer will know the body's end; returns the fields to send."""
        if self.is_connect or self.is_upgrade:
            return fields
        if content_length is not None:
            self._expect_content(content_length)
            return fields
        if end_stream:
            return fields if method in _BODILESS_METHODS else [*fields, NO_CONTENT_FIELD]
        self._chunked = True
        return [*fields, CHUNKED_FIELD]


class WholeUrlEncoder(Http1RequestEncoder):
    """The sender of a request that names its whole URL, as proxies are asked (RFC 9112 section 3.2.2)."""

    __slots__ = ()

    def encode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """The request headers; they are as before when it returns, for another try or the log."""
        path = headers.path
        if headers.method != b"CONNECT":
            headers.path = (headers.scheme or b"http") + b"://" + (headers.authority or b"") + path
        super().encode_headers(headers, end_stream)
        headers.path = path


class Http1ClientCodec(Http1Connection[Http1RequestEncoder, ResponseDecoder], ClientCodec):
    """The codec of an upstream HTTP/1 connection; see `envoymesh.http.codec.ClientCodec`.

    `stats` is taken so that all codecs are made alike: Envoy's `http1.` counters are all of received requests.
    """

    __slots__ = ("_callbacks", "_reusable")

    def __init__(
        self, connection: CodecConnection, callbacks: ClientCodecCallbacks, settings: Http1Settings, stats: Http1Stats
    ) -> None:
        limit = settings.max_response_headers_kb * 1024
        head = ResponseHeadParser(limit, settings.max_headers_count, settings.allow_chunked_length)
        super().__init__(connection, settings, head, limit)
        self._callbacks = callbacks
        self._reusable = True

    @property
    def can_take_stream(self) -> bool:
        """Whether a request can begin now."""
        return self._reusable and self._stream is None

    def new_stream(self, decoder: ResponseDecoder) -> Http1RequestEncoder:
        """Begin a request."""
        stream = Http1RequestEncoder(self)
        self._stream = stream
        self._decoder = decoder
        return stream

    def on_eof(self) -> None:
        """The peer sent FIN: the end of a body without a length. A tunnel is not ended by it, but cut, as in Envoy.

        Raises:
            CodecProtocolError: it cuts a response short, of which some has arrived.
        """
        self._reusable = False
        stream = self._stream
        if stream is None or self._state == DISCARD:
            return
        if self._state == RAW:
            self._deliver_end(b"", [], False)
        elif self.is_amid_message:
            self._state = DISCARD
            raise CodecProtocolError(CODEC_ERROR, 0)

    @property
    def is_amid_message(self) -> bool:
        """Whether some of a framed response has come, and not all."""
        state = self._state
        if self._stream is None or state in (DISCARD, RAW, TUNNEL):
            return False
        return self._head.started or state != HEAD

    @property
    def has_connect(self) -> bool:
        """Whether the request under way is a CONNECT."""
        return self._stream is not None and self._stream.is_connect

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone: reset what is under way."""
        self._reusable = False
        had_stream = self._stream is not None
        super().reset_all_streams(reason, details)
        if had_stream:
            self._callbacks.on_stream_reset()
        return True

    def _receive_head(self, data: bytes, pos: int) -> int:
        stream, head = self._stream, self._head
        unasked = stream is None or not stream.started
        if unasked or (not head.started and data[pos] != 72):
            raise CodecProtocolError(CODEC_ERROR, 0)
        pos = head.feed(data, pos)
        if head.complete:
            head.complete = False
            self._on_head(head, pos < len(data))
        return pos

    def _on_head(self, head: HeadParser, more: bool) -> None:
        stream, decoder = self._stream, self._decoder
        if stream is None or decoder is None:
            return
        if head.version not in ("1.1", "1.0") or head.status < 100:
            raise CodecProtocolError(CODEC_ERROR)
        if stream.head:
            stream.count_interim_head()
        stream.head = head.raw
        names = index_of(head.fields)
        fields = head.fields
        headers = ResponseHeaders(head.status, fields, names if len(names) == len(fields) else None)
        if head.status < 200 and head.status != 101:
            self._check_no_body(headers, names)
            decoder.decode_1xx_headers(headers)
            return
        if asks_for_close(names, head.version == "1.0"):
            self._reusable = False
            self._callbacks.on_close_notify()
        end_stream = self._frame(headers, names, stream)
        if end_stream:
            self._end_message(stream, more)
        decoder.decode_headers(headers, end_stream)
        if end_stream:
            self._after_message(stream)

    def _frame(self, headers: ResponseHeaders, names: Names, stream: Http1RequestEncoder) -> bool:
        """Find out how the body ends (RFC 9112 section 6.3), and set its receiver; returns whether there is none."""
        status = headers.status
        if status in (204, 101):
            self._check_no_body(headers, names)
        if (stream.is_upgrade and _is_upgrade(names)) or (stream.is_connect and 200 <= status < 300):
            self._reusable = False
            self._state = TUNNEL
            return False
        coding = names.get(b"transfer-encoding")
        length = names.get(b"content-length")
        if coding is not None:
            self._check_coding(coding, length, headers)
        if stream.is_head or status in (101, 204, 304):
            return True
        if coding is not None:
            self._begin_chunks()
            return False
        if length is None:
            self._reusable = False
            self._state = RAW
            return False
        self._left = parse_content_length(length)
        self._state = LENGTH
        return not self._left

    def _check_no_body(self, headers: ResponseHeaders, names: Names) -> None:
        """RFC 9110 section 8.6: 1xx and 204 have no framing fields; Envoy forgives a Content-Length of 0."""
        if b"transfer-encoding" in names:
            raise CodecProtocolError("http1.transfer_encoding_not_allowed")
        length = names.get(b"content-length")
        if length is not None:
            if parse_content_length(length):
                raise CodecProtocolError("http1.content_length_not_allowed")
            headers.remove(b"content-length")

    def _check_coding(self, coding: bytes, length: bytes | None, headers: ResponseHeaders) -> None:
        require_chunked(coding)
        headers.remove(b"transfer-encoding")
        if length is not None:
            if not self._settings.allow_chunked_length:
                raise CodecProtocolError("http1.content_length_and_chunked_not_allowed")
            headers.remove(b"content-length")

    def _end_message(self, stream: Http1RequestEncoder, more: bool) -> None:
        # An answer before the request's end, or with bytes behind it: the connection cannot be used again.
        if more or not stream.local_done:
            self._reusable = False
        stream.remote_done = True
        self._state = BEHIND

    def _receive_behind(self, data: bytes, pos: int) -> int:
        raise CodecProtocolError(CODEC_ERROR, 0)

    def on_stream_done(self, stream: Http1RequestEncoder) -> None:
        """Request and response are complete."""
        stream.close()
        self._forget_stream()
        self._state = HEAD
        self._callbacks.on_stream_complete()

    def on_stream_reset(self, stream: Http1RequestEncoder) -> None:
        """The stream was given up; the connection goes with it."""
        self._reusable = False
        super().on_stream_reset(stream)
        self._callbacks.on_stream_reset()

    def _on_malformed(self, error: CodecProtocolError) -> None:
        self._reusable = False


def _is_upgrade(names: Names) -> bool:
    """Whether a response has the fields of an upgrade. As in Envoy they make a tunnel of it, whatever its status."""
    return b"upgrade" in names and lists_token(names.get(b"connection", b""), b"upgrade")


class WholeUrlClientCodec(Http1ClientCodec):
    """The codec of a connection to a host that wants whole URLs (`send_fully_qualified_url`)."""

    __slots__ = ()

    def new_stream(self, decoder: ResponseDecoder) -> Http1RequestEncoder:
        """Begin a request."""
        stream = WholeUrlEncoder(self)
        self._stream = stream
        self._decoder = decoder
        return stream
