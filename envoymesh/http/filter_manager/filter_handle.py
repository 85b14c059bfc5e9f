"""A filter's place in a chain: its callbacks, and what it has kept back.

One handle for each filter and direction of a stream (Envoy's `ActiveStreamDecoderFilter` and
`ActiveStreamEncoderFilter`). It must not walk the chain; `filter_walk.py` does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from mypy_extensions import trait

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilterCallbacks,
    StreamEncoderFilterCallbacks,
    StreamFilter,
    StreamFilterCallbacks,
    WatermarkCallbacks,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.network.api import ExceptionHandler

if TYPE_CHECKING:
    from envoymesh.http.stream_info import StreamInfo
    from envoymesh.network.api import Connection, Dispatcher, Timer

NO_FILTER: Final = StreamFilter()
"""In the place of a filter that is gone."""


@trait
class FilterChainStream(ExceptionHandler):
    """The stream that a chain belongs to, and that pays for what its filters raise."""

    __slots__ = ()

    connection: Connection
    dispatcher: Dispatcher
    info: StreamInfo
    buffer_limit: int

    @property
    @abstractmethod
    def proxies_interim(self) -> bool:
        """Whether interim responses go out at all (`proxy_100_continue`)."""

    @property
    @abstractmethod
    def route(self) -> Any:
        """The matched route or None."""

    @abstractmethod
    def set_route(self, route: Any) -> None:
        """Take this route."""

    @abstractmethod
    def clear_route_cache(self) -> None:
        """Match the route again when it is next asked for."""

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
    def response_read_disable(self, disable: bool) -> None:
        """Counted: tell whoever makes the response to stop."""

    @abstractmethod
    def add_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Tell `callbacks` of the downstream write buffer's watermarks."""

    @abstractmethod
    def remove_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Tell `callbacks` no more."""

    @abstractmethod
    def set_idle_timeout(self, seconds: float) -> None:
        """Replace stream_idle_timeout."""

    @property
    @abstractmethod
    def max_stream_duration(self) -> float:
        """The connection manager's `max_stream_duration` in seconds; 0 is no limit."""

    @abstractmethod
    def set_max_stream_duration(self, seconds: float | None) -> None:
        """Replace max_stream_duration; None is no limit."""

    @abstractmethod
    def recreate_stream(self, response: ResponseHeaders, body: bytes) -> None:
        """Begin again with the request as it is now."""

    @abstractmethod
    def set_buffer_limit(self, limit: int) -> None:
        """Replace `buffer_limit`."""


@trait
class HandleOwner:
    """What a handle needs of the `FilterChain` it belongs to."""

    __slots__ = ()

    stream: FilterChainStream

    @abstractmethod
    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response begins."""

    @abstractmethod
    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """A response begins."""

    @abstractmethod
    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of a response's body."""

    @abstractmethod
    def encode_trailers(self, trailers: HeaderMap) -> None:
        """A response's trailers."""

    @abstractmethod
    def set_buffer_limit(self, limit: int) -> None:
        """Set the limit of the bytes that a filter may keep."""


@trait
class Walk:
    """What a handle needs of the `FilterWalk` it belongs to."""

    __slots__ = ()

    @abstractmethod
    def resume(self, handle: FilterHandle) -> None:
        """A filter that stopped goes on."""

    @abstractmethod
    def inject(self, handle: FilterHandle, data: bytes, end_stream: bool) -> None:
        """A filter has data for the filters behind it."""

    @abstractmethod
    def note_busy(self, handle: FilterHandle) -> None:
        """The handle's filter has stopped, or has something to pass on."""


class FilterHandle(StreamFilterCallbacks):
    """What filters of both directions may ask; holds a filter's place and what it has kept back.

    Attributes:
        busy: the filter has stopped, or has something to pass on. As long as it is not, messages pass without a look
            at what the handle keeps.
        stopped: messages wait here for `continue_*`.
        stopped_all: the filter itself sees nothing either.
        piece: the data that the filter's step was called with, while it runs; None once it is among `pieces`.
        ends_stream: the step that runs was told `end_stream`.
        end_passed: the filter has injected the end itself.
        added_trailers: trailers that the filter has added.
    """

    __slots__ = (
        "_over_limit",
        "_size",
        "added_trailers",
        "busy",
        "chain",
        "end_held",
        "end_passed",
        "ends_stream",
        "filter",
        "filter_config_name",
        "headers_held",
        "index",
        "interim_held",
        "piece",
        "pieces",
        "stopped",
        "stopped_all",
        "stream",
        "streaming",
        "trailers_held",
        "walk",
    )

    def __init__(self, chain: HandleOwner, walk: Walk, filter_: StreamFilter, name: str) -> None:
        self.chain = chain
        self.stream = chain.stream
        self.walk = walk
        self.filter = filter_
        self.filter_config_name = name
        self.index = 0
        self.busy = False
        self.stopped = False
        self.stopped_all = False
        self.interim_held = False
        self.headers_held = False
        self.end_held = False
        self.end_passed = False
        self.trailers_held = False
        self.added_trailers: HeaderMap | None = None
        # What is kept, in the pieces it came in: joining at each piece would cost the square of their number.
        self.pieces: list[bytes] | None = None
        self._size = 0
        # As in Envoy: too much pauses the sender, unless a filter has asked for the whole (STOP_AND_BUFFER).
        self.streaming = True
        self._over_limit = False
        self.piece: bytes | None = None
        self.ends_stream = False

    # The filter's steps, whichever direction they are of

    @abstractmethod
    def headers_step(self, headers: HeaderMap, end_stream: bool) -> FilterHeadersStatus:
        """Show the filter headers."""

    @abstractmethod
    def data_step(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Show the filter data."""

    @abstractmethod
    def trailers_step(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """Show the filter trailers."""

    # What a filter may ask

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

    def set_route(self, route: Any) -> None:
        self.stream.set_route(route)

    def clear_route_cache(self) -> None:
        self.stream.clear_route_cache()

    @property
    def most_specific_per_filter_config(self) -> Any:
        levels = self.per_filter_configs
        return levels[-1] if levels else None

    @property
    def per_filter_configs(self) -> Sequence[Any]:
        route = self.stream.route
        return () if route is None else route.filter_configs.get(self.filter_config_name, ())

    def reset_stream(self, reason: StreamResetReason, details: str) -> None:
        self.stream.reset(reason, details)

    def send_local_reply(
        self, status: int, body: bytes, details: str, modify_headers: Callable[[ResponseHeaders], None] | None = None
    ) -> None:
        self.stream.reply_locally(status, body, details, modify_headers)

    # What it has kept

    def take(self) -> bytes | None:
        """Give up what is kept; None where no data has come."""
        data = None if self.pieces is None else self.buffered()
        self.pieces = None
        self._size = 0
        return data

    def buffered(self) -> bytes:
        """What is kept."""
        pieces = self.pieces
        if pieces is None:
            return b""
        if len(pieces) > 1:
            pieces[:] = [b"".join(pieces)]
        return pieces[0]

    def keep(self, data: bytes) -> None:
        """Keep data behind what is kept already."""
        if self.pieces is None:
            self.pieces = [data]
        else:
            self.pieces.append(data)
        self._size += len(data)
        self.set_busy()
        self.check_limit()

    def modify(self, change: Callable[[bytes], bytes]) -> None:
        """Change all that is here."""
        data = change(self.buffered() if self.piece is None else self.buffered() + self.piece)
        self.piece = self.pieces = None
        self._size = 0
        self.keep(data)

    def add_trailers(self) -> HeaderMap:
        """Trailers behind the piece, or the headers, that would have ended the message."""
        if not self.ends_stream:
            raise ValueError("trailers can be added only in a step that was told end_stream")
        if self.added_trailers is None:
            self.added_trailers = HeaderMap()
            self.set_busy()
        return self.added_trailers

    def set_busy(self) -> None:
        """From now on messages must be checked against what this handle keeps."""
        self.busy = True
        self.walk.note_busy(self)

    def check_limit(self) -> None:
        """Over the limit: pause the sender, or give up where the filter wants the whole."""
        if self._over_limit or not self._is_over_limit():
            return
        if self.streaming:
            self._over_limit = True
            self.pause(True)
        else:
            self.give_up()

    def release(self) -> None:
        """What was kept has been passed on: let the sender go on."""
        if self._over_limit and not self._is_over_limit():
            self._over_limit = False
            self.pause(False)

    def _is_over_limit(self) -> bool:
        limit = self.stream.buffer_limit
        return 0 < limit < self._size

    @abstractmethod
    def pause(self, pause: bool) -> None:
        """Stop the sender, or let it go on."""

    @abstractmethod
    def give_up(self) -> None:
        """More came than may be kept: answer 413, or end the response."""


class DecoderHandle(FilterHandle, StreamDecoderFilterCallbacks):
    """A decoder filter's place; its `StreamDecoderFilterCallbacks`."""

    __slots__ = ()

    def headers_step(self, headers: HeaderMap, end_stream: bool) -> FilterHeadersStatus:
        return self.filter.decode_headers(cast("RequestHeaders", headers), end_stream)

    def data_step(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        return self.filter.decode_data(data, end_stream)

    def trailers_step(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self.filter.decode_trailers(trailers)

    @property
    def decoding_buffer(self) -> bytes:
        return self.buffered()

    def modify_decoding_buffer(self, change: Callable[[bytes], bytes]) -> None:
        self.modify(change)

    def add_decoded_data(self, data: bytes) -> None:
        self.keep(data)

    def inject_decoded_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        self.walk.inject(self, data, end_stream)

    def add_decoded_trailers(self) -> HeaderMap:
        return self.add_trailers()

    @property
    def decoder_buffer_limit(self) -> int:
        return self.stream.buffer_limit

    def set_decoder_buffer_limit(self, limit: int) -> None:
        self.chain.set_buffer_limit(limit)

    def continue_decoding(self) -> None:
        self.walk.resume(self)

    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        self.chain.encode_1xx_headers(headers)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, details: str) -> None:
        self.stream.begin_response(headers, details)
        self.chain.encode_headers(headers, end_stream)

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        self.chain.encode_data(data, end_stream)

    def encode_trailers(self, trailers: HeaderMap) -> None:
        self.chain.encode_trailers(trailers)

    def on_decoder_filter_above_write_buffer_high_watermark(self) -> None:
        self.pause(True)

    def on_decoder_filter_below_write_buffer_low_watermark(self) -> None:
        self.pause(False)

    def set_idle_timeout(self, seconds: float) -> None:
        self.stream.set_idle_timeout(seconds)

    @property
    def max_stream_duration(self) -> float:
        return self.stream.max_stream_duration

    def set_max_stream_duration(self, seconds: float | None) -> None:
        self.stream.set_max_stream_duration(seconds)

    def recreate_stream(self, response: ResponseHeaders, body: bytes) -> None:
        self.stream.recreate_stream(response, body)

    def add_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        self.stream.add_watermark_callbacks(callbacks)

    def remove_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        self.stream.remove_watermark_callbacks(callbacks)

    def pause(self, pause: bool) -> None:
        self.stream.request_read_disable(pause)

    def give_up(self) -> None:
        self.stream.reply_locally(413, b"Payload Too Large", "request_payload_too_large")


class EncoderHandle(FilterHandle, StreamEncoderFilterCallbacks):
    """An encoder filter's place; its `StreamEncoderFilterCallbacks`."""

    __slots__ = ()

    def headers_step(self, headers: HeaderMap, end_stream: bool) -> FilterHeadersStatus:
        return self.filter.encode_headers(cast("ResponseHeaders", headers), end_stream)

    def data_step(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        return self.filter.encode_data(data, end_stream)

    def trailers_step(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self.filter.encode_trailers(trailers)

    @property
    def encoding_buffer(self) -> bytes:
        return self.buffered()

    def modify_encoding_buffer(self, change: Callable[[bytes], bytes]) -> None:
        self.modify(change)

    def add_encoded_data(self, data: bytes) -> None:
        self.keep(data)

    def inject_encoded_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        self.walk.inject(self, data, end_stream)

    def add_encoded_trailers(self) -> HeaderMap:
        return self.add_trailers()

    @property
    def encoder_buffer_limit(self) -> int:
        return self.stream.buffer_limit

    def set_encoder_buffer_limit(self, limit: int) -> None:
        self.chain.set_buffer_limit(limit)

    def continue_encoding(self) -> None:
        self.walk.resume(self)

    def on_encoder_filter_above_write_buffer_high_watermark(self) -> None:
        self.pause(True)

    def on_encoder_filter_below_write_buffer_low_watermark(self) -> None:
        self.pause(False)

    def pause(self, pause: bool) -> None:
        self.stream.response_read_disable(pause)

    def give_up(self) -> None:
        self.stream.reply_locally(500, b"Internal Server Error", "response_payload_too_large")
