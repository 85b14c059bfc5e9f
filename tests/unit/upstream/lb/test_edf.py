"""Weighted turns: how often, how evenly, and beginning anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.upstream.lb.edf import EdfScheduler


def started(weights: Mapping[str, float], picks: int = 0) -> EdfScheduler[str]:
    schedule: EdfScheduler[str] = EdfScheduler()
    schedule.start(list(weights), list(weights.values()), picks)
    return schedule


def take(schedule: EdfScheduler[str], weights: Mapping[str, float], count: int) -> str:
    taken = []
    for _ in range(count):
        entry = schedule.due()
        schedule.put_back(weights[entry], entry)
        taken.append(entry)
    return "".join(taken)


def test_by_weight() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert take(started(weights), weights, 12) == "cbcabc" * 2


def test_equal_weights_come_in_the_order_of_insertion() -> None:
    weights = {"a": 2.0, "b": 2.0, "c": 2.0}
    assert take(started(weights), weights, 7) == "abcabca"


def test_added_entries() -> None:
    schedule: EdfScheduler[str] = EdfScheduler()
    schedule.add(1.0, "a")
    schedule.add(2.0, "b")
    assert take(schedule, {"a": 1.0, "b": 2.0}, 6) == "babbab"


def test_another_weight_counts_from_the_next_turn_on() -> None:
    schedule = started({"a": 1.0, "b": 1.0})
    assert take(schedule, {"a": 9.0, "b": 1.0}, 20).count("a") == 18


def test_nothing_is_due_without_entries() -> None:
    with pytest.raises(IndexError):
        EdfScheduler[str]().due()


@given(st.lists(st.integers(1, 50), min_size=2, max_size=6), st.integers(0, 500))
def test_beginning_anywhere_is_beginning_at_the_front_and_picking(numbers: list[int], picks: int) -> None:
    """Up to the order of entries that are due at the same time: each has been picked as often, or once more or less."""
    weights = {chr(97 + place): float(number) for place, number in enumerate(numbers)}
    total = sum(numbers)
    rest = -picks % total
    whole = take(started(weights, picks), weights, rest + total)[rest:]
    assert all(abs(Counter(whole)[entry] - weight) <= 1 for entry, weight in weights.items())


def test_so_many_picks_that_they_are_counted_again() -> None:
    weights = {"a": 1.0, "b": 9.0}
    assert Counter(take(started(weights, 2**32 - 1), weights, 100)) == {"a": 10, "b": 90}
