"""Internal redirects of one request: what is kept for them, and the request that follows a response.

Whether a redirect is allowed is `router.actions.internal_redirects`' to say. This module must not send.
"""

from __future__ import annotations

from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.http.filter import StreamDecoderFilterCallbacks
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.router.actions.internal_redirects import (
    HISTORY_KEY,
    InternalRedirectPolicy,
    RedirectHistory,
    Target,
    parse_location,
)
from envoymesh.stats import Counter


class RedirectFollower:
    """Follows redirects for one request.

    Attributes:
        body: what has come of the request's body; empty where the new request is to have none.

    Args:
        limit: bytes of the body that may be kept, 0 for any number, less for none. One with more follows none.
    """

    __slots__ = ("_body", "_callbacks", "_config", "_limit", "_overflowed", "_policy", "body")

    def __init__(
        self,
        policy: InternalRedirectPolicy,
        limit: int,
        config: RouterFilterConfig,
        callbacks: StreamDecoderFilterCallbacks,
    ) -> None:
        self._policy = policy
        self._config = config
        self._callbacks = callbacks
        self._limit = limit
        self._overflowed = False
        self._body = bytearray()
        self.body = b""

    def keep(self, data: bytes) -> bool:
        """Remember body bytes; False, once, when they are too many."""
        if self._overflowed:
            return True
        if self._limit and self._limit < len(self._body) + len(data):
            self._overflowed = True
            self._body.clear()
            return False
        self._body += data
        return True

    def wants(self, headers: ResponseHeaders) -> bool:
        """Whether a response is one of those that are followed."""
        return headers.status in self._policy.codes

    def prepare(self, headers: RequestHeaders, response: ResponseHeaders) -> bool:
        """Turn the headers of a request, all of which has come, into those of the request that follows the redirect.

        Returns False, with the headers as they were, where the redirect is not to be followed.
        """
        if self._overflowed:
            return False
        target = self._target(headers, response)
        if target is None:
            return False
        callbacks = self._callbacks
        history = _history(callbacks)
        if history.count >= self._policy.max_redirects:
            self._config.stats.passthrough_internal_redirect_too_many_redirects.inc()
            return False
        before = headers.copy()
        self._redirect(headers, response, target)
        refusal = self._refusal(history, before, target)
        if refusal is not None:
            refusal.inc()
            _restore(headers, before)
            return False
        self._change_method(headers, response.status)
        history.count += 1
        original = _scheme(callbacks, before) + b"://" + (before.authority or b"") + before.path
        headers.set(b"x-envoy-original-url", original)
        return True

    def _target(self, headers: RequestHeaders, response: ResponseHeaders) -> Target | None:
        location = response.get(b"location")
        if location is None:
            return None
        stats = self._config.stats
        target = parse_location(location)
        if target is None:
            stats.passthrough_internal_redirect_bad_location.inc()
        elif not self._fits_scheme(target.scheme.lower(), _scheme(self._callbacks, headers)):
            stats.passthrough_internal_redirect_unsafe_scheme.inc()
            return None
        return target

    def _fits_scheme(self, scheme: bytes, before: bytes) -> bool:
        return scheme in (b"http", b"https") and (self._policy.allow_cross_scheme or scheme == before)

    def _redirect(self, headers: RequestHeaders, response: ResponseHeaders, target: Target) -> None:
        for name in self._policy.headers_to_copy:
            headers.remove(name)
            for value in response.get_all(name):
                headers.add(name, value)
        headers.scheme, headers.authority, headers.path = target.scheme, target.host, target.path

    def _refusal(self, history: RedirectHistory, before: RequestHeaders, target: Target) -> Counter | None:
        """The counter of the reason why the redirect must not be followed; None where it may be."""
        callbacks, stats = self._callbacks, self._config.stats
        callbacks.clear_route_cache()
        route = callbacks.route
        if route is None:
            return stats.passthrough_internal_redirect_no_route
        from_https, to_https = _scheme(callbacks, before) == b"https", target.scheme.lower() == b"https"
        if self._policy.accepts(route.name, history, from_https=from_https, to_https=to_https):
            return None
        return stats.passthrough_internal_redirect_predicate

    def _change_method(self, headers: RequestHeaders, status: int) -> None:
        """RFC 9110 section 15.4.4: the request that follows a 303 (See Other) is a GET, without a body."""
        self.body = bytes(self._body)
        if status == 303 and headers.method not in (b"GET", b"HEAD"):
            headers.method = b"GET"
            headers.remove(b"content-length")
            self.body = b""


def _scheme(callbacks: StreamDecoderFilterCallbacks, headers: RequestHeaders) -> bytes:
    """The scheme by which the request came: without TLS http, whatever x-forwarded-proto says."""
    return b"http" if callbacks.connection.tls is None else headers.scheme


def _history(callbacks: StreamDecoderFilterCallbacks) -> RedirectHistory:
    states = callbacks.stream_info.filter_state
    found = None if states is None else states.get(HISTORY_KEY)
    if isinstance(found, RedirectHistory):
        return found
    made = RedirectHistory()
    callbacks.stream_info.set_filter_state(HISTORY_KEY, made)
    return made


def _restore(headers: RequestHeaders, before: RequestHeaders) -> None:
    headers.remove_all(headers.index.copy())
    for name, value in before.fields:
        headers.add(name, value)
    headers.method, headers.scheme = before.method, before.scheme
    headers.authority, headers.path = before.authority, before.path
