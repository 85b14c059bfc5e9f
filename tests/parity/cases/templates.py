"""Paths that are rewritten by URI templates (`path_rewrite_policy`)."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, static_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts

AREA = "path templates"
PREFIX = "type.googleapis.com/envoy.extensions.path."


def rewritten(pattern: str, rewrite: str, **more: Any) -> Json:
    """A route that matches a template and rewrites with another."""
    match = {"@type": f"{PREFIX}match.uri_template.v3.UriTemplateMatchConfig", "path_template": pattern}
    change = {"@type": f"{PREFIX}rewrite.uri_template.v3.UriTemplateRewriteConfig", "path_template_rewrite": rewrite}
    policy = {"name": "rewriter", "typed_config": change}
    return {
        "match": {"path_match_policy": {"name": "matcher", "typed_config": match}},
        "route": {"cluster": "up", "path_rewrite_policy": policy, **more},
    }


def _configuration(places: Places) -> Json:
    routes = [
        rewritten("/one/{a}", "/1/{a}"),
        rewritten("/two/{a}/{b}", "/2/{b}/{a}/{b}"),
        rewritten("/rest/{a=**}", "/r/{a}"),
        rewritten("/part/{a=x/*/y}/end", "/p/{a}"),
        rewritten("/file/{name}.m3u8", "/f/{name}.ts"),
        rewritten("/drop/*/**", "/dropped"),
        rewritten("/none/{a}", "/literal-(only)!"),
        rewritten("/any/{a=**}/end", "/{a}"),
        rewritten("/host/{a}", "/h/{a}", host_rewrite_literal="other"),
    ]
    return bootstrap_of([http_listener("main", catch_all(*routes))], [static_cluster("up", *places.group("one"))])


SETUP = Setup("path-templates", _configuration, hosts("one", 1))

CASES = [
    Case(AREA, path, (get(path),), "main", setup=SETUP)
    for path in (
        "/one/x", "/one/x?q=1&r=/2", "/one/x%20y", "/one/", "/two/x/y", "/rest/", "/rest/a/b/c?d", "/rest/a//b",
        "/part/x/1/y/end", "/file/a.b.m3u8", "/drop/1/2/3?x", "/none/x", "/any/a/b/end", "/any/end", "/host/x",
        "/one/x?",
    )
]  # fmt: skip
