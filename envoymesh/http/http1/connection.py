"""The state machine that both roles share: which receiver takes the next bytes.

    HEAD -> LENGTH | CHUNKED | RAW -> BEHIND a complete message -> HEAD, as the role decides
    HEAD -> TUNNEL, which only the connection's end leaves

Each state has a receiver, (data, pos) -> the position behind what it took; one that takes nothing has disabled reading,
and waits. The first malformed byte moves the codec to DISCARD, for good. This module must not know of roles.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final, Generic, TypeVar

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    MESSAGE_WORK,
    TURN_SHARE,
    Codec,
    CodecConnection,
    HttpProtocol,
    StreamDecoder,
    StreamResetReason,
)
from envoymesh.http.headers import HeaderField, HeaderMap
from envoymesh.http.http1.chunked import ChunkedDecoder
from envoymesh.http.http1.head import CODEC_ERROR, INVALID_TRANSFER_ENCODING, HeadParser
from envoymesh.http.http1.settings import Http1Settings
from envoymesh.http.http1.stream import Http1Stream, StreamOwner, lists_token

HEAD: Final = 0
LENGTH: Final = 1  # a body with Content-Length
CHUNKED: Final = 2
RAW: Final = 3  # a body that the connection's end ends
BEHIND: Final = 4  # a complete message
DISCARD: Final = 5
TUNNEL: Final = 6  # bytes that are not HTTP any more

Names = dict[bytes, bytes]
StreamT = TypeVar("StreamT", bound=Http1Stream)
DecoderT = TypeVar("DecoderT", bound=StreamDecoder)


class Http1Connection(Codec, StreamOwner, Generic[StreamT, DecoderT]):
    """What a server codec and a client codec are made of; see `envoymesh.http.codec.Codec`."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_decoder",
        "_head",
        "_left",
        "_max_trailer_bytes",
        "_settings",
        "_state",
        "_stream",
        "_work",
        "above_high_watermark",
        "arrived",
        "enable_trailers",
        "proper_case_words",
        "protocol",
    )

    def __init__(
        self, connection: CodecConnection, settings: Http1Settings, head: HeadParser, max_trailer_bytes: int
    ) -> None:
        self.protocol = HttpProtocol.HTTP11
        self._connection = connection
        self._settings = settings
        self._head = head
        self._max_trailer_bytes = max_trailer_bytes
        self._stream: StreamT | None = None
        self._decoder: DecoderT | None = None
        self._state = HEAD
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        self._work = 0  # done by this dispatch, in units of TURN_SHARE
        # Bytes that have come since the last stream ended; they count as the next stream's.
        self.arrived = 0
        self.enable_trailers = settings.enable_trailers
        self.proper_case_words = settings.proper_case_words
        self.above_high_watermark = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} state={self._state} stream={self._stream!r}>"

    # Codec

    def dispatch(self, data: bytes) -> int:
        """Take bytes from the peer, see `Codec.dispatch`. Raises CodecProtocolError when the connection must close."""
        pos, size = 0, len(data)
        self.arrived += size
        self._work = 0
        try:
            while pos < size:
                start, pos = pos, self._receive(data, pos)
                if pos == start:
                    break
                if self._work >= TURN_SHARE:
                    if self._stream is not None:
                        self.arrived -= size - pos  # they come again
                    break
        except CodecProtocolError as error:
            self._state = DISCARD
            self._on_malformed(error)
            raise
        return pos

    def _receive(self, data: bytes, pos: int) -> int:
        state = self._state
        if state == HEAD:
            self._work += MESSAGE_WORK
            return self._receive_head(data, pos)
        if state == LENGTH:
            return self._receive_length(data, pos)
        if state == CHUNKED:
            return self._receive_chunked(data, pos)
        if state == BEHIND:
            return self._receive_behind(data, pos)
        return len(data) if state == DISCARD else self._receive_raw(data, pos)

    def go_away(self) -> None:
        """Nothing: HTTP/1 has no such message. The owner adds `connection: close` to the last response."""

    def shutdown_notice(self) -> None:
        """Nothing: HTTP/1 has no such message."""

    def on_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full."""
        self._on_watermark(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room."""
        self._on_watermark(False)

    def _on_watermark(self, above: bool) -> None:
        self.above_high_watermark = above
        if self._stream is not None:
            self._stream.on_watermark(above)

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone: reset what is under way."""
        self._state = DISCARD
        stream = self._stream
        if stream is not None:
            self._forget_stream()
            stream.abandon(reason, details)
        return True

    def reset_stalled_streams(self) -> None:
        """Nothing: an HTTP/1 codec holds nothing back."""

    # For the stream

    def write(self, data: bytes) -> None:
        """To the peer."""
        self._connection.write(data)

    def read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading."""
        self._connection.read_disable(disable)

    def on_stream_reset(self, stream: StreamT) -> None:
        """The stream was given up; the connection goes with it."""
        self._state = DISCARD
        if self._stream is stream:
            self._forget_stream()
        self._connection.on_codec_reset()

    @abstractmethod
    def on_stream_done(self, stream: StreamT) -> None:
        """Both directions have ended regularly."""

    # For the two roles

    @abstractmethod
    def _receive_head(self, data: bytes, pos: int) -> int:
        """Bytes of a head, or what stands in its place."""

    @abstractmethod
    def _receive_behind(self, data: bytes, pos: int) -> int:
        """Bytes behind a complete message."""

    @abstractmethod
    def _on_malformed(self, error: CodecProtocolError) -> None:
        """A malformed message: answer if that is the role's, and give up."""

    def _forget_stream(self) -> None:
        if self._stream is not None:
            self._stream.received = self.arrived
            self.arrived = 0
        self._stream = None
        self._decoder = None

    def _begin_chunks(self) -> None:
        self._chunks = ChunkedDecoder(self._max_trailer_bytes, self._settings.max_headers_count)
        self._state = CHUNKED

    @abstractmethod
    def _end_message(self, stream: StreamT, more: bool) -> None:
        """The last byte of the incoming message is here, and is about to be delivered; `more` bytes are behind it."""

    def _deliver_end(self, data: bytes, trailers: list[HeaderField], more: bool) -> None:
        """Hand the end of the message over, with the body's last bytes."""
        stream, decoder = self._stream, self._decoder
        if stream is None or decoder is None:
            return
        self._end_message(stream, more)
        if trailers and self.enable_trailers:
            stream.count_trailers(trailers)
            if data:
                decoder.decode_data(data, False)
            if not stream.closed:
                decoder.decode_trailers(HeaderMap(trailers))
        else:
            decoder.decode_data(data, True)
        self._after_message(stream)

    def _receive_length(self, data: bytes, pos: int) -> int:
        piece = data[pos : pos + self._left]
        pos += len(piece)
        self._left -= len(piece)
        if not self._left:
            self._deliver_end(piece, [], pos < len(data))
        elif self._decoder is not None:
            self._decoder.decode_data(piece, False)
        return pos

    def _receive_chunked(self, data: bytes, pos: int) -> int:
        """Decode a turn's share of the bytes, and deliver the part of the body that it holds."""
        chunks = self._chunks
        if chunks is None:
            raise CodecProtocolError(CODEC_ERROR)
        piece, pos = chunks.feed(data, pos)
        self._work += chunks.work
        if chunks.done:
            self._chunks = None
            self._deliver_end(piece, chunks.trailers, pos < len(data))
        elif piece and self._decoder is not None:
            self._decoder.decode_data(piece, False)
        return pos

    def _receive_raw(self, data: bytes, pos: int) -> int:
        if self._decoder is not None:
            self._decoder.decode_data(data[pos:], False)
        return len(data)

    def _after_message(self, stream: StreamT) -> None:
        if stream.local_done and not stream.closed:
            self.on_stream_done(stream)


def parse_content_length(value: bytes) -> int:
    """RFC 9110 section 8.6, one value. Raises CodecProtocolError."""
    if not value.isdigit() or len(value) > 18:
        raise CodecProtocolError(CODEC_ERROR)
    return int(value)


def require_chunked(value: bytes) -> None:
    """Refuse all transfer codings but `chunked`. Raises CodecProtocolError."""
    if value.lower() != b"chunked":
        raise CodecProtocolError(INVALID_TRANSFER_ENCODING, 501)


def index_of(fields: list[HeaderField]) -> Names:
    """Values by name, a Connection that comes more than once joined to one list.

    Raises:
        CodecProtocolError: a field that frames or routes the message comes more than once.
    """
    names = dict(fields)
    if len(names) != len(fields):
        present = [name for name, _ in fields]
        if present.count(b"host") > 1:
            raise CodecProtocolError("http.invalid_authority")
        if present.count(b"content-length") > 1:
            raise CodecProtocolError(CODEC_ERROR)
        if present.count(b"transfer-encoding") > 1:
            raise CodecProtocolError(INVALID_TRANSFER_ENCODING, 501)
        for name in (b"connection", b"proxy-connection", b"upgrade"):
            if present.count(name) > 1:
                names[name] = b",".join([value for key, value in fields if key == name])
    return names


def asks_for_close(names: Names, is_http_10: bool) -> bool:
    """Whether the connection ends after this message (RFC 9112 section 9.3)."""
    connection = names.get(b"connection", b"")
    proxy_connection = names.get(b"proxy-connection", b"")
    if connection == b"keep-alive" and not proxy_connection:
        return False
    if connection or proxy_connection:
        if lists_token(connection, b"close") or lists_token(proxy_connection, b"close"):
            return True
        keep_alive = lists_token(connection, b"keep-alive") or lists_token(proxy_connection, b"keep-alive")
        return is_http_10 and not keep_alive
    return is_http_10
