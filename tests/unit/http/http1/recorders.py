"""The codecs' surroundings, recording what they are told; answers are given by the test through hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    ClientCodecCallbacks,
    CodecConnection,
    RequestDecoder,
    ResponseDecoder,
    ServerCodecCallbacks,
    StreamCallbacks,
    StreamResetReason,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.http1 import Http1ClientCodec, Http1ServerCodec, Http1Settings
from tests.support.codecs import Feeder
from tests.support.stand_ins import stands_for


class Counter:
    """A counter."""

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        self.value += 1


class Stats:
    """Http1Stats."""

    def __init__(self) -> None:
        self.dropped_headers_with_underscores = Counter()
        self.requests_rejected_with_underscores_in_headers = Counter()


class Wire(stands_for(CodecConnection)):
    """A CodecConnection."""

    def __init__(self) -> None:
        self.out = b""
        self.writes = 0
        self.disabled = 0
        self.resets = 0

    def write(self, data: bytes) -> None:
        assert data
        self.out += data
        self.writes += 1

    def read_disable(self, disable: bool) -> None:
        self.disabled += 1 if disable else -1
        assert self.disabled >= 0

    def on_codec_reset(self) -> None:
        self.resets += 1

    def take(self) -> bytes:
        out, self.out = self.out, b""
        return out


class Message(stands_for(RequestDecoder, ResponseDecoder, StreamCallbacks)):
    """A decoder and StreamCallbacks of either role: one message as it arrived.

    `on_headers`, `on_data` and `on_end` are the test's hooks.
    """

    def __init__(self, encoder: Any = None) -> None:
        self.encoder = encoder
        self.headers: Any = None
        self.interim: list[ResponseHeaders] = []
        self.body = b""
        self.pieces = 0
        self.trailers: HeaderMap | None = None
        self.ended = False
        self.refused: tuple[int, bytes, str] | None = None
        self.resets: list[StreamResetReason] = []
        self.above = 0
        self.on_headers: Callable[[Message], None] | None = None
        self.on_data: Callable[[Message], None] | None = None
        self.on_end: Callable[[Message], None] | None = None

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        assert self.headers is None
        self.interim.append(headers)

    def decode_headers(self, headers: RequestHeaders | ResponseHeaders, end_stream: bool) -> None:
        assert self.headers is None
        self.headers = headers
        self.ended = end_stream
        if self.on_headers is not None:
            self.on_headers(self)
        self._check_end()

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        assert self.headers is not None
        assert not self.ended
        assert data or end_stream
        self.body += data
        self.pieces += 1
        self.ended = end_stream
        if self.on_data is not None:
            self.on_data(self)
        self._check_end()

    def decode_trailers(self, trailers: HeaderMap) -> None:
        assert self.headers is not None
        assert not self.ended
        self.trailers = trailers
        self.ended = True
        self._check_end()

    def _check_end(self) -> None:
        if self.ended and self.on_end is not None:
            self.on_end(self)

    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        assert self.refused is None
        self.refused = (status, body, details)
        fields = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        self.encoder.encode_headers(ResponseHeaders(status, fields), not body)
        if body:
            self.encoder.encode_data(body, True)

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        self.resets.append(reason)

    def on_above_write_buffer_high_watermark(self) -> None:
        self.above += 1

    def on_below_write_buffer_low_watermark(self) -> None:
        self.above -= 1

    def seen(self) -> tuple[Any, ...]:
        """What must not depend on how the bytes were split."""
        headers = self.headers
        start: tuple[Any, ...] = ()
        if isinstance(headers, RequestHeaders):
            start = (headers.method, headers.scheme, headers.authority, headers.path, tuple(headers.fields))
        elif headers is not None:
            start = (headers.status, tuple(headers.fields))
        interim = [(found.status, tuple(found.fields)) for found in self.interim]
        trailers = None if self.trailers is None else self.trailers.fields
        return (start, interim, self.body, trailers, self.ended, self.refused)


class Server(stands_for(ServerCodecCallbacks)):
    """A server codec with its surroundings; each request is a Message in `requests`."""

    def __init__(self, hook: Callable[[Message], None] | None = None, *, at: str = "end", **settings: Any) -> None:
        self.wire = Wire()
        self.stats = Stats()
        self.requests: list[Message] = []
        self.hook = hook
        self.at = at
        self.codec = Http1ServerCodec(self.wire, self, Http1Settings(**settings), self.stats)
        self.feeder = Feeder(self.codec, lambda: not self.wire.disabled)

    def new_stream(self, encoder: Any) -> Message:
        message = Message(encoder)
        encoder.set_callbacks(message)
        setattr(message, f"on_{self.at}", self.hook)
        self.requests.append(message)
        return message

    def on_go_away(self, error_code: int) -> None:
        raise AssertionError("HTTP/1 has no GOAWAY")

    def feed(self, *pieces: bytes) -> str:
        """Dispatch; returns the error's details, or an empty string."""
        try:
            for piece in pieces:
                self.feeder.feed(piece)
        except CodecProtocolError as error:
            return error.details
        return ""

    def resume(self) -> None:
        """The connection's next turns, where reading is enabled."""
        self.feeder.go_on()


class Client(stands_for(ClientCodecCallbacks)):
    """A client codec with its surroundings."""

    def __init__(self, **settings: Any) -> None:
        self.wire = Wire()
        self.completed = 0
        self.reset = 0
        self.close_notices = 0
        self.codec = Http1ClientCodec(self.wire, self, Http1Settings(**settings), Stats())
        self.feeder = Feeder(self.codec)

    def on_go_away(self, error_code: int) -> None:
        raise AssertionError("HTTP/1 has no GOAWAY")

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        raise AssertionError("HTTP/1 has no SETTINGS")

    def on_close_notify(self) -> None:
        self.close_notices += 1

    def on_stream_complete(self) -> None:
        self.completed += 1

    def on_stream_reset(self) -> None:
        self.reset += 1

    def begin(self) -> Message:
        """A stream; its decoder and callbacks are the Message returned."""
        message = Message()
        message.encoder = self.codec.new_stream(message)
        message.encoder.set_callbacks(message)
        return message

    def request(
        self,
        method: bytes = b"GET",
        fields: Iterable[tuple[bytes, bytes]] = (),
        *,
        end_stream: bool = True,
        path: bytes = b"/",
    ) -> Message:
        message = self.begin()
        message.encoder.encode_headers(RequestHeaders(method, path, b"h", b"http", list(fields)), end_stream)
        return message

    def feed(self, *pieces: bytes) -> str:
        try:
            for piece in pieces:
                self.feeder.feed(piece)
        except CodecProtocolError as error:
            return error.details
        return ""


def answer(status: int = 200, body: bytes = b"ok", fields: Iterable[tuple[bytes, bytes]] = ()) -> Any:
    """A hook: answer with a Content-Length."""

    def hook(message: Message) -> None:
        length = [(b"content-length", b"%d" % len(body))]
        message.encoder.encode_headers(ResponseHeaders(status, [*length, *fields]), not body)
        if body:
            message.encoder.encode_data(body, True)

    return hook


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these places (taken modulo its length); no piece is empty."""
    places = sorted({cut % len(data) for cut in cuts} - {0}) if data else []
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
