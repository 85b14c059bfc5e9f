"""Small filters that record, and a stream for a filter chain without a connection manager."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.filter import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamFilter,
    WatermarkCallbacks,
)
from envoymesh.http.filter_manager.filter_chain import FilterChain
from envoymesh.http.filter_manager.filter_handle import FilterChainStream
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from tests.support.fakes import FakeConnection, FakeDispatcher
from tests.support.stand_ins import stands_for


class Seen:
    """One direction of a message, as a filter or a peer saw it."""

    def __init__(self) -> None:
        self.headers: Any = None
        self.data = b""
        self.trailers: HeaderMap | None = None
        self.ends = 0

    def note_headers(self, headers: Any, end_stream: bool) -> None:
        assert self.headers is None, "headers twice"
        self.headers = headers
        self.ends += end_stream

    def note_data(self, data: bytes, end_stream: bool) -> None:
        assert self.headers is not None, "data before headers"
        assert not self.ends, "data behind the end"
        self.data += data
        self.ends += end_stream

    def note_trailers(self, trailers: HeaderMap) -> None:
        assert not self.ends, "trailers behind the end"
        self.trailers = trailers
        self.ends += 1


class Scripted:
    """Gives statuses in turn, then CONTINUE."""

    def __init__(self, headers: Any = None, data: Iterable[FilterDataStatus] = (), trailers: Any = None) -> None:
        self.on_headers = headers or FilterHeadersStatus.CONTINUE
        self.on_data = list(data)
        self.on_trailers = trailers or FilterTrailersStatus.CONTINUE
        self.seen = Seen()
        self.destroyed = 0

    def take_headers(self, headers: Any, end_stream: bool) -> FilterHeadersStatus:
        self.seen.note_headers(headers, end_stream)
        return self.on_headers  # type: ignore[no-any-return]

    def take_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        self.seen.note_data(data, end_stream)
        return self.on_data.pop(0) if self.on_data else FilterDataStatus.CONTINUE

    def take_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        self.seen.note_trailers(trailers)
        return self.on_trailers  # type: ignore[no-any-return]

    def on_destroy(self) -> None:
        self.destroyed += 1


class DecoderFilter(Scripted, StreamFilter):
    """A request-side filter that records."""

    decode_headers = Scripted.take_headers
    decode_data = Scripted.take_data
    decode_trailers = Scripted.take_trailers
    on_destroy = Scripted.on_destroy


class EncoderFilter(Scripted, StreamFilter):
    """A response-side filter that records."""

    encode_headers = Scripted.take_headers
    encode_data = Scripted.take_data
    encode_trailers = Scripted.take_trailers
    on_destroy = Scripted.on_destroy


class FakeStream(stands_for(FilterChainStream)):
    """The stream of a chain: what came out of it, and what was asked of it."""

    def __init__(self, buffer_limit: int = 0) -> None:
        self.dispatcher = FakeDispatcher()
        self.connection = FakeConnection()
        self.info = StreamInfo(self.connection, HttpProtocol.HTTP11, 0.0, 0.0, 1)
        self.buffer_limit = buffer_limit
        self.destroyed = False
        self.route: Any = None
        self.out = Seen()
        self.replies: list[tuple[int, str]] = []
        self.resets: list[tuple[StreamResetReason, str]] = []
        self.read_disables: list[bool] = []
        self.response_read_disables: list[bool] = []
        self.watermark_callbacks: list[WatermarkCallbacks] = []
        self.chain: FilterChain | None = None
        self.proxies_interim = True
        self.interim: list[ResponseHeaders] = []

    def set_route(self, route: Any) -> None:
        self.route = route

    def clear_route_cache(self) -> None:
        self.route = None

    def _end(self) -> None:
        self.destroyed = True
        if self.chain is not None:
            self.chain.destroy()

    def reset(self, reason: StreamResetReason, details: str) -> None:
        self.resets.append((reason, details))
        self._end()

    def reply_locally(
        self, status: int, body: bytes, details: str, modify_headers: Callable[[ResponseHeaders], None] | None = None
    ) -> None:
        self.replies.append((status, details))
        self._end()

    def on_exception(self, where: str, error: Exception) -> None:
        raise error

    def begin_response(self, headers: ResponseHeaders, details: str) -> None:
        self.info.response_code_details = details

    def write_1xx_headers(self, headers: ResponseHeaders) -> None:
        self.interim.append(headers)

    def write_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        self.out.note_headers(headers, end_stream)
        if end_stream:
            self._end()

    def write_data(self, data: bytes, end_stream: bool) -> None:
        self.out.note_data(data, end_stream)
        if end_stream:
            self._end()

    def write_trailers(self, trailers: HeaderMap) -> None:
        self.out.note_trailers(trailers)
        self._end()

    def request_read_disable(self, disable: bool) -> None:
        self.read_disables.append(disable)

    def set_buffer_limit(self, limit: int) -> None:
        self.buffer_limit = limit

    def response_read_disable(self, disable: bool) -> None:
        self.response_read_disables.append(disable)

    def add_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        self.watermark_callbacks.append(callbacks)

    def remove_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        self.watermark_callbacks.remove(callbacks)

    max_stream_duration = 0.0

    def set_max_stream_duration(self, seconds: float | None) -> None:
        raise AssertionError("no filter here asks for it")

    def recreate_stream(self, response: ResponseHeaders, body: bytes) -> None:
        raise AssertionError("no filter here asks for it")

    def set_idle_timeout(self, seconds: float) -> None:
        raise AssertionError("no filter here sets it")


def request(path: bytes = b"/") -> RequestHeaders:
    return RequestHeaders(b"GET", path, b"a", b"http")
