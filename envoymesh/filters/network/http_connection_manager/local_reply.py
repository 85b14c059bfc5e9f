"""Local replies: answers that the proxy makes itself (Envoy's `Utility::sendLocalReply`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from envoymesh.formatter import FormatterContext
from envoymesh.http.headers import RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.router.table import ClusterAction, Route

if TYPE_CHECKING:
    from envoymesh.filters.network.http_connection_manager.active_stream import ActiveStream

_GRPC_STATUS: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""HTTP status to gRPC status (grpc/doc/http-grpc-status-mapping.md); others are UNKNOWN (2)."""

_GRPC_MESSAGE_SAFE: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}


def make_local_reply(
    status: int,
    body: bytes,
    request: RequestHeaders | None,
    modify_headers: Callable[[ResponseHeaders], None] | None = None,
) -> tuple[ResponseHeaders, bytes]:
    """Headers and body of a local reply; a gRPC request gets a trailers-only response instead."""
    if request is not None and is_grpc(request):
        return _grpc_reply(status, body, modify_headers), b""
    headers = ResponseHeaders(status)
    if modify_headers is not None:
        modify_headers(headers)
    if body:
        headers.set(b"content-length", b"%d" % len(body))
        if b"content-type" not in headers.index:
            headers.add(b"content-type", b"text/plain")
    else:
        headers.remove(b"content-length")
        headers.remove(b"content-type")
    if request is not None and request.method == b"HEAD":
        return headers, b""
    return headers, body


def _grpc_reply(status: int, body: bytes, modify_headers: Callable[[ResponseHeaders], None] | None) -> ResponseHeaders:
    headers = ResponseHeaders(status)
    if modify_headers is not None:
        modify_headers(headers)
    headers.status = 200
    headers.set(b"content-type", b"application/grpc")
    headers.set(b"grpc-status", b"%d" % _GRPC_STATUS.get(status, 2))
    if body:
        headers.set(b"grpc-message", percent_encode(body))
    return headers


def route_headers_first(
    stream: ActiveStream, route: object, modify_headers: Callable[[ResponseHeaders], None] | None
) -> Callable[[ResponseHeaders], None] | None:
    """The header mutations of the matched route, where it has any, and `modify_headers`.

    As in Envoy the mutations come first, but behind the location of a redirect.
    """
    if not isinstance(route, Route) or not route.response_parsers:
        return modify_headers

    modify_last = isinstance(route.action, ClusterAction)

    def modify(headers: ResponseHeaders) -> None:
        if modify_headers is not None and not modify_last:
            modify_headers(headers)
        context = FormatterContext(stream.info, stream.request_headers, headers, None, stream.dispatcher.now())
        for parser in route.response_parsers:
            parser.evaluate_headers(headers, context)
        if modify_headers is not None and modify_last:
            modify_headers(headers)

    return modify


def percent_encode(message: bytes) -> bytes:
    """Encode a grpc-message (gRPC over HTTP/2, section Responses)."""
    return b"".join(b"%c" % byte if byte in _GRPC_MESSAGE_SAFE else b"%%%02X" % byte for byte in message)
