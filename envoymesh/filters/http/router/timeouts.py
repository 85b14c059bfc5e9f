"""The timeouts of one request: the route's, or what x-envoy-* headers say instead (FilterUtility::finalTimeout)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from envoymesh.http.headers import RequestHeaders
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.timeouts import Timeouts

_OVERRIDES: Final = frozenset(
    {
        b"x-envoy-expected-rq-timeout-ms",
        b"x-envoy-upstream-rq-timeout-ms",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
    }
)


def final_timeouts(
    action: ClusterAction, policy: RetryPolicy | None, headers: RequestHeaders, respect_expected: bool
) -> Timeouts:
    """Timeouts of a request. Consumes the override headers, which are not for the upstream.

    `policy` is the route's own, `respect_expected` the router's `respect_expected_rq_timeout`.
    """
    index = headers.index
    overall = action.timeout
    per_try = policy.per_try_timeout if policy is not None else 0.0
    if not _OVERRIDES.isdisjoint(index):
        overall, per_try = _overridden(headers, overall, per_try, respect_expected)
    if overall and per_try >= overall:
        per_try = 0.0
    return _timeouts(overall, per_try)


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


# Few pairs come up, and a frozen dataclass costs a microsecond to make.
_timeouts: Final = lru_cache(maxsize=256)(Timeouts)


def _milliseconds(text: bytes | None, otherwise: float) -> float:
    return int(text) / 1000 if text is not None and text.isdigit() else otherwise
