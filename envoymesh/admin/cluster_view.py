"""From the upstream room's clusters to what /clusters shows of them. It must not change a cluster or keep one."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from envoymesh.admin.views import ClusterStatus, HealthFlags, HostStatus, SocketAddress, Thresholds
from envoymesh.stats import Counter, Gauge
from envoymesh.upstream.host import Host
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
    def hosts(self) -> Sequence[Host]:
        """Its hosts now."""

    def resource_manager(self, priority: str = "DEFAULT") -> ResourceManager:
        """Its limits now."""


# What a host is shown as for each LbEndpoint.health_status; the others are shown as HEALTHY.
_EDS_HEALTH = {"UNHEALTHY": "UNHEALTHY", "TIMEOUT": "UNHEALTHY", "DRAINING": "DRAINING", "DEGRADED": "DEGRADED"}


def cluster_status(cluster: ClusterFacts) -> ClusterStatus:
    """A cluster as it is now."""
    settings = cluster.settings
    return ClusterStatus(
        name=cluster.name,
        observability_name=settings.stat_name or cluster.name,
        default=_thresholds(cluster.resource_manager("DEFAULT")),
        high=_thresholds(cluster.resource_manager("HIGH")),
        # As in Envoy: only hosts that DNS found have metadata of their own.
        hosts=_Hosts(tuple(cluster.hosts), settings.discovery_type != "STATIC"),
    )


class _Hosts(Collection[HostStatus]):
    """A cluster's hosts, those that there are when it is made; each as it is when it is come to."""

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
        max_retries=limits.retries.maximum,
    )


def _host_status(host: Host, has_metadata: bool) -> HostStatus:
    figures = host.stats.all()
    endpoint, address = host.endpoint, host.address
    return HostStatus(
        address=SocketAddress(address.host, address.port if address.ip else None),
        counters={stat.name: stat.value for stat in figures if isinstance(stat, Counter)},
        gauges={stat.name: stat.value for stat in figures if isinstance(stat, Gauge)},
        hostname=host.hostname,
        health=HealthFlags(eds_health_status=_EDS_HEALTH.get(endpoint.health_status, "HEALTHY")),
        weight=host.weight,
        region=endpoint.region,
        zone=endpoint.zone,
        sub_zone=endpoint.sub_zone,
        canary=host.canary,
        has_metadata=has_metadata,
    )
