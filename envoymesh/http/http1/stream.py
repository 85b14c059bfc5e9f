"""What the two encoders have in common: framing a body on its way out, and a stream's end.

A stream is its encoder: there is one at a time on an HTTP/1 connection. This module must not parse.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from mypy_extensions import trait

from envoymesh.http.codec import StreamCallbacks, StreamEncoder, StreamResetReason
from envoymesh.http.headers import HeaderField, HeaderMap
from envoymesh.http.http1.head import field_bytes

CHUNKED_FIELD: Final = (b"transfer-encoding", b"chunked")
NO_CONTENT_FIELD: Final = (b"content-length", b"0")
LAST_CHUNK: Final = b"0\r\n\r\n"
UNBOUNDED: Final = -1

_LINE_BREAKS: Final = bytes.maketrans(b"\r\n\0", b"   ")


@trait
class StreamOwner:
    """The codec, as its stream sees it.

    Attributes:
        proper_case_words: whether names are written as `Proper-Case`.
        enable_trailers: whether trailers are written.
        above_high_watermark: whether the connection's write buffer is full now.
        arrived: bytes that have come since the last stream ended.
    """

    __slots__ = ()

    proper_case_words: bool
    enable_trailers: bool
    above_high_watermark: bool
    arrived: int

    @abstractmethod
    def write(self, data: bytes) -> None:
        """To the peer."""

    @abstractmethod
    def read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading."""

    @abstractmethod
    def on_stream_done(self, stream: Any) -> None:
        """Both directions have ended regularly."""

    @abstractmethod
    def on_stream_reset(self, stream: Any) -> None:
        """The stream was given up: the connection is of no more use."""


class RareBytes:
    """Counts of header bytes that few messages have: of interim responses and trailers."""

    __slots__ = ("again_received", "early_received", "sent", "trailers_received")

    def __init__(self) -> None:
        self.sent = 0  # of interim heads and trailers
        self.early_received = 0  # of interim heads
        self.trailers_received = 0
        # As in Envoy each head counts the decompressed bytes of all heads before it again; this is what that adds.
        self.again_received = 0


class Http1Stream(StreamEncoder):
    """A StreamEncoder.

    Attributes:
        local_done: nothing more is sent.
        remote_done: nothing more will come.
        closed: ended, regularly or by a reset; no call does anything any more.
        started: the final headers are out.
        head, head_sent: the message heads as they were on the wire; only a log that asks for their bytes reads them.
        received: bytes that came for the stream, once it has ended; negative before.
        rest_sent: bytes that were written besides `head_sent`.
    """

    __slots__ = (
        "_callbacks",
        "_chunked",
        "_content_left",
        "_owner",
        "_rare",
        "_read_disabled",
        "_silent",
        "closed",
        "head",
        "head_sent",
        "local_done",
        "received",
        "remote_done",
        "rest_sent",
        "started",
    )

    def __init__(self, owner: StreamOwner) -> None:
        self._owner = owner
        self._callbacks: StreamCallbacks | None = None
        self._chunked = False
        self._silent = False
        self._content_left = UNBOUNDED
        self._read_disabled = 0
        self._rare: RareBytes | None = None
        self.head = b""
        self.received = -1
        self.head_sent = b""
        self.rest_sent = 0
        self.local_done = False
        self.remote_done = False
        self.closed = False
        self.started = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} local_done={self.local_done} remote_done={self.remote_done}>"

    # StreamEncoder

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of a body. One that goes beyond, or ends short of, its Content-Length resets the stream."""
        if self.local_done or self.closed:
            return
        if not self._silent:
            if self._content_left >= 0:
                self._content_left -= len(data)
                if self._content_left < 0 or (end_stream and self._content_left):
                    self.reset_stream(StreamResetReason.PROTOCOL_ERROR)
                    return
            if self._chunked:
                data = self._chunk(data, end_stream)
            if data:
                self.rest_sent += len(data)
                self._owner.write(data)
        if end_stream:
            self._end_local()

    def _chunk(self, data: bytes, end_stream: bool) -> bytes:
        if not data:
            return LAST_CHUNK if end_stream else b""
        if end_stream:
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        return b"%x\r\n%b\r\n" % (len(data), data)

    def encode_trailers(self, trailers: HeaderMap) -> None:
        """Trailers end the body; they are written only behind chunks and where the settings say so."""
        if not (self._chunked and self._owner.enable_trailers and trailers.fields):
            self.encode_data(b"", True)
        elif not (self.local_done or self.closed):
            lines = head_bytes(b"0\r\n", trailers.fields, self._owner.proper_case_words)
            self.rest_sent += len(lines)
            self.rare.sent += len(lines) - 5
            self._owner.write(lines)
            self._end_local()

    def reset_stream(self, reason: StreamResetReason) -> None:
        """Give the stream up; harmless when it has ended."""
        if not self.closed and not (self.local_done and self.remote_done):
            self.abandon(reason, "")
            self._owner.on_stream_reset(self)

    def read_disable(self, disable: bool) -> None:
        """Counted; at the stream's end reading is enabled again as often as it is still disabled."""
        if not self.closed:
            self._read_disabled += 1 if disable else -1
            self._owner.read_disable(disable)

    def set_callbacks(self, callbacks: StreamCallbacks | None) -> None:
        """Say who is told of resets and watermarks; of a write buffer that is full already, at once."""
        self._callbacks = callbacks
        if callbacks is not None and self._owner.above_high_watermark:
            callbacks.on_above_write_buffer_high_watermark()

    # BytesMeter

    @property
    def wire_bytes_received(self) -> int:
        """All bytes that came while it was this stream's turn, as in Envoy: pipelined ones count at each turn."""
        return self._owner.arrived if self.received < 0 else self.received

    @property
    def header_bytes_received(self) -> int:
        """Of headers and trailers."""
        rare = self._rare
        extra = 0 if rare is None else rare.early_received + rare.trailers_received
        return extra + (field_bytes(self.head) if self.head else 0)

    @property
    def decompressed_header_bytes_received(self) -> int:
        """Of headers; those of interim responses count again at the next head."""
        rare = self._rare
        extra = 0 if rare is None else rare.early_received + rare.again_received
        return extra + (field_bytes(self.head) if self.head else 0)

    @property
    def wire_bytes_sent(self) -> int:
        """All bytes that were written."""
        return len(self.head_sent) + self.rest_sent

    @property
    def header_bytes_sent(self) -> int:
        """Of headers and trailers: their lines, without the start line and the empty line."""
        rare = 0 if self._rare is None else self._rare.sent
        return rare + max(len(self.head_sent) - self.head_sent.find(b"\n") - 3, 0)

    @property
    def decompressed_header_bytes_sent(self) -> int:
        """The same: HTTP/1 does not compress."""
        return self.header_bytes_sent

    @property
    def rare(self) -> RareBytes:
        """The counts of interim responses and trailers, made at the first use."""
        if self._rare is None:
            self._rare = RareBytes()
        return self._rare

    def count_interim_head_sent(self) -> None:
        """The head that was sent is that of an interim response; another will take its place."""
        self.rare.sent = self.header_bytes_sent
        self.rest_sent = self.wire_bytes_sent
        self.head_sent = b""

    def count_interim_head(self) -> None:
        """The head that came before was that of an interim response."""
        rare = self.rare
        rare.early_received += field_bytes(self.head)
        rare.again_received += rare.early_received

    def count_trailers(self, trailers: Iterable[HeaderField]) -> None:
        """Trailers have come, and count."""
        self.rare.trailers_received += sum(len(name) + len(value) + 3 for name, value in trailers)

    # For the codec

    def close(self) -> None:
        """The stream has ended: enable the reading that it disabled."""
        self.closed = True
        while self._read_disabled > 0:
            self._read_disabled -= 1
            self._owner.read_disable(False)

    def abandon(self, reason: StreamResetReason, details: str) -> None:
        """Close, and say why."""
        callbacks = self._callbacks
        self.close()
        if callbacks is not None:
            callbacks.on_reset_stream(reason, details)

    def on_watermark(self, above: bool) -> None:
        """The connection's write buffer filled up, or has room again."""
        callbacks = self._callbacks
        if callbacks is None:
            return
        if above:
            callbacks.on_above_write_buffer_high_watermark()
        else:
            callbacks.on_below_write_buffer_low_watermark()

    # For the two classes that derive from this one

    def _send_head(self, start: bytes, fields: list[HeaderField], end_stream: bool) -> None:
        self.started = True
        head = self.head_sent = head_bytes(start, fields, self._owner.proper_case_words)
        self._owner.write(head)
        if end_stream:
            if self._content_left > 0 and not self._silent:
                self.reset_stream(StreamResetReason.PROTOCOL_ERROR)
            else:
                self._end_local()

    def _expect_content(self, length: bytes) -> None:
        """Hold the body to the Content-Length that was sent: the peer would take more bytes for the next message."""
        self._content_left = int(length) if length.isdigit() and len(length) < 19 else 0

    def _end_local(self) -> None:
        self.local_done = True
        if self.remote_done:
            self._owner.on_stream_done(self)


def head_bytes(start: bytes, fields: list[HeaderField], proper_case_words: bool) -> bytes:
    """A start line (with its CRLF), header fields and the empty line.

    Line breaks inside a field, which no decoder lets through, become spaces: a head never turns into two.
    """
    if proper_case_words:
        fields = [(_proper_case(name), value) for name, value in fields]
    parts = [start]
    for name, value in fields:
        parts.append(name)
        parts.append(b": ")
        parts.append(value)
        parts.append(b"\r\n")
    parts.append(b"\r\n")
    head = b"".join(parts)
    breaks = len(fields) + 2
    if head.count(b"\n") == breaks and head.count(b"\r") == breaks and head.find(b"\0") < 0:
        return head
    lines = [start[:-2], *[name + b": " + value for name, value in fields]]
    return b"\r\n".join([line.translate(_LINE_BREAKS) for line in lines]) + b"\r\n\r\n"


def framing_fields_removed(fields: Iterable[HeaderField], drop_content_length: bool = False) -> list[HeaderField]:
    """The fields without Transfer-Encoding, which is the codec's own, and with one Content-Length at most."""
    kept = []
    for field in fields:
        if field[0] == b"content-length":
            if drop_content_length:
                continue
            drop_content_length = True
        if field[0] != b"transfer-encoding":
            kept.append(field)
    return kept


@lru_cache(maxsize=1024)
def _proper_case(name: bytes) -> bytes:
    out = bytearray(name)
    capitalise = True
    for place, byte in enumerate(name):
        char = chr(byte)
        if capitalise and "a" <= char <= "z":
            out[place] = byte - 32
        capitalise = not (char.isascii() and char.isalnum())
    return bytes(out)


def lists_token(value: bytes, token: bytes) -> bool:
    """Whether a comma-separated list has the token, whatever its case."""
    value = value.lower()
    return value == token or (value.find(token) >= 0 and token in [part.strip(b" \t") for part in value.split(b",")])
