"""The retry policy: which ends are tried again, how long to wait, and what requests may wish."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.router.retry import KNOWN_CONDITIONS, RetryPolicy, effective_policy, was_rate_limited

END = {"refused": False, "connect_failure": False, "overflow": False, "request_started": True}


def policy(*conditions: str, **settings: Any) -> RetryPolicy:
    return RetryPolicy(frozenset(conditions), **settings)


def request(**fields: str) -> RequestHeaders:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return RequestHeaders(b"GET", b"/", b"a", b"http", pairs)


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("5xx", [500, 502, 503, 504, 599], [200, 404, 409, 499]),
        ("gateway-error", [502, 503, 504], [500, 501, 505, 409]),
        ("retriable-4xx", [409], [404, 408, 429, 500]),
        ("retriable-status-codes", [418, 500], [503, 409]),
        ("reset", [], [500, 503]),
        ("reset-before-request", [], [500, 503]),
        ("connect-failure", [], [500, 503]),
        ("refused-stream", [], [500, 503]),
    ],
)
def test_statuses(condition: str, yes: list[int], no: list[int]) -> None:
    decided = policy(condition, retriable_status_codes=frozenset({418, 500}))
    assert [status for status in yes + no if decided.wants_status(status)] == yes


@pytest.mark.parametrize(
    ("condition", "ends"),
    [
        ("5xx", {"plain", "refused", "connect_failure"}),
        ("gateway-error", {"plain", "refused", "connect_failure"}),
        ("reset", {"plain", "refused", "connect_failure"}),
        ("reset-before-request", {"connect_failure"}),
        ("connect-failure", {"connect_failure"}),
        ("refused-stream", {"refused"}),
        ("retriable-4xx", set()),
        ("retriable-status-codes", set()),
    ],
)
def test_resets(condition: str, ends: set[str]) -> None:
    kinds: dict[str, dict[str, bool]] = {
        "plain": END,
        "refused": END | {"refused": True},
        "connect_failure": END | {"connect_failure": True, "request_started": False},
    }
    assert {kind for kind, facts in kinds.items() if policy(condition).wants_reset(**facts)} == ends


def test_the_table_is_whole() -> None:
    decided = policy(*KNOWN_CONDITIONS)
    assert decided.wants_reset(**END)
    assert decided.wants_status(503)


@pytest.mark.parametrize("condition", sorted(KNOWN_CONDITIONS))
def test_an_overflow_is_never_tried_again(condition: str) -> None:
    assert not policy(condition).wants_reset(**(END | {"overflow": True, "request_started": False}))


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 0.04), (2, 0.08), (3, 0.16), (4, 0.2), (5, 0.2), (5000, 0.2)])
def test_back_off_doubles_up_to_its_cap(attempt: int, ceiling: float) -> None:
    decided = policy("5xx", base_interval=0.04, max_interval=0.2)
    assert decided.backoff(attempt, lambda: 0.0) == 0.0
    assert decided.backoff(attempt, lambda: 0.5) == pytest.approx(ceiling / 2)


@given(attempt=st.integers(1, 100), random=st.floats(0, 1, exclude_max=True), base=st.floats(0.001, 10))
def test_back_off_stays_within_its_bounds(attempt: int, random: float, base: float) -> None:
    decided = policy("5xx", base_interval=base, max_interval=base * 10)
    assert 0 <= decided.backoff(attempt, lambda: random) <= base * 10


def test_without_wishes_the_routes_policy_holds() -> None:
    configured = policy("5xx")
    assert effective_policy(configured, request(x="y")) is configured
    assert effective_policy(None, request()) is None
    assert effective_policy(policy(per_try_timeout=1.0), request()) is None


def test_wishes_come_on_top_and_are_consumed() -> None:
    headers = request(
        x_envoy_retry_on="5xx, connect-failure,nonsense",
        x_envoy_max_retries="7",
        x_envoy_retriable_status_codes="409, 410,x",
        x_envoy_hedge_on_per_try_timeout="true",
        other="1",
    )
    wished = effective_policy(policy("reset", retriable_status_codes=frozenset({418})), headers)
    assert wished is not None
    assert wished.retry_on == {"reset", "5xx", "connect-failure"}
    assert wished.num_retries == 7
    assert wished.retriable_status_codes == {418, 409, 410}
    assert headers.fields == [(b"other", b"1")]


def test_wishes_need_no_policy() -> None:
    wished = effective_policy(None, request(x_envoy_retry_on="5xx"))
    assert wished is not None
    assert (wished.retry_on, wished.num_retries) == ({"5xx"}, 1)


@pytest.mark.parametrize("tries", ["x", "-1", "", "9" * 30])
def test_a_number_of_tries_that_is_none_is_no_wish(tries: str) -> None:
    wished = effective_policy(policy("5xx", num_retries=2), request(x_envoy_max_retries=tries))
    assert wished is not None
    assert wished.num_retries == 2


def test_a_number_alone_starts_no_retries() -> None:
    headers = request(x_envoy_max_retries="3")
    assert effective_policy(None, headers) is None
    assert not headers.fields


def test_rate_limited() -> None:
    assert was_rate_limited(ResponseHeaders(503, [(b"x-envoy-ratelimited", b"true")]))
    assert not was_rate_limited(ResponseHeaders(503))
