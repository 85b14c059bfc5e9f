"""Bounded loads: a host that has more than its share of the active requests passes the next ones on (Envoy's
`BoundedLoadHashingLoadBalancer`, consistent_hashing_lb_config.hash_balance_factor).

Where to is random, but the same for the same hash. This module must not know how the table below it is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from envoymesh.stats import Gauge
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.hashes import MersenneTwister
from envoymesh.upstream.lb.hashing import HashTable, WeightedHost


class BoundedLoad(HashTable):
    """A table whose hosts have bounds.

    Args:
        table: finds the host that it would be.
        active: the cluster's active requests.
        factor: percent of the mean load that a host may have.
    """

    __slots__ = ("_active", "_factor", "_hosts", "_shares", "_table")

    def __init__(self, table: HashTable, weights: Sequence[WeightedHost], active: Gauge, factor: int) -> None:
        self._table: HashTable = table
        self._hosts: list[Host] = [host for host, _ in weights]
        self._shares: dict[Host, float] = dict(weights)
        self._active = active
        self._factor = factor

    def choose(self, hash_value: int, attempt: int) -> Host | None:
        """The host of a hash; where it has too much, one that has not, or the one that has least too much."""
        host = self._table.choose(hash_value, attempt)
        if host is None:
            return None
        overload = self._overload(host)
        return host if overload <= 1.0 else self._another(host, overload, hash_value)

    def _another(self, host: Host, overload: float, hash_value: int) -> Host:
        twister = MersenneTwister(hash_value)
        order = list(range(len(self._hosts)))
        best = host
        for place in range(len(order)):
            other = place + twister.below(len(order) - place)
            order[place], order[other] = order[other], order[place]
            candidate = self._hosts[order[place]]
            if candidate is host:
                continue
            load = self._overload(candidate)
            if load <= 1.0:
                return candidate
            if load < overload:
                best, overload = candidate, load
        return best

    def _overload(self, host: Host) -> float:
        """A host's active requests over what it may have; above 1 it has too many (`hostOverloadFactor`)."""
        slots = ((self._active.value + 1) * self._factor + 99) // 100
        own = max(1, math.ceil(slots * self._shares[host]))
        active: int = host.stats.rq_active.value
        return active / own
