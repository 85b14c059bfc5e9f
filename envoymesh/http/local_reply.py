"""Local replies: answers that the proxy makes itself (Envoy's `Utility::sendLocalReply`)."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.http.headers import RequestHeaders, ResponseHeaders, is_grpc

_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""HTTP status to gRPC status (grpc/doc/http-grpc-status-mapping.md); others are UNKNOWN (2)."""

_GRPC_MESSAGE_SAFE = frozenset(range(0x20, 0x7F)) - {ord("%")}


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
    if body:
        headers.add(b"content-length", b"%d" % len(body))
        headers.add(b"content-type", b"text/plain")
    if modify_headers is not None:
        modify_headers(headers)
    if request is not None and request.method == b"HEAD":
        return headers, b""
    return headers, body


def _grpc_reply(status: int, body: bytes, modify_headers: Callable[[ResponseHeaders], None] | None) -> ResponseHeaders:
    headers = ResponseHeaders(200)
    headers.add(b"content-type", b"application/grpc")
    headers.add(b"grpc-status", b"%d" % _GRPC_STATUS.get(status, 2))
    if body:
        headers.add(b"grpc-message", percent_encode(body))
    if modify_headers is not None:
        modify_headers(headers)
    return headers


def percent_encode(message: bytes) -> bytes:
    """Encode a grpc-message (gRPC over HTTP/2, section Responses)."""
    return b"".join(b"%c" % byte if byte in _GRPC_MESSAGE_SAFE else b"%%%02X" % byte for byte in message)
