"""Virtual hosts: by which header, with matchers, virtual clusters and scopes, read from their messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, TextState
from envoymesh.router.config import RouteFactoryContext, read_route_table, read_scoped_routes
from envoymesh.router.scoped import ScopedRouteTable
from envoymesh.router.table import Route, RouteTable, counts_of
from envoymesh.stats import Store
from tests.support.fakes import FakeConnection, FakeRuntime

HCM = "envoy.extensions.filters.network.http_connection_manager.v3."
STORE = Store()
CONTEXT = RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5, scope=STORE.scope(""))


def message(kind: str, fields: dict[str, Any]) -> Reader:
    return Reader(json_format.ParseDict(fields, message_class(kind)()), "it")


def answer(name: str, **match: Any) -> dict[str, Any]:
    return {"name": name, "match": match or {"prefix": "/"}, "direct_response": {"status": 200}}


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    message_class(kind)
    return {"name": kind, "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}


def table(*hosts: dict[str, Any], **fields: Any) -> RouteTable:
    reader = message("envoy.config.route.v3.RouteConfiguration", {"name": "r", "virtual_hosts": hosts, **fields})
    made = read_route_table(reader, CONTEXT)
    reader.finish()
    return made


def host(name: str, *domains: str, **fields: Any) -> dict[str, Any]:
    routes = {} if "matcher" in fields else {"routes": [answer(name)]}
    return {"name": name, "domains": domains or ["*"], **routes, **fields}


def ask(made: RouteTable, path: bytes = b"/", authority: bytes = b"a.com", **fields: str) -> str | None:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    found = made.route(RequestHeaders(b"GET", path, authority, b"http", pairs))
    return None if found is None else found.name


# Which virtual host


def test_another_header_may_name_the_virtual_host() -> None:
    made = table(host("b", "b.com"), host("rest"), vhost_header="X-Host")
    assert [ask(made, x_host=name) for name in ("b.com", "c.com", "")] == ["b", "rest", "rest"]
    assert ask(made, authority=b"b.com") is None
    # Where there is one for all, nobody looks.
    assert ask(table(host("rest"), vhost_header="x-host")) == "rest"


def test_ports_are_ignored_whatever_they_are() -> None:
    made = table(host("a", "a.com"), host("six", "[::1]"), ignore_port_in_host_matching=True)
    names = [ask(made, authority=each) for each in (b"a.com:", b"a.com:word", b"[::1]", b"[::1]:1", b"b:a.com")]
    assert names == ["a", "a", "six", "six", None]


def test_path_parameters_may_be_ignored() -> None:
    template = typed("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", path_template="/t/{a}")
    routes = [answer("exact", path="/a/b"), answer("template", path_match_policy=template)]
    made = table({"name": "v", "domains": ["*"], "routes": routes}, ignore_path_parameters_in_path_matching=True)
    assert [ask(made, path) for path in (b"/a;x/b;y=z", b"/a/b?c;d", b"/a/;b", b"/t/a;b", b"/t;a/b")] == [
        "exact", "exact", None, "template", None,
    ]  # fmt: skip
    plain = table({"name": "v", "domains": ["*"], "routes": routes})
    assert ask(plain, b"/a;x/b") is None


# Matchers


def on_header(name: str, **children: Any) -> dict[str, Any]:
    source = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)
    return {"matcher_tree": {"input": source, "exact_match_map": {"map": children}}}


def to(*routes: dict[str, Any]) -> dict[str, Any]:
    if len(routes) == 1:
        return {"action": typed("envoy.config.route.v3.Route", **routes[0])}
    return {"action": typed("envoy.config.route.v3.RouteList", routes=routes)}


def test_a_matcher_leads_to_routes() -> None:
    several = to(answer("one", path="/1"), answer("two", prefix="/2"))
    made = table(host("v", matcher={**on_header("x", a=to(answer("a")), b=several), "on_no_match": to(answer("none"))}))
    assert [ask(made, x="a"), ask(made, b"/1?q", x="b"), ask(made, b"/2/3", x="b"), ask(made)] == [
        "a", "one", "two", "none",
    ]  # fmt: skip
    assert ask(made, b"/3", x="b") is None
    assert {route.name for route in made.routes()} == {"a", "one", "two", "none"}
    assert all(route.virtual_host.name == "v" for route in made.routes())


def test_a_matcher_may_look_at_filter_state() -> None:
    source = typed("envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", key="k")
    tree = {"matcher_tree": {"input": source, "exact_match_map": {"map": {"v": to(answer("state"))}}}}
    info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    made, headers = table(host("v", matcher=tree)), RequestHeaders(b"GET", b"/", b"a")
    assert made.route(headers, info) is None
    info.set_filter_state("k", TextState("v"))
    found = made.route(headers, info)
    assert found is not None
    assert found.name == "state"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"matcher": {}, "routes": [answer("r")]}, "cannot set both matcher and routes on virtual host"),
        ({"matcher": {"on_no_match": {"action": typed("google.protobuf.StringValue", value="a")}}},
         "Action in router matcher should be Route or RouteList"),
        ({"matcher": {"on_no_match": {**to(answer("r")), "keep_matching": True}}}, "keep_matching is not supported"),
        ({"matcher": {"matcher_tree": {
            "input": typed("envoy.type.matcher.v3.HttpRequestQueryParamMatchInput", query_param="a"),
            "exact_match_map": {"map": {"a": to(answer("r"))}}}}}, "Route table can only match on request headers"),
        ({"virtual_clusters": [{"name": "c"}], "routes": []}, "virtual clusters must define 'headers'"),
    ],
)  # fmt: skip
def test_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        table({"name": "v", "domains": ["*"], **fields})


# Counts


def new_info() -> StreamInfo:
    return StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, 1)


def test_a_request_is_counted_by_the_first_virtual_cluster_and_its_route() -> None:
    clusters = [
        {"name": "posts", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]},
        {"name": "a:b", "headers": [{"name": "x"}]},
    ]
    routes = [{**answer("r", prefix="/r"), "stat_prefix": "r:1"}, answer("rest")]
    made = table(host("v:80", virtual_clusters=clusters, routes=routes))

    def charge(path: bytes, method: bytes = b"GET", *fields: tuple[bytes, bytes]) -> str:
        headers = RequestHeaders(method, path, b"a", fields=list(fields))
        route = made.route(headers)
        assert route is not None
        info = new_info()
        for counts in counts_of(route, headers, info):
            counts.charge(204)
            counts.charge(799)
            counts.record_time(7)
        return info.virtual_cluster_name

    assert charge(b"/r", b"POST", (b"x", b"1")) == "posts"
    assert charge(b"/", b"GET", (b"x", b"1")) == "a:b"
    assert charge(b"/") == "", "logs do not name the virtual cluster of all others"
    found = {name: stat.value for name, stat in STORE.counters.by_name.items() if stat.value and "v:80" in name}
    places = ("route.r:1", "vcluster.a:b", "vcluster.other", "vcluster.posts")
    kinds = {"upstream_rq_completed": 2, "upstream_rq_204": 1, "upstream_rq_2xx": 1, "upstream_rq_unknown": 1}
    assert found == {f"vhost.v:80.{place}.{kind}": value for place in places for kind, value in kinds.items()}
    assert "vhost.v:80.route.r:1.upstream_rq_time" in STORE.histograms.by_name
    assert "vhost.v:80.vcluster.posts.upstream_rq_retry" in STORE.counters.by_name


def test_most_requests_are_counted_by_nobody_else() -> None:
    (route,) = table(host("v")).routes()
    assert counts_of(route, RequestHeaders(b"GET", b"/", b"a"), new_info()) == ()


# Scopes


def scoped(*scopes: tuple[str, list[str], str], fragments: list[dict[str, Any]], **fields: Any) -> ScopedRouteTable:
    made = [
        {"name": name, "key": {"fragments": [{"string_key": part} for part in key]},
         "route_configuration": {"name": route, "virtual_hosts": [host(route)]}}
        for name, key, route in scopes
    ]  # fmt: skip
    settings = {
        "name": "s", "scope_key_builder": {"fragments": fragments},
        "scoped_route_configurations_list": {"scoped_route_configurations": made}, **fields,
    }  # fmt: skip
    reader = message(HCM + "ScopedRoutes", settings)
    read = read_scoped_routes(reader, CONTEXT)
    reader.finish()
    return read


def extract(**fields: Any) -> dict[str, Any]:
    return {"header_value_extractor": {"name": "X-Scope", **fields}}


def test_a_header_chooses_the_table() -> None:
    made = scoped(("1", ["a"], "A"), ("2", ["b"], "B"), fragments=[extract(index=0)])
    assert [ask(made, x_scope=scope) for scope in ("a", "b", "c")] == ["A", "B", None]
    assert ask(made) is None
    assert [route.name for route in made.routes()] == ["A", "B"]
    assert (made.name, [each.name for each in made.tables()]) == ("s", ["A", "B"])
    assert [each.place for each in made.tables()] == [
        f"scoped_routes.scoped_route_configurations_list.scoped_route_configurations[{i}].route_configuration"
        for i in range(2)
    ]


def test_a_key_of_several_parts() -> None:
    element = extract(element_separator=";", element={"key": "k", "separator": "="})
    made = scoped(("1", ["a", "v"], "A"), ("2", ["a", ""], "E"), fragments=[
        extract(element_separator=",", index=1), {"header_value_extractor": {**element["header_value_extractor"],
                                                                             "name": "y"}}])  # fmt: skip
    assert ask(made, x_scope="x,a", y="j=1;k=v;k=w") == "A"
    assert ask(made, x_scope="x,a", y="k") == "E"
    assert ask(made, x_scope="x", y="k=v") is None
    assert ask(made, x_scope="x,a", y="j=v") is None


def test_a_later_scope_takes_the_place_of_an_earlier_one() -> None:
    fragments = [extract(index=0)]
    made = scoped(("1", ["a"], "first"), ("2", ["a"], "second"), ("1", ["b"], "third"), fragments=fragments)
    assert (ask(made, x_scope="a"), ask(made, x_scope="b")) == (None, "third")
    made = scoped(("1", ["a"], "first"), ("2", ["a"], "second"), fragments=fragments)
    assert ask(made, x_scope="a") == "second"


@pytest.mark.parametrize(
    ("fragment", "reason"),
    [
        (extract(index=1), "Index > 0 for empty string element separator."),
        (extract(), "HeaderValueExtractor extract_type not set."),
    ],
)
def test_refused_keys(fragment: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        scoped(("1", ["a"], "A"), fragments=[fragment])


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ({"route_configuration_name": "a"}, r"Fetching routes via RDS \(route_configuration_name\) is not supported"),
        ({}, "You must specify a route_configuration with inline scoped routes."),
    ],
)
def test_refused_scopes(scope: dict[str, Any], reason: str) -> None:
    whole = {"name": "1", "key": {"fragments": [{"string_key": "a"}]}, **scope}
    settings = {
        "name": "s", "scope_key_builder": {"fragments": [extract(index=0)]},
        "scoped_route_configurations_list": {"scoped_route_configurations": [whole]},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=reason):
        read_scoped_routes(message(HCM + "ScopedRoutes", settings), CONTEXT)


def test_scopes_that_are_fetched_are_refused() -> None:
    settings = {"name": "s", "scope_key_builder": {"fragments": [extract(index=0)]}, "scoped_rds": {}}
    with pytest.raises(ConfigError, match="only inline scoped routes are supported"):
        read_scoped_routes(message(HCM + "ScopedRoutes", settings), CONTEXT)


def test_internal_headers_are_those_of_the_scope() -> None:
    made = scoped(("1", ["a"], "A"), fragments=[extract(index=0)])
    headers = RequestHeaders(b"GET", b"/", b"a", fields=[(b"x-scope", b"a")])
    assert (made.table_of(headers).name, made.table_of(RequestHeaders(b"GET", b"/")).name) == ("A", "")


def test_connect_takes_only_routes_that_ask_for_it() -> None:
    routes = [answer("any", prefix=""), answer("connect", connect_matcher={})]
    made = table({"name": "v", "domains": ["*"], "routes": routes})
    found: Route | None = made.route(RequestHeaders(b"CONNECT", b"", b"a"))
    assert found is not None
    assert found.name == "connect"
    assert ask(made) == "any"
