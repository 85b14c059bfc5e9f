"""A cluster's connection pools: one for each host and whatever else makes connections differ.

Envoy's `ConnPoolsContainer` and `ConnPoolMap`. This module must not choose among hosts or connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from envoymesh.http.codec import ClientCodec, HttpProtocol, ResponseDecoder
from envoymesh.http.http1 import Http1ClientCodec
from envoymesh.http.http2 import Http2ClientCodec
from envoymesh.network.api import Connector, Dispatcher, SocketOption
from envoymesh.upstream.api import Cancellable, PoolCallbacks, PoolFailureReason
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.connection import UpstreamConnection
from envoymesh.upstream.pool.pool import ConnectionPool
from envoymesh.upstream.pool.tcp import TcpConnectionPool, TcpPoolCallbacks
from envoymesh.upstream.resource_manager import ResourceManager

_PROTOCOLS: Final = {"HTTP1": HttpProtocol.HTTP11, "HTTP2": HttpProtocol.HTTP2, "ALPN": None}
"""What a pool's connections speak, by kind; None is agreed on with each peer."""


class PoolOptions(NamedTuple):
    """What makes one request's connections differ from another's, beyond host and protocol.

    Args:
        priority: ``DEFAULT`` or ``HIGH``, whose circuit breakers count.
        socket_options: set on its sockets after the cluster's own.
        upgrade: what an HTTP/1 connection is upgraded to, or empty.
    """

    priority: str = "DEFAULT"
    socket_options: tuple[SocketOption, ...] = ()
    upgrade: str = ""


class ConnectionPools:
    """All pools of one cluster."""

    __slots__ = ("_by_host", "_connector", "_dispatcher", "_info", "_kind", "_leaving", "_tcp")

    def __init__(self, info: ClusterInfo, connector: Connector, dispatcher: Dispatcher) -> None:
        self._info = info
        self._connector = connector
        self._dispatcher = dispatcher
        self._kind: str = info.settings.protocol
        # A pool's key is its kind, or its kind and options where these are not the default ones.
        self._by_host: dict[Host, dict[object, ConnectionPool]] = {}
        self._leaving: set[ConnectionPool] = set()
        self._tcp: TcpConnectionPool | None = None

    def __iter__(self) -> Iterator[ConnectionPool]:
        """All pools, also those that are being drained."""
        return iter([*self._leaving, *(pool for pools in self._by_host.values() for pool in pools.values())])

    def new_stream(
        self,
        host: Host,
        decoder: ResponseDecoder,
        callbacks: PoolCallbacks,
        downstream_protocol: HttpProtocol | None,
        options: PoolOptions | None = None,
    ) -> Cancellable | None:
        """A stream to a host: called back before this returns (and None is given) when a connection is ready."""
        kind = self._kind
        if kind == "DOWNSTREAM":
            kind = "HTTP2" if downstream_protocol is HttpProtocol.HTTP2 else "HTTP1"
        key: object = kind if options is None else (kind, options)
        pools = self._by_host.get(host)
        if pools is None:
            pools = self._by_host[host] = {}
        pool = pools.get(key)
        if pool is None:
            options = options or PoolOptions()
            if not self._may_make(pools, self._info.resource_manager(options.priority)):
                self._info.stats.upstream_cx_pool_overflow.inc()
                callbacks.on_pool_failure(PoolFailureReason.NO_POOL, "", None)
                return None
            pool = pools[key] = self._make(host, kind, key, options)
        return pool.new_stream(decoder, callbacks)

    def _may_make(self, pools: dict[object, ConnectionPool], resources: ResourceManager) -> bool:
        """Whether there may be one more pool, if need be for one of the host's others that nobody uses just now."""
        if resources.connection_pools.can_create():
            return True
        for key, pool in pools.items():
            if pool.resources is resources and not pool.is_active:
                del pools[key]
                self._leaving.add(pool)
                pool.drain()
                return True
        return False

    def new_tcp_connection(self, host: Host, callbacks: TcpPoolCallbacks) -> Cancellable | None:
        """A connection of the caller's own to a host; None where a circuit breaker is open, which it has been told."""
        if self._tcp is None:
            self._tcp = TcpConnectionPool(info=self._info, connector=self._connector, dispatcher=self._dispatcher)
        return self._tcp.new_connection(host, callbacks)

    def _make(self, host: Host, kind: str, key: object, options: PoolOptions) -> ConnectionPool:
        resources = self._info.resource_manager(options.priority)

        def forget(pool: ConnectionPool) -> None:
            resources.connection_pools.dec()
            self._leaving.discard(pool)
            pools = self._by_host.get(host, {})
            if pools.get(key) is pool:
                del pools[key]

        info = self._info
        resources.connection_pools.inc()
        # As in Envoy the codec's stats exist from here on, also where no connection is made.
        if kind == "HTTP1":
            _ = info.http1_stats
        elif kind == "HTTP2":
            _ = info.http2_stats
        factories = {"HTTP1": self._make_http1, "HTTP2": self._make_http2, "ALPN": self._by_alpn}
        return ConnectionPool(
            host,
            settings=info.settings,
            stats=info.stats,
            resources=resources,
            connector=self._connector,
            tls=info.transport_sockets.resolve(host.endpoint).socket.get(kind),
            dispatcher=self._dispatcher,
            codec_factory=factories[kind],
            protocol=_PROTOCOLS[kind],
            on_idle=forget,
            socket_options=options.socket_options,
            forget_when_idle=info.counts_pools,
        )

    def _make_http1(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        info = self._info
        return Http1ClientCodec(client, client, info.settings.http1, info.http1_stats), HttpProtocol.HTTP11

    def _make_http2(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        info = self._info
        return Http2ClientCodec(client, client, info.settings.http2, info.http2_stats), HttpProtocol.HTTP2

    def _by_alpn(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        tls = client.connection.tls
        return self._make_http2(client) if tls is not None and tls.alpn == "h2" else self._make_http1(client)

    def has_connections(self, host: Host) -> bool:
        """Whether there is a connection to a host, or somebody who waits for one."""
        return any(not pool.is_idle for pool in self._by_host.get(host, {}).values())

    # Hosts that leave or fail

    def drain_host(self, host: Host) -> None:
        """A host is no member any more: its requests finish, then its pools are forgotten."""
        for pool in self._by_host.pop(host, {}).values():
            self._leaving.add(pool)
            pool.drain()

    def drain_connections(self, host: Host) -> None:
        """A host stays, but its connections take no new requests: the next ones are made anew."""
        for pool in tuple(self._by_host.get(host, {}).values()):
            pool.drain_connections()

    def close_tcp_connections(self, host: Host) -> None:
        """Close a host's connections that are their owners' alone; each owner is told."""
        if self._tcp is not None:
            self._tcp.close(host)

    def buffered(self) -> list[tuple[int, int]]:
        """Each connection's waiting bytes: received and written ones."""
        waiting = [buffered for pool in self for buffered in pool.buffered()]
        return waiting if self._tcp is None else [*waiting, *self._tcp.buffered()]

    def close(self) -> None:
        """Close every connection now."""
        for pool in self:
            pool.close()
        if self._tcp is not None:
            self._tcp.close()
