"""Listeners whose routes do something: rewrites, weighted clusters, redirects, answers, timeouts, retries.

One virtual host a subject, found by its domain. This file must not know cases.
"""

from __future__ import annotations

import time
from typing import Any

from tests.integration.exchanges import ANSWERS
from tests.integration.harness import ROUTER, Address, Answer, Peer, Request, http_listener, socket_address

Json = dict[str, Any]

TABLE = "actions"
"""What the route configurations are called."""

_REDIRECTS = "type.googleapis.com/envoy.extensions.internal_redirect."
PREVIOUS = {
    "name": "envoy.internal_redirect_predicates.previous_routes",
    "typed_config": {"@type": _REDIRECTS + "previous_routes.v3.PreviousRoutesConfig"},
}
SAFE = {
    "name": "envoy.internal_redirect_predicates.safe_cross_scheme",
    "typed_config": {"@type": _REDIRECTS + "safe_cross_scheme.v3.SafeCrossSchemeConfig"},
}
ALLOWED = {
    "name": "envoy.internal_redirect_predicates.allow_listed_routes",
    "typed_config": {
        "@type": _REDIRECTS + "allow_listed_routes.v3.AllowListedRoutesConfig",
        "allowed_route_names": ["target"],
    },
}
RUNTIME_LAYER = {"split.up": 0, "split.http2": 5, "none.up": 0}
"""Weights of weighted clusters."""


def action_listeners() -> list[Json]:
    """All of them."""
    table = _table()
    quiet = {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True}}
    return [
        http_listener("actions", table),
        http_listener("actions-quiet", table, http_filters=[quiet]),
        {**http_listener("actions-small", table), "per_connection_buffer_limit_bytes": 1024},
        http_listener("actions-short", table, common_http_protocol_options={"max_stream_duration": "0.3s"}),
        http_listener("replies", _replies_table(), local_reply_config=_mapped()),
        http_listener("replies-json", _replies_table(), local_reply_config={"body_format": _json_body()}),
        http_listener("replies-typed", _replies_table(), local_reply_config={"body_format": _typed_body()}),
    ]


def named_cluster(address: Address) -> Json:
    """A cluster whose endpoint has a host name."""
    endpoint = {"address": socket_address(address), "hostname": "named.example.com"}
    assignment = {"cluster_name": "named", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    return {"name": "named", "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}


# Answers of the upstream


def redirects(peer: Peer, request: Request) -> None:
    """A redirect to where the request's own header says."""
    fields = dict(line.split(b": ", 1) for line in request.head.split(b"\r\n")[1:])
    location = fields.get(b"x-to")
    head = b"HTTP/1.1 " + fields.get(b"x-status", b"302") + b" Away\r\ncontent-length: 4\r\nx-copied: of response\r\n"
    peer.send(head + (b"" if location is None else b"location: " + location + b"\r\n") + b"\r\naway")


def _answers(head: bytes) -> Answer:
    def answer(peer: Peer, request: Request) -> None:
        peer.send(b"HTTP/1.1 " + head + b"\r\ncontent-length: 0\r\n\r\n")

    return answer


def drips(peer: Peer, request: Request) -> None:
    """A body that stops coming."""
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe")
    time.sleep(0.7)


ACTION_ANSWERS: dict[str, Answer] = {
    "": ANSWERS["/"],  # of paths that a rewrite has left without their slash
    "/follow": redirects,
    "/drips": drips,
    "/grpc-14": _answers(b"200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14"),
    "/grpc-5": _answers(b"200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5"),
    "/limited": _answers(b"503 Away\r\nx-envoy-ratelimited: true"),
    "/later": _answers(b"503 Away\r\nretry-after: 0"),
    "/much-later": _answers(b"503 Away\r\nretry-after: 100"),
    "/asks": _answers(b"200 OK\r\nx-again: yes"),
}


# Routes


def _route(prefix: str, action: Json | None = None, *, cluster: str = "up", **more: Any) -> Json:
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster, **(action or {})}, **more}


def _redirect(prefix: str, **action: Any) -> Json:
    return {"match": {"prefix": prefix}, "redirect": action}


def _answer(prefix: str, status: int, body: str | None = None, **more: Any) -> Json:
    text = {} if body is None else {"body": {"inline_string": body}}
    return {"match": {"prefix": prefix}, "direct_response": {"status": status, **text, **more}}


def _regex(pattern: str, substitution: str) -> Json:
    return {"pattern": {"regex": pattern}, "substitution": substitution}


def _add(name: str, value: str, **more: Any) -> Json:
    return {"header": {"key": name, "value": value}, **more}


def _host(name: str, *routes: Json, **more: Any) -> Json:
    # A longer prefix would never be seen behind a shorter one.
    ordered = sorted(routes, key=lambda route: -len(str(next(iter(route["match"].values())))))
    return {"name": name, "domains": [f"{name}.com"], "routes": ordered, **more}


def _table() -> Json:
    adds = [_add("x-table", "%REQ(:AUTHORITY)% %REQ(:PATH)%")]
    hosts = [_paths(), _hosts(), _weights(), _redirected(), _answers_here(), _followed(), _times(), _retries()]
    return {"name": TABLE, "virtual_hosts": hosts, "request_headers_to_add": adds}


def _paths() -> Json:
    return _host(
        "paths",
        _route("/prefix/", {"prefix_rewrite": "/"}),
        _route("/whole", {"prefix_rewrite": "/new"}),
        {"match": {"prefix": "/CASE/", "case_sensitive": False}, "route": {"cluster": "up", "prefix_rewrite": "/low/"}},
        {"match": {"path": "/exact"}, "route": {"cluster": "up", "prefix_rewrite": "/new"}},
        {"match": {"path_separated_prefix": "/sep"}, "route": {"cluster": "up", "prefix_rewrite": "/new"}},
        {"match": {"safe_regex": {"regex": "/r[0-9]+/.*"}}, "route": {"cluster": "up", "prefix_rewrite": "/new"}},
        _route("/groups/", {"regex_rewrite": _regex("^/groups/([^/]+)/([^/]+)(.*)$", "\\3/\\2/\\1")}),
        _route("/every/", {"regex_rewrite": _regex("a*", "x")}),
        _route("/letters/", {"regex_rewrite": _regex("[a-c]", "<\\0>\\\\")}),
        _route("/unknown-group/", {"regex_rewrite": _regex("(a)b", "z\\2")}),
        _route("/bad-escape/", {"regex_rewrite": _regex("(a)b", "z\\q\\1")}),
        _route("/emptied/", {"regex_rewrite": _regex(".*", "")}),
        _route("/format/", {"path_rewrite": "/to/%REQ(x-part)%"}),
        _route("/format-only/", {"path_rewrite": "%REQ(x-part)%"}),
        _route("/format-fixed/", {"path_rewrite": "/fixed"}),
        _route("/http2/", {"prefix_rewrite": "/2/"}, cluster="http2"),
        _route(
            "/retried/", {"prefix_rewrite": "/u/500/", "retry_policy": {"retry_on": "5xx", **SOON}, "timeout": "0s"}
        ),
        _route("/gone/", {"prefix_rewrite": "/new/"}, cluster="dead"),
        request_headers_to_add=[_add("x-host", "%REQ(:PATH)% %REQ(x-envoy-original-path)%")],
    )


def _hosts() -> Json:
    more = {"append_x_forwarded_host": True}
    return _host(
        "hosts",
        _route("/literal", {"host_rewrite_literal": "new.org"}),
        _route("/literal-appended", {"host_rewrite_literal": "new.org:81", **more}),
        _route("/header", {"host_rewrite_header": "x-wanted"}),
        _route("/header-appended", {"host_rewrite_header": "X-Wanted", **more}),
        _route("/auto", {"auto_host_rewrite": True}, cluster="named"),
        _route("/auto-appended", {"auto_host_rewrite": True, **more}, cluster="named"),
        _route("/auto-unnamed", {"auto_host_rewrite": True, **more}),
        _route("/regex/", {"host_rewrite_path_regex": _regex("^/regex/([^/]*).*$", "\\1.org"), **more}),
        _route("/both/", {"host_rewrite_path_regex": _regex("^/both/(.*)$", "\\1"), "prefix_rewrite": "/"}),
        _route("/format", {"host_rewrite": "%REQ(x-wanted)%.org"}),
        _route("/format-only", {"host_rewrite": "%REQ(x-wanted)%", **more}),
        _route("/unrewritten", {"append_x_forwarded_host": True}),
        _route("/http2", {"host_rewrite_literal": "new.org", **more, "prefix_rewrite": "/2/http2"}, cluster="http2"),
    )


def _weights() -> Json:
    split = [{"name": "up", "weight": 1}, {"name": "http2", "weight": 2}]
    changing = {
        "name": "up", "weight": 1, "host_rewrite_literal": "weighted.org",
        "request_headers_to_add": [_add("x-entry", "%REQ(:AUTHORITY)%"), _add("x-both", "entry")],
        "request_headers_to_remove": ["x-old"],
        "response_headers_to_add": [_add("x-entry", "%RESP(:STATUS)%"), _add("x-both", "entry")],
        "response_headers_to_remove": ["x-a"],
    }  # fmt: skip
    both = {
        "request_headers_to_add": [_add("x-both", "route"), _add("x-route", "%REQ(:AUTHORITY)%")],
        "response_headers_to_add": [_add("x-both", "route")],
    }
    sixteen = [
        {"name": "up", "weight": 1, "request_headers_to_add": [_add("x-chosen", str(number))]} for number in range(16)
    ]
    named = [{"cluster_header": "x-cluster", "weight": 1}]
    missing = {"cluster_not_found_response_code": "NOT_FOUND"}
    hash_policies: dict[str, list[Json]] = {
        "header": [{"header": {"header_name": "x-key"}}],
        "header-rewritten": [{"header": {"header_name": "x-key", "regex_rewrite": _regex("[0-9]+", "")}}],
        "cookie": [{"cookie": {"name": "key"}}],
        "parameter": [{"query_parameter": {"name": "key"}}],
        "address": [{"connection_properties": {"source_ip": True}}],
        "several": [{"header": {"header_name": "x-key"}}, {"query_parameter": {"name": "key"}}],
        "terminal": [{"header": {"header_name": "x-key"}, "terminal": True}, {"query_parameter": {"name": "key"}}],
    }
    return _host(
        "weights",
        _weighted("/header/", split, header_name="x-number"),
        _weighted("/one/", [changing], **both),
        _weighted("/only-zero/", [{"name": "dead", "weight": 0}, {"name": "up", "weight": 1}]),
        _weighted("/named/", named),
        _weighted("/named-404/", named, action=missing),
        _weighted("/runtime/", split, runtime_key_prefix="split"),
        _weighted("/one-rewritten/", [changing], action={"host_rewrite_literal": "route.org", "prefix_rewrite": "/n/"}),
        *(
            _weighted(f"/{name}/", sixteen, action={"hash_policy": policy}, use_hash_policy=True)
            for name, policy in hash_policies.items()
        ),
        {"match": {"prefix": "/by-header/"}, "route": {"cluster_header": "x-cluster"}},
        {"match": {"prefix": "/by-header-404/"}, "route": {"cluster_header": "x-cluster", **missing}},
        {"match": {"prefix": "/by-authority/"}, "route": {"cluster_header": ":authority"}},
    )


def _weighted(prefix: str, clusters: list[Json], *, action: Json | None = None, **more: Any) -> Json:
    chosen = {key: more.pop(key) for key in ("header_name", "use_hash_policy", "runtime_key_prefix") if key in more}
    weighted = {"clusters": clusters, **chosen}
    return {"match": {"prefix": prefix}, "route": {"weighted_clusters": weighted, **(action or {})}, **more}


def _redirected() -> Json:
    return _host(
        "redirects",
        _redirect("/https/", https_redirect=True),
        _redirect("/scheme/", scheme_redirect="wss"),
        _redirect("/port/", port_redirect=8443),
        _redirect("/host-port/", host_redirect="o.org", port_redirect=81),
        _redirect("/path/", path_redirect="/new"),
        _redirect("/path-query/", path_redirect="/new?q=1", strip_query=True),
        _redirect("/path-bare/", path_redirect="new"),
        _redirect("/prefix/", prefix_rewrite="/new/"),
        _redirect("/prefix-bare/", prefix_rewrite="new/"),
        _redirect("/prefix-empty/", prefix_rewrite=""),
        _redirect("/prefix-strip/", prefix_rewrite="/new/", strip_query=True, host_redirect="o.org"),
        _redirect("/regex/", regex_rewrite=_regex("^/regex/([a-z]+)/", "/\\1-")),
        _redirect("/regex-bare/", regex_rewrite=_regex("^/regex-bare/", "")),
        _redirect("/regex-strip/", regex_rewrite=_regex("[0-9]", "n"), strip_query=True, response_code="FOUND"),
        _redirect("/regex-none/", regex_rewrite=_regex("^/other", "x")),
        _redirect("/308/", response_code="PERMANENT_REDIRECT", path_redirect="/p"),
        {"match": {"path": "/exact"}, "redirect": {"prefix_rewrite": "/new"}},
        domains=["redirects.com", "redirects.com:80", "redirects.com:443", "redirects.com:8080", "[::1]:80"],
    )


def _answers_here() -> Json:
    formatted = "%LOCAL_REPLY_BODY%|%REQ(x-a)%|%RESPONSE_CODE%|%RESPONSE_CODE_DETAILS%|%PROTOCOL%|%ROUTE_NAME%"
    return _host(
        "answers",
        _answer("/201", 201, "made"),
        _answer("/301", 301),
        _answer("/304", 304, "cached"),
        _answer("/599", 599, "odd"),
        _answer("/text", 200, "body", body_format={"text_format_source": {"inline_string": formatted}}),
        _answer("/json", 200, "body", body_format=_json_body()),
        _answer("/typed", 404, body_format=_typed_body()),
        _answer("/omitted", 200, body_format={
            "text_format_source": {"inline_string": "[%REQ(x-a)%]"}, "omit_empty_values": True,
        }),
        _answer("/nothing", 200, "body", body_format={"text_format_source": {"inline_string": "%REQ(x-a)%"},
                                                      "omit_empty_values": True}),
        {"match": {"prefix": "/nowhere"}, "non_forwarding_action": {}},
        {"match": {"prefix": "/filter"}, "filter_action": {}},
        response_headers_to_add=[_add("x-type", "%RESP(content-type)%")],
    )  # fmt: skip


def _json_body() -> Json:
    return {"json_format": {"said": "%LOCAL_REPLY_BODY%", "code": "%RESPONSE_CODE%", "a": "%REQ(x-a)%"}}


def _typed_body() -> Json:
    text = {"inline_string": "<b>%LOCAL_REPLY_BODY%</b>"}
    return {"text_format_source": text, "content_type": "text/html; charset=UTF-8"}


def _followed() -> Json:
    def follow(prefix: str, name: str = "", **policy: Any) -> Json:
        return _route(prefix, {"internal_redirect_policy": policy}, name=name or prefix.strip("/"))

    return _host(
        "follow",
        follow("/follow/once"),
        follow("/follow/none", max_internal_redirects=0),
        follow("/follow/thrice", max_internal_redirects=3),
        follow("/follow/codes", redirect_response_codes=[301, 303, 307, 299]),
        follow("/follow/copy", response_headers_to_copy=["x-copied", "x-absent"]),
        follow("/follow/cross", allow_cross_scheme_redirect=True),
        follow("/follow/safe", allow_cross_scheme_redirect=True, predicates=[SAFE]),
        follow("/follow/previous", max_internal_redirects=5, predicates=[PREVIOUS]),
        follow("/follow/allowed", predicates=[ALLOWED]),
        _route("/follow/old", {"internal_redirect_action": "HANDLE_INTERNAL_REDIRECT", "max_internal_redirects": 2}),
        _route("/follow/rewritten", {"prefix_rewrite": "/follow/new", "internal_redirect_policy": {}}),
        _route("/follow/retried", {"internal_redirect_policy": {}, "retry_policy": {"retry_on": "5xx", **SOON}}),
        _route("/follow/not"),
        _route("/follow", {"internal_redirect_policy": {}}, name="target"),
        _answer("/here", 200, "answered here"),
        _route("/dead", cluster="dead"),
        _route("/2", cluster="http2", name="target"),
        _route("/u", name="target", request_headers_to_add=[_add("x-seen", "%REQ(x-envoy-original-url)%")]),
    )


SOON: Json = {"num_retries": 1, "retry_back_off": {"base_interval": "0.005s"}}


def _times() -> Json:
    slow = {"prefix_rewrite": "/u/slow"}
    return _host(
        "times",
        _route("/none", {"timeout": "0s"}),
        _route("/whole", {**slow, "timeout": "0.2s"}),
        _route("/try", {**slow, "retry_policy": {"per_try_timeout": "0.1s", "retry_on": "5xx", **SOON}}),
        _route("/try-idle", {**slow, "retry_policy": {"per_try_idle_timeout": "0.1s"}}),
        _route("/try-idle-again", {
            **slow, "timeout": "0s", "retry_policy": {"per_try_idle_timeout": "0.1s", "retry_on": "reset", **SOON},
        }),
        _route("/drips", {"retry_policy": {"per_try_idle_timeout": "0.1s"}}),
        _route("/idle", {**slow, "idle_timeout": "0.2s"}),
        _route("/stream", {**slow, "max_stream_duration": {"max_stream_duration": "0.2s"}}),
        _route("/stream-unset", {"max_stream_duration": {}}),
        _route("/stream-unset-slow", {**slow, "max_stream_duration": {}}),
        _route("/stream-zero", {**slow, "max_stream_duration": {"max_stream_duration": "0s"}, "timeout": "0.45s"}),
        _route("/grpc", {"max_stream_duration": {"grpc_timeout_header_max": "3s"}}),
        _route("/grpc-any", {"max_stream_duration": {"grpc_timeout_header_max": "0s"}}),
        _route("/grpc-off", {"max_stream_duration": {
            "grpc_timeout_header_max": "0s", "grpc_timeout_header_offset": "0.1s",
        }}),
        _route("/old-grpc", {"max_grpc_timeout": "0.3s", "grpc_timeout_offset": "0.1s"}),
        _route("/old-grpc-any", {"max_grpc_timeout": "0s"}),
    )  # fmt: skip


def _retries() -> Json:
    def retry(prefix: str, conditions: str, cluster: str = "up", **policy: Any) -> Json:
        action = {"retry_policy": {"retry_on": conditions, **SOON, **policy}, "timeout": "0s"}
        return _route(prefix, action, cluster=cluster)

    seconds = {"reset_headers": [{"name": "retry-after", "format": "SECONDS"}]}
    return _host(
        "retries",
        retry("/grpc-14", "unavailable"),
        retry("/grpc-5", "unavailable,internal,cancelled,deadline-exceeded,resource-exhausted"),
        retry("/limited/yes", "envoy-ratelimited"),
        retry("/limited/no", "5xx"),
        retry("/asks/present", "retriable-headers", retriable_headers=[{"name": "x-again"}]),
        retry("/asks/value", "retriable-headers",
              retriable_headers=[{"name": "x-again", "string_match": {"exact": "no"}}]),
        retry("/asks/status", "retriable-headers",
              retriable_headers=[{"name": ":status", "string_match": {"prefix": "2"}}]),
        retry("/asks/unnamed", "5xx", retriable_headers=[{"name": "x-again"}]),
        retry("/u/500", "5xx", retriable_request_headers=[{"name": "x-retry"}, {"name": ":method", "string_match": {
            "exact": "PUT"}}]),
        retry("/later", "5xx", rate_limited_retry_back_off=seconds),
        retry("/much-later", "5xx", rate_limited_retry_back_off={**seconds, "max_interval": "50s"}),
        retry("/u", "http3-post-connect-failure"),
        retry("/u/slow", "5xx", per_try_timeout="0.1s"),
        include_is_timeout_retry_header=True,
    )  # fmt: skip


# Local replies


def _replies_table() -> Json:
    return {
        "name": TABLE,
        "virtual_hosts": [
            {
                "name": "all", "domains": ["*"], "response_headers_to_add": [_add("x-route", "%RESP(:STATUS)%")],
                "routes": [
                    _route("/dead", cluster="dead"), _route("/u/slow", {"timeout": "0.2s"}), _route("/u/"),
                    _answer("/tea", 418, "short"), _answer("/bare", 204), _answer("/410", 410, "gone"),
                    _answer("/typed", 403, "typed", body_format=_typed_body()), _redirect("/to", path_redirect="/"),
                ],
            }
        ],
    }  # fmt: skip


def _status_filter(status: int, comparison: str = "EQ") -> Json:
    value = {"default_value": status, "runtime_key": "k"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _mapped() -> Json:
    both = [_status_filter(404), {"header_filter": {"header": {"name": "x-map"}}}]
    return {
        "mappers": [
            {"filter": _status_filter(418), "status_code": 200, "body": {"inline_string": "tea of %REQ(x-a)%"}},
            {
                "filter": {"response_flag_filter": {"flags": ["UF"]}},
                "headers_to_add": [
                    _add("x-added", "%RESPONSE_FLAGS% %RESP(x-route)%"), _add("content-type", "text/own"),
                ],
                "body_format_override": _typed_body(),
            },
            {"filter": {"and_filter": {"filters": both}}, "status_code": 299, "body_format_override": _json_body()},
            {"filter": _status_filter(410), "body": {"inline_string": ""}},
            {
                "filter": _status_filter(504),
                "headers_to_add": [_add("x-status", "%RESP(:STATUS)%"), _add("x-route", "2", append=False)],
            },
            {"filter": _status_filter(400), "status_code": 499},
        ],
        "body_format": {"text_format_source": {
            "inline_string": "%LOCAL_REPLY_BODY% / %RESPONSE_CODE% / %RESPONSE_CODE_DETAILS% / %REQ(x-a)%",
        }},
    }  # fmt: skip
