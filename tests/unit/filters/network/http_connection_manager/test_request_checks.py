"""Which requests may come in, and what becomes of their paths and hosts."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.filters.network.http_connection_manager import request_checks as checks
from envoymesh.filters.network.http_connection_manager.request_checks import Refusal, check_request
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.http_connection_manager.stats import HttpConnectionManagerStats
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.http1 import Http1Settings
from envoymesh.network.api import Address
from envoymesh.router.table import RouteTable
from envoymesh.stats import Store

STATS = HttpConnectionManagerStats.create(Store().scope("http.t."))
LOCAL = Address("127.0.0.1", 8080)


def check(headers: RequestHeaders, protocol: HttpProtocol = HttpProtocol.HTTP11, **options: Any) -> Refusal | None:
    settings = HttpConnectionManagerSettings("t", RouteTable("r", []), FilterChainFactory([]), **options)
    return check_request(headers, protocol, settings, STATS, LOCAL)


def request(
    path: bytes = b"/", authority: bytes | None = b"a", method: bytes = b"GET", **fields: str
) -> RequestHeaders:
    made = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return RequestHeaders(method, path, authority, fields=made)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (request(), None),
        (request(authority=None), checks.MISSING_HOST),
        (request(authority=b""), None),
        (request(b""), checks.MISSING_PATH),
        (request(b"http://a/"), checks.ABSOLUTE_PATH),
        (request(b"*", method=b"OPTIONS"), checks.ABSOLUTE_PATH),
        (request(b"", method=b"CONNECT"), None),
        (request(b"/a#b"), checks.BAD_PATH),
        (request(connection="a, b, close, te"), None),
        (request(connection="x-forwarded-for"), checks.BAD_NOMINATION),
        (request(connection="X-Forwarded-Host"), checks.BAD_NOMINATION),
        (request(connection=":path"), checks.BAD_NOMINATION),
        (request(connection=",".join("abcdefghij")), checks.BAD_NOMINATION),
        (request(connection="host"), checks.MISSING_HOST),
    ],
)
def test_checks(headers: RequestHeaders, expected: Refusal | None) -> None:
    assert check(headers) is expected


def test_an_expectation_that_connection_names_is_gone_before_it_is_met() -> None:
    headers = request(connection="expect", expect="100-continue")
    assert check(headers) is None
    assert headers.get(b"expect") is None


def test_http_1_0_is_let_in_where_it_may() -> None:
    assert check(request(), HttpProtocol.HTTP10) is checks.LOW_VERSION
    assert check(request(), HttpProtocol.HTTP10, http1=Http1Settings(accept_http_10=True)) is None


ESCAPED = "path_with_escaped_slashes_action"


@pytest.mark.parametrize(
    ("options", "path", "expected"),
    [
        ({}, b"/a/../b//%2f", b"/a/../b//%2f"),
        ({"normalize_path": True}, b"/a/../b//c", b"/b//c"),
        ({"merge_slashes": True}, b"/a/..//b", b"/a/../b"),
        ({"normalize_path": True, "merge_slashes": True}, b"/a//../b", b"/a/b"),
        ({ESCAPED: "UNESCAPE_AND_FORWARD"}, b"/a%2f..%5cb", b"/a/..\\b"),
        ({ESCAPED: "UNESCAPE_AND_FORWARD", "normalize_path": True}, b"/a%2F..%5cb", b"/b"),
        ({ESCAPED: "IMPLEMENTATION_SPECIFIC_DEFAULT"}, b"/a%2f", b"/a%2f"),
    ],
)
def test_paths(options: dict[str, Any], path: bytes, expected: bytes) -> None:
    headers = request(path)
    assert check(headers, **options) is None
    assert headers.path == expected


def test_escaped_slashes_may_be_refused_or_redirected() -> None:
    before = STATS.downstream_rq_failed_path_normalization.value
    assert check(request(b"/a%2fb"), **{ESCAPED: "REJECT_REQUEST"}) is checks.BAD_PATH
    assert check(request(b"/%00"), normalize_path=True) is checks.BAD_PATH
    assert STATS.downstream_rq_failed_path_normalization.value == before + 2
    refusal = check(request(b"/a%2f../b?c=%2f"), **{ESCAPED: "UNESCAPE_AND_REDIRECT"}, normalize_path=True)
    assert refusal is not None
    assert (refusal.status, refusal.location, refusal.close) == (307, b"/b?c=%2f", False)


@pytest.mark.parametrize(
    ("how", "authority", "expected"),
    [
        ("any", b"a.com:1", b"a.com"),
        ("any", b"[::1]:1", b"[::1]"),
        ("any", b"a.com", b"a.com"),
        ("matching", b"a.com:8080", b"a.com"),
        ("matching", b"a.com:1", b"a.com:1"),
    ],
)
def test_ports_are_stripped(how: str, authority: bytes, expected: bytes) -> None:
    headers = request(authority=authority)
    assert check(headers, strip_port=how) is None
    assert headers.authority == expected


@pytest.mark.parametrize(
    ("authority", "stripped", "matching"),
    [
        (b"a:80", b"a", b"a:80"), (b"a:8080", b"a", b"a"), (b"a:08080", b"a", b"a"), (b"a:+8080", b"a", b"a"),
        (b"a:", b"a:", b"a:"), (b"a:word", b"a:word", b"a:word"), (b"[::1]:8080", b"[::1]", b"[::1]"),
        (b"[::1]", b"[::1]", b"[::1]"), (b"::1", b":", b"::1"), (b"a:99999", b"a", b"a:99999"),
        (b"a:4294967296", b"a:4294967296", b"a:4294967296"), (b"a:" + b"9" * 5000, b"a:" + b"9" * 5000, None),
    ],
)  # fmt: skip
def test_ports_of_hosts(authority: bytes, stripped: bytes, matching: bytes | None) -> None:
    for how, expected in (("any", stripped), ("matching", matching if matching is not None else authority)):
        headers = request(authority=authority)
        assert check(headers, strip_port=how) is None
        assert headers.authority == expected


@pytest.mark.parametrize(
    ("authority", "expected"),
    [(b"a.", b"a"), (b"a.:80", b"a:80"), (b"a.com", b"a.com"), (b"a..", b"a."), (b".", b""), (b"a", b"a"), (b"", b"")],
)
def test_the_last_dot_of_hosts(authority: bytes, expected: bytes) -> None:
    headers = request(authority=authority)
    assert check(headers, strip_trailing_host_dot=True) is None
    assert headers.authority == expected


def test_connect_has_a_host_too() -> None:
    headers = request(b"", b"a.:80", b"CONNECT")
    assert check(headers, strip_trailing_host_dot=True, strip_port="any") is None
    assert headers.authority == b"a"


def test_the_host_of_a_refused_path_stays() -> None:
    headers = request(b"/%00", b"a:80")
    assert check(headers, strip_port="any", normalize_path=True) is checks.BAD_PATH
    assert headers.authority == b"a:80"
