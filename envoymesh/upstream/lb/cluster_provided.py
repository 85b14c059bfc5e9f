"""CLUSTER_PROVIDED: what finds the hosts picks them too. It must not pick."""

from __future__ import annotations

from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LoadBalancer


class ClusterProvided(LoadBalancer):
    """Stands where the cluster's type puts its own balancer, and has no hosts until then."""

    __slots__ = ()

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """None."""
        return None

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """None."""
        return None

    def set_panic_threshold(self, percent: int) -> None:
        """Nothing: there is no panic here."""

    def stop(self) -> None:
        """There is nothing to let go."""
