"""Why a request does not take a route: told exactly where it does not, and naming the condition that failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.queries import QueryParameterMatcher
from envoymesh.matching.strings import RangeMatcher, RegexMatcher, StringMatcher
from envoymesh.router.match.conditions import IsConnect, RuntimeFraction, TlsContext
from envoymesh.router.paths import ConnectPath, ExactPath, PathMatcher, PrefixPath, RegexPath
from envoymesh.router.table import ClusterAction, Route, RouteTable, VirtualHost
from envoymesh.runtime import RuntimeShare

PATHS: list[PathMatcher] = [
    PrefixPath(b"/a"), PrefixPath(b"/A", ignore_case=True), PrefixPath(b"/a", separated=True), ExactPath(b"/a/b"),
    RegexPath(RegexMatcher("/a+")), ConnectPath(),
]  # fmt: skip
VALUES = st.sampled_from([
    None, StringMatcher("exact", b"1"), StringMatcher("suffix", b"x", True), RangeMatcher(1, 5), RegexMatcher("[0-9]"),
])  # fmt: skip
HEADERS = st.builds(
    HeaderMatcher, st.sampled_from([b"x", b":method"]), VALUES, st.booleans(), st.booleans(), st.booleans()
)
QUERIES = st.builds(QueryParameterMatcher, st.sampled_from([b"q", b"r"]), VALUES, st.booleans())
CONDITIONS = st.sampled_from([
    RuntimeFraction(RuntimeShare("k", 0.0), 0.0), RuntimeFraction(RuntimeShare("k", 1.0), 0.0),
    TlsContext(True, None), TlsContext(False, None), IsConnect(),
])  # fmt: skip
ROUTES = st.builds(
    Route,
    st.just("r"),
    st.sampled_from(PATHS),
    st.just(ClusterAction("c")),
    st.lists(HEADERS, max_size=2),
    st.lists(QUERIES, max_size=2),
    st.booleans(),
    st.lists(CONDITIONS, max_size=2),
)
REQUESTS = st.builds(
    lambda method, path, fields: RequestHeaders(method, path, b"h", b"http", fields),
    st.sampled_from([b"GET", b"CONNECT"]),
    st.sampled_from([b"/a", b"/ab", b"/a/b", b"/A?q=1", b"/a?r=x&q=2", b"/c", b""]),
    st.lists(
        st.sampled_from([(b"x", b"1"), (b"x", b"X"), (b"x", b"9"), (b"content-type", b"application/grpc")]), max_size=3
    ),
)


@given(ROUTES, REQUESTS)
def test_it_is_told_exactly_where_a_route_does_not_match(route: Route, headers: RequestHeaders) -> None:
    path = headers.path.partition(b"?")[0]
    mismatch = route.why_not(headers, path)
    assert (mismatch is None) == route.matches(headers, path)
    assert mismatch is None or (mismatch.field and mismatch.why)


@given(st.lists(ROUTES, max_size=8), REQUESTS, st.booleans())
def test_the_routes_considered_end_with_the_one_that_is_taken(
    routes: list[Route], headers: RequestHeaders, ignore: bool
) -> None:
    host = VirtualHost("v", [b"*"], routes)
    table = RouteTable("t", [host], ignore_path_parameters=ignore)
    taken, considered = table.route(headers), host.considered(headers)
    assert [route for route, mismatch in considered if mismatch is None] == ([] if taken is None else [taken])
    assert [route for route, _ in considered] == routes[: len(considered)]
    assert taken is None or considered[-1][0] is taken


NAMES = st.sampled_from([b"a.b", b"A.B:80", b"x.a.b", b"a.", b"a.c", b"", b"b", b"a.b:x"])


@given(st.lists(st.sampled_from([b"a.b", b"*.a.b", b"a.*", b"*", b"b"]), unique=True), NAMES, st.booleans())
def test_the_domain_is_that_of_the_virtual_host(domains: list[bytes], name: bytes, ignore_port: bool) -> None:
    hosts = [VirtualHost(domain.decode(), [domain], []) for domain in domains]
    table = RouteTable("t", hosts, ignore_port=ignore_port)
    found = table.named_host(RequestHeaders(b"GET", b"/", name))
    host = table.virtual_host(name)
    assert (found is None) == (host is None)
    if found is not None:
        assert found[2] is host
        assert found[1] == found[2].domains[0]


@pytest.mark.parametrize(
    ("matcher", "fields", "why"),
    [
        (HeaderMatcher(b"x", StringMatcher("exact", b"1")), [], "there is no x, and the route wants exact '1'"),
        (HeaderMatcher(b"x", RangeMatcher(1, 5)), [(b"x", b"7")],
         "x is '7', and the route wants a number from 1 to less than 5"),
        (HeaderMatcher(b"x", RegexMatcher("a+"), invert=True), [(b"x", b"aa")],
         "x is 'aa', and the route wants anything but safe_regex 'a+'"),
        (HeaderMatcher(b"x", present=False), [(b"x", b"1"), (b"x", b"2")], "x is '1', '2'"),
        (HeaderMatcher(b"x", StringMatcher("prefix", b"a", True)), [(b"x", b"b")],
         "x is 'b', and the route wants prefix 'a' in any case"),
        (HeaderMatcher(b"x"), [(b"x", b"1")], ""),
    ],
)  # fmt: skip
def test_headers(matcher: HeaderMatcher, fields: list[tuple[bytes, bytes]], why: str) -> None:
    assert matcher.why_not(RequestHeaders(b"GET", b"/", fields=fields)) == why
