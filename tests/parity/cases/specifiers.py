"""Clusters that a matcher tree chooses (the cluster specifier `matcher`)."""

from __future__ import annotations

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, static_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts

AREA = "cluster specifiers"
TYPES = "type.googleapis.com/"
KIND = f"{TYPES}envoy.extensions.router.cluster_specifiers.matcher.v3."


def _to(cluster: str) -> Json:
    return {"action": {"name": "a", "typed_config": {"@type": f"{KIND}ClusterAction", "cluster": cluster}}}


def plugin(name: str, **last: Json) -> Json:
    """By the header x-to: one or two, and what comes last."""
    named = {"@type": f"{TYPES}envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x-to"}
    lookup = {"input": {"name": "i", "typed_config": named}}
    lookup["exact_match_map"] = {"map": {"one": _to("one"), "two": _to("two"), "none": _to("nobody")}}
    tree = {"matcher_tree": lookup, **last}
    return {
        "extension": {
            "name": name,
            "typed_config": {"@type": f"{KIND}MatcherClusterSpecifier", "cluster_matcher": tree},
        }
    }


def _configuration(places: Places) -> Json:
    retry = {"retry_policy": {"retry_on": "5xx", "num_retries": 1}, "timeout": "0s", "prefix_rewrite": "/new"}
    routes = [
        {"match": {"prefix": "/named"}, "route": {"cluster_specifier_plugin": "table"}},
        {"match": {"prefix": "/more"}, "route": {"inline_cluster_specifier_plugin": plugin("x"), **retry}},
        {"match": {"prefix": "/"}, "route": {"inline_cluster_specifier_plugin": plugin("x", on_no_match=_to("one"))}},
    ]
    table = {**catch_all(*routes), "cluster_specifier_plugins": [plugin("table")]}
    clusters = [static_cluster(name, *places.group(name)) for name in ("one", "two")]
    return bootstrap_of([http_listener("main", table)], clusters)


SETUP = Setup("specifiers", _configuration, {**hosts("one", 1), **hosts("two", 1)})

CASES = [
    Case(AREA, f"{path} to {to}", (get(path, f"x-to: {to}"),), "main", setup=SETUP)
    for path in ("/a", "/named/b", "/more/c")
    for to in ("one", "two", "none", "other")
]
