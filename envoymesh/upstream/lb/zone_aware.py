"""The part that ROUND_ROBIN, LEAST_REQUEST and RANDOM share: which of a cluster's hosts a pick is made among.

A priority first, by load; in it all hosts (in a panic), its healthy or its degraded ones; of those, where localities
have weights or traffic should stay in this proxy's zone, one locality's (Envoy's `ZoneAwareLoadBalancerBase`). Where
all requests have the same hosts to go to, which is the rule, that is known beforehand, and a pick asks nothing.
This module must not pick among the hosts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import HostSet, HostsPerLocality, PrioritySet, PrioritySetObserver
from envoymesh.upstream.lb.api import DRAW, LbParams, LoadBalancer, Random, Zone
from envoymesh.upstream.lb.edf import EdfScheduler
from envoymesh.upstream.lb.locality_wrr import NO_LOCALITY, LocalityWrr
from envoymesh.upstream.lb.priorities import Priorities, is_in_panic
from envoymesh.upstream.lb.settings import LocalitySettings
from envoymesh.upstream.settings import Locality

NO_HASH: Final = -1
"""No number was drawn for this pick."""


class HostsSource:
    """Hosts to pick among, and what a policy keeps for them from pick to pick.

    Attributes:
        index: of the next host in turn.
        peeked: how many in turn were looked at in advance.
        prepicked: those that were looked at in advance in the schedule; they are picked first.
        schedule: where weights differ.
        stale: whether `schedule` is still to be made for these hosts.
    """

    __slots__ = ("hosts", "index", "peeked", "prepicked", "schedule", "stale")

    def __init__(self, index: int) -> None:
        self.hosts: tuple[Host, ...] = ()
        self.index = index
        self.peeked = 0
        self.prepicked: list[Host] = []
        self.schedule: EdfScheduler[Host] | None = None
        self.stale = True

    def refresh(self, hosts: tuple[Host, ...]) -> None:
        """Take other hosts (or the same with other weights); whose turn it is does not change."""
        self.hosts = hosts
        self.schedule = None
        self.peeked = 0
        self.prepicked.clear()
        self.stale = True


class _Routing:
    """How priority 0 keeps traffic in this proxy's zone (Envoy's `LocalityRoutingState`).

    Attributes:
        direct: everything stays.
        local_percent: of 10,000 requests, those that stay.
        residual_capacity: what each locality can take besides its own traffic, added up.
    """

    __slots__ = ("direct", "local_percent", "residual_capacity")

    def __init__(self, direct: bool, local_percent: int, residual_capacity: list[int]) -> None:
        self.direct = direct
        self.local_percent = local_percent
        self.residual_capacity = residual_capacity


class _PrioritySources:
    """What there is to pick among in one priority."""

    __slots__ = ("all", "degraded", "degraded_localities", "healthy", "healthy_localities", "locality_wrr")

    def __init__(self, index: int) -> None:
        self.all = HostsSource(index)
        self.healthy = HostsSource(index)
        self.degraded = HostsSource(index)
        self.healthy_localities: list[HostsSource] = []
        self.degraded_localities: list[HostsSource] = []
        self.locality_wrr: LocalityWrr | None = None

    def refresh(self, host_set: HostSet, index: int, by_locality: bool) -> None:
        self.all.refresh(host_set.hosts)
        self.healthy.refresh(host_set.healthy_hosts)
        self.degraded.refresh(host_set.degraded_hosts)
        if by_locality:
            _refresh_localities(self.healthy_localities, host_set.healthy_hosts_per_locality, index)
            _refresh_localities(self.degraded_localities, host_set.degraded_hosts_per_locality, index)


def _refresh_localities(sources: list[HostsSource], hosts: HostsPerLocality, index: int) -> None:
    for place, bucket in enumerate(hosts.buckets):
        if place == len(sources):
            sources.append(HostsSource(index))
        sources[place].refresh(bucket)


class ZoneAwareLoadBalancer(LoadBalancer, PrioritySetObserver):
    """Chooses a `HostsSource` for each pick; policies derive from it and pick of that.

    Attributes:
        seed: where sources begin, so that proxies do not march in step.
        priorities: the loads of the priorities as they are now.
    """

    __slots__ = (
        "_direct",
        "_local_observer",
        "_panic_threshold",
        "_priority_set",
        "_routing",
        "_sources",
        "_stashed",
        "_zone",
        "locality",
        "priorities",
        "random",
        "seed",
        "stats",
    )

    def __init__(self, params: LbParams, locality: LocalitySettings) -> None:
        self.locality = locality
        self.random: Random = params.random
        self.stats = params.stats
        self.seed = int(params.random() * 2.0**32)
        self._panic_threshold = params.panic_threshold
        self._priority_set: PrioritySet = params.priority_set
        self._zone: Zone | None = params.zone
        self._local_observer = _LocalObserver(self)
        self._routing: _Routing | None = None
        self._sources: list[_PrioritySources] = []
        self._stashed: list[int] = []
        self._direct: HostsSource | None = None
        self.priorities = Priorities(params.priority_set.host_sets, params.panic_threshold)

    def start(self, priority_set: PrioritySet) -> None:
        """Take the hosts that there are, and hear of changes; called by whoever made it, when it is whole."""
        for priority in range(len(priority_set.host_sets)):
            self._refresh(priority)
        priority_set.add_observer(self)
        if self._zone is not None:
            self._zone.local_priority_set.add_observer(self._local_observer)

    def stop(self) -> None:
        """Hear of no change any more."""
        self._priority_set.remove_observer(self)
        if self._zone is not None:
            self._zone.local_priority_set.remove_observer(self._local_observer)

    # Changes

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Hosts came or left."""
        self._refresh(priority)

    def on_health_changed(self, priority: int) -> None:
        """Hosts are to be sorted anew."""
        self._refresh(priority)

    def set_panic_threshold(self, percent: int) -> None:
        """The runtime has another panic threshold."""
        self._panic_threshold = percent
        self._settle()

    def _refresh(self, priority: int) -> None:
        host_sets = self._priority_set.host_sets
        while len(self._sources) < len(host_sets):
            self._sources.append(_PrioritySources(self.seed))
        host_set = host_sets[priority]
        weighted = self.locality.weighted
        by_locality = weighted or (self._zone is not None and priority == 0)
        sources = self._sources[priority]
        sources.refresh(host_set, self.seed, by_locality)
        if weighted:
            sources.locality_wrr = LocalityWrr(host_set, int(self.random() * 2.0**32))
        if self._zone is not None and priority == 0:
            self._regenerate_locality_routing(self._zone)
        self.on_refreshed(host_set)
        self._settle()

    def on_refreshed(self, host_set: HostSet) -> None:
        """A policy's own part of a refresh of one priority."""

    def _settle(self) -> None:
        """Work out the loads, and whether all requests go to the same source."""
        self.priorities = priorities = Priorities(self._priority_set.host_sets, self._panic_threshold)
        self._stashed.clear()
        self._direct = None
        if self._routing is not None or not self._sources:
            return
        sources = self._sources[0]
        if not priorities.panic[0] and priorities.load.healthy[0] == 100 and sources.locality_wrr is None:
            self._direct = sources.healthy

    # Picks

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host for a request; a retry may refuse some (`retry_host_predicate`)."""
        if context is None or not context.is_retry():
            direct = self._direct
            if direct is None or self._stashed:
                return self._choose_once(None)
            return self.pick(direct, NO_HASH)
        host: Host | None = None
        for _ in range(context.host_selection_attempts() + 1):
            host = self._choose_once(context)
            if host is None or not context.should_select_another_host(host):
                break
        return host

    def _choose_once(self, context: LoadBalancerContext | None) -> Host | None:
        hash_value = self._stashed.pop(0) if self._stashed else int(self.random() * DRAW)
        source = self._choose_source(context, hash_value)
        return None if source is None else self.pick(source, hash_value)

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host after those that were peeked at already; at the most as many as there are healthy hosts."""
        if len(self._stashed) >= self.priorities.total_healthy:
            return None
        hash_value = int(self.random() * DRAW)
        self._stashed.append(hash_value)
        source = self._choose_source(None, hash_value)
        return None if source is None else self.peek(source, hash_value)

    @abstractmethod
    def pick(self, source: HostsSource, hash_value: int) -> Host | None:
        """Pick of a source. `hash_value` is the number that chose the source, or NO_HASH."""

    @abstractmethod
    def peek(self, source: HostsSource, hash_value: int) -> Host | None:
        """What `pick` will give after those that were peeked at; None where a policy cannot know."""

    # The source (Envoy's `hostSourceToUse`)

    def _choose_source(self, context: LoadBalancerContext | None, hash_value: int) -> HostsSource | None:
        load = self.priorities.load
        if context is not None:
            load = context.determine_priority_load(self._priority_set, load)
        priority, degraded = load.choose(hash_value)
        sources = self._sources[priority]
        if self.priorities.panic[priority]:
            self.stats.lb_healthy_panic.inc()
            return None if self.locality.zone_aware.fail_traffic_on_panic else sources.all
        if sources.locality_wrr is not None:
            place = sources.locality_wrr.choose_degraded() if degraded else sources.locality_wrr.choose_healthy()
            if place != NO_LOCALITY:
                return _of_locality(sources, place, degraded)
        if self._zone is not None and self._routing is not None and priority == 0:
            return self._choose_by_zone(self._zone, self._routing, sources, degraded)
        return sources.degraded if degraded else sources.healthy

    # Zones

    def _choose_by_zone(
        self, zone: Zone, routing: _Routing, sources: _PrioritySources, degraded: bool
    ) -> HostsSource | None:
        anywhere = sources.degraded if degraded else sources.healthy
        if not zone.routing_enabled.holds(self.random):
            return anywhere
        if is_in_panic(zone.local_priority_set.host_sets[0], min(100, self._panic_threshold)):
            self.stats.lb_local_cluster_not_ok.inc()
            return None if self.locality.zone_aware.fail_traffic_on_panic else anywhere
        return _of_locality(sources, self._choose_locality(routing), degraded)

    def _choose_locality(self, routing: _Routing) -> int:
        stats = self.stats
        if routing.direct:
            stats.lb_zone_routing_all_directly.inc()
            return 0
        if int(self.random() * 10_000) < routing.local_percent:
            stats.lb_zone_routing_sampled.inc()
            return 0
        stats.lb_zone_routing_cross_zone.inc()
        capacity = routing.residual_capacity
        if capacity[-1] == 0:
            # Rounding has left no capacity.
            stats.lb_zone_no_capacity_left.inc()
            return int(self.random() * len(capacity))
        threshold = int(self.random() * capacity[-1])
        place = 0
        while threshold >= capacity[place]:
            place += 1
        return place

    def _regenerate_locality_routing(self, zone: Zone) -> None:
        """Work out anew how much stays in this proxy's zone (`regenerateLocalityRoutingStructures`)."""
        self.stats.lb_recalculate_zone_structures.inc()
        local = zone.local_priority_set.host_sets[0]
        self._routing = self._make_routing(local) if self._may_route_by_zone(zone, local) else None

    def on_local_cluster_changed(self) -> None:
        """The local cluster's members, the proxies like this one, have changed."""
        if self._zone is not None:
            self._regenerate_locality_routing(self._zone)
            self._settle()

    def _may_route_by_zone(self, zone: Zone, local: HostSet) -> bool:
        upstream = self._priority_set.host_sets[0]
        if len(upstream.healthy_hosts_per_locality.buckets) < 2:
            return False
        forced = self.locality.zone_aware.force_local_zone_min_size > 0
        buckets = local.hosts_per_locality.buckets
        if not forced and len(buckets) < 2:
            return False
        if not local.hosts_per_locality.has_local_locality or not buckets[0]:
            self.stats.lb_local_cluster_not_ok.inc()
            return False
        if len(upstream.healthy_hosts) < zone.min_cluster_size.value:
            self.stats.lb_zone_cluster_too_small.inc()
            return False
        return True

    def _make_routing(self, local: HostSet) -> _Routing:
        zone = self.locality.zone_aware
        upstream = self._priority_set.host_sets[0].healthy_hosts_per_locality
        percentages = locality_percentages(local.healthy_hosts_per_locality, upstream, zone.by_weight)
        has_local = upstream.has_local_locality
        local_percent = 0
        if has_local:
            here, there = percentages[0]
            enough = 0 < zone.force_local_zone_min_size <= len(upstream.buckets[0])
            if 0 < there >= here or enough:
                return _Routing(True, 0, [])
            local_percent = there * 10_000 // here if here > 0 else 0
        capacity: list[int] = []
        total = 0
        for place, (here, there) in enumerate(percentages):
            if there > here and not (place == 0 and has_local):
                total += there - here
            capacity.append(total)
        return _Routing(False, local_percent, capacity)


class _LocalObserver(PrioritySetObserver):
    """Tells a balancer that the local cluster changed."""

    __slots__ = ("_balancer",)

    def __init__(self, balancer: ZoneAwareLoadBalancer) -> None:
        self._balancer = balancer

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        self._balancer.on_local_cluster_changed()

    def on_health_changed(self, priority: int) -> None:
        self._balancer.on_local_cluster_changed()


def _of_locality(sources: _PrioritySources, place: int, degraded: bool) -> HostsSource:
    return sources.degraded_localities[place] if degraded else sources.healthy_localities[place]


def locality_percentages(local: HostsPerLocality, upstream: HostsPerLocality, by_weight: bool) -> list[tuple[int, int]]:
    """(local, upstream) share of each upstream locality, of 10,000 (`calculateLocalityPercentages`)."""
    here: dict[Locality, int] = {}
    total_here = 0
    for bucket in local.buckets:
        size = _size(bucket, by_weight)
        total_here += size
        if bucket:
            here[bucket[0].locality] = size
    total_there = sum([_size(bucket, by_weight) for bucket in upstream.buckets])
    percentages: list[tuple[int, int]] = []
    for bucket in upstream.buckets:
        if not bucket:
            percentages.append((0, 0))
            continue
        own = 10_000 * here.get(bucket[0].locality, 0) // total_here if total_here > 0 else 0
        percentages.append((own, 10_000 * _size(bucket, by_weight) // total_there if total_there > 0 else 0))
    return percentages


def _size(bucket: Sequence[Host], by_weight: bool) -> int:
    return sum([host.weight for host in bucket]) if by_weight else len(bucket)
