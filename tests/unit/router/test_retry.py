"""The retry policy: which ends are tried again, how long to wait, and what requests may wish."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.router.retry import (
    KNOWN_CONDITIONS,
    RateLimitedBackOff,
    ResetHeader,
    RetryPolicy,
    effective_policy,
    was_rate_limited,
)

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


def response(status: int = 200, **fields: str) -> ResponseHeaders:
    return ResponseHeaders(
        status, [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    )


@pytest.mark.parametrize(
    ("condition", "status"),
    [("cancelled", "1"), ("deadline-exceeded", "4"), ("resource-exhausted", "8"), ("internal", "13"),
     ("unavailable", "14")],
)  # fmt: skip
def test_grpc_statuses(condition: str, status: str) -> None:
    wanted = [each for each in map(str, range(17)) if policy(condition).wants_response(response(grpc_status=each))]
    assert wanted == [status]
    assert not policy(condition).wants_response(response())


def test_a_rate_limited_response_only_where_that_is_asked_for() -> None:
    limited = response(503, x_envoy_ratelimited="true")
    assert not policy("5xx").wants_response(limited)
    assert policy("envoy-ratelimited").wants_response(limited)
    assert policy("5xx").wants_response(response(503))


@pytest.mark.parametrize(
    ("matcher", "wanted"),
    [
        (HeaderMatcher(b"x-again"), True),
        (HeaderMatcher(b"x-other"), False),
        (HeaderMatcher(b"x-again", StringMatcher("exact", b"yes")), True),
        (HeaderMatcher(b":status", StringMatcher("exact", b"200")), True),
        (HeaderMatcher(b":status", StringMatcher("prefix", b"5")), False),
    ],
)
def test_headers_of_responses(matcher: HeaderMatcher, wanted: bool) -> None:
    headers = response(x_again="yes")
    assert policy("retriable-headers", retriable_headers=[matcher]).wants_response(headers) is wanted
    assert not policy("5xx", retriable_headers=[matcher]).wants_response(headers)


def test_only_some_requests_are_tried_again() -> None:
    configured = policy("5xx", retriable_request_headers=[HeaderMatcher(b"x-a"), HeaderMatcher(b"x-b")])
    assert effective_policy(configured, request(x_b="1")) is configured
    assert effective_policy(configured, request(x_c="1")) is None
    assert effective_policy(configured, request(x_c="1", x_envoy_retry_on="5xx")) is None


def test_wishes_of_grpc_clients_and_of_headers() -> None:
    headers = request(x_envoy_retry_grpc_on="unavailable, nothing", x_envoy_retriable_header_names="X-One, x-two,")
    wished = effective_policy(None, headers)
    assert wished is not None
    assert wished.retry_on == {"unavailable"}
    assert [matcher.name for matcher in wished.retriable_headers] == [b"x-one", b"x-two"]
    assert headers.fields == []


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        (ResetHeader(b"h"), "5", 5.0),
        (ResetHeader(b"h"), "soon", None),
        (ResetHeader(b"h"), "11", None),
        (ResetHeader(b"other"), "5", None),
        (ResetHeader(b"h", True), "1005", 5.0),
        (ResetHeader(b"h", True), "1000", None),
        (ResetHeader(b"h", True), "999", None),
    ],
)
def test_when_to_come_back(header: ResetHeader, value: str, seconds: float | None) -> None:
    assert RateLimitedBackOff([header], 10.0).interval(response(h=value), 1000.5) == seconds


def test_the_first_answer_that_can_be_obeyed() -> None:
    back_off = RateLimitedBackOff([ResetHeader(b"a"), ResetHeader(b"b"), ResetHeader(b"c")], 10.0)
    assert back_off.interval(response(a="99", b="2", c="1"), 0.0) == 2.0
