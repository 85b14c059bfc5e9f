"""All clusters: made from settings, started together, found by name (Envoy's `ClusterManagerImpl`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from envoymesh.network.api import ClientTls, Connector, Dispatcher, DnsResolver
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope, sanitize
from envoymesh.stats.server import ClusterManagerStats
from envoymesh.upstream.aggregate import Aggregate
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import Discovery
from envoymesh.upstream.discovery.dns import DnsDiscovery
from envoymesh.upstream.discovery.original_dst import OriginalDst
from envoymesh.upstream.discovery.static import StaticDiscovery
from envoymesh.upstream.dynamic_forward_proxy.cluster import DynamicForwardProxy
from envoymesh.upstream.dynamic_forward_proxy.dns_cache import DnsCaches
from envoymesh.upstream.health.api import ClusterHealth
from envoymesh.upstream.health.factory import make_health_checker
from envoymesh.upstream.outlier.detector import OutlierDetector
from envoymesh.upstream.outlier.event_log import OutlierEventLog
from envoymesh.upstream.outlier.stats import OutlierDetectionStats
from envoymesh.upstream.settings import ClusterSettings, DnsSettings, Locality, TlsByPool
from envoymesh.upstream.transport_sockets import TransportSocket
from envoymesh.upstream.update_counts import UpdateCounts

DYNAMIC_FORWARD_PROXY: Final = "DYNAMIC_FORWARD_PROXY"
"""The `discovery_type` of clusters whose hosts are names that requests say."""


class ClusterManager(Protocol):
    """All clusters by name.

    Attributes:
        dns_caches: of the names that requests say.
    """

    dns_caches: DnsCaches

    def get(self, name: str) -> Cluster | None:
        """A cluster, or None."""

    def clusters(self) -> Mapping[str, Cluster]:
        """All of them."""

    def initialise(self, done: Callable[[], None]) -> None:
        """Start discovery; `done` is called when every cluster has had its first answer, and has checked its hosts
        where it does."""

    def shutdown(self) -> None:
        """Stop discovery and close every connection."""


def _no_tls() -> None:
    """Plain TCP."""


def _make_tls_below(
    make_tls: Callable[[UpstreamTlsSettings, Scope], ClientTls], scope: Scope, settings: UpstreamTlsSettings
) -> ClientTls:
    return make_tls(settings, scope)


class StaticClusterManager:
    """The clusters of a bootstrap.

    Args:
        scope: the root of all stats.
        make_resolver: gives what a cluster asks for its names.
        random: uniform in [0, 1).
        make_tls: turns a cluster's TLS settings and stats scope into what the connector wants.
        local_locality: this proxy's own (`node.locality`), or None.
        local_cluster: the name of the cluster that this proxy is one of (`ClusterManager.local_cluster_name`), or
            empty.
        outlier_log: where ejected hosts are told of, or None.
        told_health: gives what keeps the health of a cluster's hosts, where another process checks them; None where
            they are checked here.
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
        local_locality: Locality | None = None,
        local_cluster: str = "",
        outlier_log: OutlierEventLog | None = None,
        told_health: Callable[[Cluster], ClusterHealth | None] = lambda cluster: None,
    ) -> None:
        self._make_resolver = make_resolver
        self._dispatcher = dispatcher
        self._random = random
        self.dns_caches = DnsCaches(scope, make_resolver, dispatcher, random, runtime)
        self._stats = ClusterManagerStats.create(scope.scope("cluster_manager."))
        made: dict[str, Cluster] = {}
        local: Cluster | None = None
        # The local cluster's hosts are known to the balancers of the others.
        for each in sorted(settings, key=lambda each: each.name != local_cluster):
            own = scope.scope(f"cluster.{sanitize(each.stat_name)}.")

            def make_socket(tls: TlsByPool, scope: Scope = own) -> TransportSocket:
                return {kind: make_tls(of_kind, scope) for kind, of_kind in tls.items()}

            sockets = tuple(make_socket(match.tls) for match in each.tls_matches)
            zone = local_locality.zone if local_locality is not None else ""
            tcp_tls = _no_tls if each.tcp_tls is None else partial(make_tls, each.tcp_tls, own)
            info = ClusterInfo(each, own, runtime, make_socket(each.tls), sockets, zone, tcp_tls)
            hosts = local.priority_set if local is not None else None
            cluster = Cluster(info, connector, dispatcher, random, runtime, local_locality, hosts)
            self._watch_for_outliers(cluster, runtime, outlier_log)
            if each.health_check is not None:
                cluster.health = told_health(cluster) or make_health_checker(
                    each.health_check, info, cluster.priority_set, connector, dispatcher, random, runtime,
                    partial(_make_tls_below, make_tls, own), cluster.on_host_health_failure,
                    cluster.on_host_health_success,
                )  # fmt: skip
            made[each.name] = cluster
            if each.dns_cache is not None:
                self.dns_caches.get(each.dns_cache)  # refused where another cluster has a different one of this name
            if each.name == local_cluster:
                local = cluster
        self._clusters = {each.name: made[each.name] for each in settings}
        self._waiting = 0
        self._stats.active_clusters.set(len(self._clusters))
        self._stats.cluster_added.add(len(self._clusters))

    def _watch_for_outliers(self, cluster: Cluster, runtime: RuntimeReader, log: OutlierEventLog | None) -> None:
        """Give a cluster its outlier detector, if it has one."""
        settings = cluster.settings.outlier_detection
        if settings is None:
            return
        cluster.outlier_detector = OutlierDetector(
            cluster.name,
            settings,
            cluster.priority_set,
            OutlierDetectionStats.create(cluster.scope.scope("outlier_detection.")),
            self._dispatcher,
            self._random,
            runtime,
            log,
            cluster.on_host_health_failure,
        )

    def get(self, name: str) -> Cluster | None:
        """A cluster, or None."""
        return self._clusters.get(name)

    def clusters(self) -> Mapping[str, Cluster]:
        """All of them, by name."""
        return self._clusters

    def initialise(self, done: Callable[[], None], *, only_checked: bool = False) -> None:
        """Start discovery; `done` is called when every cluster has had its first answer, and has checked its hosts
        where it does.

        Args:
            only_checked: start only clusters whose hosts are checked, for the sake of that.
        """
        self.dns_caches.start()
        wanted = [each for each in self._clusters.values() if each.health is not None or not only_checked]
        self._waiting = len(wanted)
        if not wanted:
            done()
            return

        def one_is_ready(cluster: Cluster) -> None:
            window = cluster.settings.update_merge_window
            cluster.count_updates(UpdateCounts(self._stats, window, self._dispatcher.now))
            self._waiting -= 1
            if self._waiting == 0:
                done()

        for cluster in wanted:
            cluster.start(self._discovery(cluster), partial(one_is_ready, cluster))

    def _discovery(self, cluster: Cluster) -> Discovery:
        settings = cluster.settings
        if settings.discovery_type == "STATIC":
            return StaticDiscovery(cluster.info)
        if settings.discovery_type == "AGGREGATE":
            aggregate = Aggregate(settings.aggregated, self.get, self._random, cluster.panic_threshold)
            cluster.balancer = cluster.owners = aggregate
            cluster.wants_request = True  # one of the clusters may want to know it
            return aggregate
        if settings.dns_cache is not None:
            proxy = DynamicForwardProxy(cluster.info, self.dns_caches.get(settings.dns_cache))
            cluster.balancer = proxy
            cluster.wants_request = True
            return proxy
        if settings.discovery_type == "ORIGINAL_DST":
            original = OriginalDst(cluster.info, self._dispatcher, cluster.pools.has_connections)
            cluster.balancer = original
            cluster.wants_request = True
            return original
        return DnsDiscovery(cluster.info, self._make_resolver(settings.dns), self._dispatcher, self._random)

    def shutdown(self) -> None:
        """Stop discovery and close every connection."""
        for cluster in self._clusters.values():
            cluster.shutdown()
        self.dns_caches.stop()
