"""From the upstream room's clusters to what /clusters shows of them. It must not change a cluster or keep one."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from envoymesh.admin.views import (
    ClusterStatus,
    HealthFlags,
    HostStatus,
    OutlierThresholds,
    SocketAddress,
    Thresholds,
)
from envoymesh.stats import Counter, Gauge
from envoymesh.upstream.health.connection import health_check_address
from envoymesh.upstream.host import (
    ACTIVE_HC_TIMEOUT,
    DEGRADED_ACTIVE_HC,
    DEGRADED_EDS_HEALTH,
    EDS_FLAGS,
    EDS_STATUS_DRAINING,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    FAILED_EDS_HEALTH,
    FAILED_OUTLIER_CHECK,
    PENDING_ACTIVE_HC,
    PENDING_DYNAMIC_REMOVAL,
    Host,
)
from envoymesh.upstream.outlier.detector import OutlierDetector
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings


class ClusterFacts(Protocol):
    """What is read of an `upstream.cluster.Cluster`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def settings(self) -> ClusterSettings:
        """What it was made from."""

    @property
    def hosts_changed(self) -> float:
        """When hosts or their health changed last, UNIX seconds."""

    @property
    def hosts(self) -> Sequence[Host]:
        """Its hosts now."""

    @property
    def outlier_detector(self) -> OutlierDetector | None:
        """Who watches its hosts for outliers."""

    def resource_manager(self, priority: str = "DEFAULT") -> ResourceManager:
        """Its limits now."""


# What a host is shown as for what the configuration said of its health; without any it is shown as HEALTHY.
_EDS_HEALTH = {FAILED_EDS_HEALTH: "UNHEALTHY", DEGRADED_EDS_HEALTH: "DEGRADED", EDS_STATUS_DRAINING: "DRAINING"}


def cluster_status(cluster: ClusterFacts) -> ClusterStatus:
    """A cluster as it is now."""
    settings = cluster.settings
    return ClusterStatus(
        name=cluster.name,
        observability_name=settings.stat_name or cluster.name,
        default=_thresholds(cluster.resource_manager("DEFAULT")),
        high=_thresholds(cluster.resource_manager("HIGH")),
        # As in Envoy, where a host without metadata shows empty ones if DNS found it, and none else.
        hosts=_Hosts(tuple(cluster.hosts), settings.discovery_type in ("STRICT_DNS", "LOGICAL_DNS")),
        outlier=None if cluster.outlier_detector is None else _outlier(cluster.outlier_detector),
        hosts_changed=cluster.hosts_changed,
        overprovisioning_factor=settings.overprovisioning_factor,
        locality_weights={
            (priority, *locality): weight
            for priority, weights in settings.locality_weights.items()
            for locality, weight in weights.items()
        },
    )


def _outlier(detector: OutlierDetector) -> OutlierThresholds:
    external, local = detector.external, detector.local
    return OutlierThresholds(external.average, external.ejection_threshold, local.average, local.ejection_threshold)


class _Hosts(Collection[HostStatus]):
    """The hosts that a cluster has when this is made; each is looked at only when iteration reaches it."""

    def __init__(self, hosts: Sequence[Host], have_metadata: bool) -> None:
        self._hosts = hosts
        self._have_metadata = have_metadata

    def __iter__(self) -> Iterator[HostStatus]:
        for host in self._hosts:
            yield _host_status(host, self._have_metadata)

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, status: object) -> bool:
        return any(status == each for each in self)


def _thresholds(limits: ResourceManager) -> Thresholds:
    return Thresholds(
        max_connections=limits.connections.maximum,
        max_pending_requests=limits.pending_requests.maximum,
        max_requests=limits.requests.maximum,
        max_retries=limits.retries.limit(),
    )


def _host_status(host: Host, has_metadata: bool) -> HostStatus:
    figures = host.stats.all()
    address, monitor = host.address, host.outlier_detector
    checks, checked_at = host.endpoint.health_check, health_check_address(host)
    return HostStatus(
        address=SocketAddress(address.host, address.port if address.ip else None),
        counters={stat.name: stat.value for stat in figures if isinstance(stat, Counter)},
        gauges={stat.name: stat.value for stat in figures if isinstance(stat, Gauge)},
        hostname=host.hostname,
        health=_health(host),
        weight=host.weight,
        region=host.locality.region,
        zone=host.locality.zone,
        sub_zone=host.locality.sub_zone,
        canary=host.canary,
        priority=host.priority,
        success_rate=-1.0 if monitor is None else monitor.success_rate,
        local_origin_success_rate=-1.0 if monitor is None else monitor.local_origin_success_rate,
        has_metadata=has_metadata,
        metadata=(host.metadata or {}).get("UPSTREAM_HOST", {}),
        additional_addresses=[SocketAddress(each.host, each.port) for each in host.additional_addresses],
        health_check_hostname=checks.hostname if checks is not None else "",
        health_check_port=checked_at.port if checked_at != address else 0,
    )


def _health(host: Host) -> HealthFlags:
    has = host.health_flag_get
    return HealthFlags(
        failed_active_health_check=has(FAILED_ACTIVE_HC),
        failed_outlier_check=has(FAILED_OUTLIER_CHECK),
        failed_active_degraded_check=has(DEGRADED_ACTIVE_HC),
        pending_dynamic_removal=has(PENDING_DYNAMIC_REMOVAL),
        pending_active_hc=has(PENDING_ACTIVE_HC),
        excluded_via_immediate_hc_fail=has(EXCLUDED_VIA_IMMEDIATE_HC_FAIL),
        active_hc_timeout=has(ACTIVE_HC_TIMEOUT),
        eds_health_status=_EDS_HEALTH.get(host.health_flags & EDS_FLAGS, "HEALTHY"),
    )
