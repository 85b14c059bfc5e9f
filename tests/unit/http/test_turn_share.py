"""One call of a codec does a bounded share of work, however much it is given, and the rest is not lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from envoymesh.http.codec import ANSWER_WORK, MESSAGE_WORK, PIECE_WORK, TURN_SHARE
from envoymesh.http.http2.frames import PREFACE, FrameType, frame
from tests.support.codecs import Feeder
from tests.support.http2 import FIELDS_POST, RawPeer, ServerSide
from tests.unit.http.http1.recorders import Client, Server, answer

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
REQUESTS_SHARE = TURN_SHARE // MESSAGE_WORK


def counted_turns(feeder: Feeder, data: bytes, done: Callable[[], int]) -> list[int]:
    """What each turn got done."""
    feeder.unread = data
    steps = []
    while feeder.unread:
        before = done()
        feeder.turn()
        steps.append(done() - before)
    return steps


def test_pipelined_requests_that_are_answered_at_once() -> None:
    server = Server(answer())
    steps = counted_turns(server.feeder, b"".join(GET % n for n in range(1000)), lambda: len(server.requests))
    assert max(steps) == REQUESTS_SHARE
    assert [request.headers.path for request in server.requests] == [b"/%d" % n for n in range(1000)]
    assert server.wire.out.count(b"HTTP/1.1 200") == 1000


def test_one_byte_chunks_of_a_request() -> None:
    server = Server()
    head = b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    server.feed(head)
    request = server.requests[0]
    chunks = b"".join(b"1\r\n%c\r\n" % (n % 256) for n in range(5000))
    steps = counted_turns(server.feeder, chunks + b"0\r\n\r\n", lambda: len(request.body))
    assert max(steps) <= TURN_SHARE
    assert request.body == bytes(n % 256 for n in range(5000))
    assert request.ended
    assert request.encoder.wire_bytes_received == len(head + chunks) + 5, "bytes that come again count once"


def test_one_byte_chunks_of_a_response() -> None:
    client = Client()
    message = client.request()
    client.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    steps = counted_turns(client.feeder, b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n", lambda: len(message.body))
    assert max(steps) <= TURN_SHARE
    assert message.body == b"x" * 5000
    assert client.completed == 1
    assert client.codec.can_take_stream


@pytest.mark.parametrize(
    ("flood", "most"),
    [
        (frame(0x55, 0, 0, b""), TURN_SHARE),
        (frame(FrameType.PING, 1, 0, bytes(8)), -(-TURN_SHARE // (1 + ANSWER_WORK))),
        (frame(FrameType.DATA, 0, 1, b"x"), TURN_SHARE // PIECE_WORK),
    ],
    ids=["unknown", "ping ack", "data"],
)
def test_small_http2_frames(flood: bytes, most: int) -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    feeder = Feeder(server.codec)
    steps = counted_turns(feeder, flood * 5000, lambda: -len(feeder.unread) // len(flood))
    assert max(steps) == most
    assert sum(steps) == 5000


def test_http2_requests() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    data = b"".join(peer.headers(2 * n + 1) for n in range(90))
    steps = counted_turns(Feeder(server.codec), data, lambda: len(server.requests))
    assert max(steps) <= REQUESTS_SHARE
    assert sum(steps) == 90


def test_a_frame_in_pieces_is_taken_whole() -> None:
    server = ServerSide(None)
    feeder = Feeder(server.codec)
    feeder.feed(PREFACE + frame(FrameType.SETTINGS, 0, 0))
    server.wire.take()
    for byte in frame(0x55, 0, 0, b"x" * 1000) + frame(FrameType.PING, 0, 0, b"12345678"):
        feeder.feed(bytes([byte]))
        assert feeder.unread == b""
    assert server.wire.take() == frame(FrameType.PING, 1, 0, b"12345678")


def test_empty_lines_before_a_request_are_not_a_request() -> None:
    server = Server(answer())
    server.feed(b"\r\n" * 100_000, b"\n\r", b"\r\n" + GET % 1)
    assert [request.headers.path for request in server.requests] == [b"/1"]
    assert server.feeder.turns == 3
