"""Raw frames against the server codec, in the order of h2spec's sections (RFC 9113, then RFC 7541).

Each row: what a client sends after the handshake, and what must come of it. `GOAWAY(x)` and `RST(x)` are error codes;
SILENT is an end without GOAWAY, as Envoy has it, and OK means that a request on stream 9 is still answered.
"""

from collections.abc import Callable

import pytest

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import PREFACE, ErrorCode, Flag, FrameType, frame
from tests.support.http2 import FIELDS_GET, FIELDS_POST, RawPeer, ServerSide, frames_of

F = FrameType
OK = "OK"
SILENT = "SILENT"


def goaway(code: int) -> tuple[str, int]:
    return ("GOAWAY", code)


def rst(code: int) -> tuple[str, int]:
    return ("RST", code)


PROTOCOL = ErrorCode.PROTOCOL_ERROR
SIZE = ErrorCode.FRAME_SIZE_ERROR
CLOSED = ErrorCode.STREAM_CLOSED
FLOW = ErrorCode.FLOW_CONTROL_ERROR
COMPRESSION = ErrorCode.COMPRESSION_ERROR

Rows = list[tuple[str, Callable[[RawPeer], list[bytes]], object]]


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def setting(identifier: int, value: int) -> bytes:
    return frame(F.SETTINGS, 0, 0, identifier.to_bytes(2, "big") + u32(value))


def opened(peer: RawPeer) -> bytes:
    """Stream 1, open."""
    return peer.headers(1, FIELDS_POST, end_stream=False)


def half_closed(peer: RawPeer) -> bytes:
    """Stream 1, half-closed (remote): the server doesn't answer it."""
    return peer.headers(1, [*FIELDS_GET, (b"x-hang", b"1")])


def ended(peer: RawPeer) -> bytes:
    """Stream 1, answered and closed."""
    return peer.headers(1)


def reset(peer: RawPeer) -> bytes:
    """Stream 1, reset by the peer."""
    return opened(peer) + frame(F.RST_STREAM, 0, 1, u32(8))


def split(peer: RawPeer, *flags: int) -> bytes:
    """Stream 1's HEADERS and CONTINUATION frames, a field each; flags of the CONTINUATION frames."""
    pieces = [peer.encoder.encode([field]) for field in FIELDS_GET]
    out = frame(F.HEADERS, Flag.END_STREAM, 1, pieces[0])
    rest = [pieces[1], b"".join(pieces[2:])]
    return out + b"".join(frame(F.CONTINUATION, flag, 1, piece) for flag, piece in zip(flags, rest, strict=True))


CASES: Rows = [
    # 4.1 frame format
    ("4.1 unknown frame type", lambda p: [frame(22, 0, 0, b"\0" * 8)], OK),
    ("4.1 unknown flags", lambda p: [frame(F.PING, 0x16, 0, b"\0" * 8)], OK),
    ("4.1 reserved bit", lambda p: [frame(F.PING, 0, 0x80000000, b"\0" * 8)], OK),
    # 4.2 frame size
    ("4.2 DATA of 2^14", lambda p: [opened(p), frame(F.DATA, 1, 1, b"\0" * 16384)], OK),
    ("4.2 DATA too large", lambda p: [opened(p), frame(F.DATA, 1, 1, b"\0" * 16385)], goaway(SIZE)),
    ("4.2 HEADERS too large", lambda p: [frame(F.HEADERS, 5, 1, b"\0" * 16385)], goaway(SIZE)),
    # 4.3 header compression
    ("4.3 invalid block", lambda p: [frame(F.HEADERS, 5, 1, b"\x40")], goaway(COMPRESSION)),
    (
        "4.3 PRIORITY amid a block",
        lambda p: [frame(F.HEADERS, 1, 1, b"\x82"), frame(F.PRIORITY, 0, 1, b"\0" * 5)],
        goaway(PROTOCOL),
    ),
    ("4.3 other stream amid a block", lambda p: [frame(F.HEADERS, 1, 1, b"\x82"), ended(p)], goaway(PROTOCOL)),
    (
        "4.3 other CONTINUATION amid a block",
        lambda p: [frame(F.HEADERS, 1, 1, b"\x82"), frame(F.CONTINUATION, 4, 3, b"\x86")],
        goaway(PROTOCOL),
    ),
    # 5.1 stream states
    ("5.1 idle: DATA", lambda p: [frame(F.DATA, 1, 1, b"x")], goaway(PROTOCOL)),
    ("5.1 idle: RST_STREAM", lambda p: [frame(F.RST_STREAM, 0, 1, u32(8))], SILENT),
    ("5.1 idle: WINDOW_UPDATE", lambda p: [frame(F.WINDOW_UPDATE, 0, 1, u32(100))], SILENT),
    ("5.1 idle: CONTINUATION", lambda p: [frame(F.CONTINUATION, 4, 1, b"\x82")], goaway(PROTOCOL)),
    ("5.1 idle: PRIORITY", lambda p: [frame(F.PRIORITY, 0, 1, u32(3) + b"\0")], OK),
    ("5.1 half-closed: DATA", lambda p: [half_closed(p), frame(F.DATA, 1, 1, b"x")], rst(CLOSED)),
    ("5.1 half-closed: HEADERS", lambda p: [half_closed(p), ended(p)], rst(CLOSED)),
    ("5.1 half-closed: CONTINUATION", lambda p: [half_closed(p), frame(F.CONTINUATION, 4, 1)], goaway(PROTOCOL)),
    ("5.1 half-closed: WINDOW_UPDATE", lambda p: [half_closed(p), frame(F.WINDOW_UPDATE, 0, 1, u32(1))], OK),
    ("5.1 reset: DATA", lambda p: [reset(p), frame(F.DATA, 1, 1, b"x")], rst(CLOSED)),
    ("5.1 reset: HEADERS", lambda p: [reset(p), ended(p)], rst(CLOSED)),
    ("5.1 reset: CONTINUATION", lambda p: [reset(p), frame(F.CONTINUATION, 4, 1)], goaway(PROTOCOL)),
    ("5.1 reset: WINDOW_UPDATE", lambda p: [reset(p), frame(F.WINDOW_UPDATE, 0, 1, u32(1))], OK),
    ("5.1 reset: RST_STREAM", lambda p: [reset(p), frame(F.RST_STREAM, 0, 1, u32(8))], OK),
    ("5.1 closed: DATA", lambda p: [ended(p), frame(F.DATA, 1, 1, b"x")], goaway(CLOSED)),
    ("5.1 closed: HEADERS", lambda p: [ended(p), ended(p)], goaway(CLOSED)),
    ("5.1 closed: CONTINUATION", lambda p: [ended(p), frame(F.CONTINUATION, 4, 1)], goaway(PROTOCOL)),
    ("5.1 closed: PRIORITY", lambda p: [ended(p), frame(F.PRIORITY, 0, 1, u32(3) + b"\0")], OK),
    # 5.1.1 stream identifiers
    ("5.1.1 even id", lambda p: [p.headers(2)], SILENT),
    ("5.1.1 smaller id", lambda p: [p.headers(5), p.headers(3)], goaway(PROTOCOL)),
    # 5.3.1 dependencies
    ("5.3.1 HEADERS on itself", lambda p: [frame(F.HEADERS, 0x25, 1, u32(1) + b"\0\x82")], SILENT),
    ("5.3.1 PRIORITY on itself", lambda p: [opened(p), frame(F.PRIORITY, 0, 1, u32(1) + b"\0")], goaway(PROTOCOL)),
    # 5.4.1, 5.5
    ("5.4.1 connection error", lambda p: [frame(F.PING, 0, 3, b"\0" * 8)], SILENT),
    ("5.5 unknown extension frame", lambda p: [frame(0xFF, 0, 1, b"\0" * 8)], OK),
    (
        "5.5 unknown frame amid a block",
        lambda p: [frame(F.HEADERS, 1, 1, b"\x82"), frame(0xFF, 0, 1, b"x")],
        goaway(PROTOCOL),
    ),
    # 6.1 DATA
    ("6.1 stream 0", lambda p: [frame(F.DATA, 1, 0, b"x")], goaway(PROTOCOL)),
    ("6.1 padding too long", lambda p: [opened(p), frame(F.DATA, 9, 1, b"\x06Test\0")], goaway(PROTOCOL)),
    ("6.1 padding without length", lambda p: [opened(p), frame(F.DATA, 9, 1)], goaway(SIZE)),
    ("6.1 padded", lambda p: [opened(p), frame(F.DATA, 9, 1, b"\x02Test\0\0")], OK),
    # 6.2 HEADERS
    ("6.2 stream 0", lambda p: [frame(F.HEADERS, 5, 0, b"\x82")], SILENT),
    ("6.2 padding too long", lambda p: [frame(F.HEADERS, 0xD, 1, b"\x05\x82")], goaway(PROTOCOL)),
    ("6.2 no room for priority", lambda p: [frame(F.HEADERS, 0x25, 1, b"\x82")], goaway(SIZE)),
    # 6.3 PRIORITY
    ("6.3 stream 0", lambda p: [frame(F.PRIORITY, 0, 0, b"\0" * 5)], goaway(PROTOCOL)),
    ("6.3 length", lambda p: [opened(p), frame(F.PRIORITY, 0, 1, b"\0" * 4)], goaway(SIZE)),
    # 6.4 RST_STREAM
    ("6.4 stream 0", lambda p: [frame(F.RST_STREAM, 0, 0, u32(8))], SILENT),
    ("6.4 length", lambda p: [opened(p), frame(F.RST_STREAM, 0, 1, b"\0" * 3)], goaway(SIZE)),
    # 6.5 SETTINGS
    ("6.5 ACK with payload", lambda p: [frame(F.SETTINGS, 1, 0, b"\0")], goaway(SIZE)),
    ("6.5 stream", lambda p: [frame(F.SETTINGS, 0, 1, b"\0" * 6)], SILENT),
    ("6.5 length", lambda p: [frame(F.SETTINGS, 0, 0, b"\0" * 3)], goaway(SIZE)),
    ("6.5.2 ENABLE_PUSH", lambda p: [setting(2, 2)], SILENT),
    ("6.5.2 INITIAL_WINDOW_SIZE", lambda p: [setting(4, 1 << 31)], SILENT),
    ("6.5.2 MAX_FRAME_SIZE small", lambda p: [setting(5, 16383)], SILENT),
    ("6.5.2 MAX_FRAME_SIZE large", lambda p: [setting(5, 1 << 24)], SILENT),
    ("6.5.2 unknown", lambda p: [setting(0xFF, 1)], OK),
    # 6.7 PING
    ("6.7 stream", lambda p: [frame(F.PING, 0, 1, b"\0" * 8)], SILENT),
    ("6.7 length", lambda p: [frame(F.PING, 0, 0, b"\0" * 6)], goaway(SIZE)),
    ("6.7 ACK unasked", lambda p: [frame(F.PING, 1, 0, b"\0" * 8)], OK),
    # 6.8 GOAWAY
    ("6.8 stream", lambda p: [frame(F.GOAWAY, 0, 1, b"\0" * 8)], SILENT),
    ("6.8 length", lambda p: [frame(F.GOAWAY, 0, 0, b"\0" * 7)], goaway(SIZE)),
    # 6.9 WINDOW_UPDATE
    ("6.9 connection by 0", lambda p: [frame(F.WINDOW_UPDATE, 0, 0, u32(0))], SILENT),
    ("6.9 stream by 0", lambda p: [opened(p), frame(F.WINDOW_UPDATE, 0, 1, u32(0))], rst(PROTOCOL)),
    ("6.9 length", lambda p: [frame(F.WINDOW_UPDATE, 0, 0, b"\0" * 3)], goaway(SIZE)),
    ("6.9.1 connection over 2^31-1", lambda p: [frame(F.WINDOW_UPDATE, 0, 0, u32(0x7FFFFFFF))] * 2, SILENT),
    ("6.9.1 stream over 2^31-1", lambda p: [opened(p), frame(F.WINDOW_UPDATE, 0, 1, u32(0x7FFFFFFF))], rst(FLOW)),
    (
        "6.9.2 INITIAL_WINDOW_SIZE lifts a stream over 2^31-1",
        lambda p: [opened(p), frame(F.WINDOW_UPDATE, 0, 1, u32(0x7FFF0000)), setting(4, 0x7FFFFFFF)],
        SILENT,
    ),
    # 6.10 CONTINUATION
    ("6.10 several", lambda p: [split(p, 0, 4)], OK),
    ("6.10 after END_HEADERS", lambda p: [half_closed(p), frame(F.CONTINUATION, 4, 1, b"\x82")], goaway(PROTOCOL)),
    ("6.10 stream 0", lambda p: [frame(F.HEADERS, 1, 1), frame(F.CONTINUATION, 4, 0)], goaway(PROTOCOL)),
    ("6.10 after CONTINUATION's END_HEADERS", lambda p: [split(p, 4, 4)], SILENT),
    (
        "6.10 after DATA",
        lambda p: [opened(p), frame(F.DATA, 0, 1, b"x"), frame(F.CONTINUATION, 4, 1)],
        goaway(PROTOCOL),
    ),
    # 8.1 messages
    (
        "8.1 second HEADERS without END_STREAM",
        lambda p: [opened(p), p.headers(1, [(b"x", b"y")], end_stream=False)],
        SILENT,
    ),
    ("8.1.2 upper case", lambda p: [p.headers(1, [*FIELDS_GET, (b"X-TEST", b"ok")])], SILENT),
    (
        "8.1.2.1 pseudo in trailers",
        lambda p: [opened(p), p.headers(1, [(b":method", b"GET")])],
        SILENT,
    ),
    ("8.1.2.2 connection-specific", lambda p: [p.headers(1, [*FIELDS_GET, (b"connection", b"x")])], SILENT),
    (
        "8.1.2.6 content-length of one DATA",
        lambda p: [p.headers(1, [*FIELDS_POST, (b"content-length", b"1")], False), frame(F.DATA, 1, 1, b"test")],
        rst(PROTOCOL),
    ),
    (
        "8.1.2.6 content-length of several DATA",
        lambda p: [
            p.headers(1, [*FIELDS_POST, (b"content-length", b"9")], False),
            frame(F.DATA, 0, 1, b"test"),
            frame(F.DATA, 1, 1, b"test"),
        ],
        rst(PROTOCOL),
    ),
    ("8.1.2.6 no DATA", lambda p: [p.headers(1, [*FIELDS_POST, (b"content-length", b"9")])], SILENT),
    (
        "8.1.2.6 trailers too early",
        lambda p: [p.headers(1, [*FIELDS_POST, (b"content-length", b"9")], False), p.headers(1, [(b"x", b"y")])],
        rst(PROTOCOL),
    ),
    ("8.2 PUSH_PROMISE", lambda p: [opened(p), frame(F.PUSH_PROMISE, 4, 1, u32(2) + b"\x82")], SILENT),
    # RFC 7541
    ("7541 2.3.3 index", lambda p: [frame(F.HEADERS, 5, 1, b"\xc6")], goaway(COMPRESSION)),
    ("7541 4.2 late size update", lambda p: [frame(F.HEADERS, 5, 1, b"\x82\x86\x84\x20")], goaway(COMPRESSION)),
    ("7541 6.3 size over the limit", lambda p: [frame(F.HEADERS, 5, 1, b"\x3f\xe2\x1f\x82")], goaway(COMPRESSION)),
]


def answer_unless_told(request: object) -> None:
    from tests.support.http2 import hello

    if request.headers.get(b"x-hang") is None:  # type: ignore[attr-defined]
        hello(request)  # type: ignore[arg-type]


@pytest.mark.parametrize(("send", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
def test_case(send: Callable[[RawPeer], list[bytes]], expected: object, bytewise: bool) -> None:
    server = ServerSide(answer_unless_told)
    peer = RawPeer(server)
    data = b"".join(send(peer))
    step = 1 if bytewise and len(data) < 2000 else len(data)
    error = None
    for start in range(0, len(data), step):
        try:
            server.codec.dispatch(data[start : start + step])
        except CodecProtocolError as caught:
            error = caught
    frames = frames_of(server.wire.take())
    if expected == SILENT or (isinstance(expected, tuple) and expected[0] == "GOAWAY"):
        assert error is not None
        assert error.details
        assert error.status == 0
        goaways = [(each.name, each.code) for each in frames if each.kind == F.GOAWAY]
        assert goaways == ([] if expected == SILENT else [expected])
        assert "goaway_sent" not in server.stats.used  # Envoy counts the graceful ones
        assert peer.send(peer.headers(9)) == []
        return
    assert error is None
    resets = [(f.kind, f.code) for f in frames if f.kind == F.RST_STREAM]
    assert resets == ([(F.RST_STREAM, expected[1])] if isinstance(expected, tuple) else [])
    assert [f.name for f in peer.send(peer.headers(9))] == ["HEADERS", "DATA"]


def test_preface_of_another_protocol() -> None:
    server = ServerSide()
    with pytest.raises(CodecProtocolError):
        server.codec.dispatch(b"GET / HTTP/1.1\r\n\r\n")
    assert server.wire.take() == b""


def test_preface_without_settings() -> None:
    server = ServerSide()
    with pytest.raises(CodecProtocolError):
        server.codec.dispatch(PREFACE + frame(F.PING, 0, 0, b"\0" * 8))
    with pytest.raises(CodecProtocolError):
        ServerSide().codec.dispatch(PREFACE + frame(F.SETTINGS, 1, 0))


def test_the_first_thing_sent_is_envoys_settings() -> None:
    server = ServerSide()
    server.codec.dispatch(PREFACE[:3])
    frames = frames_of(server.wire.take())
    assert [f.name for f in frames] == ["SETTINGS", "WINDOW_UPDATE"]
    assert frames[0].payload.hex() == "000100001000" + "000800000000" + "000300000400" + "000401000000"
    assert frames[1].payload.hex() == "017f0001"


def test_settings_wait_for_an_answer_or_the_end_of_the_first_bytes() -> None:
    server = ServerSide()
    first = RawPeer(server, handshake=False).headers(1)
    ping = frame(F.PING, 0, 0, b"\0" * 8)
    server.codec.dispatch(PREFACE + frame(F.SETTINGS, 0, 0) + ping + first + ping)
    names = [(each.name, each.flags) for each in frames_of(server.wire.take())]
    head = [("SETTINGS", 0), ("WINDOW_UPDATE", 0), ("SETTINGS", 1), ("PING", 1)]
    assert names == [*head, ("HEADERS", 4), ("DATA", 1), ("PING", 1)]


def test_a_client_whose_first_bytes_are_refused_without_a_word_gets_nothing() -> None:
    server = ServerSide()
    with pytest.raises(CodecProtocolError):
        server.codec.dispatch(PREFACE + frame(F.SETTINGS, 0, 0) + frame(F.PING, 0, 1, b"\0" * 8))
    assert server.wire.take() == b""


def test_a_request_begins_with_its_headers_frame() -> None:
    server = ServerSide()
    peer = RawPeer(server)
    block = peer.encoder.encode(FIELDS_GET)
    assert peer.send(frame(F.HEADERS, 1, 1, block[:3])) == []
    assert [request.log for request in server.requests] == [[]]
    assert [each.name for each in peer.send(frame(F.CONTINUATION, 4, 1, block[3:]))] == ["HEADERS", "DATA"]
    assert len(server.requests) == 1


def test_a_request_that_is_answered_in_the_midst_of_its_block() -> None:
    server = ServerSide()
    peer = RawPeer(server)
    block = peer.encoder.encode([*FIELDS_GET, (b"x-a", b"b")])
    peer.send(frame(F.HEADERS, 1, 1, block[:3]))
    server.requests[0].encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    server.wire.take()
    assert peer.send(frame(F.CONTINUATION, 4, 1, block[3:])) == []
    assert [each.name for each in peer.send(peer.headers(3, [*FIELDS_GET, (b"x-a", b"b")]))] == ["HEADERS", "DATA"]
    assert server.requests[1].headers.get(b"x-a") == b"b"


def test_a_block_that_is_refused_before_it_is_complete() -> None:
    server = ServerSide(None, Http2Settings(max_concurrent_streams=1))
    peer = RawPeer(server)
    peer.send(peer.headers(1))
    block = peer.encoder.encode(FIELDS_GET)
    answers = peer.send(frame(F.HEADERS, 1, 3, block[:3]))
    assert [(each.name, each.code) for each in answers] == [("RST_STREAM", ErrorCode.REFUSED_STREAM)]
    assert peer.send(frame(F.CONTINUATION, 4, 3, block[3:])) == []


def test_a_broken_block_is_a_request_too() -> None:
    server = ServerSide()
    with pytest.raises(CodecProtocolError):
        RawPeer(server).send(frame(F.HEADERS, 5, 1, b"\x80"))
    assert len(server.requests) == 1
    assert frames_of(server.wire.take())[-1].payload == u32(1) + u32(COMPRESSION)


def test_a_malformed_request_is_named() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(peer.headers(1))
    with pytest.raises(CodecProtocolError) as caught:
        peer.send(peer.headers(3, [*FIELDS_GET, (b"X", b"y")]))
    assert caught.value.stream is server.requests[1].encoder
    assert caught.value.stream_details == "http2.invalid.header.field"
    assert caught.value.details == "codec_error:The_user_callback_function_failed"


def test_settings_and_ping_are_acknowledged() -> None:
    peer = RawPeer(ServerSide())
    answers = peer.send(frame(F.SETTINGS, 0, 0), frame(F.PING, 0, 0, b"abcdefgh"))
    assert [(f.name, f.flags, f.payload) for f in answers] == [("SETTINGS", 1, b""), ("PING", 1, b"abcdefgh")]


def test_streams_over_the_limit_are_refused_and_leave_hpack_in_step() -> None:
    server = ServerSide(None, Http2Settings(max_concurrent_streams=1))
    peer = RawPeer(server)
    answers = peer.send(peer.headers(1), peer.headers(3, [*FIELDS_GET, (b"x-a", b"b")]))
    assert [(f.name, f.stream_id, f.code) for f in answers] == [("RST_STREAM", 3, ErrorCode.REFUSED_STREAM)]
    assert len(server.requests) == 1
    assert server.stats.used["stream_refused_errors"] == 1
    peer.send(frame(F.RST_STREAM, 0, 1, u32(8)), peer.headers(5, [*FIELDS_GET, (b"x-a", b"b")]))
    assert server.requests[1].headers.get(b"x-a") == b"b"


def test_a_malformed_message_costs_its_stream_only_where_configured() -> None:
    server = ServerSide(None, Http2Settings(override_stream_error_on_invalid_http_message=True))
    peer = RawPeer(server)
    answers = peer.send(peer.headers(1, [*FIELDS_GET, (b"X", b"y")]), peer.headers(3))
    assert [(f.name, f.stream_id, f.code) for f in answers] == [("RST_STREAM", 1, PROTOCOL)]
    assert server.requests[0].reset is not None
    assert server.requests[1].headers is not None
    assert server.stats.used == {"rx_messaging_error": 1, "tx_reset": 1, "streams_active": 1}


def test_frames_on_a_stream_we_reset_are_ignored() -> None:
    server = ServerSide(None)
    peer = RawPeer(server)
    peer.send(opened(peer))
    server.requests[0].encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    assert [f.name for f in frames_of(server.wire.take())] == ["RST_STREAM"]
    assert peer.send(frame(F.DATA, 0, 1, b"abc"), peer.headers(1, [(b"x-t", b"1")])) == []
    peer.send(peer.headers(3, [*FIELDS_GET, (b"x-t", b"1")]))
    assert server.requests[1].headers.get(b"x-t") == b"1"


@pytest.mark.parametrize("count", [96, 97])
def test_the_limit_of_fields_counts_pseudo_headers(count: int) -> None:
    server = ServerSide()
    peer = RawPeer(server)
    answers = peer.send(peer.headers(1, FIELDS_GET + [(b"x-%d" % i, b"y") for i in range(count)]))
    if count == 96:
        assert [f.name for f in answers] == ["HEADERS", "DATA"]
        return
    assert [(f.name, f.code) for f in answers] == [("RST_STREAM", ErrorCode.INTERNAL_ERROR)]
    assert server.stats.used["header_overflow"] == 1


def large_headers(peer: RawPeer, stream_id: int, size: int) -> bytes:
    block = peer.encoder.encode([*FIELDS_GET, *[(b"x-large", b"y" * 15000)] * (size // 15000)])
    out = frame(F.HEADERS, 1, stream_id, block[:16384])
    pieces = [block[start : start + 16384] for start in range(16384, len(block), 16384)]
    for piece in pieces:
        out += frame(F.CONTINUATION, 4 if piece is pieces[-1] else 0, stream_id, piece)
    return out


def test_header_lists_over_the_limit_cost_their_stream() -> None:
    server = ServerSide()
    peer = RawPeer(server)
    answers = peer.send(large_headers(peer, 1, 60000), large_headers(peer, 3, 75000), peer.headers(5))
    assert [(f.name, f.stream_id) for f in answers if f.kind != F.DATA] == [
        ("HEADERS", 1),
        ("RST_STREAM", 3),
        ("HEADERS", 5),
    ]
    assert server.stats.used == {"header_list_size_too_large": 1, "tx_reset": 1}


def test_small_references_to_large_entries_are_counted_at_full_size() -> None:
    server = ServerSide()
    peer = RawPeer(server)
    peer.send(peer.headers(1, [*FIELDS_GET, (b"x-l", b"y" * 1900)]))
    answers = peer.send(peer.headers(3, FIELDS_GET + [(b"x-l", b"y" * 1900)] * 40))
    assert [(f.name, f.code) for f in answers] == [("RST_STREAM", ErrorCode.INTERNAL_ERROR)]
