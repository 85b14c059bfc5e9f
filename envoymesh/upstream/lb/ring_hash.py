"""RING_HASH: a ring of hashes, on which each host has places by its weight (Envoy's `RingHashLoadBalancer`, ketama)."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence

from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LbParams
from envoymesh.upstream.lb.bounded_load import BoundedLoad
from envoymesh.upstream.lb.hashes import murmur_hash2, xx_hash64
from envoymesh.upstream.lb.hashing import HashingLoadBalancer, HashTable, KeyedHost
from envoymesh.upstream.lb.settings import RingHashSettings
from envoymesh.upstream.stats import RingHashStats


class Ring(HashTable):
    """Places in the order of their hashes: a hash (8 bytes) and the index of a host (4 bytes) for each."""

    __slots__ = ("_hashes", "_hosts", "_places")

    def __init__(self, hosts: Sequence[Host], hashes: Sequence[int], places: Sequence[int]) -> None:
        self._hosts: tuple[Host, ...] = tuple(hosts)
        self._hashes = hashes
        self._places = places

    def choose(self, hash_value: int, attempt: int) -> Host | None:
        """The host at the first place from a hash on, around the ring, or `attempt` places further."""
        size = len(self._hashes)
        if not size:
            return None
        place = bisect_left(self._hashes, hash_value)
        return self._hosts[self._places[((0 if place == size else place) + attempt) % size]]


class RingBuilder:
    """Collects places, and puts them in order.

    They are kept in 256 parts by their first byte, which are sorted one by one: a ring has up to eight million places,
    and a list of so many objects would take a hundred times the memory of the ring.
    """

    __slots__ = ("_hashes", "_hosts", "size")

    def __init__(self) -> None:
        self._hashes = [array("Q") for _ in range(256)]
        self._hosts = [array("I") for _ in range(256)]
        self.size = 0

    def add(self, hash_value: int, host: int) -> None:
        """Add a place of a host (its index)."""
        part = hash_value >> 56
        self._hashes[part].append(hash_value)
        self._hosts[part].append(host)
        self.size += 1

    def finish(self, hosts: Sequence[Host]) -> Ring:
        """Make the ring."""
        hashes, places = array("Q"), array("I")
        for own, indices in zip(self._hashes, self._hosts, strict=True):
            order = sorted(zip(own, indices, strict=True))
            hashes.extend([hash_value for hash_value, _ in order])
            places.extend([index for _, index in order])
        return Ring(hosts, hashes, places)


class RingHash(HashingLoadBalancer):
    """Picks from a ring."""

    __slots__ = ("_ring_stats", "_settings")

    def __init__(self, params: LbParams, settings: RingHashSettings) -> None:
        super().__init__(params, settings.locality_weighted, settings.use_hostname_for_hashing)
        self._settings = settings
        self._ring_stats = RingHashStats.create(params.scope.scope("ring_hash_lb."))
        self.start()

    def make_table(self, contents: Sequence[KeyedHost]) -> HashTable:
        """A ring of these hosts."""
        builder = RingBuilder()
        if not contents:
            return builder.finish(())
        settings = self._settings
        scale = ring_scale(min([share for _, share, _ in contents]), settings)
        fewest = ring_size = math.ceil(scale)
        most = 0
        target = 0.0
        for index, (_, share, key) in enumerate(contents):
            target += scale * share
            before = builder.size
            self._add_places(builder, key, index, target)
            fewest, most = min(fewest, builder.size - before), max(most, builder.size - before)
        self._ring_stats.size.set(ring_size)
        self._ring_stats.min_hashes_per_host.set(fewest)
        self._ring_stats.max_hashes_per_host.set(most)
        ring = builder.finish([host for host, _, _ in contents])
        if settings.hash_balance_factor == 0:
            return ring
        return BoundedLoad(
            ring,
            [(host, share) for host, share, _ in contents],
            self.stats.upstream_rq_active,
            settings.hash_balance_factor,
        )

    def _add_places(self, builder: RingBuilder, key: bytes, index: int, target: float) -> None:
        """Give a host its places, so that there are `target` in all, rounded up."""
        murmur = self._settings.murmur_hash2
        number = 0
        while builder.size < target:
            text = b"%b_%d" % (key, number)
            builder.add(murmur_hash2(text) if murmur else xx_hash64(text), index)
            number += 1


def ring_scale(least: float, settings: RingHashSettings) -> float:
    """Places in all, so that the host of the least share has a whole number of them."""
    return min(math.ceil(least * settings.minimum_ring_size) / least, float(settings.maximum_ring_size))
