"""What a host's metadata should have: values that can be looked up, in order, merged."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.metadata import match_criteria, match_value, merged_criteria


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("null", None)),
        (True, ("bool", True)),
        (1, ("number", 1.0)),
        ("1", ("string", "1")),
        (["a", 1], ("list", (("string", "a"), ("number", 1.0)))),
        ({"b": 1, "a": None}, ("struct", (("a", ("null", None)), ("b", ("number", 1.0))))),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    assert match_value(value) == expected
    assert hash(match_value(value)) == hash(expected)


def test_kinds_are_never_equal() -> None:
    kinds = [None, False, 0, "0", [], {}, "", True, 1, "1"]
    assert len({match_value(each) for each in kinds}) == len(kinds)


def test_criteria_are_in_the_order_of_their_names() -> None:
    assert [name for name, _ in match_criteria({"c": 1, "a": 2, "b": 3})] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [({}, {"a": "1", "c": "3"}), ({"b": "2"}, {"a": "1", "b": "2", "c": "3"}), ({"c": "4"}, {"a": "1", "c": "4"})],
)
def test_merged(more: dict[str, Any], expected: dict[str, Any]) -> None:
    assert merged_criteria(match_criteria({"a": "1", "c": "3"}), match_criteria(more)) == match_criteria(expected)
