"""One pooled upstream connection: its network side, its codec and its place in the pool (Envoy's `ActiveClient`).

States: CONNECTING -> READY <-> BUSY -> (DRAINING) -> CLOSED. The pool moves it between its lists; this
object tells the pool what happened, and counts.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import ClientCodec, RequestEncoder, ResponseDecoder, StreamResetReason
from envoymesh.network.api import CloseType, ConnectionEvent

if TYPE_CHECKING:
    from envoymesh.upstream.pool.pool import ConnectionPool


class State(enum.Enum):
    """Where a connection stands in its pool."""

    CONNECTING = "connecting"
    READY = "ready"  # can take a stream
    BUSY = "busy"  # cannot now, will again
    DRAINING = "draining"  # takes no more streams; closes after the last
    CLOSED = "closed"


class UpstreamConnection:
    """Implements ConnectionHandler, CodecConnection and ClientCodecCallbacks."""

    __slots__ = (
        "_closing",
        "_codec",
        "_connect_started",
        "_duration_timer",
        "_idle_timer",
        "_pool",
        "_remaining_requests",
        "_remote_closed",
        "active_streams",
        "connection",
        "requests",
        "state",
        "timed_out",
    )

    def __init__(self, pool: ConnectionPool) -> None:
        settings = pool.settings
        self._pool = pool
        self._codec: ClientCodec | None = None
        self._closing = False
        self._remote_closed = False
        self._remaining_requests = settings.max_requests_per_connection
        self.state = State.CONNECTING
        self.active_streams = 0
        self.requests = 0
        self.timed_out = False
        self._connect_started = pool.dispatcher.now()
        self._idle_timer = pool.dispatcher.create_timer(self._on_idle_timeout)
        self._duration_timer = pool.dispatcher.create_timer(self._on_duration_timeout)
        self._count_new()
        self.connection = pool.connector.connect(
            pool.host.address,
            self,
            connect_timeout=settings.connect_timeout,
            buffer_limit=settings.per_connection_buffer_limit_bytes,
            tls=pool.tls,
        )

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self._pool.host.address} {self.state.value} streams={self.active_streams}>"

    def _count_new(self) -> None:
        pool = self._pool
        pool.stats.upstream_cx_total.inc()
        pool.stats.upstream_cx_active.inc()
        pool.host.stats.cx_total.inc()
        pool.host.stats.cx_active.inc()
        pool.resources.connections.inc()

    # Streams

    @property
    def can_take_stream(self) -> bool:
        """Whether the codec has a free slot and the connection is not on its way out."""
        codec = self._codec
        return codec is not None and self.state is not State.DRAINING and codec.can_take_stream

    def new_stream(self, decoder: ResponseDecoder) -> RequestEncoder:
        """Begin a stream; `can_take_stream` holds."""
        codec = self._codec
        if codec is None:
            raise RuntimeError("stream on a connection without a codec")
        if self.active_streams == 0:
            self._idle_timer.disable()
        self.active_streams += 1
        self.requests += 1
        if self._remaining_requests:
            self._remaining_requests -= 1
            if self._remaining_requests == 0:
                self._pool.stats.upstream_cx_max_requests.inc()
                self.state = State.DRAINING
        return codec.new_stream(decoder)

    def on_stream_complete(self) -> None:
        """A stream ended regularly."""
        self._end_stream()

    def on_stream_reset(self) -> None:
        """A stream was reset, by either side."""
        self._end_stream()

    def _end_stream(self) -> None:
        self.active_streams -= 1
        if self.active_streams == 0 and self.state is not State.CLOSED and self._pool.settings.idle_timeout:
            self._idle_timer.enable(self._pool.settings.idle_timeout)
        self._pool.on_stream_ended(self)

    def on_go_away(self, error_code: int) -> None:
        """The peer wants no more streams."""
        self._pool.stats.upstream_cx_close_notify.inc()
        self._pool.drain_connection(self)

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        """The peer's limit changed: the connection may have become ready, or busy."""
        self._pool.on_capacity_changed(self)

    # CodecConnection

    def write(self, data: bytes) -> None:
        """Bytes from the codec."""
        self._pool.stats.upstream_cx_tx_bytes_total.value += len(data)
        self.connection.write(data)

    def read_disable(self, disable: bool) -> None:
        """The codec stops or resumes reading."""
        self.connection.read_disable(disable)

    def on_codec_reset(self) -> None:
        """An HTTP/1 exchange was cut short: the connection is of no more use."""
        self.connection.close(CloseType.NO_FLUSH)

    # ConnectionHandler

    def on_data(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._pool.stats.upstream_cx_rx_bytes_total.value += len(data)
        codec = self._codec
        if codec is None:
            return
        try:
            codec.dispatch(data)
        except CodecProtocolError as error:
            self._on_codec_error(codec, error)
            self.connection.close(CloseType.NO_FLUSH)

    def on_eof(self) -> None:
        """The peer sends no more: a body that ends with the connection is complete, anything else is cut."""
        self._remote_closed = True
        codec = self._codec
        if codec is not None:
            try:
                codec.on_eof()
            except CodecProtocolError as error:
                self._on_codec_error(codec, error)
        self.connection.close(CloseType.NO_FLUSH)

    def _on_codec_error(self, codec: ClientCodec, error: CodecProtocolError) -> None:
        self._pool.stats.upstream_cx_protocol_error.inc()
        codec.reset_all_streams(StreamResetReason.PROTOCOL_ERROR, error.details)

    def on_event(self, event: ConnectionEvent) -> None:
        """Connected, or closed."""
        if event is ConnectionEvent.CONNECTED:
            self._on_connected()
            return
        remote = self._remote_closed or event is ConnectionEvent.REMOTE_CLOSE
        before, self.state = self.state, State.CLOSED
        # The connector closes locally, and only then, when connect_timeout passed.
        self.timed_out = before is State.CONNECTING and not remote and not self._closing
        self._idle_timer.disable()
        self._duration_timer.disable()
        self._count_closed(remote, connected=before is not State.CONNECTING)
        self._pool.on_connection_closed(self, before, remote)
        if self._codec is not None:
            self._codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, self.connection.failure_reason)

    def _on_connected(self) -> None:
        pool = self._pool
        pool.stats.upstream_cx_connect_ms.record(int((pool.dispatcher.now() - self._connect_started) * 1000))
        self._codec = pool.make_codec(self)
        if pool.settings.max_connection_duration:
            self._duration_timer.enable(pool.settings.max_connection_duration)
        if pool.settings.idle_timeout:
            self._idle_timer.enable(pool.settings.idle_timeout)
        self.state = State.BUSY
        pool.on_connected(self)

    def _count_closed(self, remote: bool, connected: bool) -> None:
        pool = self._pool
        stats = pool.stats
        stats.upstream_cx_active.dec()
        stats.upstream_cx_destroy.inc()
        pool.host.stats.cx_active.dec()
        pool.resources.connections.dec()
        (stats.upstream_cx_destroy_remote if remote else stats.upstream_cx_destroy_local).inc()
        if self.active_streams:
            stats.upstream_cx_destroy_with_active_rq.inc()
            if remote:
                stats.upstream_cx_destroy_remote_with_active_rq.inc()
            else:
                stats.upstream_cx_destroy_local_with_active_rq.inc()
        if connected:
            stats.upstream_rq_per_cx.record(self.requests)
            stats.upstream_cx_length_ms.record(int((pool.dispatcher.now() - self._connect_started) * 1000))
        else:
            stats.upstream_cx_connect_fail.inc()
            pool.host.stats.cx_connect_fail.inc()

    def on_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full."""
        if self._codec is not None:
            self._codec.on_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room."""
        if self._codec is not None:
            self._codec.on_below_write_buffer_low_watermark()

    # Timers and closing

    def _on_idle_timeout(self) -> None:
        self._pool.stats.upstream_cx_idle_timeout.inc()
        self.close()

    def _on_duration_timeout(self) -> None:
        self._pool.stats.upstream_cx_max_duration_reached.inc()
        self._pool.drain_connection(self)

    def close(self) -> None:
        """Close now."""
        self._closing = True
        if self._codec is not None:
            self._codec.go_away()
        self.connection.close(CloseType.FLUSH_WRITE)
