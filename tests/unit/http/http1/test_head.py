"""One head at a time, however it is cut."""

from __future__ import annotations

import httptools
import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.http1.head import HeadParser, parse_trailers, refusal

HEAD = b"GET /a HTTP/1.1\r\nHost: b\r\nX-Y: z \r\n\r\n"


def parser(limit: int = 1000) -> HeadParser:
    return HeadParser(httptools.HttpRequestParser, limit, 10)


def test_stops_behind_the_head_at_every_cut() -> None:
    data = HEAD + b"body\r\n\r\n"
    for cut in range(len(HEAD) + 1):
        head = parser()
        position = head.feed(data[:cut], 0) if cut else 0
        assert position == cut
        if not head.complete:
            assert head.feed(data[cut:], 0) + cut == len(HEAD)
        assert (head.method, head.url, head.version) == (b"GET", b"/a", "1.1")
        assert head.fields == [(b"host", b"b"), (b"x-y", b"z")]
        assert head.size == len(HEAD)
        assert not head.started


def test_starts_anywhere_and_again() -> None:
    head = parser()
    data = b"xxx" + HEAD + HEAD
    position = head.feed(data, 3)
    assert position == 3 + len(HEAD)
    assert head.feed(data, position) == len(data)
    assert len(head.fields) == 2


def test_size_counts_every_byte_however_it_comes() -> None:
    for step in (1, 7, 1000):
        head = parser(limit=len(HEAD) - 1)
        pieces = [HEAD[i : i + step] for i in range(0, len(HEAD), step)]
        for piece in pieces[:-1]:
            head.feed(piece, 0)
        with pytest.raises(CodecProtocolError, match="headers_too_large"):
            head.feed(pieces[-1], 0)


def test_what_llhttp_says_in_envoys_words() -> None:
    assert refusal("Content-Length can't be present with Transfer-Encoding").status == 400
    assert refusal("Request has invalid `Transfer-Encoding`").status == 501
    assert refusal("Invalid HTTP version").status == 426
    assert refusal("anything else").details == "http1.codec_error"


def test_trailers_never_frame_or_route() -> None:
    lines = b"A: b\r\nContent-Length: 1\r\nTransfer-Encoding: x, chunked\r\nHost: c\r\n"
    assert parse_trailers(lines, 10) == [(b"a", b"b")]
