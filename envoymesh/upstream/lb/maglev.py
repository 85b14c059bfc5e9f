"""MAGLEV: a table that each host fills by its weight, in an order of its own (Envoy's `MaglevLoadBalancer`).

The table has one small number for each place: at 65,537 places it takes 131 KB.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LbParams
from envoymesh.upstream.lb.bounded_load import BoundedLoad
from envoymesh.upstream.lb.hashes import xx_hash64
from envoymesh.upstream.lb.hashing import HashingLoadBalancer, HashTable, KeyedHost
from envoymesh.upstream.lb.settings import MaglevSettings
from envoymesh.upstream.stats import MaglevStats

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_FREE: Final = 0


class MaglevTable(HashTable):
    """Places of the table; each holds the number of a host, from 1."""

    __slots__ = ("_hosts", "_places")

    def __init__(self, hosts: Sequence[Host], places: Sequence[int]) -> None:
        self._hosts: tuple[Host, ...] = tuple(hosts)
        self._places = places

    def choose(self, hash_value: int, attempt: int) -> Host | None:
        """The host at a hash's place; further attempts go far away."""
        if not self._hosts:
            return None
        if attempt > 0:
            hash_value ^= _MASK - attempt + 1
        return self._hosts[self._places[hash_value % len(self._places)] - 1]


class _Entry:
    """A host while the table is filled."""

    __slots__ = ("count", "next", "skip", "target", "weight")

    def __init__(self, key: bytes, weight: float, size: int) -> None:
        self.next = xx_hash64(key) % size
        self.skip = xx_hash64(key, 1) % (size - 1) + 1
        self.weight = weight
        self.target = 0.0
        self.count = 0


class Maglev(HashingLoadBalancer):
    """Picks from a table."""

    __slots__ = ("_maglev_stats", "_settings")

    def __init__(self, params: LbParams, settings: MaglevSettings) -> None:
        super().__init__(params, settings.locality_weighted, settings.use_hostname_for_hashing)
        self._settings = settings
        self._maglev_stats = MaglevStats.create(params.scope.scope("maglev_lb."))
        self.start()

    def make_table(self, contents: Sequence[KeyedHost]) -> HashTable:
        """A table of these hosts."""
        if not contents:
            return MaglevTable((), ())
        settings = self._settings
        keyed = sorted([(key, place) for place, (_, _, key) in enumerate(contents)])
        # As in Envoy a host that is alone has no table: all places are its own.
        size = settings.table_size if len(keyed) > 1 else 1
        entries = [_Entry(key, contents[place][1], settings.table_size) for key, place in keyed]
        places = fill_table(entries, max([share for _, share, _ in contents]), size)
        self._maglev_stats.min_entries_per_host.set(min([entry.count for entry in entries]))
        self._maglev_stats.max_entries_per_host.set(max([entry.count for entry in entries]))
        table = MaglevTable([contents[place][0] for _, place in keyed], places)
        if settings.hash_balance_factor == 0:
            return table
        return BoundedLoad(
            table,
            [(host, share) for host, share, _ in contents],
            self.stats.upstream_rq_active,
            settings.hash_balance_factor,
        )


def fill_table(entries: Sequence[_Entry], most: float, size: int) -> Sequence[int]:
    """Fill a table in turns: in each, a host of the weight `most` takes a place, and others as often as theirs says."""
    # A list while it is filled: compiled code reads and writes it without a call.
    places = [_FREE] * size
    if size == 1:
        entries[0].next = 0
    left = size
    turn = 0
    while True:
        turn += 1
        for number, entry in enumerate(entries, 1):
            if turn * entry.weight < entry.target:
                continue
            entry.target += most
            at = entry.next
            skip = entry.skip
            while places[at] != _FREE:
                at += skip
                if at >= size:
                    at -= size
            places[at] = number
            at += skip
            entry.next = at - size if at >= size else at
            entry.count += 1
            left -= 1
            if left == 0:
                return array("H" if len(entries) < 0x10000 else "I", places)
