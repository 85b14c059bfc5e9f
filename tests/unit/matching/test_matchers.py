"""Matchers one by one."""

from __future__ import annotations

import pytest

from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher, request_header_value
from envoymesh.matching.queries import QueryParameterMatcher, parse_query
from envoymesh.matching.strings import BytesMatcher, RangeMatcher, RegexMatcher, StringMatcher


@pytest.mark.parametrize(
    ("matcher", "fits", "does_not"),
    [
        (StringMatcher("exact", b"One"), [b"One"], [b"one", b"One ", b""]),
        (StringMatcher("exact", b"one", ignore_case=True), [b"ONE", b"one"], [b"two"]),
        (StringMatcher("prefix", b"ab"), [b"ab", b"abc"], [b"a", b"xab"]),
        (StringMatcher("suffix", b"ab"), [b"ab", b"xab"], [b"abx"]),
        (StringMatcher("contains", b"ab"), [b"xabx"], [b"axb"]),
        (StringMatcher("contains", b"ab", ignore_case=True), [b"XABX"], [b"a"]),
        (RegexMatcher("a+b"), [b"ab", b"aab"], [b"b", b"aabc", b"xab"]),
        (RegexMatcher("[\\x80-\\xff]"), [b"\xe9"], [b"e"]),
        (
            RangeMatcher(-5, 10),
            [b"-5", b"9", b"+3", b"0"],
            [b"10", b"-6", b"", b"x", b"1.5", b"--1", b"9" * 5000, b"0" * 5000],
        ),
    ],
)
def test_values(matcher: BytesMatcher, fits: list[bytes], does_not: list[bytes]) -> None:
    assert all(map(matcher.matches, fits))
    assert not any(map(matcher.matches, does_not))


def test_a_bad_regex_says_why() -> None:
    with pytest.raises(ValueError, match=r"missing \)"):
        RegexMatcher("a(")


def headers(*values: bytes) -> RequestHeaders:
    return RequestHeaders(b"PUT", b"/p?q", b"host", b"http", [(b"x", value) for value in values])


ONE = StringMatcher("exact", b"one")


@pytest.mark.parametrize(
    ("matcher", "values", "expected"),
    [
        (HeaderMatcher(b"x"), [b""], True),
        (HeaderMatcher(b"x"), [], False),
        (HeaderMatcher(b"x", present=False), [], True),
        (HeaderMatcher(b"x", present=False), [b"1"], False),
        (HeaderMatcher(b"x", invert=True), [], True),
        (HeaderMatcher(b"x", invert=True), [b"1"], False),
        (HeaderMatcher(b"x", ONE), [b"one"], True),
        (HeaderMatcher(b"x", ONE), [b"two", b"one"], True),
        (HeaderMatcher(b"x", ONE), [b"one,two"], False),
        (HeaderMatcher(b"x", ONE), [], False),
        (HeaderMatcher(b"x", ONE, invert=True), [b"two"], True),
        (HeaderMatcher(b"x", ONE, invert=True), [b"two", b"one"], False),
        (HeaderMatcher(b"x", ONE, invert=True), [], False),
        (HeaderMatcher(b"x", StringMatcher("exact", b""), missing_as_empty=True), [], True),
        (HeaderMatcher(b"x", ONE, invert=True, missing_as_empty=True), [], True),
        (HeaderMatcher(b":method", StringMatcher("exact", b"PUT")), [], True),
        (HeaderMatcher(b":path", StringMatcher("exact", b"/p?q")), [], True),
        (HeaderMatcher(b":protocol"), [], False),
    ],
)
def test_headers(matcher: HeaderMatcher, values: list[bytes], expected: bool) -> None:
    assert matcher.matches(headers(*values)) is expected


def test_a_header_value_joins_what_comes_more_than_once() -> None:
    assert request_header_value(headers(b"1", b"2"), b"x") == b"1,2"
    assert request_header_value(headers(), b"x") is None
    assert request_header_value(headers(), b":authority") == b"host"
    assert request_header_value(RequestHeaders(b"CONNECT", b"", b"a:1"), b":path") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/?a=1&b=2&a=3", {b"a": b"1", b"b": b"2"}),
        (b"/?a", {b"a": b""}),
        (b"/?a=b=c", {b"a": b"b=c"}),
        (b"/?a=%41#a=2", {b"a": b"%41"}),
    ],
)
def test_queries_are_parsed(path: bytes, expected: dict[bytes, bytes]) -> None:
    assert parse_query(path) == expected


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        (QueryParameterMatcher(b"a"), True),
        (QueryParameterMatcher(b"b"), False),
        (QueryParameterMatcher(b"b", present=False), True),
        (QueryParameterMatcher(b"a", ONE), True),
        (QueryParameterMatcher(b"a", StringMatcher("exact", b"two")), False),
        (QueryParameterMatcher(b"b", ONE), False),
    ],
)
def test_query_parameters(matcher: QueryParameterMatcher, expected: bool) -> None:
    assert matcher.matches({b"a": b"one"}) is expected
