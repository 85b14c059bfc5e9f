"""Header mutations as the router applies them, and the path of a redirect."""

from __future__ import annotations

from envoymesh.filters.http.router.headers import (
    finalize_request_headers,
    finalize_response_headers,
    rewrite_path_header,
)
from envoymesh.formatter import Formatter
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.router.header_parser import HeaderParser, HeaderParsers, HeaderToAdd
from envoymesh.router.paths import PrefixPath
from envoymesh.router.table import ClusterAction, RedirectAction, Route, RouteTable, VirtualHost
from tests.support.logged import full


def routed(parsers: HeaderParsers) -> Route:
    route = Route("r", PrefixPath(b"/"), ClusterAction("up"), header_parsers=parsers)
    RouteTable("t", [VirtualHost("v", [b"*"], [route])])
    return route


def adds(text: str) -> HeaderParser:
    return HeaderParser([HeaderToAdd(b"x", Formatter(text, omit_empty_values=True))])


def test_the_request_sees_itself() -> None:
    headers = RequestHeaders(b"GET", b"/p", b"a", b"http")
    context = full(response_code=None)
    route = routed(HeaderParsers(request=adds("%REQ(:PATH)% %UPSTREAM_CLUSTER% %RESPONSE_CODE% %DURATION%")))
    finalize_request_headers(route, headers, context.info, 100.005, True)
    assert headers.get(b"x") == b"/p up 0 5"


def test_the_response_sees_its_status_before_it_is_sent() -> None:
    headers = ResponseHeaders(201)
    info = full(response_code=None, response_code_details="").info
    route = routed(HeaderParsers(response=adds("%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQ(:METHOD)%")))
    finalize_response_headers(route, RequestHeaders(b"PUT", b"/", b"a", b"http"), headers, info, 100.005)
    assert headers.get(b"x") == b"201 via_upstream PUT"
    assert info.response_code is None


def test_a_redirect_shows_the_path_it_leads_to() -> None:
    action = RedirectAction(prefix_rewrite=b"/new")
    route = Route("", PrefixPath(b"/old"), action)
    headers = RequestHeaders(b"GET", b"/old/a?b", b"h", b"http")
    rewrite_path_header(route, action, headers, full().info, 100.0, suppress=False)
    assert (headers.path, headers.get(b"x-envoy-original-path")) == (b"/new/a?b", b"/old/a?b")
    rewrite_path_header(route, RedirectAction(host=b"x"), headers, full().info, 100.0, suppress=False)
    assert headers.path == b"/new/a?b"


def test_the_original_path_is_suppressed_with_envoy_headers() -> None:
    action = RedirectAction(prefix_rewrite=b"/new")
    headers = RequestHeaders(b"GET", b"/old", b"h", b"http")
    rewrite_path_header(Route("", PrefixPath(b"/old"), action), action, headers, full().info, 100.0, suppress=True)
    assert (headers.path, headers.fields) == (b"/new", [])
