"""Listeners for routes and virtual hosts: many routes on few listeners, each route's answer says which one it is.

This file must not know cases.
"""

from __future__ import annotations

from typing import Any

from tests.integration.harness import hcm_filter, http_listener

Json = dict[str, Any]

_TYPES = "type.googleapis.com/"
_NETWORK_INPUTS = "envoy.extensions.matching.common_inputs.network.v3."
TEMPLATE = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
RUNTIME_LAYER = {"routing.on": 100, "routing.off": 0, "routing.odd": "much"}
"""What the runtime says in the places of shares."""


def routing_listeners(socket: Json) -> list[Json]:
    """All listeners for routing; `socket` is a transport socket whose clients may present a certificate."""
    secure = http_listener("routing-tls", _table(host("tls", "*", *_tls_routes())))
    secure["filter_chains"][0]["transport_socket"] = socket
    names, everything = _table(*_named_hosts()), _table(host("all", "*", answer("all", prefix="/")))
    return [
        http_listener("routing", _table(*_subjects())),
        http_listener("routing-domains", names),
        http_listener("routing-header", {**names, "vhost_header": "X-Host"}),
        http_listener("routing-header-all", {**everything, "vhost_header": "h"}),
        http_listener("routing-ignore-port", {**names, "ignore_port_in_host_matching": True}),
        http_listener(
            "routing-header-port", {**names, "vhost_header": "x-host", "ignore_port_in_host_matching": True}
        ),
        http_listener("routing-strip-any", names, strip_any_host_port=True),
        http_listener("routing-strip-matching", names, strip_matching_host_port=True),
        http_listener("routing-strip-dot", names, strip_trailing_host_dot=True),
        http_listener("routing-strip-both", names, strip_trailing_host_dot=True, strip_any_host_port=True),
        http_listener(
            "routing-parameters",
            {**_table(host("all", "*", *_path_routes())), "ignore_path_parameters_in_path_matching": True},
        ),
        _scoped("routing-scopes", _index("x-scope", 0), _index("x-parts", 1, ",")),
        _scoped("routing-elements", _element("x-pairs", "a", ";", "="), _element("x-pairs", "b", ";", "=")),
        secure,
    ]  # fmt: skip


def _table(*hosts: Json) -> Json:
    return {"name": "filters", "virtual_hosts": list(hosts)}


def host(name: str, domain: str, *routes: Json, **more: Any) -> Json:
    """A virtual host."""
    return {"name": name, "domains": [domain], **({"routes": list(routes)} if routes else {}), **more}


def answer(name: str, **match: Any) -> Json:
    """A route that answers with its name."""
    body = {"status": 200, "body": {"inline_string": name}}
    return {"name": name, "match": match, "direct_response": body}


def typed(kind: str, **fields: Any) -> Json:
    """A TypedExtensionConfig."""
    return {"name": kind, "typed_config": {"@type": _TYPES + kind, **fields}}


def _subjects() -> list[Json]:
    """One virtual host for each subject."""
    return [
        host("paths", "paths.com", *_path_routes()),
        host("alternating", "alternating.com", *_alternating_routes()),
        host("headers", "headers.com", *_header_routes()),
        host("queries", "queries.com", *_query_routes()),
        host("state", "state.com", *_state_routes()),
        host("connect", "connect.com", answer("empty prefix", prefix=""), answer("connect", connect_matcher={})),
        host("tunnel", "tunnel.com", {"match": {"connect_matcher": {}}, "route": {"cluster": "up"}}),
        host("pathless", "pathless.com", answer("any", prefix="")),
        host("all tls", "secure.com", answer("secure", prefix="/"), require_tls="ALL"),
        host("external tls", "external.com", answer("external", prefix="/"), require_tls="EXTERNAL_ONLY"),
        *_tree_hosts(),
        host("counted", "counted.com", *_counted_routes(), virtual_clusters=_virtual_clusters()),
        host("uncounted.dot", "uncounted.com", *_counted_routes()),
    ]


# Paths


def _path_routes() -> list[Json]:
    templates = {
        "variable": "/t/{one}", "two": "/t/{one}/x/{two}", "glob": "/g/*/end", "globs": "/gs/**", "suffix": "/s/*.m4s",
        "long suffix": "/ss/**.mpd", "inner": "/in/{a=*/b/**}", "mixed": "/m/pre-{a}-post/z", "literal": "/l/a.b+c$(d)",
        "slash": "/slash/{a}/", "star": "/st/a*b",
    }  # fmt: skip
    return [
        *(answer(name, path_match_policy=typed(TEMPLATE, path_template=each)) for name, each in templates.items()),
        answer("regex", safe_regex={"regex": "/r/[a-z]+"}),
        answer("regex any case", safe_regex={"regex": "/q/[a-z]+"}, case_sensitive=False),
        answer("exact", path="/exact"),
        answer("exact any case", path="/Exact/Any", case_sensitive=False),
        answer("prefix any case", prefix="/Prefix/Any", case_sensitive=False),
        answer("separated", path_separated_prefix="/sep/a"),
        answer("separated any case", path_separated_prefix="/Sep/B", case_sensitive=False),
        answer("question", path="/que?stion"),
        answer("prefix", prefix="/pre"),
    ]


def _alternating_routes() -> list[Json]:
    """Kinds of paths in turn, and the first that fits decides."""
    return [
        answer("exact 1", path="/a/1"),
        answer("regex 1", safe_regex={"regex": "/a/[0-9]"}),
        answer("prefix 1", prefix="/a/"),
        answer("exact 2", path="/b/1"),
        answer("regex 2", safe_regex={"regex": "/b/.*"}),
        answer("separated", path_separated_prefix="/b"),
        answer("exact any case", path="/C/1", case_sensitive=False),
        answer("prefix 2", prefix="/c", headers=[{"name": "x-c"}]),
        answer("regex 3", safe_regex={"regex": "/c.*"}),
        answer("prefix 3", prefix="/"),
    ]


# Headers, queries


def _header_routes() -> list[Json]:
    """One route for each kind, with one header, ``/KIND``."""
    text: dict[str, Json] = {
        "exact": {"exact": "One"}, "exact-case": {"exact": "one", "ignore_case": True}, "prefix": {"prefix": "On"},
        "prefix-case": {"prefix": "on", "ignore_case": True}, "suffix": {"suffix": "ne"},
        "suffix-case": {"suffix": "NE", "ignore_case": True}, "contains": {"contains": "n"},
        "contains-case": {"contains": "N", "ignore_case": True}, "regex": {"safe_regex": {"regex": "O.e"}},
        "empty": {"exact": ""},
    }  # fmt: skip
    old: dict[str, Json] = {
        "old-exact": {"exact_match": "One"}, "old-empty": {"exact_match": ""}, "old-prefix": {"prefix_match": "On"},
        "old-suffix": {"suffix_match": "ne"}, "old-contains": {"contains_match": "n"},
        "old-regex": {"safe_regex_match": {"regex": "O.e"}}, "range": {"range_match": {"start": -3, "end": 7}},
        "present": {"present_match": True}, "absent": {"present_match": False}, "bare": {},
    }  # fmt: skip
    kinds = {**{name: {"string_match": each} for name, each in text.items()}, **old}
    more: dict[str, Json] = {
        "": {},
        "-not": {"invert_match": True},
        "-missing": {"treat_missing_header_as_empty": True},
    }
    more["-both"] = {**more["-not"], **more["-missing"]}
    return [
        answer(kind + way, path=f"/{kind}{way}", headers=[{"name": "X-M", **match, **option}])
        for kind, match in kinds.items() for way, option in more.items()
    ]  # fmt: skip


def _query_routes() -> list[Json]:
    parameters: dict[str, Json] = {
        "exact": {"string_match": {"exact": "v w"}}, "raw": {"string_match": {"exact": "v%20w"}},
        "prefix": {"string_match": {"prefix": "v"}}, "case": {"string_match": {"exact": "V", "ignore_case": True}},
        "empty": {"string_match": {"exact": ""}}, "present": {"present_match": True},
        "absent": {"present_match": False}, "bare": {},
    }  # fmt: skip
    both = [{"name": "a", "present_match": True}, {"name": "b", "string_match": {"exact": "2"}}]
    return [
        *(answer(kind, path=f"/{kind}", query_parameters=[{"name": "k", **each}]) for kind, each in parameters.items()),
        answer("both", path="/both", query_parameters=both),
    ]


# State


def _share(numerator: int, key: str = "", denominator: str = "HUNDRED") -> Json:
    default = {"numerator": numerator, "denominator": denominator}
    return {"default_value": default, **({"runtime_key": key} if key else {})}


def _state_routes() -> list[Json]:
    shares = {
        "all": _share(100), "none": _share(0), "million": _share(1_000_000, denominator="MILLION"),
        "key-on": _share(0, "routing.on"), "key-off": _share(100, "routing.off"), "key-odd": _share(100, "routing.odd"),
        "key-unset": _share(100, "routing.unset"),
    }  # fmt: skip
    value = {"string_match": {"exact": "a"}}
    metadata: dict[str, Json] = {
        "metadata": {"value": value}, "metadata-not": {"value": value, "invert": True},
        "metadata-present": {"value": {"present_match": True}}, "metadata-null": {"value": {"null_match": {}}},
        "metadata-absent": {"value": {"present_match": False}},
    }  # fmt: skip
    return [
        *(answer(name, path=f"/{name}", runtime_fraction=each) for name, each in shares.items()),
        *(
            answer(name, path=f"/{name}", dynamic_metadata=[{"filter": "f", "path": [{"key": "k"}], **each}])
            for name, each in metadata.items()
        ),
        answer("filter-state", path="/filter-state", filter_state=[{"key": "k", "string_match": {"prefix": "a"}}]),
        *_tls_routes(),
        answer("grpc", path="/grpc", grpc={}),
    ]


def _tls_routes() -> list[Json]:
    options = {
        "presented": {"presented": True}, "not-presented": {"presented": False}, "validated": {"validated": True},
        "not-validated": {"validated": False}, "neither": {"presented": False, "validated": False}, "open": {},
    }  # fmt: skip
    return [answer(name, path=f"/{name}", tls_context=each) for name, each in options.items()]


# Trees


def _leads_to(*routes: Json) -> Json:
    """An OnMatch."""
    if len(routes) == 1:
        return {"action": typed("envoy.config.route.v3.Route", **routes[0])}
    return {"action": typed("envoy.config.route.v3.RouteList", routes=list(routes))}


def _to(name: str, **match: Any) -> Json:
    return _leads_to(answer(name, **(match or {"prefix": "/"})))


def _header(name: str) -> Json:
    return typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)


def _single(name: str, **match: Any) -> Json:
    """A predicate on a header."""
    return {"single_predicate": {"input": _header(name), "value_match": match}}


def _tree_hosts() -> list[Json]:
    a, b = _single("a", exact="1"), _single("b", prefix="2")
    ip_match = typed(
        "envoy.extensions.matching.input_matchers.ip.v3.Ip", stat_prefix="s",
        cidr_ranges=[{"address_prefix": "10.1.0.0", "prefix_len": 16}, {"address_prefix": "fe80::", "prefix_len": 10}],
    )  # fmt: skip
    metadata = typed("envoy.extensions.matching.input_matchers.metadata.v3.Metadata", value={"present_match": True})
    branches = [
        ({"and_matcher": {"predicate": [a, b]}}, _to("and")),
        ({"or_matcher": {"predicate": [_single("a", exact="x"), _single("b", exact="x")]}}, _to("or")),
        (_single("c", safe_regex={"google_re2": {}, "regex": "r+"}), _to("regex")),
        (_single("c", contains="MID", ignore_case=True), _to("contains")),
        (_single(":path", prefix="/by-path"), _to("path")),
        (_single("d", exact="nested"), {"matcher": _map("exact_match_map", "e", {"1": _to("nested 1")})}),
        ({"single_predicate": {"input": _header("ip"), "custom_match": ip_match}}, _to("ip")),
        ({"single_predicate": {"input": _header("f"), "custom_match": metadata}}, _to("metadata")),
        (_single("g", exact="list"), _leads_to(answer("list 1", path="/1"), answer("list 2", prefix="/2"))),
        (_single("g", exact="not here"), _to("not here", path="/nowhere")),
        ({"not_matcher": _single("h", exact="1")}, _to("not")),
    ]
    matchers = [{"predicate": predicate, "on_match": on_match} for predicate, on_match in branches]
    trees: dict[str, Json] = {
        "list": {"matcher_list": {"matchers": matchers}, "on_no_match": _to("none")},
        "list-only": {"matcher_list": {"matchers": matchers[:2]}},
        "map": _map("exact_match_map", "a", {"one": _to("one"), "two": {"matcher": _nothing()}, "": _to("nothing")}),
        "map-open": {**_map("exact_match_map", "a", {"one": {"matcher": _nothing()}}), "on_no_match": _to("none")},
        "prefix": {
            **_map("prefix_match_map", ":path", {"/": _to("root"), "/a": _to("a"), "/a/b": {"matcher": _nothing()}}),
            "on_no_match": _to("none"),
        },
        "any": {"on_no_match": _to("any")},
        "nothing": {},
        "state": {
            "matcher_tree": {
                "input": typed(_NETWORK_INPUTS + "FilterStateInput", key="k"),
                "exact_match_map": {"map": {"a": _to("a")}},
            },
            "on_no_match": _to("no state"),
        },
        "ip": _ip_tree(),
        "names": _name_tree(),
        "cluster": {"on_no_match": _leads_to({"match": {"prefix": "/u/"}, "route": {"cluster": "up"}})},
        "unknown": {"on_no_match": _leads_to({"match": {"prefix": "/"}, "route": {"cluster": "unknown"}})},
    }
    return [host(f"tree {name}", f"tree-{name}.com", matcher=tree) for name, tree in trees.items()]


def _map(kind: str, header: str, children: Json) -> Json:
    return {"matcher_tree": {"input": _header(header), kind: {"map": children}}}


def _nothing() -> Json:
    """A tree that leads nowhere."""
    return {"matcher_list": {"matchers": [{"predicate": _single("never", exact="x"), "on_match": _to("never")}]}}


def _ip_tree() -> Json:
    def ranges(name: str, *cidrs: str, inner: bool = False, **more: Any) -> Json:
        parts = [each.split("/") for each in cidrs]
        prefixes = [{"address_prefix": prefix, "prefix_len": int(length)} for prefix, length in parts]
        return {"ranges": prefixes, "on_match": {"matcher": _nothing()} if inner else _to(name), **more}

    matchers = [
        ranges("ten", "10.0.0.0/8"), ranges("ten one", "10.1.0.0/16", "fe80::/10"),
        ranges("late", "10.1.0.0/16"), ranges("nothing", "10.1.2.0/24", inner=True),
        ranges("exclusive", "10.1.2.0/23", exclusive=True), ranges("host", "192.0.2.1/32"),
        ranges("clipped", "1.2.3.4/60"),
    ]  # fmt: skip
    custom = typed("xds.type.matcher.v3.IPMatcher", range_matchers=matchers)
    return {"matcher_tree": {"input": _header("ip"), "custom_match": custom}, "on_no_match": _to("none")}


def _name_tree() -> Json:
    matchers = [
        {"domains": ["a.com", "www.a.com"], "on_match": _to("exact")},
        {"domains": ["*.a.com"], "on_match": _to("suffix")},
        {"domains": ["*.b.a.com"], "on_match": {"matcher": _nothing()}},
        {"domains": ["*.com"], "on_match": _to("com")},
        {"domains": ["*"], "on_match": _to("all")},
    ]
    custom = typed("xds.type.matcher.v3.ServerNameMatcher", domain_matchers=matchers)
    return {"matcher_tree": {"input": _header("name"), "custom_match": custom}, "on_no_match": _to("none")}


# Virtual hosts


def _named_hosts() -> list[Json]:
    domains = (
        "a.com", "a.com:81", "*.a.com", "*.b.a.com", "*-a.com", "a.*", "a.b.*", "[::1]", "*c*", "d*", "*:82",
        "A.Upper.com", "dot.com.", "empty.com:", "word.com:word",
    )  # fmt: skip
    return [
        *(host(name, name, answer(name, prefix="/")) for name in domains),
        host("the rest", "*", answer("rest", prefix="/")),
    ]


# Scopes


def _index(name: str, index: int, separator: str = "") -> Json:
    separated = {"element_separator": separator} if separator else {}
    return {"header_value_extractor": {"name": name, "index": index, **separated}}


def _element(name: str, key: str, separator: str, between: str) -> Json:
    element = {"key": key, "separator": between}
    return {"header_value_extractor": {"name": name, "element_separator": separator, "element": element}}


def _scoped(listener: str, *fragments: Json) -> Json:
    scopes = [
        ("one", ("1", "a"), "one"), ("two", ("2", "a"), "two"), ("again", ("1", "a"), "one again"),
        ("short", ("3",), "short"), ("two", ("4", "b"), "four"), ("empty", ("5", ""), "empty"),
    ]  # fmt: skip
    configurations = [
        {
            "name": name, "key": {"fragments": [{"string_key": part} for part in key]},
            "route_configuration": {**_table(host(route, "*", answer(route, prefix="/"))), "name": route},
        }
        for name, key, route in scopes
    ]  # fmt: skip
    scoped = {
        "name": "scopes", "scope_key_builder": {"fragments": list(fragments)},
        "scoped_route_configurations_list": {"scoped_route_configurations": configurations},
    }  # fmt: skip
    made = hcm_filter({}, scoped_routes=scoped)
    del made["typed_config"]["route_config"]
    listener_made = http_listener(listener, {})
    listener_made["filter_chains"][0]["filters"] = [made]
    return listener_made


# Counts


def _counted_routes() -> list[Json]:
    retry = {"retry_on": "reset,connect-failure", "num_retries": 1, "retry_back_off": {"base_interval": "0.005s"}}
    again = {"retry_policy": retry, "timeout": "0s"}
    return [
        {"match": {"prefix": "/u/slow"}, "stat_prefix": "slow", "route": {"cluster": "up", "timeout": "0.2s"}},
        {"match": {"prefix": "/u/reset"}, "stat_prefix": "failing", "route": {"cluster": "up", **again}},
        {"match": {"prefix": "/dead"}, "stat_prefix": "dead", "route": {"cluster": "dead", **again}},
        {"match": {"prefix": "/u/plain"}, "route": {"cluster": "up"}},
        {"match": {"prefix": "/direct"}, "stat_prefix": "direct", "direct_response": {"status": 200}},
        {"match": {"prefix": "/u/"}, "stat_prefix": "dotted.and:odd", "route": {"cluster": "up"}},
    ]


def _virtual_clusters() -> list[Json]:
    post = {"name": ":method", "string_match": {"exact": "POST"}}
    plain = {"name": ":path", "string_match": {"prefix": "/u/p"}}
    return [
        {"name": "posts", "headers": [post, plain]},
        {"name": "plain", "headers": [plain]},
        {"name": "failing", "headers": [{"name": ":path", "string_match": {"contains": "reset"}}]},
    ]
