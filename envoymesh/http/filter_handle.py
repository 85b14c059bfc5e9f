"""A filter's place in a chain: its callbacks, and what it has kept back.

One handle for each filter and direction of a stream (Envoy's `ActiveStreamDecoderFilter` and
`ActiveStreamEncoderFilter`). It must not walk the chain; `filter_chain.py` does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mypy_extensions import trait

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import (
    StreamDecoderFilter,
    StreamDecoderFilterCallbacks,
    StreamEncoderFilter,
    StreamEncoderFilterCallbacks,
    StreamFilterCallbacks,
    WatermarkCallbacks,
)
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.network.api import ExceptionHandler

if TYPE_CHECKING:
    from envoymesh.http.stream_info import StreamInfo
    from envoymesh.network.api import Connection, Dispatcher, Timer


@trait
class FilterChainStream(ExceptionHandler):
    """The stream that a chain belongs to, and that pays for what its filters raise."""

    __slots__ = ()

    connection: Connection
    dispatcher: Dispatcher
    info: StreamInfo
    buffer_limit: int
    destroyed: int

    @property
    @abstractmethod
    def route(self) -> Any:
        """The matched route or None."""

    @abstractmethod
    def clear_route_cache(self) -> None:
        """Match again at the next look."""

    @abstractmethod
    def reset(self, reason: StreamResetReason, details: str) -> None:
        """Abort downstream."""

    @abstractmethod
    def reply_locally(
        self, status: int, body: bytes, details: str, modify_headers: Callable[[ResponseHeaders], None] | None = None
    ) -> None:
        """Answer in an upstream's place."""

    @abstractmethod
    def begin_response(self, headers: ResponseHeaders, details: str) -> None:
        """A response begins to pass the encoder filters."""

    @abstractmethod
    def write_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response has passed all filters."""

    @abstractmethod
    def write_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """Response headers have passed all filters."""

    @abstractmethod
    def write_data(self, data: bytes, end_stream: bool) -> None:
        """Response data has passed all filters."""

    @abstractmethod
    def write_trailers(self, trailers: HeaderMap) -> None:
        """Response trailers have passed all filters."""

    @abstractmethod
    def request_read_disable(self, disable: bool) -> None:
        """Counted: stop reading the request."""

    @abstractmethod
    def add_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Hear of the downstream write buffer."""

    @abstractmethod
    def set_idle_timeout(self, seconds: float) -> None:
        """Replace stream_idle_timeout."""


@trait
class HandleOwner:
    """The chain, as its handles see it."""

    __slots__ = ()

    stream: FilterChainStream

    @abstractmethod
    def continue_decoding(self, handle: DecoderHandle) -> None:
        """A decoder filter resumes."""

    @abstractmethod
    def continue_encoding(self, handle: EncoderHandle) -> None:
        """An encoder filter resumes."""

    @abstractmethod
    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, start: int = 0) -> None:
        """A response begins."""

    @abstractmethod
    def encode_data(self, data: bytes, end_stream: bool, start: int = 0) -> None:
        """Part of a response's body."""

    @abstractmethod
    def encode_trailers(self, trailers: HeaderMap, start: int = 0) -> None:
        """A response's trailers."""

    @abstractmethod
    def pause_upstream(self, pause: bool) -> None:
        """An encoder filter's buffer is full, or has room again."""


class _Handle(StreamFilterCallbacks):
    """What filters of both directions may ask; holds a filter's place and what it has kept back."""

    __slots__ = (
        "_over_limit",
        "_pieces",
        "_size",
        "chain",
        "end_held",
        "headers_held",
        "index",
        "stopped",
        "stream",
        "trailers_held",
    )

    def __init__(self, chain: HandleOwner, index: int) -> None:
        self.chain = chain
        self.stream = chain.stream
        self.index = index
        self.stopped = False
        self.headers_held = False
        self.end_held = False
        self.trailers_held = False
        # What is kept, in the pieces it came in: joined at each, small ones would cost the square of their number.
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._over_limit = False

    @property
    def connection(self) -> Connection:
        return self.stream.connection

    @property
    def dispatcher(self) -> Dispatcher:
        return self.stream.dispatcher

    def create_timer(self, callback: Callable[[], None]) -> Timer:
        return self.stream.dispatcher.create_timer(callback, self.stream)

    def on_exception(self, where: str, error: Exception) -> None:
        self.stream.on_exception(where, error)

    @property
    def stream_info(self) -> StreamInfo:
        return self.stream.info

    @property
    def route(self) -> Any:
        return self.stream.route

    def clear_route_cache(self) -> None:
        self.stream.clear_route_cache()

    def reset_stream(self, reason: StreamResetReason, details: str) -> None:
        self.stream.reset(reason, details)

    def send_local_reply(
        self, status: int, body: bytes, details: str, modify_headers: Callable[[ResponseHeaders], None] | None = None
    ) -> None:
        self.stream.reply_locally(status, body, details, modify_headers)

    def take(self) -> tuple[bool, bytes, bool, bool]:
        """Give up what was held, and stand no longer: whether headers, the data, whether the end, whether trailers."""
        held = (self.headers_held, self.buffered(), self.end_held, self.trailers_held)
        self.stopped = self.headers_held = self.end_held = self.trailers_held = False
        self._pieces = None
        self._size = 0
        return held

    def buffered(self) -> bytes:
        """What is kept."""
        pieces = self._pieces
        if pieces is None:
            return b""
        if len(pieces) > 1:
            pieces[:] = [b"".join(pieces)]
        return pieces[0]

    def _keep(self, data: bytes) -> bool:
        """Keep data; tells whether it is more now than the buffer limit."""
        if self._pieces is None:
            self._pieces = [data]
        else:
            self._pieces.append(data)
        self._size += len(data)
        return self._is_over_limit()

    def _is_over_limit(self) -> bool:
        limit = self.stream.buffer_limit
        return 0 < limit < self._size


class DecoderHandle(_Handle, StreamDecoderFilterCallbacks):
    """A decoder filter's place; its `StreamDecoderFilterCallbacks`."""

    __slots__ = ("filter",)

    def __init__(self, chain: HandleOwner, index: int, filter_: StreamDecoderFilter) -> None:
        super().__init__(chain, index)
        self.filter = filter_

    @property
    def decoding_buffer(self) -> bytes:
        return self.buffered()

    @property
    def decoder_buffer_limit(self) -> int:
        return self.stream.buffer_limit

    def continue_decoding(self) -> None:
        self.chain.continue_decoding(self)

    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        self.stream.write_1xx_headers(headers)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, details: str) -> None:
        self.stream.begin_response(headers, details)
        self.chain.encode_headers(headers, end_stream)

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        self.chain.encode_data(data, end_stream)

    def encode_trailers(self, trailers: HeaderMap) -> None:
        self.chain.encode_trailers(trailers)

    def on_decoder_filter_above_write_buffer_high_watermark(self) -> None:
        self.stream.request_read_disable(True)

    def on_decoder_filter_below_write_buffer_low_watermark(self) -> None:
        self.stream.request_read_disable(False)

    def set_idle_timeout(self, seconds: float) -> None:
        self.stream.set_idle_timeout(seconds)

    def add_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        self.stream.add_watermark_callbacks(callbacks)

    def keep(self, data: bytes, watermark: bool) -> None:
        """Buffer request data; over the limit, pause the sender or answer 413."""
        if not self._keep(data):
            return
        if not watermark:
            self.stream.reply_locally(413, b"Payload Too Large", "request_payload_too_large")
        elif not self._over_limit:
            self._over_limit = True
            self.stream.request_read_disable(True)

    def release(self) -> None:
        """What was kept has been passed on: let the sender go on."""
        if self._over_limit and not self._is_over_limit():
            self._over_limit = False
            self.stream.request_read_disable(False)


class EncoderHandle(_Handle, StreamEncoderFilterCallbacks):
    """An encoder filter's place; its `StreamEncoderFilterCallbacks`."""

    __slots__ = ("filter",)

    def __init__(self, chain: HandleOwner, index: int, filter_: StreamEncoderFilter) -> None:
        super().__init__(chain, index)
        self.filter = filter_

    @property
    def encoding_buffer(self) -> bytes:
        return self.buffered()

    def continue_encoding(self) -> None:
        self.chain.continue_encoding(self)

    def keep(self, data: bytes, watermark: bool) -> None:
        """Buffer response data; over the limit, pause the upstream or give up with 500."""
        if not self._keep(data):
            return
        if not watermark:
            self.stream.reply_locally(500, b"Internal Server Error", "response_payload_too_large")
        elif not self._over_limit:
            self._over_limit = True
            self.chain.pause_upstream(True)

    def release(self) -> None:
        """What was kept has been passed on: let the upstream go on."""
        if self._over_limit and not self._is_over_limit():
            self._over_limit = False
            self.chain.pause_upstream(False)
