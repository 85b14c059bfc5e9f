"""Reading frames: the bytes' side of an HTTP/2 connection (RFC 9113 sections 4, 6 and 6.10).

Rules of this module:
- Frames are read in place from what arrived; only an unfinished frame is kept, in its pieces.
- One call reads frames until they have made a turn's share of work (`TURN_SHARE`); the rest is not taken.
- Here a frame is held against its own rules: its length, its padding, stream id 0 or not, header blocks in one
  piece, SETTINGS first, and the flood limits. What it means for its stream, and windows, is for `connection.py`.
- A fault of one stream goes to `on_stream_error`, and reading goes on; a fault of the connection is raised.

It must not write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from envoymesh.http.codec import ANSWER_WORK, MESSAGE_WORK, PIECE_WORK, RESET_WORK, TURN_SHARE
from envoymesh.http.http2.flood import FloodGuard
from envoymesh.http.http2.frames import (
    DEFAULT_MAX_FRAME_SIZE,
    HEADER,
    HEADER_LENGTH,
    MAX_STREAM_ID,
    MAX_WINDOW,
    U32,
    ErrorCode,
    Flag,
    FrameType,
    Http2ConnectionError,
    Http2StreamError,
)

MAX_SETTINGS: Final = 32
"""Entries of one SETTINGS frame that are taken, as by Envoy's library."""

_TOO_LARGE: Final = "too large frame size"
_TOO_MANY_SETTINGS: Final = "SETTINGS: too many setting entries"


def protocol_error(details: str) -> Http2ConnectionError:
    """A connection error of type PROTOCOL_ERROR, with GOAWAY."""
    return Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, details, details)


def invalid_frame(details: str, code: int = ErrorCode.PROTOCOL_ERROR, stream_id: int = 0) -> Http2ConnectionError:
    """A connection error without GOAWAY: Envoy's library hands such a frame to Envoy, which closes at once."""
    return Http2ConnectionError(code, details, None, stream_id)


def frame_size_error(what: str) -> Http2ConnectionError:
    """A connection error of type FRAME_SIZE_ERROR."""
    return Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"{what}: wrong length", "")


def _unpad(what: str, data: bytes, start: int, stop: int) -> tuple[int, int]:
    """The bounds of a padded payload without its padding (section 6.1)."""
    if start == stop:
        raise frame_size_error(what)
    padding = data[start]
    start += 1
    if padding > stop - start:
        raise protocol_error(f"{what}: invalid padding")
    return start, stop - padding


def _depends_on_itself(stream_id: int, data: bytes, start: int) -> bool:
    """Whether a priority makes a stream depend on itself: an error in RFC 7540 section 5.3.1, and still in Envoy."""
    return int(U32.unpack_from(data, start)[0]) & MAX_STREAM_ID == stream_id


class FrameReader(ABC):
    """Cuts bytes into frames, and hands each to the method of its kind.

    Attributes:
        failed: nothing more is read.
        block_size: bytes that the frames of the header block took which is being delivered.
        work: what this call of `read` has made so far, in the units of TURN_SHARE.
    """

    __slots__ = (
        "_between_blocks",
        "_block_continuations",
        "_block_end_stream",
        "_block_id",
        "_partial",
        "_partial_size",
        "_settings_received",
        "_wanted",
        "block_size",
        "failed",
        "guard",
        "work",
    )

    def __init__(self, guard: FloodGuard) -> None:
        self.guard = guard
        self.failed = False
        self.block_size = 0
        self.work = 0
        # An unfinished frame: its pieces, their size, and the size at which reading can go on.
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._wanted = HEADER_LENGTH
        self._settings_received = False
        # SETTINGS have come, and no header block is unfinished: the usual state, in which all frames may come.
        self._between_blocks = False
        # The stream whose header block is not complete; 0 is none.
        self._block_id = 0
        self._block_end_stream = False
        self._block_continuations = 0

    # What frames mean, for the class that derives from this one.

    @abstractmethod
    def on_data(self, stream_id: int, payload: bytes, flow_length: int, end_stream: bool) -> None:
        """DATA; `flow_length` counts padding too."""

    @abstractmethod
    def on_block_begins(self, stream_id: int) -> None:
        """HEADERS whose block is not complete or cannot be read. Not called for others; perhaps twice for one."""

    @abstractmethod
    def on_block_part(self, part: bytes) -> None:
        """Part of a header block that is not complete, out of HEADERS or CONTINUATION."""

    @abstractmethod
    def on_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        """HEADERS, or the last CONTINUATION: the whole of a header block, or its last part."""

    @abstractmethod
    def on_rst_stream(self, stream_id: int, code: int) -> None:
        """RST_STREAM."""

    @abstractmethod
    def on_settings(self, payload: bytes) -> None:
        """SETTINGS."""

    @abstractmethod
    def on_settings_ack(self) -> None:
        """The peer took our SETTINGS."""

    @abstractmethod
    def on_ping(self, opaque: bytes, ack: bool) -> None:
        """PING, or the answer to ours."""

    @abstractmethod
    def on_goaway(self, last_stream_id: int, code: int) -> None:
        """GOAWAY."""

    @abstractmethod
    def on_window_update(self, stream_id: int, increment: int) -> None:
        """WINDOW_UPDATE; 0 is the connection's window."""

    @abstractmethod
    def on_stream_error(self, error: Http2StreamError) -> None:
        """The frame was an error of its stream."""

    # Reading

    def read(self, data: bytes) -> int:
        """Take bytes; returns how many. Errors: Http2ConnectionError, after which nothing more is to be read."""
        before = self._partial_size
        if before:
            self._partial.append(data)
            self._partial_size += len(data)
            if self._partial_size < self._wanted:
                return len(data)
            data = b"".join(self._partial)
            self._partial = []
            self._partial_size = 0
        return self._read_frames(data) - before

    def _read_frames(self, data: bytes) -> int:
        position = 0
        end = len(data)
        self.work = 0
        self._wanted = HEADER_LENGTH
        unpack = HEADER.unpack_from
        while end - position >= HEADER_LENGTH:
            high, low, kind, flags, stream_id = unpack(data, position)
            length = high << 8 | low
            if length > DEFAULT_MAX_FRAME_SIZE:
                raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, _TOO_LARGE, _TOO_LARGE)  # section 4.2
            start = position + HEADER_LENGTH
            stop = start + length
            if stop > end:
                self._wanted = HEADER_LENGTH + length
                break
            if self.work >= TURN_SHARE:
                return position
            position = stop
            try:
                if kind == 1 and self._between_blocks:
                    self.work += MESSAGE_WORK
                    self._on_headers(flags, stream_id & MAX_STREAM_ID, data, start, stop)
                elif kind == 0 and self._between_blocks:
                    self.work += PIECE_WORK
                    self._on_data(flags, stream_id & MAX_STREAM_ID, data, start, stop)
                else:
                    self.work += 1
                    self._on_frame(kind, flags, stream_id & MAX_STREAM_ID, data[start:stop])
            except Http2StreamError as error:
                self.work += RESET_WORK
                self.on_stream_error(error)
            if self.failed:
                return end  # a method called from here has closed the connection
        if position < end:
            self._partial = [data[position:] if position else data]
            self._partial_size = end - position
        return end

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame but HEADERS and DATA in their places. An unknown one is ignored (section 5.5)."""
        if self._block_id and (kind != FrameType.CONTINUATION or stream_id != self._block_id):
            raise protocol_error("unexpected non-CONTINUATION frame or stream_id is invalid")  # section 6.10
        if not self._settings_received:
            if kind != FrameType.SETTINGS or flags & Flag.ACK:
                raise protocol_error("SETTINGS expected")  # section 3.4
            self._settings_received = True
            self._between_blocks = True
        if kind == FrameType.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        elif kind == FrameType.SETTINGS:
            self._on_settings(flags, stream_id, payload)
        elif kind == FrameType.RST_STREAM:
            self._on_rst_stream(stream_id, payload)
        elif kind == FrameType.PING:
            self._on_ping(flags, stream_id, payload)
        elif kind == FrameType.GOAWAY:
            self._on_goaway(stream_id, payload)
        elif kind == FrameType.CONTINUATION:
            self._on_continuation(flags, stream_id, payload)
        elif kind == FrameType.PRIORITY:
            self._on_priority(stream_id, payload)
        elif kind == FrameType.PUSH_PROMISE:
            raise invalid_frame("PUSH_PROMISE: push is disabled")  # section 8.4

    def _on_data(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        if not stream_id:
            raise protocol_error("DATA: stream_id == 0")  # section 6.1
        length = stop - start
        if flags & Flag.PADDED:
            start, stop = _unpad("DATA", data, start, stop)
        end_stream = flags & Flag.END_STREAM != 0
        if start < stop or end_stream:
            self.guard.empty_frames = 0
        else:
            self.guard.on_empty_frame(stream_id)
        self.on_data(stream_id, data[start:stop], length, end_stream)

    def _on_headers(self, flags: int, stream_id: int, data: bytes, start: int, stop: int) -> None:
        if not stream_id:
            raise invalid_frame("HEADERS: stream_id == 0")  # section 6.2
        self.block_size = HEADER_LENGTH + stop - start
        if flags & (Flag.PADDED | Flag.PRIORITY):
            start, stop = self._strip_headers(flags, stream_id, data, start, stop)
        end_stream = flags & Flag.END_STREAM != 0
        if start < stop or end_stream:
            self.guard.empty_frames = 0
        else:
            self.guard.on_empty_frame(stream_id)
        block = data[start:stop]
        if flags & Flag.END_HEADERS:
            self.on_block(stream_id, block, end_stream)
            return
        self._between_blocks = False
        self._block_id = stream_id
        self._block_end_stream = end_stream
        self._block_continuations = 0
        try:
            self.on_block_begins(stream_id)
        finally:
            self.on_block_part(block)  # also of a stream that is refused: HPACK's state is the connection's

    @staticmethod
    def _strip_headers(flags: int, stream_id: int, data: bytes, start: int, stop: int) -> tuple[int, int]:
        if flags & Flag.PADDED:
            start, stop = _unpad("HEADERS", data, start, stop)
        if flags & Flag.PRIORITY:
            if stop - start < 5:
                raise frame_size_error("HEADERS")
            if _depends_on_itself(stream_id, data, start):
                raise invalid_frame("HEADERS: the stream depends on itself")
            start += 5
        return start, stop

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._block_id:
            raise protocol_error("CONTINUATION: unexpected")  # section 6.10
        self._block_continuations += 1
        self.block_size += HEADER_LENGTH + len(payload)
        self.guard.on_continuation(self._block_continuations)
        if payload:
            self.guard.empty_frames = 0
        else:
            self.guard.on_empty_frame(stream_id)
        if flags & Flag.END_HEADERS:
            self._block_id = 0
            self._between_blocks = True
            self.on_block(stream_id, payload, self._block_end_stream)
        else:
            self.on_block_part(payload)

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        self.work += RESET_WORK
        if len(payload) != 4:
            raise frame_size_error("RST_STREAM")  # section 6.4
        if not stream_id:
            raise invalid_frame("RST_STREAM: stream_id == 0")
        self.on_rst_stream(stream_id, U32.unpack(payload)[0])

    def _on_priority(self, stream_id: int, payload: bytes) -> None:
        # Priorities are deprecated (section 5.3.2), and ignored when well-formed.
        if not stream_id:
            raise protocol_error("PRIORITY: stream_id == 0")
        if len(payload) != 5:
            raise frame_size_error("PRIORITY")
        if _depends_on_itself(stream_id, payload, 0):
            raise protocol_error("PRIORITY: the stream depends on itself")
        self.guard.on_priority()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise invalid_frame("SETTINGS: stream_id != 0")  # section 6.5
        if len(payload) % 6 or (flags & Flag.ACK and payload):
            raise frame_size_error("SETTINGS")
        if len(payload) > MAX_SETTINGS * 6:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, _TOO_MANY_SETTINGS, _TOO_MANY_SETTINGS)
        self.work += ANSWER_WORK
        if flags & Flag.ACK:
            self.on_settings_ack()
        else:
            self.on_settings(payload)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise invalid_frame("PING: stream_id != 0")  # section 6.7
        self.work += ANSWER_WORK
        if len(payload) != 8:
            raise frame_size_error("PING")
        self.on_ping(payload, flags & Flag.ACK != 0)

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise invalid_frame("GOAWAY: stream_id != 0")  # section 6.8
        if len(payload) < 8:
            raise frame_size_error("GOAWAY")
        self.on_goaway(U32.unpack_from(payload)[0] & MAX_STREAM_ID, U32.unpack_from(payload, 4)[0])

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise frame_size_error("WINDOW_UPDATE")  # section 6.9
        self.guard.on_window_update()
        self.on_window_update(stream_id, U32.unpack(payload)[0] & MAX_WINDOW)
