"""Connections to a cluster's hosts for filters that proxy bytes (Envoy's `Tcp::ConnPoolImpl`): a new one each time.

Such a connection is its owner's from CONNECTED to its end, and nobody uses it again; so this pool only counts, keeps
the circuit breakers, and says why there is none. It must not look at bytes, and must not choose hosts.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.network.api import CloseType, ConnectCounts, ConnectionEvent, ConnectionHandler, Connector, Dispatcher
from envoymesh.upstream.api import Cancellable, PoolFailureReason
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.options import DEFAULT_OPTIONS, PoolOptions


@trait
class TcpPoolCallbacks:
    """Whoever asked for an upstream connection of its own: the first two answer, as of `PoolCallbacks`; the others are
    its `ConnectionHandler`, after on_pool_ready."""

    __slots__ = ()

    @abstractmethod
    def on_pool_ready(self, upstream: TcpUpstreamConnection, host: Host) -> None:
        """A connection is usable: TCP connected and TLS handshake done."""

    @abstractmethod
    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """There will be none; `transport_failure_reason` is the connection's, or empty. No host where none was
        asked (the breaker of pending requests)."""

    @abstractmethod
    def on_upstream_data(self, data: bytes) -> int:
        """Bytes from the host; returns how many were taken."""

    @abstractmethod
    def on_upstream_eof(self) -> None:
        """The host has ended its side."""

    @abstractmethod
    def on_upstream_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""

    @abstractmethod
    def on_upstream_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full."""

    @abstractmethod
    def on_upstream_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room."""


class _Nobody(TcpPoolCallbacks):
    """Takes the owner's place when that has let the connection go."""

    __slots__ = ()

    def on_pool_ready(self, upstream: TcpUpstreamConnection, host: Host) -> None:
        """Nobody waits."""

    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """Nobody waits."""

    def on_upstream_data(self, data: bytes) -> int:
        """Nobody reads."""
        return len(data)

    def on_upstream_eof(self) -> None:
        """Nobody reads."""

    def on_upstream_event(self, event: ConnectionEvent) -> None:
        """Nobody wants to know."""

    def on_upstream_above_write_buffer_high_watermark(self) -> None:
        """Nobody writes."""

    def on_upstream_below_write_buffer_low_watermark(self) -> None:
        """Nobody writes."""


NOBODY: Final = _Nobody()


class TcpUpstreamConnection(ConnectionHandler, Cancellable):
    """One upstream connection, from the first attempt to its end; before CONNECTED it is a wait that can be cancelled.

    Attributes:
        connection: the connection itself, for its facts; what is to be counted goes through this object.
        host: where it goes.
    """

    __slots__ = (
        "_callbacks",
        "_closing",
        "_pool",
        "_ready",
        "_received",
        "_released",
        "_remote_closed",
        "_sent",
        "_started",
        "connection",
        "host",
    )

    def __init__(
        self,
        pool: TcpConnectionPool,
        host: Host,
        callbacks: TcpPoolCallbacks,
        options: PoolOptions = DEFAULT_OPTIONS,
        has_waited: bool = False,
    ) -> None:
        self._pool = pool
        self._callbacks = callbacks
        self._ready = False
        self._released = False
        self._closing = False
        self._remote_closed = False
        self._received = pool.stats.upstream_cx_rx_bytes_total
        self._sent = pool.stats.upstream_cx_tx_bytes_total
        self._started = pool.dispatcher.now()
        self.host = host
        if not has_waited:
            pool.count_waiting(host)
        pool.count_new(self)
        self.connection = pool.connector.connect(
            host.address,
            self,
            connect_timeout=pool.settings.connect_timeout,
            buffer_limit=pool.settings.per_connection_buffer_limit_bytes,
            tls=pool.info.tcp_tls(host.endpoint),
            socket=pool.settings.socket,
            additional_addresses=host.additional_addresses,
            counts=pool.connect_counts,
            preface=pool.info.preface(host.endpoint, options.proxied),
        )

    def __repr__(self) -> str:
        return f"<TcpUpstreamConnection {self.host.address} {'ready' if self._ready else 'connecting'}>"

    # What the owner may ask

    def cancel(self) -> None:
        """Stop waiting; no callback follows, and the attempt ends."""
        if self._ready or self._callbacks is NOBODY:
            return
        self._callbacks = NOBODY
        self._pool.stats.upstream_rq_cancelled.inc()
        self.close(CloseType.NO_FLUSH)

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        self._sent.value += len(data)
        self.connection.write(data)

    def count_paused(self, paused: bool) -> None:
        """Whoever owns it has stopped reading it, or goes on."""
        stats = self._pool.stats
        if paused:
            stats.upstream_flow_control_paused_reading_total.inc()
        else:
            stats.upstream_flow_control_resumed_reading_total.inc()

    def release(self) -> None:
        """Its owner is done with it, regularly: it ends when both sides have, and nobody is told."""
        self._callbacks = NOBODY
        self._released = True
        self._pool.count_released(self)

    def close(self, how: CloseType) -> None:
        """Begin to close; `on_upstream_event` follows."""
        self._closing = True
        self.connection.close(how)

    # ConnectionHandler

    def on_data(self, data: bytes) -> int:
        """Bytes from the host."""
        taken = self._callbacks.on_upstream_data(data)
        self._received.value += taken
        return taken

    def on_eof(self) -> None:
        """The host has ended its side."""
        self._callbacks.on_upstream_eof()

    def on_event(self, event: ConnectionEvent) -> None:
        """Connected, or closed."""
        if event is ConnectionEvent.CONNECTED:
            self._ready = True
            self._pool.count_ready(self, self._age_ms())
            self._callbacks.on_pool_ready(self, self.host)
            return
        callbacks, self._callbacks = self._callbacks, NOBODY
        remote = event is ConnectionEvent.REMOTE_CLOSE
        # The connector closes locally, unasked and without another reason, only when connect_timeout passed.
        timed_out = not (self._ready or remote or self._closing or self.connection.failure_reason)
        self._pool.count_closed(self, self._ready, remote, timed_out, callbacks is NOBODY, self._age_ms())
        if self._ready and not self._released:
            self._pool.count_cut(self, remote)
        self._tell_end(callbacks, event, remote, timed_out)
        self._pool.on_closed(self.host)

    def _tell_end(self, callbacks: TcpPoolCallbacks, event: ConnectionEvent, remote: bool, timed_out: bool) -> None:
        if self._ready:
            callbacks.on_upstream_event(event)
            return
        reason = PoolFailureReason.REMOTE_CONNECTION_FAILURE if remote else PoolFailureReason.LOCAL_CONNECTION_FAILURE
        if timed_out:
            reason = PoolFailureReason.TIMEOUT
        callbacks.on_pool_failure(reason, self.connection.failure_reason, self.host)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The host does not take what is written."""
        self._callbacks.on_upstream_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """It takes bytes again."""
        self._callbacks.on_upstream_below_write_buffer_low_watermark()

    def _age_ms(self) -> int:
        return int((self._pool.dispatcher.now() - self._started) * 1000)


class WaitingConnection(Cancellable):
    """Somebody who waits until a host may have another connection (`per_host_thresholds`)."""

    __slots__ = ("_options", "_pool", "_upstream", "callbacks", "host")

    def __init__(self, pool: TcpConnectionPool, host: Host, callbacks: TcpPoolCallbacks, options: PoolOptions) -> None:
        self._pool = pool
        self._options = options
        self._upstream: TcpUpstreamConnection | None = None
        self.host = host
        self.callbacks = callbacks
        pool.count_waiting(host)

    def begin(self) -> None:
        """There is room: connect."""
        self._upstream = TcpUpstreamConnection(self._pool, self.host, self.callbacks, self._options, True)

    def cancel(self) -> None:
        """Stop waiting, for the host or for its answer."""
        if self._upstream is None:
            self._pool.leave(self)
        else:
            self._upstream.cancel()


class TcpConnectionPool:
    """Counts the connections of one cluster."""

    __slots__ = (
        "_connections",
        "_waiting",
        "connect_counts",
        "connector",
        "dispatcher",
        "info",
        "resources",
        "settings",
        "stats",
    )

    def __init__(self, *, info: ClusterInfo, connector: Connector, dispatcher: Dispatcher) -> None:
        self.info = info
        self.settings = info.settings
        self.stats = info.stats
        self.resources = info.default_resources
        self.connector = connector
        self.dispatcher = dispatcher
        self.connect_counts = ConnectCounts(info.stats.upstream_cx_total, info.stats.bind_errors)
        self._connections: set[TcpUpstreamConnection] = set()
        self._waiting: list[WaitingConnection] = []

    def new_connection(
        self, host: Host, callbacks: TcpPoolCallbacks, options: PoolOptions = DEFAULT_OPTIONS
    ) -> Cancellable | None:
        """Begin to connect. None where the breaker of pending requests is open: `on_pool_failure` has been called."""
        if not self.resources.pending_requests.can_create():
            self.stats.upstream_rq_pending_overflow.inc()
            callbacks.on_pool_failure(PoolFailureReason.OVERFLOW, "", None)
            return None
        if host.stats.cx_active.value >= self.resources.max_connections_per_host and self._has_connection(host):
            self.stats.upstream_cx_overflow.inc()
            waiting = WaitingConnection(self, host, callbacks, options)
            self._waiting.append(waiting)
            return waiting
        return TcpUpstreamConnection(self, host, callbacks, options)

    def _has_connection(self, host: Host) -> bool:
        """Whether there is a connection whose end will make room: without one nobody waits."""
        return any(each.host is host for each in self._connections)

    def leave(self, waiting: WaitingConnection) -> None:
        """Somebody waits no more."""
        self._waiting.remove(waiting)
        self.stats.upstream_rq_cancelled.inc()
        self._count_waited(waiting.host)

    def on_closed(self, host: Host) -> None:
        """A connection is over, and its owner knows: another may begin."""
        first = next((each for each in self._waiting if each.host is host), None)
        if first is not None:
            self._waiting.remove(first)
            first.begin()

    def count_waiting(self, host: Host) -> None:
        """Somebody wants a connection."""
        stats = self.stats
        stats.upstream_rq_pending_total.inc()
        stats.upstream_rq_pending_active.inc()
        host.stats.rq_pending_active.inc()
        self.resources.pending_requests.inc()

    def count_new(self, upstream: TcpUpstreamConnection) -> None:
        """An attempt begins."""
        stats, resources, of_host = self.stats, self.resources, upstream.host.stats
        self._connections.add(upstream)
        stats.upstream_cx_total.inc()
        stats.upstream_cx_active.inc()
        of_host.cx_total.inc()
        of_host.cx_active.inc()
        resources.connections.inc()

    def count_ready(self, upstream: TcpUpstreamConnection, milliseconds: int) -> None:
        """It is connected, and somebody's from now on."""
        stats, of_host = self.stats, upstream.host.stats
        self._count_waited(upstream.host)
        stats.upstream_cx_connect_ms.record(milliseconds)
        stats.upstream_rq_total.inc()
        stats.upstream_rq_active.inc()
        of_host.rq_total.inc()
        of_host.rq_active.inc()
        self.resources.requests.inc()

    def _count_waited(self, host: Host) -> None:
        self.stats.upstream_rq_pending_active.dec()
        host.stats.rq_pending_active.dec()
        self.resources.pending_requests.dec()

    def count_closed(
        self, upstream: TcpUpstreamConnection, ready: bool, remote: bool, timed_out: bool, cancelled: bool, age: int
    ) -> None:
        """It is over; `age` is in milliseconds."""
        stats, of_host = self.stats, upstream.host.stats
        self._connections.discard(upstream)
        stats.upstream_cx_active.dec()
        of_host.cx_active.dec()
        self.resources.connections.dec()
        stats.upstream_cx_destroy.inc()
        (stats.upstream_cx_destroy_remote if remote else stats.upstream_cx_destroy_local).inc()
        stats.upstream_cx_length_ms.record(age)
        if ready:
            return
        self._count_waited(upstream.host)
        stats.upstream_cx_connect_fail.inc()
        of_host.cx_connect_fail.inc()
        if timed_out:
            stats.upstream_cx_connect_timeout.inc()
        if not cancelled:
            stats.upstream_rq_pending_failure_eject.inc()

    def count_released(self, upstream: TcpUpstreamConnection) -> None:
        """It is nobody's any more."""
        self.stats.upstream_rq_active.dec()
        upstream.host.stats.rq_active.dec()
        self.resources.requests.dec()

    def count_cut(self, upstream: TcpUpstreamConnection, remote: bool) -> None:
        """It has ended while it was somebody's."""
        self.count_released(upstream)
        stats = self.stats
        stats.upstream_cx_destroy_with_active_rq.inc()
        if remote:
            stats.upstream_cx_destroy_remote_with_active_rq.inc()
        else:
            stats.upstream_cx_destroy_local_with_active_rq.inc()

    def buffered(self) -> list[tuple[int, int]]:
        """Each connection's waiting bytes: received and written ones."""
        return [each.connection.buffered for each in self._connections]

    def close(self, host: Host | None = None) -> None:
        """Close every connection now, or those of a host; who waits for one is told of a local failure."""
        left = [each for each in self._waiting if host is None or each.host is host]
        self._waiting = [each for each in self._waiting if each not in left]
        for connection in list(self._connections):
            if host is None or connection.host is host:
                connection.close(CloseType.NO_FLUSH)
        for waiting in left:
            self._count_waited(waiting.host)
            waiting.callbacks.on_pool_failure(PoolFailureReason.LOCAL_CONNECTION_FAILURE, "", waiting.host)
