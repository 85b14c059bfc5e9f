"""The client codec by hand-written frames: responses, ends, limits."""

import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap, Http2RequestHeaders, RequestHeaders
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import PREFACE, ErrorCode, FrameType, frame, goaway_frame
from envoymesh.http.http2.hpack import Decoder, Encoder
from tests.support.http2 import ClientSide, Events, Frame, frames_of, get, post

F = FrameType
OK = [(b":status", b"200")]


class RawServer:
    """A server that writes frames by hand."""

    def __init__(self, settings: Http2Settings | None = None, peer_settings: bytes = b"") -> None:
        self.client = ClientSide(settings)
        self.encoder = Encoder()
        self.client.codec.dispatch(frame(F.SETTINGS, 0, 0, peer_settings) + frame(F.SETTINGS, 1, 0))
        self.client.wire.take()

    def headers(self, stream_id: int, fields: list[tuple[bytes, bytes]] = OK, end_stream: bool = True) -> bytes:
        return frame(F.HEADERS, 4 | end_stream, stream_id, self.encoder.encode(fields))

    def send(self, *data: bytes) -> list[Frame]:
        self.client.codec.dispatch(b"".join(data))
        return frames_of(self.client.wire.take())


@pytest.fixture
def server() -> RawServer:
    return RawServer()


def test_what_a_connection_begins_with() -> None:
    written = ClientSide().wire.take()
    assert written.startswith(PREFACE)
    frames = frames_of(written)
    assert [f.name for f in frames] == ["SETTINGS", "WINDOW_UPDATE"]
    assert frames[0].payload.hex() == "000200000000" + "000100001000" + "000800000000" + "000300000400" + "000401000000"


def test_pseudo_headers_come_first() -> None:
    client = ClientSide()
    client.wire.take()
    client.request(get(b"/p", (b"x-a", b"b")))
    fields = Decoder().decode(frames_of(client.wire.take())[0].payload)
    assert [name for name, _ in fields] == [b":authority", b":path", b":method", b":scheme", b"x-a"]


def test_the_order_of_pseudo_headers_of_a_request_that_came_by_http2() -> None:
    client = ClientSide()
    client.wire.take()
    client.request(Http2RequestHeaders(b"GET", b"/p", b"a", b"http").copy())
    fields = Decoder().decode(frames_of(client.wire.take())[0].payload)
    assert [name for name, _ in fields] == [b":method", b":scheme", b":path", b":authority"]


def test_connect_has_neither_scheme_nor_path() -> None:
    client = ClientSide()
    client.wire.take()
    decoder = Decoder()
    client.request(RequestHeaders(b"CONNECT", b"", b"a:1", b"http"), end_stream=False)
    fields = decoder.decode(frames_of(client.wire.take())[0].payload)
    assert list(fields) == [(b":authority", b"a:1"), (b":method", b"CONNECT")]
    client.request(Http2RequestHeaders(b"CONNECT", b"/", b"a:1", b"http", protocol=b"bytestream"), end_stream=False)
    fields = decoder.decode(frames_of(client.wire.take())[0].payload)
    assert list(fields) == [(b":method", b"CONNECT"), (b":authority", b"a:1")]


UPGRADE = [(b"connection", b"Upgrade"), (b"upgrade", b"foo"), (b"content-length", b"0"), (b"x-a", b"b")]


def test_an_upgrade_is_an_extended_connect() -> None:
    client = ClientSide()
    client.wire.take()
    headers = RequestHeaders(b"GET", b"/p", b"a", b"http", list(UPGRADE))
    client.request(headers, end_stream=False)
    fields = Decoder().decode(frames_of(client.wire.take())[0].payload)
    pseudo = [(b":authority", b"a"), (b":path", b"/p"), (b":method", b"CONNECT"), (b":scheme", b"http")]
    assert list(fields) == [*pseudo, (b":protocol", b"foo"), (b"x-a", b"b")]
    assert (headers.method, headers.fields) == (b"GET", UPGRADE)  # for logs, and for another try


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, (101, [(b"x", b"y"), (b"upgrade", b"foo"), (b"connection", b"upgrade")])),
        (201, (201, [(b"x", b"y")])),
        (403, (403, [(b"x", b"y")])),
    ],
)
def test_the_answer_to_an_extended_connect(
    server: RawServer, status: int, expected: tuple[int, list[tuple[bytes, bytes]]]
) -> None:
    stream = server.client.request(RequestHeaders(b"GET", b"/", b"a", b"http", list(UPGRADE)), end_stream=False)
    server.send(server.headers(1, [(b":status", b"%d" % status), (b"x", b"y")], end_stream=False))
    assert (stream.headers.status, stream.headers.fields) == expected


def test_large_headers_are_continued(server: RawServer) -> None:
    server.client.request(get(b"/", (b"x-l", b"y" * 40000)))
    frames = frames_of(server.client.wire.take())
    assert [(f.name, len(f.payload) <= 16384, f.flags) for f in frames] == [
        ("HEADERS", True, 1),
        ("CONTINUATION", True, 0),
        ("CONTINUATION", True, 4),
    ]
    assert (b"x-l", b"y" * 40000) in Decoder().decode(b"".join(f.payload for f in frames))


def test_ids_follow_the_order_of_headers(server: RawServer) -> None:
    events = [Events(), Events()]
    streams = [server.client.codec.new_stream(e) for e in events]
    streams[1].encode_headers(get(), True)
    streams[0].encode_headers(get(), True)
    assert [stream.id for stream in streams] == [3, 1]
    server.send(server.headers(1))
    assert events[1].headers.status == 200
    assert events[0].headers is None


@pytest.mark.parametrize(
    ("method", "status", "fields"),
    [
        (b"HEAD", 200, [(b"content-length", b"5")]),
        (b"GET", 304, [(b"content-length", b"5")]),
        (b"GET", 204, []),
    ],
)
def test_responses_without_body(
    server: RawServer, method: bytes, status: int, fields: list[tuple[bytes, bytes]]
) -> None:
    stream = server.client.request(RequestHeaders(method, b"/", b"a", b"http"))
    other = server.client.request(RequestHeaders(method, b"/", b"a", b"http"))
    server.client.wire.take()
    block = [(b":status", b"%d" % status), *fields]
    answers = server.send(server.headers(1, block), server.headers(3, block, False), frame(F.DATA, 1, 3, b"12345"))
    assert stream.ended
    assert [(f.name, f.stream_id, f.code) for f in answers] == [("RST_STREAM", 3, ErrorCode.PROTOCOL_ERROR)]
    assert other.reset is not None
    assert other.reset[0] is StreamResetReason.PROTOCOL_ERROR
    assert (server.client.completed, server.client.resets) == (1, 1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([("H", [*OK, (b"content-length", b"5")], True)], id="no body at all"),
        pytest.param([("H", [*OK, (b"content-length", b"5")], False), b"123", b"4567"], id="too long"),
        pytest.param([("H", [*OK, (b"content-length", b"5")], False), b"123", b""], id="too short"),
    ],
)
def test_bodies_that_are_not_as_promised(server: RawServer, data: list[object]) -> None:
    stream = server.client.request(get())
    server.client.wire.take()
    out = b""
    for item in data:
        if isinstance(item, tuple):
            out += server.headers(1, item[1], item[2])
        else:
            assert isinstance(item, bytes)
            out += frame(F.DATA, 0 if item else 1, 1, item)
    answers = server.send(out)
    assert [(f.name, f.code) for f in answers] == [("RST_STREAM", ErrorCode.PROTOCOL_ERROR)]
    assert stream.reset is not None
    assert not stream.ended


@pytest.mark.parametrize(
    "block",
    [
        pytest.param([(b":status", b"100")], id="interim with END_STREAM"),
        pytest.param([(b"x", b"y")], id="no status"),
        pytest.param([(b":status", b"101")], id="101"),
    ],
)
@pytest.mark.parametrize("override", [False, True])
def test_malformed_responses(block: list[tuple[bytes, bytes]], override: bool) -> None:
    server = RawServer(Http2Settings(override_stream_error_on_invalid_http_message=override))
    stream = server.client.request(get())
    server.client.wire.take()
    if override:
        answers = server.send(server.headers(1, block))
        assert [(f.name, f.code) for f in answers] == [("RST_STREAM", ErrorCode.PROTOCOL_ERROR)]
        assert stream.reset is not None
        return
    with pytest.raises(CodecProtocolError):
        server.send(server.headers(1, block))
    server.client.codec.reset_all_streams(StreamResetReason.PROTOCOL_ERROR, "x")
    assert stream.reset == (StreamResetReason.PROTOCOL_ERROR, "x")
    assert not server.client.codec.can_take_stream


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.CANCEL, StreamResetReason.REMOTE_RESET),
        (ErrorCode.REFUSED_STREAM, StreamResetReason.REMOTE_REFUSED_STREAM_RESET),
        (ErrorCode.CONNECT_ERROR, StreamResetReason.CONNECT_ERROR),
    ],
)
def test_resets_by_the_peer(server: RawServer, code: int, reason: StreamResetReason) -> None:
    stream = server.client.request(get())
    server.send(frame(F.RST_STREAM, 0, 1, code.to_bytes(4, "big")))
    assert stream.reset is not None
    assert stream.reset[0] is reason
    assert (server.client.resets, server.client.completed) == (1, 0)
    stream.encoder.encode_data(b"x", True)
    stream.encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    stream.encoder.encode_trailers(HeaderMap([(b"a", b"b")]))
    stream.encoder.read_disable(True)
    stream.encoder.read_disable(False)
    assert server.client.wire.take() == b""


def test_a_response_before_the_request_is_complete(server: RawServer) -> None:
    stream = server.client.request(post(), end_stream=False)
    server.send(server.headers(1))
    assert stream.ended
    assert server.client.completed == 0
    server.client.wire.take()
    stream.encoder.encode_data(b"x", True)
    assert server.client.completed == 1
    assert [f.name for f in frames_of(server.client.wire.take())] == ["DATA"]


def test_a_stream_given_up_before_its_headers(server: RawServer) -> None:
    events = Events()
    stream = server.client.codec.new_stream(events)
    stream.set_callbacks(events)
    stream.reset_stream(StreamResetReason.LOCAL_RESET)
    stream.encode_headers(get(), True)
    assert server.client.wire.take() == b""
    assert events.reset == (StreamResetReason.LOCAL_RESET, "http2.local_reset")
    assert server.client.resets == 1
    assert server.client.codec.capacity == 1024


def test_responses_to_streams_we_gave_up_are_ignored(server: RawServer) -> None:
    stream = server.client.request(get())
    stream.encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    server.client.wire.take()
    second = server.client.request(get())
    server.client.wire.take()
    answers = server.send(server.headers(1, [*OK, (b"x-a", b"b")], False), frame(F.DATA, 1, 1, b"x"))
    assert answers == []
    server.send(server.headers(3, [*OK, (b"x-a", b"b")]))
    assert second.headers.get(b"x-a") == b"b"
    assert stream.headers is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(frame(F.PUSH_PROMISE, 4, 1, b"\0\0\0\x02\x82"), False, id="PUSH_PROMISE"),
        pytest.param(frame(F.HEADERS, 5, 2, b"\x88"), True, id="HEADERS of a stream never asked for"),
        pytest.param(frame(F.DATA, 1, 5, b"x"), True, id="DATA of an idle stream"),
        pytest.param(frame(F.SETTINGS, 0, 0, b"\0\x08\0\0\0\x02"), False, id="ENABLE_CONNECT_PROTOCOL 2"),
        pytest.param(frame(F.SETTINGS, 0, 0, b"\0\x02\0\0\0\x01"), False, id="a server that enables push"),
    ],
)
def test_faults_of_the_connection(server: RawServer, data: bytes, told: bool) -> None:
    server.client.request(get())
    server.client.wire.take()
    with pytest.raises(CodecProtocolError):
        server.send(data)
    goaways = [each.code for each in frames_of(server.client.wire.take()) if each.kind == F.GOAWAY]
    assert goaways == ([ErrorCode.PROTOCOL_ERROR] if told else [])


def test_capacity_follows_both_limits_and_may_be_negative() -> None:
    server = RawServer(Http2Settings(max_concurrent_streams=3))
    client = server.client
    for _ in range(2):
        client.request(get())
    assert client.codec.capacity == 1
    client.codec.new_stream(Events())
    assert not client.codec.can_take_stream
    server.send(frame(F.SETTINGS, 0, 0, b"\0\x03\0\0\0\x01"))
    assert (client.codec.capacity, client.limits[-1]) == (-2, 1)
    server.send(server.headers(1), server.headers(3))
    assert client.codec.capacity == 0


def test_ids_run_out(server: RawServer) -> None:
    server.client.codec._next_id = (1 << 31) - 1
    assert server.client.codec.can_take_stream
    server.client.request(get())
    assert not server.client.codec.can_take_stream


def test_goaway_resets_what_was_not_processed(server: RawServer) -> None:
    streams = [server.client.request(get()) for _ in range(3)]
    unopened = Events()
    server.client.codec.new_stream(unopened).set_callbacks(unopened)
    server.send(goaway_frame(3, 0))
    assert [stream.reset is not None for stream in streams] == [False, False, True]
    assert unopened.reset is not None
    assert (server.client.goaways, server.client.resets) == ([0], 2)
    assert not server.client.codec.can_take_stream
    server.send(server.headers(1), server.headers(3))
    assert server.client.completed == 2


def test_the_end_of_the_connection_resets_everything(server: RawServer) -> None:
    opened = server.client.request(post(), end_stream=False)
    unopened = Events()
    server.client.codec.new_stream(unopened).set_callbacks(unopened)
    server.client.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "gone")
    for events in opened, unopened:
        assert events.reset == (StreamResetReason.CONNECTION_TERMINATION, "gone")
    assert server.client.stats.used == {}
    assert server.send(server.headers(1))[1:] == []


def test_ping(server: RawServer) -> None:
    acks: list[bytes] = []
    server.client.codec.on_ping_ack = acks.append
    server.client.codec.send_ping(b"12345678")
    assert [(f.name, f.payload) for f in frames_of(server.client.wire.take())] == [("PING", b"12345678")]
    server.send(frame(F.PING, 1, 0, b"12345678"))
    assert acks == [b"12345678"]


def test_a_decoder_that_resets_from_within(server: RawServer) -> None:
    stream = server.client.request(post(), end_stream=False)
    stream.decode_headers = lambda headers, end: stream.encoder.reset_stream(StreamResetReason.LOCAL_RESET)  # type: ignore[method-assign]
    server.client.wire.take()
    answers = server.send(server.headers(1, OK, False), frame(F.DATA, 1, 1, b"x"))
    assert [f.name for f in answers] == ["RST_STREAM"]
    assert stream.body == b""
    assert (server.client.resets, server.client.completed) == (1, 0)
    assert not server.client.codec.streams


def test_data_before_headers(server: RawServer) -> None:
    server.client.request(get())
    server.client.wire.take()
    with pytest.raises(CodecProtocolError, match="callback_function_failed"):
        server.client.codec.dispatch(frame(F.DATA, 0, 1, b"123"))
    assert frames_of(server.client.wire.take())[-1].payload.endswith(b"DATA: stream not opened")
