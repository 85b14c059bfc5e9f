"""What matcher trees look at: the facts of one request, as far as they are known (Envoy's `HttpMatchingData`).

A part that has not come yet is None; an input that needs it is not available, and the tree cannot answer. It must not
hold anything longer than one evaluation.
"""

from __future__ import annotations

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo


class MatchingData:
    """One request's headers, its trailers and those of the response, and its stream info."""

    __slots__ = ("info", "request_headers", "request_trailers", "response_headers", "response_trailers")

    def __init__(
        self,
        info: StreamInfo | None = None,
        request_headers: RequestHeaders | None = None,
        request_trailers: HeaderMap | None = None,
        response_headers: ResponseHeaders | None = None,
        response_trailers: HeaderMap | None = None,
    ) -> None:
        self.info = info
        self.request_headers = request_headers
        self.request_trailers = request_trailers
        self.response_headers = response_headers
        self.response_trailers = response_trailers
