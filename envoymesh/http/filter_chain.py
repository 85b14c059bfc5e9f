"""Walks one stream through its filters (Envoy's `FilterManager`).

Rules:
- `decode_*` goes first to last, `encode_*` last to first; the stream itself is behind both ends.
- A filter that stopped gets the data that follows, until it continues; what it asked to buffer is passed on
  to the filters behind it when it does, headers first, then data, then trailers.
- After every call into a filter the stream may be gone: nothing is touched then.
- What a filter raises is caught here, at the step that called it, and costs its stream (`on_exception`): what is above
  belongs to other streams too, be it the client's connection or the upstream's.

Each filter has a handle (`filter_handle.py`). This module knows no codec and no route.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from envoymesh.http.filter import (
    FilterChainFactoryCallbacks,
    FilterDataStatus,
    FilterFactory,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilter,
    StreamEncoderFilter,
    WatermarkCallbacks,
)
from envoymesh.http.filter_handle import DecoderHandle, EncoderHandle, FilterChainStream, HandleOwner
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders

NO_DECODER_FILTER: Final = StreamDecoderFilter()
NO_ENCODER_FILTER: Final = StreamEncoderFilter()
"""In the places of filters that are gone."""


class FilterChain(FilterChainFactoryCallbacks, HandleOwner):
    """The filters of one stream and where each direction stands."""

    __slots__ = (
        "_request_headers",
        "_request_trailers",
        "_response_ended",
        "_response_headers",
        "_response_trailers",
        "decoders",
        "encoders",
        "stream",
        "watermark_callbacks",
    )

    def __init__(self, stream: FilterChainStream, factories: Sequence[FilterFactory]) -> None:
        self.stream = stream
        self.decoders: list[DecoderHandle] = []
        self.encoders: list[EncoderHandle] = []
        self.watermark_callbacks: list[WatermarkCallbacks] = []
        self._request_headers: RequestHeaders | None = None
        self._request_trailers: HeaderMap | None = None
        self._response_headers: ResponseHeaders | None = None
        self._response_trailers: HeaderMap | None = None
        self._response_ended = False
        for factory in factories:
            factory(self)

    def add_decoder_filter(self, filter_: StreamDecoderFilter) -> None:
        """Append a request-side filter."""
        handle = DecoderHandle(self, len(self.decoders), filter_)
        self.decoders.append(handle)
        filter_.set_decoder_filter_callbacks(handle)

    def add_encoder_filter(self, filter_: StreamEncoderFilter) -> None:
        """Append a response-side filter: the last added sees the response first."""
        handle = EncoderHandle(self, 0, filter_)
        self.encoders.insert(0, handle)
        for index, other in enumerate(self.encoders):
            other.index = index
        filter_.set_encoder_filter_callbacks(handle)

    def pause_upstream(self, pause: bool) -> None:
        """An encoder filter's buffer is full, or has room again."""
        for callbacks in self.watermark_callbacks:
            if pause:
                callbacks.on_above_write_buffer_high_watermark()
            else:
                callbacks.on_below_write_buffer_low_watermark()

    def destroy(self) -> None:
        """Tell every filter that the stream is gone, and let go of them: they refer to their handles."""
        for handle in self.decoders:
            try:
                handle.filter.on_destroy()
            except Exception as error:  # noqa: BLE001 the others are still to be told
                self.stream.on_exception("on_destroy", error)
            handle.filter = NO_DECODER_FILTER
        for encoder in self.encoders:
            try:
                encoder.filter.on_destroy()
            except Exception as error:  # noqa: BLE001 as above
                self.stream.on_exception("on_destroy", error)
            encoder.filter = NO_ENCODER_FILTER
        self.decoders.clear()
        self.encoders.clear()
        self.watermark_callbacks.clear()

    # Request direction

    def decode_headers(self, headers: RequestHeaders, end_stream: bool, start: int = 0) -> None:
        """Pass request headers on, from the filter at `start`."""
        self._request_headers = headers
        try:
            for handle in self.decoders[start:] if start else self.decoders:
                status = handle.filter.decode_headers(headers, end_stream)
                if self.stream.destroyed:
                    return
                if status is not FilterHeadersStatus.CONTINUE:
                    handle.stopped = handle.headers_held = True
                    handle.end_held = end_stream
                    return
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.stream.on_exception("decode_headers", error)

    def decode_data(self, data: bytes, end_stream: bool, start: int = 0) -> None:
        """Pass request data on, from the filter at `start`."""
        try:
            for handle in self.decoders[start:] if start else self.decoders:
                status = handle.filter.decode_data(data, end_stream)
                if self.stream.destroyed:
                    return
                if status is FilterDataStatus.CONTINUE and not handle.stopped:
                    continue
                handle.stopped = True
                handle.end_held = end_stream
                if status is not FilterDataStatus.STOP_NO_BUFFER:
                    handle.keep(data, status is FilterDataStatus.STOP_AND_WATERMARK)
                if status is FilterDataStatus.CONTINUE:
                    self.continue_decoding(handle)
                return
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.stream.on_exception("decode_data", error)

    def decode_trailers(self, trailers: HeaderMap, start: int = 0) -> None:
        """Pass request trailers on, from the filter at `start`."""
        self._request_trailers = trailers
        try:
            for handle in self.decoders[start:] if start else self.decoders:
                status = handle.filter.decode_trailers(trailers)
                if self.stream.destroyed:
                    return
                if status is FilterTrailersStatus.CONTINUE and not handle.stopped:
                    continue
                handle.stopped = handle.trailers_held = True
                if status is FilterTrailersStatus.CONTINUE:
                    self.continue_decoding(handle)
                return
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.stream.on_exception("decode_trailers", error)

    def continue_decoding(self, handle: DecoderHandle) -> None:
        """Resume behind a filter that stopped: headers, kept data, trailers, as far as each has come to it."""
        # An answer may have been given meanwhile (413, for one): the filters behind need not see the request then.
        if not handle.stopped or self.stream.destroyed or self._response_ended:
            return
        following = handle.index + 1
        had_headers, data, end, had_trailers = handle.take()
        if had_headers and self._request_headers is not None:
            headers_end = end and not data
            self.decode_headers(self._request_headers, headers_end, following)
            end = end and not headers_end
        if (data or end) and not self.stream.destroyed:
            self.decode_data(data, end, following)
        if had_trailers and self._request_trailers is not None and not self.stream.destroyed:
            self.decode_trailers(self._request_trailers, following)
        if not self.stream.destroyed:
            handle.release()

    # Response direction

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, start: int = 0) -> None:
        """Pass response headers on, from the encoder filter at `start`, then to the stream."""
        self._response_headers = headers
        if end_stream:
            self._response_ended = True
        try:
            for handle in self.encoders[start:] if start else self.encoders:
                status = handle.filter.encode_headers(headers, end_stream)
                if self.stream.destroyed:
                    return
                if status is not FilterHeadersStatus.CONTINUE:
                    handle.stopped = handle.headers_held = True
                    handle.end_held = end_stream
                    return
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.stream.on_exception("encode_headers", error)
            return
        self.stream.write_headers(headers, end_stream)

    def encode_data(self, data: bytes, end_stream: bool, start: int = 0) -> None:
        """Pass response data on, from the encoder filter at `start`, then to the stream."""
        if end_stream:
            self._response_ended = True
        try:
            for handle in self.encoders[start:] if start else self.encoders:
                status = handle.filter.encode_data(data, end_stream)
                if self.stream.destroyed:
                    return
                if status is FilterDataStatus.CONTINUE and not handle.stopped:
                    continue
                handle.stopped = True
                handle.end_held = end_stream
                if status is not FilterDataStatus.STOP_NO_BUFFER:
                    handle.keep(data, status is FilterDataStatus.STOP_AND_WATERMARK)
                if status is FilterDataStatus.CONTINUE:
                    self.continue_encoding(handle)
                return
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.stream.on_exception("encode_data", error)
            return
        self.stream.write_data(data, end_stream)

    def encode_trailers(self, trailers: HeaderMap, start: int = 0) -> None:
        """Pass response trailers on, from the encoder filter at `start`, then to the stream."""
        self._response_trailers = trailers
        self._response_ended = True
        try:
            for handle in self.encoders[start:] if start else self.encoders:
                status = handle.filter.encode_trailers(trailers)
                if self.stream.destroyed:
                    return
                if status is FilterTrailersStatus.CONTINUE and not handle.stopped:
                    continue
                handle.stopped = handle.trailers_held = True
                if status is FilterTrailersStatus.CONTINUE:
                    self.continue_encoding(handle)
                return
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.stream.on_exception("encode_trailers", error)
            return
        self.stream.write_trailers(trailers)

    def continue_encoding(self, handle: EncoderHandle) -> None:
        """Resume behind an encoder filter that stopped."""
        if not handle.stopped or self.stream.destroyed:
            return
        following = handle.index + 1
        had_headers, data, end, had_trailers = handle.take()
        if had_headers and self._response_headers is not None:
            headers_end = end and not data
            self.encode_headers(self._response_headers, headers_end, following)
            end = end and not headers_end
        if (data or end) and not self.stream.destroyed:
            self.encode_data(data, end, following)
        if had_trailers and self._response_trailers is not None and not self.stream.destroyed:
            self.encode_trailers(self._response_trailers, following)
        if not self.stream.destroyed:
            handle.release()
