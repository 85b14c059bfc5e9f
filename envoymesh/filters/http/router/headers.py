"""Header mutations of a route, applied (Envoy's finalizeRequestHeaders, finalizeResponseHeaders, rewritePathHeader).

Local replies get theirs in the http room. It must not decide anything about the request.
"""

from __future__ import annotations

from envoymesh.formatter import FormatterContext
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.table import RedirectAction, Route


def finalize_request_headers(route: Route, headers: RequestHeaders, info: StreamInfo, now: float) -> None:
    """What the route adds to and removes from the request; `now` is monotonic seconds."""
    context = FormatterContext(info, headers, None, None, now)
    for parser in route.request_parsers:
        parser.evaluate_headers(headers, context)


def finalize_response_headers(
    route: Route, request: RequestHeaders, headers: ResponseHeaders, info: StreamInfo, now: float
) -> None:
    """What the route adds to and removes from the upstream's response."""
    # Formats see status and details already, which the stream notes when the headers go out.
    before, info.response_code = info.response_code, headers.status
    info.response_code_details = "via_upstream"
    context = FormatterContext(info, request, headers, None, now)
    for parser in route.response_parsers:
        parser.evaluate_headers(headers, context)
    info.response_code = before


def rewrite_path_header(route: Route, action: RedirectAction, headers: RequestHeaders, suppress: bool) -> None:
    """Logs show the path that a redirect leads to, and the original in x-envoy-original-path unless suppressed."""
    if action.prefix_rewrite is None or route.path is None:
        return
    bare, mark, query = headers.path.partition(b"?")
    if not suppress:
        headers.set(b"x-envoy-original-path", headers.path)
    headers.path = route.path.rewritten(bare, action.prefix_rewrite) + mark + query
