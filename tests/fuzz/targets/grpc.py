"""gRPC: messages out of a body, and the words in its headers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from envoymesh.http.grpc import parse_status, percent_decode, percent_encode
from envoymesh.upstream.grpc import GrpcDecoder, encode_message
from tests.fuzz.target import Target, mutated, same_however_cut

MAX_MESSAGE = 64

frames = st.lists(st.binary(max_size=MAX_MESSAGE).map(encode_message), max_size=5).map(b"".join)
TOKENS = [b"\0", b"\1", b"\0\0\0\0\0", b"\0\0\0\0\x41", b"\0\xff\xff\xff\xff", b"\0\0\0\0\x40", b"\x80"]


def check_frames(data: bytes) -> None:
    """What is taken is what was framed, up to a failure."""

    def run(pieces: list[bytes]) -> Any:
        decoder = GrpcDecoder(MAX_MESSAGE)
        messages = [message for piece in pieces for message in decoder.decode(piece)]
        failure = decoder.failure
        return messages, failure and (failure.status, failure.text)

    messages, failure = same_however_cut(data, run)
    whole = b"".join(map(encode_message, messages))
    assert data.startswith(whole)
    assert all(len(message) <= MAX_MESSAGE for message in messages)
    rest = data[len(whole) :]
    if failure is None:
        assert len(rest) < 5 or (rest[0] == 0 and len(rest) < 5 + int.from_bytes(rest[1:5], "big") <= 5 + MAX_MESSAGE)


def check_words(data: bytes) -> None:
    """A message that is sent can be read, and what is read is a text whatever it was."""
    assert percent_encode(data).isascii()
    assert percent_decode(percent_encode(data)) == data.decode("utf-8", "replace")
    percent_decode(data)
    assert 0 <= parse_status(data) <= 16


TARGETS_HERE = [
    Target("grpc-frames", check_frames, mutated(frames, TOKENS), 400),
    Target("grpc-words", check_words, mutated(st.binary(max_size=30), [b"%", b"%2", b"%ff", b"16", b"-1"]), 60),
]
