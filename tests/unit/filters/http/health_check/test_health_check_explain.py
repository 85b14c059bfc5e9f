"""What the health check filter says of a request: whether it is a check, and who answers it."""

from typing import Any

import pytest

from envoymesh.filters.http.explanation import FilterCase
from envoymesh.filters.http.health_check.explain import explain_health_check
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from tests.support.fakes import FakeConnection


def said(check: bool, details: str = "", **settings: Any) -> list[tuple[str, str]]:
    info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    info.health_check, info.response_code_details = check, details
    case = FilterCase(settings, [], None, RequestHeaders(b"GET", b"/hc", b"h", b"http"), False, info)
    return [(each.field, each.text) for each in explain_health_check(case)]


def test_another_request_passes() -> None:
    assert said(False) == [("headers", "the request is no check of this proxy: not all headers fit, so it passes")]


@pytest.mark.parametrize(
    ("details", "settings", "expected"),
    [
        ("health_check_ok", {}, ("", "answered here, with 200")),
        ("health_check_failed", {}, ("", "answered here, with 503: /healthcheck/fail was asked for")),
        (
            "health_check_failed_cluster_unhealthy",
            {},
            ("cluster_min_healthy_percentages", "answered here, with 503: a cluster has too few healthy hosts"),
        ),
        (
            "via_upstream",
            {"pass_through_mode": True, "cache_time": "5s"},
            ("pass_through_mode", "it goes on to the upstream, and its answer is kept for 5s"),
        ),
        ("", {"pass_through_mode": True}, ("pass_through_mode", "it goes on to the upstream")),
        ("", {}, ("", "answered here when it has come whole")),
    ],
)
def test_a_check(details: str, settings: dict[str, Any], expected: tuple[str, str]) -> None:
    assert said(True, details, **settings)[1] == expected
