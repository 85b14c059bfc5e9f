"""What hostile peers and users send to make much work of few bytes, in any size.

A family is a function of n: it gives the number of bytes, and a function that lets the code take them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envoymesh.admin.messages import parse_target
from envoymesh.config.yaml_loader import load_json, load_yaml
from envoymesh.errors import ConfigError
from envoymesh.filters.network.http_connection_manager import path as paths
from envoymesh.formatter import Formatter
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import PREFACE, SETTING, U32, Flag, FrameType, frame
from envoymesh.http.http2.hpack import Decoder, Encoder
from envoymesh.network.listener.client_hello import ClientHelloReader
from envoymesh.upstream.grpc import GrpcDecoder, encode_message
from tests.fuzz.driver import Http1ClientSide, Http1ServerSide, Http2ClientSide, Http2ServerSide, Side, deliver
from tests.unit.http.http1.recorders import answer

Make = Callable[[int], tuple[int, Callable[[], object]]]

BYTE = 1
WHOLE = 1 << 40


@dataclass(frozen=True)
class Family:
    """`small` is the n at which calls are counted, `large` the one at which time is taken."""

    make: Make
    small: int
    large: int


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of a size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def _to(side: Callable[[], Side], data: Callable[[int], bytes], size: int) -> Make:
    """Bytes of a peer, in pieces of a size; the last error, if there is one, is the family's business."""

    def make(n: int) -> tuple[int, Callable[[], object]]:
        sent = data(n)
        pieces = cut(sent, size)
        made = side()
        return len(sent), lambda: deliver(made, pieces)

    return make


# gRPC


def _grpc(data: Callable[[int], bytes], size: int) -> Make:
    """A response's body, in pieces of a size."""

    def make(n: int) -> tuple[int, Callable[[], object]]:
        sent = data(n)
        pieces = cut(sent, size)
        decoder = GrpcDecoder(1 << 30)
        return len(sent), lambda: [decoder.decode(piece) for piece in pieces]

    return make


# HTTP/1

_WIDE = Http1Settings(max_request_headers_kb=8192, max_response_headers_kb=8192, max_headers_count=1 << 30)
_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def _http1_server() -> Side:
    return Http1ServerSide(answer(), "end", _WIDE)


def _http1_client() -> Side:
    side = Http1ClientSide(_WIDE)
    side.message.encoder.encode_headers(RequestHeaders(b"GET", b"/", b"h", b"http"), True)
    return side


def _blank_lines(n: int) -> bytes:
    return b"\r\n" * n + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def _blank_lines_alone(n: int) -> bytes:
    return b"\r\n" * n


def _long_value(n: int) -> bytes:
    return _HEAD + b"x: " + b"v" * n + b"\r\n\r\n"


def _long_name(n: int) -> bytes:
    return _HEAD + b"n" * n + b": v\r\n\r\n"


def _long_target(n: int) -> bytes:
    return b"GET /" + b"t" * n + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def _many_fields(n: int) -> bytes:
    return _HEAD + b"".join(b"x%d: v\r\n" % number for number in range(n)) + b"\r\n"


def _same_fields(n: int) -> bytes:
    return _HEAD + b"connection: x\r\n" * n + b"\r\n"


def _content(n: int) -> bytes:
    return _HEAD + b"Content-Length: %d\r\n\r\n" % n + b"b" * n


def _chunks(n: int) -> bytes:
    return _CHUNKED + b"1\r\nb\r\n" * n + b"0\r\n\r\n"


def _extensions(n: int) -> bytes:
    return _CHUNKED + (b"1;" + b"e" * 4000 + b"\r\nb\r\n") * n + b"0\r\n\r\n"


def _trailers(n: int) -> bytes:
    return _CHUNKED + b"0\r\n" + b"t: v\r\n" * n + b"\r\n"


def _pipelined(n: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * n


def _interim(n: int) -> bytes:
    return b"HTTP/1.1 103 E\r\nlink: x\r\n\r\n" * n + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def _response_chunks(n: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nb\r\n" * n + b"0\r\n\r\n"


# HTTP/2

_FREE = Http2Settings(
    max_outbound_control_frames=1 << 30,
    max_inbound_priority_frames_per_stream=1 << 30,
    max_inbound_window_update_frames_per_data_frame_sent=1 << 30,
    max_consecutive_inbound_frames_with_empty_payload=1 << 30,
    max_concurrent_streams=1 << 30,
    max_request_headers_kb=8192,
    max_headers_count=1 << 30,
)
_START = PREFACE + frame(FrameType.SETTINGS, 0, 0)
_REQUEST = b"\x83\x86\x84\x41\x01a"


def _http2_server(settings: Http2Settings = _FREE, hook: Any = None) -> Side:
    return Http2ServerSide(hook, settings)


def _http2_client() -> Side:
    side = Http2ClientSide(Http2Settings(max_concurrent_streams=1 << 30))
    side.request(RequestHeaders(b"GET", b"/", b"a", b"http"), True)
    return side


def _headers(stream_id: int, block: bytes = _REQUEST, flags: int = Flag.END_HEADERS) -> bytes:
    return frame(FrameType.HEADERS, flags, stream_id, block)


def _open(count: int) -> bytes:
    return _START + b"".join(_headers(2 * number + 1) for number in range(count))


def _frames(kind: int, payload: bytes, stream_id: int = 0, flags: int = 0) -> Callable[[int], bytes]:
    return lambda n: _open(1) + frame(kind, flags, stream_id, payload) * n


def _continuations(n: int) -> bytes:
    """Blocks of nine frames."""
    field = b"\x00\x01a\x01b"
    out = [_START]
    for stream_id in range(1, 2 * n, 2):
        out.append(_headers(stream_id, _REQUEST, 0))
        out += [frame(FrameType.CONTINUATION, 0, stream_id, field)] * 7
        out.append(frame(FrameType.CONTINUATION, Flag.END_HEADERS, stream_id, field))
    return b"".join(out)


def _large_frame(n: int) -> bytes:
    return _open(1) + frame(FrameType.DATA, 0, 1, b"d" * n)


def _settings_entries(n: int) -> bytes:
    pairs = b"".join(SETTING.pack(4, 65535 - number % 2) for number in range(n))
    return _open(max(n // 8, 1)) + frame(FrameType.SETTINGS, 0, 0, pairs)


def _settings_frames(n: int) -> bytes:
    """Each visits all streams: their number has a limit (max_concurrent_streams), that of the frames has none."""
    pairs = [SETTING.pack(4, 65535 - number % 2) for number in range(n)]
    return _open(100) + b"".join(frame(FrameType.SETTINGS, 0, 0, pair) for pair in pairs)


def _resets(n: int) -> bytes:
    ids = [2 * number + 1 for number in range(n)]
    return _START + b"".join(_headers(each) + frame(FrameType.RST_STREAM, 0, each, U32.pack(8)) for each in ids)


def _skipped_ids(n: int) -> bytes:
    return _START + b"".join(_headers(4 * number + 1) for number in range(n))


def _crumbs(n: int) -> bytes:
    return _START + _headers(1, _REQUEST + b"\x0f\x11\x01c" * n)


def _goaways(n: int) -> bytes:
    return frame(FrameType.SETTINGS, 0, 0) + frame(FrameType.GOAWAY, 0, 0, U32.pack(2**31 - 1) + bytes(4)) * n


def _goaways_and_streams(n: int) -> tuple[int, Callable[[], object]]:
    side = Http2ClientSide(Http2Settings(max_concurrent_streams=1 << 30))
    for _ in range(n // 8):
        side.request(RequestHeaders(b"GET", b"/", b"a", b"http"), True)
    data = _goaways(n)
    return len(data), lambda: deliver(side, [data])


# HPACK, ClientHello, paths


_EIGHT_A = b"\x18\xc6\x31\x8c\x63"
"""In Huffman's code."""


def _integer(value: int) -> bytes:
    """The rest of an integer whose prefix is full."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_LARGE_ENTRY = b"\x40\x01a\x7f\x80\x10" + b"v" * 2175


def _huffman(n: int) -> bytes:
    return b"\x00\x01a\xff" + _integer(5 * n - 127) + _EIGHT_A * n


def _decode(block: Callable[[int], bytes]) -> Make:
    def make(n: int) -> tuple[int, Callable[[], object]]:
        data = block(n)
        decoder = Decoder()
        return len(data), lambda: decoder.decode(data)

    return make


def _hello(n: int) -> tuple[int, Callable[[], object]]:
    data = b"\x16\x03\x01\x3f\xf0\x01\x00\x3f\xec" + bytes(n)
    reader = ClientHelloReader()
    return len(data), lambda: [reader.feed(piece) for piece in cut(data, BYTE)]


def _on_text(text: Callable[[int], Any], take: Callable[[Any], object]) -> Make:
    def make(n: int) -> tuple[int, Callable[[], object]]:
        data = text(n)
        return len(data), lambda: take(data)

    return make


def _refused(load: Callable[[str], object]) -> Callable[[str], object]:
    def run(text: str) -> object:
        try:
            return load(text)
        except ConfigError:
            return None

    return run


def _encode_and_decode(n: int) -> tuple[int, Callable[[], object]]:
    fields = [(b"name-%d" % number, b"value") for number in range(n)]
    return n * 12, lambda: Decoder().decode(Encoder().encode(fields))


FAMILIES: dict[str, Family] = {
    "http1 blank lines": Family(_to(_http1_server, _blank_lines, WHOLE), 500, 200_000),
    "http1 blank lines alone": Family(_to(_http1_server, _blank_lines_alone, WHOLE), 500, 10_000),
    "http1 blank lines, bytewise": Family(_to(_http1_server, _blank_lines, BYTE), 500, 50_000),
    "http1 long value, bytewise": Family(_to(_http1_server, _long_value, BYTE), 1000, 50_000),
    "http1 long name, bytewise": Family(_to(_http1_server, _long_name, BYTE), 1000, 50_000),
    "http1 long target, bytewise": Family(_to(_http1_server, _long_target, BYTE), 1000, 50_000),
    "http1 many fields": Family(_to(_http1_server, _many_fields, WHOLE), 200, 20_000),
    "http1 many fields, bytewise": Family(_to(_http1_server, _many_fields, BYTE), 200, 5_000),
    "http1 one field many times": Family(_to(_http1_server, _same_fields, WHOLE), 500, 20_000),
    "http1 content, bytewise": Family(_to(_http1_server, _content, BYTE), 1000, 50_000),
    "http1 one-byte chunks": Family(_to(_http1_server, _chunks, WHOLE), 1000, 50_000),
    "http1 one-byte chunks, bytewise": Family(_to(_http1_server, _chunks, BYTE), 200, 10_000),
    "http1 chunk extensions, bytewise": Family(_to(_http1_server, _extensions, BYTE), 1, 20),
    "http1 trailers": Family(_to(_http1_server, _trailers, WHOLE), 500, 20_000),
    "http1 trailers, bytewise": Family(_to(_http1_server, _trailers, BYTE), 200, 10_000),
    "http1 pipelined requests": Family(_to(_http1_server, _pipelined, WHOLE), 200, 4_000),
    "http1 pipelined requests, bytewise": Family(_to(_http1_server, _pipelined, BYTE), 50, 2_000),
    "http1 client, interim heads": Family(_to(_http1_client, _interim, WHOLE), 200, 5_000),
    "http1 client, one-byte chunks": Family(_to(_http1_client, _response_chunks, WHOLE), 1000, 50_000),
    "grpc empty messages": Family(_grpc(lambda n: bytes(5 * n), WHOLE), 500, 20_000),
    "grpc empty messages, bytewise": Family(_grpc(lambda n: bytes(5 * n), BYTE), 200, 10_000),
    "grpc one large message, bytewise": Family(_grpc(lambda n: encode_message(bytes(n)), BYTE), 1000, 50_000),
    "http2 PING": Family(_to(_http2_server, _frames(FrameType.PING, bytes(8)), WHOLE), 500, 20_000),
    "http2 unknown frames": Family(_to(_http2_server, _frames(200, b""), WHOLE), 500, 20_000),
    "http2 unknown frames, bytewise": Family(_to(_http2_server, _frames(200, b""), BYTE), 100, 5_000),
    "http2 PRIORITY": Family(_to(_http2_server, _frames(FrameType.PRIORITY, bytes(5), 1), WHOLE), 500, 20_000),
    "http2 WINDOW_UPDATE": Family(
        _to(_http2_server, _frames(FrameType.WINDOW_UPDATE, U32.pack(1), 1), WHOLE), 500, 20_000
    ),
    "http2 one-byte DATA": Family(_to(_http2_server, _frames(FrameType.DATA, b"d", 1), WHOLE), 500, 20_000),
    "http2 empty DATA": Family(_to(_http2_server, _frames(FrameType.DATA, b"", 1), WHOLE), 500, 20_000),
    "http2 one large frame, bytewise": Family(_to(_http2_server, _large_frame, BYTE), 1000, 8_000),
    "http2 SETTINGS frames": Family(_to(_http2_server, _frames(FrameType.SETTINGS, b""), WHOLE), 500, 20_000),
    "http2 SETTINGS entries, streams": Family(_to(_http2_server, _settings_entries, WHOLE), 300, 1_300),
    "http2 SETTINGS frames, streams": Family(_to(_http2_server, _settings_frames, WHOLE), 300, 1_300),
    "http2 HEADERS and RST_STREAM": Family(_to(_http2_server, _resets, WHOLE), 300, 5_000),
    "http2 skipped stream ids": Family(_to(_http2_server, _skipped_ids, WHOLE), 300, 5_000),
    "http2 CONTINUATION": Family(_to(_http2_server, _continuations, WHOLE), 100, 2_000),
    "http2 cookie crumbs": Family(_to(_http2_server, _crumbs, WHOLE), 500, 2_000),
    "http2 client, GOAWAY": Family(_to(_http2_client, _goaways, WHOLE), 500, 20_000),
    "http2 client, GOAWAY, streams": Family(_goaways_and_streams, 300, 2_000),
    "hpack table size updates": Family(_decode(lambda n: b"\x20" * n), 500, 100_000),
    "hpack inserted fields": Family(_decode(lambda n: b"\x40\x01a\x01b" * n), 500, 50_000),
    "hpack large table entry repeated": Family(_decode(lambda n: _LARGE_ENTRY + b"\xbe" * n), 500, 100_000),
    "hpack one long Huffman string": Family(_decode(_huffman), 1000, 50_000),
    "hpack encode and decode": Family(_encode_and_decode, 200, 10_000),
    "ClientHello, bytewise": Family(_hello, 1000, 8_000),
    "path of dot segments": Family(_on_text(lambda n: b"/a/.." * n, paths.normalize), 500, 100_000),
    "path of lone percent signs": Family(_on_text(lambda n: b"/" + b"%%32" * n, paths.normalize), 500, 100_000),
    "path of slashes": Family(_on_text(lambda n: b"/" * n, paths.merge_slashes), 500, 1_000_000),
    "path of escaped slashes": Family(_on_text(lambda n: b"/%2f" * n, paths.unescape_slashes), 500, 100_000),
    "admin query": Family(_on_text(lambda n: "/stats?" + "a%41=b&" * n, parse_target), 500, 20_000),
    "yaml list": Family(_on_text(lambda n: "- a\n" * n, load_yaml), 200, 20_000),
    "yaml map": Family(_on_text(lambda n: "".join(f"k{number}: v\n" for number in range(n)), load_yaml), 200, 10_000),
    "yaml one key many times": Family(_on_text(lambda n: "k: v\n" * n, load_yaml), 200, 10_000),
    "yaml nested flow lists": Family(_on_text(lambda n: "[" * n, _refused(load_yaml)), 500, 200_000),
    "yaml nested maps": Family(
        _on_text(lambda n: "".join(" " * at + "a:\n" for at in range(95)) * (n // 95), _refused(load_yaml)), 950, 9_500
    ),
    "json one key many times": Family(
        _on_text(lambda n: "{" + ", ".join(['"k": 1'] * n) + "}", load_json), 200, 3_000
    ),
    "format of commands": Family(_on_text(lambda n: "%REQ(A)%" * n, Formatter), 200, 10_000),
    "format of nested commands": Family(
        _on_text(lambda n: "%START_TIME(" + "%REQ(" * n + ")%", Formatter), 200, 20_000
    ),
}  # fmt: skip
