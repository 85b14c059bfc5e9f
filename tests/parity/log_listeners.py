"""Listeners whose access logs are the matter: formats, filters, flushes, and the listener's own log.

All write to the one file that a side reads. This file must not know cases.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.harness import http_listener, to_cluster

FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
WITHOUT_QUERY = "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"
TLS_INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"

LAYOUT: dict[str, Any] = {
    "method": "%REQ(:METHOD)%", "code": "%RESPONSE_CODE%", "sent": "%BYTES_SENT%",
    "unknown": "%REQ(X-NONE)%", "mixed unknown": "a %REQ(X-NONE)% b", "flags": "%RESPONSE_FLAGS%",
    "text": 'plain "q" \\ é', "mixed": "%BYTES_SENT% of %PROTOCOL%",
    "agent": "%REQ(USER-AGENT)%", "odd": "%REQ(X-ODD)%", "cut": "%REQ(USER-AGENT):3%", "percent": "100%%",
    "number": 1.5, "whole": 3, "big": 12345678901, "true": True, "null": None, "Z": "upper", "a.b": "dot",
    "nested": {"z": "%UPSTREAM_HOST%", "a": {"deep": "%RESP(X-NONE)%", "list": ["%RESPONSE_CODE%", "x", 2, None]}},
    "empty": {}, "gone": {"one": "%REQ(X-NONE)%"}, "list": ["%REQ(X-NONE)%", {"k": "%REQ(X-NONE)%"}], "none": [],
    "start": "%START_TIME(%Y)%",
    "type": "%ACCESS_LOG_TYPE%", "wire": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "state": "%FILTER_STATE(a)%",
}  # fmt: skip

OPERATORS = [
    "REQ(X-A):3", "REQ(X-A?X-B)", "REQ(X-NONE?X-B):2", "REQ(x-a):0", "REQ(X-A):100", "RESP(CONTENT-TYPE):4",
    "RESP(X-NONE?SERVER)", "RESP(:STATUS):1", "TRAILER(X-T):1", "REQUEST_HEADER(X-A):2",
    "RESPONSE_HEADER(SERVER):2", "RESPONSE_TRAILER(X-T)", "PATH", "PATH(NQ)", "PATH(WQ:PATH):4", "PATH(NQ:ORIG)",
    "QUERY_PARAM(k)", "QUERY_PARAM(k):1", "QUERY_PARAM(none)", "QUERY_PARAMS", "QUERY_PARAMS(ORIG):3",
    "RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)", "RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS_LONG", "START_TIME(%Y-%m)",
    "REQUESTED_SERVER_NAME", "REQUESTED_SERVER_NAME(SNI_FIRST)", "REQUESTED_SERVER_NAME(HOST_FIRST)",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(30)",
    "GRPC_STATUS", "GRPC_STATUS(NUMBER)", "GRPC_STATUS(SNAKE_STRING)", "GRPC_STATUS_NUMBER", "ENVIRONMENT(HOME):2",
    "ENVIRONMENT(NO_SUCH)", "ACCESS_LOG_TYPE", "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_PROTOCOL",
    "REQUEST_HEADERS_BYTES", "RESPONSE_TRAILERS_BYTES", "FILTER_CHAIN_NAME", "LISTENER_NAME",
    "VIRTUAL_CLUSTER_NAME", "CUSTOM_FLAGS", "LOCAL_REPLY_BODY", "DYNAMIC_METADATA(a:b):3", "METADATA(ROUTE:a)",
    "CLUSTER_METADATA(a:b)", "UPSTREAM_METADATA(a:b)", "UPSTREAM_FILTER_STATE(a):3", "TRACE_ID",
    "REQ_WITHOUT_QUERY(:PATH)", "REQ_WITHOUT_QUERY(X-NONE?:PATH):3", "UPSTREAM_CLUSTER_RAW",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_LOCAL_CLOSE_REASON", "BYTES_RETRANSMITTED", "PACKETS_RETRANSMITTED", "ROUNDTRIP_DURATION",
]  # fmt: skip

CONNECTION = [
    "ACCESS_LOG_TYPE", "LISTENER_NAME", "FILTER_CHAIN_NAME", "RESPONSE_CODE", "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS", "PROTOCOL", "BYTES_RECEIVED", "BYTES_SENT", "CONNECTION_TERMINATION_DETAILS",
    "REQUESTED_SERVER_NAME", "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_LOCAL_ADDRESS",
    "REQ(:METHOD)", "UPSTREAM_HOST", "DOWNSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_WIRE_BYTES_SENT", "ROUTE_NAME",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
]  # fmt: skip

TLS_FACTS = [
    f"DOWNSTREAM_{each}"
    for each in (
        "PEER_ISSUER", "PEER_SERIAL", "PEER_FINGERPRINT_1", "PEER_FINGERPRINT_256", "PEER_CERT", "PEER_IP_SAN",
        "PEER_EMAIL_SAN", "PEER_DNS_SAN", "PEER_URI_SAN", "PEER_SUBJECT", "PEER_CERT_V_START", "PEER_CERT_V_END",
        "PEER_CERT_V_START(%Y)", "LOCAL_SUBJECT", "LOCAL_URI_SAN", "LOCAL_DNS_SAN", "LOCAL_IP_SAN", "LOCAL_EMAIL_SAN",
        "LOCAL_ADDRESS_ENDPOINT_ID", "DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", "TLS_VERSION", "TLS_CIPHER",
    )
]  # fmt: skip


def _compare(op: str, value: int) -> dict[str, Any]:
    return {"comparison": {"op": op, "value": {"default_value": value, "runtime_key": "none"}}}


def _header(**match: Any) -> dict[str, Any]:
    return {"header_filter": {"header": {"name": "x-f", **match}}}


FILTERS: dict[str, dict[str, Any]] = {
    "status ge 400": {"status_code_filter": _compare("GE", 400)},
    "status eq 200": {"status_code_filter": _compare("EQ", 200)},
    "status le 204": {"status_code_filter": _compare("LE", 204)},
    "status ne 200": {"status_code_filter": _compare("NE", 200)},
    "duration ge 0": {"duration_filter": _compare("GE", 0)},
    "duration ge 1 h": {"duration_filter": _compare("GE", 3600000)},
    "duration le 1 h": {"duration_filter": _compare("LE", 3600000)},
    "not health check": {"not_health_check_filter": {}},
    "runtime all": {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 100}}},
    "runtime none": {"runtime_filter": {"runtime_key": "none"}},
    "runtime half by id": {
        "and_filter": {
            "filters": [
                _header(present_match=True),
                {"runtime_filter": {
                    "runtime_key": "none", "percent_sampled": {"numerator": 5000, "denominator": "TEN_THOUSAND"}
                }},
            ]
        }
    },
    "runtime all by chance": {
        "runtime_filter": {
            "runtime_key": "none", "percent_sampled": {"numerator": 1000000, "denominator": "MILLION"},
            "use_independent_randomness": True,
        }
    },
    "and": {"and_filter": {"filters": [{"status_code_filter": _compare("GE", 200)}, _header(present_match=True)]}},
    "or": {"or_filter": {"filters": [{"status_code_filter": _compare("GE", 500)}, _header(present_match=True)]}},
    "header exact": _header(string_match={"exact": "one"}),
    "header absent": _header(present_match=False),
    "header invert": _header(string_match={"prefix": "o"}, invert_match=True),
    "header range": _header(range_match={"start": 1, "end": 10}),
    "any flag": {"response_flag_filter": {}},
    "flags": {"response_flag_filter": {"flags": ["UF", "NR", "DPE"]}},
    "flags of others": {"response_flag_filter": {"flags": ["RL", "UAEX"]}},
    "grpc": {"grpc_status_filter": {"statuses": ["OK", "UNAVAILABLE"]}},
    "grpc excluded": {"grpc_status_filter": {"statuses": ["OK", "UNKNOWN"], "exclude": True}},
    "metadata": {"metadata_filter": {"match_if_key_not_found": True}},
    "no metadata": {
        "metadata_filter": {
            "matcher": {"filter": "a", "path": [{"key": "b"}], "value": {"bool_match": True}},
            "match_if_key_not_found": False,
        }
    },
    "type end": {"log_type_filter": {"types": ["DownstreamEnd"]}},
    "type start": {"log_type_filter": {"types": ["DownstreamStart"]}},
    "type not end": {"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}},
}  # fmt: skip


def _log(path: Path, log_format: dict[str, Any], chosen: dict[str, Any] | None = None) -> dict[str, Any]:
    config = {"@type": FILE_LOG, "path": str(path), "log_format": log_format}
    made = {"name": "envoy.access_loggers.file", "typed_config": config}
    return made if chosen is None else {**made, "filter": chosen}


def _text(text: str, **options: Any) -> dict[str, Any]:
    return {"text_format_source": {"inline_string": text + "\n"}, **options}


def _lines(operators: list[str], prefix: str = "", separator: str = " | ") -> str:
    return prefix + separator.join(f"{each.replace('%', '')}=%{each}%" for each in operators)


def log_listeners(
    path: Path, route_config: dict[str, Any], certificate: dict[str, Any], asking: dict[str, Any]
) -> list[dict[str, Any]]:
    """Every listener of this file; the last two are transport sockets with TLS, and one that asks for a certificate."""
    extension = {"name": "envoy.formatter.req_without_query", "typed_config": {"@type": WITHOUT_QUERY}}
    operators = _lines(OPERATORS)
    sorted_layout = {"json_format": LAYOUT, "json_format_options": {"sort_properties": True}}
    logs = {
        "log-json": [_log(path, {"json_format": LAYOUT})],
        "log-json-omit": [_log(path, {"json_format": LAYOUT, "omit_empty_values": True})],
        "log-json-sorted": [_log(path, sorted_layout)],
        "log-text": [_log(path, _text(operators, formatters=[extension]))],
        "log-text-omit": [_log(path, _text(operators, formatters=[extension], omit_empty_values=True))],
        "log-filters": [_log(path, _text("line")), *(_log(path, _text(f), FILTERS[f]) for f in FILTERS)],
    }
    options = {"log-json-sorted": {"flush_access_log_on_new_request": True}}
    made = [http_listener(name, route_config, access_log=each, **options.get(name, {})) for name, each in logs.items()]
    flushed = [_log(path, _text(_lines(CONNECTION)))]
    start = {"flush_access_log_on_new_request": True}
    made.append(http_listener("log-flush", route_config, access_log=flushed, access_log_options=start))
    periodic = {"flush_access_log_on_new_request": True, "access_log_flush_interval": "0.15s"}
    made.append(http_listener("log-periodic", route_config, access_log=flushed, access_log_options=periodic))
    facts = http_listener("log-tls-facts", route_config, access_log=[_log(path, _text(_lines(TLS_FACTS)))])
    facts["filter_chains"][0]["transport_socket"] = asking
    return [*made, facts, *_connection_logs(path, route_config, certificate)]


def _connection_logs(path: Path, route_config: dict[str, Any], certificate: dict[str, Any]) -> list[dict[str, Any]]:
    """Listeners that log connections, and no requests."""
    plain = http_listener("log-connection", route_config, common_http_protocol_options={"idle_timeout": "0.3s"})
    # Without the upstream's time, whose digits would count among the bytes.
    (manager,) = plain["filter_chains"][0]["filters"]
    manager["typed_config"]["http_filters"][0]["typed_config"]["suppress_envoy_headers"] = True
    nowhere = http_listener("log-no-chain", route_config)
    nowhere["filter_chains"][0]["filter_chain_match"] = {"source_ports": [1]}
    secure = http_listener("log-tls", route_config)
    secure["filter_chains"][0].update(transport_socket=certificate, transport_socket_connect_timeout="0.3s")
    by_name = http_listener("log-sni", route_config)
    by_name["filter_chains"][0].update(transport_socket=certificate, filter_chain_match={"server_names": ["a.b"]})
    by_name["listener_filters"] = [{"name": "tls_inspector", "typed_config": {"@type": TLS_INSPECTOR}}]
    made = [plain, nowhere, secure, by_name]
    for listener in made:
        listener["access_log"] = [_log(path, _text(_lines(CONNECTION)))]
        listener["filter_chains"][0]["name"] = "first"
        listener["filter_chains"][0]["filters"][0]["typed_config"]["access_log"] = []
    return made


# Header mutations

ACTIONS = ("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS")

VALUES = [
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%DOWNSTREAM_LOCAL_ADDRESS%", "%REQ(X-GIVEN)%", "%REQ(X-NONE)%",
    "%REQ(X-NONE?X-GIVEN):2%", "%START_TIME(%Y)%", "a%%b", "<%PROTOCOL%>", "%UPSTREAM_HOST%", "%UPSTREAM_CLUSTER%",
    "%RESPONSE_CODE%", "%ROUTE_NAME%", "%REQ(:PATH)%", "%REQ(:AUTHORITY)%", "%HOSTNAME%", "%REQ(X-REQUEST-ID):0%",
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "%RESP(CONTENT-TYPE)%", "%RESPONSE_CODE_DETAILS%", "%PATH(NQ)%",
    "%QUERY_PARAM(k)%", "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "%DOWNSTREAM_HEADER_BYTES_RECEIVED%",
    "%RESPONSE_FLAGS%", "%BYTES_RECEIVED%", "%REQUESTED_SERVER_NAME%", "%FILTER_CHAIN_NAME%", "%LISTENER_NAME%",
    "%ACCESS_LOG_TYPE%", "%ENVIRONMENT(NO_SUCH)%", "%DOWNSTREAM_TLS_VERSION%", "%VIRTUAL_CLUSTER_NAME%",
    "%FILTER_STATE(a)%",
]  # fmt: skip


def _option(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, **more}


def _every_action(level: str) -> list[dict[str, Any]]:
    made = [_option(f"x-{action.lower()}", f"{level} of %PROTOCOL%", append_action=action) for action in ACTIONS]
    return [*made, _option("x-default", level), _option("x-old", level, append=False)]


def _both(level: str, removed: str) -> dict[str, Any]:
    return {
        "request_headers_to_add": _every_action(level),
        "request_headers_to_remove": [removed],
        "response_headers_to_add": _every_action(level),
        "response_headers_to_remove": [removed],
    }


def _route(prefix: str, **more: Any) -> dict[str, Any]:
    return {"name": "mutated", **to_cluster("up", prefix), **more}


def mutation_routes(most_specific: bool) -> dict[str, Any]:
    """A route configuration that changes headers at each of its levels."""
    values = [_option(f"x-v{number:02}", value) for number, value in enumerate(VALUES)]
    kept = [
        _option("x-kept", "", keep_empty_value=True), _option("x-dropped", ""),
        _option("x-kept-unknown", "%REQ(X-NONE)%", keep_empty_value=True),
        {"header": {"key": "x-raw", "raw_value": "cmF3"}}, _option("X-Upper", "Case"),
        _option("x-overwrite-empty", "", append_action="OVERWRITE_IF_EXISTS_OR_ADD", keep_empty_value=True),
        _option("x-overwrite-dropped", "%REQ(X-NONE)%", append_action="OVERWRITE_IF_EXISTS_OR_ADD"),
    ]  # fmt: skip
    single = [
        _option("user-agent", "added"), _option("via", "added"), _option("cookie", "c=%REQ(X-GIVEN)%"),
        _option("set-cookie", "d=1"), _option("server", "added"), _option("content-type", "added"),
        _option("date", "added", append_action="OVERWRITE_IF_EXISTS_OR_ADD"), _option("x-forwarded-for", "9.9.9.9"),
        _option("location", "/added"), _option("x-request-id", "added"),
        _option("x-forwarded-proto", "ftp", append_action="OVERWRITE_IF_EXISTS_OR_ADD"),
    ]  # fmt: skip
    taken = ["x-taken", "user-agent", "content-type", "server", "x-forwarded-proto", "X-Upper-Taken", "x-request-id"]
    direct = {"direct_response": {"status": 200, "body": {"inline_string": "direct"}}}
    there = {"redirect": {"path_redirect": "/there"}}
    routes = [
        _route("/m/values", request_headers_to_add=values, response_headers_to_add=values),
        _route("/m/kept", request_headers_to_add=kept, response_headers_to_add=kept),
        _route("/m/single", request_headers_to_add=single, response_headers_to_add=single),
        _route("/m/removed", request_headers_to_remove=taken, response_headers_to_remove=taken),
        {"name": "direct", "match": {"prefix": "/m/direct"}, **direct, **_both("route", "x-remove-route")},
        {"match": {"prefix": "/m/valued"}, **direct, "response_headers_to_add": values},
        {"match": {"prefix": "/m/there"}, **there, **_both("route", "x-remove-route")},
        {**_route("/m/dead", **_both("route", "x-remove-route")), "route": {"cluster": "dead"}},
        {**_route("/m/trailers"), "route": {"cluster": "http2"}, **_both("route", "x-remove-route")},
        _route("/m/", **_both("route", "x-remove-route")),
    ]
    host = {"name": "all", "domains": ["*"], "routes": routes, **_both("host", "x-remove-host")}
    return {
        "name": "mutations", "virtual_hosts": [host], **_both("table", "x-remove-table"),
        "most_specific_header_mutations_wins": most_specific,
    }  # fmt: skip
