"""Header mutations: the four append actions, removals, empty values, and the order of levels."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.formatter import Formatter
from envoymesh.http.headers import HeaderField, RequestHeaders
from envoymesh.router.header_parser import HeaderParser, HeaderParsers, HeaderToAdd
from envoymesh.router.paths import PrefixPath
from envoymesh.router.table import DirectResponseAction, Route, RouteTable, VirtualHost
from tests.support.logged import full

ANY_PATH = PrefixPath(b"/")


def mutated(parser: HeaderParser, *fields: HeaderField) -> list[HeaderField]:
    headers = RequestHeaders(b"GET", b"/", b"a", b"http", list(fields))
    context = full()
    context.request = headers
    parser.evaluate_headers(headers, context)
    return headers.fields


def adds(name: bytes, value: bytes | Formatter, action: str = "APPEND_IF_EXISTS_OR_ADD", **more: Any) -> HeaderParser:
    return HeaderParser([HeaderToAdd(name, value, action, **more)])


@pytest.mark.parametrize(
    ("action", "present", "absent"),
    [
        ("APPEND_IF_EXISTS_OR_ADD", [b"old", b"new"], [b"new"]),
        ("ADD_IF_ABSENT", [b"old"], [b"new"]),
        ("OVERWRITE_IF_EXISTS_OR_ADD", [b"new"], [b"new"]),
        ("OVERWRITE_IF_EXISTS", [b"new"], []),
    ],
)
def test_append_actions(action: str, present: list[bytes], absent: list[bytes]) -> None:
    parser = adds(b"x", b"new", action)
    assert [value for _, value in mutated(parser, (b"x", b"old"))] == present
    assert [value for _, value in mutated(parser)] == absent


def test_an_overwritten_header_goes_to_the_end_before_what_is_added() -> None:
    parser = HeaderParser([HeaderToAdd(b"n", b"1"), HeaderToAdd(b"x", b"2", "OVERWRITE_IF_EXISTS")])
    assert mutated(parser, (b"x", b"a"), (b"y", b"b"), (b"x", b"c")) == [(b"y", b"b"), (b"x", b"2"), (b"n", b"1")]


def test_every_action_looks_at_the_headers_before() -> None:
    parser = HeaderParser([HeaderToAdd(b"x", b"1", "ADD_IF_ABSENT"), HeaderToAdd(b"x", b"2", "ADD_IF_ABSENT")])
    assert mutated(parser) == [(b"x", b"1"), (b"x", b"2")]


def test_removals_come_first() -> None:
    parser = HeaderParser([HeaderToAdd(b"x", b"new")], [b"x", b"no"])
    assert mutated(parser, (b"x", b"old"), (b"x", b"older")) == [(b"x", b"new")]


def test_headers_that_envoy_keeps_one_of_are_joined() -> None:
    assert mutated(adds(b"user-agent", b"more"), (b"user-agent", b"a")) == [(b"user-agent", b"a,more")]
    assert mutated(adds(b"cookie", b"more"), (b"cookie", b"a")) == [(b"cookie", b"a"), (b"cookie", b"more")]


def test_values_are_formats() -> None:
    parser = adds(b"x", Formatter("%REQ(:METHOD)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", omit_empty_values=True))
    assert mutated(parser) == [(b"x", b"GET 5.5.5.5")]


def test_empty_values_are_dropped_unless_kept() -> None:
    missing = Formatter("%REQ(no)%", omit_empty_values=True)
    assert mutated(adds(b"x", missing)) == []
    assert mutated(adds(b"x", b"")) == []
    assert mutated(adds(b"x", missing, keep_empty_value=True)) == [(b"x", b"")]


@pytest.mark.parametrize(("most_specific_wins", "order"), [(False, [b"r", b"v", b"t"]), (True, [b"t", b"v", b"r"])])
def test_levels_are_in_order(most_specific_wins: bool, order: list[bytes]) -> None:
    def level(value: bytes) -> HeaderParsers:
        return HeaderParsers(adds(b"x", value), adds(b"y", value))

    route = Route("", ANY_PATH, DirectResponseAction(200), header_parsers=level(b"r"))
    host = VirtualHost("v", [b"*"], [route], header_parsers=level(b"v"))
    RouteTable("t", [host], header_parsers=level(b"t"), most_specific_wins=most_specific_wins)
    for parsers in (route.request_parsers, route.response_parsers):
        assert [parser.to_add[0].value for parser in parsers] == order


def test_a_route_without_mutations_has_nothing_to_apply() -> None:
    route = Route("", ANY_PATH, DirectResponseAction(200))
    RouteTable("t", [VirtualHost("v", [b"*"], [route])])
    assert (route.request_parsers, route.response_parsers) == ((), ())
