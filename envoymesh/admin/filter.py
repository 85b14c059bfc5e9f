"""The admin as an HTTP filter: the last of the admin listener's chain, which answers every request itself.

It gathers the request, asks `Admin` and writes the answer. It must not know any endpoint.
"""

from envoymesh.admin.messages import FORM, Request, Response, parse_params, parse_target
from envoymesh.admin.registry import Admin
from envoymesh.http.filter import (
    FilterChainFactoryCallbacks,
    FilterDataStatus,
    FilterFactory,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilter,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders

MAX_BODY = 1 << 20
"""Bytes of request body that are kept; a longer one is answered 413."""

_DETAILS = "admin_filter_response"


class AdminFilter(StreamDecoderFilter):
    """Answers one admin request when it is whole."""

    __slots__ = ("_admin", "_body", "_headers")

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._body = bytearray()
        self._headers: RequestHeaders | None = None

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Keep the headers; answer when there is no body."""
        self._headers = headers
        if end_stream:
            self._answer()
        return FilterHeadersStatus.STOP

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Keep the body, within bounds; answer at its end."""
        if self._headers is None:
            return FilterDataStatus.STOP_NO_BUFFER
        self._body += data
        if len(self._body) > MAX_BODY:
            self._headers = None
            self.decoder_callbacks.send_local_reply(413, b"Payload Too Large", "request_payload_too_large")
        elif end_stream:
            self._answer()
        return FilterDataStatus.STOP_NO_BUFFER

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """Trailers end the request; what they say does not matter."""
        if self._headers is not None:
            self._answer()
        return FilterTrailersStatus.STOP

    def _answer(self) -> None:
        assert self._headers is not None
        response = self._admin.handle(_request(self._headers, bytes(self._body)))
        self._headers = None
        body = response.body.encode()
        # As in Envoy the body is a stream, also where it is empty: HTTP/1 answers are chunked.
        self.decoder_callbacks.encode_headers(_response_headers(response), False, _DETAILS)
        self.decoder_callbacks.encode_data(body, True)


def admin_filter_factory(admin: Admin) -> FilterFactory:
    """The factory that ends the admin listener's filter chain."""

    def create(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_decoder_filter(AdminFilter(admin))

    return create


def _request(headers: RequestHeaders, body: bytes) -> Request:
    target = headers.path.decode("utf-8", "replace")
    path, params = parse_target(target)
    media_type = (headers.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if not params and media_type == FORM.encode():
        params = parse_params(body.decode("utf-8", "replace"))
    return Request(headers.method.decode("ascii", "replace"), path, params, target)


def _response_headers(response: Response) -> ResponseHeaders:
    fields = [
        (b"content-type", response.content_type.encode()),
        (b"cache-control", b"no-cache, max-age=0"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return ResponseHeaders(response.status, fields)
