"""HTTP/2: both codecs, and HPACK beside its reference.

The grammar writes frames whose order, lengths, flags and header blocks are right, and then some that are not.
"""

from __future__ import annotations

from typing import Any

import hpack
from hypothesis import strategies as st

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import PREFACE, SETTING, U32, FrameType, frame
from envoymesh.http.http2.hpack import Decoder, Encoder, HpackError, HuffmanDecode, pure_huffman_decode
from envoymesh.http.http2.hpack import default_huffman_decode as fast_huffman_decode
from tests.fuzz.driver import Http2ClientSide, Http2ServerSide, deliver
from tests.fuzz.target import Target, mutated, same_however_cut
from tests.fuzz.targets.http1 import OPTIONS
from tests.support.http2 import Events

# Grammar

SETTINGS = frame(FrameType.SETTINGS, 0, 0)
MOST_BYTES = 8000
"""Of an input. Envoy's limit of control frames in answer to one read (1,000) does depend on how bytes are cut."""

STREAM_IDS = st.sampled_from([1, 1, 1, 3, 3, 5, 7, 0, 2, 9, 2**31 - 1])
U32S = st.sampled_from([0, 1, 2, 8, 100, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
FIELD = st.sampled_from([
    *REQUEST, (b":method", b"GET"), (b":method", b"HEAD"), (b":method", b"CONNECT"), (b":protocol", b"websocket"),
    (b":status", b"200"), (b":status", b"100"), (b":status", b"101"), (b":status", b"204"), (b":status", b"20"),
    (b"content-length", b"0"), (b"content-length", b"3"), (b"content-length", b"x"), (b"cookie", b"a=b"),
    (b"cookie", b"c=d"), (b"host", b"a"), (b"host", b"b c"), (b"te", b"trailers"), (b"te", b"gzip"), (b"x_y", b"1"),
    (b"connection", b"close"), (b"x-a", b"1"), (b"x-b", b"\xff"), (b"X-Upper", b"1"), (b"x c", b"1"), (b"", b""),
    (b"x-long", b"v" * 200), (b"x-nul", b"\0"), (b":unknown", b""), (b"authorization", b"secret"), (b"x-a", b""),
])  # fmt: skip
FIELDS = st.one_of(
    st.lists(FIELD, max_size=3).map(lambda more: REQUEST + more),
    st.lists(FIELD, max_size=3).map(lambda more: [(b":status", b"200"), *more]),
    st.lists(FIELD, max_size=8),
)


@st.composite
def literals(draw: Any) -> bytes:
    """Instructions of HPACK that our encoder never writes, and some that nobody may."""
    return draw(
        st.sampled_from([
            b"\x20", b"\x3f\xe1\x1f", b"\x3f\xe2\x1f", b"\x80", b"\xbe", b"\xff\x00", b"\x00\x81\x1f\x81\x1f", b"\x1f",
            b"\x00\x01a\x82\xff\xff", b"\x40\x01a\x01b", b"\x10\x01a\x7f\x80\x80\x80\x80\x01", b"\x82\x86\x84\x41\x01a",
            b"\x00\x01a\x84\xff\xff\xff\xff", b"\x7f\x80\x80\x80\x80\x80\x01",
        ])
    )  # fmt: skip


@st.composite
def header_frames(draw: Any, encoder: Encoder) -> bytes:
    """HEADERS with their CONTINUATION, padded or not, with priority or not."""
    block = encoder.encode(draw(FIELDS))
    if draw(st.integers(0, 7)) == 0:
        block = draw(literals()) + block
    stream_id = draw(STREAM_IDS)
    flags = draw(st.sampled_from([0, 1, 1]))
    cuts = sorted(draw(st.lists(st.integers(0, len(block)), max_size=2)))
    parts = [block[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(block)], strict=True)]
    first = parts[0]
    if draw(st.integers(0, 5)) == 0:
        flags |= 0x20
        first = U32.pack(draw(st.sampled_from([0, 1, 3, 2**31]))) + b"\x10" + first
    if draw(st.integers(0, 5)) == 0:
        flags |= 0x8
        padding = draw(st.integers(0, 3))
        first = bytes([padding]) + first + bytes(padding)
    out = frame(FrameType.HEADERS, flags | (4 if len(parts) == 1 else 0), stream_id, first)
    for number, part in enumerate(parts[1:], 2):
        out += frame(FrameType.CONTINUATION, 4 if number == len(parts) else 0, stream_id, part)
    return out


@st.composite
def other_frame(draw: Any) -> bytes:
    """Any frame but HEADERS, mostly with a payload of its kind."""
    kind = draw(st.sampled_from([0, 0, 0, 0, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 8, 9, 10, 255]))
    stream_id = draw(STREAM_IDS)
    flags = draw(st.sampled_from([0, 0, 1, 1, 8, 255]))
    payload = draw(st.binary(max_size=12))
    if kind == FrameType.DATA and flags & 8:
        payload = bytes([draw(st.integers(0, 5))]) + payload
    elif kind in (FrameType.RST_STREAM, FrameType.WINDOW_UPDATE):
        payload = U32.pack(draw(U32S))
        stream_id = draw(STREAM_IDS | st.just(0)) if kind == FrameType.WINDOW_UPDATE else stream_id
    elif kind == FrameType.SETTINGS:
        stream_id = 0
        pairs = st.tuples(st.sampled_from([1, 2, 3, 4, 4, 5, 6, 8, 99]), U32S)
        payload = b"" if flags & 1 else b"".join(SETTING.pack(*pair) for pair in draw(st.lists(pairs, max_size=3)))
    elif kind in (FrameType.PING, FrameType.GOAWAY):
        stream_id = 0
        payload = U32.pack(draw(st.sampled_from([0, 1, 3, 2**31 - 1]))) + U32.pack(draw(st.integers(0, 14)))
    elif kind == FrameType.PRIORITY:
        payload = U32.pack(draw(st.sampled_from([0, 1, 3]))) + b"\x00"
    return frame(kind, flags, stream_id, payload)


@st.composite
def frames(draw: Any) -> bytes:
    """A peer's frames; one HPACK encoder for all of them."""
    encoder = Encoder()
    out = draw(st.sampled_from([SETTINGS] * 9 + [b""]))
    for _ in range(draw(st.integers(0, 7))):
        out += draw(header_frames(encoder) if draw(st.booleans()) else other_frame())
    return out


TOKENS = [
    SETTINGS, frame(FrameType.SETTINGS, 1, 0), frame(FrameType.PING, 0, 0, bytes(8)), frame(FrameType.DATA, 1, 1),
    frame(FrameType.DATA, 0, 1), frame(FrameType.HEADERS, 5, 1, b"\x82\x86\x84\x41\x01a"), b"\0", b"\xff", PREFACE,
    frame(FrameType.CONTINUATION, 4, 1), frame(FrameType.RST_STREAM, 0, 1, bytes(4)), b"\xff\xff\xff",
]  # fmt: skip

# Checks


def settings_of(options: int) -> Http2Settings:
    """What the bits of the first byte choose."""
    small = bool(options & 4)
    return Http2Settings(
        hpack_table_size=100 if options & 64 else 4096,
        max_concurrent_streams=2 if small else 1024,
        initial_stream_window_size=65535 if small else 16 << 20,
        initial_connection_window_size=65535 if small else 24 << 20,
        allow_connect=bool(options & 8),
        override_stream_error_on_invalid_http_message=bool(options & 16),
        max_request_headers_kb=1 if small else 60,
        max_headers_count=8 if small else 100,
        headers_with_underscores_action=("ALLOW", "REJECT_REQUEST", "DROP_HEADER", "ALLOW")[options >> 5 & 3],
        stream_buffer_limit=10 if small else 1 << 20,
    )


def _answer(request: Events) -> None:
    request.encoder.encode_headers(ResponseHeaders(200, [(b"x-a", b"1")]), False)
    request.encoder.encode_data(b"hello", False)
    request.encoder.encode_data(b"world", True)


def _answer_with_trailers(request: Events) -> None:
    request.encoder.encode_headers(ResponseHeaders(200), False)
    request.encoder.encode_data(b"d" * 70_000, False)
    request.encoder.encode_trailers(HeaderMap([(b"grpc-status", b"0")]))


_ANSWERS = [_answer, _answer_with_trailers, None, _answer]


def _but_for_an_unsaid_greeting(one: Any, other: Any) -> bool:
    """Whether outcomes differ in our SETTINGS (and what waits behind them) alone: a client whose first read is refused
    without a word does not get them, as from Envoy, and what its first read is depends on how its bytes are cut."""
    error, *rest = one
    return bool(error) and other[0] == error and (not rest[1] or not other[2]) and rest[::2] == list(other[1::2])


def check_server(data: bytes) -> None:
    """Bytes of a client behind its preface."""
    options, data = (data[0], data[1 : MOST_BYTES + 1]) if data else (0, b"")

    def run(pieces: list[bytes]) -> Any:
        side = Http2ServerSide(_ANSWERS[options & 3], settings_of(options), 100 if options & 8 else 0)
        if options & 128:
            deliver(side, [PREFACE])
        outcome = side.outcome(deliver(side, pieces))
        _check_end(side)
        return outcome

    same_however_cut(data if options & 128 else PREFACE + data, run, _but_for_an_unsaid_greeting)


def check_client(data: bytes) -> None:
    """Bytes of a server, to a client that has three requests under way, one of them unfinished."""
    options, data = (data[0], data[1 : MOST_BYTES + 1]) if data else (0, b"")

    def run(pieces: list[bytes]) -> Any:
        side = Http2ClientSide(settings_of(options & ~4))
        side.request(RequestHeaders(b"GET", b"/", b"a", b"http"), True)
        side.request(RequestHeaders(b"HEAD", b"/", b"a", b"http"), True)
        upload = side.request(RequestHeaders(b"POST", b"/", b"a", b"http"), False)
        upload.encoder.encode_data(b"u" * (70_000 if options & 4 else 10), bool(options & 2))
        outcome = side.outcome(deliver(side, pieces))
        _check_end(side)
        return outcome

    same_however_cut(data, run)


def _check_end(side: Any) -> None:
    """When the connection goes, every stream hears of its end once, and nothing is left."""
    from envoymesh.http.codec import StreamResetReason

    side.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
    side.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
    assert not side.codec.streams
    assert side.stats.streams_active.value == 0, "streams_active"
    assert side.stats.pending_send_bytes.value == 0, "pending_send_bytes"


def _decoded(data: bytes, huffman: HuffmanDecode) -> list[Any]:
    """What each block says, until one is refused. Blocks have their length, a byte, before them."""
    decoder = Decoder(data[0] * 32, huffman) if data else Decoder()
    data = data[1:]
    found: list[Any] = []
    while data:
        block, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        try:
            found.append(list(decoder.decode(block)))
        except HpackError:
            return [*found, HpackError]
    return found


def check_hpack(data: bytes) -> None:
    """Blocks of a peer: both ways to decode Huffman agree, and what they say survives our encoder and any decoder."""
    found = _decoded(data, fast_huffman_decode)
    assert found == _decoded(data, pure_huffman_decode)
    encoder, ours, reference = Encoder(), Decoder(), hpack.Decoder(max_header_list_size=1 << 24)
    for number, fields in enumerate(found):
        if fields is HpackError:
            break
        if number % 3 == 2:  # the peer shrinks its table, and lets it grow again
            for size in (number * 40 % 4096, 4096):
                encoder.set_peer_limit(size)
        block = encoder.encode(fields)
        assert list(ours.decode(block)) == fields
        assert [tuple(field) for field in reference.decode(block, raw=True)] == fields


@st.composite
def blocks(draw: Any) -> bytes:
    """Header blocks for `check_hpack`, of our encoder, of the reference (which uses Huffman codes), or odd ones."""
    encoder: Any = draw(st.sampled_from([Encoder, hpack.Encoder]))()
    out = bytes([draw(st.sampled_from([0, 4, 128, 255]))])
    for _ in range(draw(st.integers(1, 5))):
        block = draw(literals()) if draw(st.integers(0, 5)) == 0 else encoder.encode(draw(FIELDS))
        out += bytes([len(block) % 256]) + block[: len(block) % 256]
    return out


TARGETS_HERE = [
    Target("http2-server", check_server, st.tuples(OPTIONS, mutated(frames(), TOKENS)).map(b"".join)),
    Target("http2-client", check_client, st.tuples(OPTIONS, mutated(frames(), TOKENS)).map(b"".join)),
    Target("hpack", check_hpack, mutated(blocks(), [b"\x20", b"\x3f\xe1\x1f", b"\x80", b"\xff", b"\x00"]), 512),
]
