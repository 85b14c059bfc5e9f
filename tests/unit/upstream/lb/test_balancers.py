"""Round robin, random and least request."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from envoymesh.network.api import Address
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.balancers import LeastRequest, RandomChoice, RoundRobin, make_load_balancer
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings


def host(number: int, weight: int = 1) -> Host:
    address = Address(f"10.0.0.{number}", 80)
    return Host(address, EndpointSettings(address.host, 80, weight=weight))


def picks(balancer: RoundRobin | RandomChoice | LeastRequest, count: int) -> list[int]:
    chosen = [balancer.choose() for _ in range(count)]
    return [int(each.address.host.rpartition(".")[2]) for each in chosen if each is not None]


@pytest.mark.parametrize("start", [0.0, 0.3, 0.999999])
def test_round_robin_alternates_strictly(start: float) -> None:
    balancer = RoundRobin(lambda: start)
    balancer.update([host(1), host(2), host(3)])
    found = picks(balancer, 30)
    assert found == found[:3] * 10
    assert sorted(found[:3]) == [1, 2, 3]


def test_round_robin_goes_on_alternating_after_an_update() -> None:
    balancer = RoundRobin(lambda: 0.0)
    first, second = host(1), host(2)
    balancer.update([first])
    picks(balancer, 5)
    balancer.update([first, second, host(3)])
    found = picks(balancer, 9)
    assert found == found[:3] * 3


def test_round_robin_by_weight() -> None:
    balancer = RoundRobin(lambda: 0.0)
    balancer.update([host(1, 1), host(2, 2), host(3, 3)])
    assert picks(balancer, 12) == [3, 2, 3, 1, 2, 3] * 2


def test_weights_that_are_all_the_same_change_nothing() -> None:
    balancer = RoundRobin(lambda: 0.0)
    balancer.update([host(1, 5), host(2, 5)])
    assert picks(balancer, 4) in ([1, 2, 1, 2], [2, 1, 2, 1])


def test_random_follows_weights() -> None:
    balancer = RandomChoice(random.Random(7).random)
    balancer.update([host(1, 1), host(2, 3)])
    counts = Counter(picks(balancer, 4000))
    assert 0.65 < counts[2] / 4000 < 0.85


def test_least_request_takes_the_less_loaded_of_two() -> None:
    balancer = LeastRequest(iter([0.0, 0.9] * 10).__next__, 2)
    busy, free = host(1), host(2)
    busy.stats.rq_active.set(5)
    balancer.update([busy, free])
    assert picks(balancer, 3) == [2, 2, 2]


@pytest.mark.parametrize(("active", "expected"), [(2, 2), (4, 1)])
def test_least_request_divides_the_load_by_the_weight(active: int, expected: int) -> None:
    balancer = LeastRequest(iter([0.0, 0.9] * 10).__next__, 2)
    small, large = host(1, 1), host(2, 4)
    large.stats.rq_active.set(active)
    balancer.update([small, large])
    assert picks(balancer, 1) == [expected]


@pytest.mark.parametrize(
    ("policy", "kind"), [("ROUND_ROBIN", RoundRobin), ("RANDOM", RandomChoice), ("LEAST_REQUEST", LeastRequest)]
)
def test_each_policy_has_its_balancer_which_gives_nothing_without_hosts(policy: str, kind: type) -> None:
    balancer = make_load_balancer(ClusterSettings(name="c", lb_policy=policy), lambda: 0.5)
    assert isinstance(balancer, kind)
    assert balancer.choose() is None
    balancer.update([host(1)])
    balancer.update([])
    assert balancer.choose() is None
