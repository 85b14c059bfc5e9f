"""Codecs and their surroundings, driven as the network and a connection's owner drive them.

`deliver` is the one place that knows when a codec takes bytes, and what becomes of those it does not take.
Everything that a codec says or writes becomes plain values, to be compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import ClientCodec
from envoymesh.http.http1 import Http1ClientCodec, Http1ServerCodec, Http1Settings
from envoymesh.http.http2 import Http2ClientCodec, Http2ServerCodec, Http2Settings
from tests.support.http2 import Events, Stats
from tests.unit.http.http1.recorders import Message

Error = tuple[str, int, bool, str] | None
"""A CodecProtocolError's details, status, is_flood and stream_details."""


class Wire:
    """A CodecConnection that keeps what is written; it makes no work that grows faster than that."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.disabled = 0
        self.resets = 0

    def write(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.written += data

    def read_disable(self, disable: bool) -> None:
        self.disabled += 1 if disable else -1
        assert self.disabled >= 0, "reading is enabled more often than disabled"

    def on_codec_reset(self) -> None:
        self.resets += 1


class Side:
    """What is around one codec; also its callbacks of either role.

    Attributes:
        wire: what it writes to, and whether it has disabled reading.
        high_watermark: bytes that wait to be sent, beyond which the codec is told so after a call; 0 never tells.
    """

    codec: Any

    def __init__(self, high_watermark: int = 0) -> None:
        self.wire = Wire()
        self.high_watermark = high_watermark
        self.is_above = False
        self._sent = 0
        self.stats = Stats()
        self.told: list[Any] = []

    def after_call(self) -> None:
        """What the connection does when it flushes: the peer reads nothing, and the write buffer may be full."""
        if 0 < self.high_watermark < len(self.wire.written) - self._sent and not self.is_above:
            self.is_above = True
            self.codec.on_above_write_buffer_high_watermark()

    def drain(self) -> None:
        """The peer has read all."""
        self._sent = len(self.wire.written)
        if self.is_above:
            self.is_above = False
            self.codec.on_below_write_buffer_low_watermark()

    def on_go_away(self, error_code: int) -> None:
        self.told.append(("goaway", error_code))

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        self.told.append(("settings", max_concurrent_streams))

    def on_close_notify(self) -> None:
        self.told.append("close")

    def on_stream_complete(self) -> None:
        self.told.append("complete")

    def on_stream_reset(self) -> None:
        self.told.append("reset")


def deliver(side: Side, pieces: Iterable[bytes], eof: bool = False) -> Error:
    """Give a codec bytes as its connection would: what it did not take comes again, before anything new, and nothing
    comes while it has disabled reading; then the end. Where the write buffer is full, the peer reads from it when that
    holds the codec up, or at last.

    Returns the error that it raised, with which its connection ends.
    """
    waiting = deque(pieces)
    try:
        while waiting:
            if side.wire.disabled:
                if not side.is_above:
                    break
                side.drain()
                continue
            data = waiting.popleft()
            taken = side.codec.dispatch(data)
            assert 0 <= taken <= len(data)
            assert taken or side.wire.disabled, "a codec that takes nothing must have disabled reading"
            if taken < len(data):
                waiting.appendleft(data[taken:])
            side.after_call()
        side.drain()
        if eof and not waiting and isinstance(side.codec, ClientCodec):
            side.codec.on_eof()
    except CodecProtocolError as error:
        return (error.details, error.status, error.is_flood, error.stream_details)
    return None


def _message(encoder: Any) -> Message:
    message: Any = Message(encoder)
    message.body = bytearray()  # grows in place
    return message


def _seen(message: Message, error: Error) -> Any:
    start, interim, body, *rest = message.seen()
    # As in Envoy: what was decoded of a body before a malformed chunk of the same read is not delivered any more.
    return (start, interim, None if error and not message.ended else bytes(body), *rest, message.resets)


class Http1ServerSide(Side):
    """An HTTP/1 server; `answer` is called with each Message `at` its headers or its end."""

    def __init__(
        self, answer: Callable[[Message], None] | None, at: str, settings: Http1Settings, high_watermark: int = 0
    ) -> None:
        super().__init__(high_watermark)
        self.requests: list[Message] = []
        self._answer = answer
        self._at = at
        self.codec = Http1ServerCodec(self.wire, self, settings, self.stats)

    def new_stream(self, encoder: Any) -> Message:
        message = _message(encoder)
        encoder.set_callbacks(message)
        setattr(message, f"on_{self._at}", self._answer)
        self.requests.append(message)
        return message

    def outcome(self, error: Error) -> Any:
        """All that may not depend on how the bytes came."""
        seen = [_seen(message, error) for message in self.requests]
        return (error, seen, bytes(self.wire.written), self.wire.resets, self.stats.used)


class Http1ClientSide(Side):
    """An HTTP/1 client."""

    def __init__(self, settings: Http1Settings) -> None:
        super().__init__()
        self.codec = Http1ClientCodec(self.wire, self, settings, self.stats)
        self.message = _message(None)
        self.message.encoder = self.codec.new_stream(self.message)
        self.message.encoder.set_callbacks(self.message)

    def outcome(self, error: Error) -> Any:
        """As above."""
        return (error, _seen(self.message, error), bytes(self.wire.written), self.told)


class Http2ServerSide(Side):
    """An HTTP/2 server; `answer` is called with the Events of each complete request."""

    def __init__(
        self, answer: Callable[[Events], None] | None, settings: Http2Settings, high_watermark: int = 0
    ) -> None:
        super().__init__(high_watermark)
        self.requests: list[Answering] = []
        self._answer = answer
        self.codec = Http2ServerCodec(self.wire, self, settings, self.stats)

    def new_stream(self, encoder: Any) -> Answering:
        request = Answering(self._answer)
        request.encoder = encoder
        encoder.set_callbacks(request)
        self.requests.append(request)
        return request

    def outcome(self, error: Error) -> Any:
        """As above."""
        logs = [(request.encoder.id, request.log) for request in self.requests]
        return (error, logs, bytes(self.wire.written), self.told, self.stats.used)


class Answering(Events):
    """A server's stream that is answered when its request is complete."""

    def __init__(self, answer: Callable[[Events], None] | None) -> None:
        super().__init__()
        self._answer = answer

    def decode_headers(self, headers: Any, end_stream: bool) -> None:
        super().decode_headers(headers, end_stream)
        self._answer_if(end_stream)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        super().decode_data(data, end_stream)
        self._answer_if(end_stream)

    def decode_trailers(self, trailers: Any) -> None:
        super().decode_trailers(trailers)
        self._answer_if(True)

    def _answer_if(self, ended: bool) -> None:
        if ended and self._answer is not None:
            self._answer(self)


class Http2ClientSide(Side):
    """An HTTP/2 client."""

    def __init__(self, settings: Http2Settings) -> None:
        super().__init__()
        self.streams: list[Events] = []
        self.codec = Http2ClientCodec(self.wire, self, settings, self.stats)

    def request(self, headers: Any, end_stream: bool) -> Events:
        """Send a request's headers."""
        events = Events()
        events.encoder = self.codec.new_stream(events)
        events.encoder.set_callbacks(events)
        events.encoder.encode_headers(headers, end_stream)
        self.streams.append(events)
        return events

    def outcome(self, error: Error) -> Any:
        """As above."""
        return (error, [stream.log for stream in self.streams], bytes(self.wire.written), self.told, self.stats.used)
