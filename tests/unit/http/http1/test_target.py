"""Request targets."""

from __future__ import annotations

import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.http1.target import Target, is_valid_authority, parse_target


def test_authorities() -> None:
    for authority in (b"", b"a", b"a:80", b"[::1]:80", b"u@a", b"a,b", b"a_b", b"a%20b"):
        assert is_valid_authority(authority), authority
    for authority in (b"a b", b"a/b", b'a"b', b"a<b", b"a\\b", b"a\xffb", b"a#b", b"a?b", b"a\n", b"{a}"):
        assert not is_valid_authority(authority), authority


def test_targets() -> None:
    assert parse_target(b"CONNECT", b"a:80", True) == Target(b"", b"a:80", b"")
    assert parse_target(b"CONNECT", b"[::1]:80", True) == Target(b"", b"[::1]:80", b"")
    assert parse_target(b"OPTIONS", b"*", False) == Target(b"", None, b"*")
    assert parse_target(b"GET", b"http://a:1/b?c", True) == Target(b"http", b"a:1", b"/b?c")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        (b"CONNECT", b"a"),
        (b"CONNECT", b"a:"),
        (b"CONNECT", b"a:70000"),
        (b"CONNECT", b"http://a:80/"),
        (b"GET", b"*"),
        (b"GET", b"http://"),
        (b"GET", b"http://a:b/"),
        (b"GET", b"http://a b/"),
        (b"GET", b"gopher://a/"),
    ],
)
def test_bad_targets(method: bytes, url: bytes) -> None:
    with pytest.raises(CodecProtocolError):
        parse_target(method, url, True)
