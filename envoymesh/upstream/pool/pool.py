"""The connection pool of one host and protocol kind (Envoy's `ConnPoolImplBase`), HTTP/1 and HTTP/2 alike.

Three lists, updated as things happen, never rescanned: ready connections (the last used first), requests
that wait for one, and a count of connections under way. A request takes the newest ready connection; else
it waits, and a connection is begun if those under way have no room for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from envoymesh.http.codec import ClientCodec, HttpProtocol, ResponseDecoder
from envoymesh.network.api import ClientTls, Connector, Dispatcher
from envoymesh.upstream.api import PoolCallbacks, PoolFailureReason
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.connection import State, UpstreamConnection
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings
from envoymesh.upstream.stats import ClusterStats

ASSUMED_HTTP2_STREAMS = 100
"""Streams that a connection under way counts for before its SETTINGS are known (RFC 9113 section 6.5.2's advice)."""

CodecFactory = Callable[[UpstreamConnection], tuple[ClientCodec, HttpProtocol]]
"""Makes the codec of a connection that has connected."""


class PendingStream:
    """A request that waits for a connection; also its Cancellable."""

    __slots__ = ("_pool", "callbacks", "decoder")

    def __init__(self, pool: ConnectionPool, decoder: ResponseDecoder, callbacks: PoolCallbacks) -> None:
        self._pool = pool
        self.decoder = decoder
        self.callbacks = callbacks

    def cancel(self) -> None:
        """Stop waiting."""
        self._pool.cancel(self)


class ConnectionPool:
    """Connections to one host.

    Args:
        multiplexed: whether a connection takes many streams at a time (for planning; the codec decides).
        on_idle: called when a draining pool has no connection left.
    """

    __slots__ = (
        "_codec_factory",
        "_connecting",
        "_connections",
        "_draining",
        "_multiplexed",
        "_on_idle",
        "_pending",
        "_ready",
        "connector",
        "dispatcher",
        "host",
        "protocol",
        "resources",
        "settings",
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
        multiplexed: bool,
        on_idle: Callable[[ConnectionPool], None],
    ) -> None:
        self.host = host
        self.settings = settings
        self.stats = stats
        self.resources = resources
        self.connector = connector
        self.tls = tls
        self.dispatcher = dispatcher
        self.protocol = HttpProtocol.HTTP2 if multiplexed else HttpProtocol.HTTP11
        self._codec_factory = codec_factory
        self._multiplexed = multiplexed
        self._on_idle = on_idle
        self._ready: list[UpstreamConnection] = []
        self._connections: set[UpstreamConnection] = set()
        self._connecting = 0
        self._pending: deque[PendingStream] = deque()
        self._draining = False

    def __repr__(self) -> str:
        return (
            f"<ConnectionPool {self.host.address} {self.protocol.value} connections={len(self._connections)} "
            f"ready={len(self._ready)} pending={len(self._pending)}>"
        )

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._connections and not self._pending

    def new_stream(self, decoder: ResponseDecoder, callbacks: PoolCallbacks) -> PendingStream | None:
        """A stream now (the callback comes before this returns, and the answer is None), or a wait for one."""
        if self._ready:
            self._attach(self._ready[-1], decoder, callbacks)
            return None
        if not self.resources.pending_requests.can_create():
            self.stats.upstream_rq_pending_overflow.inc()
            callbacks.on_pool_failure(PoolFailureReason.OVERFLOW, "", self.host)
            return None
        pending = PendingStream(self, decoder, callbacks)
        self._pending.append(pending)
        self.stats.upstream_rq_pending_total.inc()
        self.stats.upstream_rq_pending_active.inc()
        self.resources.pending_requests.inc()
        self._connect_if_needed()
        return pending if pending in self._pending else None

    def _attach(self, client: UpstreamConnection, decoder: ResponseDecoder, callbacks: PoolCallbacks) -> None:
        resources = self.resources
        if not resources.requests.can_create():
            self.stats.upstream_rq_pending_overflow.inc()
            callbacks.on_pool_failure(PoolFailureReason.OVERFLOW, "", self.host)
            return
        encoder = client.new_stream(decoder)
        resources.requests.inc()
        stats = self.stats
        stats.upstream_rq_total.inc()
        stats.upstream_rq_active.inc()
        host_stats = self.host.stats
        host_stats.rq_total.inc()
        host_stats.rq_active.inc()
        if not client.can_take_stream:
            self._ready.pop()
            if client.state is State.READY:
                client.state = State.BUSY
        callbacks.on_pool_ready(encoder, self.host, client.connection, self.protocol)

    # Connecting

    def _connect_if_needed(self) -> None:
        while self._wants_connection():
            if not self.resources.connections.can_create():
                self.stats.upstream_cx_overflow.inc()
                if self._connections:
                    return
            self._connecting += 1
            self._connections.add(UpstreamConnection(self))

    def _wants_connection(self) -> bool:
        room = self._connecting * (ASSUMED_HTTP2_STREAMS if self._multiplexed else 1)
        return len(self._pending) > room and not self._ready

    def make_codec(self, client: UpstreamConnection) -> ClientCodec:
        """The codec of a connection that has just connected."""
        codec, self.protocol = self._codec_factory(client)
        if self.protocol is HttpProtocol.HTTP2:
            self.stats.upstream_cx_http2_total.inc()
        else:
            self.stats.upstream_cx_http1_total.inc()
        return codec

    def on_connected(self, client: UpstreamConnection) -> None:
        """A connection is usable: serve who waits."""
        self._connecting -= 1
        self.on_capacity_changed(client)
        self._connect_if_needed()

    def on_capacity_changed(self, client: UpstreamConnection) -> None:
        """A connection may have gained or lost room for streams."""
        if client.state is State.BUSY and client.can_take_stream:
            client.state = State.READY
            self._ready.append(client)
            self._serve_pending()
        elif client.state is State.READY and not client.can_take_stream:
            client.state = State.BUSY
            self._ready.remove(client)

    def _serve_pending(self) -> None:
        while self._pending and self._ready:
            pending = self._take_pending()
            self._attach(self._ready[-1], pending.decoder, pending.callbacks)

    def _take_pending(self) -> PendingStream:
        self.stats.upstream_rq_pending_active.dec()
        self.resources.pending_requests.dec()
        return self._pending.popleft()

    def cancel(self, pending: PendingStream) -> None:
        """A request stops waiting."""
        if pending in self._pending:
            self._pending.remove(pending)
            self.stats.upstream_rq_pending_active.dec()
            self.stats.upstream_rq_cancelled.inc()
            self.resources.pending_requests.dec()

    # What connections report

    def on_stream_ended(self, client: UpstreamConnection) -> None:
        """A stream's slot is free again."""
        self.resources.requests.dec()
        self.stats.upstream_rq_active.dec()
        self.host.stats.rq_active.dec()
        state = client.state
        if state is State.BUSY:
            self.on_capacity_changed(client)
            if not client.can_take_stream and client.active_streams == 0:
                client.close()
        elif client.active_streams == 0 and (state is State.DRAINING or self._draining):
            client.close()

    def on_connection_closed(self, client: UpstreamConnection, before: State, remote: bool) -> None:
        """A connection is gone; one that never connected takes all who wait with it."""
        self._connections.discard(client)
        if before is State.READY:
            self._ready.remove(client)
        elif before is State.CONNECTING:
            self._connecting -= 1
            self._fail_pending(client, remote)
        if self._pending:
            self._connect_if_needed()
        if self._draining and self.is_idle:
            self._on_idle(self)

    def _fail_pending(self, client: UpstreamConnection, remote: bool) -> None:
        if remote:
            reason = PoolFailureReason.REMOTE_CONNECTION_FAILURE
        elif client.timed_out:
            reason = PoolFailureReason.TIMEOUT
            self.stats.upstream_cx_connect_timeout.inc()
        else:
            reason = PoolFailureReason.LOCAL_CONNECTION_FAILURE
        failed = [self._take_pending() for _ in range(len(self._pending))]
        for pending in failed:
            self.stats.upstream_rq_pending_failure_eject.inc()
            pending.callbacks.on_pool_failure(reason, client.connection.failure_reason, self.host)

    # Draining

    def drain_connection(self, client: UpstreamConnection) -> None:
        """No new streams on this one; it closes after its last."""
        if client.state not in (State.READY, State.BUSY):
            return
        if client.state is State.READY:
            self._ready.remove(client)
        client.state = State.DRAINING
        if client.active_streams == 0:
            client.close()

    def drain(self) -> None:
        """The host is leaving: requests under way finish, idle connections close."""
        self._draining = True
        for client in list(self._connections):
            self.drain_connection(client)
        if self.is_idle:
            self._on_idle(self)

    def close(self) -> None:
        """Close every connection now."""
        for client in list(self._connections):
            client.close()
