"""Timeouts of a request: the route's, the policy's, the request's own, and what the upstream is told."""

from __future__ import annotations

import pytest

from envoymesh.filters.http.router.timeouts import final_timeouts
from envoymesh.http.headers import RequestHeaders
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.timeouts import Timeouts, set_expected_timeout

OVERALL = b"x-envoy-upstream-rq-timeout-ms"
PER_TRY = b"x-envoy-upstream-rq-per-try-timeout-ms"
EXPECTED = b"x-envoy-expected-rq-timeout-ms"


def decide(
    fields: list[tuple[bytes, bytes]], timeout: float = 15.0, per_try: float = 0.0, respect: bool = False
) -> tuple[Timeouts, RequestHeaders]:
    headers = RequestHeaders(b"GET", b"/", b"a", b"http", list(fields))
    policy = RetryPolicy(per_try_timeout=per_try) if per_try else None
    return final_timeouts(ClusterAction("c", timeout), policy, headers, respect), headers


def test_the_routes() -> None:
    assert decide([])[0] == Timeouts(15.0, 0.0)
    assert decide([], 0.0, 2.0)[0] == Timeouts(0.0, 2.0)


def test_the_requests_own_are_taken_and_consumed() -> None:
    timeouts, headers = decide([(OVERALL, b"500"), (PER_TRY, b"100"), (b"a", b"b")])
    assert timeouts == Timeouts(0.5, 0.1)
    assert headers.fields == [(b"a", b"b")]


def test_what_is_no_number_changes_nothing() -> None:
    assert decide([(OVERALL, b"soon"), (PER_TRY, b"-1")], 3.0, 1.0)[0] == Timeouts(3.0, 1.0)


@pytest.mark.parametrize(("overall", "per_try", "left"), [(1.0, 1.0, 0.0), (1.0, 2.0, 0.0), (1.0, 0.9, 0.9)])
def test_a_try_may_not_take_longer_than_the_whole(overall: float, per_try: float, left: float) -> None:
    assert decide([], overall, per_try)[0].per_try == left


def test_the_expected_timeout_of_another_proxy() -> None:
    fields = [(EXPECTED, b"700"), (OVERALL, b"500")]
    assert decide(fields, respect=True)[0].overall == 0.7
    assert decide(fields)[0].overall == 0.5


@pytest.mark.parametrize(
    ("timeouts", "elapsed", "told"),
    [
        (Timeouts(15.0, 0.0), 0.0, b"15000"),
        (Timeouts(15.0, 0.0), 0.4, b"14600"),
        (Timeouts(15.0, 2.0), 1.0, b"2000"),
        (Timeouts(3.0, 2.0), 1.5, b"1500"),
        (Timeouts(1.0, 0.0), 5.0, b"1"),
        (Timeouts(0.0, 2.0), 9.0, b"2000"),
        (Timeouts(0.0, 0.0), 0.0, None),
    ],
)
def test_what_the_upstream_is_told(timeouts: Timeouts, elapsed: float, told: bytes | None) -> None:
    headers = RequestHeaders(b"GET", b"/")
    set_expected_timeout(headers, timeouts, elapsed)
    assert headers.get(EXPECTED) == told
