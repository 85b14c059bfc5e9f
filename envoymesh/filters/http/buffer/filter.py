"""The buffer filter: keeps a request back until it is whole, so that a slow client does not keep an upstream busy.

It sets the limit of what may be kept; the chain answers a longer request with 413. It must not look at the body.
"""

from __future__ import annotations

from dataclasses import dataclass

from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus, StreamFilter
from envoymesh.http.headers import HeaderMap, RequestHeaders


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """envoy.extensions.filters.http.buffer.v3.Buffer, or BufferPerRoute.

    Args:
        max_request_bytes: of the body.
        disabled: requests pass as they come.
    """

    max_request_bytes: int
    disabled: bool = False


class BufferFilter(StreamFilter):
    """One request; `_headers` is None where it is not buffered."""

    __slots__ = ("_headers", "_length", "_settings")

    def __init__(self, settings: BufferSettings) -> None:
        self._settings = settings
        self._headers: RequestHeaders | None = None
        self._length = 0

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Wait for the body, where there is one."""
        if end_stream:
            return FilterHeadersStatus.CONTINUE
        own = self.decoder_callbacks.most_specific_per_filter_config
        settings = own if isinstance(own, BufferSettings) else self._settings
        if settings.disabled:
            return FilterHeadersStatus.CONTINUE
        self.decoder_callbacks.set_decoder_buffer_limit(settings.max_request_bytes)
        self._headers = headers
        return FilterHeadersStatus.STOP

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Keep it until the end."""
        if self._headers is None:
            return FilterDataStatus.CONTINUE
        self._length += len(data)
        if not end_stream:
            return FilterDataStatus.STOP_AND_BUFFER
        self._note_length(self._headers)
        return FilterDataStatus.CONTINUE

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The request is complete: let it go on."""
        if self._headers is not None:
            self._note_length(self._headers)
        return FilterTrailersStatus.CONTINUE

    def _note_length(self, headers: RequestHeaders) -> None:
        """Announce the body's length, which is known now, so that an HTTP/1 upstream does not get it in chunks."""
        if b"content-length" not in headers:
            headers.add(b"content-length", b"%d" % self._length)
