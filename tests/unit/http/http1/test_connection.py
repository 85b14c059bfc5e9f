"""What both roles read out of a head."""

from __future__ import annotations

import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.http1.connection import asks_for_close, index_of, parse_content_length, require_chunked


def test_repeated_lists_are_joined_and_repeated_framing_is_refused() -> None:
    names = index_of([(b"connection", b"a"), (b"x", b"1"), (b"connection", b"close"), (b"x", b"2")])
    assert names[b"connection"] == b"a,close"
    for name in (b"host", b"content-length", b"transfer-encoding"):
        with pytest.raises(CodecProtocolError):
            index_of([(name, b"1"), (b"x", b"y"), (name, b"1")])


def test_persistence() -> None:
    assert not asks_for_close({}, is_http_10=False)
    assert asks_for_close({}, is_http_10=True)
    assert not asks_for_close({b"connection": b"Keep-Alive"}, is_http_10=True)
    assert not asks_for_close({b"proxy-connection": b"keep-alive"}, is_http_10=True)
    assert asks_for_close({b"connection": b"keep-alive, close"}, is_http_10=False)
    assert asks_for_close({b"proxy-connection": b"close"}, is_http_10=False)


def test_framing_values() -> None:
    assert parse_content_length(b"007") == 7
    require_chunked(b"CHUNKED")
    for value in (b"", b" 1", b"+1", b"1_0", b"0x1", b"1" * 19, b"\xd9\xa1"):
        with pytest.raises(CodecProtocolError):
            parse_content_length(value)
    for value in (b"", b"chunked, chunked", b"gzip", b"chunked;a"):
        with pytest.raises(CodecProtocolError):
            require_chunked(value)
