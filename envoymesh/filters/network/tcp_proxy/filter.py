"""The TCP proxy filter (envoy.filters.network.tcp_proxy): one downstream connection, and the upstream one it gets.

The rules:

- The downstream connection is not read before the upstream one is there, unless `max_early_data_bytes` says so.
- Each side's end is passed on as the end of the other's output (half-close); when both have ended, both are over. A
  reset is passed on as a reset.
- Where a side does not take what is written, the other side is not read.
- What a peer has sent before it went is written to the host to its end, as long as the host takes some within
  `idle_timeout` (Envoy's `Drainer`).

It must not look at bytes.
"""

from __future__ import annotations

from typing import Final

from envoymesh.filters.network.filter import TerminalFilter
from envoymesh.filters.network.tcp_proxy.meter import TcpMeter
from envoymesh.filters.network.tcp_proxy.proxy_config import TcpProxyConfig
from envoymesh.formatter import FormatterContext
from envoymesh.http.stream_info import ResponseFlag, StreamInfo, connection_info
from envoymesh.network.api import NO_TIMER, CloseType, Connection, ConnectionEvent, ExceptionHandler
from envoymesh.upstream.api import Cancellable, PoolFailureReason
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.outlier.api import HostMonitor
from envoymesh.upstream.pool.options import DEFAULT_OPTIONS
from envoymesh.upstream.pool.tcp import TcpPoolCallbacks, TcpUpstreamConnection

CLUSTER_KEY: Final = "envoy.tcp_proxy.cluster"
"""Filter state of the connection that names the cluster, where another filter has set it."""

CONNECT_FAILED: Final = 0
NO_HEALTHY_UPSTREAM: Final = 1
RESOURCE_LIMIT_EXCEEDED: Final = 2
NO_ROUTE: Final = 3
"""Envoy's `UpstreamFailureReason`, which logs show as a number."""


class TcpProxyFilter(TerminalFilter, TcpPoolCallbacks, ExceptionHandler):
    """One downstream connection.

    Attributes:
        connection: the downstream one.
    """

    __slots__ = (
        "_active",
        "_asking",
        "_attempts",
        "_context",
        "_duration_timer",
        "_early",
        "_early_end",
        "_failed_at_once",
        "_flush_timer",
        "_flushing",
        "_idle_timer",
        "_info",
        "_pending",
        "_received",
        "_retry_timer",
        "_sent",
        "_stats",
        "_unflushed",
        "_upstream",
        "_waiting_for_data",
        "connection",
    )

    def __init__(self, context: TcpProxyConfig, connection: Connection) -> None:
        self._context = context
        self._stats = context.stats
        self.connection = connection
        self._info = connection_info(connection, context.dispatcher.wall_time(), context.dispatcher.now())
        self._upstream: TcpUpstreamConnection | None = None
        self._pending: Cancellable | None = None
        self._attempts = 0
        self._asking = False  # within the pool's new_connection
        self._failed_at_once = False
        self._waiting_for_data = False
        self._early: list[bytes] | None = None  # what came before the upstream was there; None: it is not read then
        self._early_end = False
        self._flushing = False
        self._received = 0
        self._sent = 0
        self._active = 0.0
        self._unflushed = 0
        self._idle_timer = self._duration_timer = self._retry_timer = self._flush_timer = NO_TIMER
        context.connections.add(self.connection)
        context.stats.downstream_cx_total.inc()
        connection.enable_half_close()
        connection.set_delayed_close_timeout(context.settings.idle_timeout)

    def __repr__(self) -> str:
        return f"<TcpProxyFilter C{self.connection.id} -> {self._upstream!r}>"

    # The beginning

    def on_new_connection(self) -> None:
        """Find a host, and connect to it."""
        settings, dispatcher = self._context.settings, self._context.dispatcher
        if settings.max_early_data_bytes is None:
            self.connection.read_disable(True)
        else:
            self._early = []
        if settings.max_downstream_connection_duration:
            self._duration_timer = dispatcher.create_timer(self._on_duration_timeout, self)
            jitter = 1.0 + self._context.random() * settings.max_downstream_connection_duration_jitter
            self._duration_timer.enable(settings.max_downstream_connection_duration * jitter)
        if settings.access_log_flush_interval and settings.access_logs:
            self._flush_timer = dispatcher.create_timer(self._on_flush_timer, self)
            self._flush_timer.enable(settings.access_log_flush_interval)
        if settings.connect_on_data:
            self._waiting_for_data = True
        else:
            self._connect()

    def _connect(self) -> None:
        """Attempt to connect; where an attempt fails at once, attempt again."""
        while self._attempt():
            pass

    def _attempt(self) -> bool:
        """Begin an attempt to connect; True if it is over already, and another one may be made."""
        cluster = self._cluster()
        if cluster is None:
            return False
        host = cluster.choose_host(None)
        if host is None:
            self._give_up(ResponseFlag.NO_HEALTHY_UPSTREAM, NO_HEALTHY_UPSTREAM)
            return False
        self._attempts += 1
        info = self._info
        info.attempt_count = self._attempts
        info.connections_tried = [*(info.connections_tried or ()), (host.address, host.hostname, 0)]
        self._asking = True
        self._failed_at_once = False
        options = None
        if cluster.separator is not None:
            options = cluster.separator.options(None, self.connection, "DEFAULT")
        pending = cluster.new_tcp_connection(host, self, options or DEFAULT_OPTIONS)
        self._asking = False
        if not self._failed_at_once:
            self._pending = pending
        return self._failed_at_once

    def _cluster(self) -> Cluster | None:
        """The cluster to connect to; None, and the downstream connection is closed, where there can be no attempt."""
        name = self._cluster_name()
        cluster = self._context.clusters.get(name)
        if cluster is None:
            self._stats.downstream_cx_no_route.inc()
            self._give_up(ResponseFlag.NO_CLUSTER_FOUND, NO_ROUTE)
            return None
        self._info.upstream_cluster = name
        self._info.cluster_metadata = cluster.metadata
        # Over the limit it does not wait: nothing tells when another connection ends.
        if not cluster.resource_manager().connections.can_create():
            cluster.stats.upstream_cx_overflow.inc()
            self._give_up(ResponseFlag.UPSTREAM_OVERFLOW, RESOURCE_LIMIT_EXCEEDED)
            return None
        if self._attempts >= self._context.settings.max_connect_attempts:
            cluster.stats.upstream_cx_connect_attempts_exceeded.inc()
            self._give_up(ResponseFlag.UPSTREAM_CONNECT_ATTEMPTS_EXCEEDED, CONNECT_FAILED)
            return None
        return cluster

    def _cluster_name(self) -> str:
        state = (self._info.filter_state or {}).get(CLUSTER_KEY)
        name = None if state is None else state.as_text()
        return self._context.settings.cluster(self._context.random()) if name is None else name

    def _give_up(self, flag: int, reason: int) -> None:
        self._info.flags |= flag
        self._info.local_close_reason = f"tcp_initializion_failure:{reason}"
        self.connection.close(CloseType.NO_FLUSH)

    # TcpPoolCallbacks

    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """The attempt failed: another one, if there may be one."""
        self._pending = None
        info = self._info
        self._note_host(host)
        if host is not None and host.outlier_detector is not None:
            _tell_failure(host.outlier_detector, reason)
        info.upstream_failure_reason = transport_failure_reason
        if reason is PoolFailureReason.REMOTE_CONNECTION_FAILURE or reason is PoolFailureReason.TIMEOUT:
            info.flags |= ResponseFlag.UPSTREAM_CONNECTION_FAILURE
        if self.connection.closed:
            return
        if self._asking:
            self._failed_at_once = True
            return
        pause = self._context.backoff(self._attempts)
        if pause:
            if self._retry_timer is NO_TIMER:
                self._retry_timer = self._context.dispatcher.create_timer(self._connect, self)
            self._retry_timer.enable(pause)
        else:
            self._connect()

    def _note_host(self, host: Host | None) -> None:
        info = self._info
        if host is not None:
            info.upstream_host = host.address
            info.upstream_host_name = host.hostname
            info.host_metadata = host.endpoint.metadata

    def on_pool_ready(self, upstream: TcpUpstreamConnection, host: Host) -> None:
        """The upstream connection is there: bytes may flow."""
        self._pending = None
        self._upstream = upstream
        settings, info = self._context.settings, self._info
        self._note_host(host)
        if host.outlier_detector is not None:
            host.outlier_detector.put_connect_success_final()
        info.connections_tried = [
            *(info.connections_tried or ())[:-1],
            (host.address, host.hostname, upstream.connection.id),
        ]
        upstream.connection.enable_half_close()
        info.upstream_connection = upstream.connection
        info.upstream_failure_reason = ""
        upstream.connection.set_delayed_close_timeout(settings.idle_timeout)
        if settings.idle_timeout:
            self._active = self._context.dispatcher.now()
            self._idle_timer = self._context.dispatcher.create_timer(self._on_idle_timer, self)
            self._idle_timer.enable(settings.idle_timeout)
        if settings.flush_access_log_on_connected:
            self._log("TcpUpstreamConnected")
        self._begin_reading(upstream)

    def _begin_reading(self, upstream: TcpUpstreamConnection) -> None:
        early, self._early = self._early, None
        for data in early or ():
            upstream.write(data)
        if self._early_end:
            upstream.connection.write_end_stream()
        if early is None or sum(map(len, early)) > (self._context.settings.max_early_data_bytes or 0):
            self.connection.read_disable(False)

    def on_upstream_data(self, data: bytes) -> int:
        """Bytes from the host."""
        size = len(data)
        self._sent += size
        self._stats.downstream_cx_tx_bytes_total.add(size)
        self._active = self._context.dispatcher.now()
        self.connection.write(data)
        return size

    def on_upstream_eof(self) -> None:
        """The host has ended its side."""
        self._active = self._context.dispatcher.now()
        self.connection.write_end_stream()

    def on_upstream_event(self, event: ConnectionEvent) -> None:
        """The upstream connection is closed: so is the downstream one, behind what is written."""
        upstream, self._upstream = self._upstream, None
        self._idle_timer.disable()
        if self._flushing:
            self._flushing = False
            self._stats.upstream_flush_active.dec()
            if upstream is not None and upstream.connection.delayed_close_timed_out:
                self._stats.idle_timeout.inc()
        elif upstream is not None and not self.connection.closed:
            self._info.upstream_failure_reason = upstream.connection.failure_reason
            reset = upstream.connection.reset_by_peer
            if reset:
                self._info.flags |= ResponseFlag.UPSTREAM_REMOTE_RESET
            self.connection.close(CloseType.ABORT_RESET if reset else CloseType.FLUSH_WRITE)

    def on_upstream_above_write_buffer_high_watermark(self) -> None:
        """The host does not take what the peer sends."""
        if not self.connection.closed:
            self._stats.downstream_flow_control_paused_reading_total.inc()
            self.connection.read_disable(True)

    def on_upstream_below_write_buffer_low_watermark(self) -> None:
        """It takes bytes again."""
        if not self.connection.closed:
            self._stats.downstream_flow_control_resumed_reading_total.inc()
            self.connection.read_disable(False)

    # TerminalFilter

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer."""
        size = len(data)
        self._received += size
        self._stats.downstream_cx_rx_bytes_total.add(size)
        self._active = self._context.dispatcher.now()
        upstream = self._upstream
        if upstream is None:
            self._keep(data)
        else:
            upstream.write(data)
        return size

    def _keep(self, data: bytes) -> None:
        """Bytes that came before the upstream connection is there."""
        early = self._early
        if early is None:
            return  # it is gone
        if not early:
            self._stats.early_data_received_count_total.inc()
        limit = self._context.settings.max_early_data_bytes or 0
        before = sum(map(len, early))
        early.append(data)
        if before <= limit < before + len(data):
            self.connection.read_disable(True)
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waiting_for_data:
            self._waiting_for_data = False
            self._connect()

    def on_eof(self) -> None:
        """The peer has ended its side."""
        self._active = self._context.dispatcher.now()
        if self._upstream is not None:
            self._upstream.connection.write_end_stream()
        else:
            self._early_end = True
            self._stop_waiting()

    def on_event(self, event: ConnectionEvent) -> None:
        """The downstream connection is closed."""
        for timer in (self._idle_timer, self._duration_timer, self._retry_timer, self._flush_timer):
            timer.disable()
        # What knows this object is let go, so that no reference cycle waits for the collector.
        self._idle_timer = self._duration_timer = self._retry_timer = self._flush_timer = NO_TIMER
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
        upstream = self._upstream
        if upstream is not None:
            self._end_upstream(upstream, event is ConnectionEvent.REMOTE_CLOSE)
        self._context.connections.discard(self.connection)
        self._log("TcpConnectionEnd")

    def _end_upstream(self, upstream: TcpUpstreamConnection, remote: bool) -> None:
        if self.connection.reset_by_peer:
            upstream.close(CloseType.ABORT_RESET)
        elif not remote:
            upstream.close(CloseType.NO_FLUSH)
        else:
            upstream.close(CloseType.FLUSH_WRITE)
            if not upstream.connection.closed and upstream.connection.buffered[1]:
                self._flushing = True
                self._stats.upstream_flush_total.inc()
                self._stats.upstream_flush_active.inc()

    def on_above_write_buffer_high_watermark(self) -> None:
        """The peer does not take what the host sends."""
        self._pause_upstream(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """It takes bytes again."""
        self._pause_upstream(False)

    def _pause_upstream(self, pause: bool) -> None:
        upstream = self._upstream
        if upstream is None or upstream.connection.closed:
            return
        upstream.connection.read_disable(pause)
        upstream.count_paused(pause)

    def add_connection_facts(self, info: StreamInfo) -> None:
        """Nothing to add: this filter writes what it learns into the connection's StreamInfo, which `info` is."""

    # Timers and logs

    def on_exception(self, where: str, error: Exception) -> None:
        """It costs the connection."""
        self._context.dispatcher.report(f"{self!r}: {where}", error)
        self.connection.close(CloseType.NO_FLUSH, "unexpected_exception")

    def _on_idle_timer(self) -> None:
        """The timer runs on through what happens meanwhile: cheaper than a restart for each piece."""
        now, timeout = self._context.dispatcher.now(), self._context.settings.idle_timeout
        unflushed = self._buffered()
        if unflushed < self._unflushed:
            self._active = now  # somebody still takes what was written
        self._unflushed = unflushed
        left = self._active + timeout - now
        if left > 0.001:
            self._idle_timer.enable(left)
            return
        self._stats.idle_timeout.inc()
        self._info.local_close_reason = "tcp_session_idle_timeout"
        self.connection.close(CloseType.NO_FLUSH)

    def _buffered(self) -> int:
        upstream = self._upstream
        return self.connection.buffered[1] + (0 if upstream is None else upstream.connection.buffered[1])

    def _on_duration_timeout(self) -> None:
        self._stats.max_downstream_connection_duration.inc()
        self._info.flags |= ResponseFlag.DURATION_TIMEOUT
        self._info.local_close_reason = "max_connection_duration_reached"
        self.connection.close(CloseType.NO_FLUSH)

    def _on_flush_timer(self) -> None:
        self._log("TcpPeriodic")
        self._flush_timer.enable(self._context.settings.access_log_flush_interval)

    def _log(self, kind: str) -> None:
        logs = self._context.settings.access_logs
        now = self._context.dispatcher.now()
        self._note_bytes(now)
        try:
            for each in logs:
                each.log(FormatterContext(self._info, None, None, None, now, kind))
        except Exception as error:  # noqa: BLE001 a log's fault is nobody else's
            self._context.dispatcher.report(f"the access log of {self!r}", error)

    def _note_bytes(self, now: float) -> None:
        info = self._info
        info.bytes_received, info.bytes_sent = self._received, self._sent
        info.downstream_meter = TcpMeter(self._received, self._sent)
        if info.upstream_connection is not None:
            info.upstream_meter = TcpMeter(info.upstream_connection.bytes_received, info.upstream_connection.bytes_sent)
        info.end_time = now


def _tell_failure(monitor: HostMonitor, reason: PoolFailureReason) -> None:
    """An attempt that failed counts against its host, unless it failed on this side."""
    if reason is PoolFailureReason.TIMEOUT:
        monitor.put_timeout()
    elif reason is PoolFailureReason.REMOTE_CONNECTION_FAILURE:
        monitor.put_connect_failure()
