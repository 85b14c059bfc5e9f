"""A cluster: its hosts, its balancer, its pools (Envoy's `ThreadLocalCluster`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

from envoymesh.http.codec import ClientCodec, HttpProtocol, ResponseDecoder
from envoymesh.http.http1 import Http1ClientCodec
from envoymesh.http.http2 import Http2ClientCodec
from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.network.api import ClientTls, Connector, Dispatcher
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope
from envoymesh.upstream.api import Cancellable, LoadBalancerContext, PoolCallbacks, TcpPoolCallbacks
from envoymesh.upstream.discovery.api import Discovery
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.availability import Availability, availability_of
from envoymesh.upstream.lb.balancers import Random, make_load_balancer
from envoymesh.upstream.pool.connection import UpstreamConnection
from envoymesh.upstream.pool.pool import ConnectionPool
from envoymesh.upstream.pool.tcp import TcpConnectionPool
from envoymesh.upstream.request_stats import ResponseCodeStats
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings, ThresholdSettings
from envoymesh.upstream.stats import (
    CircuitBreakerStats,
    ClusterStats,
    RemainingStats,
    UnusedClusterStats,
)

_PROTOCOLS: Final = {"HTTP1": HttpProtocol.HTTP11, "HTTP2": HttpProtocol.HTTP2, "ALPN": None}
"""What a pool's connections speak, by kind; None is agreed on with each peer."""


class Cluster:
    """One upstream cluster.

    Args:
        scope: its stats, ``cluster.<name>.``.
        tls: what the connector needs for TLS, by what a pool speaks; None for plain TCP.
        make_tcp_tls: makes the same for connections that speak no HTTP, when the first of them is asked for.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        scope: Scope,
        connector: Connector,
        dispatcher: Dispatcher,
        random: Random,
        runtime: RuntimeReader,
        tls: Mapping[str, ClientTls] | None = None,
        make_tcp_tls: Callable[[], ClientTls | None] = lambda: None,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.metadata = settings.metadata
        self.scope = scope
        self.stats = ClusterStats.create(scope)
        self.stats.warming_state.set(0)
        UnusedClusterStats.create(scope)
        self.hosts: Sequence[Host] = ()
        self.code_stats = ResponseCodeStats(scope)
        self._connector = connector
        self._tls = tls or {}
        self._make_tcp_tls = make_tcp_tls
        self._tcp_pool: TcpConnectionPool | None = None
        self._dispatcher = dispatcher
        self._random = random
        self._balancer = make_load_balancer(settings, random)
        self._degraded_balancer = make_load_balancer(settings, random)
        self.maintenance_mode = runtime.share(f"upstream.maintenance_mode.{settings.name}", 0.0)
        self._panic_percent = runtime.number(
            "upstream.healthy_panic_threshold", settings.healthy_panic_percent, self._on_panic_percent
        )
        self._available = availability_of((), self._panic_percent.value)
        self._default_resources = self._make_resources("default", settings.default_thresholds, runtime)
        self._high_resources = self._make_resources("high", settings.high_thresholds, runtime)
        self._leaving: set[ConnectionPool] = set()
        self._discovery: Discovery | None = None
        self._kind = settings.protocol
        self._factories = {"HTTP1": self._make_http1, "HTTP2": self._make_http2, "ALPN": self._by_alpn}

    def __repr__(self) -> str:
        return f"<Cluster {self.name} {self._kind} hosts={list(self.hosts)}>"

    def _make_resources(self, priority: str, thresholds: ThresholdSettings, runtime: RuntimeReader) -> ResourceManager:
        scope = self.scope.scope(f"circuit_breakers.{priority}.")
        remaining = RemainingStats.create(scope) if thresholds.track_remaining else None
        stats = CircuitBreakerStats.create(scope)
        return ResourceManager(thresholds, stats, runtime, f"circuit_breakers.{self.name}.{priority}.", remaining)

    def resource_manager(self, priority: str = "DEFAULT") -> ResourceManager:
        """The circuit breakers of a priority, ``DEFAULT`` or ``HIGH``."""
        return self._high_resources if priority == "HIGH" else self._default_resources

    # Hosts

    def start(self, discovery: Discovery, on_initialised: Callable[[], None]) -> None:
        """Begin discovery."""
        self._discovery = discovery
        discovery.start(self.update_hosts, on_initialised)

    def update_hosts(self, hosts: Sequence[Host]) -> None:
        """Take a new set of hosts: those that left finish what they have."""
        closes_all = self.settings.close_connections_on_host_set_change
        left = set(self.hosts) - set(hosts)
        if closes_all:
            left.update(self.hosts)
        self.hosts = hosts
        available = self._sort_hosts()
        stats = self.stats
        stats.membership_change.inc()
        stats.membership_total.set(len(hosts))
        stats.membership_healthy.set(len(available.healthy))
        stats.membership_degraded.set(len(available.degraded))
        stats.membership_excluded.set(len(available.excluded))
        for host in left:
            pools = list(host.pools.values())
            if closes_all:
                host.pools.clear()  # those that stay get new ones
            for pool in pools:
                self._leaving.add(pool)
                pool.drain()

    def _sort_hosts(self) -> Availability:
        hosts = self.hosts
        self._available = available = availability_of(hosts, self._panic_percent.value)
        in_panic = () if self.settings.fail_traffic_on_panic else hosts
        self._balancer.update(in_panic if available.panic else available.healthy)
        self._degraded_balancer.update(available.degraded)
        return available

    def _on_panic_percent(self, percent: int) -> None:
        self._sort_hosts()

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The balancer's host, or None (counted as `upstream_cx_none_healthy`)."""
        host = self._pick()
        if host is None:
            self.stats.upstream_cx_none_healthy.inc()
        elif context is not None:
            for _ in range(context.host_selection_attempts()):
                if not context.should_select_another_host(host):
                    break
                host = self._pick() or host
        return host

    def _pick(self) -> Host | None:
        available = self._available
        if available.panic:
            self.stats.lb_healthy_panic.inc()
        elif available.healthy_percent < 100 and self._random() * 100 >= available.healthy_percent:
            return self._degraded_balancer.choose()
        return self._balancer.choose()

    # Streams

    def new_stream(
        self, host: Host, decoder: ResponseDecoder, callbacks: PoolCallbacks, downstream_protocol: HttpProtocol | None
    ) -> Cancellable | None:
        """A stream to a host: called back before this returns (and None is given) when a connection is ready."""
        kind = self._kind
        if kind == "DOWNSTREAM":
            kind = "HTTP2" if downstream_protocol is HttpProtocol.HTTP2 else "HTTP1"
        pool = host.pools.get(kind)
        if pool is None:
            pool = host.pools[kind] = self._make_pool(host, kind)
        return pool.new_stream(decoder, callbacks)

    def new_tcp_connection(self, host: Host, callbacks: TcpPoolCallbacks) -> Cancellable | None:
        """A connection of the caller's own to a host (Envoy's `tcpConnPool().newConnection()`); None where a circuit
        breaker is open, which `callbacks` has then been told."""
        if self._tcp_pool is None:
            self._tcp_pool = TcpConnectionPool(
                settings=self.settings,
                stats=self.stats,
                resources=self._default_resources,
                connector=self._connector,
                tls=self._make_tcp_tls(),
                dispatcher=self._dispatcher,
            )
        return self._tcp_pool.new_connection(host, callbacks)

    def _make_pool(self, host: Host, kind: str) -> ConnectionPool:
        def forget(pool: ConnectionPool) -> None:
            self._leaving.discard(pool)
            if host.pools.get(kind) is pool:
                del host.pools[kind]

        # Also where no connection comes to be.
        if kind == "HTTP1":
            _ = self._http1_stats
        elif kind == "HTTP2":
            _ = self._http2_stats
        return ConnectionPool(
            host,
            settings=self.settings,
            stats=self.stats,
            resources=self._default_resources,
            connector=self._connector,
            tls=self._tls.get(kind),
            dispatcher=self._dispatcher,
            codec_factory=self._factories[kind],
            protocol=_PROTOCOLS[kind],
            on_idle=forget,
        )

    # As in Envoy, a codec's stats come with its first connection.

    @cached_property
    def _http1_stats(self) -> Http1CodecStats:
        return Http1CodecStats.create(self.scope.scope("http1."))

    @cached_property
    def _http2_stats(self) -> Http2CodecStats:
        return Http2CodecStats.create(self.scope.scope("http2."))

    def _make_http1(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        return Http1ClientCodec(client, client, self.settings.http1, self._http1_stats), HttpProtocol.HTTP11

    def _make_http2(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        return Http2ClientCodec(client, client, self.settings.http2, self._http2_stats), HttpProtocol.HTTP2

    def _by_alpn(self, client: UpstreamConnection) -> tuple[ClientCodec, HttpProtocol]:
        tls = client.connection.tls
        return self._make_http2(client) if tls is not None and tls.alpn == "h2" else self._make_http1(client)

    def charge_response(self, status: int, internal: bool, host: Host | None) -> None:
        """Count a response by its code, and an error (5xx) as the host's that gave it, where there is one.

        `internal` says whether the request came from inside (x-envoy-internal).
        """
        self.code_stats.charge(status, internal, host is not None and host.canary)
        if status >= 500 and host is not None:
            host.stats.rq_error.inc()

    def shutdown(self) -> None:
        """Stop discovery and close every connection."""
        if self._discovery is not None:
            self._discovery.stop()
        for pool in self._pools():
            pool.close()
        if self._tcp_pool is not None:
            self._tcp_pool.close()

    def _pools(self) -> list[ConnectionPool]:
        return [*self._leaving, *(pool for host in self.hosts for pool in host.pools.values())]

    @property
    def tls(self) -> ClientTls | None:
        """What its connections are secured with, one for all that its pools speak; None is plain TCP."""
        return next(iter(self._tls.values()), None)

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""
        waiting = [buffered for pool in self._pools() for buffered in pool.buffered()]
        if self._tcp_pool is not None:
            waiting += self._tcp_pool.buffered()
        self.stats.upstream_cx_rx_bytes_buffered.set(sum(received for received, _ in waiting))
        self.stats.upstream_cx_tx_bytes_buffered.set(sum(written for _, written in waiting))
