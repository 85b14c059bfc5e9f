"""Snapshots of what the admin shows: plain values, made by the rooms that own the facts when a request asks.

They must not hold live objects (but for the hosts of a `ClusterStatus`), nor know how they are rendered.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class ServerState(IntEnum):
    """The server's state, with the number that `server.state` shows (envoy.admin.v3.ServerInfo.State)."""

    LIVE = 0
    DRAINING = 1
    PRE_INITIALIZING = 2
    INITIALIZING = 3


@dataclass(frozen=True)
class SocketAddress:
    """An IP address (or a pipe's path, with port None)."""

    address: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class ListenerStatus:
    """A listener and where it is bound."""

    name: str
    local_address: SocketAddress
    additional_local_addresses: Sequence[SocketAddress] = ()


@dataclass(frozen=True)
class Thresholds:
    """A priority's circuit breaker limits."""

    max_connections: int = 1024
    max_pending_requests: int = 1024
    max_requests: int = 1024
    max_retries: int = 3


@dataclass(frozen=True)
class HealthFlags:
    """Why a host is not healthy; all false is healthy. Names as in envoy.admin.v3.HostHealthStatus."""

    failed_active_health_check: bool = False
    failed_outlier_check: bool = False
    failed_active_degraded_check: bool = False
    pending_dynamic_removal: bool = False
    pending_active_hc: bool = False
    excluded_via_immediate_hc_fail: bool = False
    active_hc_timeout: bool = False
    eds_health_status: str = "HEALTHY"


@dataclass(frozen=True)
class HostStatus:
    """A host of a cluster.

    Counters and gauges are listed by their short names (`cx_total`); success rates are percents, -1 is unknown.
    `has_metadata`: it has metadata, which may be empty; `metadata`: values by namespace. Where it is checked elsewhere
    than requests go, `health_check_port` says where; 0 is the same.
    """

    address: SocketAddress
    counters: Mapping[str, int]
    gauges: Mapping[str, int]
    hostname: str = ""
    health: HealthFlags = field(default_factory=HealthFlags)
    weight: int = 1
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    canary: bool = False
    priority: int = 0
    success_rate: float = -1.0
    local_origin_success_rate: float = -1.0
    has_metadata: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    additional_addresses: Sequence[SocketAddress] = ()
    health_check_hostname: str = ""
    health_check_port: int = 0


@dataclass(frozen=True)
class OutlierThresholds:
    """An outlier detector's figures, percents; -1 is not yet known."""

    success_rate_average: float = -1.0
    success_rate_ejection_threshold: float = -1.0
    local_origin_success_rate_average: float = -1.0
    local_origin_success_rate_ejection_threshold: float = -1.0


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster with its limits and hosts; `hosts` may be a view whose items are made when iteration reaches them.

    Weights of localities are by priority, region, zone and sub-zone.
    """

    name: str
    observability_name: str
    default: Thresholds
    high: Thresholds
    hosts: Collection[HostStatus]
    added_via_api: bool = False
    eds_service_name: str = ""
    outlier: OutlierThresholds | None = None
    hosts_changed: float = 0.0
    overprovisioning_factor: int = 140
    locality_weights: Mapping[tuple[int, str, str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class CertificateDetails:
    """A certificate. Times are UNIX seconds; names are (`dns` | `uri` | `ip_address`, value)."""

    path: str
    serial_number: str
    subject_alt_names: Sequence[tuple[str, str]]
    days_until_expiration: int
    valid_from: int
    expiration_time: int


@dataclass(frozen=True)
class CertificateEntry:
    """The certificates of one TLS context."""

    ca_cert: Sequence[CertificateDetails] = ()
    cert_chain: Sequence[CertificateDetails] = ()


@dataclass(frozen=True)
class MemoryUsage:
    """The process's memory, bytes."""

    allocated: int
    heap_size: int
    total_physical_bytes: int
    pageheap_unmapped: int = 0
    pageheap_free: int = 0
    total_thread_cache: int = 0


@dataclass(frozen=True)
class RuntimeSnapshot:
    """The runtime's layers, lowest first, and each key's value in each of them ("" where a layer has none)."""

    layers: Sequence[str]
    entries: Mapping[str, Sequence[str]]
