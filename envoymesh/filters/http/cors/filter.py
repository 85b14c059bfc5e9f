"""The CORS filter: tells browsers which pages may read an answer (the Fetch standard, section "CORS protocol").

A preflight request is answered here; other requests go on, and their answers are marked. Which origins, methods and
headers are allowed is the route's policy. It must not refuse anything: that is the browser's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envoymesh.filters.http.cors.stats import CorsStats
from envoymesh.http.filter import FilterHeadersStatus, StreamFilter
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.router.cors import CorsPolicy, effective_policy
from envoymesh.router.table import ClusterAction, Route

_ANY = b"*"


class CorsFilter(StreamFilter):
    """One request, and what its answer is to say."""

    __slots__ = ("_origin", "_policy", "_stats")

    def __init__(self, stats: CorsStats) -> None:
        self._stats = stats
        self._policy: CorsPolicy | None = None
        self._origin = b""

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Look at the origin; answer a preflight request."""
        origin = headers.joined(b"origin")
        if origin and origin != headers.get(b"origin"):
            headers.set(b"origin", origin)  # as in Envoy several become one field, and the upstream gets that too
        policy = self._find_policy() if origin else None
        if policy is None or not origin:
            return FilterHeadersStatus.CONTINUE
        enabled = policy.enabled()
        if not enabled and not policy.shadowed():
            return FilterHeadersStatus.CONTINUE
        allowed = policy.allows(origin)
        (self._stats.origin_valid if allowed else self._stats.origin_invalid).inc()
        if not enabled:
            return FilterHeadersStatus.CONTINUE
        if allowed:
            self._policy, self._origin = policy, origin
        if not is_preflight(headers) or (not allowed and policy.forward_not_matching_preflights is not False):
            return FilterHeadersStatus.CONTINUE
        self.decoder_callbacks.encode_headers(_answer(headers, policy, self._origin), True, "cors_response")
        return FilterHeadersStatus.STOP

    def _find_policy(self) -> CorsPolicy | None:
        """The route's; settings for this filter hide the deprecated `cors` fields of the route and its virtual host."""
        return policy_of(self.decoder_callbacks.route, self.decoder_callbacks.per_filter_configs)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Mark the answer to a request whose origin is allowed."""
        policy = self._policy
        if policy is not None:
            headers.set(b"access-control-allow-origin", self._origin)
            if policy.allow_credentials:
                headers.set(b"access-control-allow-credentials", b"true")
            if policy.expose_headers:
                headers.set(b"access-control-expose-headers", policy.expose_headers)
        return FilterHeadersStatus.CONTINUE


def policy_of(route: Route | None, configs: Sequence[Any]) -> CorsPolicy | None:
    """What is in force on a route, given this filter's settings of all its levels."""
    if route is None or not isinstance(route.action, ClusterAction):
        return None
    levels = [each for each in configs if isinstance(each, CorsPolicy)]
    return effective_policy(levels) if levels else route.cors


def is_preflight(headers: RequestHeaders) -> bool:
    """Whether a browser asks what it may send."""
    return headers.method == b"OPTIONS" and bool(headers.joined(b"access-control-request-method"))


def _answer(request: RequestHeaders, policy: CorsPolicy, origin: bytes) -> ResponseHeaders:
    """The answer to a preflight request; `origin` is empty where it is not allowed."""
    headers = ResponseHeaders(200)
    if origin:
        headers.add(b"access-control-allow-origin", origin)
    if policy.allow_credentials:
        headers.add(b"access-control-allow-credentials", b"true")
    _allow(headers, b"access-control-allow-methods", policy.allow_methods, request, b"access-control-request-method")
    _allow(headers, b"access-control-allow-headers", policy.allow_headers, request, b"access-control-request-headers")
    if policy.max_age:
        headers.add(b"access-control-max-age", policy.max_age)
    asks = request.joined(b"access-control-request-private-network") == b"true"
    if asks and policy.allow_private_network_access:
        headers.add(b"access-control-allow-private-network", b"true")
    return headers


def _allow(headers: ResponseHeaders, name: bytes, allowed: bytes, request: RequestHeaders, asked: bytes) -> None:
    """Name what is allowed; where everything is (`*`), name what the request asks for."""
    if allowed:
        headers.add(name, (request.joined(asked) or b"") if allowed == _ANY else allowed)
