"""A host: one address of a cluster, with its stats and its pools. It outlives discovery updates that keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoymesh.metadata import found
from envoymesh.network.api import Address
from envoymesh.upstream.request_stats import HostStats
from envoymesh.upstream.settings import EndpointSettings

if TYPE_CHECKING:
    from envoymesh.upstream.pool.pool import ConnectionPool

_HEALTHY: Final = frozenset({"UNKNOWN", "HEALTHY"})


class Host:
    """An upstream host.

    Attributes:
        address: where connections go; a logical DNS host's may change.
        endpoint: the settings it came from.
        pools: connection pools by protocol kind (see `Cluster.new_stream`).
    """

    __slots__ = ("address", "canary", "endpoint", "hostname", "pools", "stats")

    def __init__(self, address: Address, endpoint: EndpointSettings) -> None:
        self.address = address
        self.endpoint = endpoint
        self.hostname = endpoint.hostname
        # Envoy's own name space for its balancer (envoy.lb).
        self.canary = found(endpoint.metadata, "UPSTREAM_HOST", ("envoy.lb", "canary")) is True
        self.stats = HostStats()
        self.pools: dict[str, ConnectionPool] = {}

    @property
    def weight(self) -> int:
        """Load balancing weight, at least 1."""
        return self.endpoint.weight

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is known against it."""
        return self.endpoint.health_status in _HEALTHY

    @property
    def is_degraded(self) -> bool:
        """Whether it takes requests only when there are too few healthy ones."""
        return self.endpoint.health_status == "DEGRADED"

    @property
    def is_excluded(self) -> bool:
        """Whether it counts for nothing where shares of healthy hosts are worked out."""
        return self.endpoint.health_status == "DRAINING"

    def __repr__(self) -> str:
        return f"<Host {self.address} weight={self.weight} pools={list(self.pools.values())}>"
