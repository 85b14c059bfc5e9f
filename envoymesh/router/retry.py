"""Retry decisions (envoy.config.route.v3.RetryPolicy): pure functions on settings and what happened.

Nothing here sends, waits or counts; the router filter does as it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from envoymesh.http.headers import RequestHeaders, ResponseHeaders

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
    }
)
"""Values of `retry_on` that this table decides (others are refused where they are read)."""

_WISHES: Final = frozenset(
    (
        b"x-envoy-retry-on",
        b"x-envoy-max-retries",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retriable-header-names",
        b"x-envoy-hedge-on-per-try-timeout",
    )
)

GATEWAY_ERRORS: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often to try again.

    Args:
        num_retries: tries after the first (default 1).
        per_try_timeout: seconds for one try; 0 is no limit of its own.
        base_interval, max_interval: seconds of the jittered exponential back-off; 0 is the default (of the runtime,
            25 ms unless set; and ten times the base).
        avoid_previous_hosts: the `previous_hosts` host predicate.
        host_selection_attempts: how often a refused host is picked anew.
    """

    retry_on: frozenset[str] = frozenset()
    num_retries: int = 1
    per_try_timeout: float = 0.0
    retriable_status_codes: frozenset[int] = frozenset()
    base_interval: float = 0.0
    max_interval: float = 0.0
    avoid_previous_hosts: bool = False
    host_selection_attempts: int = 1

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
    """The route's policy with the request's own wishes on top; None when nothing is to be tried again.

    Consumes the headers that wish (x-envoy-retry-on, x-envoy-max-retries, ...): they are not for the upstream.
    Requests from outside have lost them by the time this is asked.
    """
    index = headers.index
    policy = configured
    if not _WISHES.isdisjoint(index):
        policy = _with_wishes(configured or RetryPolicy(), index)
        for name in _WISHES.intersection(index):
            headers.remove(name)
    return policy if policy is not None and policy.retry_on else None


def _with_wishes(policy: RetryPolicy, index: Mapping[bytes, bytes]) -> RetryPolicy:
    conditions = {item.strip() for item in index.get(b"x-envoy-retry-on", b"").decode("latin-1").split(",")}
    codes = {int(code) for code in index.get(b"x-envoy-retriable-status-codes", b"").split(b",") if _is_number(code)}
    tries = index.get(b"x-envoy-max-retries", b"")
    return replace(
        policy,
        retry_on=policy.retry_on | (conditions & KNOWN_CONDITIONS),
        retriable_status_codes=policy.retriable_status_codes | codes,
        num_retries=int(tries) if _is_number(tries) else policy.num_retries,
    )


def _is_number(text: bytes) -> bool:
    text = text.strip()
    return text.isdigit() and len(text) < 10


def was_rate_limited(headers: ResponseHeaders) -> bool:
    """Whether the response says that a rate limiter, not the service, refused (never retried by default)."""
    return b"x-envoy-ratelimited" in headers
