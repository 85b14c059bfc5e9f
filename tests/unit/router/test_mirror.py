"""Mirror policies: who gets a copy, and how it is addressed. The expected hosts are the real Envoy 1.40's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from envoymesh.formatter import Formatter
from envoymesh.http.headers import HeaderField, RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.strings import StringMatcher
from envoymesh.router.header_parser import HeaderParser, HeaderToAdd
from envoymesh.router.mirror import MirrorPolicy, RemoveOnMatch, shadow_host
from envoymesh.router.table import ClusterAction, DirectResponseAction, Route, RouteTable, VirtualHost
from tests.support.fakes import FakeConnection


def request(*fields: HeaderField) -> RequestHeaders:
    return RequestHeaders(b"GET", b"/p", b"a.com:80", b"http", list(fields))


def copied(policy: MirrorPolicy, headers: RequestHeaders) -> RequestHeaders:
    return policy.headers_of(headers, StreamInfo(FakeConnection(), None, 0.0, 0.0, 1), 0.0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"a.com", b"a.com-shadow"),
        (b"a.com:80", b"a.com-shadow:80"),
        (b"1.2.3.4:5", b"1.2.3.4-shadow:5"),
        (b"[::1]", b"[::1]-shadow"),
        (b"[::1]:80", b"[::1]-shadow:80"),
        (b"a:", b"a-shadow:"),
        (b":80", b"-shadow:80"),
        (b"a:b:c", b"a:b-shadow:c"),
        (b"", b"-shadow"),
    ],
)
def test_the_suffix_stands_before_the_port(host: bytes, expected: bytes) -> None:
    assert shadow_host(host) == expected


@pytest.mark.parametrize(
    ("policy", "authority"),
    [
        (MirrorPolicy("m"), b"a.com-shadow:80"),
        (MirrorPolicy("m", add_suffix=False), b"a.com:80"),
        (MirrorPolicy("m", host_rewrite=b"new"), b"new"),
        (MirrorPolicy("m", host_rewrite=b"new", add_suffix=False), b"new"),
    ],
)
def test_what_a_copy_is_addressed_to(policy: MirrorPolicy, authority: bytes) -> None:
    headers = request()
    assert copied(policy, headers).authority == authority
    assert headers.authority == b"a.com:80"


def test_a_request_without_a_host() -> None:
    assert copied(MirrorPolicy("m"), RequestHeaders(b"GET", b"/")).authority is None


@pytest.mark.parametrize(
    ("fields", "cluster"),
    [([], ""), ([(b"x-c", b"m")], "m"), ([(b"x-c", b"")], ""), ([(b"x-c", b"m"), (b"x-c", b"n")], "m")],
)
def test_a_header_names_the_cluster(fields: Sequence[HeaderField], cluster: str) -> None:
    assert MirrorPolicy(cluster_header=b"x-c").cluster_of(request(*fields)) == cluster


def test_a_pseudo_header_names_the_cluster() -> None:
    assert MirrorPolicy(cluster_header=b":path").cluster_of(request()) == "/p"


def test_mutations_one_after_another() -> None:
    host = HeaderToAdd(b"x-host", Formatter("%REQ(:authority)%"))
    mutations = (
        HeaderParser([host]),
        HeaderParser([HeaderToAdd(b"x-again", Formatter("%REQ(x-host)%"))]),
        RemoveOnMatch(StringMatcher("prefix", b"x-old")),
        HeaderParser((), [b"x-gone"]),
        HeaderParser([HeaderToAdd(b"x-gone", b"back")]),
    )
    headers = request((b"x-old-1", b"1"), (b"x-gone", b"2"), (b"x-old-2", b"3"), (b"x-kept", b"4"))
    before = list(headers.fields)
    assert copied(MirrorPolicy("m", mutations=mutations), headers).fields == [
        (b"x-kept", b"4"),
        (b"x-host", b"a.com:80"),
        (b"x-again", b"a.com:80"),
        (b"x-gone", b"back"),
    ]
    assert headers.fields == before


def test_chance() -> None:
    assert MirrorPolicy("m").applies()
    assert MirrorPolicy("m", chance=lambda: True).applies()
    assert not MirrorPolicy("m", chance=lambda: False).applies()


@pytest.mark.parametrize(
    ("own", "host", "table", "expected"),
    [("r", "h", "t", ["r"]), ("", "h", "t", ["h"]), ("", "", "t", ["t"]), ("", "", "", [])],
)
def test_the_most_specific_level_counts(own: str, host: str, table: str, expected: list[str]) -> None:
    def level(cluster: str) -> tuple[MirrorPolicy, ...]:
        return (MirrorPolicy(cluster),) if cluster else ()

    route, other = Route("r", None, ClusterAction("c", mirrors=level(own))), Route("d", None, DirectResponseAction(200))
    RouteTable("t", [VirtualHost("v", [b"*"], [route, other], own_mirrors=level(host))], mirrors=level(table))
    assert [each.cluster for each in route.mirrors] == expected
    assert not other.mirrors
