"""Answers that need no upstream: no route, direct responses, redirects. It must not know clusters."""

from __future__ import annotations

from envoymesh.filters.http.router.headers import rewrite_path_header
from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.http.filter import StreamDecoderFilterCallbacks
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.router.table import DirectResponseAction, RedirectAction, Route


def answer_no_route(config: RouterFilterConfig, callbacks: StreamDecoderFilterCallbacks) -> None:
    """No route matched."""
    config.stats.no_route.inc()
    callbacks.stream_info.flags |= ResponseFlag.NO_ROUTE_FOUND
    callbacks.send_local_reply(404, b"", "route_not_found")


def answer_directly(
    config: RouterFilterConfig,
    callbacks: StreamDecoderFilterCallbacks,
    route: Route,
    action: DirectResponseAction | RedirectAction,
    headers: RequestHeaders,
) -> None:
    """The route answers itself."""
    # Envoy answers redirects as direct responses, and counts them so.
    config.stats.rq_direct_response.inc()
    if isinstance(action, DirectResponseAction):
        callbacks.send_local_reply(action.status, action.body, "direct_response")
        return
    location = action.location(headers, route.path)
    rewrite_path_header(route, action, headers, config.suppress_envoy_headers)
    callbacks.send_local_reply(
        action.status, b"", "direct_response", lambda response: response.set(b"location", location)
    )
