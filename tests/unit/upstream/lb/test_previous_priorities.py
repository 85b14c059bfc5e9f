"""Retries keep away from priorities that were tried."""

from __future__ import annotations

import pytest

from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.previous_priorities import PreviousPriorities
from envoymesh.upstream.lb.priorities import PriorityLoad
from tests.support.balancing import host, priority_set

ORIGINAL = PriorityLoad([100, 0, 0], [0, 0, 0])


def sets(*statuses: str) -> PrioritySet:
    return priority_set(*([host(place, health_status=status, priority=place)] for place, status in enumerate(statuses)))


def load(previous: PreviousPriorities, hosts: PrioritySet, *attempted: int) -> tuple[list[int], list[int]]:
    for priority in attempted:
        previous.on_host_attempted(hosts.host_sets[priority].hosts[0])
    found = previous.determine_priority_load(hosts, ORIGINAL)
    return found.healthy, found.degraded


def test_priorities_that_were_tried_get_nothing() -> None:
    hosts, previous = sets("HEALTHY", "HEALTHY", "HEALTHY"), PreviousPriorities(1)
    assert load(previous, hosts) == ([100, 0, 0], [0, 0, 0])
    assert load(previous, hosts, 0) == ([0, 100, 0], [0, 0, 0])
    assert load(previous, hosts, 1) == ([0, 0, 100], [0, 0, 0])


def test_when_all_have_been_tried_it_begins_again() -> None:
    hosts, previous = sets("HEALTHY", "HEALTHY"), PreviousPriorities(1)
    load(previous, hosts, 0)
    assert load(previous, hosts, 1) == ([100, 0], [0, 0])
    assert load(previous, hosts, 0) == ([0, 100], [0, 0])


def test_only_after_so_many_attempts() -> None:
    hosts, previous = sets("HEALTHY", "HEALTHY", "HEALTHY"), PreviousPriorities(2)
    assert load(previous, hosts, 0) == ([100, 0, 0], [0, 0, 0])
    assert load(previous, hosts, 0) == ([0, 100, 0], [0, 0, 0])
    assert load(previous, hosts, 1) == ([0, 100, 0], [0, 0, 0])  # kept until the next time
    assert load(previous, hosts, 1) == ([0, 0, 100], [0, 0, 0])


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("HEALTHY", "UNHEALTHY", "HEALTHY"), ([0, 0, 100], [0, 0, 0])),
        (("HEALTHY", "DEGRADED", "UNHEALTHY"), ([0, 0, 0], [0, 100, 0])),
        (("UNHEALTHY", "UNHEALTHY", "UNHEALTHY"), ([100, 0, 0], [0, 0, 0])),
    ],
)
def test_what_is_left(statuses: tuple[str, ...], expected: tuple[list[int], list[int]]) -> None:
    assert load(PreviousPriorities(1), sets(*statuses), 0) == expected


def test_what_rounding_leaves_is_given_out_too() -> None:
    def few(priority: int) -> list[Host]:
        sick = [host(10 * priority + place, health_status="UNHEALTHY", priority=priority) for place in range(1, 6)]
        return [host(10 * priority, priority=priority), *sick]

    hosts = priority_set([host(1)], few(1), few(2), few(3))
    previous = PreviousPriorities(1)
    previous.on_host_attempted(hosts.host_sets[0].hosts[0])
    found = previous.determine_priority_load(hosts, ORIGINAL)
    # Of three that can take 23 percent each.
    assert found.healthy == [0, 34, 33, 33]
