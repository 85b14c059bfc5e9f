"""The HTTP connection manager: one downstream connection, its codec and its requests.

It picks the codec, makes an `ActiveStream` for each request, and owns what concerns the connection as a
whole: its timers, draining, and how and when it closes. It must not look into messages.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from envoymesh.errors import CodecProtocolError
from envoymesh.filters.network.filter import TerminalFilter
from envoymesh.filters.network.http_connection_manager.active_stream import ENDED, NO_UPGRADE, ActiveStream
from envoymesh.filters.network.http_connection_manager.header_mutation import Peer, ends_with_connection
from envoymesh.filters.network.http_connection_manager.leaving import LEAVE_GRACE, Goodbye, IdleWatch, LeavingConnection
from envoymesh.filters.network.http_connection_manager.manager_config import ConnectionManagerConfig
from envoymesh.filters.network.http_connection_manager.settings import DEFERRED_CLOSE
from envoymesh.http.codec import (
    CUT_SHARE,
    CodecConnection,
    HttpProtocol,
    RequestDecoder,
    ResponseEncoder,
    ServerCodec,
    ServerCodecCallbacks,
    StreamResetReason,
)
from envoymesh.http.headers import ResponseHeaders
from envoymesh.http.http1 import Http1ServerCodec
from envoymesh.http.http2 import HTTP2_PREFACE_START, Http2ServerCodec
from envoymesh.http.keepalive import PING_TIMEOUT, PingingServerCodec
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from envoymesh.network.api import NO_TIMER, CloseType, Connection, ConnectionEvent


class ConnectionManager(TerminalFilter, CodecConnection, ServerCodecCallbacks, LeavingConnection):
    """One downstream connection: TerminalFilter, CodecConnection, ServerCodecCallbacks and LeavingConnection."""

    __slots__ = (
        "_accumulated_requests",
        "_codec",
        "_connection_started",
        "_context",
        "_cutting",
        "_drain_timer",
        "_draining",
        "_duration_timer",
        "_ended_requests",
        "_idle_timer",
        "_never_read_well",
        "_offered",
        "_peeked",
        "_premature_resets",
        "_remote_closed",
        "_spoken",
        "_stall_timer",
        "_streams",
        "buffer_limit",
        "closing",
        "codec_failed",
        "connection",
        "dates",
        "dispatcher",
        "filters",
        "has_request_timeouts",
        "idle_since",
        "multiplexed",
        "peer",
        "request_ids",
        "route_table",
        "settings",
        "stats",
    )

    def __init__(self, context: ConnectionManagerConfig, connection: Connection, buffer_limit: int) -> None:
        settings = context.settings
        self._context = context
        self.settings = settings
        self.stats = context.stats
        self.dispatcher = context.dispatcher
        self.dates = context.dates
        self.request_ids = context.request_ids
        self.connection = connection
        self.buffer_limit = buffer_limit
        self.peer = Peer.of(connection)
        self.route_table = settings.route_table
        self.filters = settings.filters
        self.has_request_timeouts = settings.has_request_timeouts
        self.multiplexed = False
        self.closing = False
        self.codec_failed = False
        self._cutting = False
        self._never_read_well = False
        self._codec: ServerCodec | None = None
        self._peeked = b""
        self._offered = 0  # bytes that were not taken: they come again, and are counted already
        self._streams: set[ActiveStream] = set()
        self._accumulated_requests = 0
        self._ended_requests = 0
        self._premature_resets = 0
        self._draining = False
        self._remote_closed = False
        self._spoken: HttpProtocol | None = None  # the protocol, for the log, after the codec is gone
        self._connection_started = self.idle_since = self.dispatcher.now()
        # Most connections need none of these but the idle timer.
        self._drain_timer = self._idle_timer = self._duration_timer = self._stall_timer = NO_TIMER
        context.managers.add(self)
        self.stats.charge_new_connection(tls=connection.tls is not None)
        connection.set_delayed_close_timeout(settings.delayed_close_timeout)
        if settings.idle_timeout:
            self._idle_timer = self.dispatcher.create_timer(self._on_idle_timeout)
            self._idle_timer.enable(settings.idle_timeout)
        if settings.max_connection_duration:
            self._duration_timer = self.dispatcher.create_timer(self._on_duration_timeout)
            self._duration_timer.enable(settings.max_connection_duration)
        if context.leaving:
            self.leave()

    def __repr__(self) -> str:
        return f"<ConnectionManager {self.connection.id} streams={len(self._streams)} closing={self.closing}>"

    # TerminalFilter

    def on_new_connection(self) -> None:
        """Nothing to do: the first bytes decide on the codec."""

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer; returns how many were taken."""
        size = len(data)
        self.stats.downstream_cx_rx_bytes_total.add(size - self._offered)
        self._offered = 0
        codec = self._codec
        if codec is None:
            codec = self._choose_codec(self._peeked + data)
            if codec is None:
                self._peeked += data
                return size
            data = self._peeked + data
            self._codec = codec
            self._peeked = b""
        try:
            left = len(data) - codec.dispatch(data)
        except CodecProtocolError as error:
            self._never_read_well = self.connection.bytes_received <= len(data) and self._accumulated_requests < 2
            self._on_codec_error(error)
            return size
        self._offered = left
        return size - left

    def on_eof(self) -> None:
        """The peer will send no more: as in Envoy, the connection ends, and requests under way with it."""
        self._remote_closed = True
        self.connection.close(CloseType.NO_FLUSH)

    def on_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""
        if event is ConnectionEvent.CONNECTED:
            return
        remote = self._remote_closed or event is ConnectionEvent.REMOTE_CLOSE
        self._count_closed_connection(remote)
        for timer in (self._drain_timer, self._idle_timer, self._duration_timer, self._stall_timer):
            timer.disable()
        # What knows this object is let go, so that no reference cycle waits for the collector.
        self._drain_timer = self._idle_timer = self._duration_timer = self._stall_timer = NO_TIMER
        if not self._cutting:
            why = PING_TIMEOUT if self.connection.close_details == PING_TIMEOUT else ""
            self._cut_streams(lambda stream: stream.note_disconnect(remote, why))

    def _cut_streams(self, note: Callable[[ActiveStream], None]) -> None:
        """End all streams, CUT_SHARE of them in a turn of the loop; `note` says in each why."""
        for stream in list(islice(self._streams, CUT_SHARE)):
            note(stream)
            self.end_stream(stream, reset=False)
        self._cutting = bool(self._streams)
        if self._cutting:
            self.dispatcher.post(lambda: self._cut_streams(note))
        elif self.connection.closed:
            self._let_go()

    def _let_go(self) -> None:
        """The connection and its streams are no more."""
        codec, self._codec = self._codec, None
        if codec is not None:
            self._spoken = codec.protocol
            codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
        self._context.managers.discard(self)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full."""
        if self._codec is not None:
            self._codec.on_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room."""
        if self._codec is not None:
            self._codec.on_below_write_buffer_low_watermark()

    def _choose_codec(self, data: bytes) -> ServerCodec | None:
        """The codec by `codec_type`, ALPN, or the first bytes; None when there are too few to tell."""
        kind = self.settings.codec_type
        if kind == "HTTP2" or (kind == "AUTO" and self._speaks_http2(data)):
            return self._make_http2()
        if kind == "AUTO" and len(data) < len(HTTP2_PREFACE_START) and HTTP2_PREFACE_START.startswith(data):
            return None
        self.stats.downstream_cx_http1_total.inc()
        self.stats.downstream_cx_http1_active.inc()
        return Http1ServerCodec(self, self, self.settings.http1, self._context.http1_stats)

    def _speaks_http2(self, data: bytes) -> bool:
        tls = self.connection.tls
        if tls is not None and tls.alpn:
            return tls.alpn == "h2"
        return data.startswith(HTTP2_PREFACE_START)

    def _make_http2(self) -> ServerCodec:
        self.multiplexed = True
        self.stats.downstream_cx_http2_total.inc()
        self.stats.downstream_cx_http2_active.inc()
        if self.settings.stream_idle_timeout:
            self._stall_timer = self.dispatcher.create_timer(self._on_stall_timeout)
            self._stall_timer.enable(self.settings.stream_idle_timeout)
        settings, context = self.settings.http2, self._context
        if settings.keepalive is None:
            return Http2ServerCodec(self, self, settings, context.http2_stats)
        return PingingServerCodec(
            self, self, settings, context.http2_stats, self.dispatcher, context.random, self._on_ping_timeout
        )

    def _on_ping_timeout(self) -> None:
        self._context.http2_stats.keepalive_timeout.inc()
        self.connection.close(CloseType.NO_FLUSH, PING_TIMEOUT)

    def _on_codec_error(self, error: CodecProtocolError) -> None:
        self.codec_failed = True
        stats = self.stats
        # A flood breaks no rule of the protocol, and has counters of its own.
        if not error.is_flood:
            stats.downstream_cx_protocol_error.inc()
        if self._streams:
            stats.charge_active_requests(remote=False)
        self._cut_streams(lambda stream: stream.note_codec_error(error))
        self._idle_timer.disable()
        self.connection.close(CloseType.FLUSH_WRITE_AND_DELAY, error.details)

    # CodecConnection

    def write(self, data: bytes) -> None:
        """Bytes from the codec."""
        self.stats.downstream_cx_tx_bytes_total.add(len(data))
        self.connection.write(data)

    def read_disable(self, disable: bool) -> None:
        """The codec stops or resumes reading the connection."""
        self.connection.read_disable(disable)

    def on_codec_reset(self) -> None:
        """An HTTP/1 request ended midway: the connection cannot be used again."""
        self.closing = True

    # ServerCodecCallbacks

    def new_stream(self, encoder: ResponseEncoder) -> RequestDecoder:
        """A request begins."""
        return self._add_stream(encoder)

    def _add_stream(self, encoder: ResponseEncoder) -> ActiveStream:
        stats = self.stats
        stats.downstream_rq_total.inc()
        stats.downstream_rq_active.inc()
        if encoder.protocol is HttpProtocol.HTTP2:
            stats.downstream_rq_http2_total.inc()
        else:
            stats.downstream_rq_http1_total.inc()
        self._accumulated_requests += 1
        self._idle_timer.disable()
        stream = ActiveStream(self, encoder, self._context.next_stream_id())
        self._streams.add(stream)
        return stream

    def recreate_stream(self, old: ActiveStream, body: bytes) -> None:
        """Begin a stream anew, for a request that is complete: the old one is over for all but the client."""
        stream = self._add_stream(old.encoder)
        old.destroyed = ENDED
        self._finish(old)
        try:
            stream.begin_again(old, body)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            stream.on_exception("a redirected request's beginning", error)

    def on_go_away(self, error_code: int) -> None:
        """The client will open no more streams; it closes when it has its answers."""

    def add_connection_facts(self, info: StreamInfo) -> None:
        """Tell the listener's access log the protocol, where any bytes were valid, and whether the peer broke it."""
        if not self._never_read_well:
            info.protocol = self._spoken if self._codec is None else self._codec.protocol
        if self.codec_failed:
            info.flags |= ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR

    # What streams ask for

    def close_after_response(self) -> None:
        """The request was such that the connection is not to be used again (HTTP/1)."""
        if not self.multiplexed:
            self.closing = True

    def take_no_more(self) -> None:
        """A request was such that what follows may not be one: the connection ends after the answer."""
        if self.multiplexed:
            self.start_drain()
        else:
            self.closing = True

    def before_response(self, stream: ActiveStream, headers: ResponseHeaders, end_stream: bool) -> None:
        """Decide, as response headers go out, whether the connection ends after this response."""
        # `asked_to_close`: the client knows of the close beforehand, so that the close need not wait for it to read.
        encoder = stream.encoder
        said = encoder.close_connection_after_response or ends_with_connection(encoder.protocol, headers, end_stream)
        asked = said
        if said:
            self.closing = True
        elif not self.closing and (self._draining or self._wants_to_drain()):
            if self.multiplexed:
                self.start_drain()
            else:
                asked = self.closing = True
        # As in Envoy, which waits all the same after a local reply.
        stream.asked_to_close = asked and stream.info.upstream_host is not None
        if not stream.remote_complete:
            self.stats.downstream_rq_response_before_rq_complete.inc()
            stream.disarm_request_timeout()
            self.close_after_response()
            if stream.upgrade != NO_UPGRADE:
                stream.asked_to_close = said  # a tunnel's request has no end that could be waited for

    def _wants_to_drain(self) -> bool:
        limit = self.settings.max_requests_per_connection
        if limit and self._accumulated_requests >= limit:
            self.stats.downstream_cx_max_requests_reached.inc()
            return True
        if self._context.drain_close():
            self.stats.downstream_cx_drain_close.inc()
            return True
        return False

    def charge_response(self, status: int) -> None:
        """Count a response by its class."""
        context = self._context
        group = status // 100
        stats = context.stats
        stats.downstream_rq_completed.inc()
        context.listener_stats.downstream_rq_completed.inc()
        counter = context.response_classes[group]
        if counter is not None:
            counter.inc()
            context.listener_classes[group].inc()  # type: ignore[union-attr]  # both tuples have None in the same places

    def end_stream(self, stream: ActiveStream, reset: bool = True, sent: bool = True) -> None:
        """Both directions are done, or the stream is given up; `reset`: send the peer a reset, where it needs one;
        `sent` is False for a complete response that the peer did not take in time."""
        if stream.destroyed == ENDED:
            return
        stream.destroyed = ENDED
        stream.encoder.set_callbacks(None)
        if not (stream.remote_complete and stream.local_complete):
            self.stats.downstream_rq_rx_reset.inc()
            if reset:
                stream.encoder.reset_stream(_reset_reason(stream))
        self._finish(stream, sent)
        if self._resets_too_often(stream):
            return
        whole = stream.remote_complete or stream.upgrade != NO_UPGRADE
        self.check_for_deferred_close(skip_delay=stream.asked_to_close and whole)
        if not self._streams and self.settings.idle_timeout and not self.connection.closed:
            self._idle_timer.enable(self.settings.idle_timeout)

    def _finish(self, stream: ActiveStream, sent: bool = True) -> None:
        info = stream.info
        info.end_time = self.idle_since = self.dispatcher.now()
        stream.disable_timers()
        stream.destroy_filters()
        self._streams.discard(stream)
        self.stats.downstream_rq_active.dec()
        if stream.upgrade:
            self.stats.downstream_cx_upgrades_active.dec()
        # As in Envoy an answer counts when its codec has written it; HTTP/2 forgets one whose request is reset, but for
        # tunnels.
        if sent and stream.local_complete and (stream.remote_complete or not self.multiplexed or stream.upgrade):
            self.stats.downstream_rq_time.record(int((info.end_time - info.start_time) * 1000))
        if stream.local_complete:
            info.last_downstream_tx = info.end_time
        if self.settings.access_logs:
            self._log(stream, info.end_time)
        if info.flags or (info.response_code or 0) >= 500:
            self._context.failed.note(info, stream.request_headers)
        if self._context.recent.open:
            self._note(stream)

    def _note(self, stream: ActiveStream) -> None:
        route = stream.known_route
        name = "" if route is None else route.virtual_host.name
        number = 0 if route is None else route.virtual_host.number_of(route)
        self._context.recent.note(stream.info, stream.request_headers, name, number)

    def _log(self, stream: ActiveStream, now: float) -> None:
        try:
            stream.log(now, "DownstreamEnd")
        except Exception as error:  # noqa: BLE001 a log's fault is nobody else's
            self.dispatcher.report(f"the access log of {stream!r}", error)

    def _resets_too_often(self, stream: ActiveStream) -> bool:
        """Close on a client that resets most of its requests at once (Envoy's answer to CVE-2023-44487)."""
        info, context = stream.info, self._context
        self._ended_requests += 1
        if info.response_code is not None or info.end_time - info.start_time > context.premature_reset_seconds.value:
            return False
        self._premature_resets += 1
        if self._draining or self._premature_resets * 2 < max(
            self._ended_requests, context.premature_reset_limit.value
        ):
            return False
        self.stats.downstream_rq_too_many_premature_resets.inc()
        self.connection.close(CloseType.NO_FLUSH, "too_many_premature_resets")
        return True

    # Draining and closing

    def check_for_deferred_close(self, skip_delay: bool = False) -> None:
        """Close when that was decided and no request is left."""
        if self.closing and not self._streams:
            self.connection.close(
                CloseType.FLUSH_WRITE if skip_delay else CloseType.FLUSH_WRITE_AND_DELAY, DEFERRED_CLOSE
            )

    def close_after_requests(self) -> None:
        """Take no more requests, and close when those under way are answered."""
        self.closing = True
        self.check_for_deferred_close()

    def start_drain(self, why: str = "") -> None:
        """Announce the end (GOAWAY), and end `drain_timeout` later."""
        if self._draining or self.closing or self.connection.closed:
            return
        self._draining = True
        if self._codec is None:
            self.connection.close(CloseType.FLUSH_WRITE, why)
        else:
            self._drain_timer = Goodbye(self, self._codec, self.settings.drain_timeout).timer

    def leave(self) -> None:
        """The process is about to end, and this connection should before it, without a loss (`leaving.py`)."""
        if self.closing:
            return
        self._draining = True
        self._drain_timer.disable()
        if self._codec is not None and self.multiplexed:
            self._drain_timer = Goodbye(self, self._codec, LEAVE_GRACE).timer
        else:
            self._drain_timer = IdleWatch(self).timer

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or has begun to arrive."""
        return bool(self._streams or self._peeked or self._offered)

    def _on_idle_timeout(self) -> None:
        self.stats.downstream_cx_idle_timeout.inc()
        self.start_drain(why="on_idle_timeout")

    def _on_stall_timeout(self) -> None:
        if self._codec is not None:
            self._codec.reset_stalled_streams()
        self._stall_timer.enable(self.settings.stream_idle_timeout)

    def _on_duration_timeout(self) -> None:
        self.stats.downstream_cx_max_duration_reached.inc()
        self.start_drain()

    def _count_closed_connection(self, remote: bool) -> None:
        milliseconds = int((self.dispatcher.now() - self._connection_started) * 1000)
        self.stats.charge_closed_connection(milliseconds, remote, self.connection)
        if self._codec is not None:
            stats = self.stats
            (stats.downstream_cx_http2_active if self.multiplexed else stats.downstream_cx_http1_active).dec()
        if self._streams:
            self.stats.charge_active_requests(remote or self.connection.close_details == PING_TIMEOUT)


def _reset_reason(stream: ActiveStream) -> StreamResetReason:
    """Why a client's stream is reset: to who has asked for a tunnel the upstream's end has a word of its own
    (RFC 9113 section 8.5)."""
    lost = ResponseFlag.UPSTREAM_CONNECTION_FAILURE | ResponseFlag.UPSTREAM_CONNECTION_TERMINATION
    if stream.upgrade != NO_UPGRADE and stream.info.flags & lost:
        return StreamResetReason.CONNECT_ERROR
    return stream.reset_reason
