"""A cluster of clusters: the first that has healthy hosts is asked, the others when it has too few.

Envoy's `extensions/clusters/aggregate`: the priorities of all clusters in a row are one list, over which the load is
spread as over a cluster's own. What is picked is a host of one of those clusters, with that cluster's settings, stats
and connections. This module must not pick among the hosts of a priority: each cluster's own balancer does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, UpstreamOverrideHost
from envoymesh.metadata import MatchCriteria
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.cluster import Cluster, PoolsOfHosts
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import HostSet, PrioritySet, PrioritySetObserver
from envoymesh.upstream.lb.api import LoadBalancer
from envoymesh.upstream.lb.priorities import Priorities, PriorityLoad
from envoymesh.upstream.pool.pools import ConnectionPools

_DRAW: Final = 2.0**53


class AggregateContext(LoadBalancerContext):
    """A request to one of the clusters, for which the priority is chosen already."""

    __slots__ = ("_context", "_load")

    def __init__(self, context: LoadBalancerContext | None, load: PriorityLoad) -> None:
        self._context = context
        self._load = load

    def is_retry(self) -> bool:
        """True, so that the balancer asks for the priority load; see `LoadBalancerContext.is_retry`."""
        return True

    def determine_priority_load(self, priority_set: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        """All of it to the priority that was chosen."""
        return self._load

    def should_select_another_host(self, host: Host) -> bool:
        """As the request says."""
        return self._context is not None and self._context.should_select_another_host(host)

    def host_selection_attempts(self) -> int:
        """As the request says."""
        context = self._context
        return context.host_selection_attempts() if context is not None and context.is_retry() else 0

    def hash_key(self) -> int | None:
        """As the request says."""
        return None if self._context is None else self._context.hash_key()

    def metadata_match_criteria(self) -> MatchCriteria | None:
        """As the request says."""
        return None if self._context is None else self._context.metadata_match_criteria()

    def override_host_to_select(self) -> UpstreamOverrideHost | None:
        """As the request says."""
        return None if self._context is None else self._context.override_host_to_select()

    def downstream_headers(self) -> RequestHeaders | None:
        """As the request says."""
        return None if self._context is None else self._context.downstream_headers()

    def request_stream_info(self) -> StreamInfo | None:
        """As the request says."""
        return None if self._context is None else self._context.request_stream_info()


class Aggregate(LoadBalancer, PrioritySetObserver, PoolsOfHosts):
    """Finds an aggregate's hosts in its clusters, and picks the cluster; both its discovery and its balancer.

    Args:
        names: of the clusters, the first is asked first; names without a cluster are left out.
        find: gives a cluster by its name.
        random: uniform in [0, 1).
        panic_threshold: percent.
    """

    __slots__ = ("_find", "_names", "_owners", "_panic_threshold", "_parts", "_priorities", "_priority_set", "_random")

    def __init__(
        self,
        names: Sequence[str],
        find: Callable[[str], Cluster | None],
        random: Callable[[], float],
        panic_threshold: int,
    ) -> None:
        self._names = names
        self._find = find
        self._random = random
        self._panic_threshold = panic_threshold
        self._parts: list[tuple[Cluster, HostSet]] = []
        self._priority_set = PrioritySet()
        self._priorities: Priorities | None = None
        self._owners: dict[Host, Cluster] = {}

    def _clusters(self) -> list[Cluster]:
        found = [self._find(name) for name in self._names]
        return [cluster for cluster in found if cluster is not None]

    def start(self, hosts: PrioritySet, on_initialised: Callable[[], None]) -> None:
        """Hear of the clusters' hosts from now on. As in Envoy the aggregate itself has none."""
        for cluster in self._clusters():
            cluster.priority_set.add_observer(self)
        self._refresh()
        on_initialised()

    def stop(self) -> None:
        """Hear of no change any more."""
        for cluster in self._clusters():
            cluster.priority_set.remove_observer(self)

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """One of the clusters has other hosts."""
        self._refresh()

    def on_health_changed(self, priority: int) -> None:
        """Hosts of one of the clusters are sorted anew."""
        self._refresh()

    def set_panic_threshold(self, percent: int) -> None:
        """The runtime has another panic threshold."""
        self._panic_threshold = percent
        self._refresh()

    def _refresh(self) -> None:
        self._parts = [
            (cluster, host_set)
            for cluster in self._clusters()
            for host_set in cluster.priority_set.host_sets
            if host_set.hosts
        ]
        self._owners = {host: cluster for cluster, host_set in self._parts for host in host_set.hosts}
        self._priority_set.host_sets = tuple(host_set for _, host_set in self._parts)
        self._priorities = None
        if self._parts:
            self._priorities = Priorities(self._priority_set.host_sets, self._panic_threshold)

    def pools_of(self, host: Host) -> ConnectionPools:
        """The connections of the cluster that a host is of. Errors: KeyError for the host of none."""
        return self._owners[host].pools

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host that one of the clusters picks."""
        if self._priorities is None:
            return None
        load = self._priorities.load
        if context is not None and context.is_retry():
            load = context.determine_priority_load(self._priority_set, load)
        place, degraded = load.choose(int(self._random() * _DRAW))
        cluster, host_set = self._parts[place]
        of_cluster = _all_to(host_set.priority, degraded, len(cluster.priority_set.host_sets))
        return cluster.balancer.choose_host(AggregateContext(context, of_cluster))

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """None: connections in advance are the clusters' own business."""
        return None


def _all_to(priority: int, degraded: bool, count: int) -> PriorityLoad:
    load = PriorityLoad([0] * count, [0] * count)
    (load.degraded if degraded else load.healthy)[priority] = 100
    return load
