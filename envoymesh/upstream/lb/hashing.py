"""What RING_HASH and MAGLEV share: a table for each priority, made anew when hosts change, and the request's hash
(Envoy's `ThreadAwareLoadBalancerBase`).

The hash chooses the priority too, so that a request's host stays the same. This module must not know how a table is
made.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from mypy_extensions import trait

from envoymesh.metadata import found
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import HostSet, PrioritySet, PrioritySetObserver
from envoymesh.upstream.lb.api import DRAW, LbParams, LoadBalancer, Random
from envoymesh.upstream.lb.priorities import Priorities

WeightedHost = tuple[Host, float]
"""A host and its share of the table; all shares together are 1."""

KeyedHost = tuple[Host, float, bytes]
"""The same, with what stands for the host in the table."""

_HASH_KEY: Final = ("envoy.lb", "hash_key")


@trait
class HashTable:
    """Finds a host by a hash."""

    __slots__ = ()

    @abstractmethod
    def choose(self, hash_value: int, attempt: int) -> Host | None:
        """The host of a hash of 64 bits; another one, perhaps, for each attempt after the first (0)."""


class HashingLoadBalancer(LoadBalancer, PrioritySetObserver):
    """Picks by the request's hash, or by chance where it has none.

    Attributes:
        locality_weighted: whether a host's share depends on its locality's weight.
        use_hostname: whether names stand for hosts instead of addresses (`use_hostname_for_hashing`).
    """

    __slots__ = (
        "_contents",
        "_panic_threshold",
        "_priority_set",
        "_random",
        "_tables",
        "locality_weighted",
        "priorities",
        "stats",
        "use_hostname",
    )

    def __init__(self, params: LbParams, locality_weighted: bool, use_hostname: bool) -> None:
        self.stats = params.stats
        self.locality_weighted = locality_weighted
        self.use_hostname = use_hostname
        self._contents: list[list[KeyedHost]] = []
        self._panic_threshold = params.panic_threshold
        self._priority_set: PrioritySet = params.priority_set
        self._random: Random = params.random
        self._tables: list[HashTable] = []
        self.priorities = Priorities(params.priority_set.host_sets, params.panic_threshold)

    def start(self) -> None:
        """Take the hosts that there are, and hear of changes; called when the policy's own part is made."""
        self._refresh()
        self._priority_set.add_observer(self)

    def stop(self) -> None:
        """Hear of no change any more."""
        self._priority_set.remove_observer(self)

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Hosts came or left."""
        self._refresh()

    def on_health_changed(self, priority: int) -> None:
        """Other hosts are healthy."""
        self._refresh()

    def set_panic_threshold(self, percent: int) -> None:
        """The runtime has another panic threshold."""
        self._panic_threshold = percent
        self._refresh()

    def _refresh(self) -> None:
        """Make the tables of priorities anew where the hosts in them, their shares or what stands for them changed."""
        host_sets = self._priority_set.host_sets
        self.priorities = priorities = Priorities(host_sets, self._panic_threshold)
        for place, host_set in enumerate(host_sets):
            weights = normalized_weights(host_set, priorities.panic[place], self.locality_weighted)
            contents = [(host, share, hash_key(host, self.use_hostname)) for host, share in weights]
            if place == len(self._tables):
                self._tables.append(self.make_table(contents))
                self._contents.append(contents)
            elif contents != self._contents[place]:
                self._tables[place] = self.make_table(contents)
                self._contents[place] = contents

    @abstractmethod
    def make_table(self, contents: Sequence[KeyedHost]) -> HashTable:
        """A table of these hosts; there may be none."""

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host of the request's hash."""
        known = context.hash_key() if context is not None else None
        hash_value = self._draw() if known is None else known
        priority, _ = self.priorities.load.choose(hash_value)
        if self.priorities.panic[priority]:
            self.stats.lb_healthy_panic.inc()
        table = self._tables[priority]
        if context is None or not context.is_retry():
            return table.choose(hash_value, 0)
        host: Host | None = None
        for attempt in range(context.host_selection_attempts() + 1):
            host = table.choose(hash_value, attempt)
            if host is None or not context.should_select_another_host(host):
                break
        return host

    def _draw(self) -> int:
        """A number of 64 bits, all of which are chance: the low ones choose a priority, the high ones a place."""
        return (int(self._random() * DRAW) << 11) | int(self._random() * 2048.0)

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """Nobody knows the next request's hash."""
        return None


def hash_key(host: Host, use_hostname: bool) -> bytes:
    """What stands for a host in a table: its metadata's ``envoy.lb: hash_key``, its name, or its address."""
    key = found(host.metadata, "UPSTREAM_HOST", _HASH_KEY)
    if isinstance(key, str) and key:
        return key.encode()
    return host.hostname.encode() if use_hostname else str(host.address).encode()


def normalized_weights(host_set: HostSet, in_panic: bool, locality_weighted: bool) -> list[WeightedHost]:
    """The hosts of a priority that may be picked with their shares (`normalizeWeights`)."""
    if not locality_weighted or not host_set.locality_weights:
        return _shares(host_set.hosts if in_panic else host_set.healthy_hosts, 1.0)
    localities = host_set.hosts_per_locality if in_panic else host_set.healthy_hosts_per_locality
    total = sum(host_set.locality_weights)
    weighted: list[WeightedHost] = []
    for place, weight in enumerate(host_set.locality_weights):
        if weight:
            weighted += _shares(localities.buckets[place], weight / total)
    return weighted


def _shares(hosts: Sequence[Host], of_all: float) -> list[WeightedHost]:
    total = sum([host.weight for host in hosts])
    return [(host, host.weight * of_all / total) for host in hosts]
