"""A cluster's hosts by priority, and those of one priority sorted by health and locality.

Envoy's `HostSetImpl` and `PrioritySetImpl`. What is given out are tuples that never change: a set is sorted anew when
its members or their health change, and whoever reads keeps what it has read. This module must not pick hosts, find
them, nor check them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from mypy_extensions import trait

from envoymesh.upstream.host import DEGRADED_FLAGS, EXCLUDED_FLAGS, UNHEALTHY_FLAGS, Host
from envoymesh.upstream.settings import OVERPROVISIONING_FACTOR, Locality

Hosts = tuple[Host, ...]


class HostsPerLocality:
    """Hosts in one bucket for each locality (Envoy's `HostsPerLocality`).

    The bucket of this proxy's own locality is the first where `has_local_locality` is set; the others are ordered by
    region, zone and sub-zone. A locality keeps its index in all four of a set's, also where its bucket is empty.
    """

    __slots__ = ("buckets", "has_local_locality")

    def __init__(self, buckets: tuple[Hosts, ...], has_local_locality: bool = False) -> None:
        self.buckets = buckets
        self.has_local_locality = has_local_locality

    def filter(self, keep: Callable[[Host], bool]) -> HostsPerLocality:
        """The same localities with fewer hosts."""
        kept = tuple(tuple(host for host in bucket if keep(host)) for bucket in self.buckets)
        return HostsPerLocality(kept, self.has_local_locality)

    def __repr__(self) -> str:
        return f"<HostsPerLocality {[len(bucket) for bucket in self.buckets]} local={self.has_local_locality}>"


NO_LOCALITIES: Final = HostsPerLocality(())


def is_healthy(host: Host) -> bool:
    """Whether nothing is known against a host."""
    return host.health_flags & (UNHEALTHY_FLAGS | DEGRADED_FLAGS) == 0


def is_degraded(host: Host) -> bool:
    """Whether a host takes requests only when there are too few healthy ones."""
    return host.health_flags & UNHEALTHY_FLAGS == 0 and host.health_flags & DEGRADED_FLAGS != 0


def is_excluded(host: Host) -> bool:
    """Whether a host counts for nothing where shares of healthy hosts are worked out."""
    return host.health_flags & EXCLUDED_FLAGS != 0


class HostSet:
    """The hosts of one priority.

    Attributes:
        hosts, healthy_hosts, degraded_hosts, excluded_hosts: all, and the parts of them; excluded ones may be in
            another part as well.
        hosts_per_locality, ...: the same by locality.
        locality_weights: `load_balancing_weight` of each bucket of `hosts_per_locality`, 0 where it is unset.
        overprovisioning_factor: percent.
        weighted_priority_health: whether shares of healthy hosts are of weights instead of numbers.
    """

    __slots__ = (
        "degraded_hosts",
        "degraded_hosts_per_locality",
        "excluded_hosts",
        "excluded_hosts_per_locality",
        "healthy_hosts",
        "healthy_hosts_per_locality",
        "hosts",
        "hosts_per_locality",
        "locality_weights",
        "overprovisioning_factor",
        "priority",
        "weighted_priority_health",
    )

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.overprovisioning_factor: int = OVERPROVISIONING_FACTOR
        self.weighted_priority_health = False
        self.hosts: Hosts = ()
        self.healthy_hosts: Hosts = ()
        self.degraded_hosts: Hosts = ()
        self.excluded_hosts: Hosts = ()
        self.hosts_per_locality: HostsPerLocality = NO_LOCALITIES
        self.healthy_hosts_per_locality: HostsPerLocality = NO_LOCALITIES
        self.degraded_hosts_per_locality: HostsPerLocality = NO_LOCALITIES
        self.excluded_hosts_per_locality: HostsPerLocality = NO_LOCALITIES
        self.locality_weights: tuple[int, ...] = ()

    def update(self, hosts: Iterable[Host], weights: Mapping[Locality, int], local_locality: Locality | None) -> None:
        """Take new members."""
        self.hosts = tuple(hosts)
        by_locality: dict[Locality, list[Host]] = {}
        for host in self.hosts:
            by_locality.setdefault(host.locality, []).append(host)
        has_local = local_locality is not None and local_locality in by_locality
        order = sorted(by_locality, key=lambda locality: (not has_local or locality != local_locality, locality))
        # The set itself where there is one locality: most sets are like that, and need no second tuple.
        buckets = (self.hosts,) if len(order) == 1 else tuple(tuple(by_locality[locality]) for locality in order)
        self.hosts_per_locality = HostsPerLocality(buckets, has_local)
        self.locality_weights = tuple(weights.get(locality, 0) for locality in order)
        self.sort_by_health()

    def take_part(self, whole: HostSet, wanted: set[Host], locality_weights: tuple[int, ...]) -> None:
        """Take those of another set's members that are wanted; a locality keeps its index."""
        self.overprovisioning_factor = whole.overprovisioning_factor
        self.weighted_priority_health = whole.weighted_priority_health
        self.hosts = tuple(host for host in whole.hosts if host in wanted)
        self.hosts_per_locality = whole.hosts_per_locality.filter(wanted.__contains__)
        self.locality_weights = locality_weights
        self.sort_by_health()

    def sort_by_health(self) -> None:
        """Sort the members by what their flags say now."""
        self.healthy_hosts, self.healthy_hosts_per_locality = self._part(is_healthy)
        self.degraded_hosts, self.degraded_hosts_per_locality = self._part(is_degraded)
        self.excluded_hosts, self.excluded_hosts_per_locality = self._part(is_excluded)

    def _part(self, keep: Callable[[Host], bool]) -> tuple[Hosts, HostsPerLocality]:
        hosts = self.hosts
        part = tuple(host for host in hosts if keep(host))
        if len(part) == len(hosts):
            return hosts, self.hosts_per_locality
        if len(self.hosts_per_locality.buckets) == 1:
            return part, HostsPerLocality((part,), self.hosts_per_locality.has_local_locality)
        return part, self.hosts_per_locality.filter(keep)

    def __repr__(self) -> str:
        return (
            f"<HostSet {self.priority} hosts={len(self.hosts)} healthy={len(self.healthy_hosts)} "
            f"degraded={len(self.degraded_hosts)} excluded={len(self.excluded_hosts)}>"
        )


@trait
class PrioritySetObserver:
    """Whatever is made of a cluster's hosts, and must follow their changes; told when the sets are up to date."""

    __slots__ = ()

    @abstractmethod
    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """A priority's members, their weights or their order changed; both lists may be empty."""

    @abstractmethod
    def on_health_changed(self, priority: int) -> None:
        """The health of members of a priority changed, and nothing else."""


class PrioritySet:
    """All hosts of a cluster.

    Attributes:
        host_sets: by priority; there is always one of priority 0, and none is missing below the highest.
        local_locality: this proxy's own (`node.locality`), or None.
    """

    __slots__ = ("_observers", "host_sets", "local_locality")

    def __init__(self, local_locality: Locality | None = None) -> None:
        self.local_locality: Locality | None = local_locality
        self.host_sets: tuple[HostSet, ...] = (HostSet(0),)
        self._observers: list[PrioritySetObserver] = []

    def add_observer(self, observer: PrioritySetObserver) -> None:
        """Tell somebody of changes from now on, after those who asked earlier."""
        self._observers.append(observer)

    def remove_observer(self, observer: PrioritySetObserver) -> None:
        """Tell somebody no more. Errors: ValueError where it was not told."""
        self._observers.remove(observer)

    def host_set(self, priority: int) -> HostSet:
        """The set of a priority; it is made where there is none, and so are those below it."""
        while len(self.host_sets) <= priority:
            self.host_sets = (*self.host_sets, HostSet(len(self.host_sets)))
        return self.host_sets[priority]

    def update_hosts(
        self,
        priority: int,
        hosts: Iterable[Host],
        locality_weights: Mapping[Locality, int] | None = None,
        overprovisioning_factor: int = OVERPROVISIONING_FACTOR,
        weighted_priority_health: bool = False,
    ) -> None:
        """Take the members of a priority, all of them, and tell who came and who left.

        Args:
            locality_weights: of the localities that have one (`LocalityLbEndpoints.load_balancing_weight`).
        """
        of_priority = self.host_set(priority)
        before = of_priority.hosts
        of_priority.overprovisioning_factor = overprovisioning_factor
        of_priority.weighted_priority_health = weighted_priority_health
        of_priority.update(hosts, locality_weights or {}, self.local_locality)
        known, wanted = set(before), set(of_priority.hosts)
        added = tuple(host for host in of_priority.hosts if host not in known)
        removed = tuple(host for host in before if host not in wanted)
        for observer in tuple(self._observers):
            observer.on_members_changed(priority, added, removed)

    def update_part(self, priority: int, whole: HostSet, wanted: set[Host], locality_weights: tuple[int, ...]) -> None:
        """Take those of another set's members that are wanted, with its localities, factors and health (a subset)."""
        of_priority = self.host_set(priority)
        before = set(of_priority.hosts)
        of_priority.take_part(whole, wanted, locality_weights)
        added = tuple(host for host in of_priority.hosts if host not in before)
        removed = tuple(before - wanted)
        for observer in tuple(self._observers):
            observer.on_members_changed(priority, added, removed)

    def update_health(self, changed: Iterable[Host]) -> None:
        """Flags of these hosts have changed: each of their sets is sorted once, and told of, before this returns."""
        for priority in sorted({host.priority for host in changed}):
            if priority < len(self.host_sets):
                self.host_sets[priority].sort_by_health()
                for observer in tuple(self._observers):
                    observer.on_health_changed(priority)

    def hosts(self) -> Hosts:
        """All hosts, those of the lowest priority number first."""
        if len(self.host_sets) == 1:
            return self.host_sets[0].hosts
        return tuple(host for of_priority in self.host_sets for host in of_priority.hosts)

    def __repr__(self) -> str:
        return f"<PrioritySet {list(self.host_sets)}>"
