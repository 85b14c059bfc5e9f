"""Descriptors of rate limits, beside what Envoy's documentation says of each action."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from envoymesh.formatter import Formatter
from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.queries import QueryParameterMatcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.network.api import Address
from envoymesh.router.rate_limits import descriptors as rate_limits
from envoymesh.router.rate_limits.descriptors import (
    Action,
    Descriptor,
    Entry,
    LimitOverride,
    MetadataValue,
    Override,
    RateLimit,
    RequestFacts,
    descriptors,
)
from envoymesh.router.table import ClusterAction, DirectResponseAction, Route, VirtualHost
from tests.support.logged import full


def facts(remote: str = "10.1.2.3") -> RequestFacts:
    headers = RequestHeaders(b"GET", b"/x?k=v&e=", b"a.com", fields=[(b"x-a", b"one"), (b"x-a", b"two")])
    context = replace(full(), request=headers)
    context.info.trusted_remote = Address(remote, 1) if remote else None
    context.info.dynamic_metadata = {
        "space": {
            "text": "t", "number": 5, "empty": "", "limit": {"requests_per_unit": 7, "unit": "HOUR"},
            "bad": {"requests_per_unit": "7", "unit": "HOUR"}, "odd": {"requests_per_unit": 7, "unit": "FORTNIGHT"},
        }
    }  # fmt: skip
    return RequestFacts("here", "there", context, headers, {"space": {"text": "of route"}})


def metadata(*path: str, **more: object) -> MetadataValue:
    return MetadataValue(b"m", "space", path, **more)  # type: ignore[arg-type]


HEADER = HeaderMatcher(b"x-a")
NO_HEADER = HeaderMatcher(b"x-b")
PARAMETER = QueryParameterMatcher(b"k", StringMatcher("exact", b"v"))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (rate_limits.SourceCluster(), (b"source_cluster", b"here")),
        (rate_limits.DestinationCluster(), (b"destination_cluster", b"there")),
        (rate_limits.RequestHeader(b"x-a", b"key"), (b"key", b"one")),
        (rate_limits.RequestHeader(b":path", b"key"), (b"key", b"/x?k=v&e=")),
        (rate_limits.RequestHeader(b"x-b", b"key"), None),
        (rate_limits.RequestHeader(b"x-b", b"key", True), rate_limits.SKIPPED),
        (rate_limits.QueryParameter(b"k", b"key"), (b"key", b"v")),
        (rate_limits.QueryParameter(b"e", b"key"), (b"key", b"")),
        (rate_limits.QueryParameter(b"n", b"key"), None),
        (rate_limits.QueryParameter(b"n", b"key", True), rate_limits.SKIPPED),
        (rate_limits.RemoteAddress(), (b"remote_address", b"10.1.2.3")),
        (rate_limits.MaskedRemoteAddress(), (b"masked_remote_address", b"10.1.2.3/32")),
        (rate_limits.MaskedRemoteAddress(16), (b"masked_remote_address", b"10.1.0.0/16")),
        (rate_limits.GenericKey(b"v"), (b"generic_key", b"v")),
        (rate_limits.GenericKey(b"v", b"k"), (b"k", b"v")),
        (rate_limits.HeaderValueMatch(b"v", [HEADER]), (b"header_match", b"v")),
        (rate_limits.HeaderValueMatch(b"v", [HEADER, NO_HEADER]), None),
        (rate_limits.HeaderValueMatch(b"v", [NO_HEADER], b"k", False), (b"k", b"v")),
        (rate_limits.HeaderValueMatch(b"v", [HEADER], b"k", False), None),
        (rate_limits.QueryParameterValueMatch(b"v", [PARAMETER]), (b"query_match", b"v")),
        (rate_limits.QueryParameterValueMatch(b"v", [PARAMETER], b"k", False), None),
        (metadata("text"), (b"m", b"t")),
        (metadata("text", of_route=True), (b"m", b"of route")),
        (metadata("number"), None),
        (metadata("empty", default=b"d"), (b"m", b"d")),
        (metadata("none", "deeper"), None),
        (metadata("none", skip_if_absent=True), rate_limits.SKIPPED),
    ],
)
def test_actions(action: Action, expected: Entry | None) -> None:
    assert action.entry(facts()) == expected


def test_addresses_that_are_none() -> None:
    assert rate_limits.RemoteAddress().entry(facts("")) is None
    assert rate_limits.MaskedRemoteAddress().entry(facts("")) is None
    masked = rate_limits.MaskedRemoteAddress(v6=64).entry(facts("2001:db8::1"))
    assert masked == (b"masked_remote_address", b"2001:db8::/64")


def test_a_descriptor_has_its_entries_in_order() -> None:
    skipping = rate_limits.RequestHeader(b"x-b", b"key", True)
    limit = RateLimit(0, [rate_limits.GenericKey(b"1"), skipping, rate_limits.GenericKey(b"2", b"k")])
    assert limit.descriptor(facts()) == Descriptor([(b"generic_key", b"1"), (b"k", b"2")])


def test_one_action_may_prevent_a_descriptor() -> None:
    limit = RateLimit(0, [rate_limits.GenericKey(b"1"), rate_limits.RequestHeader(b"x-b", b"key")])
    assert limit.descriptor(facts()) is None


@pytest.mark.parametrize(
    ("key", "expected"), [("limit", Override(7, "HOUR")), ("bad", None), ("odd", None), ("text", None), ("none", None)]
)
def test_overrides(key: str, expected: Override | None) -> None:
    made = RateLimit(0, [rate_limits.RemoteAddress()], limit=LimitOverride("space", [key])).descriptor(facts())
    assert made is not None
    assert made.override == expected


@pytest.mark.parametrize(("text", "expected"), [("12", 12), ("%REQ(X-A)%", None), ("%RESPONSE_CODE%", 200)])
def test_hits(text: str, expected: int | None) -> None:
    made = RateLimit(0, [rate_limits.RemoteAddress()], hits=3, hits_format=Formatter(text)).descriptor(facts())
    assert made is not None
    assert made.hits == expected
    assert RateLimit(0, [rate_limits.RemoteAddress()], hits=3).descriptor(facts()) == Descriptor(
        [(b"remote_address", b"10.1.2.3")], hits=3
    )


def test_stages_keys_and_moments() -> None:
    def limit(value: bytes, stage: int = 0, **more: object) -> RateLimit:
        return RateLimit(stage, [rate_limits.GenericKey(value)], **more)  # type: ignore[arg-type]

    limits = [
        limit(b"a"), limit(b"b", 1), limit(b"c", enabled=lambda: False), limit(b"d", enabled=lambda: True),
        limit(b"e", apply_on_stream_done=True),
    ]  # fmt: skip

    def values(stage: int, done: bool) -> list[bytes]:
        return [value for made in descriptors(limits, stage, done, facts()) for _, value in made.entries]

    assert values(0, False) == [b"a", b"d"]
    assert values(1, False) == [b"b"]
    assert values(0, True) == [b"e"]


def test_limits_of_a_virtual_host_where_the_route_has_none() -> None:
    own, hosts = RateLimit(0, [rate_limits.GenericKey(b"own")]), RateLimit(0, [rate_limits.GenericKey(b"host")])
    actions: list[Any] = [
        DirectResponseAction(200),
        ClusterAction("c"),
        ClusterAction("c", rate_limits=[own]),
        ClusterAction("c", rate_limits=[own], include_virtual_host_rate_limits=True),
    ]
    routes = [Route("r", None, action) for action in actions]
    VirtualHost("v", [b"*"], routes, rate_limits=[hosts])
    assert [list(route.rate_limits) for route in routes] == [[hosts], [hosts], [own], [own, hosts]]
