"""What a load balancer is: to the cluster that asks it, and what it is made of.

A balancer keeps a snapshot of its cluster's hosts, and makes it anew when the `PrioritySet` says that they changed.
Chance and time are given to it. This module must not know policies.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from mypy_extensions import trait

from envoymesh.runtime import RuntimeNumber, RuntimeShare
from envoymesh.stats import Scope
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.stats import ClusterStats

Random = Callable[[], float]
"""Uniform in [0, 1)."""

DRAW: Final = 2.0**53
"""A random number times this is a whole one, all of whose bits are chance."""


@trait
class LoadBalancer:
    """Picks hosts."""

    __slots__ = ()

    @abstractmethod
    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host for a request, or None where there is none.

        Args:
            context: the request; None is one of which nothing is known.
        """

    @abstractmethod
    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host after those that were peeked at already, for a connection in advance; None where that is unknown."""

    @abstractmethod
    def set_panic_threshold(self, percent: int) -> None:
        """The runtime has another panic threshold (``upstream.healthy_panic_threshold``)."""

    @abstractmethod
    def stop(self) -> None:
        """Hear of no change of hosts any more."""


class Zone:
    """What routing by zones needs besides a balancer's own hosts; made once for a cluster.

    Args:
        local_priority_set: the hosts of the cluster that this proxy is one of (`ClusterManager.local_cluster_name`).
    """

    __slots__ = ("local_priority_set", "min_cluster_size", "routing_enabled")

    def __init__(
        self,
        local_priority_set: PrioritySet,
        routing_enabled: RuntimeShare,
        min_cluster_size: RuntimeNumber,
    ) -> None:
        self.local_priority_set = local_priority_set
        self.routing_enabled = routing_enabled
        self.min_cluster_size = min_cluster_size


class LbParams:
    """What a balancer is made of.

    Args:
        priority_set: the hosts.
        zone: None without a local cluster, and then traffic is routed to no zone.
        stats, scope: the cluster's.
        now: monotonic seconds.
        panic_threshold: percent, until `LoadBalancer.set_panic_threshold` has another one.
    """

    __slots__ = ("now", "panic_threshold", "priority_set", "random", "scope", "stats", "zone")

    def __init__(
        self,
        priority_set: PrioritySet,
        stats: ClusterStats,
        scope: Scope,
        random: Random,
        now: Callable[[], float],
        panic_threshold: int,
        zone: Zone | None = None,
    ) -> None:
        self.priority_set = priority_set
        self.stats = stats
        self.scope = scope
        self.random = random
        self.now = now
        self.panic_threshold = panic_threshold
        self.zone = zone

    def of(self, priority_set: PrioritySet, panic_threshold: int) -> LbParams:
        """The same for some of the hosts (a subset)."""
        return LbParams(priority_set, self.stats, self.scope, self.random, self.now, panic_threshold, self.zone)
