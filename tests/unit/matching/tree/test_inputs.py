"""What inputs give, and when they have nothing to give."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo, TextState
from envoymesh.matching.tree.data import MatchingData
from envoymesh.matching.tree.inputs import (
    CONNECTION_FACTS,
    ConnectionInput,
    ConstantInput,
    DataInput,
    FieldInput,
    FilterStateInput,
    MetadataInput,
    QueryParameterInput,
    RequestHeaderInput,
    StatusInput,
)
from envoymesh.matching.values import MISSING
from envoymesh.network.api import Address, PipeAddress
from tests.support.fakes import FakeConnection

NOTHING = MatchingData()


def info(**connection: Any) -> StreamInfo:
    made = StreamInfo(FakeConnection(local="10.0.0.1:80", remote="10.0.0.2:90", **connection), None, 0.0, 0.0, 1)
    made.protocol = HttpProtocol.HTTP11
    return made


def request(path: bytes = b"/", *fields: tuple[bytes, bytes]) -> MatchingData:
    return MatchingData(None, RequestHeaders(b"GET", path, b"a.com", b"http", list(fields)))


def check(source: DataInput, data: MatchingData, expected: bytes | None) -> None:
    assert source.available(data)
    assert source.text(data) == expected


def test_request_headers() -> None:
    check(RequestHeaderInput(b"x"), request(b"/", (b"x", b"1"), (b"x", b"2")), b"1,2")
    check(RequestHeaderInput(b":authority"), request(), b"a.com")
    check(RequestHeaderInput(b"x"), request(), None)
    assert (RequestHeaderInput(b"x").available(NOTHING), RequestHeaderInput(b"x").text(NOTHING)) == (False, None)


def test_what_comes_later() -> None:
    trailers = FieldInput(b"x", lambda data: data.response_trailers)
    assert (trailers.available(NOTHING), trailers.text(NOTHING)) == (False, None)
    check(trailers, MatchingData(response_trailers=HeaderMap([(b"x", b"1")])), b"1")
    code, group = StatusInput(as_class=False), StatusInput(as_class=True)
    assert (code.available(NOTHING), code.text(NOTHING)) == (False, None)
    for status, shown in ((204, b"2xx"), (503, b"5xx"), (799, None)):
        data = MatchingData(response_headers=ResponseHeaders(status))
        check(code, data, b"%d" % status)
        check(group, data, shown)


@pytest.mark.parametrize(
    ("path", "expected"), [(b"/?k=a%20b&k=c", b"a b"), (b"/?j=1", None), (b"/", None), (b"/?k", b"")]
)
def test_query_parameters(path: bytes, expected: bytes | None) -> None:
    check(QueryParameterInput(b"k"), request(path), expected)
    assert (QueryParameterInput(b"k").available(NOTHING), QueryParameterInput(b"k").text(NOTHING)) == (False, None)


def tls() -> Any:
    peer = SimpleNamespace(uri_sans=("spiffe://a", "b"), dns_sans=("a.com", "b.com"), subject="CN=a")
    return SimpleNamespace(peer=peer, sni="s.com")


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("network.v3.DestinationIPInput", b"10.0.0.1"), ("network.v3.DestinationPortInput", b"80"),
        ("network.v3.SourceIPInput", b"10.0.0.2"), ("network.v3.SourcePortInput", b"90"),
        ("network.v3.DirectSourceIPInput", b"10.0.0.2"), ("network.v3.SourceTypeInput", None),
        ("network.v3.ServerNameInput", b"s.com"), ("ssl.v3.UriSanInput", b"spiffe://a,b"),
        ("ssl.v3.DnsSanInput", b"a.com,b.com"), ("ssl.v3.SubjectInput", b"CN=a"),
    ],
)  # fmt: skip
def test_facts_of_connections(fact: str, expected: bytes | None) -> None:
    check(ConnectionInput(CONNECTION_FACTS[fact]), MatchingData(info(tls=tls())), expected)
    check(ConnectionInput(CONNECTION_FACTS[fact]), NOTHING, None)


def test_facts_that_are_not_known() -> None:
    unknown = info()
    unknown.downstream.local_address = unknown.downstream.remote_address = unknown.trusted_remote = None
    assert {fact(unknown) for fact in CONNECTION_FACTS.values()} == {""}


def test_a_trusted_client_is_the_source() -> None:
    behind = info()
    behind.trusted_remote = Address("127.0.0.9", 0)
    names = ("SourceIPInput", "SourcePortInput", "DirectSourceIPInput", "SourceTypeInput")
    assert [CONNECTION_FACTS[f"network.v3.{name}"](behind) for name in names] == ["127.0.0.9", "0", "10.0.0.2", "local"]


def test_a_unix_domain_socket_has_no_address_and_is_local() -> None:
    pipe = info()
    pipe.downstream.local_address = pipe.downstream.remote_address = pipe.trusted_remote = PipeAddress("/s")
    found = {name.removeprefix("network.v3."): fact(pipe) for name, fact in CONNECTION_FACTS.items() if fact(pipe)}
    assert found == {"SourceTypeInput": "local"}


def test_what_filters_have_left() -> None:
    left = info()
    data = MatchingData(left)
    check(FilterStateInput("k"), data, None)
    assert MetadataInput("f", ["a"]).value(data) is MISSING
    assert MetadataInput("f", ["a"]).value(NOTHING) is MISSING
    left.set_filter_state("k", TextState("v"))
    left.set_dynamic_metadata("f", {"a": 1})
    check(FilterStateInput("k"), data, b"v")
    assert MetadataInput("f", ["a"]).value(data) == 1


def test_constants() -> None:
    check(ConstantInput(b"v"), NOTHING, b"v")
