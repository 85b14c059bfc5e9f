"""Writing heads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.http1.stream import framing_fields_removed, head_bytes, lists_token

START = b"GET / HTTP/1.1\r\n"


def test_heads() -> None:
    assert head_bytes(START, [], False) == START + b"\r\n"
    assert head_bytes(START, [(b"a", b""), (b"b-c", b"d")], False) == START + b"a: \r\nb-c: d\r\n\r\n"
    assert head_bytes(START, [(b"a", b""), (b"b-c", b"d")], True) == START + b"A: \r\nB-C: d\r\n\r\n"


@given(st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=5), st.binary(max_size=6))
def test_a_head_is_one_head_whatever_is_in_it(fields: list[tuple[bytes, bytes]], start: bytes) -> None:
    head = head_bytes(start + b"\r\n", fields, False)
    assert head.endswith(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    assert len(lines) == 1 + len(fields)
    assert not any(bad in line for line in lines for bad in (b"\r", b"\n", b"\0"))


def test_framing_fields() -> None:
    fields = [(b"content-length", b"1"), (b"transfer-encoding", b"x"), (b"a", b"b"), (b"content-length", b"2")]
    assert framing_fields_removed(fields) == [(b"content-length", b"1"), (b"a", b"b")]
    assert framing_fields_removed(fields, drop_content_length=True) == [(b"a", b"b")]


def test_tokens() -> None:
    assert lists_token(b"Close", b"close")
    assert lists_token(b"a ,\tCLOSE , b", b"close")
    assert not lists_token(b"closed, x-close", b"close")
    assert not lists_token(b"", b"close")
