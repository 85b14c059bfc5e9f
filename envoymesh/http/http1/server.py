"""The server's side: requests in, responses out, one after the other.

Requests that arrive behind an unanswered one are not taken, and reading is disabled, until the answer is complete; the
same holds while answers pile up in the write buffer, because the client does not read them.

A request that is refused here is answered through its decoder's `send_local_reply`, so that it is
logged and counted as any other. This module must not decide what a request is answered with otherwise.
"""

from __future__ import annotations

from typing import Final

import httptools

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    CodecConnection,
    HttpProtocol,
    RequestDecoder,
    ResponseEncoder,
    ServerCodec,
    ServerCodecCallbacks,
)
from envoymesh.http.headers import HeaderField, RequestHeaders, ResponseHeaders
from envoymesh.http.http1.connection import (
    BEHIND,
    DISCARD,
    HEAD,
    LENGTH,
    TUNNEL,
    Http1Connection,
    Names,
    asks_for_close,
    index_of,
    parse_content_length,
    require_chunked,
)
from envoymesh.http.http1.head import CODEC_ERROR, LOW_VERSION, HeadParser, skip_empty_lines
from envoymesh.http.http1.reason import STATUS_LINES_10, STATUS_LINES_11, reason_phrase
from envoymesh.http.http1.settings import HeadersWithUnderscoresAction, Http1Settings, Http1Stats
from envoymesh.http.http1.stream import (
    CHUNKED_FIELD,
    NO_CONTENT_FIELD,
    Http1Stream,
    framing_fields_removed,
    lists_token,
)
from envoymesh.http.http1.target import is_valid_authority, parse_target

# llhttp knows more methods than Envoy lets in (M-SEARCH is one of them).
_METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE "
    b"NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND "
    b"UNLINK UNLOCK UNSUBSCRIBE".split()
)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t") for token in value.split(b",")]


class Http1ResponseEncoder(Http1Stream, ResponseEncoder):
    """One request's answer.

    Attributes:
        protocol: what the request came in as.
        close_connection_after_response: the request's version or headers, or the response's framing, ask for it.
    """

    __slots__ = ("_codec", "close_connection_after_response", "is_connect", "is_head", "is_upgrade", "protocol")

    def __init__(self, codec: Http1ServerCodec) -> None:
        super().__init__(codec)
        self._codec = codec
        self.protocol = HttpProtocol.HTTP11
        self.close_connection_after_response = False
        self.is_head = False
        self.is_connect = False
        self.is_upgrade = False

    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response; HTTP/1.0 has none."""
        if not (self.closed or self.started) and self.protocol is HttpProtocol.HTTP11:
            self._send_head(STATUS_LINES_11[headers.status], framing_fields_removed(headers.fields), False)
            self.started = False
            self.count_interim_head_sent()

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The final response headers."""
        if self.closed or self.started:
            return
        fields = headers.fields
        index = headers.index
        if len(index) != len(fields) or b"transfer-encoding" in index:
            fields = framing_fields_removed(fields)
        connection = index.get(b"connection")
        if connection is not None and lists_token(connection, b"close"):
            self.close_connection_after_response = True
        status = headers.status
        fields = self._frame(status, fields, index.get(b"content-length"), end_stream)
        http_10 = self.protocol is HttpProtocol.HTTP10
        self._send_head((STATUS_LINES_10 if http_10 else STATUS_LINES_11)[status], fields, end_stream)

    def _frame(
        self, status: int, fields: list[HeaderField], content_length: bytes | None, end_stream: bool
    ) -> list[HeaderField]:
        """Decide how the peer will know the body's end, in Envoy's order; returns the fields to send."""
        if self.is_connect and 200 <= status < 300 and status != 204:
            return fields  # RFC 9110 section 9.3.6: a tunnel; what is said of its length counts for nothing
        if status < 200 or status == 204:
            # RFC 9110 section 6.4.1: no body, unless what was switched to.
            self._silent = not (self.is_connect or (self.is_upgrade and status == 101))
            return fields if content_length is None else framing_fields_removed(fields, drop_content_length=True)
        self._silent = self.is_head or status == 304
        if content_length is not None:
            self._expect_content(content_length)
            return fields
        if status == 304:
            return fields
        if end_stream and not self.is_head:
            return [*fields, NO_CONTENT_FIELD]
        if self.protocol is HttpProtocol.HTTP10:
            self.close_connection_after_response = True
            return fields
        self._chunked = not self.is_head
        return [*fields, CHUNKED_FIELD]

    def give_up_flush(self) -> None:
        """Nothing waits here."""

    def _end_local(self) -> None:
        super()._end_local()
        if not self.remote_done:
            self._codec.on_early_response()


class Http1ServerCodec(Http1Connection[Http1ResponseEncoder, RequestDecoder], ServerCodec):
    """The codec of a downstream HTTP/1 connection; see `envoymesh.http.codec.ServerCodec`."""

    __slots__ = ("_authority", "_callbacks", "_paused", "_stats")

    def __init__(
        self, connection: CodecConnection, callbacks: ServerCodecCallbacks, settings: Http1Settings, stats: Http1Stats
    ) -> None:
        limit = settings.max_request_headers_kb * 1024
        head = HeadParser(httptools.HttpRequestParser, limit, settings.max_headers_count, settings.allow_chunked_length)
        super().__init__(connection, settings, head, limit)
        self._callbacks = callbacks
        self._stats = stats
        self._paused = False  # reading is disabled: a request waits for its turn
        self._authority = b""  # the last one found valid: mostly the next one too

    def _receive_head(self, data: bytes, pos: int) -> int:
        head, start = self._head, pos
        if not head.started:
            if self.above_high_watermark:
                return self._pause(pos)
            if data[pos] <= 13:
                pos = skip_empty_lines(data, pos)
                if pos == len(data):
                    return pos
        pos = head.feed(data, pos)
        if not self.arrived:
            self.arrived = (
                len(data) - start
            )  # a pipelined request: its bytes came, and were counted, with the one before
        if head.complete:
            self._on_head()
        elif self._stream is None:
            # The request begins with its first byte: its timeouts run from here.
            self._stream = Http1ResponseEncoder(self)
            self._decoder = self._callbacks.new_stream(self._stream)
        return pos

    def _on_head(self) -> None:
        head = self._head
        head.complete = False
        stream = self._stream
        if stream is None:
            self._stream = stream = Http1ResponseEncoder(self)
        stream.head = head.raw
        names = self._check_head(head, stream)
        headers = self._make_headers(head, names)
        end_stream = self._frame(headers, names, stream)
        decoder = self._decoder
        if decoder is None:
            self._decoder = decoder = self._callbacks.new_stream(stream)
        if end_stream:
            self._end_message(stream, False)
        decoder.decode_headers(headers, end_stream)

    def _check_head(self, head: HeadParser, stream: Http1ResponseEncoder) -> Names:
        is_http_10 = head.version != "1.1"
        if is_http_10:
            if head.version != "1.0" or not self._settings.accept_http_10:
                raise CodecProtocolError(LOW_VERSION, 426)
            stream.protocol = HttpProtocol.HTTP10
        self.protocol = stream.protocol
        if head.method not in _METHODS:
            raise CodecProtocolError(CODEC_ERROR)
        if self._settings.headers_with_underscores_action is not HeadersWithUnderscoresAction.ALLOW:
            self._treat_underscores(head)
        names = index_of(head.fields)
        stream.close_connection_after_response = asks_for_close(names, is_http_10)
        return names

    def _treat_underscores(self, head: HeadParser) -> None:
        kept = [field for field in head.fields if b"_" not in field[0]]
        dropped = len(head.fields) - len(kept)
        if not dropped:
            return
        if self._settings.headers_with_underscores_action is HeadersWithUnderscoresAction.REJECT_REQUEST:
            self._stats.requests_rejected_with_underscores_in_headers.inc()
            raise CodecProtocolError("http1.unexpected_underscore")
        head.fields = kept
        for _ in range(dropped):
            self._stats.dropped_headers_with_underscores.inc()

    def _make_headers(self, head: HeadParser, names: Names) -> RequestHeaders:
        fields = head.fields
        index = names if len(names) == len(fields) else None
        authority = names.get(b"host")
        if authority is not None:
            if authority != self._authority:
                if not is_valid_authority(authority):
                    raise CodecProtocolError("http.invalid_authority")
                self._authority = authority
            fields.remove((b"host", authority))
            del names[b"host"]
        elif self.protocol is HttpProtocol.HTTP10 and self._settings.default_host_for_http_10:
            authority = self._settings.default_host_for_http_10
        path = head.url
        if path[0] == 47 and head.method != b"CONNECT":
            return RequestHeaders(head.method, path, authority, b"", fields, None, index)
        target = parse_target(head.method, path, self._settings.allow_absolute_url)
        if target.authority is not None:
            authority = target.authority
        return RequestHeaders(head.method, target.path, authority, target.scheme, fields, None, index)

    def _frame(self, headers: RequestHeaders, names: Names, stream: Http1ResponseEncoder) -> bool:
        """Find out how the body ends, and set its receiver; returns whether there is none."""
        method = headers.method
        stream.is_head = method == b"HEAD"
        coding = names.get(b"transfer-encoding")
        if coding is not None:
            self._check_coding(coding, headers, names)
        if method == b"CONNECT" or (b"upgrade" in names and self._is_upgrade(headers, names)):
            return self._begin_tunnel(headers, names, stream)
        if coding is not None:
            self._begin_chunks()
            return False
        length = names.get(b"content-length")
        if length is None:
            return True
        self._left = parse_content_length(length)
        self._state = LENGTH
        return not self._left

    def _check_coding(self, coding: bytes, headers: RequestHeaders, names: Names) -> None:
        # RFC 9112 section 6.1: Transfer-Encoding on HTTP/1.0 is a framing fault.
        if self.protocol is HttpProtocol.HTTP10:
            raise CodecProtocolError(CODEC_ERROR)
        if headers.method == b"CONNECT":
            raise CodecProtocolError("http1.invalid_transfer_encoding", 501)
        require_chunked(coding)
        headers.remove(b"transfer-encoding")
        if b"content-length" in names:
            if not self._settings.allow_chunked_length:
                raise CodecProtocolError("http1.content_length_and_chunked_not_allowed")
            headers.remove(b"content-length")

    def _is_upgrade(self, headers: RequestHeaders, names: Names) -> bool:
        """Whether an upgrade is asked for; one to h2c is taken out, as Envoy does, and does not count."""
        connection = names.get(b"connection", b"")
        if not lists_token(connection, b"upgrade"):
            return False
        upgrade = names[b"upgrade"]
        ignores = self._settings.ignores_upgrade
        if ignores is not None:
            upgrade = b",".join([each for each in _tokens(upgrade) if not ignores(each)])
        if upgrade and upgrade.lower() != b"h2c":
            if upgrade != names[b"upgrade"]:
                headers.set(b"upgrade", upgrade)
            return True
        self._forget_upgrade(headers, connection, is_h2c=bool(upgrade))
        return False

    def _forget_upgrade(self, headers: RequestHeaders, connection: bytes, *, is_h2c: bool) -> None:
        headers.remove(b"upgrade")
        gone = [b"upgrade"]
        if is_h2c:
            headers.remove(b"http2-settings")
            gone.append(b"http2-settings")
        kept = [token for token in _tokens(connection) if token.lower() not in gone]
        if kept:
            headers.set(b"connection", b",".join(kept))
        else:
            headers.remove(b"connection")

    def _begin_tunnel(self, headers: RequestHeaders, names: Names, stream: Http1ResponseEncoder) -> bool:
        """What follows is passed on as it comes, also where the head says that it is a body."""
        is_connect = headers.method == b"CONNECT"
        length = parse_content_length(names.get(b"content-length", b"0"))
        if is_connect and length:
            raise CodecProtocolError("http1.body_disallowed")
        if is_connect:
            headers.remove(b"content-length")
        stream.is_connect = is_connect
        stream.is_upgrade = not is_connect
        self._state = TUNNEL
        return False

    def _end_message(self, stream: Http1ResponseEncoder, more: bool) -> None:
        stream.remote_done = True
        self._state = BEHIND

    def _receive_behind(self, data: bytes, pos: int) -> int:
        """A pipelined request waits until the one before it is answered."""
        return self._pause(pos)

    def _pause(self, pos: int) -> int:
        if not self._paused:
            self._paused = True
            self.read_disable(True)
        return pos

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self.read_disable(False)

    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room: also for the answer to a request that has waited for that."""
        super().on_below_write_buffer_low_watermark()
        if self._stream is None:
            self._resume()

    def on_stream_done(self, stream: Http1ResponseEncoder) -> None:
        """The response is complete: the next request may come."""
        stream.close()
        self._forget_stream()
        if stream.close_connection_after_response:
            self._state = DISCARD
        else:
            self._state = HEAD
        self._resume()

    def on_early_response(self) -> None:
        """The response is complete before the request: the rest of the request is dropped."""
        self._state = DISCARD

    def _on_malformed(self, error: CodecProtocolError) -> None:
        stream = self._stream
        if stream is None:
            self._stream = stream = Http1ResponseEncoder(self)
        decoder = self._decoder
        if decoder is None:
            self._decoder = decoder = self._callbacks.new_stream(stream)
        if not stream.started:
            decoder.send_local_reply(error.status, reason_phrase(error.status).encode(), error.details)
