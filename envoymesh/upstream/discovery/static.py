"""STATIC clusters: the hosts are in the configuration (Envoy's `StaticClusterImpl`)."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.network.api import Address, PipeAddress
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import make_host, set_priority
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import EndpointSettings


class StaticDiscovery:
    """Gives the configured addresses once."""

    def __init__(self, info: ClusterInfo) -> None:
        self._info = info

    def start(self, hosts: PrioritySet, on_initialised: Callable[[], None]) -> None:
        """Tell the hosts at once, one priority after the other."""
        by_priority: dict[int, list[Host]] = {}
        for endpoint in self._info.settings.endpoints:
            host = make_host(self._info, _address(endpoint), endpoint)
            by_priority.setdefault(endpoint.priority, []).append(host)
        for priority, members in sorted(by_priority.items()):
            set_priority(self._info, hosts, priority, members)
        on_initialised()

    def stop(self) -> None:
        """There is nothing under way."""


def _address(endpoint: EndpointSettings) -> Address:
    return PipeAddress(endpoint.host) if endpoint.is_pipe else Address(endpoint.host, endpoint.port)
