"""Retry decisions (envoy.config.route.v3.RetryPolicy): pure functions on settings and what happened.

Nothing here sends, waits or counts; the router filter does as it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.metadata import MatchCriteria
from envoymesh.router.numbers import parse_number

KNOWN_CONDITIONS: Final = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "refused-stream",
        "retriable-4xx",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
        "http3-post-connect-failure",  # never happens: there is no HTTP/3
    }
)
"""Values of `retry_on`; others mean nothing."""

_WISHES: Final = frozenset(
    (
        b"x-envoy-retry-on",
        b"x-envoy-max-retries",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retriable-header-names",
    )
)

_GRPC_CONDITIONS: Final = {
    b"1": "cancelled", b"4": "deadline-exceeded", b"8": "resource-exhausted", b"13": "internal", b"14": "unavailable",
}  # fmt: skip
"""Values of grpc-status that a condition names."""

GATEWAY_ERRORS: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class ResetHeader:
    """A header that says when to come back (RetryPolicy.ResetHeader).

    Args:
        name: in lower case.
        is_timestamp: its number is a time in seconds since 1970, else seconds from now.
    """

    name: bytes
    is_timestamp: bool = False

    def interval(self, headers: HeaderMap, wall_time: float) -> float | None:
        """Seconds from now; None where the header is not there, or says no number, or a time that is past."""
        number = parse_number(headers.get(self.name) or b"")
        if number is None:
            return None
        if not self.is_timestamp:
            return float(number)
        # Whole seconds, as in Envoy.
        left = number - int(wall_time)
        return float(left) if left > 0 else None


@dataclass(frozen=True, slots=True)
class RateLimitedBackOff:
    """`rate_limited_retry_back_off`.

    Args:
        reset_headers: asked in order.
        max_interval: seconds; an answer that asks for more does not count.
    """

    reset_headers: Sequence[ResetHeader]
    max_interval: float = 300.0

    def interval(self, headers: HeaderMap, wall_time: float) -> float | None:
        """Seconds to wait, by the first header that has a usable number; None where none has."""
        for each in self.reset_headers:
            wanted = each.interval(headers, wall_time)
            if wanted is not None and wanted <= self.max_interval:
                return wanted
        return None


@dataclass(frozen=True, slots=True)
class HostPredicates:
    """Hosts that a retry does not go to (`retry_host_predicate`), as long as the balancer finds others.

    Args:
        previous_hosts: those that were tried.
        canary_hosts: those whose metadata say ``canary: true``.
        metadata: those whose metadata (``envoy.lb``) have all of one of these; none of them is empty.
    """

    previous_hosts: bool = False
    canary_hosts: bool = False
    metadata: Sequence[MatchCriteria] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often to try again.

    Args:
        num_retries: tries after the first (default 1).
        per_try_timeout: seconds for one try; 0 is no limit of its own.
        base_interval, max_interval: seconds of the jittered exponential back-off; 0 is the default (of the runtime,
            25 ms unless set; and ten times the base).
        previous_priorities_frequency: `update_frequency` of the retry priority `previous_priorities`; 0 is without it.
        host_selection_attempts: how often a refused host is picked anew.
        per_try_idle_timeout: seconds without progress of one try; 0 is no limit.
        retriable_headers: what `retriable-headers` wants of a response: one of these.
        retriable_request_headers: requests that may be tried again have one of these; empty is all requests.
        rate_limited_back_off: for responses that say when to come back.
    """

    retry_on: frozenset[str] = frozenset()
    num_retries: int = 1
    per_try_timeout: float = 0.0
    retriable_status_codes: frozenset[int] = frozenset()
    base_interval: float = 0.0
    max_interval: float = 0.0
    host_predicates: HostPredicates = HostPredicates()
    previous_priorities_frequency: int = 0
    host_selection_attempts: int = 1
    per_try_idle_timeout: float = 0.0
    retriable_headers: Sequence[HeaderMatcher] = ()
    retriable_request_headers: Sequence[HeaderMatcher] = ()
    rate_limited_back_off: RateLimitedBackOff | None = None

    def wants_response(self, headers: ResponseHeaders) -> bool:
        """Whether a response is to be tried again."""
        if was_rate_limited(headers):
            return "envoy-ratelimited" in self.retry_on
        return (
            self.wants_status(headers.status)
            or (bool(self.retriable_headers) and self._wants_headers(headers))
            or _GRPC_CONDITIONS.get(headers.get(b"grpc-status") or b"") in self.retry_on
        )

    def _wants_headers(self, headers: ResponseHeaders) -> bool:
        if "retriable-headers" not in self.retry_on:
            return False
        # Header matchers take request headers; the status is put in as the field ``:status``.
        seen = RequestHeaders(b"", b"", fields=[(b":status", b"%d" % headers.status), *headers.fields])
        return any(matcher.matches(seen) for matcher in self.retriable_headers)

    def wants_status(self, status: int) -> bool:
        """Whether a response of this status is to be tried again."""
        conditions = self.retry_on
        if "5xx" in conditions and status >= 500:
            return True
        if "gateway-error" in conditions and status in GATEWAY_ERRORS:
            return True
        if "retriable-4xx" in conditions and status == 409:
            return True
        return "retriable-status-codes" in conditions and status in self.retriable_status_codes

    def wants_reset(self, *, refused: bool, connect_failure: bool, overflow: bool, request_started: bool) -> bool:
        """Whether a try that ended without a response is to be repeated.

        Args:
            refused: the upstream said that it did not process the stream.
            connect_failure: no connection came about (timeout included).
            overflow: a circuit breaker refused: never retried.
            request_started: request headers had been sent.
        """
        conditions = self.retry_on
        if overflow:
            return False
        if "5xx" in conditions or "reset" in conditions or "gateway-error" in conditions:
            return True
        if refused and "refused-stream" in conditions:
            return True
        if not request_started and "reset-before-request" in conditions:
            return True
        return connect_failure and "connect-failure" in conditions

    def backoff(self, attempt: int, random: Callable[[], float], default_base: float = 0.025) -> float:
        """Seconds to wait before retry number `attempt` (from 1): uniform in [0, base * 2^(attempt - 1)), capped."""
        base = self.base_interval or default_base
        # A larger exponent changes nothing: no interval doubles that often before its cap.
        ceiling: float = min(base * 2.0 ** min(attempt - 1, 64), self.max_interval or base * 10)
        return ceiling * random()


def effective_policy(configured: RetryPolicy | None, headers: RequestHeaders) -> RetryPolicy | None:
    """The route's policy with what the request's own headers ask for; None when nothing is to be tried again.

    Removes these headers (x-envoy-retry-on, x-envoy-max-retries, ...), which are not for the upstream. From requests
    that come from outside the connection manager has removed them before.
    """
    index = headers.index
    policy = configured
    if not _WISHES.isdisjoint(index):
        policy = _with_wishes(configured or RetryPolicy(), index)
        for name in _WISHES.intersection(index):
            headers.remove(name)
    if policy is None or not policy.retry_on:
        return None
    wanted = policy.retriable_request_headers
    return policy if not wanted or any(matcher.matches(headers) for matcher in wanted) else None


def _with_wishes(policy: RetryPolicy, index: Mapping[bytes, bytes]) -> RetryPolicy:
    wishes = index.get(b"x-envoy-retry-on", b"") + b"," + index.get(b"x-envoy-retry-grpc-on", b"")
    conditions = {item.strip() for item in wishes.decode("latin-1").split(",")}
    codes = {int(code) for code in index.get(b"x-envoy-retriable-status-codes", b"").split(b",") if _is_number(code)}
    tries = index.get(b"x-envoy-max-retries", b"")
    names = [name.strip().lower() for name in index.get(b"x-envoy-retriable-header-names", b"").split(b",")]
    return replace(
        policy,
        retry_on=policy.retry_on | (conditions & KNOWN_CONDITIONS),
        retriable_status_codes=policy.retriable_status_codes | codes,
        num_retries=int(tries) if _is_number(tries) else policy.num_retries,
        retriable_headers=[*policy.retriable_headers, *(HeaderMatcher(name) for name in names if name)],
    )


def _is_number(text: bytes) -> bool:
    text = text.strip()
    return text.isdigit() and len(text) < 10


def was_rate_limited(headers: ResponseHeaders) -> bool:
    """Whether the response says that a rate limiter, not the service, refused (never retried by default)."""
    return b"x-envoy-ratelimited" in headers
