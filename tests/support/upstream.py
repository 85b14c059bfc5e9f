"""Fakes for the upstream room: a client codec whose peer is the test, and one who asks a pool for streams."""

from __future__ import annotations

from typing import Any

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    ClientCodec,
    HttpProtocol,
    RequestEncoder,
    ResponseDecoder,
    StreamCallbacks,
    StreamResetReason,
)
from envoymesh.upstream.api import PoolCallbacks, PoolFailureReason
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher
from tests.support.stand_ins import stands_for


class FakeStream(stands_for(RequestEncoder)):
    """A request encoder; the test ends it as the peer would."""

    def __init__(self, codec: FakeCodec, decoder: Any) -> None:
        self.codec = codec
        self.decoder = decoder
        self.ended = False
        self.reset: StreamResetReason | None = None

    def complete(self) -> None:
        """Request and response are complete."""
        self._end()
        self.codec.callbacks.on_stream_complete()

    def reset_stream(self, reason: StreamResetReason) -> None:
        """Give it up, as its owner: HTTP/1 takes its connection with it."""
        if self.ended:
            return
        self._end()
        self.reset = reason
        if self.codec.protocol is HttpProtocol.HTTP11:
            self.codec.connection.on_codec_reset()
        self.codec.callbacks.on_stream_reset()

    def _end(self) -> None:
        assert not self.ended
        self.ended = True
        self.codec.streams.remove(self)


class FakeCodec(stands_for(ClientCodec)):
    """A client codec with a settable limit; `fail_on` is the data that breaks the protocol."""

    def __init__(self, client: Any, protocol: HttpProtocol, limit: int) -> None:
        self.connection = client
        self.callbacks = client
        self.protocol = protocol
        self.limit = limit
        self.usable = True
        self.streams: list[FakeStream] = []
        self.dispatched: list[bytes] = []
        self.on_dispatch: Any = None
        self.eof_error = False
        self.is_amid_message = False
        self.has_connect = False
        self.most = 0

    @property
    def can_take_stream(self) -> bool:
        return self.usable and len(self.streams) < self.limit

    def new_stream(self, decoder: Any) -> FakeStream:
        assert self.can_take_stream, "a stream beyond the limit"
        stream = FakeStream(self, decoder)
        self.streams.append(stream)
        self.most = max(self.most, len(self.streams))
        return stream

    def dispatch(self, data: bytes) -> int:
        self.dispatched.append(data)
        if self.on_dispatch is not None:
            self.on_dispatch()
        if data == b"garbage":
            self.usable = False
            raise CodecProtocolError("http1.codec_error", 0)
        return len(data)

    def on_eof(self) -> None:
        if self.eof_error:
            raise CodecProtocolError("http1.codec_error", 0)

    def go_away(self) -> None:
        """The pool closes without it."""

    def settings(self, limit: int) -> None:
        """The peer's SETTINGS arrive."""
        self.limit = limit
        self.callbacks.on_settings(limit)

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        self.usable = False
        for stream in list(self.streams):
            stream._end()
            stream.reset = reason
            stream.decoder.on_reset(reason)
            if self.protocol is HttpProtocol.HTTP11:  # as the real codecs: one tells, the other does not
                self.callbacks.on_stream_reset()
        return True

    def on_above_write_buffer_high_watermark(self) -> None:
        self.dispatched.append(b"<above>")

    def on_below_write_buffer_low_watermark(self) -> None:
        self.dispatched.append(b"<below>")


class Asker(stands_for(PoolCallbacks, ResponseDecoder, StreamCallbacks)):
    """Asks for streams, and is all that they tell. Every request ends in `ready`, `failures` or by `cancel`."""

    def __init__(self) -> None:
        self.ready: FakeStream | None = None
        self.failure: PoolFailureReason | None = None
        self.failure_text = ""
        self.protocol: HttpProtocol | None = None
        self.connection: FakeConnection | None = None
        self.reset: StreamResetReason | None = None
        self.wait: Any = None
        self.then: Any = None

    @property
    def outcome(self) -> str:
        if self.failure is not None:
            return self.failure.name
        return "ready" if self.ready is not None else "waiting"

    def on_pool_ready(self, encoder: Any, host: Any, connection: Any, protocol: HttpProtocol) -> None:
        assert self.outcome == "waiting"
        self.ready, self.connection, self.protocol = encoder, connection, protocol
        if self.then:
            self.then()

    def on_pool_failure(self, reason: PoolFailureReason, text: str, host: Any) -> None:
        assert self.outcome == "waiting"
        self.failure, self.failure_text = reason, text
        if self.then:
            self.then()

    def on_reset(self, reason: StreamResetReason) -> None:
        self.reset = reason


__all__ = ["Asker", "FakeCodec", "FakeConnection", "FakeConnector", "FakeDispatcher", "FakeStream"]
