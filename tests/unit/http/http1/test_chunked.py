"""The chunked decoder on its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.http1.chunked import MAX_CHUNK_LINE, ChunkedDecoder


def decode(pieces: list[bytes]) -> tuple[bytes, ChunkedDecoder, bytes]:
    decoder = ChunkedDecoder(1000, 10)
    out, rest = b"", b""
    for piece in pieces:
        if decoder.done:
            rest += piece
            continue
        found, pos = decoder.feed(piece, 0)
        out += found
        rest += piece[pos:]
    return out, decoder, rest


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6), st.integers(1, 12))
def test_any_body_in_any_pieces(chunks: list[bytes], step: int) -> None:
    wire = b"".join(b"%X;a=b\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nt: v\r\n\r\nnext"
    out, decoder, rest = decode([wire[i : i + step] for i in range(0, len(wire), step)])
    assert out == b"".join(chunks)
    assert decoder.done
    assert decoder.trailers == [(b"t", b"v")]
    assert rest == b"next"


def test_many_small_chunks_come_out_as_one_piece() -> None:
    decoder = ChunkedDecoder(1000, 10)
    assert decoder.feed(b"1\r\na\r\n" * 1000 + b"0\r\n\r\n", 0) == (b"a" * 1000, 6005)


def test_the_longest_chunk_line() -> None:
    longest = b"1;" + b"x" * (MAX_CHUNK_LINE - 4) + b"\r\n"
    assert decode([longest, b"a\r\n0\r\n\r\n"])[0] == b"a"
    with pytest.raises(CodecProtocolError):
        decode([b"1;x" + longest[2:]])


@pytest.mark.parametrize("end", [b"XX", b"\n\n", b"\rX", b"X\n"])
def test_a_chunk_that_does_not_end_where_it_said(end: bytes) -> None:
    with pytest.raises(CodecProtocolError):
        decode([b"1\r\na" + end + b"0\r\n\r\n"])
    with pytest.raises(CodecProtocolError):
        decode([b"1\r\na" + end[:1], end[1:], b"0\r\n\r\n"])


@pytest.mark.parametrize("trailers", [b"t: " + b"x" * 1000, b"t: " + b"x" * 1000 + b"\r\n", b"t: xxxxxxx\r\n" * 84])
def test_trailers_have_a_limit_also_while_they_come(trailers: bytes) -> None:
    with pytest.raises(CodecProtocolError) as caught:
        decode([b"0\r\n", *(trailers[at : at + 100] for at in range(0, len(trailers), 100))])
    assert (caught.value.status, caught.value.details) == (431, "http1.headers_too_large")


@pytest.mark.parametrize("end", [b"\n", b"t: v\n\r\n", b"t: v\r\n\n"])
def test_lines_of_trailers_end_with_crlf(end: bytes) -> None:
    with pytest.raises(CodecProtocolError):
        decode([b"0\r\n" + end])


def test_what_frames_and_routes_is_no_trailer() -> None:
    lines = b"Host: b\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\nx: y\r\n"
    assert decode([b"0\r\n" + lines + b"\r\n"])[1].trailers == [(b"x", b"y")]


@pytest.mark.parametrize(
    "line", [b"g", b"1 ", b" 1", b"+1", b"0x1", b"1_0", b"1000000000000000", b"1;\0", b"1;\x7f", b"1\r", b""]
)
def test_bad_chunk_lines(line: bytes) -> None:
    with pytest.raises(CodecProtocolError):
        decode([line + b"\r\na\r\n"])
