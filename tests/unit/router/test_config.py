"""RouteConfiguration messages as route tables; what is not supported is refused by its path."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.strings import StringMatcher
from envoymesh.router.config import RouteFactoryContext, read_route_table
from envoymesh.router.header_parser import HeaderParser, HeaderToAdd
from envoymesh.router.mirror import MirrorPolicy, RemoveOnMatch
from envoymesh.router.table import ClusterAction, DirectResponseAction, RedirectAction, Route, RouteTable
from tests.support.fakes import FakeRuntime

CONTEXT = RouteFactoryContext(
    lambda name, message, optional: (name, message.integer("value")), FakeRuntime(), lambda: 0.5
)
DIRECT = {"direct_response": {"status": 200}}


def table(*routes: dict[str, Any], host: dict[str, Any] | None = None, **options: Any) -> RouteTable:
    virtual_host = {"name": "v", "domains": ["*"], "routes": list(routes), **(host or {})}
    settings = {"name": "r", "virtual_hosts": [virtual_host], **options}
    message = json_format.ParseDict(settings, message_class("envoy.config.route.v3.RouteConfiguration")())
    reader = Reader(message, "route_config", None)
    made = read_route_table(reader, CONTEXT)
    reader.finish()
    return made


def only(*routes: dict[str, Any], **options: Any) -> Route:
    (route,) = table(*routes, **options).routes()
    return route


def test_a_route_to_a_cluster() -> None:
    settings = {"cluster": "up", "timeout": "3s", "idle_timeout": "0s", "cluster_not_found_response_code": "NOT_FOUND"}
    route = only({"name": "n", "match": {"prefix": "/"}, "route": settings})
    assert route.name == "n"
    assert route.action == ClusterAction("up", 3.0, 0.0, 404)
    assert only({"match": {"prefix": "/"}, "route": {"cluster": "up"}}).action == ClusterAction("up", 15.0, None, 503)


@pytest.mark.parametrize(
    ("match", "fits", "does_not"),
    [
        ({"prefix": "/a"}, b"/ab", b"/b"),
        ({"path": "/a", "case_sensitive": False}, b"/A", b"/ab"),
        ({"path_separated_prefix": "/a"}, b"/a/b", b"/ab"),
        ({"safe_regex": {"regex": "/a+"}}, b"/aa", b"/ab"),
        ({"prefix": "/", "query_parameters": [{"name": "k", "string_match": {"exact": "v"}}]}, b"/?k=v", b"/?k"),
        ({"prefix": "/", "query_parameters": [{"name": "k"}]}, b"/?k", b"/"),
        ({"prefix": "/", "headers": [{"name": ":Path", "string_match": {"suffix": "x"}}]}, b"/x", b"/y"),
        ({"prefix": "/", "headers": [{"name": ":path", "exact_match": "/x"}]}, b"/x", b"/y"),
        ({"prefix": "/", "headers": [{"name": ":path", "safe_regex_match": {"regex": "/x"}}]}, b"/x", b"/y"),
        (
            {"prefix": "/", "headers": [{"name": ":path", "string_match": {"contains": "Q", "ignore_case": True}}]},
            b"/q",
            b"/y",
        ),
    ],
)
def test_matches(match: dict[str, Any], fits: bytes, does_not: bytes) -> None:
    made = table({"match": match, **DIRECT})
    assert made.route(RequestHeaders(b"GET", fits, b"a")) is not None
    assert made.route(RequestHeaders(b"GET", does_not, b"a")) is None


@pytest.mark.parametrize(
    ("code", "status"),
    [("MOVED_PERMANENTLY", 301), ("FOUND", 302), ("SEE_OTHER", 303), ("TEMPORARY_REDIRECT", 307),
     ("PERMANENT_REDIRECT", 308)],
)  # fmt: skip
def test_redirect_codes(code: str, status: int) -> None:
    action = only({"match": {"prefix": "/"}, "redirect": {"host_redirect": "h", "response_code": code}}).action
    assert action == RedirectAction(status, host=b"h")


def test_direct_responses_and_redirects() -> None:
    settings = {"status": 418, "body": {"inline_string": "tea"}}
    assert only({"match": {"prefix": "/"}, "direct_response": settings}).action == DirectResponseAction(418, b"tea")
    fields = {
        "https_redirect": True,
        "host_redirect": "h",
        "port_redirect": 1,
        "path_redirect": "/p",
        "strip_query": True,
    }
    assert only({"match": {"prefix": "/"}, "redirect": {**fields, "strip_query": True}}).action == RedirectAction(
        301, b"https", b"h", 1, b"/p", b"", True
    )
    rewrite = {"prefix_rewrite": "/n", "scheme_redirect": "ftp", "response_code": "SEE_OTHER"}
    assert only({"match": {"prefix": "/"}, "redirect": rewrite}).action == RedirectAction(
        303, b"ftp", prefix_rewrite=b"/n"
    )


def test_retry_policies() -> None:
    policy = {"retry_on": "5xx, connect-failure", "num_retries": 3, "per_try_timeout": "2s"}
    route = only({"match": {"prefix": "/"}, "route": {"cluster": "up"}}, host={"retry_policy": policy})
    retry = route.virtual_host.retry
    assert retry is not None
    assert (retry.retry_on, retry.num_retries, retry.per_try_timeout) == ({"5xx", "connect-failure"}, 3, 2.0)


def test_the_table_has_its_options() -> None:
    made = table(ignore_port_in_host_matching=True, internal_only_headers=["X-Secret"], validate_clusters=False)
    assert (made.name, made.ignore_port, made.internal_only_headers) == ("r", True, (b"x-secret",))


ROUTE = "route_config.virtual_hosts[0].routes[0]"


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ({"match": {"path_match_policy": {"name": "x", "typed_config": {
            "@type": "type.googleapis.com/google.protobuf.StringValue", "value": "/a"}}}, **DIRECT},
         f"{ROUTE}.match.path_match_policy"),
        ({"match": {"safe_regex": {"regex": "a("}}, **DIRECT}, f"{ROUTE}.match.safe_regex.regex"),
    ],
)  # fmt: skip
def test_refused(route: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table(route)
    assert path in str(caught.value)


def test_a_domain_stands_once() -> None:
    with pytest.raises(ConfigError, match="Only unique values for domains"):
        table(host={"domains": ["a.com", "A.com"]})


def test_header_mutations_of_every_level() -> None:
    def level(value: str) -> dict[str, Any]:
        return {
            "request_headers_to_add": [{"header": {"key": "X-A", "value": value}, "append_action": "ADD_IF_ABSENT"}],
            "response_headers_to_remove": [f"X-{value}"],
        }

    settings = {"match": {"prefix": "/"}, **DIRECT, **level("route")}
    route = only(settings, host=level("host"), **level("table"), most_specific_header_mutations_wins=True)
    added = [(each.name, each.value, each.action) for parser in route.request_parsers for each in parser.to_add]
    assert added == [(b"x-a", value, "ADD_IF_ABSENT") for value in (b"table", b"host", b"route")]
    assert [parser.to_remove for parser in route.response_parsers] == [[b"x-table"], [b"x-host"], [b"x-route"]]


@pytest.mark.parametrize(
    ("option", "action"),
    [
        ({}, "APPEND_IF_EXISTS_OR_ADD"),
        ({"append": True}, "APPEND_IF_EXISTS_OR_ADD"),
        ({"append": False}, "OVERWRITE_IF_EXISTS_OR_ADD"),
        ({"append_action": "OVERWRITE_IF_EXISTS"}, "OVERWRITE_IF_EXISTS"),
    ],
)
def test_append_and_append_action(option: dict[str, Any], action: str) -> None:
    addition = {"header": {"key": "a", "value": "b"}, **option}
    route = only({"match": {"prefix": "/"}, **DIRECT, "response_headers_to_add": [addition]})
    assert route.response_parsers[0].to_add[0].action == action


@pytest.mark.parametrize(
    ("mutation", "cause"),
    [
        ({"request_headers_to_add": [{"header": {"key": ":path", "value": "x"}}]}, "headers may not be modified"),
        ({"response_headers_to_add": [{"header": {"key": "Host", "value": "x"}}]}, "headers may not be modified"),
        ({"request_headers_to_remove": ["host"]}, "headers may not be removed"),
        ({"response_headers_to_remove": [":status"]}, "headers may not be removed"),
        ({"request_headers_to_add": [{"header": {"key": "a", "value": "%FOO%"}}]}, "Not supported field"),
        (
            {"request_headers_to_add": [{"header": {"key": "a"}, "append": True, "append_action": "ADD_IF_ABSENT"}]},
            "Both append and append_action are set",
        ),
    ],
)
def test_refused_header_mutations(mutation: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        only({"match": {"prefix": "/"}, **DIRECT, **mutation})


MIRRORED = {"match": {"prefix": "/"}, "route": {"cluster": "c"}}


def mirrored(*policies: dict[str, Any], **options: Any) -> Route:
    """A route that mirrors; `options` as in `table`."""
    return only({"match": {"prefix": "/"}, "route": {"cluster": "c", "request_mirror_policies": policies}}, **options)


def test_mirrors() -> None:
    header = {"append": {"header": {"key": "X-A", "value": "b"}, "append_action": "ADD_IF_ABSENT"}}
    matcher = {"remove_on_match": {"key_matcher": {"prefix": "x-"}}}
    first, second = mirrored(
        {"cluster": "m", "host_rewrite_literal": "h", "disable_shadow_host_suffix_append": True},
        {"cluster_header": "X-C", "request_headers_mutations": [{"remove": "X-R"}, header, matcher]},
    ).mirrors
    assert first == MirrorPolicy("m", host_rewrite=b"h", mutations=[], add_suffix=False)
    assert (second.cluster, second.cluster_header, second.host_rewrite, second.add_suffix) == ("", b"x-c", b"", True)
    assert second.mutations == [
        HeaderParser((), [b"x-r"]),
        HeaderParser([HeaderToAdd(b"x-a", b"b", "ADD_IF_ABSENT")]),
        RemoveOnMatch(StringMatcher("prefix", b"x-")),
    ]
    assert first.applies()


def test_mirrors_of_every_level() -> None:
    host, whole = [{"cluster": "h"}], [{"cluster": "t"}]
    options: dict[str, Any] = {"host": {"request_mirror_policies": host}, "request_mirror_policies": whole}
    assert [each.cluster for each in mirrored({"cluster": "r"}, **options).mirrors] == ["r"]
    assert [each.cluster for each in only(MIRRORED, **options).mirrors] == ["h"]
    assert [each.cluster for each in only(MIRRORED, request_mirror_policies=whole).mirrors] == ["t"]


@pytest.mark.parametrize(("numerator", "applies"), [(49, False), (51, True)])
def test_the_share_of_requests_that_is_mirrored(numerator: int, applies: bool) -> None:
    (policy,) = mirrored({"cluster": "m", "runtime_fraction": {"default_value": {"numerator": numerator}}}).mirrors
    assert policy.applies() is applies


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        ({}, "Exactly one of cluster or cluster_header in request mirror policy need to be specified"),
        ({"cluster": "m", "cluster_header": "h"}, "Only one of cluster 'm' or cluster_header 'h' in request mirror"),
        ({"cluster": "m", "request_headers_mutations": [{"remove": "host"}]}, "headers may not be removed"),
        ({"cluster": "m", "request_headers_mutations": [{"append": {"header": {"key": ":path"}}}]}, "not be modified"),
    ],
)
def test_refused_mirrors(policy: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        mirrored(policy)
