"""RANDOM: any host, whatever its weight (Envoy's `RandomLoadBalancer`)."""

from __future__ import annotations

from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import DRAW, LbParams
from envoymesh.upstream.lb.settings import RandomSettings
from envoymesh.upstream.lb.zone_aware import NO_HASH, HostsSource, ZoneAwareLoadBalancer


class RandomChoice(ZoneAwareLoadBalancer):
    """Any host."""

    __slots__ = ()

    def __init__(self, params: LbParams, settings: RandomSettings) -> None:
        super().__init__(params, settings.locality)
        self.start(params.priority_set)

    def pick(self, source: HostsSource, hash_value: int) -> Host | None:
        """The host that the number falls to, which is the one that chose the source."""
        hosts = source.hosts
        if not hosts:
            return None
        if hash_value == NO_HASH:
            hash_value = int(self.random() * DRAW)
        return hosts[hash_value % len(hosts)]

    def peek(self, source: HostsSource, hash_value: int) -> Host | None:
        """What a pick with the same number gives."""
        return self.pick(source, hash_value)
