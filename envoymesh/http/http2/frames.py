"""HTTP/2 frames as bytes (RFC 9113 sections 4 and 6): constants, and makers of the frames we send.

It must not keep state, nor decide anything: `connection.py` reads frames, and streams say what to send.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

HTTP2_PREFACE_START: Final = b"PRI * HTTP/2"
"""Enough of it to tell HTTP/2 from HTTP/1."""

HEADER_LENGTH: Final = 9
SMALL_FRAME: Final = HEADER_LENGTH + 4
"""Bytes of a whole RST_STREAM or WINDOW_UPDATE."""

HEADER: Final = struct.Struct(">HBBBL")
"""Length (16 and 8 bits), type, flags, stream id (section 4.1)."""

U32: Final = struct.Struct(">L")
SETTING: Final = struct.Struct(">HL")
GOAWAY_HEAD: Final = struct.Struct(">LL")

MAX_STREAM_ID: Final = 0x7FFFFFFF
MAX_WINDOW: Final = 0x7FFFFFFF
DEFAULT_WINDOW: Final = 65535
DEFAULT_MAX_FRAME_SIZE: Final = 16384
LARGEST_MAX_FRAME_SIZE: Final = 0xFFFFFF


class FrameType:
    """Frame types (section 6); anything from 10 on is unknown, and ignored (section 5.5)."""

    DATA: Final = 0
    HEADERS: Final = 1
    PRIORITY: Final = 2
    RST_STREAM: Final = 3
    SETTINGS: Final = 4
    PUSH_PROMISE: Final = 5
    PING: Final = 6
    GOAWAY: Final = 7
    WINDOW_UPDATE: Final = 8
    CONTINUATION: Final = 9


class Flag:
    """Flags of frames."""

    END_STREAM: Final = 0x1
    ACK: Final = 0x1
    END_HEADERS: Final = 0x4
    PADDED: Final = 0x8
    PRIORITY: Final = 0x20


class Setting:
    """Identifiers of settings (section 6.5.2 and RFC 8441); others are ignored."""

    HEADER_TABLE_SIZE: Final = 1
    ENABLE_PUSH: Final = 2
    MAX_CONCURRENT_STREAMS: Final = 3
    INITIAL_WINDOW_SIZE: Final = 4
    MAX_FRAME_SIZE: Final = 5
    MAX_HEADER_LIST_SIZE: Final = 6
    ENABLE_CONNECT_PROTOCOL: Final = 8


class ErrorCode:
    """Error codes of RST_STREAM and GOAWAY (section 7)."""

    NO_ERROR: Final = 0
    PROTOCOL_ERROR: Final = 1
    INTERNAL_ERROR: Final = 2
    FLOW_CONTROL_ERROR: Final = 3
    SETTINGS_TIMEOUT: Final = 4
    STREAM_CLOSED: Final = 5
    FRAME_SIZE_ERROR: Final = 6
    REFUSED_STREAM: Final = 7
    CANCEL: Final = 8
    COMPRESSION_ERROR: Final = 9
    CONNECT_ERROR: Final = 10
    ENHANCE_YOUR_CALM: Final = 11


CALLBACK_FAILED: Final = "The user callback function failed"
"""What Envoy's library says of nearly every broken rule, and Envoy's access log after it."""


class Http2ConnectionError(Exception):
    """The peer broke the connection (section 5.4.1), which closes.

    Args:
        details: which rule was broken; Envoy's response_code_details of `stream_id`.
        goaway: debug data of the GOAWAY that goes before the close; None closes without a word, as Envoy does where a
            frame is invalid as a whole (section 5.4.1 leaves that open).
        stream_id: the stream that it happened on, where its log shall say so; 0 is none.
        message: what the logs of other streams say.
    """

    def __init__(
        self,
        code: int,
        details: str,
        goaway: str | None = None,
        stream_id: int = 0,
        message: str = CALLBACK_FAILED,
    ) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details
        self.goaway = goaway
        self.stream_id = stream_id
        self.message = message


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


SETTINGS_ACK: Final = frame(FrameType.SETTINGS, Flag.ACK, 0)
