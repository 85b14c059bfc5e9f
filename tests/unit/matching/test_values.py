"""Values, metadata, filter state and addresses."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from envoymesh.http.stream_info import FilterState, TextState
from envoymesh.matching.addresses import AddressMatcher, AddressTable
from envoymesh.matching.filter_state import FilterStateMatcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.matching.values import (
    MISSING,
    AnyOfMatcher,
    BooleanMatcher,
    ListMatcher,
    MetadataMatcher,
    NullMatcher,
    NumberMatcher,
    PresenceMatcher,
    TextMatcher,
    ValueMatcher,
    value_at,
)

TEXT = TextMatcher(StringMatcher("exact", b"a"))


@pytest.mark.parametrize(
    ("matcher", "fits", "does_not"),
    [
        (NullMatcher(), [None], [0, "", False]),
        (NumberMatcher(1.0), [1, 1.0], [2, True, "1"]),
        (NumberMatcher(1.0, 2.0), [1, 1.9], [2, 0]),
        (BooleanMatcher(True), [True], [False, 1]),
        (PresenceMatcher(True), [None, 0, "a"], []),
        (PresenceMatcher(False), [], [None, 0, "a"]),
        (TEXT, ["a"], ["b", 1, None]),
        (ListMatcher(TEXT), [["b", "a"]], [["b"], [], "a"]),
        (AnyOfMatcher([TEXT, NullMatcher()]), ["a", None], ["b"]),
    ],
)
def test_values(matcher: ValueMatcher, fits: list[Any], does_not: list[Any]) -> None:
    assert all(map(matcher.matches, fits))
    assert not any(map(matcher.matches, [*does_not, MISSING]))


METADATA = {"f": {"a": {"b": "a"}, "n": None}}


@pytest.mark.parametrize(
    ("namespace", "path", "found"),
    [
        ("f", ["a", "b"], "a"), ("f", ["n"], None), ("f", ["a"], {"b": "a"}), ("f", ["x"], MISSING),
        ("f", ["a", "b", "c"], MISSING), ("g", ["a"], MISSING), ("f", [], MISSING),
    ],
)  # fmt: skip
def test_where_a_value_is(namespace: str, path: list[str], found: Any) -> None:
    assert value_at(METADATA, namespace, path) == found
    assert value_at(None, namespace, path) is MISSING


def test_metadata_may_be_wanted_otherwise() -> None:
    matcher = MetadataMatcher("f", ["a", "b"], TEXT)
    assert (matcher.matches(METADATA), matcher.matches(None)) == (True, False)
    other = MetadataMatcher("f", ["a", "b"], TEXT, invert=True)
    assert (other.matches(METADATA), other.matches(None)) == (False, True)


def ranges(*texts: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("10.1.2.3", True), ("11.1.2.3", False), ("192.0.2.1", True), ("192.0.2.2", False), ("fe80::1", True),
        ("fe00::1", False), ("::ffff:10.1.2.3", False), ("word", False), ("", False), ("10.1", False),
    ],
)  # fmt: skip
def test_addresses(text: str, inside: bool) -> None:
    assert AddressMatcher(ranges("10.0.0.0/8", "192.0.2.1/32", "fe80::/10")).matches(text) is inside


def test_the_longest_prefix_comes_first_and_of_one_range_the_first_value() -> None:
    entries = zip(ranges("10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", "0.0.0.0/0", "::/0"), "abcde", strict=True)
    assert list(AddressTable(entries).find("10.1.2.3")) == ["b", "c", "a", "d"]


class Nothing(FilterState):
    """An object without a text."""


def test_filter_state() -> None:
    states: dict[str, FilterState] = {"k": TextState("abc"), "ip": TextState("10.1.2.3"), "n": Nothing()}
    assert FilterStateMatcher("k", StringMatcher("prefix", b"a")).matches(states)
    assert not FilterStateMatcher("k", StringMatcher("prefix", b"b")).matches(states)
    assert not FilterStateMatcher("n", StringMatcher("prefix", b"")).matches(states)
    assert not FilterStateMatcher("x", StringMatcher("prefix", b"")).matches(states)
    assert not FilterStateMatcher("k", StringMatcher("prefix", b"a")).matches(None)
    inside = AddressMatcher(ranges("10.0.0.0/8"))
    assert FilterStateMatcher("ip", address=inside).matches(states)
    assert not FilterStateMatcher("k", address=inside).matches(states)
