"""Header mutations of a route, applied (Envoy's finalizeRequestHeaders, finalizeResponseHeaders, rewritePathHeader).

Local replies get them from the connection manager (`local_reply.py`). It must not decide anything about the request.
"""

from __future__ import annotations

from envoymesh.formatter import FormatterContext
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.actions.rewrites import Rewrites, rewrite_path
from envoymesh.router.table import ClusterAction, RedirectAction, Route


def finalize_request_headers(
    route: Route, headers: RequestHeaders, info: StreamInfo, now: float, keep_original: bool
) -> None:
    """Apply what the route changes of the request's headers, its host and its path; `now` is monotonic seconds.

    `keep_original` puts the former host and path into x-envoy-original-host and x-envoy-original-path.
    """
    context = FormatterContext(info, headers, None, None, now)
    entry = route.entry
    if entry is not None:
        entry.header_parsers.request.evaluate_headers(headers, context)
        if entry.host_rewrite:
            headers.authority = entry.host_rewrite
    for parser in route.request_parsers:
        parser.evaluate_headers(headers, context)
    rewrites = rewrites_of(route)
    if rewrites is not None:
        rewrites.apply(headers, route.path, context, keep_original)


def rewrites_of(route: Route) -> Rewrites | None:
    """The rewrites of a route that forwards."""
    action = route.action
    return action.rewrites if isinstance(action, ClusterAction) else None


def finalize_response_headers(
    route: Route, request: RequestHeaders, headers: ResponseHeaders, info: StreamInfo, now: float
) -> None:
    """Apply what the route adds to and removes from the upstream's response; `now` is monotonic seconds."""
    # The stream notes status and details only when the headers go out; formats of added headers may ask for them now.
    before, info.response_code = info.response_code, headers.status
    info.response_code_details = "via_upstream"
    context = FormatterContext(info, request, headers, None, now)
    for parser in route.response_parsers:
        parser.evaluate_headers(headers, context)
    info.response_code = before


def rewrite_path_header(
    route: Route, action: RedirectAction, headers: RequestHeaders, info: StreamInfo, now: float, suppress: bool
) -> None:
    """Rewrite the path of a request that is redirected: its location is made of the new path, and logs show that one.

    `now` is monotonic seconds; `suppress` leaves out x-envoy-original-path, which has the original path else.
    """
    rewrite = action.path_rewrite
    if rewrite is not None:
        context = FormatterContext(info, headers, None, None, now)
        rewrite_path(headers, rewrite, route.path, context, not suppress)
