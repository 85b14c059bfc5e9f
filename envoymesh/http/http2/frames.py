"""HTTP/2 frames as bytes (RFC 9113 sections 4 and 6): constants, and makers of the frames we send.

It must not keep state, nor decide anything: `connection.py` reads frames, and streams say what to send.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

HTTP2_PREFACE_START = b"PRI * HTTP/2"
"""Enough of it to tell HTTP/2 from HTTP/1."""

HEADER_LENGTH = 9
SMALL_FRAME = HEADER_LENGTH + 4
"""Bytes of a whole RST_STREAM or WINDOW_UPDATE."""

HEADER = struct.Struct(">HBBBL")
"""Length (16 and 8 bits), type, flags, stream id (section 4.1)."""

U32 = struct.Struct(">L")
SETTING = struct.Struct(">HL")
GOAWAY_HEAD = struct.Struct(">LL")

MAX_STREAM_ID = 0x7FFFFFFF
MAX_WINDOW = 0x7FFFFFFF
DEFAULT_WINDOW = 65535
DEFAULT_MAX_FRAME_SIZE = 16384
LARGEST_MAX_FRAME_SIZE = 0xFFFFFF


class FrameType:
    """Frame types (section 6); anything from 10 on is unknown, and ignored (section 5.5)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag:
    """Flags of frames."""

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting:
    """Identifiers of settings (section 6.5.2 and RFC 8441); others are ignored."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8


class ErrorCode:
    """Error codes of RST_STREAM and GOAWAY (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class Http2ConnectionError(Exception):
    """The peer broke the connection (section 5.4.1): GOAWAY with `code`, then it closes.

    Args:
        details: for logs and response_code_details; goes into GOAWAY's debug data too.
    """

    def __init__(self, code: int, details: str) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details


class Http2StreamError(Exception):
    """The peer broke one stream (section 5.4.2): RST_STREAM with `code`."""

    def __init__(self, stream_id: int, code: int, details: str) -> None:
        super().__init__(stream_id, code, details)
        self.stream_id = stream_id
        self.code = code
        self.details = details


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame; the payload must fit the peer's SETTINGS_MAX_FRAME_SIZE."""
    length = len(payload)
    return HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def headers_frames(stream_id: int, block: bytes, end_stream: bool, max_frame_size: int) -> bytes:
    """HEADERS, with as many CONTINUATION frames after it as the block needs (section 6.10)."""
    length = len(block)
    if length <= max_frame_size:
        return HEADER.pack(length >> 8, length & 0xFF, 1, 0x5 if end_stream else 0x4, stream_id) + block
    out = [frame(FrameType.HEADERS, Flag.END_STREAM if end_stream else 0, stream_id, block[:max_frame_size])]
    for start in range(max_frame_size, length, max_frame_size):
        piece = block[start : start + max_frame_size]
        last = Flag.END_HEADERS if start + max_frame_size >= length else 0
        out.append(frame(FrameType.CONTINUATION, last, stream_id, piece))
    return b"".join(out)


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS of (identifier, value) pairs."""
    return frame(FrameType.SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in settings))


def iterate_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The (identifier, value) pairs of a SETTINGS payload, whose length is a multiple of six."""
    return SETTING.iter_unpack(payload)


def rst_stream_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(FrameType.RST_STREAM, 0, stream_id, U32.pack(code))


def goaway_frame(last_stream_id: int, code: int, debug_data: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(FrameType.GOAWAY, 0, 0, GOAWAY_HEAD.pack(last_stream_id, code) + debug_data)


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream id 0 is the connection's window."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, U32.pack(increment))


SETTINGS_ACK = frame(FrameType.SETTINGS, Flag.ACK, 0)
