"""Heads of responses with and without CR."""

from __future__ import annotations

import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.http1.response_head import ResponseHeadParser
from tests.unit.http.http1.recorders import Client

FIELDS = [(b"x-a", b"b"), (b"content-length", b"3")]
HEADS = [
    b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\nx-a: b\ncontent-length: 3\n\n",
    b"HTTP/1.1 200 OK\r\nx-a: b\ncontent-length: 3\r\n\n",
    b"HTTP/1.1 200 OK\nx-a: b\r\ncontent-length: 3\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 3\n\n",
]


def parser(max_bytes: int = 1000) -> ResponseHeadParser:
    return ResponseHeadParser(max_bytes, 10)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("step", [1, 2, 3, 17, 100])
def test_lines_may_end_with_lf(head: bytes, step: int) -> None:
    """In whatever pieces; what is behind the head is left, an empty line with CRLF in it too."""
    made = parser()
    data = head + b"a\r\n\r\nHTTP/1.1 500 No\n\n"
    for _ in range(2):  # the same parser reads the next head
        pos = 0
        while not made.complete:
            assert pos < len(head)
            assert made.feed(data[: pos + step], pos) <= len(head)
            assert made.started or made.complete
            pos += step
        assert (made.fields, made.status, made.version) == (FIELDS, 200, "1.1")
        assert made.raw.count(b"\r\n") == made.raw.count(b"\n") == 4
        made.complete = False
        assert not made.started


def test_a_head_is_taken_to_its_end_only() -> None:
    made = parser()
    assert made.feed(b"xx" + HEADS[1] + b"abc\r\n\r\n", 2) == 2 + len(HEADS[1])


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\nx-a: b\n c\n\n",
        b"HTTP/1.1 200 OK\nx-a: b\rx\n\n",
        b"HTTP/1.1 200 OK\nx a: b\n\n",
        b"HTTQ/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\rx\r\n\r\n",
    ],
)
def test_nothing_else_is_forgiven(head: bytes) -> None:
    with pytest.raises(CodecProtocolError, match=r"codec_error|invalid_characters"):
        parser().feed(head, 0)


@pytest.mark.parametrize("step", [1, 1000])
def test_what_is_wrong_before_a_bare_lf_is_told_at_once(step: int) -> None:
    made, data = parser(), b"HTTP/1.1 200 OK\r\nx\x00: b\r\ny: c\n"

    def feed() -> None:
        for pos in range(0, len(data), step):
            made.feed(data[: pos + step], pos)

    with pytest.raises(CodecProtocolError):
        feed()


@pytest.mark.parametrize("line", [b"x: 1\n", b"x: 1\r\n"])
@pytest.mark.parametrize("step", [1, 10_000])
def test_the_limit_holds(line: bytes, step: int) -> None:
    made = parser(100)
    data = b"HTTP/1.1 200 OK\n" + line * 100

    def feed() -> None:
        for pos in range(0, len(data), step):
            made.feed(data[: pos + step], pos)

    with pytest.raises(CodecProtocolError) as raised:
        feed()
    assert raised.value.status == 431


def test_a_large_body_behind_a_small_head_is_no_large_head() -> None:
    made = parser(100)
    assert made.feed(HEADS[1] + b"a" * 1000, 0) == len(HEADS[1])


def test_the_codec_takes_such_answers() -> None:
    client = Client()
    for _ in range(2):
        message = client.request()
        assert client.feed(HEADS[1] + b"abc") == ""
        assert message.seen()[:3] == ((200, tuple(FIELDS)), [], b"abc")
        assert message.ended
    assert client.codec.can_take_stream
