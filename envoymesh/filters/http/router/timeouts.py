"""The timeouts of one request: the route's, or what x-envoy-* headers say instead (FilterUtility::finalTimeout)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from envoymesh.http.headers import RequestHeaders, is_grpc
from envoymesh.router.actions.durations import set_grpc_timeout
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.timeouts import Timeouts, expected_timeout

_OVERRIDES: Final = frozenset(
    {
        b"x-envoy-expected-rq-timeout-ms",
        b"x-envoy-upstream-rq-timeout-ms",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-hedge-on-per-try-timeout",
    }
)


def final_timeouts(
    action: ClusterAction, policy: RetryPolicy | None, headers: RequestHeaders, respect_expected: bool
) -> Timeouts:
    """Timeouts of a request. Consumes the override headers, which are not for the upstream.

    `policy` is the route's own, `respect_expected` the router's `respect_expected_rq_timeout`.
    """
    index = headers.index
    overall, of_grpc = action.timeout, False
    if action.grpc_timeout is not None and is_grpc(headers):
        overall, of_grpc = action.grpc_timeout.limit(headers), True
    if action.stream_duration is not None:
        # As in Envoy: `max_stream_duration` takes the place of the timeout, also where it sets no limit itself.
        overall = 0.0
    per_try, per_try_idle = (0.0, 0.0) if policy is None else (policy.per_try_timeout, policy.per_try_idle_timeout)
    hedges = action.hedges
    if not _OVERRIDES.isdisjoint(index):
        hedges = _hedges(headers, hedges)
        overall, per_try = _overridden(headers, overall, per_try, respect_expected)
    if overall and per_try >= overall:
        per_try = 0.0
    return _timeouts(overall, per_try, of_grpc, per_try_idle, hedges)


def _hedges(headers: RequestHeaders, configured: bool) -> bool:
    """The route's `hedge_on_per_try_timeout`, or what the request says instead."""
    wish = headers.get(b"x-envoy-hedge-on-per-try-timeout")
    if wish is None:
        return configured
    headers.remove(b"x-envoy-hedge-on-per-try-timeout")
    return wish == b"true" or (configured and wish != b"false")


def _overridden(headers: RequestHeaders, overall: float, per_try: float, respect_expected: bool) -> tuple[float, float]:
    index = headers.index
    if respect_expected and b"x-envoy-expected-rq-timeout-ms" in index:
        overall = _milliseconds(headers.get(b"x-envoy-expected-rq-timeout-ms"), overall)
    elif b"x-envoy-upstream-rq-timeout-ms" in index:
        overall = _milliseconds(headers.get(b"x-envoy-upstream-rq-timeout-ms"), overall)
    headers.remove(b"x-envoy-upstream-rq-timeout-ms")
    if b"x-envoy-upstream-rq-per-try-timeout-ms" in index:
        per_try = _milliseconds(headers.get(b"x-envoy-upstream-rq-per-try-timeout-ms"), per_try)
        headers.remove(b"x-envoy-upstream-rq-per-try-timeout-ms")
    return overall, per_try


# The same few values come again and again, and making a frozen dataclass costs a microsecond.
_timeouts: Final = lru_cache(maxsize=256)(Timeouts)


def _milliseconds(text: bytes | None, otherwise: float) -> float:
    return int(text) / 1000 if text is not None and text.isdigit() else otherwise


def tell_grpc_timeout(headers: RequestHeaders, timeouts: Timeouts, elapsed: float = 0.0) -> None:
    """Tell a gRPC upstream in grpc-timeout how long the proxy waits; `elapsed` is how many seconds of it are over."""
    per_try = 0.0 if timeouts.hedges else timeouts.per_try
    expected = expected_timeout(timeouts.overall, per_try, int(elapsed * 1000))
    if expected:
        set_grpc_timeout(headers, int(expected) / 1000)
