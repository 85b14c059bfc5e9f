"""ROUND_ROBIN, LEAST_REQUEST and RANDOM among the hosts of one priority, and slow start."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from envoymesh.runtime import RuntimeDouble
from envoymesh.upstream.host import FAILED_ACTIVE_HC
from envoymesh.upstream.lb.settings import (
    LbSettings,
    LeastRequestSettings,
    RandomSettings,
    RoundRobinSettings,
    SlowStartSettings,
)
from tests.support.balancing import Balanced, draws, host, priority_set

ROUND, LEAST, RANDOM = RoundRobinSettings(), LeastRequestSettings(), RandomSettings()
POLICIES = [ROUND, LEAST, RANDOM]


def balanced(settings: LbSettings, *weights: int, **more: Any) -> Balanced:
    return Balanced(settings, priority_set([host(n, weight=weight) for n, weight in enumerate(weights, 1)]), **more)


@pytest.mark.parametrize("start", [0.0, 0.3, 0.999999])
def test_round_robin_alternates_strictly(start: float) -> None:
    found = balanced(ROUND, 1, 1, 1, random=lambda: start).picks(30)
    assert found == found[:3] * 10
    assert sorted(found[:3]) == [1, 2, 3]


def test_equal_weights_change_nothing() -> None:
    assert balanced(ROUND, 5, 5).picks(4) == [1, 2, 1, 2]


def test_whose_turn_it_is_does_not_change_with_the_hosts() -> None:
    world = balanced(ROUND, 1, 1, 1)
    assert world.picks(2) == [1, 2]
    world.hosts.update_hosts(0, [*world.hosts.hosts(), host(4)])
    assert world.picks(4) == [3, 4, 1, 2]


def test_round_robin_by_weight() -> None:
    assert balanced(ROUND, 1, 2, 3).picks(12) == [3, 2, 3, 1, 2, 3] * 2


def test_weights_that_change() -> None:
    world = balanced(ROUND, 1, 1)
    world.picks(2)
    world.hosts.update_hosts(0, [host(1, weight=3), host(2)])
    assert Counter(world.picks(40)) == {1: 30, 2: 10}


def test_random_looks_at_no_weight() -> None:
    world = balanced(RANDOM, 1, 60_000_000, random=random.Random(7).random)
    assert 900 < Counter(world.picks(2000))[1] < 1100


def test_random_takes_the_host_that_the_number_falls_to() -> None:
    assert balanced(RANDOM, 1, 1, 1, random=draws(4, 5, 6)).picks(3) == [3, 1, 2]


def test_least_request_takes_the_less_loaded_of_two() -> None:
    world = balanced(LEAST, 1, 1, random=iter([0.0, *[0.0, 0.9] * 10]).__next__)
    world.hosts.hosts()[0].stats.rq_active.set(5)
    assert world.picks(3) == [2, 2, 2]


def test_least_request_takes_the_first_of_equals() -> None:
    assert balanced(LEAST, 1, 1, random=iter([0.0, 0.9, 0.0, 0.0, 0.9]).__next__).picks(2) == [2, 1]


def test_more_choices() -> None:
    settings = LeastRequestSettings(choice_count=3)
    world = balanced(settings, 1, 1, 1, random=iter([0.0, 0.0, 0.4, 0.9]).__next__)
    for each, active in zip(world.hosts.hosts(), (3, 2, 1), strict=True):
        each.stats.rq_active.set(active)
    assert world.pick() == 3


def test_a_full_scan_takes_the_least_loaded_of_all() -> None:
    world = balanced(LeastRequestSettings(full_scan=True), *[1] * 20)
    for each in world.hosts.hosts():
        each.stats.rq_active.set(2)
    world.hosts.hosts()[13].stats.rq_active.set(1)
    assert world.picks(3) == [14] * 3


def test_equals_of_a_full_scan_have_the_same_chance() -> None:
    world = balanced(LeastRequestSettings(full_scan=True), 1, 1, 1, 1, random=random.Random(3).random)
    assert all(400 < count < 600 for count in Counter(world.picks(2000)).values())


def test_least_request_with_weights_takes_turns_by_weight_while_idle() -> None:
    assert Counter(balanced(LEAST, 1, 9).picks(400)) == {1: 40, 2: 360}


@pytest.mark.parametrize(
    ("bias", "expected"), [(None, 17), (1.0, 17), (0.0, 50), (2.0, 3), (-1.0, 17), (float("nan"), 17)]
)
def test_active_requests_lessen_a_weight(bias: float | None, expected: int) -> None:
    double = None if bias is None else RuntimeDouble("k", bias)
    world = balanced(LeastRequestSettings(active_request_bias=double), 100, 101)
    world.hosts.hosts()[0].stats.rq_active.set(4)
    assert abs(Counter(world.picks(100))[1] - expected) <= 1


@pytest.mark.parametrize("settings", POLICIES)
def test_nothing_without_hosts(settings: LbSettings) -> None:
    world = Balanced(settings, priority_set())
    assert (world.pick(), world.balancer.peek_another_host(None)) == (0, None)
    world.hosts.update_hosts(0, [host(1)])
    assert world.pick() == 1
    world.hosts.update_hosts(0, [])
    assert world.pick() == 0


@pytest.mark.parametrize("settings", POLICIES)
def test_unhealthy_hosts_are_left_out(settings: LbSettings) -> None:
    world = balanced(settings, 1, 1, 1, random=random.Random(5).random)
    sick = world.hosts.hosts()[0]
    sick.health_flag_set(FAILED_ACTIVE_HC)
    world.hosts.update_health([sick])
    assert set(world.picks(50)) == {2, 3}
    sick.health_flag_clear(FAILED_ACTIVE_HC)
    world.hosts.update_health([sick])
    assert set(world.picks(50)) == {1, 2, 3}


@pytest.mark.parametrize("settings", POLICIES)
def test_a_balancer_that_is_stopped_hears_nothing(settings: LbSettings) -> None:
    world = balanced(settings, 1)
    world.balancer.stop()
    world.hosts.update_hosts(0, [host(2)])
    assert world.pick() == 1


# In advance


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 3, 4)])
def test_what_was_peeked_at_is_picked(weights: tuple[int, ...]) -> None:
    world = balanced(ROUND, *weights)
    world.picks(3)
    peeked = [int(str(world.balancer.peek_another_host(None)).split()[1].split(":")[0][-1]) for _ in range(4)]
    assert world.balancer.peek_another_host(None) is None  # no more than there are healthy hosts
    assert world.picks(4) == peeked


def test_random_hosts_are_known_in_advance() -> None:
    world = balanced(RANDOM, 1, 1, 1, random=draws(4, 5, 6, 7))
    first = world.balancer.peek_another_host(None)
    assert first is world.balancer.choose_host(None)


def test_the_least_loaded_host_is_not_known_in_advance() -> None:
    assert balanced(LEAST, 1, 1).balancer.peek_another_host(None) is None


# Slow start


def slow(aggression: float | None = None, **more: Any) -> SlowStartSettings:
    double = None if aggression is None else RuntimeDouble("k", aggression)
    return SlowStartSettings(window=10.0, aggression=double, **more)


def joining(settings: LbSettings) -> Balanced:
    """Three hosts that have been there for long, and one that comes now."""
    world = balanced(settings, 1, 1, 1)
    world.now += 100.0
    world.hosts.update_hosts(0, [*world.hosts.hosts(), host(4)])
    return world


@pytest.mark.parametrize("kind", [RoundRobinSettings, LeastRequestSettings])
@pytest.mark.parametrize(
    ("passed", "aggression", "share"),
    [(0.0, None, 0.1), (5.0, None, 0.5), (5.0, 2.0, 0.707), (5.0, -1.0, 0.5), (9.0, None, 0.9), (10.0, None, 1.0)],
)
def test_a_new_host_takes_less_at_first(kind: Any, passed: float, aggression: float | None, share: float) -> None:
    world = joining(kind(slow_start=slow(aggression)))
    world.now += passed
    counts = Counter(world.picks(3000))
    assert abs(counts[4] / counts[1] - share) < 0.02


def test_at_least_so_much_of_its_weight() -> None:
    counts = Counter(joining(RoundRobinSettings(slow_start=slow(min_weight_percent=0.25))).picks(1300))
    assert counts[4] / counts[1] == pytest.approx(0.25, abs=0.01)


def test_after_the_window_hosts_take_turns_again() -> None:
    world = joining(RoundRobinSettings(slow_start=slow()))
    world.now += 11.0
    world.hosts.update_hosts(0, world.hosts.hosts())
    found = world.picks(8)
    assert found[:4] == found[4:]


def test_a_host_that_is_not_well_is_in_no_window() -> None:
    world = balanced(RoundRobinSettings(slow_start=slow()), 1, 1)
    sick = host(3, health_status="UNHEALTHY")
    world.hosts.update_hosts(0, [*world.hosts.hosts(), sick])
    assert sick.last_hc_pass_time is None
