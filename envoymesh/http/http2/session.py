"""What an HTTP/2 connection agrees on as a whole: settings, windows, PING (RFC 9113 sections 6.5, 6.7 and 6.9).

Rules of this module:
- The peer's settings hold from the moment they are read, and are acknowledged; ours from the acknowledgement on.
- A WINDOW_UPDATE is sent each time half of a window has been consumed.
- Streams that wait for a window are listed with the scheduler when one opens.

It must not know of messages.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from envoymesh.http.codec import CodecConnection
from envoymesh.http.http2.flood import FloodGuard
from envoymesh.http.http2.flow import SendScheduler
from envoymesh.http.http2.frame_reader import FrameReader, invalid_frame
from envoymesh.http.http2.frames import (
    DEFAULT_MAX_FRAME_SIZE,
    DEFAULT_WINDOW,
    LARGEST_MAX_FRAME_SIZE,
    MAX_WINDOW,
    SETTINGS_ACK,
    SMALL_FRAME,
    ErrorCode,
    Flag,
    FrameType,
    Http2StreamError,
    Setting,
    frame,
    goaway_frame,
    iterate_settings,
    settings_frame,
    window_update_frame,
)
from envoymesh.http.http2.hpack import Decoder, Encoder
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Http2Stats
from envoymesh.http.http2.stream import Http2Stream


class Session(FrameReader):
    """A connection's state, and the frames that change it.

    Attributes:
        streams: those under way, by id.
        peer_initial_window: bytes that the peer takes of a new stream.
        receive_initial_window: bytes that we take of a new stream.
        receive_window: bytes that we take of the connection now.
        max_frame_size: the largest payload that the peer takes.
        peer_max_concurrent_streams: what the peer allows; None is no limit.
        peer_allows_connect: whether the peer takes extended CONNECT (RFC 8441).
        above_high_watermark: whether the connection's write buffer is full.
        on_ping_ack: called with the eight bytes of each PING that the peer answered; None ignores them.
    """

    __slots__ = (
        "_unannounced",
        "above_high_watermark",
        "connection",
        "decoder",
        "encoder",
        "max_frame_size",
        "on_ping_ack",
        "peer_allows_connect",
        "peer_initial_window",
        "peer_max_concurrent_streams",
        "receive_initial_window",
        "receive_window",
        "sender",
        "settings",
        "stats",
        "streams",
    )

    largest_enable_push = 1
    """What the peer may say of push; a server may not enable it (section 6.5.2)."""

    def __init__(self, connection: CodecConnection, settings: Http2Settings, stats: Http2Stats) -> None:
        super().__init__(FloodGuard(settings, stats))
        self.connection = connection
        self.settings = settings
        self.stats = stats
        self.streams: dict[int, Http2Stream] = {}
        self.sender = SendScheduler()
        self.above_high_watermark = False
        self.on_ping_ack: Callable[[bytes], None] | None = None
        self.peer_initial_window = DEFAULT_WINDOW
        self.max_frame_size = DEFAULT_MAX_FRAME_SIZE
        self.peer_max_concurrent_streams: int | None = None
        self.peer_allows_connect = False
        # Until the peer has acknowledged our settings it may use the defaults: the larger value counts.
        self.receive_initial_window = max(settings.initial_stream_window_size, DEFAULT_WINDOW)
        # Section 6.9.2: the connection's window can only be raised.
        self.receive_window = max(settings.initial_connection_window_size, DEFAULT_WINDOW)
        self._unannounced = 0
        self.encoder = Encoder(settings.hpack_table_size)
        self.decoder = Decoder(settings.hpack_table_size)

    @abstractmethod
    def is_idle(self, stream_id: int) -> bool:
        """Whether no stream of this id ever was (section 5.1)."""

    def on_peer_limits(self) -> None:
        """The peer's SETTINGS arrived."""

    # Ours

    def send_settings(self, settings: list[tuple[int, int]]) -> None:
        """Our SETTINGS, and what lifts the connection's window to ours (sections 6.5 and 6.9.2)."""
        data = settings_frame(settings)
        increment = self.settings.initial_connection_window_size - DEFAULT_WINDOW
        if increment > 0:
            data += window_update_frame(0, increment)
        self.connection.write(data)

    def send_ping(self, opaque: bytes) -> None:
        """PING (section 6.7) with eight bytes of the caller's; the answer comes to `on_ping_ack`."""
        self.connection.write(frame(FrameType.PING, 0, 0, opaque))

    def send_goaway(self, last_stream_id: int, code: int, debug_data: bytes = b"") -> None:
        """GOAWAY (section 6.8)."""
        self.connection.write(goaway_frame(last_stream_id, code, debug_data))

    def consume(self, length: int) -> None:
        """Count consumed bytes, and give window back when half of the connection's has been consumed (section 6.9)."""
        unannounced = self._unannounced + length
        if unannounced * 2 >= max(self.settings.initial_connection_window_size, DEFAULT_WINDOW):
            self.connection.write(window_update_frame(0, unannounced))
            self.receive_window += unannounced
            unannounced = 0
        self._unannounced = unannounced

    # The peer's

    def on_settings(self, payload: bytes) -> None:
        """The peer's SETTINGS, in order; unknown ones are ignored (section 6.5)."""
        for identifier, value in iterate_settings(payload):
            if identifier == Setting.INITIAL_WINDOW_SIZE:
                self._set_peer_initial_window(value)
            elif identifier == Setting.HEADER_TABLE_SIZE:
                self.encoder.set_peer_limit(value)
            elif identifier == Setting.MAX_FRAME_SIZE:
                if not DEFAULT_MAX_FRAME_SIZE <= value <= LARGEST_MAX_FRAME_SIZE:
                    raise invalid_frame("SETTINGS: invalid SETTINGS_MAX_FRAME_SIZE")
                self.max_frame_size = value
            elif identifier == Setting.MAX_CONCURRENT_STREAMS:
                self.peer_max_concurrent_streams = value
            elif identifier in (Setting.ENABLE_PUSH, Setting.ENABLE_CONNECT_PROTOCOL):
                self._set_peer_switch(identifier, value)
        self.connection.write(SETTINGS_ACK)
        self.guard.count_control_frame()
        self.on_peer_limits()

    def _set_peer_switch(self, identifier: int, value: int) -> None:
        if value > (self.largest_enable_push if identifier == Setting.ENABLE_PUSH else 1):
            raise invalid_frame(f"SETTINGS: setting {identifier} cannot be {value}")
        if identifier == Setting.ENABLE_CONNECT_PROTOCOL:
            self.peer_allows_connect = value == 1

    def _set_peer_initial_window(self, value: int) -> None:
        """Section 6.9.2: streams under way gain or lose the difference, and may become negative."""
        if value > MAX_WINDOW:
            raise invalid_frame("SETTINGS: too large SETTINGS_INITIAL_WINDOW_SIZE", ErrorCode.FLOW_CONTROL_ERROR)
        delta = value - self.peer_initial_window
        if not delta:
            return
        self.peer_initial_window = value
        self.work += len(self.streams)
        for stream in list(self.streams.values()):
            if stream.send_window + delta > MAX_WINDOW:
                raise invalid_frame("SETTINGS: a window is over 2^31-1", ErrorCode.FLOW_CONTROL_ERROR)
            stream.send_window += delta
            if stream.has_pending:
                self.sender.enqueue(stream)

    def on_settings_ack(self) -> None:
        """The peer knows our settings: from now on they hold, larger or smaller (section 6.5.3)."""
        delta = self.settings.initial_stream_window_size - self.receive_initial_window
        if delta:
            self.receive_initial_window += delta
            for stream in self.streams.values():
                stream.receive_window += delta
        self.decoder.set_limit(self.settings.hpack_table_size)

    def on_ping(self, opaque: bytes, ack: bool) -> None:
        """PING is answered with the same bytes (section 6.7)."""
        if not ack:
            self.connection.write(frame(FrameType.PING, Flag.ACK, 0, opaque))
            self.guard.count_control_frame()
        elif self.on_ping_ack is not None:
            self.on_ping_ack(opaque)

    def on_window_update(self, stream_id: int, increment: int) -> None:
        """A window opens (section 6.9): what waits for it goes out."""
        if not stream_id:
            self._open_connection_window(increment)
            return
        if self.is_idle(stream_id):
            raise invalid_frame("WINDOW_UPDATE: stream in idle")
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        stream.other_bytes_received += SMALL_FRAME
        if not increment:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE: increment 0")
        if stream.send_window + increment > MAX_WINDOW:
            raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE: window over 2^31-1")
        stream.send_window += increment
        if stream.has_pending:
            self.sender.enqueue(stream)

    def _open_connection_window(self, increment: int) -> None:
        if not increment:
            raise invalid_frame("WINDOW_UPDATE: increment 0")
        sender = self.sender
        if sender.window + increment > MAX_WINDOW:
            raise invalid_frame("WINDOW_UPDATE: window over 2^31-1", ErrorCode.FLOW_CONTROL_ERROR)
        sender.window += increment
        sender.run()
