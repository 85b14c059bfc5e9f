"""Matcher trees: predicates, look-ups, what leads nowhere, and what is not known yet."""

from __future__ import annotations

import ipaddress

import pytest

from envoymesh.http.headers import HeaderMap, RequestHeaders
from envoymesh.matching.strings import StringMatcher
from envoymesh.matching.tree.data import MatchingData
from envoymesh.matching.tree.inputs import FieldInput, RequestHeaderInput
from envoymesh.matching.tree.match_tree import (
    INSUFFICIENT,
    INSUFFICIENT_DATA,
    NO,
    YES,
    AddressRange,
    AddressTree,
    AllOf,
    AnyOf,
    DomainMap,
    ExactMap,
    ListTree,
    MatchTree,
    NeverPredicate,
    Not,
    OnMatch,
    Predicate,
    PrefixMap,
    TextPredicate,
)

X = RequestHeaderInput(b"x")
NOWHERE = OnMatch(tree=ListTree((), None))


def data(x: str | None = None, trailers: HeaderMap | None = None) -> MatchingData:
    fields = [] if x is None else [(b"x", x.encode())]
    return MatchingData(None, RequestHeaders(b"GET", b"/", b"a", fields=fields), trailers)


def wants(x: str) -> Predicate:
    return TextPredicate(X, StringMatcher("exact", x.encode()))


UNKNOWN = TextPredicate(FieldInput(b"x", lambda found: found.request_trailers), StringMatcher("exact", b"t"))


@pytest.mark.parametrize(
    ("predicate", "answers"),
    [
        (wants("a"), (YES, NO, NO)),
        (Not(wants("a")), (NO, YES, YES)),
        (AnyOf([wants("a"), wants("b")]), (YES, YES, NO)),
        (AllOf([wants("a"), Not(wants("b"))]), (YES, NO, NO)),
        (NeverPredicate(), (NO, NO, NO)),
        (UNKNOWN, (INSUFFICIENT, INSUFFICIENT, INSUFFICIENT)),
        (Not(UNKNOWN), (INSUFFICIENT, INSUFFICIENT, INSUFFICIENT)),
        (AnyOf([wants("a"), UNKNOWN]), (YES, INSUFFICIENT, INSUFFICIENT)),
        (AnyOf([UNKNOWN, wants("a")]), (INSUFFICIENT, INSUFFICIENT, INSUFFICIENT)),
        (AllOf([wants("a"), UNKNOWN]), (INSUFFICIENT, NO, NO)),
    ],
)
def test_predicates(predicate: Predicate, answers: tuple[int, int, int]) -> None:
    assert (predicate.matches(data("a")), predicate.matches(data("b")), predicate.matches(data())) == answers


def test_the_first_branch_that_leads_somewhere_counts() -> None:
    branches = [(wants("a"), NOWHERE), (wants("a"), OnMatch("second")), (wants("b"), OnMatch("third"))]
    tree = ListTree(branches, OnMatch("none"))
    assert [tree.match(data(x)) for x in ("a", "b", "c")] == ["second", "third", "none"]
    assert ListTree(branches, None).match(data("c")) is None


def test_what_is_to_be_kept_on_is_no_match() -> None:
    branches = [(wants("a"), OnMatch("passed", keep_matching=True)), (wants("a"), OnMatch("found"))]
    assert ListTree(branches, None).match(data("a")) == "found"
    assert ListTree(branches[:1], OnMatch("last", keep_matching=True)).match(data("a")) is None


def test_a_tree_says_what_it_cannot_say_yet() -> None:
    tree = ListTree([(UNKNOWN, OnMatch("trailer"))], OnMatch("none"))
    assert tree.match(data()) is INSUFFICIENT_DATA
    assert tree.match(data(trailers=HeaderMap([(b"x", b"t")]))) == "trailer"
    assert tree.match(data(trailers=HeaderMap())) == "none"
    nested = ListTree([(wants("a"), OnMatch(tree=tree, keep_matching=True))], None)
    assert nested.match(data("a")) is INSUFFICIENT_DATA
    lookup = ExactMap(FieldInput(b"x", lambda found: found.request_trailers), OnMatch("none"), {b"t": OnMatch("t")})
    assert (lookup.match(data()), lookup.match(data(trailers=HeaderMap([(b"x", b"t")])))) == (INSUFFICIENT_DATA, "t")


def check(tree: MatchTree, **expected: str) -> None:
    assert {text: tree.match(data(text)) for text in expected} == expected
    assert tree.match(data()) == "none"


def test_exact_maps() -> None:
    children = {b"a": OnMatch("A"), b"n": NOWHERE, b"": OnMatch("empty")}
    check(ExactMap(X, OnMatch("none"), children), a="A", b="none", n="none", **{"": "empty"})
    assert ExactMap(X, None, children).match(data("b")) is None


def test_prefix_maps() -> None:
    children = {b"a": OnMatch("A"), b"ab": OnMatch("AB"), b"abc": NOWHERE}
    check(PrefixMap(X, OnMatch("none"), children), a="A", ax="A", ab="AB", abcd="AB", x="none")


def test_domain_maps() -> None:
    children = {b"a.com": OnMatch("exact"), b"*.a.com": OnMatch("suffix"), b"*.b.a.com": NOWHERE, b"*": OnMatch("all")}
    expected = {"a.com": "exact", "x.a.com": "suffix", "x.b.a.com": "suffix", "com": "all", "": "none"}
    check(DomainMap(X, OnMatch("none"), children), **expected)


def test_address_trees() -> None:
    def branch(name: str, exclusive: bool = False) -> AddressRange:
        return AddressRange(OnMatch(name) if name else NOWHERE, exclusive)

    ranges = [("10.0.0.0/8", branch("ten")), ("10.1.0.0/16", branch("")), ("10.0.0.0/15", branch("exclusive", True))]
    tree = AddressTree(X, OnMatch("none"), [(ipaddress.ip_network(text), each) for text, each in ranges])
    expected = {"10.9.1.1": "ten", "10.1.1.1": "ten", "10.0.1.1": "exclusive", "11.1.1.1": "none", "word": "none"}
    check(tree, **expected)
