"""Localities by weight: which of a priority's localities is next (Envoy's `LocalityWrr`).

A locality counts with its weight as long as it has enough hosts that may be picked, and with less where it has not
(with the overprovisioning factor). This module must not pick hosts.
"""

from __future__ import annotations

from typing import Final

from envoymesh.upstream.host_set import HostSet, HostsPerLocality
from envoymesh.upstream.lb.edf import EdfScheduler

NO_LOCALITY: Final = -1
"""There is nothing to choose among."""


class _Entry:
    __slots__ = ("index", "weight")

    def __init__(self, index: int, weight: float) -> None:
        self.index = index
        self.weight = weight


class _Schedule:
    __slots__ = ("_schedule",)

    def __init__(self, host_set: HostSet, eligible: HostsPerLocality, seed: int) -> None:
        entries: list[_Entry] = []
        for index in range(len(host_set.locality_weights)):
            weight = effective_weight(host_set, eligible, index)
            if weight > 0.0:
                entries.append(_Entry(index, weight))
        self._schedule: EdfScheduler[_Entry] | None = None
        if entries:
            self._schedule = EdfScheduler()
            self._schedule.start(entries, [entry.weight for entry in entries], seed)

    def choose(self) -> int:
        schedule = self._schedule
        if schedule is None:
            return NO_LOCALITY
        entry = schedule.due()
        schedule.put_back(entry.weight, entry)
        return entry.index


class LocalityWrr:
    """The localities of one priority, for its healthy hosts and for its degraded ones.

    Args:
        seed: as many choices are skipped, so that proxies do not march in step.
    """

    __slots__ = ("_degraded", "_healthy")

    def __init__(self, host_set: HostSet, seed: int) -> None:
        self._healthy = _Schedule(host_set, host_set.healthy_hosts_per_locality, seed)
        self._degraded = _Schedule(host_set, host_set.degraded_hosts_per_locality, seed)

    def choose_healthy(self) -> int:
        """The index of the next locality for healthy hosts, or NO_LOCALITY."""
        return self._healthy.choose()

    def choose_degraded(self) -> int:
        """The index of the next locality for degraded hosts, or NO_LOCALITY."""
        return self._degraded.choose()


def effective_weight(host_set: HostSet, eligible: HostsPerLocality, index: int) -> float:
    """A locality's weight, less what its hosts cannot take; 0 where it has none that may be picked."""
    excluded = host_set.excluded_hosts_per_locality.buckets
    count = len(host_set.hosts_per_locality.buckets[index])
    count -= len(excluded[index]) if index < len(excluded) else 0
    if count <= 0:
        return 0.0
    share = 1.0 * len(eligible.buckets[index]) / count
    return host_set.locality_weights[index] * min(1.0, host_set.overprovisioning_factor / 100.0 * share)
