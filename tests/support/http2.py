"""What HTTP/2 codec tests share: recording decoders and callbacks, a wire, stats, frames by hand.

    server = ServerSide(); client = ClientSide(); link(client, server)
    stream = client.request(GET); run()

It must not know what a test expects.
"""

from __future__ import annotations

from typing import Any

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
from envoymesh.http.http2 import Http2ClientCodec, Http2ServerCodec, Http2Settings
from envoymesh.http.http2.frames import HEADER, PREFACE, FrameType, frame
from envoymesh.http.http2.hpack import Decoder, Encoder
from tests.support.codecs import Feeder
from tests.support.stand_ins import stands_for

FIELDS_GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
FIELDS_POST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]


def get(path: bytes = b"/", *fields: tuple[bytes, bytes]) -> RequestHeaders:
    return RequestHeaders(b"GET", path, b"a", b"http", list(fields))


def post(path: bytes = b"/", *fields: tuple[bytes, bytes]) -> RequestHeaders:
    return RequestHeaders(b"POST", path, b"a", b"http", list(fields))


class Stat:
    """A counter or a gauge."""

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        self.value += 1

    def dec(self) -> None:
        self.value -= 1

    def add(self, amount: int) -> None:
        self.value += amount

    def sub(self, amount: int) -> None:
        self.value -= amount


class Stats:
    """Every stat, made when asked for; `used` are those that are not zero."""

    def __init__(self) -> None:
        self._stats: dict[str, Stat] = {}

    def __getattr__(self, name: str) -> Stat:
        if name.startswith("__"):
            raise AttributeError(name)
        stat = self._stats[name] = Stat()
        setattr(self, name, stat)
        return stat

    @property
    def used(self) -> dict[str, int]:
        return {name: stat.value for name, stat in self._stats.items() if stat.value}


class Wire(stands_for(CodecConnection)):
    """A CodecConnection that keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        assert data
        self.written += data

    def read_disable(self, disable: bool) -> None:
        raise AssertionError("HTTP/2 does not stop reading the connection")

    def on_codec_reset(self) -> None:
        raise AssertionError("for HTTP/1 only")

    def take(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data


class Events(stands_for(RequestDecoder, ResponseDecoder, StreamCallbacks)):
    """StreamCallbacks and a decoder of either role that keeps everything in `log`."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.body = bytearray()
        self.headers: Any = None
        self.interim: list[ResponseHeaders] = []
        self.trailers: HeaderMap | None = None
        self.ended = False
        self.reset: tuple[StreamResetReason, str] | None = None
        self.above = 0
        self.encoder: Any = None

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        self.interim.append(headers)
        self.log.append(("1xx", headers.status, list(headers.fields)))

    def decode_headers(self, headers: Any, end_stream: bool) -> None:
        assert self.headers is None
        self.headers = headers
        self._end(end_stream)
        self.log.append(("headers", repr(headers), end_stream))

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        assert type(data) is bytes
        assert data or end_stream
        self.body += data
        self._end(end_stream)
        if self.log and self.log[-1][0] == "data" and not self.log[-1][2]:
            data = self.log.pop()[1] + data
        self.log.append(("data", data, end_stream))

    def decode_trailers(self, trailers: HeaderMap) -> None:
        self.trailers = trailers
        self._end(True)
        self.log.append(("trailers", list(trailers.fields)))

    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        raise AssertionError("for HTTP/1 only")

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        assert self.reset is None
        self.reset = (reason, details)
        self.log.append(("reset", reason, details))

    def on_above_write_buffer_high_watermark(self) -> None:
        self.above += 1

    def on_below_write_buffer_low_watermark(self) -> None:
        assert self.above
        self.above -= 1

    def on_response_held(self) -> None:
        self.log.append(("held",))

    def on_response_sent(self) -> None:
        self.log.append(("sent",))

    def _end(self, end_stream: bool) -> None:
        assert not self.ended
        assert self.reset is None
        self.ended = end_stream


class Responder(Events):
    """A server's stream that answers complete requests with what `answer` says, or not at all."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self._answer = answer

    def _end(self, end_stream: bool) -> None:
        super()._end(end_stream)

    def decode_headers(self, headers: Any, end_stream: bool) -> None:
        super().decode_headers(headers, end_stream)
        self._answer_if_complete()

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        super().decode_data(data, end_stream)
        self._answer_if_complete()

    def decode_trailers(self, trailers: HeaderMap) -> None:
        super().decode_trailers(trailers)
        self._answer_if_complete()

    def _answer_if_complete(self) -> None:
        if self.ended and self._answer is not None:
            self._answer(self)


def hello(request: Events) -> None:
    """An answer with a body."""
    request.encoder.encode_headers(ResponseHeaders(200, [(b"content-type", b"text/plain")]), False)
    request.encoder.encode_data(b"hello", True)


class ServerSide(stands_for(ServerCodecCallbacks)):
    """A server codec, its wire, and the requests that came."""

    def __init__(self, answer: Any = hello, settings: Http2Settings | None = None) -> None:
        self.wire = Wire()
        self.stats = Stats()
        self.requests: list[Responder] = []
        self.goaways: list[int] = []
        self._answer = answer
        self.codec = Http2ServerCodec(self.wire, self, settings or Http2Settings(), self.stats)

    def new_stream(self, encoder: Any) -> Responder:
        request = Responder(self._answer)
        request.encoder = encoder
        encoder.set_callbacks(request)
        self.requests.append(request)
        return request

    def on_go_away(self, error_code: int) -> None:
        self.goaways.append(error_code)


class ClientSide(stands_for(ClientCodecCallbacks)):
    """A client codec, its wire, and what its pool is told."""

    def __init__(self, settings: Http2Settings | None = None) -> None:
        self.wire = Wire()
        self.stats = Stats()
        self.goaways: list[int] = []
        self.limits: list[int | None] = []
        self.completed = 0
        self.resets = 0
        self.codec = Http2ClientCodec(self.wire, self, settings or Http2Settings(), self.stats)

    def on_go_away(self, error_code: int) -> None:
        self.goaways.append(error_code)

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        self.limits.append(max_concurrent_streams)

    def on_close_notify(self) -> None:
        raise AssertionError("for HTTP/1 only")

    def on_stream_complete(self) -> None:
        self.completed += 1

    def on_stream_reset(self) -> None:
        self.resets += 1

    def request(self, headers: RequestHeaders, end_stream: bool = True) -> Events:
        """Send headers; the result's `encoder` sends the rest."""
        events = Events()
        events.encoder = self.codec.new_stream(events)
        events.encoder.set_callbacks(events)
        events.encoder.encode_headers(headers, end_stream)
        return events


def pump(client: ClientSide, server: ServerSide, chunk: int = 1 << 30) -> None:
    """Carry bytes both ways until there are none."""
    while client.wire.written or server.wire.written:
        for source, target in ((client, server), (server, client)):
            data = source.wire.take()
            for start in range(0, len(data), chunk):
                Feeder(target.codec).feed(data[start : start + chunk])


class Frame:
    """A frame read back from what a codec wrote."""

    def __init__(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.stream_id = stream_id
        self.payload = payload

    def __repr__(self) -> str:
        return f"<{self.name} flags={self.flags} stream={self.stream_id} {len(self.payload)} {self.payload[:20]!r}>"

    @property
    def name(self) -> str:
        names = {value: name for name, value in vars(FrameType).items() if isinstance(value, int)}
        return names[self.kind]

    @property
    def code(self) -> int:
        """Of RST_STREAM or GOAWAY."""
        start = 4 if self.kind == FrameType.GOAWAY else 0
        return int.from_bytes(self.payload[start : start + 4], "big")


def frames_of(data: bytes) -> list[Frame]:
    """Cut written bytes into frames; they must be whole."""
    data = data.removeprefix(PREFACE)
    frames = []
    while data:
        high, low, kind, flags, stream_id = HEADER.unpack_from(data)
        length = high << 8 | low
        assert len(data) >= 9 + length
        frames.append(Frame(kind, flags, stream_id, data[9 : 9 + length]))
        data = data[9 + length :]
    return frames


class RawPeer:
    """A peer that writes frames by hand to a server codec, and reads back what it gets."""

    def __init__(self, server: ServerSide, handshake: bool = True) -> None:
        self.server = server
        self.encoder = Encoder()
        self.decoder = Decoder()
        if handshake:
            server.codec.dispatch(PREFACE + frame(FrameType.SETTINGS, 0, 0) + frame(FrameType.SETTINGS, 1, 0))
            server.wire.take()

    def headers(
        self, stream_id: int, fields: list[tuple[bytes, bytes]] = FIELDS_GET, end_stream: bool = True, flags: int = 4
    ) -> bytes:
        return frame(FrameType.HEADERS, flags | end_stream, stream_id, self.encoder.encode(fields))

    def send(self, *data: bytes) -> list[Frame]:
        Feeder(self.server.codec).feed(b"".join(data))
        return frames_of(self.server.wire.take())
