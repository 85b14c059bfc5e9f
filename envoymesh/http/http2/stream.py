"""One HTTP/2 stream: its state, its windows, and what waits to be sent on it (RFC 9113 sections 5.1 and 5.2).

Rules of this module:
- The state is two bits, one for each direction that has ended; both bits are the closed state. The table of
  section 5.1 follows from them: END_STREAM sent or received sets a bit, RST_STREAM sets both.
- Headers go out at once; data goes out as the windows allow, and what does not fit waits here, in order, with
  END_STREAM or trailers behind it.
- Data that arrives goes to the decoder at once. Its window is given back when the decoder has it, or, while
  reading is disabled, when it is enabled again.
- After `reset_stream`, or the end of both directions, every call is without effect.

It must not parse, nor decide about other streams: that is the codec's.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from envoymesh.http.codec import StreamCallbacks, StreamDecoder, StreamEncoder, StreamResetReason
from envoymesh.http.headers import HeaderField, HeaderMap, weight
from envoymesh.http.http2 import frames
from envoymesh.http.http2.flow import Sender
from envoymesh.http.http2.frame_reader import protocol_error
from envoymesh.http.http2.frames import HEADER_LENGTH, ErrorCode, Http2StreamError
from envoymesh.http.http2.messages import NO_BODY_YET, NO_LENGTH
from envoymesh.http.http2.meter import StreamMeter
from envoymesh.http.http2.no_decoder import NO_DECODER

if TYPE_CHECKING:
    from envoymesh.http.http2.connection import Http2Codec

OPEN: Final = 0
LOCAL_CLOSED: Final = 1
REMOTE_CLOSED: Final = 2
CLOSED: Final = 3
"""Bits of `Http2Stream.state`; LOCAL_CLOSED alone is "half-closed (local)", and so on."""

_RESET_CODES: Final = {
    StreamResetReason.LOCAL_REFUSED_STREAM_RESET: ErrorCode.REFUSED_STREAM,
    StreamResetReason.CONNECT_ERROR: ErrorCode.CONNECT_ERROR,
    StreamResetReason.PROTOCOL_ERROR: ErrorCode.PROTOCOL_ERROR,
}
"""What RST_STREAM says for a reason; all others say INTERNAL_ERROR, as Envoy 1.40 does."""

DATA_COST: Final = 64
"""Bytes that a waiting piece of data counts at least, so that a pile of tiny ones is a pile too."""


class Http2Stream(StreamMeter, StreamEncoder, Sender):
    """A stream of either role, and its StreamEncoder.

    Attributes:
        id: the stream id; 0 until a client's headers are sent.
        send_window: bytes that the peer takes now; negative after it lowered its initial window.
        receive_window: bytes that the peer may send now.
        content_left: bytes of body that content-length still promises, NO_LENGTH or NO_BODY_YET.
        gone: reset, or ended in both directions.
        answers: whether this is a server's: a reset then waits until a complete response has been sent.
        pending_size: bytes that wait for windows.
    """

    __slots__ = (
        "_buffer_above",
        "_callbacks",
        "_connection_above",
        "_deferred_code",
        "_ended",
        "_flush_left",
        "_pending",
        "_pending_trailers",
        "_read_disabled",
        "_unannounced",
        "_unconsumed",
        "answers",
        "codec",
        "content_left",
        "decoder",
        "gone",
        "id",
        "pending_size",
        "receive_window",
        "send_window",
        "state",
    )

    decoder: StreamDecoder

    def __init__(self, codec: Http2Codec, stream_id: int) -> None:
        super().__init__()
        self.codec = codec
        self.id = stream_id
        self.state = OPEN
        self.gone = False
        self.answers = False
        self.send_window = codec.peer_initial_window
        self.receive_window = codec.receive_initial_window
        self.content_left = NO_LENGTH
        self.pending_size = 0
        self._callbacks: StreamCallbacks | None = None
        self._pending: deque[memoryview] | None = None
        self._pending_trailers: list[HeaderField] | None = None
        self._ended = False
        self._flush_left = -1
        self._deferred_code: int | None = None
        self._read_disabled = 0
        self._unconsumed = 0
        self._unannounced = 0
        self._buffer_above = False
        self._connection_above = codec.above_high_watermark

    def __repr__(self) -> str:
        state = ("open", "half-closed (local)", "half-closed (remote)", "closed")[self.state]
        return f"<{type(self).__name__} {self.id} {state} pending={self.pending_size}>"

    # StreamEncoder

    def set_callbacks(self, callbacks: StreamCallbacks | None) -> None:
        """Who hears of resets and watermarks; told at once when a watermark is passed already."""
        self._callbacks = callbacks
        if callbacks is None:
            # The owner refers to this stream, and is its decoder: without this each request left a reference cycle.
            self.decoder = NO_DECODER
        else:
            if self._connection_above:
                callbacks.on_above_write_buffer_high_watermark()
            if self._buffer_above:
                callbacks.on_above_write_buffer_high_watermark()

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of a body: sent as far as the windows allow."""
        if self._ended or self.gone:
            return
        codec = self.codec
        length = len(data)
        fits = length <= self.send_window and length <= codec.sender.window and length <= codec.max_frame_size
        if not self._pending and (fits or not length):  # section 6.9.1: nothing fits any window
            if not length and not end_stream:
                return
            self.send_window -= length
            codec.sender.window -= length
            self._write_data(data, length, end_stream)
            if end_stream:
                self._ended = True
                self.local_closed()
            return
        self._ended = end_stream
        if length:
            self._enqueue(data)  # else END_STREAM goes with the last piece that waits
        if end_stream:
            self._tell_held()

    def encode_trailers(self, trailers: HeaderMap) -> None:
        """Trailers, after what waits; an empty list is END_STREAM on an empty DATA frame."""
        if not trailers.fields:
            self.encode_data(b"", True)
        elif self._ended or self.gone:
            return
        elif self._pending:
            self._ended = True
            self._pending_trailers = trailers.fields
            self._tell_held()
        else:
            self._ended = True
            self._send_trailers(trailers.fields)

    def reset_stream(self, reason: StreamResetReason) -> None:
        """End both directions. A server's complete response is sent first, as its windows allow."""
        if self.gone or self._deferred_code is not None:
            return
        code = _RESET_CODES.get(reason, ErrorCode.INTERNAL_ERROR)
        if self.answers and self._ended and reason is StreamResetReason.LOCAL_RESET:
            code = ErrorCode.NO_ERROR  # section 8.1: the response is complete, the rest of the request not wanted
            if not self.state & LOCAL_CLOSED:
                self._deferred_code = code
                self.codec.stats.deferred_stream_close.inc()
                self.tell_reset(reason, "http2.local_reset")
                return
        self.codec.send_reset(self, code)
        self.tell_reset(reason, "http2.local_reset")

    def read_disable(self, disable: bool) -> None:
        """Counted: keep the windows of what arrives, and give them back later."""
        self._read_disabled += 1 if disable else -1
        if not self._read_disabled and self._unconsumed and not self.gone:
            length, self._unconsumed = self._unconsumed, 0
            self._consume(length)

    # Receiving, for the codec

    def receive_data(self, data: bytes, flow_length: int, end_stream: bool) -> None:
        """A DATA frame; `flow_length` counts its padding too. Errors: Http2StreamError."""
        if flow_length > self.receive_window:
            raise Http2StreamError(self.id, ErrorCode.FLOW_CONTROL_ERROR, "http2.flow_control_error")  # section 6.9.1
        self.receive_window -= flow_length
        self.other_bytes_received += HEADER_LENGTH + flow_length
        self.take_content(len(data), end_stream)
        if end_stream:
            self.state |= REMOTE_CLOSED
        if data or end_stream:
            self.decoder.decode_data(data, end_stream)
        if self.gone:
            self.codec.consume(flow_length)
        elif end_stream:
            self.codec.consume(flow_length)
            self.finish_if_closed()
        elif self._read_disabled:
            self._unconsumed += flow_length
        else:
            self._consume(flow_length)

    def take_content(self, length: int, end_stream: bool) -> None:
        """Check the body's length against content-length (section 8.1.1). Errors: Http2StreamError."""
        left = self.content_left
        if left == NO_BODY_YET:
            raise protocol_error("DATA: stream not opened")
        if left != NO_LENGTH:
            left -= length
            if left < 0 or (end_stream and left):
                # Envoy's details: its library resets the stream without asking.
                raise Http2StreamError(self.id, ErrorCode.PROTOCOL_ERROR, "http2.remote_reset")
            self.content_left = left

    def _consume(self, length: int) -> None:
        """Count consumed bytes for the stream's window and the connection's (section 6.9)."""
        codec = self.codec
        codec.consume(length)
        unannounced = self._unannounced + length
        if unannounced * 2 >= codec.receive_initial_window and not self.state & REMOTE_CLOSED:
            codec.connection.write(frames.window_update_frame(self.id, unannounced))
            self.other_bytes_sent += frames.SMALL_FRAME
            self.receive_window += unannounced
            unannounced = 0
        self._unannounced = unannounced

    # Sending, for the codec

    @property
    def has_pending(self) -> bool:
        """Whether something waits for a window."""
        return bool(self._pending)

    @property
    def has_callbacks(self) -> bool:
        """Whether anybody hears what becomes of it."""
        return self._callbacks is not None

    def give_up_flush(self) -> None:
        """Reset a complete message that waits for windows."""
        if not self.gone:
            self.codec.stats.tx_flush_timeout.inc()
            self.codec.send_reset(self, ErrorCode.INTERNAL_ERROR)
            self.tell_reset(StreamResetReason.LOCAL_RESET, "http2.tx_flush_timeout")

    def is_stalled(self) -> bool:
        """Whether the message is complete, and nothing of it has gone out since this was asked last."""
        if not self._ended or self.state & LOCAL_CLOSED:
            return False
        stalled = self._flush_left == self.pending_size
        self._flush_left = self.pending_size
        return stalled

    def send_pending_frame(self) -> bool:
        """Send one DATA frame of what waits, as large as may be; tells whether more could follow."""
        codec = self.codec
        pending = self._pending
        if not pending:
            return False
        chunk = pending[0]
        room = min(self.send_window, codec.sender.window, codec.max_frame_size)
        if room <= 0:
            return False
        piece = chunk[:room] if len(chunk) > room else chunk
        length = len(piece)
        if length == len(chunk):
            pending.popleft()
        else:
            pending[0] = chunk[length:]
        self.send_window -= length
        codec.sender.window -= length
        self._write_data(piece, length, self._ended and not pending and self._pending_trailers is None)
        self._shrink(length)
        if not self.gone and not pending:
            self._after_pending()
        return bool(pending) and self.send_window > 0 and not self.gone

    def _write_data(self, data: bytes | memoryview, length: int, end_stream: bool) -> None:
        codec = self.codec
        codec.guard.data_frames_sent += 1
        self.other_bytes_sent += HEADER_LENGTH + length
        if codec.above_high_watermark:
            codec.guard.count_frame()
        codec.connection.write(frames.HEADER.pack(length >> 8, length & 0xFF, 0, end_stream, self.id) + data)

    def _enqueue(self, data: bytes) -> None:
        pending = self._pending
        if pending is None:
            pending = self._pending = deque()
        pending.append(memoryview(data))
        length = len(data)
        self.pending_size += length
        codec = self.codec
        codec.stats.pending_send_bytes.add(length)
        codec.sender.enqueue(self)
        limit = codec.settings.stream_buffer_limit
        if not self._buffer_above and not self.gone and self.pending_size + DATA_COST * len(pending) > limit:
            self._buffer_above = True
            if self._callbacks is not None:
                self._callbacks.on_above_write_buffer_high_watermark()

    def _shrink(self, length: int) -> None:
        self.pending_size -= length
        codec = self.codec
        codec.stats.pending_send_bytes.sub(length)
        if self._buffer_above and self.pending_size * 2 <= codec.settings.stream_buffer_limit:
            self._buffer_above = False
            if self._callbacks is not None:
                self._callbacks.on_below_write_buffer_low_watermark()

    def _after_pending(self) -> None:
        if self._pending_trailers is not None:
            self._send_trailers(self._pending_trailers)
        elif self._ended:
            self.local_closed()
        if self._ended and self.answers and self._callbacks is not None:
            self._callbacks.on_response_sent()

    def _tell_held(self) -> None:
        if self.answers and self._callbacks is not None and not self.gone:
            self._callbacks.on_response_held()

    def _send_trailers(self, fields: list[HeaderField]) -> None:
        self.trailers_sent += weight(fields)
        self.header_frames_sent += self.codec.write_headers(self.id, fields, True)
        self.local_closed()

    def local_closed(self) -> None:
        """END_STREAM is out."""
        self._ended = True
        self.state |= LOCAL_CLOSED
        if self._deferred_code is not None and self.state != CLOSED:
            self.codec.send_reset(self, self._deferred_code)
        else:
            self.finish_if_closed()

    def finish_if_closed(self) -> None:
        """Both directions have ended: the stream is no more."""
        if self.state == CLOSED and not self.gone:
            self.codec.finish(self)

    def release(self) -> None:
        """The codec lets go of the stream: nothing is sent any more, and the connection gets back its window."""
        self.gone = True
        if self.pending_size:
            self.codec.stats.pending_send_bytes.sub(self.pending_size)
            self.pending_size = 0
        self._pending = None
        if self._deferred_code is not None:
            self.codec.stats.deferred_stream_close.dec()
        if self._unconsumed:
            self.codec.consume(self._unconsumed)
            self._unconsumed = 0

    # Events, from the codec

    def tell_reset(self, reason: StreamResetReason, details: str) -> None:
        """Tell the owner, once, that the stream is gone."""
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            callbacks.on_reset_stream(reason, details)

    def on_connection_watermark(self, above: bool) -> None:
        """The connection's write buffer became full, or has room again."""
        self._connection_above = above
        callbacks = self._callbacks
        if callbacks is None or self.gone:
            return
        if above:
            callbacks.on_above_write_buffer_high_watermark()
        else:
            callbacks.on_below_write_buffer_low_watermark()
