"""All clusters: made from settings, started together, found by name (Envoy's `ClusterManagerImpl`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from envoymesh.network.api import ClientTls, Connector, Dispatcher, DnsResolver
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope, sanitize
from envoymesh.stats.server import ClusterManagerStats
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.discovery.api import Discovery
from envoymesh.upstream.discovery.dns import DnsDiscovery
from envoymesh.upstream.discovery.static import StaticDiscovery
from envoymesh.upstream.settings import ClusterSettings, DnsSettings


class ClusterManager(Protocol):
    """All clusters by name."""

    def get(self, name: str) -> Cluster | None:
        """A cluster, or None."""

    def clusters(self) -> Mapping[str, Cluster]:
        """All of them."""

    def initialise(self, done: Callable[[], None]) -> None:
        """Start discovery; `done` is called when every cluster has had its first answer."""

    def shutdown(self) -> None:
        """Stop discovery and close every connection."""


def _no_tls() -> None:
    """Plain TCP."""


class StaticClusterManager:
    """The clusters of a bootstrap.

    Args:
        scope: the root of all stats.
        make_resolver: gives what a cluster asks for its names.
        random: uniform in [0, 1).
        make_tls: turns a cluster's TLS settings and stats scope into what the connector wants.
    """

    def __init__(
        self,
        settings: Sequence[ClusterSettings],
        scope: Scope,
        connector: Connector,
        make_resolver: Callable[[DnsSettings], DnsResolver],
        dispatcher: Dispatcher,
        random: Callable[[], float],
        runtime: RuntimeReader,
        make_tls: Callable[[UpstreamTlsSettings, Scope], ClientTls],
    ) -> None:
        self._make_resolver = make_resolver
        self._dispatcher = dispatcher
        self._random = random
        self._stats = ClusterManagerStats.create(scope.scope("cluster_manager."))
        self._clusters: dict[str, Cluster] = {}
        for each in settings:
            own = scope.scope(f"cluster.{sanitize(each.stat_name)}.")
            tls = {kind: make_tls(of_kind, own) for kind, of_kind in each.tls.items()}
            tcp_tls = _no_tls if each.tcp_tls is None else partial(make_tls, each.tcp_tls, own)
            self._clusters[each.name] = Cluster(each, own, connector, dispatcher, random, runtime, tls, tcp_tls)
        self._waiting = len(self._clusters)
        self._stats.active_clusters.set(len(self._clusters))
        self._stats.cluster_added.add(len(self._clusters))

    def get(self, name: str) -> Cluster | None:
        """A cluster, or None."""
        return self._clusters.get(name)

    def clusters(self) -> Mapping[str, Cluster]:
        """All of them, by name."""
        return self._clusters

    def initialise(self, done: Callable[[], None]) -> None:
        """Start discovery; `done` is called when every cluster has had its first answer."""
        if not self._clusters:
            done()
            return

        def one_is_ready() -> None:
            self._waiting -= 1
            if self._waiting == 0:
                done()

        for cluster in self._clusters.values():
            cluster.start(self._discovery(cluster), one_is_ready)

    def _discovery(self, cluster: Cluster) -> Discovery:
        settings = cluster.settings
        if settings.discovery_type == "STATIC":
            return StaticDiscovery(settings.endpoints, cluster.stats)
        resolver = self._make_resolver(settings.dns)
        return DnsDiscovery(settings, cluster.stats, resolver, self._dispatcher, self._random)

    def shutdown(self) -> None:
        """Stop discovery and close every connection."""
        for cluster in self._clusters.values():
            cluster.shutdown()
