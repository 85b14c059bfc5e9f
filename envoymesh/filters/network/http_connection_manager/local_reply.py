"""Local replies: answers that the proxy makes itself (Envoy's `Utility::sendLocalReply`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoymesh.filters.network.http_connection_manager.local_reply_mapping import LocalReplyMapping, MappedReply
from envoymesh.formatter import FormatterContext
from envoymesh.http.grpc import percent_encode, status_of_http
from envoymesh.http.headers import RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import Dispatcher
from envoymesh.router.table import DIRECT_RESPONSE, ClusterAction, DirectResponseAction, Route

Rewrite = Callable[[ResponseHeaders, int, bytes], MappedReply]
"""Changes a reply, given its headers, status and body."""

NO_HEADERS: Final = RequestHeaders(b"", b"")
"""Those of a request that was refused unread."""

MAX_DURATION_DETAILS: Final = "max_duration_timeout"

GRPC_STATUS_OF_DETAILS: Final = {MAX_DURATION_DETAILS: 4}
"""Local replies that say more to a gRPC client than their HTTP status does: DEADLINE_EXCEEDED."""


def make_local_reply(
    status: int,
    body: bytes,
    request: RequestHeaders | None,
    modify_headers: Callable[[ResponseHeaders], None] | None = None,
    rewrite: Rewrite | None = None,
    grpc_status: int | None = None,
) -> tuple[ResponseHeaders, bytes]:
    """Headers and body of a local reply; a gRPC request gets a trailers-only response instead.

    Its status is `grpc_status`, or what stands for the HTTP status.
    """
    headers = ResponseHeaders(status)
    if modify_headers is not None:
        modify_headers(headers)
    content_type, message = b"", body
    if rewrite is not None:
        given_type, given_body = headers.get(b"content-type"), body
        mapped = rewrite(headers, status, body)
        status, body, message = mapped.status, mapped.body, mapped.message
        # A content-type among a mapper's headers goes before that of the format, which is only for bodies it made.
        now_type = headers.get(b"content-type")
        if now_type is None or (body != given_body and now_type == given_type):
            content_type = mapped.content_type or b"text/plain"
    if request is not None and is_grpc(request):
        return _grpc_reply(headers, status, message, grpc_status), b""
    _describe_body(headers, body, content_type)
    if request is not None and request.method == b"HEAD":
        return headers, b""
    return headers, body


def _describe_body(headers: ResponseHeaders, body: bytes, content_type: bytes) -> None:
    if not body:
        headers.remove(b"content-length")
        headers.remove(b"content-type")
        return
    headers.set(b"content-length", b"%d" % len(body))
    if content_type or b"content-type" not in headers.index:
        headers.set(b"content-type", content_type or b"text/plain")


def rewrite_of(
    mapping: LocalReplyMapping | None, info: StreamInfo, request: RequestHeaders | None, dispatcher: Dispatcher
) -> Rewrite | None:
    """What `local_reply_config` makes of a stream's local replies; None where nothing is configured."""
    if mapping is None:
        return None
    configured = mapping

    def rewrite(headers: ResponseHeaders, status: int, body: bytes) -> MappedReply:
        context = FormatterContext(info, request or NO_HEADERS, headers, None, dispatcher.now())
        return configured.rewrite(context, status, body)

    return rewrite


def _grpc_reply(headers: ResponseHeaders, status: int, message: bytes, grpc_status: int | None) -> ResponseHeaders:
    headers.status = 200
    headers.set(b"content-type", b"application/grpc")
    headers.set(b"grpc-status", b"%d" % (status_of_http(status) if grpc_status is None else grpc_status))
    if message:
        headers.set(b"grpc-message", percent_encode(message))
    return headers


def route_headers_first(
    route: object,
    details: str,
    modify_headers: Callable[[ResponseHeaders], None] | None,
    info: StreamInfo,
    request: RequestHeaders | None,
    now: float,
) -> Callable[[ResponseHeaders], None] | None:
    """The header mutations of the matched route, where it has any, and `modify_headers`.

    `now` is monotonic seconds. As in Envoy the mutations come first, but behind the location of a redirect and before a
    direct response's own type.
    """
    if not isinstance(route, Route):
        return modify_headers
    action = route.action
    answers = details == DIRECT_RESPONSE
    content_type = action.content_type if answers and isinstance(action, DirectResponseAction) else b""
    if not route.response_parsers and not content_type:
        return modify_headers
    modify_last = isinstance(action, ClusterAction)

    def modify(headers: ResponseHeaders) -> None:
        if modify_headers is not None and not modify_last:
            modify_headers(headers)
        context = FormatterContext(info, request, headers, None, now)
        for parser in route.response_parsers:
            parser.evaluate_headers(headers, context)
        if content_type:
            headers.set(b"content-type", content_type)
        if modify_headers is not None and modify_last:
            modify_headers(headers)

    return modify
