"""HTTP/2 on the wire for cases: frames written by hand, forbidden ones included, and bytes read back as text.

Field blocks are literals without indexing, so that a block means the same on any connection and in any order.
This file must not use the codecs of the package: they are what is tested.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hpack import Decoder, HPACKError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.integration.outcomes import mask

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Field = tuple[str | bytes, str | bytes]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Any frame (RFC 9113 section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(fields: Iterable[Field]) -> bytes:
    """A field block (RFC 7541 section 6.2.2: literal without indexing, new name)."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: str | bytes) -> bytes:
    data = text.encode("latin-1") if isinstance(text, str) else text
    return _integer(len(data)) + data


def _integer(number: int) -> bytes:
    if number < 127:
        return bytes([number])
    coded, number = [127], number - 127
    while number >= 128:
        coded.append(number % 128 + 128)
        number //= 128
    return bytes([*coded, number])


def headers(fields: Iterable[Field], stream: int = 1, end: bool = True) -> bytes:
    """HEADERS, with CONTINUATION where the block is larger than a frame."""
    whole = block(fields)
    parts = [whole[at : at + 16384] for at in range(0, len(whole), 16384)] or [b""]
    kinds = [HEADERS] + [CONTINUATION] * (len(parts) - 1)
    last = len(parts) - 1
    return b"".join(
        frame(kind, (END_STREAM if end and not index else 0) | (END_HEADERS if index == last else 0), stream, part)
        for index, (kind, part) in enumerate(zip(kinds, parts, strict=True))
    )


def data(body: bytes, stream: int = 1, end: bool = True) -> bytes:
    """DATA."""
    return frame(DATA, END_STREAM if end else 0, stream, body)


def rst(code: int, stream: int = 1) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def settings(*pairs: tuple[int, int]) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(increment: int, stream: int = 0) -> bytes:
    """WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def split(buffer: bytes | bytearray) -> tuple[list[Frame], int]:
    """Whole frames at the beginning, and how many bytes they took."""
    found, at = [], 0
    while len(buffer) - at >= 9:
        parsed, length = Frame.parse_frame_header(memoryview(buffer)[at : at + 9])
        if len(buffer) - at - 9 < length:
            break
        parsed.parse_body(memoryview(bytes(buffer[at + 9 : at + 9 + length])))
        found.append(parsed)
        at += 9 + length
    return found, at


class Transcript:
    """Frames as text: the connection's, then each stream's.

    Left out are acknowledgements and window updates: when they come is the receiver's own business, and the bytes of
    DATA are joined, as their cuts are the network's.
    """

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=1 << 20)
        self._decoder.max_allowed_table_size = 1 << 16
        self._connection: list[bytes] = []
        self._streams: defaultdict[int, list[bytes]] = defaultdict(list)
        self._bodies: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._blocks: defaultdict[int, bytearray] = defaultdict(bytearray)

    def add(self, each: Frame) -> None:
        """One more frame."""
        lines = self._streams[each.stream_id] if each.stream_id else self._connection
        if isinstance(each, SettingsFrame) and "ACK" not in each.flags:
            lines.append(b"SETTINGS " + b" ".join(b"%d=%d" % pair for pair in each.settings.items()))
        elif isinstance(each, (HeadersFrame, ContinuationFrame, PushPromiseFrame)):
            self._add_block(each, lines)
        elif isinstance(each, DataFrame):
            self._bodies[each.stream_id] += each.data
        elif isinstance(each, RstStreamFrame):
            self._flush(each.stream_id)
            lines.append(b"RST_STREAM %d" % each.error_code)
        elif isinstance(each, GoAwayFrame):
            lines.append(b"GOAWAY %d last stream %d %s" % (each.error_code, each.last_stream_id, each.additional_data))
        elif not isinstance(each, (SettingsFrame, WindowUpdateFrame)):
            lines.append(f"{type(each).__name__} {sorted(each.flags)}".encode())
        if "END_STREAM" in each.flags:
            self._flush(each.stream_id)
            lines.append(b"END_STREAM")

    def _add_block(self, each: HeadersFrame | ContinuationFrame | PushPromiseFrame, lines: list[bytes]) -> None:
        self._flush(each.stream_id)
        self._blocks[each.stream_id] += each.data
        if "END_HEADERS" not in each.flags:
            return
        try:
            fields = self._decoder.decode(bytes(self._blocks.pop(each.stream_id)), raw=True)
        except HPACKError as error:
            lines.append(f"field block that is none: {error}".encode())
            return
        lines.extend(bytes(name) + b": " + bytes(value) for name, value in fields)
        lines.append(b"")

    def _flush(self, stream: int) -> None:
        if self._bodies[stream]:
            self._streams[stream].append(b"DATA " + bytes(self._bodies.pop(stream)))

    def value(self, stream: int, name: bytes) -> bytes:
        """A field's value, or nothing."""
        start = name + b": "
        return next((line[len(start) :] for line in self._streams[stream] if line.startswith(start)), b"")

    def text(self) -> str:
        """All of it, with what changes from run to run masked."""
        for stream in list(self._bodies):
            self._flush(stream)
        parts = list(self._connection)
        parts += [b"stream %d\r\n" % stream + b"\r\n".join(self._streams[stream]) for stream in sorted(self._streams)]
        return mask(b"".join(part + b"\r\n" for part in parts)).decode("latin-1").replace("\r\n", "\n")


def show_http2(received: bytes) -> str:
    """What a proxy sent to an HTTP/2 client. An HTTP/1 answer is shown as it is."""
    if received.startswith(b"HTTP/1"):
        return mask(received).decode("latin-1").replace("\r\n", "\n")
    frames, used = split(received)
    transcript = Transcript()
    for each in frames:
        transcript.add(each)
    rest = received[used:]
    return transcript.text() + (f"unfinished: {rest!r}" if rest else "")


def request(method: str = "GET", path: str = "/2/a", *more: Field, authority: str = "a.com") -> list[Field]:
    """The fields of an ordinary request."""
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), *more]


def hello(*frames: bytes) -> bytes:
    """A client's preface, empty SETTINGS and these frames."""
    return PREFACE + settings() + b"".join(frames)


def ask(
    *more: Field, method: str = "GET", path: str = "/2/a", authority: str = "a.com", body: bytes | None = None
) -> bytes:
    """A connection's first request."""
    fields = request(method, path, *more, authority=authority)
    return hello(headers(fields, end=body is None), *([data(body)] if body is not None else []))


def ask_with(fields: Sequence[Field], *after: bytes, end: bool = True) -> bytes:
    """A connection's first request of exactly these fields."""
    return hello(headers(fields, end=end), *after)
