"""RING_HASH and MAGLEV beyond what is recorded: hashes, attempts, panics, bounds, and what tables cost."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from envoymesh.stats import Gauge
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.lb.bounded_load import BoundedLoad
from envoymesh.upstream.lb.hashes import MersenneTwister, murmur_hash2, xx_hash64
from envoymesh.upstream.lb.hashing import HashingLoadBalancer, HashTable, hash_key
from envoymesh.upstream.lb.maglev import Maglev
from envoymesh.upstream.lb.ring_hash import RingHash, ring_scale
from envoymesh.upstream.lb.settings import LbSettings, MaglevSettings, RingHashSettings
from tests.support.balancing import Balanced, Context, host, in_zones, number_of, priority_set
from tests.support.stand_ins import stands_for

RING, MAGLEV = RingHashSettings(), MaglevSettings(table_size=127)
BOTH = [RING, MAGLEV]


def hosts(count: int, **endpoint: Any) -> list[Host]:
    return [host(n, metadata={"hash_key": f"host-{n}"}, **endpoint) for n in range(1, count + 1)]


def keys(world: Balanced, count: int = 50) -> list[int]:
    return [world.pick(Context(hash_key=xx_hash64(b"%d" % number))) for number in range(count)]


# Hashes


@pytest.mark.parametrize(
    ("data", "xx", "murmur"),
    # What the real Envoy says of its rings (logs of the component `upstream` at the level trace).
    [
        (b"a_0", 7866922100246443948, 638924522861893193),
        (b"abcdef_0", 5178002975379699425, 5030907115464554795),
        (b"abcdefg_0", 192367447763500199, 13541012379033897595),
        (b"host-0_0", 9047952868529014715, 5585809031324939146),
    ],
)
def test_hashes(data: bytes, xx: int, murmur: int) -> None:
    assert (xx_hash64(data), murmur_hash2(data)) == (xx, murmur)


def test_the_twister_is_that_of_cpp() -> None:
    # std::mt19937 of its default seed; the 10,000th number is in the standard (rand.predef).
    twister = MersenneTwister(5489)
    numbers = [twister.below(2**32) for _ in range(10_000)]
    assert (numbers[0], numbers[-1]) == (3499211612, 4123659995)
    assert MersenneTwister(2**32 + 5489).below(2**32) == 3499211612


def test_the_twister_draws_below_a_limit() -> None:
    assert {MersenneTwister(seed).below(3) for seed in range(40)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("metadata", "use_hostname", "expected"),
    [
        ({"hash_key": "k"}, True, b"k"),
        ({"hash_key": 7}, False, b"10.0.0.1:80"),
        ({}, True, b"one.example.com"),
        (None, False, b"10.0.0.1:80"),
    ],
)
def test_what_stands_for_a_host(metadata: Any, use_hostname: bool, expected: bytes) -> None:
    assert hash_key(host(1, metadata=metadata, hostname="one.example.com"), use_hostname) == expected


# Tables


@pytest.mark.parametrize("settings", BOTH)
def test_the_same_key_goes_to_the_same_host(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(4)))
    found = keys(world)
    assert keys(world) == found
    assert set(found) == {1, 2, 3, 4}


@pytest.mark.parametrize("settings", BOTH)
def test_few_keys_move_when_a_host_leaves(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(5)))
    before = keys(world, 400)
    world.hosts.update_hosts(0, world.hosts.hosts()[:4])
    moved = [old for old, new in zip(before, keys(world, 400), strict=True) if old not in (5, new)]
    assert len(moved) < 80


@pytest.mark.parametrize("settings", BOTH)
def test_without_a_hash_it_is_chance(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(3), hosts(1)), random.Random(7).random)
    assert all(150 < count < 450 for count in Counter(world.picks(900)).values())
    assert set(world.picks(60, Context())) == {1, 2, 3}


@pytest.mark.parametrize("settings", BOTH)
def test_a_retry_goes_elsewhere(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(3)))
    for number in range(20):
        key = xx_hash64(b"%d" % number)
        first = world.pick(Context(hash_key=key))
        refused = [each for each in world.hosts.hosts() if number_of(each) == first]
        assert world.pick(Context(hash_key=key, refused=refused, attempts=30)) != first


@pytest.mark.parametrize("settings", BOTH)
def test_hosts_that_are_not_healthy(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(3), [host(9)]))
    sick = world.hosts.hosts()[0]
    sick.health_flag_set(FAILED_ACTIVE_HC)
    world.hosts.update_health([sick])
    assert set(keys(world)) == {2, 3, 9}
    world.hosts.update_hosts(1, [])
    assert set(keys(world)) == {2, 3}


@pytest.mark.parametrize("settings", BOTH)
def test_a_panic(settings: LbSettings) -> None:
    members = [*hosts(1), host(2, health_status="UNHEALTHY"), host(3, health_status="UNHEALTHY")]
    world = Balanced(settings, priority_set(members))
    assert set(keys(world)) == {1, 2, 3}
    assert world.stat("lb_healthy_panic") == 50
    world.balancer.set_panic_threshold(10)
    assert set(keys(world)) == {1}


@pytest.mark.parametrize("settings", BOTH)
def test_nothing_without_hosts(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set([]))
    assert (world.pick(Context(hash_key=1)), world.balancer.peek_another_host(None)) == (0, None)
    world.balancer.stop()
    world.hosts.update_hosts(0, hosts(1))
    assert world.pick(Context(hash_key=1)) == 0


@pytest.mark.parametrize(
    "settings", [RingHashSettings(locality_weighted=True), MaglevSettings(table_size=127, locality_weighted=True)]
)
def test_localities_without_weight_are_left_out(settings: LbSettings) -> None:
    made = priority_set()
    made.update_hosts(0, [host(1, zone="a"), host(2, zone="b"), host(3, zone="b")], in_zones({"b": 2}))
    assert set(keys(Balanced(settings, made))) == {2, 3}


def test_stats_of_a_ring() -> None:
    world = Balanced(RingHashSettings(minimum_ring_size=10), priority_set([host(1), host(2, weight=3)]))
    assert isinstance(world.balancer, RingHash)
    stats = world.balancer._ring_stats
    assert (stats.size.value, stats.min_hashes_per_host.value, stats.max_hashes_per_host.value) == (12, 3, 9)


def test_stats_of_a_table() -> None:
    world = Balanced(MAGLEV, priority_set([host(1), host(2, weight=3)]))
    assert isinstance(world.balancer, Maglev)
    stats = world.balancer._maglev_stats
    assert stats.min_entries_per_host.value + stats.max_entries_per_host.value == 127
    assert stats.max_entries_per_host.value > 90


@pytest.mark.parametrize(
    ("least", "sizes", "expected"),
    [(0.25, (1024, 2**23), 1024.0), (0.3, (10, 2**23), 10.0), (0.01, (1024, 500), 500.0), (1 / 3, (10, 100), 12.0)],
)
def test_the_host_of_the_least_weight_has_whole_places(least: float, sizes: tuple[int, int], expected: float) -> None:
    assert ring_scale(least, RingHashSettings(*sizes)) == pytest.approx(expected)


def test_a_ring_of_no_places() -> None:
    assert Balanced(RingHashSettings(0, 0), priority_set(hosts(2))).pick(Context(hash_key=7)) == 0


@pytest.mark.parametrize("settings", BOTH)
def test_tables_of_priorities_that_stay_the_same_are_kept(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(3), hosts(2)))
    assert isinstance(world.balancer, HashingLoadBalancer)
    tables = list(world.balancer._tables)
    world.hosts.update_hosts(1, [*world.hosts.host_sets[1].hosts, host(9)])
    assert world.balancer._tables[0] is tables[0]
    assert world.balancer._tables[1] is not tables[1]


def test_another_key_makes_another_table() -> None:
    world = Balanced(RING, priority_set(hosts(3)))
    before = keys(world)
    first = world.hosts.hosts()[0]
    first.metadata = {"UPSTREAM_HOST": {"envoy.lb": {"hash_key": "other"}}}
    world.hosts.update_hosts(0, world.hosts.hosts())
    assert keys(world) != before


# Bounds


class First(stands_for(HashTable)):
    """A table that has but one answer."""

    def __init__(self, only: Host) -> None:
        self.only = only

    def choose(self, hash_value: int, attempt: int) -> Host | None:
        return self.only


def bounded(*active: int, factor: int = 100, weights: tuple[float, ...] = ()) -> tuple[BoundedLoad, list[Host]]:
    members = hosts(len(active))
    for each, count in zip(members, active, strict=True):
        each.stats.rq_active.set(count)
    total = Gauge("active")
    total.set(sum(active))
    shares = weights or [1 / len(active)] * len(active)
    return BoundedLoad(First(members[0]), list(zip(members, shares, strict=True)), total, factor), members


def test_a_host_within_its_bound_is_taken() -> None:
    table, members = bounded(2, 1, 1)
    assert table.choose(7, 0) is members[0]


def test_a_host_over_its_bound_passes_on() -> None:
    table, _members = bounded(5, 1, 1)
    found = {number_of(table.choose(key, 0)) for key in range(40)}
    assert found == {2, 3}
    assert {number_of(table.choose(7, 0)) for _ in range(9)} == {number_of(table.choose(7, 0))}


def test_a_larger_factor_bounds_less() -> None:
    table, members = bounded(3, 1, 1, factor=200)
    assert table.choose(7, 0) is members[0]


def test_where_all_have_too_much_the_least_loaded_is_taken() -> None:
    table, members = bounded(9, 7, 8, factor=1)
    assert table.choose(7, 0) is members[1]


def test_bounds_follow_weights() -> None:
    table, members = bounded(5, 1, weights=(0.9, 0.1))
    assert table.choose(7, 0) is members[0]


@pytest.mark.parametrize(
    "settings", [RingHashSettings(hash_balance_factor=100), MaglevSettings(table_size=127, hash_balance_factor=100)]
)
def test_bounds_of_both_policies(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set(hosts(3)))
    picked = world.pick(Context(hash_key=7))
    busy = world.hosts.hosts()[picked - 1]
    busy.stats.rq_active.set(9)
    world.stats.upstream_rq_active.set(9)
    assert world.pick(Context(hash_key=7)) not in (0, picked)
    world.hosts.update_hosts(0, [])
    assert world.pick(Context(hash_key=7)) == 0


# Cost


@pytest.mark.parametrize("settings", BOTH)
def test_large_weights_cost_no_memory(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set([*hosts(1, weight=60_000_000), host(2, weight=50_000_000)]))
    assert set(keys(world)) == {1, 2}
