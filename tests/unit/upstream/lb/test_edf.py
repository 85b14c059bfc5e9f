"""Weighted round robin: how often and how evenly."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from envoymesh.upstream.lb.edf import EdfScheduler


def scheduler(weights: list[int]) -> EdfScheduler[int]:
    made: EdfScheduler[int] = EdfScheduler()
    for entry, weight in enumerate(weights):
        made.add(weight, entry)
    return made


def test_equal_weights_take_turns_in_order() -> None:
    made = scheduler([1, 1, 1])
    assert [made.pick() for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_weights_1_2_3_as_envoy_picks_them() -> None:
    # The real Envoy 1.40, with hosts of weights 1, 2 and 3, repeats this (from a random place on).
    made = scheduler([1, 2, 3])
    assert [made.pick() for _ in range(12)] == [2, 1, 2, 0, 1, 2] * 2


def test_an_empty_schedule_has_nothing() -> None:
    with pytest.raises(IndexError):
        scheduler([]).pick()


@given(lists(integers(1, 20), min_size=1, max_size=8))
def test_in_any_run_each_entry_comes_as_often_as_its_weight_says(weights: list[int]) -> None:
    made = scheduler(weights)
    total = sum(weights)
    counts: Counter[int] = Counter()
    for picks in range(1, 3 * total + 1):
        counts[made.pick()] += 1
        for entry, weight in enumerate(weights):
            assert abs(counts[entry] - picks * weight / total) < len(weights) + 1


@given(lists(integers(1, 20), min_size=1, max_size=8))
def test_a_whole_round_is_exact_within_one_pick(weights: list[int]) -> None:
    made = scheduler(weights)
    counts = Counter(made.pick() for _ in range(10 * sum(weights)))
    assert all(abs(counts[entry] - 10 * weight) <= 1 for entry, weight in enumerate(weights))
