"""Rewrites of paths and hosts. What comes out is what the real Envoy 1.40 sent for the same settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.formatter import Formatter
from envoymesh.http.headers import RequestHeaders
from envoymesh.router.actions.rewrites import (
    FormatHost,
    FormatPathRewrite,
    HeaderHost,
    LiteralHost,
    PathRegexHost,
    PathRewrite,
    PrefixRewrite,
    RegexRewrite,
    RegexSubstitution,
    Rewrites,
    parse_substitution,
    split_path,
)
from envoymesh.router.paths import ExactPath, PathMatcher, PrefixPath
from tests.support.logged import full

CONTEXT = replace(full(), request=RequestHeaders(b"GET", b"/p", b"a", fields=[(b"x-a", b"given")]))


@pytest.mark.parametrize(
    ("pattern", "substitution", "text", "expected"),
    [
        ("a*", "x", b"baac", b"xbxcx"),
        ("^/rr/(.*)/x", r"/\1/y\\", b"/rr/1/x", b"/1/y" + b"\\"),
        ("[a-c]", r"<\0>", b"abcd", b"<a><b><c>d"),
        ("(a)|(b)", r"[\1\2]", b"ab", b"[a][b]"),
        ("(a)b", r"z\2", b"/rt/ab", b"/rt/ab"),
        ("(a)b", r"z\q1", b"/ru/ab", b"/ru/z"),
        (".*", "", b"/re/ab", b""),
        ("x", "y", b"abc", b"abc"),
        ("", "-", b"ab", b"-a-b-"),
    ],
)
def test_substitutions_are_re2s(pattern: str, substitution: str, text: bytes, expected: bytes) -> None:
    assert RegexSubstitution(pattern, substitution).replace_all(text) == expected


def test_a_bad_pattern_is_an_error() -> None:
    with pytest.raises(ValueError, match="missing"):
        RegexSubstitution("(", "")


def test_substitutions_of_one_kind_are_equal() -> None:
    assert RegexSubstitution("a", "b") == RegexSubstitution("a", "b") != RegexSubstitution("a", "c")
    assert len({RegexSubstitution("a", "b"), RegexSubstitution("a", "b")}) == 1


@given(st.binary(max_size=20))
def test_a_match_of_everything_leaves_the_substitution(text: bytes) -> None:
    assert RegexSubstitution("(?s)^.*$", "x").replace_all(text) == b"x"


def test_the_parts_of_a_substitution() -> None:
    assert parse_substitution(rb"a\1\\b\0") == [b"a", 1, b"\\", b"b", 0]
    assert parse_substitution(rb"a\zb") == [b"a"]
    assert parse_substitution(b"a\\") == [b"a"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [(b"/a?b#c", (b"/a", b"?b#c")), (b"/a#b?c", (b"/a", b"#b?c")), (b"/a", (b"/a", b"")), (b"?", (b"", b"?"))],
)
def test_paths_and_queries(path: bytes, expected: tuple[bytes, bytes]) -> None:
    assert split_path(path) == expected


@pytest.mark.parametrize(
    ("rewrite", "matcher", "expected"),
    [
        (PrefixRewrite(b"/n"), PrefixPath(b"/old"), b"/n/a?q"),
        (PrefixRewrite(b"/n"), PrefixPath(b"/OLD", True), b"/n/a?q"),
        (PrefixRewrite(b"/n"), ExactPath(b"/old/a"), b"/n?q"),
        (PrefixRewrite(b"/n"), None, b"/n?q"),
        (RegexRewrite(RegexSubstitution("[a-z]+", "X")), PrefixPath(b"/old"), b"/X/X?q"),
        (FormatPathRewrite(Formatter("/f/%REQ(X-A)%")), PrefixPath(b"/old"), b"/f/given?q"),
    ],
)
def test_paths(rewrite: PathRewrite, matcher: PathMatcher | None, expected: bytes) -> None:
    headers = RequestHeaders(b"GET", b"/old/a?q", b"a")
    Rewrites(path=rewrite).apply(headers, matcher, CONTEXT, True)
    assert headers.path == expected
    assert headers.fields == [(b"x-envoy-original-path", b"/old/a?q")]


def test_an_empty_path_changes_nothing() -> None:
    headers = RequestHeaders(b"GET", b"/old?q", b"a")
    Rewrites(path=RegexRewrite(RegexSubstitution(".*", ""))).apply(headers, None, CONTEXT, True)
    assert (headers.path, headers.fields) == (b"/old?q", [])


def test_originals_may_be_suppressed() -> None:
    headers = RequestHeaders(b"GET", b"/old?q", b"a")
    Rewrites(path=PrefixRewrite(b"/n"), host=LiteralHost(b"b")).apply(headers, None, CONTEXT, False)
    assert (headers.path, headers.authority, headers.fields) == (b"/n?q", b"b", [])


def test_the_host_is_rewritten_before_the_path() -> None:
    headers = RequestHeaders(b"GET", b"/org?q", b"a")
    host = PathRegexHost(RegexSubstitution("^/", "new."))
    Rewrites(path=PrefixRewrite(b"/n"), host=host).apply(headers, None, CONTEXT, True)
    assert (headers.authority, headers.path) == (b"new.org", b"/n?q")
    assert headers.fields == [(b"x-envoy-original-host", b"a"), (b"x-envoy-original-path", b"/org?q")]


def test_hosts_of_headers_and_formats() -> None:
    headers = RequestHeaders(b"GET", b"/", b"a", fields=[(b"x-a", b"one"), (b"x-a", b"two")])
    assert HeaderHost(b"x-a").rewritten(headers, CONTEXT) == b"one"
    assert HeaderHost(b":authority").rewritten(headers, CONTEXT) == b"a"
    assert HeaderHost(b"x-b").rewritten(headers, CONTEXT) == b""
    assert FormatHost(Formatter("%REQ(X-A)%.org")).rewritten(headers, CONTEXT) == b"given.org"


@pytest.mark.parametrize(
    ("given_hosts", "expected"),
    [
        ([], [b"a"]),
        ([b"b"], [b"b,a"]),
        ([b"b,a"], [b"b,a"]),
        ([b"a,b"], [b"a,b,a"]),
        ([b"b", b"c"], [b"b,c,a"]),
    ],
)
def test_the_host_that_was_is_appended_once(given_hosts: list[bytes], expected: list[bytes]) -> None:
    headers = RequestHeaders(b"GET", b"/", b"a", fields=[(b"x-forwarded-host", host) for host in given_hosts])
    rewrites = Rewrites(append_x_forwarded_host=True)
    rewrites.set_host(headers, b"", True)
    assert headers.authority == b"a"
    rewrites.set_host(headers, b"new", False)
    assert headers.authority == b"new"
    assert headers.get_all(b"x-forwarded-host") == expected
