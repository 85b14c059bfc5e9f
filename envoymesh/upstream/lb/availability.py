"""Which of a cluster's hosts may be picked: healthy, degraded, or, in a panic, all (Envoy's `LoadBalancerBase`).

Healthy hosts take the traffic as long as there are enough of them (with the overprovisioning factor of 1.4, 5 of 7);
degraded ones take what is left. Below the panic threshold health is not believed. Only priority 0 exists here.
This module must not pick, nor count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from envoymesh.upstream.host import Host

OVERPROVISIONING: Final = 140
"""Percent (`ClusterLoadAssignment.policy.overprovisioning_factor`)."""


@dataclass(frozen=True, slots=True)
class Availability:
    """A host set, sorted by health.

    Attributes:
        excluded: hosts that count for nothing (DRAINING).
        healthy_percent: of the traffic, 0 to 100; the degraded hosts take the rest.
        panic: pick from all hosts whatever their health.
    """

    hosts: Sequence[Host]
    healthy: Sequence[Host]
    degraded: Sequence[Host]
    excluded: Sequence[Host]
    healthy_percent: int
    panic: bool


def availability_of(hosts: Sequence[Host], panic_percent: int) -> Availability:
    """Sort hosts by health. Below `panic_percent` healthy ones there is a panic; 0 never panics."""
    healthy = [host for host in hosts if host.is_healthy]
    degraded = [host for host in hosts if host.is_degraded]
    excluded = [host for host in hosts if host.is_excluded]
    eligible = len(hosts) - len(excluded)
    healthy_share = _share(len(healthy), eligible)
    total = min(100, healthy_share + _share(len(degraded), eligible))
    too_few = not eligible or len(healthy) * 100 < min(panic_percent, 100) * eligible
    return Availability(
        hosts=hosts,
        healthy=healthy,
        degraded=degraded,
        excluded=excluded,
        healthy_percent=healthy_share * 100 // total if total else 100,
        panic=total < 100 and too_few and panic_percent > 0,
    )


def _share(count: int, eligible: int) -> int:
    return min(100, OVERPROVISIONING * count // eligible) if eligible else 0
