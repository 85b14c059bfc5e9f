"""Settings of clusters: plain values, made once by `upstream/config.py`. Field names are Envoy's, times seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.metadata import Metadata
from envoymesh.network.api import Address
from envoymesh.network.settings import UpstreamTlsSettings


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """One envoy.config.endpoint.v3.LbEndpoint: where it is and how it counts.

    Args:
        host: an IP address, a name for the DNS cluster types, or the path of a Unix domain socket.
        is_pipe: it is a Unix domain socket; the port is 0.
        health_status: HEALTHY, UNKNOWN, DEGRADED, UNHEALTHY, DRAINING or TIMEOUT.
    """

    host: str
    port: int
    hostname: str = ""
    weight: int = 1
    health_status: str = "UNKNOWN"
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    is_pipe: bool = False
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """Circuit breaker limits of one priority (envoy.config.cluster.v3.CircuitBreakers.Thresholds)."""

    max_connections: int = 1024
    max_pending_requests: int = 1024
    max_requests: int = 1024
    max_retries: int = 3
    track_remaining: bool = False


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
class ClusterSettings:
    """One envoy.config.cluster.v3.Cluster.

    Args:
        protocol: ``HTTP1``, ``HTTP2``, ``ALPN`` (auto_config) or ``DOWNSTREAM`` (use_downstream_protocol_config).
        tls: by what a pool speaks, ``HTTP1``, ``HTTP2`` or ``ALPN``; empty for plain TCP.
        tcp_tls: the same for connections that speak no HTTP: only the configuration's own ALPN.
        dns_failure_refresh_rate: base and longest interval of the back-off; None is the refresh rate.
        healthy_panic_percent: of the hosts; 0 never panics.
        fail_traffic_on_panic: in a panic there is no host.
        close_connections_on_host_set_change: whenever hosts come or go, those that stay get new connections too.
    """

    name: str
    stat_name: str = ""
    discovery_type: str = "STATIC"
    lb_policy: str = "ROUND_ROBIN"
    endpoints: Sequence[EndpointSettings] = ()
    connect_timeout: float = 5.0
    per_connection_buffer_limit_bytes: int = 1024 * 1024
    protocol: str = "HTTP1"
    http1: Http1Settings = field(default_factory=Http1Settings)
    http2: Http2Settings = field(default_factory=Http2Settings)
    tls: Mapping[str, UpstreamTlsSettings] = field(default_factory=dict)
    tcp_tls: UpstreamTlsSettings | None = None
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_requests_per_connection: int = 0
    dns_refresh_rate: float = 5.0
    dns_failure_refresh_rate: tuple[float, float] | None = None
    dns_jitter: float = 0.0
    dns_lookup_family: str = "AUTO"
    dns: DnsSettings = field(default_factory=DnsSettings)
    respect_dns_ttl: bool = False
    healthy_panic_percent: int = 50
    fail_traffic_on_panic: bool = False
    close_connections_on_host_set_change: bool = False
    choice_count: int = 2
    default_thresholds: ThresholdSettings = field(default_factory=ThresholdSettings)
    high_thresholds: ThresholdSettings = field(default_factory=ThresholdSettings)
    metadata: Metadata | None = None
