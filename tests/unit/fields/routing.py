"""Of the bootstrap of everything: route matches, virtual hosts with matchers and scopes; and matcher trees."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TYPES = "type.googleapis.com/"
NETWORK = "envoy.extensions.matching.common_inputs.network.v3."
INPUT_MATCHERS = "envoy.extensions.matching.input_matchers."
EMPTY: Json = {}
DIRECT = {"direct_response": {"status": 200}}
STRING = {"exact": "a"}
RANGES = [{"address_prefix": "10.0.0.0", "prefix_len": 8}]
VALUE = {"present_match": True}


def typed(kind: str, **fields: Any) -> Json:
    """A TypedExtensionConfig."""
    return {"name": kind, "typed_config": {"@type": TYPES + kind, **fields}}


def match_routes() -> list[Json]:
    """A route for each kind of match that `everything.py` has not."""
    template = typed("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", path_template="/{a}")
    metadata = {"filter": "f", "path": [{"key": "k"}], "value": VALUE}
    states = [{"key": "k", "string_match": STRING}, {"key": "k", "address_match": {"ranges": RANGES}}]
    state = {
        "prefix": "/", "runtime_fraction": {"default_value": {"numerator": 1}}, "dynamic_metadata": [metadata],
        "tls_context": {"presented": True, "validated": True}, "filter_state": states,
    }  # fmt: skip
    rewrite = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig"
    rewritten = {"cluster": "c", "path_rewrite_policy": typed(rewrite, path_template_rewrite="/{a}")}
    return [
        *({"match": match, **DIRECT} for match in ({"connect_matcher": EMPTY}, {"path_match_policy": template}, state)),
        {"match": {"path_match_policy": template}, "route": {**rewritten, "hedge_policy": EMPTY}},
        {"match": {"prefix": "/"}, "route": {"inline_cluster_specifier_plugin": cluster_specifier()}},
    ]


def cluster_specifier() -> Json:
    """A ClusterSpecifierPlugin."""
    kind = "envoy.extensions.router.cluster_specifiers.matcher.v3."
    tree = {"on_no_match": {"action": typed(kind + "ClusterAction", cluster="c")}}
    return {"extension": typed(kind + "MatcherClusterSpecifier", cluster_matcher=tree)}


def matched_hosts() -> list[Json]:
    """Virtual hosts with matchers: every kind of tree."""
    trees = [{"on_no_match": _to_list()}, *_lookups(), _list(*_predicates())]
    return [{"name": f"m{i}", "domains": [f"m{i}.com"], "matcher": tree} for i, tree in enumerate(trees)]


def virtual_clusters() -> list[Json]:
    """A virtual cluster."""
    return [{"name": "a", "headers": [{"name": "a"}]}]


def scoped_routes(route_config: Json) -> Json:
    """ScopedRoutes with every way to find a scope."""
    element = {"name": "a", "element_separator": ";", "element": {"key": "k", "separator": "="}}
    fragments = [{"header_value_extractor": each} for each in (element, {"name": "a", "index": 0})]
    scope = {"name": "1", "key": {"fragments": [{"string_key": "a"}]}, "route_configuration": route_config}
    return {
        "name": "s", "scope_key_builder": {"fragments": fragments},
        "scoped_route_configurations_list": {"scoped_route_configurations": [scope]},
    }  # fmt: skip


def whole_tree() -> Json:
    """A Matcher with every input there is, more than a virtual host's matcher may look at."""
    types = "envoy.type.matcher.v3.Http"
    names = ("RequestTrailer", "ResponseHeader", "ResponseTrailer")
    inputs = [
        *(typed(f"{types}{name}MatchInput", header_name="a") for name in names),
        typed(f"{types}RequestQueryParamMatchInput", query_param="a"),
        typed(f"{types}ResponseStatusCodeMatchInput"),
        typed(f"{types}ResponseStatusCodeClassMatchInput"),
        typed(NETWORK + "SourceIPInput"),
    ]
    metadata = typed(NETWORK + "DynamicMetadataInput", filter="f", path=[{"key": "k"}])
    predicates = [{"single_predicate": {"input": each, "value_match": STRING}} for each in inputs]
    predicates.append({"single_predicate": {"input": metadata, "custom_match": _metadata()}})
    return _list(*predicates)


def _metadata() -> Json:
    return typed(INPUT_MATCHERS + "metadata.v3.Metadata", value=VALUE)


def _header() -> Json:
    return typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name="a")


def _to() -> Json:
    return {"action": typed("envoy.config.route.v3.Route", match={"prefix": "/"}, **DIRECT)}


def _to_list() -> Json:
    return {"action": typed("envoy.config.route.v3.RouteList", routes=[{"match": {"prefix": "/"}, **DIRECT}])}


def _list(*predicates: Json) -> Json:
    matchers = [{"predicate": predicate, "on_match": _to()} for predicate in predicates]
    return {"matcher_list": {"matchers": matchers}, "on_no_match": {"matcher": {"on_no_match": _to()}}}


def _predicates() -> list[Json]:
    text = {"single_predicate": {"input": _header(), "value_match": STRING}}
    state = typed(NETWORK + "FilterStateInput", key="k")
    variable = typed("envoy.extensions.matching.common_inputs.environment_variable.v3.Config", name="PATH")
    custom = [typed(INPUT_MATCHERS + "ip.v3.Ip", cidr_ranges=RANGES, stat_prefix="s"), _metadata()]
    return [
        text,
        {"or_matcher": {"predicate": [text, text]}},
        {"and_matcher": {"predicate": [text, text]}},
        {"not_matcher": text},
        *({"single_predicate": {"input": each, "value_match": STRING}} for each in (state, variable)),
        *({"single_predicate": {"input": _header(), "custom_match": each}} for each in custom),
    ]


def _lookups() -> list[Json]:
    ranges = typed("xds.type.matcher.v3.IPMatcher", range_matchers=[{"ranges": RANGES, "on_match": _to()}])
    names = typed("xds.type.matcher.v3.ServerNameMatcher", domain_matchers=[{"domains": ["a"], "on_match": _to()}])
    children = {"map": {"a": _to()}}
    kinds: list[Json] = [
        {"exact_match_map": children}, {"prefix_match_map": children},
        {"custom_match": ranges}, {"custom_match": names},
    ]  # fmt: skip
    return [{"matcher_tree": {"input": _header(), **kind}} for kind in kinds]
