"""A host: one address of a cluster, its health and its stats (Envoy's `HostImpl`).

A host outlives discovery updates that keep its address. Its health is a set of flags, and nothing else of health is
kept anywhere: whoever checks hosts sets and clears flags here, and then tells the `PrioritySet`, which sorts the hosts
anew. This module must not know who checks hosts, who picks them, nor how they are connected to.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.metadata import Metadata, found
from envoymesh.network.api import Address
from envoymesh.upstream.outlier.api import HostMonitor
from envoymesh.upstream.request_stats import HostStats
from envoymesh.upstream.settings import EndpointSettings, Locality

FAILED_ACTIVE_HC: Final = 0x1
"""An active health check fails."""
FAILED_OUTLIER_CHECK: Final = 0x2
"""Outlier detection has ejected it."""
FAILED_EDS_HEALTH: Final = 0x4
"""The configuration says UNHEALTHY or TIMEOUT."""
DEGRADED_ACTIVE_HC: Final = 0x8
"""An active health check says that it is degraded."""
DEGRADED_EDS_HEALTH: Final = 0x10
"""The configuration says DEGRADED."""
PENDING_DYNAMIC_REMOVAL: Final = 0x20
"""Discovery has it no more; it stays while active health checks succeed."""
PENDING_ACTIVE_HC: Final = 0x40
"""The first active health check is still to come."""
EXCLUDED_VIA_IMMEDIATE_HC_FAIL: Final = 0x80
"""It asked to be taken out (``x-envoy-immediate-health-check-fail``)."""
ACTIVE_HC_TIMEOUT: Final = 0x100
"""The active health check failed because it got no answer in time."""
EDS_STATUS_DRAINING: Final = 0x200
"""The configuration says DRAINING."""
DEGRADED_OUTLIER: Final = 0x400
"""Outlier detection has found it degraded."""

UNHEALTHY_FLAGS: Final = FAILED_ACTIVE_HC | FAILED_OUTLIER_CHECK | FAILED_EDS_HEALTH | EDS_STATUS_DRAINING
"""With any of these a host is unhealthy."""
DEGRADED_FLAGS: Final = DEGRADED_ACTIVE_HC | DEGRADED_EDS_HEALTH | DEGRADED_OUTLIER
"""With any of these, and none of UNHEALTHY_FLAGS, a host is degraded."""
EXCLUDED_FLAGS: Final = PENDING_ACTIVE_HC | EXCLUDED_VIA_IMMEDIATE_HC_FAIL | EDS_STATUS_DRAINING
"""With any of these a host counts for nothing where shares of healthy hosts are worked out."""
EDS_FLAGS: Final = FAILED_EDS_HEALTH | DEGRADED_EDS_HEALTH | EDS_STATUS_DRAINING
"""What the configuration says, and nobody else sets or clears."""

_EDS_FLAGS: Final = {
    "UNHEALTHY": FAILED_EDS_HEALTH,
    "TIMEOUT": FAILED_EDS_HEALTH,
    "DRAINING": EDS_STATUS_DRAINING,
    "DEGRADED": DEGRADED_EDS_HEALTH,
}


ACTIVE_HC_FLAGS: Final = (
    FAILED_ACTIVE_HC | DEGRADED_ACTIVE_HC | PENDING_ACTIVE_HC | EXCLUDED_VIA_IMMEDIATE_HC_FAIL | ACTIVE_HC_TIMEOUT
)
"""What active health checks say, and nobody else sets or clears."""


class Health(enum.Enum):
    """What the flags say together (Envoy's `Host::Health`)."""

    UNHEALTHY = 0
    DEGRADED = 1
    HEALTHY = 2


@trait
class HealthCheckHostMonitor:
    """Who checks a host, for those who learn of its health otherwise (Envoy's `HealthCheckHostMonitor`)."""

    __slots__ = ()

    @abstractmethod
    def set_unhealthy(self, host: Host) -> None:
        """A response of the host had `x-envoy-immediate-health-check-fail`."""


class Host:
    """An upstream host.

    Attributes:
        address: where connections go first; a logical DNS host's may change.
        additional_addresses: where they go after that.
        endpoint: the settings it came from.
        priority: of the host set it is in; 0 is asked first.
        weight: its share among the hosts of its set, at least 1.
        last_hc_pass_time: monotonic seconds at which it became healthy, where somebody keeps that (slow start does).
        outlier_detector: hears how requests to it end; None where nothing watches for outliers.
        health_checker: who checks it; None where nobody does.
        health_flags: bits (FAILED_ACTIVE_HC, ...). After a change `PrioritySet.update_health` must hear of it.
    """

    __slots__ = (
        "additional_addresses",
        "address",
        "canary",
        "endpoint",
        "health_checker",
        "health_flags",
        "hostname",
        "last_hc_pass_time",
        "locality",
        "metadata",
        "outlier_detector",
        "priority",
        "stats",
        "weight",
    )

    def __init__(self, address: Address, endpoint: EndpointSettings) -> None:
        self.address: Address = address
        self.additional_addresses: tuple[Address, ...] = endpoint.additional_addresses
        self.hostname: str = endpoint.hostname
        self.locality: Locality = endpoint.locality
        self.stats = HostStats()
        self.outlier_detector: HostMonitor | None = None
        self.last_hc_pass_time: float | None = None
        self.health_flags = 0
        self.health_checker: HealthCheckHostMonitor | None = None
        self.take_over(endpoint)

    def take_over(self, endpoint: EndpointSettings) -> None:
        """Take what may change while a host stays: weight, health, metadata, priority. The sets must hear of it."""
        self.endpoint: EndpointSettings = endpoint
        self.metadata: Metadata | None = endpoint.metadata
        self.priority: int = endpoint.priority
        self.weight: int = endpoint.weight
        # Envoy's own namespace for its balancers is envoy.lb.
        self.canary: bool = found(endpoint.metadata, "UPSTREAM_HOST", ("envoy.lb", "canary")) is True
        self.set_eds_health_status(endpoint.health_status)

    def health_flag_get(self, flag: int) -> bool:
        """Whether a flag (or any of several) is set."""
        return self.health_flags & flag != 0

    def health_flag_set(self, flag: int) -> None:
        """Set a flag, or several."""
        self.health_flags |= flag

    def health_flag_clear(self, flag: int) -> None:
        """Clear a flag, or several."""
        self.health_flags &= ~flag

    def set_eds_health_status(self, status: str) -> None:
        """Take what the configuration says of its health (envoy.config.core.v3.HealthStatus)."""
        self.health_flags = self.health_flags & ~EDS_FLAGS | _EDS_FLAGS.get(status, 0)

    @property
    def coarse_health(self) -> Health:
        """What the flags say together."""
        if self.health_flags & UNHEALTHY_FLAGS:
            return Health.UNHEALTHY
        return Health.DEGRADED if self.health_flags & DEGRADED_FLAGS else Health.HEALTHY

    @property
    def is_excluded(self) -> bool:
        """Whether it counts for nothing where shares of healthy hosts are worked out."""
        return self.health_flags & EXCLUDED_FLAGS != 0

    def __repr__(self) -> str:
        return f"<Host {self.address} weight={self.weight} {self.coarse_health.name.lower()}>"
