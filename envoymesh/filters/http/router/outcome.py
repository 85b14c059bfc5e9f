"""How a try ended for its host: ``rq_success``, ``rq_error`` and ``rq_timeout`` of `/clusters`.

A gRPC response counts by its grpc-status, for its HTTP status is 200 even of failures
(`Filter::handleNon5xxResponseHeaders`). It must not touch what it looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoymesh.http.headers import HeaderMap, ResponseHeaders

if TYPE_CHECKING:
    from envoymesh.filters.http.router.upstream_request import UpstreamRequest
    from envoymesh.upstream.host import Host

_SERVER_ERRORS: Final = frozenset({b"2", b"4", b"12", b"13", b"14", b"15"})
"""Values of grpc-status that stand for a 5xx (Grpc::Utility::grpcToHttpStatus): UNKNOWN, DEADLINE_EXCEEDED,
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""


def count_headers(request: UpstreamRequest, headers: ResponseHeaders, end_stream: bool, is_grpc: bool) -> None:
    """A response begins. A 5xx has been counted with its code."""
    host = request.host
    if host is None or headers.status >= 500:
        return
    if not is_grpc:
        host.stats.rq_success.inc()
    else:
        request.awaits_grpc_status = True
        if end_stream:
            count_end(request, headers)


def count_end(request: UpstreamRequest, fields: HeaderMap | None) -> None:
    """A response ends; `fields` are its last headers or trailers. gRPC without a grpc-status is an error."""
    host = request.host
    if host is None or not request.awaits_grpc_status:
        return
    request.awaits_grpc_status = False
    status = None if fields is None else fields.get(b"grpc-status")
    if status is None or not status.isdigit() or status in _SERVER_ERRORS:
        host.stats.rq_error.inc()
    else:
        host.stats.rq_success.inc()


def count_error(host: Host | None) -> None:
    """A try failed."""
    if host is not None:
        host.stats.rq_error.inc()


def count_timeout(host: Host | None) -> None:
    """A try took too long."""
    if host is not None:
        host.stats.rq_timeout.inc()
