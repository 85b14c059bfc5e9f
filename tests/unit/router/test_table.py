"""Which route a request takes, and where a redirect leads."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from envoymesh.http.headers import RequestHeaders, is_grpc
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.queries import QueryParameterMatcher
from envoymesh.matching.strings import RegexMatcher
from envoymesh.router.paths import ExactPath, PathMatcher, PrefixPath, RegexPath
from envoymesh.router.table import (
    ClusterAction,
    DirectResponseAction,
    RedirectAction,
    Route,
    RouteTable,
    VirtualHost,
    split_port,
)


def request(path: bytes = b"/", authority: bytes = b"a.com", scheme: bytes = b"http", **fields: str) -> RequestHeaders:
    made = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return RequestHeaders(b"GET", path, authority, scheme, made)


def host(name: str, *domains: bytes, routes: list[Route] | None = None, **more: Any) -> VirtualHost:
    return VirtualHost(name, domains, routes or [Route(name, PrefixPath(b"/"), ClusterAction(name))], **more)


HOSTS = [
    host("default", b"*"),
    host("exact", b"a.com", b"a.com:81"),
    host("suffix", b"*.com"),
    host("long suffix", b"*.b.com"),
    host("dash", b"*-x.org"),
    host("prefix", b"pre.*"),
    host("long prefix", b"pre.fix.*"),
]


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"a.com", "exact"),
        (b"A.COM", "exact"),
        (b"a.com:81", "exact"),
        (b"a.com:80", "default"),
        (b"z.com", "suffix"),
        (b".com", "default"),
        (b"z.b.com", "long suffix"),
        (b"b.com", "suffix"),
        (b"1-x.org", "dash"),
        (b"-x.org", "default"),
        (b"pre.q", "prefix"),
        (b"pre.", "default"),
        (b"pre.fix.q", "long prefix"),
        (b"pre.fix.com", "suffix"),
        (b"", "default"),
    ],
)
def test_the_most_specific_domain_wins(authority: bytes, expected: str) -> None:
    for hosts in itertools.islice(itertools.permutations(HOSTS), 0, 5040, 997):
        found = RouteTable("r", hosts).virtual_host(authority)
        assert found is not None
        assert found.name == expected


def test_no_default_is_no_route() -> None:
    table = RouteTable("r", [host("exact", b"a.com")])
    assert table.route(request(authority=b"b.com")) is None
    assert RouteTable("r", []).route(request()) is None


def test_ports_may_be_ignored() -> None:
    table = RouteTable("r", [host("exact", b"a.com"), host("six", b"[::1]")], ignore_port=True)
    for authority, name in ((b"a.com:99", "exact"), (b"[::1]:99", "six")):
        found = table.route(request(authority=authority))
        assert found is not None
        assert found.virtual_host.name == name


@pytest.mark.parametrize("domains", [(b"*", b"*"), (b"a.com", b"A.com"), (b"*.a", b"*.a"), (b"a.*", b"a.*")])
def test_a_domain_stands_once(domains: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r"Only (a single wildcard|unique values)"):
        RouteTable("r", [host("one", domains[0]), host("two", domains[1])])


@pytest.mark.parametrize(
    ("matcher", "fits", "does_not"),
    [
        (PrefixPath(b"/a"), [b"/a", b"/ab", b"/a?x"], [b"/A", b"/"]),
        (PrefixPath(b"/a", ignore_case=True), [b"/A", b"/ab"], [b"/b"]),
        (PrefixPath(b"/a", separated=True), [b"/a", b"/a/b", b"/a?x"], [b"/ab", b"/"]),
        (PrefixPath(b"/a", ignore_case=True, separated=True), [b"/A/b"], [b"/Ab"]),
        (ExactPath(b"/a"), [b"/a", b"/a?x"], [b"/a/", b"/A"]),
        (ExactPath(b"/a", ignore_case=True), [b"/A"], [b"/b"]),
        (RegexPath(RegexMatcher("/[0-9]+")), [b"/1", b"/12?x"], [b"/1a", b"/"]),
    ],
)
def test_paths(matcher: PathMatcher, fits: list[bytes], does_not: list[bytes]) -> None:
    table = RouteTable("r", [host("all", b"*", routes=[Route("r", matcher, DirectResponseAction(200))])])
    assert all(table.route(request(path)) for path in fits)
    assert not any(table.route(request(path)) for path in does_not)


def test_the_first_route_that_matches_wins() -> None:
    routes = [
        Route(
            "header", PrefixPath(b"/"), DirectResponseAction(1), headers=[HeaderMatcher(b"x-a"), HeaderMatcher(b"x-b")]
        ),
        Route("query", PrefixPath(b"/"), DirectResponseAction(2), query_parameters=[QueryParameterMatcher(b"k")]),
        Route("grpc", PrefixPath(b"/"), DirectResponseAction(3), grpc=True),
        Route("rest", PrefixPath(b"/"), DirectResponseAction(4)),
    ]
    table = RouteTable("r", [host("all", b"*", routes=routes)])
    for headers, expected in (
        (request(x_a="1", x_b="2"), "header"),
        (request(b"/?k", x_a="1"), "query"),
        (request(content_type="application/grpc+proto"), "grpc"),
        (request(content_type="application/grpc-web"), "rest"),
        (request(), "rest"),
    ):
        route = table.route(headers)
        assert route is not None
        assert route.name == expected
    assert table.routes() == routes


@pytest.mark.parametrize(
    ("require", "fields", "redirected"),
    [
        ("NONE", {}, False),
        ("ALL", {}, True),
        ("ALL", {"x_forwarded_proto": "https"}, False),
        ("ALL", {"x_envoy_internal": "true"}, True),
        ("EXTERNAL_ONLY", {}, True),
        ("EXTERNAL_ONLY", {"x_envoy_internal": "true"}, False),
    ],
)
def test_tls_may_be_required(require: str, fields: dict[str, str], redirected: bool) -> None:
    table = RouteTable("r", [host("all", b"*", require_tls=require)])
    headers = request(b"/x?y", b"a.com:80", **fields)
    route = table.route(headers)
    assert route is not None
    assert isinstance(route.action, RedirectAction) is redirected
    if isinstance(route.action, RedirectAction):
        assert route.action.location(headers) == b"https://a.com/x?y"


@pytest.mark.parametrize(
    ("action", "headers", "expected"),
    [
        (RedirectAction(scheme=b"https"), request(), b"https://a.com/p?q=1"),
        (RedirectAction(scheme=b"https"), request(authority=b"a.com:80"), b"https://a.com/p?q=1"),
        (RedirectAction(scheme=b"https"), request(authority=b"a.com:8080"), b"https://a.com:8080/p?q=1"),
        (RedirectAction(scheme=b"http"), request(authority=b"a:443", scheme=b"https"), b"http://a/p?q=1"),
        (RedirectAction(host=b"o.org"), request(authority=b"a.com:80"), b"http://o.org/p?q=1"),
        (RedirectAction(port=8443), request(authority=b"a.com:80"), b"http://a.com:8443/p?q=1"),
        (RedirectAction(port=8443), request(authority=b"[::1]:80"), b"http://[::1]:8443/p?q=1"),
        (RedirectAction(path=b"/n"), request(), b"http://a.com/n?q=1"),
        (RedirectAction(path=b"/n?z"), request(), b"http://a.com/n?z"),
        (RedirectAction(path=b"n"), request(), b"http://a.com/n?q=1"),
        (RedirectAction(path=b"/n?z", strip_query=True), request(), b"http://a.com/n?z"),
        (RedirectAction(strip_query=True), request(), b"http://a.com/p"),
        (RedirectAction(path=b"/n", strip_query=True), request(), b"http://a.com/n"),
    ],
)
def test_redirects(action: RedirectAction, headers: RequestHeaders, expected: bytes) -> None:
    headers.path = b"/p?q=1"
    assert action.location(headers) == expected


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [(PrefixPath(b"/a"), b"/n/b"), (ExactPath(b"/a/b"), b"/n"), (RegexPath(RegexMatcher(".*")), b"/n")],
)
def test_rewriting(matcher: PathMatcher, expected: bytes) -> None:
    assert matcher.rewritten(b"/a/b", b"/n") == expected


@pytest.mark.parametrize(
    ("given_host", "expected"),
    [
        (b"a", (b"a", b"")),
        (b"a:80", (b"a", b":80")),
        (b"a:", (b"a:", b"")),
        (b"a:b", (b"a:b", b"")),
        (b"[::1]", (b"[::1]", b"")),
        (b"[::1]:80", (b"[::1]", b":80")),
        (b"::1", (b"::1", b"")),
    ],
)
def test_hosts_and_ports(given_host: bytes, expected: tuple[bytes, bytes]) -> None:
    assert split_port(given_host) == expected


def test_what_grpc_is() -> None:
    assert is_grpc(request(content_type="application/grpc"))
    assert not is_grpc(request(content_type="application/grpcx"))
    assert not is_grpc(request())
