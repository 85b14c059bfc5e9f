"""Access log filters: what each lets through."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.access_loggers import filters
from envoymesh.access_loggers.filters import RuntimeFilter
from envoymesh.http.headers import HeaderMap
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.runtime import RuntimeNumber
from tests.support.fakes import FakeRuntime
from tests.support.logged import bare, full, request

RUNTIME = FakeRuntime({"limit": 404, "half": 50})


def value(default: int, key: str = "") -> RuntimeNumber:
    return RUNTIME.number(key, default)


@pytest.mark.parametrize(
    ("comparison", "limit", "wanted"),
    [
        ("EQ", value(200), True),
        ("EQ", value(201), False),
        ("GE", value(200), True),
        ("GE", value(500), False),
        ("LE", value(200), True),
        ("NE", value(200), False),
        ("GE", value(100, "limit"), False),
        ("GE", value(100, "unset"), True),
    ],
)
def test_status_codes(comparison: str, limit: RuntimeNumber, wanted: bool) -> None:
    assert filters.status_code_filter(comparison, limit)(full()) is wanted


def test_no_response_is_status_zero() -> None:
    assert filters.status_code_filter("EQ", value(0))(bare())


def test_durations_are_milliseconds() -> None:
    context = full()
    context.now = context.info.start_time + 0.25
    assert filters.duration_filter("GE", value(250))(context)
    assert not filters.duration_filter("GE", value(251))(context)


def test_flags() -> None:
    context = full(flags=ResponseFlag.NO_ROUTE_FOUND)
    assert filters.response_flag_filter(0)(context)
    assert filters.response_flag_filter(ResponseFlag.NO_ROUTE_FOUND | ResponseFlag.LOCAL_RESET)(context)
    assert not filters.response_flag_filter(ResponseFlag.LOCAL_RESET)(context)
    assert not filters.response_flag_filter(0)(full())


def test_headers() -> None:
    wanted = filters.header_filter(HeaderMatcher(b"x-a", StringMatcher("exact", b"1")))
    assert wanted(full())
    assert not wanted(bare())


def test_grpc_statuses() -> None:
    context = full()
    context.trailers = HeaderMap([(b"grpc-status", b"5")])
    assert filters.grpc_status_filter(frozenset({5}), exclude=False)(context)
    assert not filters.grpc_status_filter(frozenset({5}), exclude=True)(context)
    assert filters.grpc_status_filter(frozenset({2}), exclude=False)(bare())


def test_both_and_either() -> None:
    asked: list[bool] = []

    def says(answer: bool) -> filters.LogFilter:
        def ask(context: Any) -> bool:
            asked.append(answer)
            return answer

        return ask

    assert not filters.and_filter([says(True), says(False), says(True)])(full())
    assert filters.or_filter([says(False), says(True), says(False)])(full())
    assert asked == [True, False, False, True]


def test_log_types() -> None:
    assert filters.log_type_filter(frozenset({"DownstreamEnd"}), exclude=False)(full())
    assert not filters.log_type_filter(frozenset({"DownstreamEnd"}), exclude=True)(full())


def runtime_filter(numerator: int, denominator: int = 100, **more: Any) -> RuntimeFilter:
    made: dict[str, Any] = {"independent": False, "random": lambda: 0.5, **more}
    return RuntimeFilter(RUNTIME.number(made.pop("key", "unset"), numerator), denominator, **made)


def test_a_share_by_request_id() -> None:
    context = full()
    context.request = request((b"x-request-id", b"0000002a-0000-4000-8000-000000000000"))
    assert runtime_filter(43)(context)
    assert not runtime_filter(42)(context)
    assert runtime_filter(43, 10_000)(context)


@pytest.mark.parametrize("request_id", [b"short", b"x" * 36])
def test_a_share_by_chance_where_the_id_is_none(request_id: bytes) -> None:
    context = full()
    context.request = request((b"x-request-id", request_id))
    assert runtime_filter(51)(context)
    assert not runtime_filter(50)(context)


def test_the_runtime_sets_the_share() -> None:
    assert not runtime_filter(100, key="half", independent=True)(full())
    assert runtime_filter(0, key="half", independent=True, random=lambda: 0.49)(full())
    assert not runtime_filter(0, 1_000_000, key="half", independent=True, random=lambda: 0.49)(full())
