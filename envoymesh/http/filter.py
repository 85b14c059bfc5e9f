"""The HTTP filter interface (Envoy's `envoy/http/filter.h`).

Two steps: settings make a `FilterFactory` once; the factory makes an object for each stream.
`decode_*` sees the request on its way up, `encode_*` the response on its way down (reverse order).
A filter that stops must later call `continue_decoding` / `continue_encoding`, or answer with
`send_local_reply`, or hold the stream until it is destroyed.

This module holds the vocabulary only; `filter_chain.py` does the walking. A filter need not be compiled to stand in a
compiled chain: the classes it derives from allow for that.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr, trait

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.network.api import ExceptionHandler

if TYPE_CHECKING:
    from envoymesh.http.stream_info import StreamInfo
    from envoymesh.network.api import Connection, Dispatcher, Timer


class FilterHeadersStatus(enum.Enum):
    """What the chain does after a filter saw headers."""

    CONTINUE = "continue"
    STOP = "stop"  # no further filter until continue_*; data still comes to this filter


class FilterDataStatus(enum.Enum):
    """What the chain does after a filter saw data."""

    CONTINUE = "continue"
    STOP_AND_BUFFER = "stop_and_buffer"  # keep it for continue_*; over the buffer limit: 413 or 500
    STOP_AND_WATERMARK = "stop_and_watermark"  # keep it; over the limit the sender is read-disabled
    STOP_NO_BUFFER = "stop_no_buffer"  # the filter keeps what it needs


class FilterTrailersStatus(enum.Enum):
    """What the chain does after a filter saw trailers."""

    CONTINUE = "continue"
    STOP = "stop"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class WatermarkCallbacks:
    """Hears of the downstream write buffer; the router passes it on as upstream read_disable."""

    __slots__ = ()

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """Stop producing response bytes."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """Go on."""


@mypyc_attr(allow_interpreted_subclasses=True)
class WatermarkListener(WatermarkCallbacks):
    """WatermarkCallbacks as a base for who is not compiled, and so cannot implement a compiled trait."""

    __slots__ = ()

    def on_above_write_buffer_high_watermark(self) -> None:
        """Stop producing response bytes."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """Go on."""


@trait
class StreamFilterCallbacks(ExceptionHandler):
    """What any filter may ask of its stream.

    What a filter raises in a step or in a timer's callback is caught, and ends the stream: with 500, or with a reset
    where the response has begun. A filter that is called back from elsewhere passes what it catches to `on_exception`.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """The downstream connection."""

    @property
    @abstractmethod
    def dispatcher(self) -> Dispatcher:
        """Time and deferred calls."""

    @abstractmethod
    def create_timer(self, callback: Callable[[], None]) -> Timer:
        """A disabled timer whose callback, if it raises, costs this stream only."""

    @property
    @abstractmethod
    def stream_info(self) -> StreamInfo:
        """Facts of this stream, for logs; filters may set theirs."""

    @property
    @abstractmethod
    def route(self) -> Any:
        """The matched `router.table.Route`, or None. Matched at the first call, then kept."""

    @abstractmethod
    def clear_route_cache(self) -> None:
        """Match again at the next `route`, after a filter changed the headers."""

    @abstractmethod
    def reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """Abort the downstream stream without an answer."""

    @abstractmethod
    def send_local_reply(
        self,
        status: int,
        body: bytes,
        details: str,
        modify_headers: Callable[[ResponseHeaders], None] | None = None,
    ) -> None:
        """Answer here and now (gRPC requests get a gRPC status). After response headers went out: reset."""


@trait
class StreamDecoderFilterCallbacks(StreamFilterCallbacks):
    """What a decoder filter may ask."""

    __slots__ = ()

    @abstractmethod
    def continue_decoding(self) -> None:
        """Resume after STOP: the following filters see headers, then what was buffered."""

    @property
    @abstractmethod
    def decoding_buffer(self) -> bytes:
        """What STOP_AND_BUFFER has kept so far."""

    @abstractmethod
    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """Begin an interim response at the last encoder filter."""

    @abstractmethod
    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, details: str) -> None:
        """Begin a response; `details` is response_code_details, such as ``via_upstream``."""

    @abstractmethod
    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""

    @abstractmethod
    def encode_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers."""

    @abstractmethod
    def on_decoder_filter_above_write_buffer_high_watermark(self) -> None:
        """The filter's buffer (the upstream) is full: stop reading the request. Counted."""

    @abstractmethod
    def on_decoder_filter_below_write_buffer_low_watermark(self) -> None:
        """One for each call of the above."""

    @abstractmethod
    def set_idle_timeout(self, seconds: float) -> None:
        """A route's idle_timeout in the place of stream_idle_timeout; 0 disables."""

    @abstractmethod
    def add_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Hear of the downstream write buffer."""

    @property
    @abstractmethod
    def decoder_buffer_limit(self) -> int:
        """Bytes a filter may buffer; 0 is no limit."""


@trait
class StreamEncoderFilterCallbacks(StreamFilterCallbacks):
    """What an encoder filter may ask."""

    __slots__ = ()

    @abstractmethod
    def continue_encoding(self) -> None:
        """Resume after STOP."""

    @property
    @abstractmethod
    def encoding_buffer(self) -> bytes:
        """What STOP_AND_BUFFER has kept so far."""


@mypyc_attr(allow_interpreted_subclasses=True)
class StreamDecoderFilter:
    """Base of request-side filters: every step continues."""

    __slots__ = ("decoder_callbacks",)
    decoder_callbacks: StreamDecoderFilterCallbacks

    def set_decoder_filter_callbacks(self, callbacks: StreamDecoderFilterCallbacks) -> None:
        """Called once, before anything else."""
        self.decoder_callbacks = callbacks

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """The request headers, which may be changed in place."""
        return FilterHeadersStatus.CONTINUE

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Part of the request body."""
        return FilterDataStatus.CONTINUE

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The request trailers."""
        return FilterTrailersStatus.CONTINUE

    def on_destroy(self) -> None:
        """The stream is gone; stop timers, cancel queries. Called exactly once, last."""


@mypyc_attr(allow_interpreted_subclasses=True)
class StreamEncoderFilter:
    """Base of response-side filters: every step continues."""

    __slots__ = ("encoder_callbacks",)
    encoder_callbacks: StreamEncoderFilterCallbacks

    def set_encoder_filter_callbacks(self, callbacks: StreamEncoderFilterCallbacks) -> None:
        """Called once, before anything else."""
        self.encoder_callbacks = callbacks

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        """The response headers, which may be changed in place."""
        return FilterHeadersStatus.CONTINUE

    def encode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Part of the response body."""
        return FilterDataStatus.CONTINUE

    def encode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The response trailers."""
        return FilterTrailersStatus.CONTINUE

    def on_destroy(self) -> None:
        """The stream is gone. Called exactly once, last."""


@trait
class FilterChainFactoryCallbacks:
    """Takes the filters of one stream."""

    __slots__ = ()

    @abstractmethod
    def add_decoder_filter(self, filter_: StreamDecoderFilter) -> None:
        """Append a request-side filter."""

    @abstractmethod
    def add_encoder_filter(self, filter_: StreamEncoderFilter) -> None:
        """Append a response-side filter."""


FilterFactory = Callable[[FilterChainFactoryCallbacks], None]
"""Makes a filter's object(s) for one stream and adds them; made once from settings."""
