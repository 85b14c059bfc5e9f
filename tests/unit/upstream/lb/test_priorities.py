"""How load is spread over priorities; the figures of one priority are the real Envoy's for the same hosts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from envoymesh.upstream.host_set import HostSet
from envoymesh.upstream.lb.priorities import Priorities, PriorityLoad
from tests.support.balancing import host, priority_set

U, H, D, X = "UNHEALTHY", "HEALTHY", "DEGRADED", "DRAINING"


def sets(*priorities: str, factor: int = 140, weights: Sequence[int] = ()) -> Sequence[HostSet]:
    """Host sets of texts such as ``HHD``, a letter for each host; `weights` are those of the first set."""
    names = {"U": U, "H": H, "D": D, "X": X}
    groups = [
        [
            host(10 * priority + place, health_status=names[letter], weight=weights[place - 1] if weights else 1)
            for place, letter in enumerate(text, 1)
        ]
        for priority, text in enumerate(priorities)
    ]
    made = priority_set(*groups, overprovisioning_factor=factor, weighted_priority_health=bool(weights))
    return made.host_sets


@pytest.mark.parametrize(
    ("hosts", "healthy", "panic"),
    [
        ("H", 100, False),
        ("HHU", 100, False),
        ("HUU", 100, True),
        ("HU", 100, False),
        ("UU", 100, True),
        ("HHDX", 93, False),
        ("HDD", 46, False),
        ("DD", 0, False),
        ("X", 100, True),
        ("HXXX", 100, False),
        ("", 100, True),
    ],
)
def test_one_priority(hosts: str, healthy: int, panic: bool) -> None:
    found = Priorities(sets(hosts), 50)
    assert found.panic == [panic]
    if not panic:
        assert (found.load.healthy, found.load.degraded) == ([healthy], [100 - healthy])


@pytest.mark.parametrize(
    ("priorities", "healthy", "degraded"),
    [
        (["HH", "HH"], [100, 0], [0, 0]),
        (["HHHHHHUUUU", "HH"], [84, 16], [0, 0]),
        (["HUUU", "HUUU"], [50, 50], [0, 0]),  # both in a panic: by numbers of hosts
        (["HHHHUUUUUU", "HHHHUUUUUU", "HH"], [56, 44, 0], [0, 0, 0]),
        (["DUUUU", "HH"], [0, 100], [0, 0]),
        (["HDUUUUUUUU", "HHUUUUUUUU", "HUUUUUUUUU"], [34, 33, 33], [0, 0, 0]),
        (["HHHDDDDDDD"], [42], [58]),
        (["UU", "UUUU"], [34, 66], [0, 0]),
        (["", "HH"], [0, 100], [0, 0]),
    ],
)
def test_several_priorities(priorities: list[str], healthy: list[int], degraded: list[int]) -> None:
    found = Priorities(sets(*priorities), 50)
    assert (found.load.healthy, found.load.degraded) == (healthy, degraded)


def test_rounding_goes_to_the_first_that_can_take_anything() -> None:
    found = Priorities(sets("HUUUUUU", "HUUUUUU", "HUUUUUU"), 0)
    assert found.load.healthy == [34, 33, 33]
    assert found.panic == [False, False, False]


def test_another_overprovisioning_factor() -> None:
    assert Priorities(sets("HHHHUUUUUU", "HH", factor=200), 50).load.healthy == [80, 20]


def test_shares_of_weights() -> None:
    assert Priorities(sets("HU", weights=[1, 9]), 0).load.healthy == [100]
    found = Priorities([*sets("HU", weights=[1, 9]), *sets("HH")], 0)
    assert found.load.healthy == [14, 86]


def test_a_threshold_of_zero_never_panics() -> None:
    found = Priorities(sets("UU", "U"), 0)
    assert (found.panic, found.load.healthy) == ([False, False], [100, 0])


def test_a_threshold_counts_healthy_and_degraded_hosts() -> None:
    assert Priorities(sets("HDUU"), 50).panic == [False]
    assert Priorities(sets("HDUU"), 51).panic == [True]


def test_all_healthy_hosts_count() -> None:
    assert Priorities(sets("HHD", "H"), 50).total_healthy == 3


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, (0, False)), (49, (0, False)), (50, (1, False)), (69, (1, False)), (70, (0, True)), (99, (1, True))],
)
def test_a_number_falls_to_a_priority(number: int, expected: tuple[int, bool]) -> None:
    load = PriorityLoad([50, 20], [20, 10])
    assert load.choose(number) == load.choose(1000 + number) == expected
