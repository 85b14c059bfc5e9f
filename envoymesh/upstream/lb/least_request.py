"""LEAST_REQUEST: the least loaded of a few random hosts, or, where weights differ, a schedule of weights that shrink
with the load (Envoy's `LeastRequestLoadBalancer`)."""

from __future__ import annotations

import math

from envoymesh.runtime import RuntimeDouble
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LbParams
from envoymesh.upstream.lb.edf_balancer import EdfLoadBalancer
from envoymesh.upstream.lb.settings import LeastRequestSettings
from envoymesh.upstream.lb.zone_aware import HostsSource


class LeastRequest(EdfLoadBalancer):
    """The least loaded of a few."""

    __slots__ = ("_bias", "_choices", "_full_scan")

    def __init__(self, params: LbParams, settings: LeastRequestSettings) -> None:
        self._choices = settings.choice_count
        self._full_scan = settings.full_scan
        self._bias: RuntimeDouble | None = settings.active_request_bias
        super().__init__(params, settings.locality, settings.slow_start)
        self.start(params.priority_set)

    def host_weight(self, host: Host) -> float:
        """The configured weight over the load: (active requests + 1) to the power of `active_request_bias`."""
        bias = self._bias.value if self._bias is not None else 1.0
        if bias < 0.0 or math.isnan(bias):
            bias = 1.0
        weight = float(host.weight)
        if bias == 1.0:
            weight /= host.stats.rq_active.value + 1
        elif bias != 0.0:
            weight /= math.pow(host.stats.rq_active.value + 1, bias)
        slow_start = self.slow_start
        return weight if slow_start is None or slow_start.nobody_is_in() else slow_start.weight(weight, host)

    def pick_unweighted(self, source: HostsSource) -> Host:
        """The first of the least loaded ones among `choice_count` random hosts; a host may be drawn twice."""
        hosts = source.hosts
        count = len(hosts)
        if self._full_scan:
            return self._scan(hosts)
        random = self.random
        chosen = hosts[int(random() * count)]
        least: int = chosen.stats.rq_active.value
        for _ in range(self._choices - 1):
            other = hosts[int(random() * count)]
            active: int = other.stats.rq_active.value
            if active < least:
                chosen, least = other, active
        return chosen

    def _scan(self, hosts: tuple[Host, ...]) -> Host:
        """The least loaded of all; each of those that are equal has the same chance."""
        chosen = hosts[0]
        least: int = chosen.stats.rq_active.value
        equals = 1
        for host in hosts[1:]:
            active: int = host.stats.rq_active.value
            if active < least:
                chosen, least, equals = host, active, 1
            elif active == least:
                equals += 1
                if int(self.random() * equals) == 0:
                    chosen = host
        return chosen

    def peek_unweighted(self, source: HostsSource) -> Host | None:
        """Nobody knows: the load is another one when the pick is made."""
        return None
