"""What both roles of an HTTP/2 connection do with streams: their messages, their ends, and the errors of section 5.4.

Rules of this module:
- Each header block is decoded, whatever becomes of its stream: HPACK's state is the connection's (section 4.3).
- A fault of one stream is RST_STREAM, a fault of the connection is CodecProtocolError, after GOAWAY where Envoy sends
  one; after that, nothing more is read (section 5.4).
- Streams are in `streams` from their first HEADERS until both directions have ended or one side reset. What arrives
  for a stream that is not there is judged by its id, and by `_resets`, which remembers the latest resets.

What a header list means, and who may open streams, is for `server.py` and `client.py`. It must not do I/O.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import CUT_SHARE, Codec, CodecConnection, HttpProtocol, StreamResetReason
from envoymesh.http.headers import HeaderField, weight
from envoymesh.http.http2.frame_reader import invalid_frame, protocol_error
from envoymesh.http.http2.frames import (
    MAX_STREAM_ID,
    SMALL_FRAME,
    ErrorCode,
    Http2ConnectionError,
    Http2StreamError,
    headers_frames,
    rst_stream_frame,
)
from envoymesh.http.http2.hpack import HpackError
from envoymesh.http.http2.messages import VIOLATION, MalformedMessageError, MessageReader, UnderscoreRejectedError
from envoymesh.http.http2.session import Session
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Http2Stats
from envoymesh.http.http2.stream import REMOTE_CLOSED, Http2Stream

_REMEMBERED_RESETS: Final = 1000


class Http2Codec(Session, Codec):
    """A connection of either role: all of a Codec except what differs by role."""

    __slots__ = ("_amid_read", "_goaway_id", "_last_peer_id", "_reader", "_resets", "protocol")

    def __init__(self, connection: CodecConnection, settings: Http2Settings, stats: Http2Stats) -> None:
        super().__init__(connection, settings, stats)
        self.protocol = HttpProtocol.HTTP2
        self._reader = MessageReader(settings.allow_connect, settings.headers_with_underscores_action)
        # The last call did not take all its bytes; frames that it queued in answer count together with the next call's.
        self._amid_read = False
        self._last_peer_id = 0
        self._goaway_id = MAX_STREAM_ID
        # The latest resets: stream id -> whether it was ours.
        self._resets: dict[int, bool] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} streams={len(self.streams)} window={self.sender.window}>"

    # Codec

    def dispatch(self, data: bytes) -> int:
        """Take bytes from the peer, see `Codec.dispatch`.

        Errors: CodecProtocolError, after GOAWAY was written where the peer gets one.
        """
        if self.failed:
            return len(data)
        if not (self.above_high_watermark or self._amid_read):
            self.guard.on_drained()
        try:
            taken = self.read(data)
            self._amid_read = taken < len(data)
            if self.guard.flooded and not self.failed:
                raise self.guard.outbound_error()
        except Http2ConnectionError as error:
            raise self._fail(error) from None
        return taken

    def shutdown_notice(self) -> None:
        """GOAWAY with the largest id: no new streams, please (section 6.8)."""
        self.send_goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR)

    def go_away(self) -> None:
        """GOAWAY with the last id: what comes after is refused."""
        self._goaway_id = self._last_peer_id
        self.stats.goaway_sent.inc()
        self.send_goaway(self._last_peer_id, ErrorCode.NO_ERROR)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full: all streams stop."""
        if not self.above_high_watermark:
            self.above_high_watermark = self.sender.blocked = True
            for stream in list(self.streams.values()):
                stream.on_connection_watermark(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room: all streams go on."""
        if self.above_high_watermark:
            self.above_high_watermark = self.sender.blocked = False
            self.guard.on_drained()
            self.sender.run()
            for stream in list(self.streams.values()):
                stream.on_connection_watermark(False)

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone: so are its streams, and nothing more is read or written."""
        self.failed = True
        for stream in list(islice(self.streams.values(), CUT_SHARE)):
            if not stream.gone:
                self._forget(stream)
                stream.tell_reset(reason, details)
        return not self.streams

    def reset_stalled_streams(self) -> None:
        """Reset streams whose complete message waits for a window that has not opened since the last call, and which
        nobody above is left to give up."""
        for stream in list(self.streams.values()):
            if not stream.has_callbacks and stream.is_stalled():
                stream.give_up_flush()

    # What streams ask for

    def write_headers(self, stream_id: int, fields: list[HeaderField], end_stream: bool) -> int:
        """Encode a header list and send it; returns the bytes that its frames take."""
        if self.above_high_watermark:
            self.guard.count_frame()
        block = self.encoder.encode(fields)
        frames = headers_frames(stream_id, block, end_stream, self.max_frame_size)
        self.connection.write(frames)
        return len(frames)

    def send_reset(self, stream: Http2Stream, code: int) -> None:
        """RST_STREAM, and forget the stream."""
        if stream.id in self.streams:
            self.write_reset(stream.id, code)
            stream.other_bytes_sent += SMALL_FRAME
        self._forget(stream)
        self.on_stream_reset(stream)

    def finish(self, stream: Http2Stream) -> None:
        """Both directions of the stream have ended."""
        self._forget(stream)
        self.on_stream_complete(stream)

    # What the roles decide

    @abstractmethod
    def on_headers(self, stream_id: int, fields: Sequence[HeaderField], too_large: str, end_stream: bool) -> None:
        """A header list arrived."""

    def on_stream_complete(self, stream: Http2Stream) -> None:
        """A stream ended in both directions."""

    def on_stream_reset(self, stream: Http2Stream) -> None:
        """A stream was reset by either side."""

    # What frames mean

    def on_data(self, stream_id: int, payload: bytes, flow_length: int, end_stream: bool) -> None:
        """DATA: counts against both windows, whatever becomes of it (section 6.9)."""
        if flow_length > self.receive_window:
            raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "DATA: over the connection's window", "")
        self.receive_window -= flow_length
        stream = self.streams.get(stream_id)
        if stream is None or stream.state & REMOTE_CLOSED:
            self.consume(flow_length)
            self.refuse_frame(stream, stream_id, "DATA")
            return
        try:
            stream.receive_data(payload, flow_length, end_stream)
        except Http2StreamError:
            self.consume(flow_length)
            raise

    def refuse_frame(self, stream: Http2Stream | None, stream_id: int, what: str) -> None:
        """DATA or HEADERS for a stream that takes no more of them (section 5.1). Returns when it is to be ignored."""
        if stream is not None:
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED, f"{what}: stream in half-closed(remote)")
        if self.is_idle(stream_id):
            raise protocol_error(f"{what}: stream in idle")
        by_us = self._resets.get(stream_id)
        if by_us is None:
            text = f"{what}: stream closed"
            raise Http2ConnectionError(ErrorCode.STREAM_CLOSED, text, text)
        if not by_us:
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED, f"{what}: stream closed")

    def on_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        """A header block, or its last part: decoded first of all."""
        self.work += len(block) >> 4
        try:
            fields = self.decoder.decode(block)
        except HpackError as error:
            with suppress(Http2StreamError):
                self.on_block_begins(stream_id)
            raise _compression_error(error) from None
        self.on_headers(stream_id, fields, self._over_limits(fields), end_stream)

    def on_block_part(self, part: bytes) -> None:
        """Part of a header block: decoded when it comes, so that the work of a large one is spread over turns."""
        self.work += len(part) >> 4
        try:
            self.decoder.decode_part(part, self.settings.max_headers_count)
        except HpackError as error:
            raise _compression_error(error) from None

    def _over_limits(self, fields: Sequence[HeaderField]) -> str:
        """Envoy's response_code_details for a list over the limits, else nothing."""
        count = len(fields)
        settings = self.settings
        if count > settings.max_headers_count:
            self.stats.header_overflow.inc()
            return "http2.too_many_headers"
        limit = settings.max_request_headers_kb * 1024
        # The most that a block of this size can hold: a reference is an entry as large as the table, and a byte of
        # Huffman code is up to 8/5 of a byte. Mostly that is below the limit, and nothing needs to be added up.
        if self.block_size * 2 + count * self.decoder.table_size_limit <= limit:
            return ""
        if sum(len(name) + len(value) for name, value in fields) <= limit:
            return ""
        self.stats.header_list_size_too_large.inc()
        return "http2.header_list_size_too_large"

    def on_trailers(self, stream: Http2Stream, fields: Sequence[HeaderField], too_large: str, end_stream: bool) -> None:
        """A header list after the message's headers."""
        if stream.state & REMOTE_CLOSED:
            self.refuse_frame(stream, stream.id, "HEADERS")
        stream.header_frames_received += self.block_size
        if too_large:
            self.refuse_large(stream.id, too_large)
        try:
            if not end_stream:
                raise MalformedMessageError(VIOLATION)  # section 8.1
            trailers = self._reader.trailers(fields)
        except MalformedMessageError as error:
            raise self.malformed(stream.id, error) from None
        stream.trailers_received += weight(fields)
        stream.take_content(0, True)
        stream.state |= REMOTE_CLOSED
        stream.decoder.decode_trailers(trailers)
        stream.finish_if_closed()

    def refuse_large(self, stream_id: int, details: str) -> None:
        """A header list over the limits costs its stream. Errors: always Http2StreamError."""
        raise Http2StreamError(stream_id, ErrorCode.INTERNAL_ERROR, details)

    def malformed(self, stream_id: int, error: MalformedMessageError) -> Http2StreamError | Http2ConnectionError:
        """What a malformed message costs: as configured, its stream or the connection (section 8.1.1)."""
        if isinstance(error, UnderscoreRejectedError):
            self.stats.requests_rejected_with_underscores_in_headers.inc()
            return Http2StreamError(stream_id, ErrorCode.INTERNAL_ERROR, error.details)
        self.stats.rx_messaging_error.inc()
        if self.settings.override_stream_error_on_invalid_http_message:
            return Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, error.details)
        return invalid_frame(error.details, stream_id=stream_id)

    def on_rst_stream(self, stream_id: int, code: int) -> None:
        """RST_STREAM: the stream is gone at once (section 6.4)."""
        if self.is_idle(stream_id):
            raise invalid_frame("RST_STREAM: stream in idle")
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        self.stats.rx_reset.inc()
        stream.other_bytes_received += SMALL_FRAME
        self._remember_reset(stream_id, by_us=False)
        self._forget(stream)
        if code == ErrorCode.REFUSED_STREAM:
            stream.tell_reset(StreamResetReason.REMOTE_REFUSED_STREAM_RESET, "http2.remote_refuse")
        elif code == ErrorCode.CONNECT_ERROR:
            stream.tell_reset(StreamResetReason.CONNECT_ERROR, "http2.remote_reset")
        else:
            stream.tell_reset(StreamResetReason.REMOTE_RESET, "http2.remote_reset")
        self.on_stream_reset(stream)

    # Ends

    def on_stream_error(self, error: Http2StreamError) -> None:
        """RST_STREAM, whether or not the stream is known (section 5.4.2)."""
        stream = self.streams.get(error.stream_id)
        self.write_reset(error.stream_id, error.code)
        if stream is not None:
            stream.other_bytes_sent += SMALL_FRAME
            self._forget(stream)
            # As in Envoy the owner of a stream that the limits refuse is told that the peer has reset it.
            refused = error.code == ErrorCode.INTERNAL_ERROR
            reason = StreamResetReason.REMOTE_RESET if refused else StreamResetReason.PROTOCOL_ERROR
            stream.tell_reset(reason, error.details)
            self.on_stream_reset(stream)

    def write_reset(self, stream_id: int, code: int) -> None:
        """RST_STREAM; what the peer sent before it sees that is ignored."""
        self.stats.tx_reset.inc()
        self._remember_reset(stream_id, by_us=True)
        self.connection.write(rst_stream_frame(stream_id, code))
        self.guard.count_control_frame()

    def _remember_reset(self, stream_id: int, by_us: bool) -> None:
        resets = self._resets
        resets.setdefault(stream_id, by_us)
        if len(resets) > _REMEMBERED_RESETS:
            del resets[next(iter(resets))]

    def _forget(self, stream: Http2Stream) -> None:
        if self.streams.pop(stream.id, None) is not None:
            self.stats.streams_active.dec()
        self.sender.discard(stream)
        stream.release()

    def _fail(self, error: Http2ConnectionError) -> CodecProtocolError:
        self.failed = True
        if error.goaway is not None:
            self.send_goaway(self._last_peer_id, error.code, error.goaway.encode())
        refusal = CodecProtocolError("codec_error:" + error.message.replace(" ", "_"), 0)
        refusal.is_flood = error.details.endswith("_flood")
        refusal.stream = self.streams.get(error.stream_id)
        refusal.stream_details = error.details
        return refusal


def _compression_error(error: HpackError) -> Http2ConnectionError:
    return Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, f"HPACK: {error}", "")
