"""Listeners with HTTP filters: `cors` and `buffer`, with settings at every level of their routes.

This file must not know cases.
"""

from __future__ import annotations

from typing import Any

from tests.integration.harness import ROUTER, http_listener

_EXTENSION = "type.googleapis.com/envoy.extensions.filters.http."
_FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
CORS, BUFFER = "envoy.filters.http.cors", "kept-back"
ALWAYS = {"default_value": {"numerator": 100}}
NEVER = {"default_value": {"numerator": 0}}
RUNTIME_LAYER = {
    "cors.off": 0, "cors.on": 100, "cors.none": {"numerator": 0, "denominator": "MILLION"}, "cors.odd": "much",
}  # fmt: skip
"""What the runtime says in the places of shares."""

Json = dict[str, Any]


def filter_listeners() -> list[Json]:
    """All listeners with filters other than the router."""
    cors = _http_filter(CORS, "cors.v3.Cors")
    kept = _http_filter(BUFFER, "buffer.v3.Buffer", max_request_bytes=10)
    return [
        _listener("cors", _cors_table(), cors),
        _listener("cors-table", _cors_fallback_table(), cors),
        _listener("buffer", _buffer_table(), kept),
        _listener("buffer-trailers", _buffer_table(), kept, http_protocol_options={"enable_trailers": True}),
        _listener("buffer-disabled", _buffer_table(), {**kept, "disabled": True}),
        _listener("both", _buffer_table(), cors, kept),
    ]


def _listener(name: str, table: Json, *filters: Json, **options: Any) -> Json:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}
    return http_listener(name, table, http_filters=[*filters, router], **options)


def _http_filter(name: str, kind: str, **settings: Any) -> Json:
    return {"name": name, "typed_config": {"@type": _EXTENSION + kind, **settings}}


def _route(prefix: str, *, cluster: str = "up", **more: Any) -> Json:
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster}, **more}


def _per_filter(name: str, message: Json) -> Json:
    return {"typed_per_filter_config": {name: message}}


def filter_config(**fields: Any) -> Json:
    """An envoy.config.route.v3.FilterConfig."""
    return {"@type": _FILTER_CONFIG, **fields}


# CORS


def policy(**fields: Any) -> Json:
    """A CorsPolicy of the filter."""
    return {"@type": _EXTENSION + "cors.v3.CorsPolicy", **fields}


def _cors_routes() -> list[Json]:
    good = [{"exact": "http://good.com"}]
    full = {
        "allow_origin_string_match": good, "allow_methods": "GET, PUT", "allow_headers": "x-one, x-two",
        "expose_headers": "x-out", "max_age": "600", "allow_credentials": True, "allow_private_network_access": True,
    }  # fmt: skip
    matchers = [
        {"prefix": "http://pre."}, {"suffix": ".end"}, {"contains": "-mid-"}, {"exact": "HTTP://Any.Case",
        "ignore_case": True}, {"safe_regex": {"regex": "https?://[a-z]+\\.re"}},
    ]  # fmt: skip
    policies: dict[str, Json] = {
        "full": policy(**full),
        "bare": policy(allow_origin_string_match=good),
        "none": policy(),
        "matchers": policy(allow_origin_string_match=matchers),
        "any": policy(allow_origin_string_match=[{"exact": "*"}], allow_methods="*", allow_headers="*"),
        "prefixed": policy(allow_origin_string_match=[{"prefix": "*"}], allow_credentials=False),
        "refusing": policy(**full, forward_not_matching_preflights=False),
        "forwarding": policy(**full, forward_not_matching_preflights=True),
        "off": policy(**full, filter_enabled=NEVER),
        "shadow": policy(**full, filter_enabled=NEVER, shadow_enabled=ALWAYS),
        "both": policy(**full, filter_enabled=ALWAYS, shadow_enabled=ALWAYS),
        "runtime-off": policy(**full, filter_enabled={**ALWAYS, "runtime_key": "cors.off"}),
        "runtime-on": policy(**full, filter_enabled={**NEVER, "runtime_key": "cors.on"}),
        "runtime-none": policy(**full, filter_enabled={**ALWAYS, "runtime_key": "cors.none"}),
        "runtime-odd": policy(**full, filter_enabled={**ALWAYS, "runtime_key": "cors.odd"}),
        "runtime-unset": policy(**full, filter_enabled={**ALWAYS, "runtime_key": "cors.unset"}),
        "disabled": filter_config(disabled=True),
        "wrapped": filter_config(config=policy(**full)),
    }
    return [
        *(_route(f"/u/c/{name}/", **_per_filter(CORS, each)) for name, each in policies.items()),
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}, **_per_filter(CORS, policy(**full))},
        {"match": {"prefix": "/there"}, "redirect": {"path_redirect": "/"}, **_per_filter(CORS, policy(**full))},
        _route("/2/c/", cluster="http2", **_per_filter(CORS, policy(**full))),
        {**_route("/dead/c/", cluster="dead", **_per_filter(CORS, policy(**full)))},
        _route("/u/"),
    ]


def _cors_table() -> Json:
    """Policies of routes; a virtual host and the table complete them for two hosts."""
    host = policy(
        allow_origin_string_match=[{"exact": "http://host.com"}], allow_methods="HOST", expose_headers="x-host",
        allow_credentials=True,
    )  # fmt: skip
    routes = [
        _route("/u/own/", **_per_filter(CORS, policy(allow_methods="OWN", allow_credentials=False))),
        _route("/u/off/", **_per_filter(CORS, filter_config(disabled=True))),
        _route("/u/never/", **_per_filter(CORS, policy(filter_enabled=NEVER))),
        _route("/u/"),
    ]
    return {
        "name": "filters", **_per_filter(CORS, policy(max_age="7", allow_headers="x-table")),
        "virtual_hosts": [
            {"name": "layered", "domains": ["layered.com"], "routes": routes, **_per_filter(CORS, host)},
            {"name": "all", "domains": ["*"], "routes": _cors_routes()},
        ],
    }  # fmt: skip


def _cors_fallback_table() -> Json:
    """The deprecated fields, and where they are hidden."""
    old = {"allow_origin_string_match": [{"exact": "http://old.com"}], "allow_methods": "OLD", "max_age": "9"}
    own = {"allow_origin_string_match": [{"exact": "http://own.com"}], "allow_headers": "x-own"}
    routes = [
        {"match": {"prefix": "/u/own/"}, "route": {"cluster": "up", "cors": own}},
        {"match": {"prefix": "/u/never/"}, "route": {"cluster": "up", "cors": {**own, "filter_enabled": NEVER}}},
        _route("/u/hidden/", **_per_filter(CORS, policy(allow_methods="HIDING"))),
        _route("/u/"),
    ]
    return {
        "name": "filters",
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes, "cors": old}],
    }


# Buffer


def _per_route(**fields: Any) -> Json:
    return {"@type": _EXTENSION + "buffer.v3.BufferPerRoute", **fields}


def _buffer_table() -> Json:
    host = _per_filter(BUFFER, _per_route(buffer={"max_request_bytes": 20}))
    routes = [
        _route("/u/small/", **_per_filter(BUFFER, _per_route(buffer={"max_request_bytes": 5}))),
        _route("/u/large/", **_per_filter(BUFFER, _per_route(buffer={"max_request_bytes": 100_000}))),
        _route("/u/passing/", **_per_filter(BUFFER, _per_route(disabled=True))),
        _route("/u/off/", **_per_filter(BUFFER, filter_config(disabled=True))),
        _route("/u/on/", **_per_filter(BUFFER, filter_config(config={}))),
        _route("/u/other/", **_per_filter(BUFFER, policy())),
        _route("/2/small/", cluster="http2", **_per_filter(BUFFER, _per_route(buffer={"max_request_bytes": 5}))),
        _route("/2/", cluster="http2"),
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}},
        _route("/dead/", cluster="dead"),
        _route("/u/"),
    ]
    return {
        "name": "filters",
        "virtual_hosts": [
            {"name": "host", "domains": ["host.com"], "routes": routes, **host},
            {"name": "all", "domains": ["*"], "routes": routes},
        ],
    }
