"""What a cluster is, whichever hosts it has: settings, stats, limits, transport sockets (Envoy's `ClusterInfoImpl`).

This module must not know hosts, pools or balancers: all of them know it.
"""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.network.api import ClientTls, ProxiedConnection
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope
from envoymesh.upstream.pool.options import sends_proxy_protocol, separator_for
from envoymesh.upstream.pool.proxy_protocol import ProxyProtocolPreface
from envoymesh.upstream.request_stats import ResponseCodeStats
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, ThresholdSettings
from envoymesh.upstream.stats import (
    CircuitBreakerStats,
    ClusterStats,
    ProxyProtocolStats,
    RemainingStats,
    UnusedClusterStats,
)
from envoymesh.upstream.transport_sockets import TransportSocket, TransportSocketMatch, TransportSocketMatcher


class ClusterInfo:
    """One cluster's facts.

    Args:
        scope: its stats, ``cluster.<name>.``.
        socket: its own transport socket.
        matched_sockets: those of `settings.tls_matches`, in their order.
        own_zone: this proxy's (`node.locality.zone`), or empty.
        make_tcp_tls: makes what secures connections that speak no HTTP, when the first of them is asked for.

    Attributes:
        has_health_checker: whether active health checks set its hosts' flags.
        counts_pools: whether it matters how many pools of connections there are.
        separator: says which requests may share connections; None where all may.
        maintenance_mode: the share of requests that are refused (``upstream.maintenance_mode.<name>``).
    """

    __slots__ = (
        "_high_resources",
        "_http1_stats",
        "_http2_stats",
        "_make_tcp_tls",
        "_proxy_protocol_stats",
        "_tcp_tls",
        "code_stats",
        "counts_pools",
        "default_resources",
        "has_health_checker",
        "maintenance_mode",
        "metadata",
        "name",
        "scope",
        "separator",
        "settings",
        "stats",
        "transport_sockets",
    )

    def __init__(
        self,
        settings: ClusterSettings,
        scope: Scope,
        runtime: RuntimeReader,
        socket: TransportSocket | None = None,
        matched_sockets: tuple[TransportSocket, ...] = (),
        own_zone: str = "",
        make_tcp_tls: Callable[[], ClientTls | None] = lambda: None,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.metadata = settings.metadata
        self.has_health_checker = settings.health_check is not None
        self.scope = scope
        self.stats = ClusterStats.create(scope)
        self.stats.warming_state.set(0)
        UnusedClusterStats.create(scope)
        self.code_stats = ResponseCodeStats(scope, own_zone)
        self.maintenance_mode = runtime.share(f"upstream.maintenance_mode.{settings.name}", 0.0)
        self.default_resources = self._make_resources("default", settings.default_thresholds, runtime)
        self._high_resources = self._make_resources("high", settings.high_thresholds, runtime)
        self.counts_pools: bool = settings.default_thresholds.counts_pools or settings.high_thresholds.counts_pools
        self.transport_sockets = self._make_sockets(socket or {}, matched_sockets)
        self._make_tcp_tls = make_tcp_tls
        self._tcp_tls: list[ClientTls | None] = []
        self._http1_stats: Http1CodecStats | None = None
        self._http2_stats: Http2CodecStats | None = None
        self._proxy_protocol_stats: ProxyProtocolStats | None = None
        self.separator = separator_for(settings)
        if sends_proxy_protocol(settings):
            _ = self.proxy_protocol_stats

    def _make_resources(self, priority: str, thresholds: ThresholdSettings, runtime: RuntimeReader) -> ResourceManager:
        scope = self.scope.scope(f"circuit_breakers.{priority}.")
        remaining = RemainingStats.create(scope) if thresholds.track_remaining else None
        stats = CircuitBreakerStats.create(scope)
        return ResourceManager(thresholds, stats, runtime, f"circuit_breakers.{self.name}.{priority}.", remaining)

    def _make_sockets(
        self, socket: TransportSocket, matched_sockets: tuple[TransportSocket, ...]
    ) -> TransportSocketMatcher:
        default = TransportSocketMatch(
            "default", {}, socket, self.stats.total_match_count, self.settings.proxy_protocol
        )
        return TransportSocketMatcher(
            default,
            [
                TransportSocketMatch(
                    each.name,
                    each.match,
                    matched,
                    self.scope.counter(f"{each.name}.total_match_count"),
                    each.proxy_protocol,
                )
                for each, matched in zip(self.settings.tls_matches, matched_sockets, strict=True)
            ],
        )

    def resource_manager(self, priority: str = "DEFAULT") -> ResourceManager:
        """The circuit breakers of a priority, ``DEFAULT`` or ``HIGH``."""
        return self._high_resources if priority == "HIGH" else self.default_resources

    def preface(self, endpoint: EndpointSettings, proxied: ProxiedConnection | None) -> ProxyProtocolPreface | None:
        """What a connection to an endpoint begins with; `proxied` is the client's, or None."""
        settings = self.transport_sockets.resolve(endpoint).proxy_protocol
        if settings is None:
            return None
        stats = self.proxy_protocol_stats
        return ProxyProtocolPreface(
            settings, proxied, self.stats.upstream_cx_tx_bytes_total, stats.v2_tlvs_exceed_max_length
        )

    def tcp_tls(self, endpoint: EndpointSettings) -> ClientTls | None:
        """What secures a connection to an endpoint that speaks no HTTP; None is plain TCP."""
        match = self.transport_sockets.resolve(endpoint)
        if not self.transport_sockets.is_own(match):
            return next(iter(match.socket.values()), None)
        if not self._tcp_tls:
            self._tcp_tls.append(self._make_tcp_tls())
        return self._tcp_tls[0]

    @property
    def stabilises_hosts(self) -> bool:
        """Whether hosts that discovery has no more stay as long as active health checks say that they are healthy."""
        return self.has_health_checker and not self.settings.ignore_health_on_host_removal

    @property
    def proxy_protocol_stats(self) -> ProxyProtocolStats:
        """Of the headers before its connections; they are there only where there may be such."""
        if self._proxy_protocol_stats is None:
            self._proxy_protocol_stats = ProxyProtocolStats.create(self.scope.scope("upstream.proxyprotocol."))
        return self._proxy_protocol_stats

    # As in Envoy, a codec's stats come with its first connection.

    @property
    def http1_stats(self) -> Http1CodecStats:
        """Of its HTTP/1 connections."""
        if self._http1_stats is None:
            self._http1_stats = Http1CodecStats.create(self.scope.scope("http1."))
        return self._http1_stats

    @property
    def http2_stats(self) -> Http2CodecStats:
        """Of its HTTP/2 connections."""
        if self._http2_stats is None:
            self._http2_stats = Http2CodecStats.create(self.scope.scope("http2."))
        return self._http2_stats

    def __repr__(self) -> str:
        return f"<ClusterInfo {self.name}>"
