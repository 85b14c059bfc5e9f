"""A cluster's connection pools: one for each host and whatever else makes connections differ.

Envoy's `ConnPoolsContainer` and `ConnPoolMap`. This module must not choose among hosts or connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from envoymesh.http.codec import ClientCodec, HttpProtocol, ResponseDecoder
from envoymesh.http.http1 import Http1ClientCodec
from envoymesh.http.http1.client import WholeUrlClientCodec
from envoymesh.http.http2 import Http2ClientCodec
from envoymesh.http.keepalive import PING_TIMEOUT, PingingClientCodec
from envoymesh.network.api import ClientTls, Connector, Dispatcher
from envoymesh.upstream.api import Cancellable, PoolCallbacks, PoolFailureReason
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.connection import UpstreamConnection
from envoymesh.upstream.pool.options import DEFAULT_OPTIONS, PoolOptions
from envoymesh.upstream.pool.pool import CONNECTIONS_AT_ONCE, ConnectionPool, PoolLoad
from envoymesh.upstream.pool.tcp import TcpConnectionPool, TcpPoolCallbacks
from envoymesh.upstream.resource_manager import ResourceManager

_PROTOCOLS: Final = {"HTTP1": HttpProtocol.HTTP11, "HTTP2": HttpProtocol.HTTP2, "ALPN": None}
"""What a pool's connections speak, by kind; None is agreed on with each peer."""


class ConnectionPools:
    """All pools of one cluster."""

    __slots__ = (
        "_by_host",
        "_connector",
        "_dispatcher",
        "_info",
        "_kind",
        "_leaving",
        "_random",
        "_tcp",
        "_tlv_as_pool_key",
    )

    def __init__(
        self, info: ClusterInfo, connector: Connector, dispatcher: Dispatcher, random: Callable[[], float]
    ) -> None:
        self._info = info
        self._connector = connector
        self._dispatcher = dispatcher
        self._random = random
        self._kind: str = info.settings.protocol
        # A pool's key is its kind, or its kind and options where these are not the default ones.
        self._by_host: dict[Host, dict[object, ConnectionPool]] = {}
        self._leaving: set[ConnectionPool] = set()
        self._tcp: TcpConnectionPool | None = None
        settings = info.settings
        headers = (settings.proxy_protocol, *(each.proxy_protocol for each in settings.tls_matches))
        self._tlv_as_pool_key = any(each.tlv_as_pool_key for each in headers if each is not None)

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
        pool = self._pool(host, downstream_protocol, options)
        if pool is None:
            self._info.stats.upstream_cx_pool_overflow.inc()
            callbacks.on_pool_failure(PoolFailureReason.NO_POOL, "", None)
            return None
        return pool.new_stream(decoder, callbacks)

    def _pool(
        self, host: Host, downstream_protocol: HttpProtocol | None, options: PoolOptions | None
    ) -> ConnectionPool | None:
        """The pool for such requests; None where there may not be another one (`max_connection_pools`)."""
        kind = self._kind
        if kind == "DOWNSTREAM":
            kind = "HTTP2" if downstream_protocol is HttpProtocol.HTTP2 else "HTTP1"
        key: object = kind
        if options is not None:
            key = (kind, options if self._tlv_as_pool_key else options.without_tlvs)
        pools = self._by_host.get(host)
        if pools is None:
            pools = self._by_host[host] = {}
        pool = pools.get(key)
        if pool is None:
            options = options or DEFAULT_OPTIONS
            if not self._may_make(pools, self._info.resource_manager(options.priority)):
                return None
            pool = pools[key] = self._make(host, kind, key, options)
        return pool

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

    def preconnect(
        self, peek: Callable[[], Host | None], downstream_protocol: HttpProtocol | None, options: PoolOptions | None
    ) -> None:
        """A stream is about to begin: connect to hosts that are likely to be next (`predictive_preconnect_ratio`).

        Args:
            peek: the next of those hosts.
        """
        ratio = self._info.settings.predictive_preconnect_ratio
        for _ in range(CONNECTIONS_AT_ONCE):
            if not self._load().wants_more(ratio, 1):
                return
            host = peek()
            pool = None if host is None else self._pool(host, downstream_protocol, options)
            if pool is None or not pool.preconnect(ratio):
                return

    def _load(self) -> PoolLoad:
        """What all pools have to do. They are looked at one by one: asked only where predicting is configured."""
        loads = [pool.load for pool in self]
        return PoolLoad(*(sum(each[at] for each in loads) for at in range(3)))

    def new_tcp_connection(
        self, host: Host, callbacks: TcpPoolCallbacks, options: PoolOptions = DEFAULT_OPTIONS
    ) -> Cancellable | None:
        """A connection of the caller's own to a host; None where a circuit breaker is open, which it has been told."""
        if self._tcp is None:
            self._tcp = TcpConnectionPool(info=self._info, connector=self._connector, dispatcher=self._dispatcher)
        return self._tcp.new_connection(host, callbacks, options)

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
            tls=_named(info.transport_sockets.resolve(host.endpoint).socket.get(kind), options),
            dispatcher=self._dispatcher,
            codec_factory=factories[kind],
            protocol=_PROTOCOLS[kind],
            on_idle=forget,
            socket_options=options.socket_options,
            preface=info.preface(host.endpoint, options.proxied),
            forget_when_idle=info.counts_pools or options is not DEFAULT_OPTIONS,
        )

    def _make_http1(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        info = self._info
        made = WholeUrlClientCodec if info.settings.http1.send_fully_qualified_url else Http1ClientCodec
        return made(client, client, info.settings.http1, info.http1_stats), HttpProtocol.HTTP11

    def _make_http2(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        settings, stats = self._info.settings.http2, self._info.http2_stats
        if settings.keepalive is None:
            return Http2ClientCodec(client, client, settings, stats), HttpProtocol.HTTP2
        dispatcher, random = self._dispatcher, self._random

        def on_timeout() -> None:
            stats.keepalive_timeout.inc()
            client.close(PING_TIMEOUT)

        return PingingClientCodec(client, client, settings, stats, dispatcher, random, on_timeout), HttpProtocol.HTTP2

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


def _named(tls: ClientTls | None, options: PoolOptions) -> ClientTls | None:
    """TLS that asks for a request's own names, where it has any."""
    if tls is None or not (options.server_name or options.subject_alt_names):
        return tls
    return tls.for_names(options.server_name, options.subject_alt_names)
