"""Local replies: answers that the proxy makes itself (Envoy's `Utility::sendLocalReply`)."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.formatter import FormatterContext
from envoymesh.http.grpc import percent_encode, status_of_http
from envoymesh.http.headers import RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.table import ClusterAction, Route


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
    headers.set(b"grpc-status", b"%d" % status_of_http(status))
    if body:
        headers.set(b"grpc-message", percent_encode(body))
    return headers


def route_headers_first(
    route: object,
    modify_headers: Callable[[ResponseHeaders], None] | None,
    info: StreamInfo,
    request: RequestHeaders | None,
    now: float,
) -> Callable[[ResponseHeaders], None] | None:
    """The header mutations of the matched route, where it has any, and `modify_headers`.

    `now` is monotonic seconds. As in Envoy the mutations come first, but behind the location of a redirect.
    """
    if not isinstance(route, Route) or not route.response_parsers:
        return modify_headers

    modify_last = isinstance(route.action, ClusterAction)

    def modify(headers: ResponseHeaders) -> None:
        if modify_headers is not None and not modify_last:
            modify_headers(headers)
        context = FormatterContext(info, request, headers, None, now)
        for parser in route.response_parsers:
            parser.evaluate_headers(headers, context)
        if modify_headers is not None and modify_last:
            modify_headers(headers)

    return modify
