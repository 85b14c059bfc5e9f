"""The connection pool of one host and protocol kind (Envoy's `ConnPoolImplBase`), HTTP/1 and HTTP/2 alike.

The rules:
- Lists are updated as things happen and never rescanned: ready connections (the last used first), requests that wait,
  and a count of connections under way.
- A request takes the newest ready connection; else it waits, and a connection is begun unless those under way have
  room for all who wait.
- Every request that waits ends in exactly one of: on_pool_ready, on_pool_failure, cancel.
- Callbacks may come back into the pool (a retry asks for the next stream), so the lists are right before each of them.

It must not know which cluster or balancer sent a request here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from envoymesh.http.codec import ClientCodec, HttpProtocol, ResponseDecoder
from envoymesh.network.api import (
    ClientTls,
    ConnectCounts,
    ConnectionPreface,
    Connector,
    Dispatcher,
    SocketOption,
    SourceAddress,
    UpstreamSocketSettings,
)
from envoymesh.upstream.api import Cancellable, PoolCallbacks, PoolFailureReason
from envoymesh.upstream.host import UNHEALTHY_FLAGS, Host
from envoymesh.upstream.pool.connection import UNLIMITED, State, UpstreamConnection
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings
from envoymesh.upstream.stats import ClusterStats

CONNECTIONS_AT_ONCE: Final = 3
"""Connections begun in one go (`ConnPoolImplBase::tryCreateNewConnections`)."""

CodecFactory = Callable[[UpstreamConnection], tuple[ClientCodec, HttpProtocol]]
"""Makes the codec of a connection that has connected."""


class PendingStream(Cancellable):
    """A request that waits for a connection; also its Cancellable."""

    __slots__ = ("_pool", "callbacks", "decoder", "waiting")

    def __init__(self, pool: ConnectionPool, decoder: ResponseDecoder, callbacks: PoolCallbacks) -> None:
        self._pool = pool
        self.decoder = decoder
        self.callbacks = callbacks
        self.waiting = True

    def cancel(self) -> None:
        """Stop waiting."""
        if self.waiting:
            self._pool.cancel(self)


class PoolLoad(NamedTuple):
    """What one pool or several have to do.

    Args:
        pending: requests that wait.
        active: streams.
        capacity: streams that connections, also those under way, have room for besides.
    """

    pending: int
    active: int
    capacity: int

    def wants_more(self, ratio: float, anticipated: int = 0) -> bool:
        """Whether there is to be another connection (`ConnPoolImplBase::shouldConnect`)."""
        return (self.pending + self.active + anticipated) * ratio > self.capacity + self.active


class ConnectionPool:
    """Connections to one host.

    Args:
        tls: what the connector needs for TLS, or None.
        protocol: what all connections speak; None leaves it to ALPN.
        on_idle: called when a draining pool has neither connections nor requests left.
        forget_when_idle: that holds for a pool that is not draining, too.
        socket_options: set on its sockets after the cluster's own.
        preface: what each connection begins with, or None.
        forget_when_idle: `on_idle` is called whenever nothing is left, for such pools are many.
    """

    __slots__ = (
        "_codec_factory",
        "_connecting",
        "_connections",
        "_draining",
        "_forget_when_idle",
        "_on_idle",
        "_pending",
        "_preconnect_ratio",
        "_ready",
        "_streams_per_connection",
        "assumed_limit",
        "connect_counts",
        "connector",
        "dispatcher",
        "host",
        "preface",
        "protocol",
        "resources",
        "settings",
        "socket",
        "stats",
        "tls",
    )

    def __init__(
        self,
        host: Host,
        *,
        settings: ClusterSettings,
        stats: ClusterStats,
        resources: ResourceManager,
        connector: Connector,
        tls: ClientTls | None,
        dispatcher: Dispatcher,
        codec_factory: CodecFactory,
        protocol: HttpProtocol | None,
        on_idle: Callable[[ConnectionPool], None],
        socket_options: tuple[SocketOption, ...] = (),
        preface: ConnectionPreface | None = None,
        forget_when_idle: bool = False,
    ) -> None:
        self.host = host
        self.settings = settings
        self.stats = stats
        self.resources = resources
        self.connector = connector
        self.tls = tls
        self.dispatcher = dispatcher
        self.protocol = protocol
        self.connect_counts = ConnectCounts(stats.upstream_cx_total, stats.bind_errors)
        self.socket: UpstreamSocketSettings = _socket(settings.socket, socket_options)
        self._codec_factory = codec_factory
        self._on_idle = on_idle
        self._forget_when_idle = forget_when_idle
        self.preface = preface
        self._preconnect_ratio: float = settings.preconnect_ratio
        self._streams_per_connection = _planned_streams(settings, protocol)
        self.assumed_limit = UNLIMITED
        self._ready: list[UpstreamConnection] = []
        self._connections: set[UpstreamConnection] = set()
        self._connecting = 0
        self._pending: OrderedDict[PendingStream, None] = OrderedDict()
        self._draining = False

    def __repr__(self) -> str:
        return (
            f"<ConnectionPool {self.host.address} {self.protocol.value if self.protocol else 'ALPN'} "
            f"connections={len(self._connections)} ready={len(self._ready)} pending={len(self._pending)}>"
        )

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._connections and not self._pending

    @property
    def is_active(self) -> bool:
        """Whether a request is on one of its connections, or waits."""
        return bool(self._pending) or any(client.active_streams for client in self._connections)

    def new_stream(self, decoder: ResponseDecoder, callbacks: PoolCallbacks) -> PendingStream | None:
        """A stream now (the callback comes before this returns, and the answer is None), or a wait for one."""
        ready = self._ready
        if ready:
            self._attach(ready[-1], decoder, callbacks)
            if self._preconnect_ratio > 1.0:
                self._connect_if_needed()
            return None
        if not self.resources.pending_requests.can_create():
            self.stats.upstream_rq_pending_overflow.inc()
            callbacks.on_pool_failure(PoolFailureReason.OVERFLOW, "", None)
            return None
        pending = PendingStream(self, decoder, callbacks)
        self._pending[pending] = None
        self.stats.upstream_rq_pending_total.inc()
        self.stats.upstream_rq_pending_active.inc()
        self.host.stats.rq_pending_active.inc()
        self.resources.pending_requests.inc()
        self._connect_if_needed()
        return pending

    def _attach(self, client: UpstreamConnection, decoder: ResponseDecoder, callbacks: PoolCallbacks) -> None:
        requests = self.resources.requests
        stats = self.stats
        if not requests.can_create():
            stats.upstream_rq_active_overflow.inc()
            callbacks.on_pool_failure(PoolFailureReason.OVERFLOW, "", self.host)
            return
        client.active_streams += 1
        client.requests += 1
        encoder = client.codec.new_stream(decoder)
        requests.inc()
        stats.upstream_rq_total.inc()
        stats.upstream_rq_active.inc()
        host = self.host
        host.stats.rq_total.inc()
        host.stats.rq_active.inc()
        if client.remaining_requests:
            self._use_up(client)
        if client.state is State.READY and not client.can_take_stream:
            self._leave_ready(client, State.BUSY)
        callbacks.on_pool_ready(encoder, host, client.connection, client.protocol or HttpProtocol.HTTP11)

    def _use_up(self, client: UpstreamConnection) -> None:
        """Count one of max_requests_per_connection requests; after the last the connection takes no more."""
        client.remaining_requests -= 1
        if not client.remaining_requests:
            self.stats.upstream_cx_max_requests.inc()
            self._leave_ready(client, State.DRAINING)

    def _leave_ready(self, client: UpstreamConnection, state: State) -> None:
        client.state = state
        ready = self._ready
        if ready[-1] is client:
            ready.pop()
        else:
            ready.remove(client)

    # Connecting

    def _connect_if_needed(self) -> None:
        for _ in range(CONNECTIONS_AT_ONCE):
            if not self._wants_connection():
                return
            if not self._connect():
                return

    def _connect(self) -> bool:
        """Begin a connection, and say whether there may be another one."""
        within_limit = (
            self.resources.connections.can_create()
            and self.host.stats.cx_active.value < self.resources.max_connections_per_host
        )
        if not within_limit:
            self.stats.upstream_cx_overflow.inc()
            # Without any connection the requests that wait would wait for ever, so one is made despite the limit.
            if self._connections:
                return False
        self._connecting += 1
        self._connections.add(UpstreamConnection(self))
        return within_limit

    def _wants_connection(self) -> bool:
        pending, under_way = len(self._pending), self._connecting * self._streams_per_connection
        if self._preconnect_ratio <= 1.0 or self.host.health_flag_get(UNHEALTHY_FLAGS):
            return pending > under_way
        return self.load.wants_more(self._preconnect_ratio)

    @property
    def load(self) -> PoolLoad:
        """What the pool has to do. The connections are looked at one by one: asked only where preconnecting is set."""
        active = sum(client.active_streams for client in self._connections)
        free = sum(self._free_streams(client) for client in self._ready)
        return PoolLoad(len(self._pending), active, self._connecting * self._streams_per_connection + free)

    def preconnect(self, ratio: float) -> bool:
        """Connect for a stream that is yet to come (`predictive_preconnect_ratio`); False where nothing was begun."""
        load = self.load
        if self.host.health_flag_get(UNHEALTHY_FLAGS):
            wanted = load.pending > load.capacity
        else:
            wanted = load.wants_more(ratio, 1)
        before = len(self._connections)
        if wanted:
            self._connect()
        return len(self._connections) > before

    def _free_streams(self, client: UpstreamConnection) -> int:
        return max(0, self._streams_per_connection - client.active_streams)

    def make_codec(self, client: UpstreamConnection) -> ClientCodec:
        """The codec of a connection that has just connected."""
        codec, protocol = self._codec_factory(client)
        if client.protocol is None:
            client.set_protocol(protocol)
        return codec

    def on_connected(self, client: UpstreamConnection) -> None:
        """A connection is usable: serve who waits."""
        self._connecting -= 1
        client.state = State.BUSY
        self.on_capacity_changed(client)
        self._connect_if_needed()
        self._close_if_leaving(client)

    def on_capacity_changed(self, client: UpstreamConnection) -> None:
        """A connection may have gained or lost room for streams."""
        if client.state is State.BUSY and client.can_take_stream:
            client.state = State.READY
            self._ready.append(client)
            if self._pending:
                self._serve_pending()
        elif client.state is State.READY and not client.can_take_stream:
            self._leave_ready(client, State.BUSY)

    def on_settings(self, client: UpstreamConnection, limit: int | None) -> None:
        """A peer said how many streams it takes: the next connection to it will not begin more before it says so."""
        self.assumed_limit = UNLIMITED if limit is None else max(limit, 1)
        self._streams_per_connection = min(_planned_streams(self.settings, self.protocol), self.assumed_limit)
        self.on_capacity_changed(client)
        self._connect_if_needed()

    def _serve_pending(self) -> None:
        while self._pending and self._ready:
            pending, _ = self._pending.popitem(last=False)
            self._release(pending)
            self._attach(self._ready[-1], pending.decoder, pending.callbacks)

    def _release(self, pending: PendingStream) -> None:
        pending.waiting = False
        self.stats.upstream_rq_pending_active.dec()
        self.host.stats.rq_pending_active.dec()
        self.resources.pending_requests.dec()

    def cancel(self, pending: PendingStream) -> None:
        """A request that waits stops waiting."""
        self._pending.pop(pending, None)
        self._release(pending)
        self.stats.upstream_rq_cancelled.inc()
        if self._draining:
            self._close_idle()

    # What connections report

    def on_stream_ended(self, client: UpstreamConnection) -> None:
        """A stream's slot is free again."""
        self.release_streams(1)
        state = client.state
        if state is State.BUSY:
            if client.can_take_stream:
                self.on_capacity_changed(client)
            elif not client.active_streams and client.protocol is not HttpProtocol.HTTP2:
                client.finish()
        elif state is State.DRAINING and not client.active_streams:
            client.finish()
        self._close_if_leaving(client)

    def release_streams(self, count: int) -> None:
        """So many streams have ended."""
        for _ in range(count):
            self.resources.requests.dec()
            self.stats.upstream_rq_active.dec()
            self.host.stats.rq_active.dec()

    def remove(self, client: UpstreamConnection, before: State) -> None:
        """A connection is gone; what was to become of it is `on_connection_closed`'s business, after its streams."""
        self._connections.discard(client)
        if before is State.READY:
            self._ready.remove(client)
        elif before is State.CONNECTING:
            self._connecting -= 1

    def on_connection_closed(self, client: UpstreamConnection, before: State, remote: bool) -> None:
        """A connection's streams are reset too; one that never connected takes all who wait with it."""
        if before is State.CONNECTING and self._pending:
            reason = PoolFailureReason.REMOTE_CONNECTION_FAILURE
            if client.timed_out:
                reason = PoolFailureReason.TIMEOUT
            elif not remote:
                reason = PoolFailureReason.LOCAL_CONNECTION_FAILURE
            self._fail_pending(reason, client.connection.failure_reason)
        if client.timed_out:
            self.stats.upstream_cx_connect_timeout.inc()
        if self._pending:
            self._connect_if_needed()
        self._tell_if_idle()

    def _fail_pending(self, reason: PoolFailureReason, transport_failure_reason: str) -> None:
        # A request that comes while these are told waits in the new queue.
        failed, self._pending = self._pending, OrderedDict()
        for pending in failed:
            if pending.waiting:
                self._release(pending)
                self.stats.upstream_rq_pending_failure_eject.inc()
                pending.callbacks.on_pool_failure(reason, transport_failure_reason, self.host)

    # Draining

    def drain_connection(self, client: UpstreamConnection) -> None:
        """No new streams on this one; it closes after its last."""
        if client.state is State.READY:
            self._leave_ready(client, State.DRAINING)
        elif client.state is State.BUSY:
            client.state = State.DRAINING
        if client.state is State.DRAINING and not client.active_streams:
            client.finish()

    def drain(self) -> None:
        """The host is leaving: requests under way and waiting finish, other connections close."""
        self._draining = True
        if self.is_idle:
            self._on_idle(self)
        else:
            self._close_idle()

    def drain_connections(self) -> None:
        """No connection that there is takes new requests; the pool stays, and makes others."""
        for client in list(self._connections):
            self.drain_connection(client)

    def _close_idle(self) -> None:
        for client in list(self._connections):
            self._close_if_leaving(client)

    def _close_if_leaving(self, client: UpstreamConnection) -> None:
        if not self._draining or client.active_streams:
            return
        if client.state is State.CONNECTING:
            if not self._pending:
                client.close()
        elif client.state is not State.CLOSED:
            self.drain_connection(client)

    def _tell_if_idle(self) -> None:
        if (self._draining or self._forget_when_idle) and self.is_idle:
            self._on_idle(self)

    def buffered(self) -> list[tuple[int, int]]:
        """Each connection's waiting bytes: received and written ones."""
        return [client.connection.buffered for client in self._connections]

    def close(self) -> None:
        """Close every connection now; requests that wait fail with a local failure."""
        self._draining = True
        self._fail_pending(PoolFailureReason.LOCAL_CONNECTION_FAILURE, "")
        for client in list(self._connections):
            client.close()


def _planned_streams(settings: ClusterSettings, protocol: HttpProtocol | None) -> int:
    """Streams that a connection under way will take, as far as one can know before its SETTINGS."""
    if protocol is HttpProtocol.HTTP11:
        return 1
    limit = settings.http2.max_concurrent_streams
    return min(limit, settings.max_requests_per_connection) if settings.max_requests_per_connection else limit


def _socket(settings: UpstreamSocketSettings, more: tuple[SocketOption, ...]) -> UpstreamSocketSettings:
    """A cluster's settings of sockets with a request's options besides."""
    if not more:
        return settings
    sources = tuple(SourceAddress(each.address, each.options + more) for each in settings.sources)
    return replace(settings, sources=sources, options=settings.options + more)
