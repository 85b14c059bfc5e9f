"""The HTTP filter interface (Envoy's `envoy/http/filter.h`).

Two steps: settings make a `FilterFactory` once; the factory makes an object for each stream.
A filter derives from `StreamFilter` and overrides the steps it needs; others cost it nothing.
`decode_*` sees the request on its way up, `encode_*` the response on its way down (reverse order).
A filter that stops must later call `continue_decoding` / `continue_encoding`, or answer with
`send_local_reply`, or hold the stream until it is destroyed.

This module defines the interface only; `filter_manager/filter_walk.py` calls the filters. A filter need not be compiled
to take part in a compiled chain: `StreamFilter` allows for that. Steps are methods of the class: which of them a class
has is looked up once, so that a function stored in an object under a step's name is never called.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable, Sequence
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
    CONTINUE_AND_DONT_END_STREAM = "continue_and_dont_end_stream"  # headers that ended: a body will be injected
    # Nothing comes to this filter either until continue_*, which first gives it what was kept meanwhile:
    STOP_ALL_AND_BUFFER = "stop_all_and_buffer"  # over the buffer limit: 413 or 500
    STOP_ALL_AND_WATERMARK = "stop_all_and_watermark"  # over the limit the sender is read-disabled


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


class Filter1xxHeadersStatus(enum.Enum):
    """What the chain does after a filter saw an interim response."""

    CONTINUE = "continue"
    STOP = "stop"


class LocalErrorStatus(enum.Enum):
    """What is to be done with a local reply that a filter was told of."""

    CONTINUE = "continue"
    CONTINUE_AND_RESET_STREAM = "continue_and_reset_stream"  # the stream is reset, and the reply not sent


class LocalReplyData:
    """A local reply that is about to be sent.

    Attributes:
        status: of the reply to a client that does not speak gRPC.
        details: response_code_details.
    """

    __slots__ = ("details", "status")

    def __init__(self, status: int, details: str) -> None:
        self.status = status
        self.details = details


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class WatermarkCallbacks:
    """Told when the downstream write buffer is full; the router then stops reading the upstream."""

    __slots__ = ()

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """Stop producing response bytes."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """Go on."""


@mypyc_attr(allow_interpreted_subclasses=True)
class WatermarkListener(WatermarkCallbacks):
    """WatermarkCallbacks as a base class for code that is not compiled, which cannot derive from a compiled trait."""

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

    Attributes:
        filter_config_name: the filter's `name` in `http_filters`, which is its key in `typed_per_filter_config`.
    """

    __slots__ = ()

    filter_config_name: str

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
    def set_route(self, route: Any) -> None:
        """Take this route (or None, for no route at all) from now on."""

    @abstractmethod
    def clear_route_cache(self) -> None:
        """Match again at the next `route`, after a filter changed the headers."""

    @property
    @abstractmethod
    def most_specific_per_filter_config(self) -> Any:
        """What the matched route has for this filter: the route's own settings, else its virtual host's, else those of
        the route configuration, else None."""

    @property
    @abstractmethod
    def per_filter_configs(self) -> Sequence[Any]:
        """The same settings of all levels, the most specific one last."""

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
        """What is kept for this filter: by its statuses, and by `add_decoded_data`."""

    @abstractmethod
    def modify_decoding_buffer(self, change: Callable[[bytes], bytes]) -> None:
        """Replace all that has come to this filter and not gone on: what is kept and, within `decode_data`, the piece
        that is there, which the filter then must not pass on itself. `change` is called at once."""

    @abstractmethod
    def add_decoded_data(self, data: bytes) -> None:
        """Add data of the filter's own behind what is kept; it goes on before what comes next, or at
        `continue_decoding`.

        Where the headers ended the request, the filters behind this one see that the data ends it.
        """

    @abstractmethod
    def inject_decoded_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        """Pass data to the filters behind this one at once, headers first where they wait. For a filter that keeps the
        request's data itself (STOP_NO_BUFFER), or has none yet (CONTINUE_AND_DONT_END_STREAM)."""

    @abstractmethod
    def add_decoded_trailers(self) -> HeaderMap:
        """Add trailers behind the last piece of data; gives them empty, for the filter to fill in.

        Errors: ValueError outside of a step that was told `end_stream`.
        """

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
        """The filter's own buffer (or the upstream's) is full: stop reading the request. Counted."""

    @abstractmethod
    def on_decoder_filter_below_write_buffer_low_watermark(self) -> None:
        """There is room again: one call for each call of the method above."""

    @abstractmethod
    def set_idle_timeout(self, seconds: float) -> None:
        """A route's idle_timeout in the place of stream_idle_timeout; 0 disables."""

    @property
    @abstractmethod
    def max_stream_duration(self) -> float:
        """The connection manager's `max_stream_duration` in seconds; 0 is no limit."""

    @abstractmethod
    def set_max_stream_duration(self, seconds: float | None) -> None:
        """A route's max_stream_duration in its place, counted from the stream's beginning; None is no limit."""

    @abstractmethod
    def recreate_stream(self, response: ResponseHeaders, body: bytes) -> None:
        """Send the request, whose headers have been changed, through new filters, as a redirect that the proxy follows
        itself. This stream is over, and logged, when this returns. Only for a request that is complete.

        Args:
            response: what is followed, for the log.
            body: the request's.
        """

    @abstractmethod
    def add_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """From now on tell `callbacks` of the downstream write buffer's watermarks."""

    @abstractmethod
    def remove_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Tell `callbacks` no more."""

    @property
    @abstractmethod
    def decoder_buffer_limit(self) -> int:
        """Bytes a filter may have kept; 0 is no limit."""

    @abstractmethod
    def set_decoder_buffer_limit(self, limit: int) -> None:
        """Another limit, for all filters of the stream and both directions (as in Envoy)."""


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
        """What is kept for this filter: by its statuses, and by `add_encoded_data`."""

    @abstractmethod
    def modify_encoding_buffer(self, change: Callable[[bytes], bytes]) -> None:
        """Replace all that has come to this filter and not gone on: what is kept and, within `encode_data`, the piece
        that is there, which the filter then must not pass on itself. `change` is called at once."""

    @abstractmethod
    def add_encoded_data(self, data: bytes) -> None:
        """Add data of the filter's own behind what is kept; it goes on before what comes next, or at
        `continue_encoding`.

        Where the headers ended the response, the filters behind this one see that the data ends it.
        """

    @abstractmethod
    def inject_encoded_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        """Pass data to the filters behind this one at once, headers first where they wait. For a filter that keeps the
        response's data itself (STOP_NO_BUFFER), or has none yet (CONTINUE_AND_DONT_END_STREAM)."""

    @abstractmethod
    def add_encoded_trailers(self) -> HeaderMap:
        """Add trailers behind the last piece of data; gives them empty, for the filter to fill in.

        Errors: ValueError outside of a step that was told `end_stream`.
        """

    @abstractmethod
    def on_encoder_filter_above_write_buffer_high_watermark(self) -> None:
        """The filter's own buffer is full: stop reading the upstream's response. Counted."""

    @abstractmethod
    def on_encoder_filter_below_write_buffer_low_watermark(self) -> None:
        """There is room again: one call for each call of the method above."""

    @property
    @abstractmethod
    def encoder_buffer_limit(self) -> int:
        """As `decoder_buffer_limit`."""

    @abstractmethod
    def set_encoder_buffer_limit(self, limit: int) -> None:
        """As `set_decoder_buffer_limit`."""


@mypyc_attr(allow_interpreted_subclasses=True)
class StreamFilter:
    """Base of all filters, of the request, the response or both: every step continues.

    Attributes:
        decoder_callbacks: set where the filter was added with `add_decoder_filter` or `add_filter`.
        encoder_callbacks: set where it was added with `add_encoder_filter` or `add_filter`.
    """

    __slots__ = ("decoder_callbacks", "encoder_callbacks")
    decoder_callbacks: StreamDecoderFilterCallbacks
    encoder_callbacks: StreamEncoderFilterCallbacks

    def set_decoder_filter_callbacks(self, callbacks: StreamDecoderFilterCallbacks) -> None:
        """Called once, before any step."""
        self.decoder_callbacks = callbacks

    def set_encoder_filter_callbacks(self, callbacks: StreamEncoderFilterCallbacks) -> None:
        """Called once, before any step."""
        self.encoder_callbacks = callbacks

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """The request headers, which may be changed in place."""
        return FilterHeadersStatus.CONTINUE

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Part of the request body."""
        return FilterDataStatus.CONTINUE

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The request trailers, which may be changed in place."""
        return FilterTrailersStatus.CONTINUE

    def encode_1xx_headers(self, headers: ResponseHeaders) -> Filter1xxHeadersStatus:
        """An interim response, which comes here only with `proxy_100_continue`."""
        return Filter1xxHeadersStatus.CONTINUE

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        """The response headers, which may be changed in place. They may come before the request's end, or without the
        filter having seen a request: a filter in front of it may have answered."""
        return FilterHeadersStatus.CONTINUE

    def encode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Part of the response body."""
        return FilterDataStatus.CONTINUE

    def encode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The response trailers, which may be changed in place."""
        return FilterTrailersStatus.CONTINUE

    def on_local_reply(self, data: LocalReplyData) -> LocalErrorStatus:
        """A filter or the connection manager is about to answer in the upstream's place, or to reset the stream where
        an answer has begun already."""
        return LocalErrorStatus.CONTINUE

    def on_stream_complete(self) -> None:
        """The request is over, before `on_destroy` and the access log: the last moment to write to `stream_info`."""

    def on_destroy(self) -> None:
        """The stream is gone; stop timers, cancel queries. Called exactly once, last."""


@trait
class FilterChainFactoryCallbacks:
    """Takes the filters of one stream."""

    __slots__ = ()

    @abstractmethod
    def add_decoder_filter(self, filter_: StreamFilter) -> None:
        """Append a filter that sees requests."""

    @abstractmethod
    def add_encoder_filter(self, filter_: StreamFilter) -> None:
        """Append a filter that sees responses."""

    @abstractmethod
    def add_filter(self, filter_: StreamFilter) -> None:
        """Append a filter that sees both."""


FilterFactory = Callable[[FilterChainFactoryCallbacks], None]
"""Makes a filter's object(s) for one stream and adds them; made once from settings."""
