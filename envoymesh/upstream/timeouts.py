"""The timeouts of a request over a cluster, and the header that tells an upstream of them. It must not run timers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from envoymesh.http.headers import RequestHeaders


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 is no limit.

    Args:
        tells_grpc: the upstream is told in grpc-timeout, too.
        per_try_idle: without progress of one try.
        hedges: a try whose time is over goes on beside the next one, so that it has the whole time.
    """

    overall: float
    per_try: float
    tells_grpc: bool = False
    per_try_idle: float = 0.0
    hedges: bool = False


def set_expected_timeout(headers: RequestHeaders, timeouts: Timeouts, elapsed: float = 0.0) -> None:
    """Tell the upstream how long this proxy will wait (x-envoy-expected-rq-timeout-ms; FilterUtility).

    `elapsed` is how many seconds of the overall timeout are over: earlier tries have used them.
    """
    per_try = 0.0 if timeouts.hedges else timeouts.per_try
    expected = expected_timeout(timeouts.overall, per_try, int(elapsed * 1000))
    if expected:
        headers.set(b"x-envoy-expected-rq-timeout-ms", expected)


@lru_cache(maxsize=256)
def expected_timeout(overall: float, per_try: float, elapsed: int) -> bytes:
    """The header's value, empty without a limit; `elapsed` in milliseconds."""
    expected = round((per_try or overall) * 1000)
    if expected and overall:
        # 0 would mean no limit to the upstream.
        expected = max(1, min(expected, round(overall * 1000) - elapsed))
    return b"%d" % expected if expected else b""
