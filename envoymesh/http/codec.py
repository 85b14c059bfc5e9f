"""The vocabulary that HTTP/1 and HTTP/2 codecs share with what is above them.

Rules:
- A codec is sans-I/O: `dispatch(bytes)` in, `CodecConnection.write(bytes)` out. No socket, clock, logger or
  settings look-up; limits come in as plain values at construction.
- Nothing above a codec asks which protocol it is (except to count it or to name it in a log).
- `decode_*` is what arrives, `encode_*` what leaves. Exactly one call of a direction carries `end_stream=True`
  (`decode_trailers` and `encode_trailers` imply it).
- A call into a decoder may call back into the same codec (answer, reset, close) before it returns;
  codecs must bear that.

This module must not import anything but header maps and errors.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders

TURN_SHARE: Final = 1024
"""Work that one `dispatch` does before it gives the rest back, so that no peer keeps the others waiting. The unit is a
small frame or a chunk, about a microsecond; the figures below are what others cost beside it."""

MESSAGE_WORK: Final = 32
"""A head: it runs through all filters, and often ends in a whole answer."""

PIECE_WORK: Final = 4
"""A piece of a body, which passes the filters too."""

RESET_WORK: Final = 32
"""The end of a stream, with its log; often that of an upstream connection too."""

ANSWER_WORK: Final = 4
"""A frame that asks for a frame in answer."""

CUT_SHARE: Final = 64
"""Streams that end in one turn when their connection does: each has its own answer to give, its retry or its log."""


class HttpProtocol(enum.Enum):
    """The protocol of a stream; the value is what %PROTOCOL% prints."""

    HTTP10 = "HTTP/1.0"
    HTTP11 = "HTTP/1.1"
    HTTP2 = "HTTP/2"


class StreamResetReason(enum.Enum):
    """Why a stream ended early; the value is Envoy's text (`Utility::resetReasonToString`)."""

    LOCAL_RESET = "local reset"
    LOCAL_REFUSED_STREAM_RESET = "local refused stream reset"
    REMOTE_RESET = "remote reset"
    REMOTE_REFUSED_STREAM_RESET = "remote refused stream reset"
    LOCAL_CONNECTION_FAILURE = "local connection failure"
    REMOTE_CONNECTION_FAILURE = "remote connection failure"
    CONNECTION_TIMEOUT = "connection timeout"
    CONNECTION_TERMINATION = "connection termination"
    OVERFLOW = "overflow"
    CONNECT_ERROR = "remote error with CONNECT request"
    PROTOCOL_ERROR = "protocol error"


@trait
class StreamCallbacks:
    """Events of one stream that are not data; held by whoever encodes on it."""

    __slots__ = ()

    @abstractmethod
    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The stream is gone (by the peer, by the connection, or by `reset_stream`). No call follows."""

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """What was encoded is not sent fast enough and waits: stop producing. Counted: may come more than once."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """Little waits any more: called once for each call of the method above."""

    @abstractmethod
    def on_response_held(self) -> None:
        """HTTP/2 server only: the response is complete, but part of it waits for the client's windows."""

    @abstractmethod
    def on_response_sent(self) -> None:
        """All of a response that was held is out."""


@trait
class StreamDecoder:
    """The receiver of a message's body and end."""

    __slots__ = ()

    @abstractmethod
    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of a body; `data` may be empty only with `end_stream`."""

    @abstractmethod
    def decode_trailers(self, trailers: HeaderMap) -> None:
        """Trailers; the message ends with them."""


@trait
class RequestDecoder(StreamDecoder):
    """Receives one request; made by `ServerCodecCallbacks.new_stream`."""

    __slots__ = ()

    @abstractmethod
    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """The complete request headers."""

    @abstractmethod
    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        """Answer in the place of an upstream, because the codec refuses the request.

        Called by a codec with a malformed message, possibly before `decode_headers`; the codec then
        raises CodecProtocolError when the connection cannot go on.
        """


@trait
class ResponseDecoder(StreamDecoder):
    """Receives one response; given to `ClientCodec.new_stream`."""

    __slots__ = ()

    @abstractmethod
    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response other than 101 (RFC 9110 section 15.2)."""

    @abstractmethod
    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The final response headers (101 included)."""


@trait
class BytesMeter:
    """How many bytes a stream took on the wire, both ways (Envoy's `StreamInfo::BytesMeter`).

    Only logs that show them ask, so the answers may be worked out when they do.

    Header bytes are counted as the real Envoy counts them: HTTP/1 fields without the start line (each with four bytes
    more where they are sent, three where received), whole frames of HTTP/2; decompressed ones are names and values.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def wire_bytes_received(self) -> int:
        """All bytes that came for the stream."""

    @property
    @abstractmethod
    def wire_bytes_sent(self) -> int:
        """All bytes that were written for the stream."""

    @property
    @abstractmethod
    def header_bytes_received(self) -> int:
        """Bytes of the headers and trailers that came."""

    @property
    @abstractmethod
    def header_bytes_sent(self) -> int:
        """Bytes of the headers and trailers that were written."""

    @property
    @abstractmethod
    def decompressed_header_bytes_received(self) -> int:
        """Bytes that the headers and trailers that came have without compression."""

    @property
    @abstractmethod
    def decompressed_header_bytes_sent(self) -> int:
        """Bytes that the headers and trailers that were written have without compression."""


@trait
class StreamEncoder(BytesMeter):
    """The sender of one direction of a stream."""

    __slots__ = ()

    @abstractmethod
    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of a body; may be empty with `end_stream`."""

    @abstractmethod
    def encode_trailers(self, trailers: HeaderMap) -> None:
        """Trailers; ends the direction."""

    @abstractmethod
    def reset_stream(self, reason: StreamResetReason) -> None:
        """End the stream both ways now. HTTP/2 sends RST_STREAM; HTTP/1 asks for the connection's close.
        `StreamCallbacks.on_reset_stream` is called before this returns."""

    @abstractmethod
    def read_disable(self, disable: bool) -> None:
        """Counted: True asks the peer to stop sending on this stream; after as many calls with False it goes on."""

    @abstractmethod
    def set_callbacks(self, callbacks: StreamCallbacks | None) -> None:
        """Say who is told of resets and watermarks; None: nobody any more, the stream's owner is gone. When the write
        buffer is above its high watermark already, the callbacks are told before this returns."""


@trait
class ResponseEncoder(StreamEncoder):
    """The server's side of a stream.

    Attributes:
        protocol: what the request came in as.
        close_connection_after_response: the request's version or headers ask for a close (HTTP/1 only).
    """

    __slots__ = ()

    protocol: HttpProtocol
    close_connection_after_response: bool

    @abstractmethod
    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response; dropped for HTTP/1.0 peers."""

    @abstractmethod
    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The final response headers. The codec decides the framing (content-length, chunked, close)."""

    @abstractmethod
    def give_up_flush(self) -> None:
        """Reset a complete response that waits for the client's windows (`StreamCallbacks.on_response_held`)."""


@trait
class RequestEncoder(StreamEncoder):
    """The client's side of a stream."""

    __slots__ = ()

    @abstractmethod
    def encode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """The request headers. The codec decides the framing."""


@trait
class CodecConnection:
    """What a codec needs of its connection; `network.connection.Connection` is one."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Queue bytes. Never blocks; batched with other writes of this loop turn."""

    @abstractmethod
    def read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading from the peer."""

    @abstractmethod
    def on_codec_reset(self) -> None:
        """HTTP/1 only: a stream was reset, so the connection cannot be used again; its owner closes it."""


@trait
class ServerCodecCallbacks:
    """The connection manager, as a server codec sees it."""

    __slots__ = ()

    @abstractmethod
    def new_stream(self, encoder: ResponseEncoder) -> RequestDecoder:
        """A request begins."""

    @abstractmethod
    def on_go_away(self, error_code: int) -> None:
        """The peer sent GOAWAY (HTTP/2)."""


@trait
class ClientCodecCallbacks:
    """A pooled upstream connection, as a client codec sees it."""

    __slots__ = ()

    @abstractmethod
    def on_go_away(self, error_code: int) -> None:
        """The peer sent GOAWAY: no new streams here; those it will not process have been reset already."""

    @abstractmethod
    def on_settings(self, max_concurrent_streams: int | None) -> None:
        """The peer's SETTINGS arrived or changed (HTTP/2); None is no limit."""

    @abstractmethod
    def on_close_notify(self) -> None:
        """A response's head says that the connection ends after it (HTTP/1)."""

    @abstractmethod
    def on_stream_complete(self) -> None:
        """A stream ended regularly in both directions; its slot is free (`can_take_stream` says if reusable)."""

    @abstractmethod
    def on_stream_reset(self) -> None:
        """A stream ended by a reset; its slot is free."""


@trait
class Codec:
    """What both roles have in common. One object for each connection."""

    __slots__ = ()

    protocol: HttpProtocol

    @abstractmethod
    def dispatch(self, data: bytes) -> int:
        """Take bytes from the peer; returns how many were taken.

        The rest is to be given again, before anything new: in a later turn of the loop, when TURN_SHARE was used up,
        or after `CodecConnection.read_disable(False)`, where the codec has disabled reading (HTTP/1: pipelined
        requests wait for the answer before them, and for room in the write buffer).

        Errors: CodecProtocolError when the connection must be closed (the codec has written or asked for what the
        peer should still see: a local reply, GOAWAY).
        """

    @abstractmethod
    def go_away(self) -> None:
        """No new streams after those under way: HTTP/2 GOAWAY with the last id; HTTP/1: nothing."""

    @abstractmethod
    def shutdown_notice(self) -> None:
        """Announce `go_away`: HTTP/2 GOAWAY with id 2^31-1 (RFC 9113 section 6.8); HTTP/1: nothing."""

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full: tell all streams."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room: tell all streams."""

    @abstractmethod
    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone: reset what is under way, CUT_SHARE streams at most; False when there are more.

        The owner then calls again in the next turn of the loop.
        """

    @abstractmethod
    def reset_stalled_streams(self) -> None:
        """Of HTTP/2 streams that have no callbacks any more, reset those whose last bytes have waited for the peer's
        window since the last call."""


@trait
class ServerCodec(Codec):
    """The codec of a downstream connection."""

    __slots__ = ()


@trait
class ClientCodec(Codec):
    """The codec of an upstream connection."""

    __slots__ = ()

    @abstractmethod
    def on_eof(self) -> None:
        """The peer sent FIN, which ends a body without a length. Anything else unfinished is reset by the owner.

        Raises:
            CodecProtocolError: a response breaks off in the middle, as in `dispatch`.
        """

    @property
    @abstractmethod
    def is_amid_message(self) -> bool:
        """Whether a response is incomplete that the connection's end would cut short (HTTP/1; never for HTTP/2)."""

    @property
    def has_connect(self) -> bool:
        """Whether the request under way is HTTP/1's CONNECT: its peer may end its side, and it is we who then close."""
        return False

    @abstractmethod
    def new_stream(self, decoder: ResponseDecoder) -> RequestEncoder:
        """Begin a request. The caller has asked `can_take_stream` first."""

    @property
    @abstractmethod
    def can_take_stream(self) -> bool:
        """Whether a stream can begin now (limits, GOAWAY, connection: close, one at a time for HTTP/1)."""
