"""ROUND_ROBIN: each host in turn; by weight where weights differ (Envoy's `RoundRobinLoadBalancer`)."""

from __future__ import annotations

from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LbParams
from envoymesh.upstream.lb.edf_balancer import EdfLoadBalancer
from envoymesh.upstream.lb.settings import RoundRobinSettings
from envoymesh.upstream.lb.zone_aware import HostsSource


class RoundRobin(EdfLoadBalancer):
    """Each host in turn."""

    __slots__ = ()

    def __init__(self, params: LbParams, settings: RoundRobinSettings) -> None:
        super().__init__(params, settings.locality, settings.slow_start)
        self.start(params.priority_set)

    def host_weight(self, host: Host) -> float:
        """The configured weight, less in slow start."""
        slow_start = self.slow_start
        if slow_start is None or slow_start.nobody_is_in():
            return float(host.weight)
        return slow_start.weight(float(host.weight), host)

    def pick_unweighted(self, source: HostsSource) -> Host:
        """The next host in turn."""
        if source.peeked > 0:
            source.peeked -= 1
        hosts = source.hosts
        host = hosts[source.index % len(hosts)]
        source.index += 1
        return host

    def peek_unweighted(self, source: HostsSource) -> Host | None:
        """The host in turn after those that were peeked at."""
        host = source.hosts[(source.index + source.peeked) % len(source.hosts)]
        source.peeked += 1
        return host
