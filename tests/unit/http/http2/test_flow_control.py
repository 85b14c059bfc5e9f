"""Windows in both directions, what waits for them, and watermarks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.flow import Sender, SendScheduler
from envoymesh.http.http2.frames import FrameType, frame
from tests.support.http2 import (
    FIELDS_POST,
    ClientSide,
    Events,
    RawPeer,
    ServerSide,
    Stats,
    frames_of,
    get,
    post,
    pump,
)
from tests.support.stand_ins import stands_for

F = FrameType
TINY = Http2Settings(initial_stream_window_size=100, initial_connection_window_size=65535, stream_buffer_limit=1000)


def setting(identifier: int, value: int) -> bytes:
    return frame(F.SETTINGS, 0, 0, identifier.to_bytes(2, "big") + value.to_bytes(4, "big"))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(F.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def answered(window: int = 10, body: bytes = b"", end: bool = True) -> tuple[RawPeer, Events]:
    """A server whose peer gives each stream `window` bytes, with one request under way and answered by `body`."""
    server = ServerSide(None, Http2Settings(stream_buffer_limit=1000))
    peer = RawPeer(server)
    peer.send(setting(4, window), peer.headers(1))
    request = server.requests[0]
    request.encoder.encode_headers(ResponseHeaders(200), False)
    frames_of(server.wire.take())
    if body:
        request.encoder.encode_data(body, end)
    return peer, request


def test_a_complete_response_that_waits_for_a_window_is_told() -> None:
    peer, request = answered(window=2, body=b"hello")
    assert request.log[-1] == ("held",)
    peer.send(window_update(1, 2))
    assert request.log[-1] == ("held",)
    peer.send(window_update(1, 1))
    assert request.log[-1] == ("sent",)
    assert ("held",) not in answered(window=5, body=b"hello")[1].log
    assert ("held",) not in answered(window=2, body=b"hello", end=False)[1].log


def test_trailers_that_wait_for_a_window_are_told() -> None:
    peer, request = answered(window=2, body=b"hello", end=False)
    request.encoder.encode_trailers(HeaderMap([(b"x-t", b"1")]))
    assert request.log[-1] == ("held",)
    peer.send(window_update(1, 3))
    assert request.log[-1] == ("sent",)


def data_of(peer: RawPeer) -> list[tuple[int, int, int]]:
    """DATA that the server wrote: (stream, length, flags)."""
    return [(f.stream_id, len(f.payload), f.flags) for f in frames_of(peer.server.wire.take()) if f.kind == F.DATA]


def test_data_goes_as_far_as_the_window_and_on_with_its_updates() -> None:
    peer, _ = answered(10, b"x" * 25)
    assert data_of(peer) == [(1, 10, 0)]
    peer.server.codec.dispatch(window_update(1, 5))
    assert data_of(peer) == [(1, 5, 0)]
    peer.server.codec.dispatch(window_update(1, 100))
    assert data_of(peer) == [(1, 10, 1)]
    assert not peer.server.codec.streams
    assert peer.server.stats.used == {}


def test_end_stream_needs_no_window() -> None:
    peer, request = answered(10, b"x" * 10, end=False)
    request.encoder.encode_data(b"", True)
    assert data_of(peer) == [(1, 10, 0), (1, 0, 1)]


def test_end_stream_follows_what_waits() -> None:
    peer, request = answered(10, b"x" * 15, end=False)
    request.encoder.encode_data(b"", True)
    peer.server.codec.dispatch(window_update(1, 5))
    assert data_of(peer) == [(1, 10, 0), (1, 5, 1)]


def test_trailers_follow_what_waits() -> None:
    peer, request = answered(10, b"x" * 15, end=False)
    request.encoder.encode_trailers(HeaderMap([(b"grpc-status", b"0")]))
    assert data_of(peer) == [(1, 10, 0)]
    answers = peer.send(window_update(1, 5))
    assert [(f.name, f.flags) for f in answers] == [("DATA", 0), ("HEADERS", 5)]
    assert not peer.server.codec.streams


def test_empty_trailers_are_an_empty_end() -> None:
    peer, request = answered()
    request.encoder.encode_trailers(HeaderMap())
    assert data_of(peer) == [(1, 0, 1)]


def test_a_smaller_initial_window_may_make_windows_negative() -> None:
    peer, request = answered(100, b"x" * 80, end=False)
    assert data_of(peer) == [(1, 80, 0)]
    peer.send(setting(4, 10))
    assert peer.server.codec.streams[1].send_window == -70
    request.encoder.encode_data(b"y" * 5, False)
    assert data_of(peer) == []
    peer.server.codec.dispatch(window_update(1, 70))
    assert data_of(peer) == []
    peer.server.codec.dispatch(setting(4, 13))
    assert data_of(peer) == [(1, 3, 0)]
    peer.server.codec.dispatch(window_update(1, 2))
    assert data_of(peer) == [(1, 2, 0)]


def test_frames_are_as_large_as_the_peer_takes() -> None:
    peer, request = answered(60000)
    request.encoder.encode_data(b"x" * 40000, False)
    assert data_of(peer) == [(1, 16384, 0), (1, 16384, 0), (1, 7232, 0)]
    peer.send(setting(5, 20000))
    request.encoder.encode_data(b"x" * 20000, True)
    assert data_of(peer) == [(1, 20000, 1)]


def test_streams_take_turns_when_the_connection_opens() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(setting(4, 1 << 20), *(peer.headers(i) for i in (1, 3, 5)))
    for request in server.requests:
        request.encoder.encode_headers(ResponseHeaders(200), False)
    server.requests[0].encoder.encode_data(b"a" * 65535, False)
    server.wire.take()
    for request in server.requests:
        request.encoder.encode_data(b"b" * 20000, True)
    assert data_of(peer) == []
    server.codec.dispatch(window_update(0, 3 * 16384 + 7000))
    sent = data_of(peer)
    assert sent[:3] == [(1, 16384, 0), (3, 16384, 0), (5, 16384, 0)]
    assert sent[3:] == [(1, 3616, 1), (3, 3384, 0)]
    server.codec.dispatch(window_update(0, 10000))
    assert data_of(peer) == [(5, 3616, 1), (3, 232, 1)]


def test_a_stream_with_a_closed_window_does_not_hold_up_others() -> None:
    peer, _ = answered(10, b"x" * 100)
    peer.send(peer.headers(3))
    other = peer.server.requests[1].encoder
    other.encode_headers(ResponseHeaders(200), False)
    other.encode_data(b"y" * 5, True)
    assert data_of(peer) == [(3, 5, 1)]


def test_watermarks_of_what_waits() -> None:
    peer, request = answered(10, b"x" * 900, end=False)
    assert request.above == 0
    request.encoder.encode_data(b"x" * 300, False)
    assert request.above == 1
    assert peer.server.stats.pending_send_bytes.value == 1190
    peer.send(window_update(1, 600))
    assert request.above == 1
    peer.send(window_update(1, 200))
    assert request.above == 0
    peer.send(frame(F.RST_STREAM, 0, 1, b"\0\0\0\x08"))
    assert peer.server.stats.pending_send_bytes.value == 0


def test_many_tiny_pieces_are_a_pile_too() -> None:
    _, request = answered(0)
    for _ in range(50):
        request.encoder.encode_data(b"x", False)
    assert request.above == 1


def test_a_producer_that_writes_from_within_the_low_watermark() -> None:
    peer, request = answered(10, b"x" * 1500, end=False)
    request.on_below_write_buffer_low_watermark = lambda: request.encoder.encode_data(b"y" * 100, True)  # type: ignore[method-assign]
    peer.server.codec.dispatch(window_update(1, 5000))
    payload = b"".join(f.payload for f in frames_of(peer.server.wire.take()) if f.kind == F.DATA)
    assert payload == b"x" * 1500 + b"y" * 100
    assert not peer.server.codec.streams


def test_the_connections_watermark_reaches_all_streams_and_new_ones() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(peer.headers(1))
    server.codec.on_above_write_buffer_high_watermark()
    peer.send(peer.headers(3))
    assert [request.above for request in server.requests] == [1, 1]
    late = Events()
    server.requests[0].encoder.set_callbacks(late)
    assert late.above == 1
    server.codec.on_below_write_buffer_low_watermark()
    assert (late.above, server.requests[1].above) == (0, 0)


def test_a_servers_reset_waits_for_its_complete_response() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(setting(4, 10), peer.headers(1, FIELDS_POST, end_stream=False))
    request = server.requests[0]
    request.encoder.encode_headers(ResponseHeaders(413), False)
    request.encoder.encode_data(b"x" * 15, True)
    request.encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    assert request.reset is not None
    assert [f.name for f in frames_of(server.wire.take())] == ["HEADERS", "DATA"]
    assert server.stats.deferred_stream_close.value == 1
    answers = peer.send(window_update(1, 10))
    assert [(f.name, f.flags) for f in answers] == [("DATA", 1), ("RST_STREAM", 0)]
    assert answers[1].code == 0
    assert server.stats.deferred_stream_close.value == 0


def test_window_is_given_back_in_halves() -> None:
    server = ServerSide(None, TINY)
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    assert peer.send(frame(F.DATA, 0, 1, b"x" * 49)) == []
    answers = peer.send(frame(F.DATA, 0, 1, b"x"))
    assert [(f.name, f.stream_id, f.payload) for f in answers] == [("WINDOW_UPDATE", 1, b"\0\0\0\x32")]
    assert server.codec.streams[1].receive_window == 100


def test_padding_counts() -> None:
    server = ServerSide(None, TINY)
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    answers = peer.send(frame(F.DATA, 8, 1, bytes([39]) + b"x" * 10 + b"\0" * 39))
    assert [f.payload for f in answers] == [b"\0\0\0\x32"]
    assert server.requests[0].body == b"x" * 10


def test_read_disable_withholds_both_windows_until_it_is_over() -> None:
    server = ServerSide(None, TINY)
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    encoder = server.requests[0].encoder
    encoder.read_disable(True)
    encoder.read_disable(True)
    before = server.codec.receive_window
    assert peer.send(frame(F.DATA, 0, 1, b"x" * 100)) == []
    assert server.requests[0].body == b"x" * 100
    assert server.codec.receive_window == before - 100
    encoder.read_disable(False)
    assert server.wire.take() == b""
    encoder.read_disable(False)
    assert [(f.stream_id, f.payload) for f in frames_of(server.wire.take())] == [(1, b"\0\0\0\x64")]


def test_what_a_stream_withheld_is_the_connections_again_when_it_ends() -> None:
    server = ServerSide(None, Http2Settings(initial_connection_window_size=65535))
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    server.requests[0].encoder.read_disable(True)
    assert peer.send(*[frame(F.DATA, 0, 1, b"x" * 10000)] * 4) == []
    answers = peer.send(frame(F.RST_STREAM, 0, 1, b"\0\0\0\x08"))
    assert [(f.stream_id, int.from_bytes(f.payload, "big")) for f in answers] == [(0, 40000)]


def test_data_of_ignored_streams_is_given_back_to_the_connection() -> None:
    server = ServerSide(None, Http2Settings(initial_connection_window_size=65535))
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    server.requests[0].encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    server.wire.take()
    answers = peer.send(*[frame(F.DATA, 0, 1, b"x" * 10000)] * 4)
    assert [(f.stream_id, int.from_bytes(f.payload, "big")) for f in answers] == [(0, 40000)]


def test_more_than_the_streams_window_is_an_error_of_the_stream() -> None:
    server = ServerSide(None, TINY)
    peer = RawPeer(server)
    answers = peer.send(peer.headers(1, FIELDS_POST, end_stream=False), frame(F.DATA, 0, 1, b"x" * 101))
    assert [(f.name, f.code) for f in answers] == [("RST_STREAM", 3)]


def test_the_default_window_holds_until_the_peer_knows_ours() -> None:
    server = ServerSide(None, TINY)
    peer = RawPeer(server, handshake=False)
    client = ClientSide()
    early = client.request(post(), end_stream=False)
    early.encoder.encode_data(b"x" * 60000, False)
    peer.server.codec.dispatch(client.wire.take())
    assert len(server.requests[0].body) == 60000
    client.codec.dispatch(server.wire.take())
    server.codec.dispatch(client.wire.take())
    assert server.codec.streams[1].receive_window <= 100


def test_more_than_the_connections_window_is_an_error_of_the_connection() -> None:
    server = ServerSide(None, Http2Settings(initial_connection_window_size=65535))
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    server.requests[0].encoder.read_disable(True)
    peer.send(*[frame(F.DATA, 0, 1, b"x" * 16000)] * 4)
    with pytest.raises(CodecProtocolError):
        peer.send(frame(F.DATA, 0, 1, b"x" * 1600))
    assert frames_of(server.wire.take())[-1].code == 3


class Pieces(stands_for(Sender)):
    """A Sender with so many frames left."""

    def __init__(self, scheduler: SendScheduler, name: str, frames: int, sent: list[str]) -> None:
        self.scheduler, self.name, self.frames, self.sent = scheduler, name, frames, sent

    def send_pending_frame(self) -> bool:
        self.scheduler.window -= 1
        self.frames -= 1
        self.sent.append(self.name)
        return self.frames > 0


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.lists(st.integers(1, 4), min_size=20, max_size=20))
def test_turns_are_fair(frames: list[int], opening: list[int]) -> None:
    scheduler = SendScheduler()
    scheduler.window = 0
    sent: list[str] = []
    for number, count in enumerate(frames):
        scheduler.enqueue(Pieces(scheduler, str(number), count, sent))
    for increment in opening:
        scheduler.window += increment
        scheduler.run()
    total = min(sum(opening), sum(frames))
    expected = [str(n) for turn in range(6) for n, count in enumerate(frames) if count > turn]
    assert sent == expected[:total]


def test_a_large_body_through_small_windows_both_ways() -> None:
    body = bytes(range(256)) * 2000

    def echo(request: Events) -> None:
        request.encoder.encode_headers(ResponseHeaders(200), False)
        request.encoder.encode_data(bytes(request.body), False)
        request.encoder.encode_trailers(HeaderMap([(b"x-t", b"1")]))

    settings = Http2Settings(initial_stream_window_size=1000, initial_connection_window_size=65535)
    client, server = ClientSide(settings), ServerSide(echo, settings)
    pump(client, server)
    streams = [client.request(post(), end_stream=False) for _ in range(3)]
    for stream in streams:
        stream.encoder.encode_data(body, True)
    pump(client, server)
    for stream in streams:
        assert stream.body == body
        assert stream.trailers is not None
    assert client.completed == 3
    assert client.stats.used.keys() <= {"trailers"}
    assert isinstance(server.stats, Stats)
    assert server.stats.used == {}


def test_head_of_a_pile_is_not_sent_after_a_reset() -> None:
    client, server = ClientSide(), ServerSide(None, Http2Settings(initial_stream_window_size=10))
    pump(client, server)
    stream = client.request(post(), end_stream=False)
    stream.encoder.encode_data(b"x" * 100, True)
    stream.encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    pump(client, server)
    assert server.requests[0].body == b"x" * 10
    assert server.requests[0].reset is not None
    assert client.stats.used == {"tx_reset": 1}
    assert client.request(get()).reset is None


def test_a_complete_response_that_nobody_reads_is_given_up() -> None:
    peer, request = answered(10, b"x" * 30)
    peer.server.codec.reset_stalled_streams()  # which is about those that nobody hears of
    peer.server.codec.reset_stalled_streams()
    peer.send(window_update(1, 5))
    assert request.reset is None
    request.encoder.give_up_flush()
    request.encoder.give_up_flush()
    assert request.reset == (StreamResetReason.LOCAL_RESET, "http2.tx_flush_timeout")
    assert peer.server.stats.used == {"tx_flush_timeout": 1, "tx_reset": 1}


def test_one_whose_stream_was_given_up_is_given_up_too() -> None:
    peer, request = answered(10, b"x" * 30)
    request.encoder.set_callbacks(None)
    codec = peer.server.codec
    codec.reset_stalled_streams()
    peer.send(window_update(1, 5))
    codec.reset_stalled_streams()
    assert "tx_flush_timeout" not in peer.server.stats.used
    codec.reset_stalled_streams()
    assert peer.server.stats.used == {"tx_flush_timeout": 1, "tx_reset": 1}


def test_a_response_under_way_is_not_stalled() -> None:
    peer, request = answered(10, b"x" * 30, end=False)
    request.encoder.set_callbacks(None)
    for _ in range(3):
        peer.server.codec.reset_stalled_streams()
    assert "tx_flush_timeout" not in peer.server.stats.used


@pytest.mark.parametrize(("complete", "code"), [(True, 0), (False, 2)])
def test_what_a_servers_reset_says(complete: bool, code: int) -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(peer.headers(1, FIELDS_POST, end_stream=False))
    request = server.requests[0]
    request.encoder.encode_headers(ResponseHeaders(200), complete)
    request.encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    assert frames_of(server.wire.take())[-1].code == code
    assert request.reset == (StreamResetReason.LOCAL_RESET, "http2.local_reset")
