"""STATIC clusters: the hosts are in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envoymesh.network.api import Address, PipeAddress
from envoymesh.upstream.discovery.api import OnUpdate
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import EndpointSettings
from envoymesh.upstream.stats import ClusterStats


class StaticDiscovery:
    """Gives the configured addresses once."""

    def __init__(self, endpoints: Sequence[EndpointSettings], stats: ClusterStats) -> None:
        self._endpoints = endpoints
        self._stats = stats

    def start(self, on_update: OnUpdate, on_initialised: Callable[[], None]) -> None:
        """Tell the hosts at once."""
        self._stats.total_match_count.add(len(self._endpoints))
        on_update([Host(_address(endpoint), endpoint) for endpoint in self._endpoints])
        on_initialised()

    def stop(self) -> None:
        """There is nothing under way."""


def _address(endpoint: EndpointSettings) -> Address:
    return PipeAddress(endpoint.host) if endpoint.is_pipe else Address(endpoint.host, endpoint.port)
