"""Floods: what one peer can make us do for little is bounded, and is counted by Envoy's names."""

import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.headers import ResponseHeaders
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import FrameType, frame
from tests.support.codecs import Feeder
from tests.support.http2 import FIELDS_GET, FIELDS_POST, RawPeer, ServerSide, frames_of

F = FrameType


def flooded(peer: RawPeer, data: bytes, stat: str = "") -> None:
    """The data ends the connection without a word, and the stat counts it."""
    with pytest.raises(CodecProtocolError) as caught:
        Feeder(peer.server.codec).feed(data)
    assert caught.value.is_flood == bool(stat)
    assert "GOAWAY" not in [each.name for each in frames_of(peer.server.wire.take())]
    if stat:
        assert peer.server.stats.used[stat] == 1


@pytest.fixture
def peer() -> RawPeer:
    return RawPeer(ServerSide(None))


def test_empty_data(peer: RawPeer) -> None:
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    peer.send(frame(F.DATA, 0, 1), frame(F.DATA, 0, 1, b"x"), frame(F.DATA, 0, 1))
    flooded(peer, frame(F.DATA, 0, 1), "inbound_empty_frames_flood")


def test_padding_is_no_payload(peer: RawPeer) -> None:
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    flooded(peer, frame(F.DATA, 8, 1, b"\x02\0\0") * 2, "inbound_empty_frames_flood")


def test_empty_continuation(peer: RawPeer) -> None:
    flooded(peer, frame(F.HEADERS, 1, 1, b"\x82") + frame(F.CONTINUATION, 0, 1) * 2, "inbound_empty_frames_flood")


def test_continuation(peer: RawPeer) -> None:
    fields = [*FIELDS_GET, *((b"x-%d" % number, b"y") for number in range(9))]
    blocks = [peer.encoder.encode([field]) for field in fields]
    start = frame(F.HEADERS, 1, 1, b"".join(blocks[:4]))
    middle = [frame(F.CONTINUATION, 0, 1, block) for block in blocks[4:11]]
    peer.send(start, *middle, frame(F.CONTINUATION, 4, 1, blocks[11]))
    assert len(peer.server.requests[0].headers.fields) == 8
    flooded(peer, frame(F.HEADERS, 1, 3, b"\x82") + frame(F.CONTINUATION, 0, 3, b"\x86") * 16)


def test_priority(peer: RawPeer) -> None:
    priority = frame(F.PRIORITY, 0, 1, b"\0\0\0\x03\x10")
    peer.send(priority * 100, peer.headers(1), priority * 100)
    flooded(peer, priority, "inbound_priority_frames_flood")


def test_window_update(peer: RawPeer) -> None:
    update = frame(F.WINDOW_UPDATE, 0, 0, b"\0\0\0\x01")
    peer.send(update * 5, peer.headers(1), update * 2)
    peer.server.requests[0].encoder.encode_headers(ResponseHeaders(200), False)
    peer.server.requests[0].encoder.encode_data(b"x", False)
    peer.server.wire.take()
    peer.send(update * 20)
    flooded(peer, update, "inbound_window_update_frames_flood")


@pytest.mark.parametrize("kind", [F.PING, F.SETTINGS])
def test_answers_to_one_read(peer: RawPeer, kind: int) -> None:
    asking = frame(kind, 0, 0, b"\0" * 8 if kind == F.PING else b"")
    for _ in range(3):
        peer.send(asking * 1000)
    flooded(peer, asking * 1001, "outbound_control_flood")


def test_answers_while_the_peer_does_not_read(peer: RawPeer) -> None:
    ping = frame(F.PING, 0, 0, b"\0" * 8)
    peer.send(ping)
    peer.server.codec.on_above_write_buffer_high_watermark()
    peer.send(ping * 600)
    flooded(peer, ping * 600, "outbound_control_flood")


def test_a_drained_buffer_forgives(peer: RawPeer) -> None:
    ping = frame(F.PING, 0, 0, b"\0" * 8)
    for _ in range(3):
        peer.server.codec.on_above_write_buffer_high_watermark()
        peer.server.wire.take()
        peer.send(ping * 600)
        peer.server.codec.on_below_write_buffer_low_watermark()
    assert not peer.server.codec.failed


def test_resets_of_malformed_streams_are_control_frames() -> None:
    server = ServerSide(None, Http2Settings(max_concurrent_streams=0))
    peer = RawPeer(server)
    flooded(peer, b"".join(peer.headers(1 + 2 * number) for number in range(1001)), "outbound_control_flood")


def test_data_while_the_peer_does_not_read() -> None:
    server = ServerSide(None, Http2Settings(max_outbound_frames=50))
    peer = RawPeer(server)
    peer.send(peer.headers(1))
    encoder = server.requests[0].encoder
    encoder.encode_headers(ResponseHeaders(200), False)
    server.codec.on_above_write_buffer_high_watermark()
    for _ in range(51):
        encoder.encode_data(b"x", False)
    server.wire.take()
    flooded(peer, frame(F.PING, 1, 0, b"\0" * 8), "outbound_flood")


def test_what_is_remembered_of_resets_is_bounded() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    for number in range(3000):
        stream_id = 1 + 2 * number
        peer.send(peer.headers(stream_id), frame(F.RST_STREAM, 0, stream_id, b"\0\0\0\x08"))
    assert len(server.codec._resets) <= 1000
    assert not server.codec.streams
    assert server.stats.used == {"rx_reset": 3000}
    assert all(request.reset is not None for request in server.requests)
