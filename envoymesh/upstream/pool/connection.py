"""One pooled upstream connection: its network side, its codec and its place in the pool (Envoy's `ActiveClient`).

States: CONNECTING -> READY <-> BUSY -> (DRAINING) -> CLOSED. The pool decides them and keeps its lists; this object
tells the pool what happened, and counts bytes and connections. It must not choose among connections or requests.
"""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Final

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import ClientCodec, ClientCodecCallbacks, CodecConnection, HttpProtocol, StreamResetReason
from envoymesh.http.no_codec import NO_CODEC
from envoymesh.network.api import NO_TIMER, SOCKET_OPTION_FAILED, CloseType, ConnectionEvent, ConnectionHandler

if TYPE_CHECKING:
    from envoymesh.upstream.pool.pool import ConnectionPool


UNLIMITED: Final = sys.maxsize


class State(enum.Enum):
    """Where a connection stands in its pool."""

    CONNECTING = "connecting"
    READY = "ready"  # can take a stream
    BUSY = "busy"  # cannot now, may again
    DRAINING = "draining"  # takes no more streams; closes after the last
    CLOSED = "closed"


class UpstreamConnection(ConnectionHandler, CodecConnection, ClientCodecCallbacks):
    """Implements ConnectionHandler, CodecConnection and ClientCodecCallbacks.

    Attributes:
        codec: NO_CODEC before CONNECTED and after the end.
        protocol: what the codec speaks; None while that is not agreed on yet (ALPN).
        active_streams: streams that have not ended.
        assumed_limit: streams that the peer is thought to take, until its SETTINGS say.
        requests: streams it ever had.
        timed_out: whether `connect_timeout` ended it.
    """

    __slots__ = (
        "_close_after_dispatch",
        "_closing",
        "_connect_started",
        "_dispatching",
        "_duration_timer",
        "_ended_by_reset",
        "_idle_since",
        "_idle_timeout",
        "_idle_timer",
        "_offered",
        "_pool",
        "_received",
        "_remote_closed",
        "_reset_reason",
        "_sent",
        "active_streams",
        "assumed_limit",
        "codec",
        "connection",
        "protocol",
        "remaining_requests",
        "requests",
        "state",
        "timed_out",
    )

    def __init__(self, pool: ConnectionPool) -> None:
        settings = pool.settings
        self._pool = pool
        self.codec: ClientCodec = NO_CODEC
        self._closing = False
        self._dispatching = False
        self._close_after_dispatch = False
        self._ended_by_reset = False  # the stream that ended last
        self._remote_closed = False
        self._reset_reason = StreamResetReason.CONNECTION_TERMINATION
        self._offered = 0  # bytes that were not taken: they come again, and are counted already
        self._received = pool.stats.upstream_cx_rx_bytes_total
        self._sent = pool.stats.upstream_cx_tx_bytes_total
        self.protocol: HttpProtocol | None = None
        self.remaining_requests = settings.max_requests_per_connection
        self.state = State.CONNECTING
        self.active_streams = 0
        self.assumed_limit = pool.assumed_limit
        self.requests = 0
        self.timed_out = False
        self._connect_started = pool.dispatcher.now()
        self._idle_since = 0.0
        self._idle_timeout = settings.idle_timeout
        self._idle_timer = self._duration_timer = NO_TIMER
        self._count_new()
        self.connection = pool.connector.connect(
            pool.host.address,
            self,
            connect_timeout=settings.connect_timeout,
            buffer_limit=settings.per_connection_buffer_limit_bytes,
            tls=pool.tls,
            socket=pool.socket,
            additional_addresses=pool.host.additional_addresses,
            counts=pool.connect_counts,
            preface=pool.preface,
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
        if pool.protocol is not None:
            self.set_protocol(pool.protocol)

    def set_protocol(self, protocol: HttpProtocol) -> None:
        """The protocol is known: from the start, or by ALPN."""
        self.protocol = protocol
        stats = self._pool.stats
        (stats.upstream_cx_http2_total if protocol is HttpProtocol.HTTP2 else stats.upstream_cx_http1_total).inc()

    # ClientCodecCallbacks

    def on_stream_complete(self) -> None:
        """A stream ended regularly."""
        self._ended_by_reset = False
        self._end_stream()

    def on_stream_reset(self) -> None:
        """A stream was reset, by either side."""
        self._ended_by_reset = True
        self._end_stream()

    def _end_stream(self) -> None:
        # The streams of a connection that closes end with it; a codec may or may not tell of each.
        if self.state is State.CLOSED:
            return
        self.active_streams -= 1
        if not self.active_streams and self._idle_timeout:
            self._begin_idle()
        self._pool.on_stream_ended(self)

    def on_go_away(self, error_code: int) -> None:
        """The peer wants no more streams."""
        self._pool.stats.upstream_cx_close_notify.inc()
        self._pool.drain_connection(self)

    def on_close_notify(self) -> None:
        """The peer said `connection: close`."""
        self._pool.stats.upstream_cx_close_notify.inc()

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        """The peer's limit changed: the connection may have become ready, or busy."""
        self.assumed_limit = UNLIMITED
        self._pool.on_settings(self, max_concurrent_streams)

    @property
    def can_take_stream(self) -> bool:
        """Whether there is room for a stream, as far as is known before the peer's SETTINGS."""
        return self.active_streams < self.assumed_limit and self.codec.can_take_stream

    # CodecConnection

    def write(self, data: bytes) -> None:
        """Bytes from the codec."""
        self._sent.value += len(data)
        self.connection.write(data)

    def read_disable(self, disable: bool) -> None:
        """The codec stops or resumes reading."""
        self.connection.read_disable(disable)

    def on_codec_reset(self) -> None:
        """An HTTP/1 exchange was cut short: the connection is of no more use."""
        self.close()

    # ConnectionHandler

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer; returns how many were taken."""
        taken = size = len(data)
        self._received.value += size - self._offered
        self._dispatching = True
        try:
            taken = self.codec.dispatch(data)
        except CodecProtocolError:
            self._on_protocol_error()
        finally:
            self._dispatching = False
        self._offered = size - taken
        if self._close_after_dispatch:
            if self.protocol is HttpProtocol.HTTP2 and not self._ended_by_reset:
                self._pool.stats.upstream_cx_protocol_error.inc()  # as Envoy's codec finds its connection closed
            self.finish()
        return taken

    def on_eof(self) -> None:
        """The peer sends no more: a body that ends with the connection is complete, anything else is cut."""
        self._remote_closed = not self.codec.has_connect
        try:
            self.codec.on_eof()
        except CodecProtocolError:
            self._on_protocol_error()
        self.close()

    def on_write_failed(self) -> None:
        """The peer has closed: no request is to begin on what is left."""
        if self.active_streams:
            self._pool.drain_connection(self)

    def _on_protocol_error(self) -> None:
        self._count_protocol_error()
        self.close()

    def _count_protocol_error(self) -> None:
        self._pool.stats.upstream_cx_protocol_error.inc()
        self._reset_reason = StreamResetReason.PROTOCOL_ERROR

    def on_event(self, event: ConnectionEvent) -> None:
        """Connected, or closed."""
        if event is ConnectionEvent.CONNECTED:
            self._on_connected()
            return
        remote = self._remote_closed or event is ConnectionEvent.REMOTE_CLOSE
        before, self.state = self.state, State.CLOSED
        if remote and not self._remote_closed and before is not State.CONNECTING and self.codec.is_amid_message:
            self._count_protocol_error()  # as in Envoy a reset within a response counts as a FIN there does
        # The connector closes locally, unasked and without another reason, only when connect_timeout passed.
        unexplained = not (remote or self._closing or self.connection.failure_reason)
        in_time = self.connection.close_details == SOCKET_OPTION_FAILED
        self.timed_out = before is State.CONNECTING and unexplained and not in_time
        self._idle_timer.disable()
        self._duration_timer.disable()
        # What knows this object is let go, so that no reference cycle waits for the collector.
        codec, self.codec = self.codec, NO_CODEC
        self._idle_timer = self._duration_timer = NO_TIMER
        self._pool.remove(self, before)
        self._count_closed(remote, before)
        self._pool.release_streams(self.active_streams)
        self.active_streams = 0
        self._reset_streams(codec)
        self._pool.on_connection_closed(self, before, remote)

    def _reset_streams(self, codec: ClientCodec) -> None:
        if not codec.reset_all_streams(self._reset_reason, self.connection.failure_reason):
            self._pool.dispatcher.post(lambda: self._reset_streams(codec))

    def _on_connected(self) -> None:
        pool = self._pool
        pool.stats.upstream_cx_connect_ms.record(self._age_ms())
        if pool.protocol is None:
            self._count_again()
        self.codec = pool.make_codec(self)
        if pool.settings.max_connection_duration:
            self._duration_timer = pool.dispatcher.create_timer(self._on_duration_timer)
            self._duration_timer.enable(pool.settings.max_connection_duration)
        if self._idle_timeout:
            self._idle_timer = pool.dispatcher.create_timer(self._on_idle_timer)
            self._begin_idle()
        pool.on_connected(self)

    def _count_again(self) -> None:
        """As in Envoy, where a connection whose protocol is agreed on takes the place of the one that agreed on it."""
        pool = self._pool
        pool.stats.upstream_cx_connect_ms.record(self._age_ms())
        pool.stats.upstream_cx_total.inc()
        pool.host.stats.cx_total.inc()

    def _age_ms(self) -> int:
        return int((self._pool.dispatcher.now() - self._connect_started) * 1000)

    def _count_closed(self, remote: bool, before: State) -> None:
        pool = self._pool
        stats = pool.stats
        stats.upstream_cx_active.dec()
        stats.upstream_cx_destroy.inc()
        stats.upstream_cx_length_ms.record(self._age_ms())
        if pool.protocol is None and before is not State.CONNECTING:
            stats.upstream_cx_length_ms.record(self._age_ms())
        pool.host.stats.cx_active.dec()
        pool.resources.connections.dec()
        (stats.upstream_cx_destroy_remote if remote else stats.upstream_cx_destroy_local).inc()
        if self.active_streams:
            self._count_cut_streams(remote)
        if before is State.CONNECTING:
            stats.upstream_cx_connect_fail.inc()
            pool.host.stats.cx_connect_fail.inc()
        else:
            stats.upstream_rq_per_cx.record(self.requests)

    def _count_cut_streams(self, remote: bool) -> None:
        stats = self._pool.stats
        http2 = self.protocol is HttpProtocol.HTTP2
        if http2 and self._reset_reason is StreamResetReason.PROTOCOL_ERROR:
            return  # Envoy's HTTP/2 codec has reset its streams before the connection closes.
        stats.upstream_cx_destroy_with_active_rq.inc()
        if remote:
            stats.upstream_cx_destroy_remote_with_active_rq.inc()
        else:
            stats.upstream_cx_destroy_local_with_active_rq.inc()
        if http2 and self._reset_reason is StreamResetReason.CONNECTION_TERMINATION:
            stats.upstream_rq_pending_failure_eject.add(self.active_streams)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full."""
        self.codec.on_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room."""
        self.codec.on_below_write_buffer_low_watermark()

    # Timers and closing

    def _begin_idle(self) -> None:
        # The timer runs on through later requests and looks again when it fires: cheaper than a restart for each.
        self._idle_since = self._pool.dispatcher.now()
        if not self._idle_timer.enabled:
            self._idle_timer.enable(self._idle_timeout)

    def _on_idle_timer(self) -> None:
        if self.active_streams:
            return
        left = self._idle_since + self._idle_timeout - self._pool.dispatcher.now()
        if left > 0.001:
            self._idle_timer.enable(left)
            return
        self._pool.stats.upstream_cx_idle_timeout.inc()
        self.close()

    def _on_duration_timer(self) -> None:
        if self.state is not State.DRAINING:
            self._pool.stats.upstream_cx_max_duration_reached.inc()
            self._pool.drain_connection(self)

    def finish(self) -> None:
        """Close, having no streams: now, or when the bytes being dispatched are (what follows them may be an error)."""
        if self._dispatching:
            self._close_after_dispatch = True
            return
        self.close()

    def close(self, details: str = "") -> None:
        """Close now; streams under way are reset. `details` say why."""
        self._closing = True
        self.connection.close(CloseType.NO_FLUSH, details)
