"""Subsets of hosts: who is in them, which one a request gets, and what is done where there is none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from envoymesh.metadata import match_criteria
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.settings import (
    ROUND_ROBIN,
    LocalitySettings,
    MaglevSettings,
    RoundRobinSettings,
    SubsetSelectorSettings,
    SubsetSettings,
)
from envoymesh.upstream.lb.subset import label_match, selector_fallbacks, subset_criteria
from tests.support.balancing import Balanced, Context, Json, host, in_zones, priority_set

V1, V2, V3 = {"version": "1"}, {"version": "2"}, {"version": "3"}
HOSTS: list[tuple[int, Json | None]] = [
    (1, {"version": "1", "stage": "prod"}),
    (2, {"version": "1", "stage": "test"}),
    (3, {"version": "2", "stage": "prod"}),
    (4, None),
]


def keys(*names: str, **more: Any) -> SubsetSelectorSettings:
    return SubsetSelectorSettings(tuple(sorted(names)), **more)


def subsets(*selectors: SubsetSelectorSettings, hosts: list[Host] | None = None, **settings: Any) -> Balanced:
    members = [host(number, metadata=metadata) for number, metadata in HOSTS] if hosts is None else hosts
    policy = settings.pop("policy", ROUND_ROBIN)
    return Balanced(SubsetSettings(policy=policy, selectors=selectors, **settings), priority_set(members))


def reached(world: Balanced, criteria: Json | None) -> set[int]:
    return set(world.picks(12, Context(criteria=criteria)))


def counts(world: Balanced) -> dict[str, int]:
    names = ("active", "created", "fallback", "fallback_panic", "removed", "selected")
    return {name: world.stat(f"lb_subsets_{name}") for name in names if world.stat(f"lb_subsets_{name}")}


def test_the_subset_of_the_criteria() -> None:
    world = subsets(keys("version"), keys("version", "stage"))
    assert reached(world, V1) == {1, 2}
    assert reached(world, {"stage": "prod", "version": "1"}) == {1}
    assert reached(world, {"stage": "test", "version": "2"}) == {0}
    assert reached(world, {"stage": "prod"}) == {0}  # no selector has just this key
    assert counts(world) == {"active": 5, "created": 5, "selected": 24}


def test_kinds_of_values_are_different() -> None:
    world = subsets(keys("version"), hosts=[host(1, metadata={"version": 1.0}), host(2, metadata={"version": True})])
    assert reached(world, {"version": 1}) == {1}
    assert reached(world, {"version": True}) == {2}
    assert reached(world, {"version": "1"}) == {0}


@pytest.mark.parametrize(
    ("policy", "default", "expected"),
    [
        ("NO_FALLBACK", {}, {0}),
        ("ANY_ENDPOINT", {}, {1, 2, 3, 4}),
        ("DEFAULT_SUBSET", {"stage": "prod"}, {1, 3}),
        ("DEFAULT_SUBSET", {}, {1, 2, 3, 4}),
        ("DEFAULT_SUBSET", {"stage": "none"}, {0}),
    ],
)
@pytest.mark.parametrize("criteria", [V3, None])
def test_fallbacks(policy: str, default: Json, expected: set[int], criteria: Json | None) -> None:
    world = subsets(keys("version"), fallback_policy=policy, default_subset=match_criteria(default))
    assert reached(world, criteria) == expected
    assert world.stat("lb_subsets_fallback") == (12 if expected != {0} else 0)


def test_without_a_context_it_is_the_fallback() -> None:
    world = subsets(keys("version"), fallback_policy="ANY_ENDPOINT")
    assert set(world.picks(8)) == {1, 2, 3, 4}
    assert world.balancer.peek_another_host(None) is None


def test_a_default_subset_without_hosts_may_panic() -> None:
    world = subsets(
        keys("version"), fallback_policy="DEFAULT_SUBSET", default_subset=match_criteria(V3), panic_mode_any=True
    )
    assert reached(world, {"version": "9"}) == {1, 2, 3, 4}
    assert counts(world)["fallback_panic"] == 12


def test_a_subset_that_is_not_healthy_is_no_reason_to_fall_back() -> None:
    world = subsets(keys("version"), fallback_policy="ANY_ENDPOINT")
    sick = world.hosts.hosts()[2]
    sick.health_flag_set(FAILED_ACTIVE_HC)
    world.hosts.update_health([sick])
    assert reached(world, V2) == {3}  # in a panic
    assert world.stat("lb_healthy_panic") == 12
    world.balancer.set_panic_threshold(0)
    assert reached(world, V2) == {0}


# Fallbacks of selectors


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("NO_FALLBACK", {0}), ("ANY_ENDPOINT", {1, 2, 3, 4}), ("DEFAULT_SUBSET", {3}), ("NOT_DEFINED", {1, 2, 3, 4})],
)
def test_a_selector_has_a_fallback_of_its_own(policy: str, expected: set[int]) -> None:
    world = subsets(
        keys("version", fallback_policy=policy), fallback_policy="ANY_ENDPOINT", default_subset=match_criteria(V2)
    )
    assert reached(world, V3) == expected
    assert world.stat("lb_subsets_fallback") == (12 if policy == "NOT_DEFINED" else 0)


def test_fewer_keys() -> None:
    fewer = frozenset({"version"})
    world = subsets(
        keys("version"), keys("version", "stage", fallback_policy="KEYS_SUBSET", fallback_keys_subset=fewer)
    )
    assert reached(world, {"version": "1", "stage": "none"}) == {1, 2}
    assert reached(world, {"version": "9", "stage": "none"}) == {0}


def test_which_selector_says_what_is_done() -> None:
    first, second = keys("a", fallback_policy="ANY_ENDPOINT"), keys("a", fallback_policy="NO_FALLBACK")
    longer = keys("a", "b", fallback_policy="NO_FALLBACK")
    assert selector_fallbacks([first, second]) == {("a",): first}
    assert selector_fallbacks([longer, first]) == {("a", "b"): longer}


# Lists, redundant keys, lists of fallbacks


def test_lists_stand_for_each_of_their_values() -> None:
    members = [host(1, metadata={"v": ["1", "2"], "s": ["x", "y"]}), host(2, metadata={"v": "2", "s": "y"})]
    world = subsets(keys("v", "s"), hosts=members, list_as_any=True)
    assert reached(world, {"v": "1", "s": "x"}) == {1}
    assert reached(world, {"v": "2", "s": "y"}) == {1, 2}
    assert world.stat("lb_subsets_active") == 4
    assert reached(subsets(keys("v", "s"), hosts=members), {"v": "2", "s": "y"}) == {2}


def test_default_subsets_know_lists_too() -> None:
    members = [host(1, metadata={"v": ["1", "2"]}), host(2, metadata={"v": "2"}), host(3, metadata={"v": "3"})]
    settings: Any = {"fallback_policy": "DEFAULT_SUBSET", "default_subset": match_criteria({"v": "2"})}
    assert reached(subsets(keys("x"), hosts=members, list_as_any=True, **settings), None) == {1, 2}
    assert reached(subsets(keys("x"), hosts=members, **settings), None) == {2}


def test_redundant_keys() -> None:
    criteria = {"version": "1", "stage": "test", "other": "x"}
    selectors = keys("version"), keys("version", "stage")
    assert reached(subsets(*selectors), criteria) == {0}
    assert reached(subsets(*selectors, allow_redundant_keys=True), criteria) == {2}
    assert reached(subsets(*selectors, allow_redundant_keys=True), {"other": "x"}) == {0}


def test_a_list_of_metadata_to_try() -> None:
    world = subsets(keys("version"), keys("stage", "version"), fallback_list=True)
    tries = [{"version": "9"}, {"version": "2"}, {"version": "1"}]
    assert reached(world, {"version": "7", "fallback_list": tries}) == {3}
    assert reached(world, {"stage": "test", "fallback_list": tries}) == {2}
    assert reached(world, {"version": "1", "fallback_list": []}) == {1, 2}
    assert reached(world, {"fallback_list": tries[:1]}) == {0}
    assert reached(world, V2) == {3}
    assert reached(subsets(keys("version")), {"version": "1", "fallback_list": tries}) == {0}


# One host each


def test_one_host_for_each_subset() -> None:
    world = subsets(keys("version", single_host_per_subset=True))
    assert reached(world, V1) == {1}
    assert world.store.scope("cluster.c.").gauge("lb_subsets_single_host_per_subset_duplicate").value == 1
    world.hosts.update_hosts(1, [host(9, metadata=V1)])
    assert reached(world, V1) == {1}
    world.hosts.update_hosts(0, [])
    assert reached(world, V1) == {9}
    assert world.balancer.peek_another_host(None) is None
    world.balancer.set_panic_threshold(1)
    world.hosts.update_hosts(1, [])
    assert reached(world, V1) == {0}


# Changes


def test_hosts_come_and_go() -> None:
    world = subsets(keys("version"))
    world.hosts.update_hosts(0, [*world.hosts.hosts(), host(5, metadata=V3)])
    assert reached(world, V3) == {5}
    world.hosts.update_hosts(0, world.hosts.hosts()[:3])
    assert reached(world, V3) == {0}
    assert counts(world) == {"active": 2, "created": 3, "removed": 1, "selected": 12}
    world.hosts.update_hosts(0, [])
    assert counts(world) == {"created": 3, "removed": 3, "selected": 12}


def test_priorities_are_kept() -> None:
    world = subsets(keys("version"))
    world.hosts.update_hosts(1, [host(8, metadata=V2), host(9, metadata=V1)])
    assert reached(world, V2) == {3}
    sick = world.hosts.hosts()[2]
    sick.health_flag_set(FAILED_ACTIVE_HC)
    world.hosts.update_health([sick])
    assert reached(world, V2) == {8}


def test_a_balancer_that_is_stopped_hears_nothing() -> None:
    world = subsets(keys("version", single_host_per_subset=True), keys("stage"), fallback_policy="ANY_ENDPOINT")
    world.balancer.stop()
    world.hosts.update_hosts(0, [])
    assert reached(world, V1) == {1}


# Localities


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, (1, 1)),
        ({"locality_weight_aware": True}, (1, 3)),
        ({"scale_locality_weight": True, "locality_weight_aware": True}, (1, 1)),
    ],
)
def test_localities(settings: Any, shares: tuple[int, int]) -> None:
    """One of two hosts in a, and one of six in b: scaled by that, weights of 1:3 are 0.5:0.5, which is 1:1."""
    members = [
        host(1, zone="a", metadata=V1), host(2, zone="a"),
        host(3, zone="b", metadata=V1), *(host(number, zone="b") for number in range(4, 9)),
    ]  # fmt: skip
    made = PrioritySet()
    made.update_hosts(0, members, in_zones({"a": 1, "b": 3}))
    policy = RoundRobinSettings(LocalitySettings(weighted=True))
    world = Balanced(SubsetSettings(policy=policy, selectors=[keys("version")], **settings), made)
    found = Counter(world.picks(80, Context(criteria=V1)))
    assert (found[1], found[3]) == (80 * shares[0] // sum(shares), 80 * shares[1] // sum(shares))


def test_other_policies_in_subsets() -> None:
    world = subsets(keys("version"), policy=MaglevSettings(table_size=11))
    found = {world.pick(Context(hash_key=number, criteria=V1)) for number in range(11)}
    assert found == {1, 2}
    assert len(set(world.picks(5, Context(hash_key=7, criteria=V1)))) == 1


# The functions


def test_subsets_of_a_host() -> None:
    def of(metadata: Any, *names: str, lists: bool = False) -> Any:
        kept = {"UPSTREAM_HOST": {"envoy.lb": metadata}}
        return [{name: value[1] for name, value in each} for each in subset_criteria(kept, names, lists)]

    assert of({"a": "1"}, "a") == [{"a": "1"}]
    assert of({"a": "1"}, "a", "b") == []
    assert of({"a": ["1", "2"], "b": "x"}, "a", "b", lists=True) == [{"a": "1", "b": "x"}, {"a": "2", "b": "x"}]
    assert subset_criteria(None, ["a"], False) == []
    assert subset_criteria({"UPSTREAM_HOST": {"other": {}}}, ["a"], False) == []


@pytest.mark.parametrize(
    ("metadata", "wanted", "lists", "expected"),
    [
        ({"a": "1"}, {"a": "1"}, False, True),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, False, False),
        ({"a": "1"}, {}, False, True),
        ({}, {"a": "1"}, False, False),
        ({"a": ["1", "2"]}, {"a": "2"}, True, True),
        ({"a": ["1", "2"]}, {"a": ["1", "2"]}, True, False),
        ({"a": ["1", "2"]}, {"a": ["1", "2"]}, False, True),
        ({"a": {"b": 1}}, {"a": {"b": 1.0}}, False, True),
    ],
)
def test_labels(metadata: Json, wanted: Json, lists: bool, expected: bool) -> None:
    assert label_match({"UPSTREAM_HOST": {"envoy.lb": metadata}}, match_criteria(wanted), lists) is expected
    assert label_match(None, match_criteria(wanted), lists) is (not wanted)
