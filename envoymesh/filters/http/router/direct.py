"""Answers that need no upstream: no route, direct responses, redirects. It must not know clusters."""

from __future__ import annotations

from envoymesh.filters.http.router.headers import rewrite_path_header
from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.formatter import FormatterContext
from envoymesh.http.filter import StreamDecoderFilterCallbacks
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.router.table import DIRECT_RESPONSE, DirectResponseAction, RedirectAction, Route


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
        _answer(callbacks, action, headers)
        return
    now = callbacks.dispatcher.now()
    rewrite_path_header(route, action, headers, callbacks.stream_info, now, config.suppress_envoy_headers)
    location = action.location(headers)
    callbacks.send_local_reply(
        action.status, b"", DIRECT_RESPONSE, lambda response: response.set(b"location", location)
    )


def _answer(callbacks: StreamDecoderFilterCallbacks, action: DirectResponseAction, headers: RequestHeaders) -> None:
    body, body_format = action.body, action.body_format
    if body_format is not None:
        context = FormatterContext(callbacks.stream_info, headers, None, None, callbacks.dispatcher.now())
        body = body_format.format(context, body)
    if not action.has_location:
        callbacks.send_local_reply(action.status, body, DIRECT_RESPONSE)
        return
    location = RedirectAction().location(headers)
    callbacks.send_local_reply(
        action.status, body, DIRECT_RESPONSE, lambda response: response.set(b"location", location)
    )
