"""How load is spread over a cluster's priorities, and which of them are in a panic (Envoy's `LoadBalancerBase`).

A priority that has too few healthy hosts (with the overprovisioning factor, fewer than 5 of 7) passes load on: to the
next priorities, then to degraded hosts. Where all priorities together cannot take the load, health is not believed in
those that are below the panic threshold. All figures are whole percent, rounded as in Envoy. This module must not pick
hosts, nor count.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.upstream.host_set import HostSet


class PriorityLoad:
    """Percent of the load by priority; healthy and degraded hosts together get 100 (`HealthyAndDegradedLoad`)."""

    __slots__ = ("degraded", "healthy")

    def __init__(self, healthy: list[int], degraded: list[int]) -> None:
        self.healthy = healthy
        self.degraded = degraded

    def choose(self, hash_value: int) -> tuple[int, bool]:
        """The priority that a number falls to, and whether to its degraded hosts (`choosePriority`)."""
        wanted = hash_value % 100 + 1
        total = 0
        for priority, load in enumerate(self.healthy):
            total += load
            if wanted <= total:
                return priority, False
        for priority, load in enumerate(self.degraded):
            total += load
            if wanted <= total:
                return priority, True
        return 0, False

    def __repr__(self) -> str:
        return f"<PriorityLoad {self.healthy} degraded={self.degraded}>"


class Priorities:
    """What follows of the health of all host sets.

    Attributes:
        load: where requests go.
        panic: by priority, whether all hosts take part whatever their health.
        total_healthy: healthy hosts of all priorities.
    """

    __slots__ = ("load", "panic", "total_healthy")

    def __init__(self, host_sets: Sequence[HostSet], panic_threshold: int) -> None:
        self.total_healthy: int = sum([len(each.healthy_hosts) for each in host_sets])
        health = [availability(each, len(each.healthy_hosts), False) for each in host_sets]
        degraded = [availability(each, len(each.degraded_hosts), True) for each in host_sets]
        self.load: PriorityLoad = spread(health, degraded)
        threshold = min(100, panic_threshold)
        total = min(100, sum(health) + sum(degraded))
        self.panic: list[bool] = [total < 100 and is_in_panic(each, threshold) for each in host_sets]
        if total == 0 and threshold == 0:
            # Nobody takes anything, and health counts all the same: the first priority gets the load, and has no host.
            self.load.healthy[0] = 100
        elif all(self.panic):
            self.load = spread_in_total_panic(host_sets)


def availability(host_set: HostSet, count: int, degraded: bool) -> int:
    """Percent of a priority's own load that its healthy (or degraded) hosts can take, 0 to 100."""
    total = len(host_set.hosts) - len(host_set.excluded_hosts)
    if total <= 0:
        return 0
    if host_set.weighted_priority_health:
        hosts = host_set.degraded_hosts if degraded else host_set.healthy_hosts
        count = sum([host.weight for host in hosts])
        total = sum([host.weight for host in host_set.hosts]) - sum([host.weight for host in host_set.excluded_hosts])
    return min(100, host_set.overprovisioning_factor * count // total)


def spread(health: Sequence[int], degraded: Sequence[int]) -> PriorityLoad:
    """Percent of the load by priority, from what each can take: healthy hosts first, then degraded ones."""
    total = min(100, sum(health) + sum(degraded))
    load = PriorityLoad([0] * len(health), [0] * len(degraded))
    if total == 0:
        return load
    left = _distribute(load.healthy, health, 100, total)
    left = _distribute(load.degraded, degraded, left, total)
    if left:
        # What is left by rounding goes to the first that can take anything.
        _give_rest(load.healthy, health, left) or _give_rest(load.degraded, degraded, left)
    return load


def _distribute(load: list[int], available: Sequence[int], left: int, total: int) -> int:
    for priority, percent in enumerate(available):
        load[priority] = min(left, percent * 100 // total)
        left -= load[priority]
    return left


def _give_rest(load: list[int], available: Sequence[int], rest: int) -> bool:
    for priority, percent in enumerate(available):
        if percent > 0:
            load[priority] += rest
            return True
    return False


def is_in_panic(host_set: HostSet, threshold: int) -> bool:
    """Whether fewer than `threshold` percent of a set's hosts are healthy or degraded (`isHostSetInPanic`)."""
    count = len(host_set.hosts) - len(host_set.excluded_hosts)
    if count <= 0:
        return threshold > 0
    healthy = 100.0 * len(host_set.healthy_hosts) / count
    return healthy + 100.0 * len(host_set.degraded_hosts) / count < threshold


def spread_in_total_panic(host_sets: Sequence[HostSet]) -> PriorityLoad:
    """Percent of the load by priority where none of them is well: by their numbers of hosts."""
    load = PriorityLoad([0] * len(host_sets), [0] * len(host_sets))
    total = sum([len(each.hosts) for each in host_sets])
    if total == 0:
        load.healthy[0] = 100
        return load
    for priority, each in enumerate(host_sets):
        load.healthy[priority] = 100 * len(each.hosts) // total
    rest = 100 - sum(load.healthy)
    _give_rest(load.healthy, [len(each.hosts) for each in host_sets], rest)
    return load
