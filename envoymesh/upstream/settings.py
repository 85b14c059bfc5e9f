"""Settings of clusters: plain values, made once by `upstream/config.py`. Field names are Envoy's, times seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.metadata import Metadata
from envoymesh.network.api import DEFAULT_SOCKET, Address, UpstreamSocketSettings
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.runtime import NO_LIMIT
from envoymesh.upstream.health.settings import EndpointHealthCheck, HealthCheckSettings
from envoymesh.upstream.lb.settings import OVERRIDE_HOST_STATUS, ROUND_ROBIN, LbSettings
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings


class Locality(NamedTuple):
    """Where a host is (envoy.config.core.v3.Locality); localities are ordered by these three in turn."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


OVERPROVISIONING_FACTOR: Final = 140
"""Percent, where `ClusterLoadAssignment.policy.overprovisioning_factor` is unset."""

NO_LOCALITY: Final = Locality()
"""The one of hosts without any: shared, since most hosts have none."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One envoy.config.endpoint.v3.LbEndpoint: where it is and how it counts.

    Args:
        host: an IP address, a name for the DNS cluster types, or the path of a Unix domain socket.
        weight: 1 to 2^32 - 1.
        is_pipe: it is a Unix domain socket; the port is 0.
        health_status: HEALTHY, UNKNOWN, DEGRADED, UNHEALTHY, DRAINING or TIMEOUT.
        additional_addresses: further addresses of the same host, tried after the first (happy eyeballs).
        health_check: how it is checked; None is as every host.
    """

    host: str
    port: int
    hostname: str = ""
    weight: int = 1
    health_status: str = "UNKNOWN"
    locality: Locality = NO_LOCALITY
    priority: int = 0
    is_pipe: bool = False
    metadata: Metadata | None = None
    locality_metadata: Metadata | None = None
    additional_addresses: tuple[Address, ...] = ()
    health_check: EndpointHealthCheck | None = None


@dataclass(frozen=True, slots=True)
class RetryBudgetSettings:
    """A CircuitBreakers.Thresholds.RetryBudget: retries by the requests that there are; `percent` of them."""

    percent: float = 20.0
    min_retry_concurrency: int = 3


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """Circuit breaker limits of one priority (envoy.config.cluster.v3.CircuitBreakers.Thresholds).

    Args:
        retry_budget: in the place of `max_retries`; None where there is none.
        max_connections_per_host: of `per_host_thresholds`.
    """

    max_connections: int = 1024
    max_pending_requests: int = 1024
    max_requests: int = 1024
    max_retries: int = 3
    track_remaining: bool = False
    retry_budget: RetryBudgetSettings | None = None
    max_connection_pools: int = NO_LIMIT
    max_connections_per_host: int = NO_LIMIT

    @property
    def counts_pools(self) -> bool:
        """Whether it matters how many pools there are."""
        return self.track_remaining or self.max_connection_pools != NO_LIMIT


@dataclass(frozen=True, slots=True)
class ProxyProtocolSettings:
    """What a PROXY protocol header says (envoy.config.core.v3.ProxyProtocolConfig).

    Args:
        version: 1 or 2.
        passes_all: extensions of the client's own header are passed on, all of them.
        passes: those of these types are.
        added: further ones, by type and value.
        tlv_as_pool_key: connections whose headers have other extensions are not shared.
    """

    version: int = 1
    passes_all: bool = False
    passes: frozenset[int] = frozenset()
    added: tuple[tuple[int, bytes], ...] = ()
    tlv_as_pool_key: bool = False


TlsByPool = Mapping[str, UpstreamTlsSettings]
"""By what a pool speaks, ``HTTP1``, ``HTTP2`` or ``ALPN``; empty for plain TCP."""


@dataclass(frozen=True, slots=True)
class TransportSocketMatchSettings:
    """One Cluster.TransportSocketMatch: hosts whose metadata have all of `match` are connected to this way.

    `tcp_tls` is as of `ClusterSettings`.
    """

    name: str
    match: Mapping[str, Any]
    tls: TlsByPool
    tcp_tls: UpstreamTlsSettings | None = None
    proxy_protocol: ProxyProtocolSettings | None = None


@dataclass(frozen=True, slots=True)
class OriginalDstSettings:
    """An ORIGINAL_DST cluster (Cluster.OriginalDstLbConfig); `http_header` is lower-case, empty for none.

    Args:
        port_override: 0 is none.
        metadata_key: name space and path in dynamic metadata where the address is, or empty.
        cleanup_interval: seconds after which a host that nobody used is dropped.
    """

    http_header: bytes = b""
    port_override: int = 0
    metadata_key: tuple[str, ...] = ()
    cleanup_interval: float = 5.0


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """How a cluster's names are asked for (envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig).

    Args:
        resolvers: the servers; empty are the system's.
        no_default_search_domain: only the name itself, without the system's search domains.
    """

    resolvers: tuple[Address, ...] = ()
    use_tcp_for_dns_lookups: bool = False
    no_default_search_domain: bool = False


@dataclass(frozen=True, slots=True)
class DnsCacheSettings:
    """One envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig; caches of one name are one cache.

    Args:
        dns_refresh_rate: until a name without addresses is asked for again; others by their TTL.
        dns_min_refresh_rate: a TTL that is shorter counts as this.
        dns_failure_refresh_rate: base and longest interval of the back-off; None is the refresh rate.
        host_ttl: a name that nobody used for so long is dropped.
        max_hosts: names in the cache.
        dns_query_timeout: of one query; 0 is no limit.
        disable_dns_refresh_on_failure: a name that could not be resolved is asked for only with the next request.
        max_pending_requests: requests that wait for names (`dns_cache_circuit_breaker`).
        preresolve: host and port of names that are resolved at the start.
    """

    name: str
    dns_lookup_family: str = "AUTO"
    dns_refresh_rate: float = 60.0
    dns_min_refresh_rate: float = 5.0
    dns_failure_refresh_rate: tuple[float, float] | None = None
    host_ttl: float = 300.0
    max_hosts: int = 1024
    dns_query_timeout: float = 5.0
    disable_dns_refresh_on_failure: bool = False
    max_pending_requests: int = 1024
    dns: DnsSettings = field(default_factory=DnsSettings)
    preresolve: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One envoy.config.cluster.v3.Cluster.

    Args:
        discovery_type: STATIC, STRICT_DNS, LOGICAL_DNS, ORIGINAL_DST, AGGREGATE or DYNAMIC_FORWARD_PROXY.
        dns_cache: where a DYNAMIC_FORWARD_PROXY finds its hosts.
        aggregated: names of an AGGREGATE's clusters, the first is asked first.
        locality_weights: `load_balancing_weight` of localities that have one, by priority.
        overprovisioning_factor: percent.
        drop_overload: share of requests that are refused, 0 to 1 (`policy.drop_overloads`).
        tls_matches: asked before `tls`, in their order (`transport_socket_matches`).
        socket: how connections are bound, and their socket's options.
        predictive_preconnect_ratio: the same over all hosts together; 1.0 and less connects nowhere ahead.
        pool_per_downstream_connection: connections are shared by the requests of one client's connection alone.
        auto_sni, auto_san_validation: TLS asks for the name that a request is for, and its certificate must have it.
        auto_sni_header: where a request says that name; empty is its authority.
        max_stream_duration: seconds a try may take from its beginning to the response's end; 0 is no limit.
        proxy_protocol: written first on each connection; None is nothing.
        preconnect_ratio: streams that there is to be room for, by those there are (`per_upstream_preconnect_ratio`).
        protocol: ``HTTP1``, ``HTTP2``, ``ALPN`` (auto_config) or ``DOWNSTREAM`` (use_downstream_protocol_config).
        tcp_tls: for connections that speak no HTTP: only the configuration's own ALPN; None for plain TCP.
        dns_failure_refresh_rate: base and longest interval of the back-off; None is the refresh rate.
        override_host_status: of the hosts that a filter may choose for a request.
        healthy_panic_percent: of the hosts; 0 never panics.
        update_merge_window: within which Envoy makes one of several changes of health; here it changes figures only.
        outlier_detection: None where nothing watches for outliers.
        health_check: how its hosts are checked; None leaves them alone.
        ignore_new_hosts_until_first_hc: hosts that come later count for nothing until they have been checked.
        close_connections_on_host_health_failure: also TCP connections that are in use.
        close_connections_on_host_set_change: whenever hosts come or go, those that stay get new connections too.
    """

    name: str
    stat_name: str = ""
    discovery_type: str = "STATIC"
    lb: LbSettings = ROUND_ROBIN
    override_host_status: frozenset[str] = OVERRIDE_HOST_STATUS
    endpoints: Sequence[EndpointSettings] = ()
    aggregated: Sequence[str] = ()
    original_dst: OriginalDstSettings = OriginalDstSettings()
    dns_cache: DnsCacheSettings | None = None
    locality_weights: Mapping[int, Mapping[Locality, int]] = field(default_factory=dict)
    overprovisioning_factor: int = OVERPROVISIONING_FACTOR
    weighted_priority_health: bool = False
    drop_overload: float = 0.0
    wait_for_warm_on_init: bool = True
    ignore_health_on_host_removal: bool = False
    close_connections_on_host_set_change: bool = False
    close_connections_on_host_health_failure: bool = False
    health_check: HealthCheckSettings | None = None
    ignore_new_hosts_until_first_hc: bool = False
    preconnect_ratio: float = 1.0
    predictive_preconnect_ratio: float = 1.0
    pool_per_downstream_connection: bool = False
    connect_timeout: float = 5.0
    per_connection_buffer_limit_bytes: int = 1024 * 1024
    protocol: str = "HTTP1"
    http1: Http1Settings = field(default_factory=Http1Settings)
    http2: Http2Settings = field(default_factory=Http2Settings)
    tls: TlsByPool = field(default_factory=dict)
    proxy_protocol: ProxyProtocolSettings | None = None
    tls_matches: Sequence[TransportSocketMatchSettings] = ()
    socket: UpstreamSocketSettings = DEFAULT_SOCKET
    tcp_tls: UpstreamTlsSettings | None = None
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_requests_per_connection: int = 0
    max_stream_duration: float = 0.0
    auto_sni: bool = False
    auto_san_validation: bool = False
    auto_sni_header: bytes = b""
    dns_refresh_rate: float = 5.0
    dns_failure_refresh_rate: tuple[float, float] | None = None
    dns_jitter: float = 0.0
    dns_lookup_family: str = "AUTO"
    dns: DnsSettings = field(default_factory=DnsSettings)
    respect_dns_ttl: bool = False
    healthy_panic_percent: int = 50
    update_merge_window: float = 1.0
    default_thresholds: ThresholdSettings = field(default_factory=ThresholdSettings)
    high_thresholds: ThresholdSettings = field(default_factory=ThresholdSettings)
    outlier_detection: OutlierDetectionSettings | None = None
    metadata: Metadata | None = None

    @property
    def checks_uneject(self) -> bool:
        """Whether an active check that passes brings a host back that was ejected as an outlier."""
        outliers = self.outlier_detection
        return outliers is not None and outliers.successful_active_health_check_uneject_host
