"""One field at a time: what its setting becomes. What a setting then does, the tests of its user say."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.access_loggers.config import AccessLogFactoryContext
from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.network.http_connection_manager.config import (
    ConnectionManagerFactoryContext,
    read_connection_manager,
)
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.http1 import HeadersWithUnderscoresAction
from envoymesh.http.http2.settings import KeepaliveSettings
from envoymesh.metadata import match_criteria
from envoymesh.network.config import read_downstream_tls, read_listener, read_upstream_socket
from envoymesh.options import Options
from envoymesh.router.config import RouteFactoryContext, read_route_table
from envoymesh.router.retry import HostPredicates
from envoymesh.router.table import ClusterAction, DirectResponseAction, RouteTable, VirtualHost
from envoymesh.server.config import read_bootstrap, read_runtime_layers
from envoymesh.upstream.config import read_cluster
from tests.support.fakes import FakeRuntime
from tests.support.logged import full

MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
CLUSTER = "envoy.config.cluster.v3.Cluster"
LOG = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class _NoFile:
    def write(self, data: bytes) -> None:
        """Nothing is written."""


def reader(type_name: str, fields: dict[str, Any]) -> Reader:
    for used in (LOG, HTTP_OPTIONS, ROUTER, MANAGER):
        message_class(used)
    return Reader(json_format.ParseDict(fields, message_class(type_name)()))


LOGS = AccessLogFactoryContext(lambda path: _NoFile(), FakeRuntime(), lambda: 0.5)
ROUTES = RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5)
CONTEXT = ConnectionManagerFactoryContext(
    lambda filters, prefix: (), LOGS, ROUTES, "10.1.1.1", "cluster", "node", FakeRuntime(), lambda: 0.5
)


def manager(**fields: Any) -> HttpConnectionManagerSettings:
    required = {"stat_prefix": "p", "route_config": {}, "http_filters": [{"name": "r"}]}
    return read_connection_manager(reader(MANAGER, {**required, **fields}), CONTEXT)


def log(**fields: Any) -> dict[str, Any]:
    return {"name": "n", "typed_config": {"@type": f"type.googleapis.com/{LOG}"}, **fields}


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"codec_type": "HTTP2"}, "codec_type", "HTTP2"),
        ({"server_name": "s"}, "server_name", b"s"),
        ({"server_header_transformation": "PASS_THROUGH"}, "server_header_transformation", "PASS_THROUGH"),
        ({"via": "v"}, "via", b"v"),
        ({"use_remote_address": True}, "use_remote_address", True),
        ({"xff_num_trusted_hops": 2}, "xff_num_trusted_hops", 2),
        ({"skip_xff_append": True}, "skip_xff_append", True),
        ({"append_x_forwarded_port": True}, "append_x_forwarded_port", True),
        ({"internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}},
         "internal_networks", [ipaddress.ip_network("10.0.0.0/8")]),
        ({"generate_request_id": False}, "generate_request_id", False),
        ({"preserve_external_request_id": True}, "preserve_external_request_id", True),
        ({"always_set_request_id_in_response": True}, "always_set_request_id_in_response", True),
        ({"add_user_agent": True}, "user_agent", b"cluster"),
        ({"proxy_100_continue": True}, "proxy_100_continue", True),
        ({"normalize_path": True}, "normalize_path", True),
        ({"merge_slashes": True}, "merge_slashes", True),
        ({"path_with_escaped_slashes_action": "REJECT_REQUEST"}, "path_with_escaped_slashes_action", "REJECT_REQUEST"),
        ({"strip_matching_host_port": True}, "strip_port", "matching"),
        ({"strip_any_host_port": True}, "strip_port", "any"),
        ({"strip_trailing_host_dot": True}, "strip_trailing_host_dot", True),
        ({"stream_idle_timeout": "7s"}, "stream_idle_timeout", 7.0),
        ({"stream_flush_timeout": "6s"}, "stream_flush_timeout", 6.0),
        ({"request_timeout": "7s"}, "request_timeout", 7.0),
        ({"request_headers_timeout": "7s"}, "request_headers_timeout", 7.0),
        ({"drain_timeout": "7s"}, "drain_timeout", 7.0),
        ({"delayed_close_timeout": "7s"}, "delayed_close_timeout", 7.0),
        ({"common_http_protocol_options": {"idle_timeout": "7s"}}, "idle_timeout", 7.0),
        ({"common_http_protocol_options": {"max_connection_duration": "7s"}}, "max_connection_duration", 7.0),
        ({"common_http_protocol_options": {"max_stream_duration": "7s"}}, "max_stream_duration", 7.0),
        ({"common_http_protocol_options": {"max_requests_per_connection": 7}}, "max_requests_per_connection", 7),
        ({"access_log_flush_interval": "7s"}, "access_log_flush_interval", 7.0),
        ({"flush_access_log_on_new_request": True}, "flush_access_log_on_new_request", True),
        ({"access_log_options": {"access_log_flush_interval": "7s"}}, "access_log_flush_interval", 7.0),
        ({"access_log_options": {"flush_access_log_on_new_request": True}}, "flush_access_log_on_new_request", True),
        ({"access_log_options": {"flush_log_on_tunnel_successfully_established": True}},
         "flush_access_log_on_tunnel", True),
        ({"max_request_headers_kb": 7}, "http1.max_request_headers_kb", 7),
        ({"max_request_headers_kb": 7}, "http2.max_request_headers_kb", 7),
        ({"common_http_protocol_options": {"max_headers_count": 7}}, "http1.max_headers_count", 7),
        ({"common_http_protocol_options": {"max_headers_count": 7}}, "http2.max_headers_count", 7),
        ({"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
         "http1.headers_with_underscores_action", HeadersWithUnderscoresAction.DROP_HEADER),
        ({"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
         "http2.headers_with_underscores_action", "DROP_HEADER"),
        ({"http_protocol_options": {"accept_http_10": True}}, "http1.accept_http_10", True),
        ({"http_protocol_options": {"default_host_for_http_10": "h"}}, "http1.default_host_for_http_10", b"h"),
        ({"http_protocol_options": {"allow_chunked_length": True}}, "http1.allow_chunked_length", True),
        ({"http_protocol_options": {"enable_trailers": True}}, "http1.enable_trailers", True),
        ({"http_protocol_options": {"allow_absolute_url": False}}, "http1.allow_absolute_url", False),
        ({"http_protocol_options": {"header_key_format": {"proper_case_words": {}}}}, "http1.proper_case_words", True),
        ({"http2_protocol_options": {"allow_connect": True}}, "http2.allow_connect", True),
        ({"http2_protocol_options": {"override_stream_error_on_invalid_http_message": True}},
         "http2.override_stream_error_on_invalid_http_message", True),
        ({"http2_protocol_options": {"stream_error_on_invalid_http_messaging": True}},
         "http2.override_stream_error_on_invalid_http_message", True),
        *(({"http2_protocol_options": {name: 65535}}, f"http2.{name}", 65535) for name in (
            "hpack_table_size", "max_concurrent_streams", "initial_stream_window_size",
            "initial_connection_window_size", "max_outbound_frames", "max_outbound_control_frames",
            "max_consecutive_inbound_frames_with_empty_payload", "max_inbound_priority_frames_per_stream",
            "max_inbound_window_update_frames_per_data_frame_sent")),
    ],
)  # fmt: skip
def test_a_connection_manager(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert _at(manager(), setting) != value
    assert _at(manager(**fields), setting) == value


def _at(settings: Any, path: str) -> Any:
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


def test_a_connection_manager_s_logs_filters_and_routes() -> None:
    made = manager(access_log=[log()], route_config={"name": "r"})
    assert (len(made.access_logs), made.route_table.name, made.stat_prefix) == (1, "r", "p")
    asked: list[Any] = []

    def read_filters(filters: Any, prefix: str) -> Any:
        asked.extend((prefix, [each.string("name") for each in filters]))
        return ()

    context = ConnectionManagerFactoryContext(read_filters, LOGS, ROUTES, "", "", "", FakeRuntime(), lambda: 0.5)
    required = {"stat_prefix": "p", "route_config": {}, "http_filters": [{"name": "r"}]}
    read_connection_manager(reader(MANAGER, required), context)
    assert asked == ["p", ["r"]]


def test_upgrades_and_their_filters() -> None:
    asked: list[Any] = []

    def read_filters(filters: Any, prefix: str) -> Any:
        asked.append([each.string("name") for each in filters])
        return ()

    context = ConnectionManagerFactoryContext(read_filters, LOGS, ROUTES, "", "", "", FakeRuntime(), lambda: 0.5)
    kinds = [{"upgrade_type": "A", "filters": [{"name": "own"}], "enabled": False}, {"upgrade_type": "b"}]
    required = {"stat_prefix": "p", "route_config": {}, "http_filters": [{"name": "r"}]}
    made = read_connection_manager(reader(MANAGER, {**required, "upgrade_configs": kinds}), context).upgrades
    assert asked == [["r"], ["own"]]
    found = {name: (kind.enabled, kind.filters is not None) for name, kind in made.items()}
    assert found == {b"a": (False, True), b"b": (True, False)}


def test_ignored_upgrades() -> None:
    assert manager().http1.ignores_upgrade is None
    ignores = manager(http_protocol_options={"ignore_http_11_upgrade": [{"exact": "h2"}]}).http1.ignores_upgrade
    assert ignores is not None
    assert (ignores(b"h2"), ignores(b"websocket")) == (True, False)


def test_scoped_routes_in_the_place_of_a_table() -> None:
    scope = {"name": "1", "key": {"fragments": [{"string_key": "a"}]}, "route_configuration": {"name": "inner"}}
    scoped = {
        "name": "s",
        "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "a", "index": 0}}]},
        "scoped_route_configurations_list": {"scoped_route_configurations": [scope]},
    }
    fields = {"stat_prefix": "p", "scoped_routes": scoped, "http_filters": [{"name": "r"}]}
    made = read_connection_manager(reader(MANAGER, fields), CONTEXT)
    assert [table.name for table in made.route_table.tables()] == ["inner"]


def test_a_port_is_stripped_in_one_way() -> None:
    with pytest.raises(ConfigError, match=r"Only one of `strip_matching_host_port` or `strip_any_host_port`"):
        manager(strip_any_host_port=True, strip_matching_host_port=True)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"upgrade_configs": [{"upgrade_type": "a"}, {"upgrade_type": "A"}]}, "upgrade_configs[1].upgrade_type"),
        ({"codec_type": "HTTP3"}, "codec_type"),
        ({"http_filters": []}, "http_filters"),
    ],
)  # fmt: skip
def test_a_connection_manager_refuses(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        manager(**fields)
    assert caught.value.path == path


def table(**fields: Any) -> RouteTable:
    return read_route_table(reader("envoy.config.route.v3.RouteConfiguration", fields), ROUTES)


def host(**fields: Any) -> VirtualHost:
    (made,) = table(virtual_hosts=[{"name": "v", "domains": ["*"], **fields}]).virtual_hosts
    return made


DIRECT = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}


def retry(**fields: Any) -> Any:
    policy = {"retry_on": "5xx", **fields}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "c", "retry_policy": policy}}
    action = host(routes=[route]).routes[0].action
    assert isinstance(action, ClusterAction)
    return action.retry


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"require_tls": "ALL"}, "require_tls", "ALL"),
        ({"include_request_attempt_count": True}, "include_request_attempt_count", True),
        ({"include_attempt_count_in_response": True}, "include_attempt_count_in_response", True),
        ({"name": "w"}, "name", "w"),
        ({"metadata": {"filter_metadata": {"a": {"b": "c"}}}}, "metadata", {"VIRTUAL_HOST": {"a": {"b": "c"}}}),
    ],
)
def test_a_virtual_host(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert getattr(host(), setting) != value
    assert getattr(host(**fields), setting) == value


PREVIOUS_HOSTS = {"name": "envoy.retry_host_predicates.previous_hosts"}


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"retriable_status_codes": [418]}, "retriable_status_codes", {418}),
        ({"host_selection_retry_max_attempts": 7}, "host_selection_attempts", 7),
        ({"retry_host_predicate": [PREVIOUS_HOSTS]}, "host_predicates", HostPredicates(previous_hosts=True)),
        ({"retry_back_off": {"base_interval": "7s"}}, "base_interval", 7.0),
        ({"retry_back_off": {"base_interval": "1s", "max_interval": "7s"}}, "max_interval", 7.0),
        ({"per_try_timeout": "7s"}, "per_try_timeout", 7.0),
        ({"num_retries": 7}, "num_retries", 7),
    ],
)
def test_a_retry_policy(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert getattr(retry(), setting) != value
    assert getattr(retry(**fields), setting) == value


def test_a_back_off_that_shrinks_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_interval must greater than or equal to the base_interval"):
        retry(retry_back_off={"base_interval": "2s", "max_interval": "1s"})


@pytest.mark.parametrize("body", [{"inline_string": "a" * 5000}, {"inline_bytes": "YWFh" * 2000}])
def test_direct_responses_have_a_limit(body: dict[str, str]) -> None:
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": body}}
    hosts = [{"name": "v", "domains": ["*"], "routes": [route]}]
    with pytest.raises(ConfigError, match=r"response body size is \d+ bytes; maximum is 4096"):
        table(virtual_hosts=hosts)
    assert table(virtual_hosts=hosts, max_direct_response_body_size_bytes=6000)


def cluster(**fields: Any) -> Any:
    return read_cluster(reader(CLUSTER, {"name": "c", **fields}), FakeRuntime())


def http(**fields: Any) -> dict[str, Any]:
    return {
        "typed_extension_protocol_options": {HTTP_OPTIONS: {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", **fields}}
    }


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"http_protocol_options": {"enable_trailers": True}}, "http1.enable_trailers", True),
        ({"common_http_protocol_options": {"max_response_headers_kb": 7}}, "http1.max_response_headers_kb", 7),
        ({"http2_protocol_options": {}, "common_http_protocol_options": {"max_response_headers_kb": 7}},
         "http2.max_request_headers_kb", 7),
        ({"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"choice_count": 7}}, "lb.choice_count", 7),
        (http(use_downstream_protocol_config={"http_protocol_options": {"enable_trailers": True}}),
         "http1.enable_trailers", True),
        (http(use_downstream_protocol_config={"http2_protocol_options": {"hpack_table_size": 7}}),
         "http2.hpack_table_size", 7),
        (http(explicit_http_config={"http_protocol_options": {"enable_trailers": True}}),
         "http1.enable_trailers", True),
        (http(explicit_http_config={"http2_protocol_options": {"hpack_table_size": 7}}), "http2.hpack_table_size", 7),
        (http(explicit_http_config={"http_protocol_options": {"send_fully_qualified_url": True}}),
         "http1.send_fully_qualified_url", True),
        *((http(explicit_http_config={"http2_protocol_options": {"connection_keepalive": {
            "interval": "7s", "timeout": "7s", "interval_jitter": {"value": 7}, "connection_idle_interval": "7s"}}}),
           "http2.keepalive", KeepaliveSettings(7.0, 7.0, 0.07, 7.0)),),
        (http(explicit_http_config={"http2_protocol_options": {"custom_settings_parameters": [
            {"identifier": 77, "value": 7}]}}), "http2.custom_settings", ((77, 7),)),
        (http(explicit_http_config={"http_protocol_options": {}},
              common_http_protocol_options={"max_headers_count": 7}), "http1.max_headers_count", 7),
    ],
)  # fmt: skip
def test_a_cluster(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert _at(cluster(lb_policy=fields.get("lb_policy", "ROUND_ROBIN")), setting) != value
    assert _at(cluster(**fields), setting) == value


@pytest.mark.parametrize("protocol", ["http_protocol_options", "http2_protocol_options"])
def test_a_cluster_that_agrees_on_a_protocol(protocol: str) -> None:
    name, setting = ("http1", "enable_trailers") if protocol.startswith("http_") else ("http2", "hpack_table_size")
    value = {"enable_trailers": True, "hpack_table_size": 7}[setting]
    kind = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    message_class(kind)
    socket = {"name": "tls", "typed_config": {"@type": f"type.googleapis.com/{kind}"}}
    made = cluster(transport_socket=socket, **http(auto_config={protocol: {setting: value}}))
    assert getattr(getattr(made, name), setting) == value


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"max_concurrent_streams": 7, "custom_settings_parameters": [{"identifier": 3, "value": 7}]}, "both named"),
        ({"custom_settings_parameters": [{"identifier": 2, "value": 1}]}, "server push is not supported"),
        ({"custom_settings_parameters": [{"identifier": 5, "value": 20000}]}, "MAX_FRAME_SIZE is not supported"),
        ({"custom_settings_parameters": [{"identifier": 77, "value": 1}, {"identifier": 77, "value": 2}]}, "0x4d"),
    ],
)
def test_settings_of_ones_own_that_cannot_be(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        cluster(**http(explicit_http_config={"http2_protocol_options": fields}))


def tls(**fields: Any) -> Any:
    return read_downstream_tls(reader(TLS, fields))


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"require_client_certificate": True}, "require_client_certificate", True),
        ({"require_sni": True}, "require_sni", True),
        ({"prefer_client_ciphers": True}, "prefer_client_ciphers", True),
        ({"disable_stateless_session_resumption": True}, "disable_stateless_session_resumption", True),
        ({"common_tls_context": {"tls_params": {"ecdh_curves": ["P-256"]}}}, "common.ecdh_curves", ("P-256",)),
        ({"common_tls_context": {"tls_params": {"cipher_suites": ["A"]}}}, "common.cipher_suites", ("A",)),
        ({"common_tls_context": {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3"}}},
         "common.minimum_version", "TLSv1_3"),
        ({"common_tls_context": {"tls_params": {"tls_maximum_protocol_version": "TLSv1_2"}}},
         "common.maximum_version", "TLSv1_2"),
    ],
)  # fmt: skip
def test_tls(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert _at(tls(), setting) != value
    assert _at(tls(**fields), setting) == value


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"crl": {"inline_string": "x"}}, "crl", b"x"),
        ({"only_verify_leaf_cert_crl": True}, "only_verify_leaf_cert_crl", True),
        ({"system_root_certs": {}}, "system_root_certs", True),
        ({"verify_certificate_spki": ["s"]}, "verify_certificate_spki", ("s",)),
        ({"verify_certificate_hash": ["AB:CD"]}, "verify_certificate_hash", ("abcd",)),
    ],
)
def test_validation(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert getattr(tls(common_tls_context={"validation_context": {}}).common.validation, setting) != value
    assert getattr(tls(common_tls_context={"validation_context": fields}).common.validation, setting) == value


def test_the_password_of_a_key() -> None:
    certificate = {"certificate_chain": {"inline_string": "c"}, "private_key": {"inline_string": "k"}}
    (made,) = tls(
        common_tls_context={"tls_certificates": [{**certificate, "password": {"inline_string": "p\n"}}]}
    ).common.certificates
    assert made.password == b"p"


def listener(**fields: Any) -> Any:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 80}}
    chain = {"filters": [{"name": "f", "typed_config": {"@type": f"type.googleapis.com/{ROUTER}"}}]}
    whole = {"name": "l", "address": address, "filter_chains": [chain], **fields}
    return read_listener(reader("envoy.config.listener.v3.Listener", whole))


@pytest.mark.parametrize(
    ("fields", "setting", "value"),
    [
        ({"ignore_global_conn_limit": True}, "ignore_global_conn_limit", True),
        ({"deprecated_v1": {"bind_to_port": False}}, "bind_to_port", False),
        ({"continue_on_listener_filters_timeout": True}, "continue_on_listener_filters_timeout", True),
        ({"drain_type": "MODIFY_ONLY"}, "drain_type", "MODIFY_ONLY"),
        ({"traffic_direction": "INBOUND"}, "traffic_direction", "INBOUND"),
        ({"metadata": {"filter_metadata": {"a": {"b": "c"}}}}, "metadata", {"LISTENER": {"a": {"b": "c"}}}),
    ],
)
def test_a_listener(fields: dict[str, Any], setting: str, value: Any) -> None:
    assert getattr(listener(), setting) != value
    assert getattr(listener(**fields), setting) == value


def test_a_listener_s_logs() -> None:
    assert len(listener(access_log=[log()]).access_log) == 1


@pytest.mark.parametrize("field", ["transparent", "enable_mptcp", "use_original_dst"])
def test_a_listener_refuses(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listener(**{field: True})
    assert caught.value.path == field


@pytest.mark.parametrize("field", ["full_scan_certs_on_sni_mismatch", "disable_stateful_session_resumption"])
def test_tls_refuses(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tls(**{field: True})
    assert caught.value.path == field


@pytest.mark.parametrize("field", ["allow_expired_certificate", "require_signed_certificate_timestamp"])
def test_validation_refuses(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tls(common_tls_context={"validation_context": {field: True}})
    assert caught.value.path == f"common_tls_context.validation_context.{field}"


def bootstrap(**fields: Any) -> Any:
    return read_bootstrap(reader("envoy.config.bootstrap.v3.Bootstrap", fields), Options(), LOGS)


ADDRESS = {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}


@pytest.mark.parametrize(
    ("fields", "find", "value"),
    [
        ({"stats_flush_interval": "7s"}, lambda made: made.stats_flush_interval, 7.0),
        ({"node": {"id": "i"}}, lambda made: made.node.id, "i"),
        ({"admin": {"address": ADDRESS}}, lambda made: made.admin and made.admin.address.port, 9901),
        ({"admin": {"address": ADDRESS, "profile_path": "/p"}},
         lambda made: made.admin and made.admin.profile_path, "/p"),
        ({"admin": {"address": ADDRESS, "ignore_global_conn_limit": True}},
         lambda made: made.admin and made.admin.ignore_global_conn_limit, True),
        ({"admin": {"address": ADDRESS, "allow_paths": [{"exact": "/a"}]}},
         lambda made: made.admin and made.admin.allows("/b"), False),
        ({"admin": {"address": ADDRESS, "access_log": [log()]}},
         lambda made: made.admin and len(made.admin.access_logs), 1),
        ({"static_resources": {"clusters": [{"name": "c"}]},
          "cluster_manager": {"upstream_bind_config": {"source_address": {"address": "::1", "port_value": 0}}}},
         lambda made: [str(source.address) for each in made.clusters for source in each.socket.sources], ["[::1]:0"]),
        ({"admin": {"address": ADDRESS, "access_log_path": "/p"}},
         lambda made: made.admin and len(made.admin.access_logs), 1),
        ({"static_resources": {"clusters": [{"name": "c"}]}},
         lambda made: [each.name for each in made.clusters], ["c"]),
    ],
)  # fmt: skip
def test_a_bootstrap(fields: dict[str, Any], find: Callable[[Any], Any], value: Any) -> None:
    assert find(bootstrap()) != value
    assert find(bootstrap(**fields)) == value


def test_runtime_layers() -> None:
    layers = [{"name": "s", "static_layer": {"a": {"b": 1}}}, {"name": "a", "admin_layer": {}}]
    read = reader("envoy.config.bootstrap.v3.Bootstrap", {"layered_runtime": {"layers": layers}})
    assert read_runtime_layers(read) == [("s", {"a.b": "1"}), ("a", None)]


@pytest.mark.parametrize(("runtime", "layers"), [({}, []), ({"layered_runtime": {}}, [("", None)])])
def test_no_runtime_layers(runtime: dict[str, Any], layers: list[Any]) -> None:
    assert read_runtime_layers(reader("envoy.config.bootstrap.v3.Bootstrap", runtime)) == layers


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ({"a": "static_layer", "b": "rtds_layer"}, "only static_layer and admin_layer are supported"),
        ({"a": "admin_layer", "b": "admin_layer"}, "Too many admin layers specified"),
    ],
)
def test_runtime_layers_that_are_refused(kinds: dict[str, str], problem: str) -> None:
    layers: list[dict[str, Any]] = [{"name": name, kind: {}} for name, kind in kinds.items()]
    for given, cause in ((layers, problem), ([layers[0], layers[0]], "Duplicate layer name: a")):
        with pytest.raises(ConfigError, match=cause):
            read_runtime_layers(reader("envoy.config.bootstrap.v3.Bootstrap", {"layered_runtime": {"layers": given}}))


@pytest.mark.parametrize("direction", ["request", "response"])
def test_a_header_may_be_added_empty(direction: str) -> None:
    header = {"header": {"key": "a", "value": "%REQ(no)%"}}
    for keep in (True, False):
        fields = {f"{direction}_headers_to_add": [{**header, "keep_empty_value": keep}]}
        parsers = host(**fields, routes=[DIRECT]).header_parsers
        (added,) = (parsers.request if direction == "request" else parsers.response).to_add
        assert added.keep_empty_value is keep


SPACES = {"filter_metadata": {"a": {"b": "c"}}}


def test_metadata_of_parts() -> None:
    (route,) = host(metadata=SPACES, routes=[{**DIRECT, "metadata": SPACES}]).routes
    assert route.metadata == {"ROUTE": {"a": {"b": "c"}}, "VIRTUAL_HOST": {"a": {"b": "c"}}}
    endpoint = {"endpoint": {"address": ADDRESS}, "metadata": SPACES}
    made = cluster(metadata=SPACES, load_assignment={"cluster_name": "c", "endpoints": [{"lb_endpoints": [endpoint]}]})
    assert made.metadata == {"CLUSTER": {"a": {"b": "c"}}}
    assert made.endpoints[0].metadata == {"UPSTREAM_HOST": {"a": {"b": "c"}}}
    chain = {"filters": [{"name": "f", "typed_config": {"@type": f"type.googleapis.com/{ROUTER}"}}], "metadata": SPACES}
    (chain_settings,) = listener(filter_chains=[chain]).filter_chains
    assert chain_settings.metadata == {"LISTENER_FILTER_CHAIN": {"a": {"b": "c"}}}


def test_a_direct_response_has_its_status() -> None:
    (route,) = host(routes=[{**DIRECT, "direct_response": {"status": 418}}]).routes
    assert route.action == DirectResponseAction(418, b"")


def test_a_route_for_grpc() -> None:
    (route,) = host(routes=[{**DIRECT, "match": {"prefix": "/", "grpc": {}}}]).routes
    assert route.grpc


def test_a_table_whose_clusters_go_unchecked() -> None:
    assert not table(validate_clusters=False).validate_clusters
    assert table().validate_clusters


def test_host_predicates_and_priorities_of_retries() -> None:
    kinds = {
        "omit_host_metadata": "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
        "omit_canary_hosts": "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
        "previous_priorities": "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
    }
    for kind in kinds.values():
        message_class(kind)
    more = {
        "omit_host_metadata": {"metadata_match": {"filter_metadata": {"envoy.lb": {"a": "b"}}}},
        "previous_priorities": {"update_frequency": 7},
    }
    typed = {
        name: {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **more.get(name, {})}}
        for name, kind in kinds.items()
    }
    predicates = [typed["omit_host_metadata"], typed["omit_canary_hosts"]]
    made = retry(retry_host_predicate=predicates, retry_priority=typed["previous_priorities"])
    assert made.host_predicates == HostPredicates(canary_hosts=True, metadata=(match_criteria({"a": "b"}),))
    assert made.previous_priorities_frequency == 7


def test_criteria_of_routes_and_weighted_clusters() -> None:
    def labels(**values: str) -> dict[str, Any]:
        return {"metadata_match": {"filter_metadata": {"envoy.lb": values}}}

    weighted = {"weighted_clusters": {"clusters": [{"name": "c", "weight": 1, **labels(b="3")}]}}
    (route,) = host(routes=[{"match": {"prefix": "/"}, "route": {**weighted, **labels(a="1", b="2")}}]).routes
    assert isinstance(route.action, ClusterAction)
    assert route.action.metadata_match == match_criteria({"a": "1", "b": "2"})
    (variant,) = route.variants
    assert isinstance(variant.action, ClusterAction)
    assert variant.action.metadata_match == match_criteria({"a": "1", "b": "3"})


@pytest.mark.parametrize(("priority", "is_high"), [("HIGH", True), ("DEFAULT", False)])
def test_the_priority_of_connections(priority: str, is_high: bool) -> None:
    (route,) = host(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "c", "priority": priority}}]).routes
    assert isinstance(route.action, ClusterAction)
    assert route.action.high_priority is is_high


@pytest.mark.parametrize("field", ["retry_host_predicate", "retry_priority"])
def test_retries_know_no_others(field: str) -> None:
    other: Any = {"name": "other"}
    with pytest.raises(ConfigError, match="Didn't find a registered implementation for name: 'other'"):
        retry(**{field: [other] if field == "retry_host_predicate" else other})


def test_a_host_predicate_by_its_type() -> None:
    kind = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    message_class(kind)
    predicate = {"name": "mine", "typed_config": {"@type": f"type.googleapis.com/{kind}"}}
    assert retry(retry_host_predicate=[predicate]).host_predicates.previous_hosts


@pytest.mark.parametrize("level", ["route_configuration", "virtual_host", "route"])
@pytest.mark.parametrize("direction", ["request", "response"])
def test_header_mutations_of_a_level(level: str, direction: str) -> None:
    changes = {
        f"{direction}_headers_to_add": [{"header": {"key": "a", "value": "b"}}],
        f"{direction}_headers_to_remove": ["c"],
    }
    levels = ("route", "virtual_host", "route_configuration")
    on_route, on_host, on_table = (changes if level == each else {} for each in levels)
    hosts = [{"name": "v", "domains": ["*"], "routes": [{**DIRECT, **on_route}], **on_host}]
    (route,) = table(virtual_hosts=hosts, **on_table).routes()
    (parser,) = route.request_parsers if direction == "request" else route.response_parsers
    assert [(each.name, each.value) for each in parser.to_add] == [(b"a", b"b")]
    assert parser.to_remove == [b"c"]


@pytest.mark.parametrize(
    ("matcher", "fits", "does_not"),
    [
        ({"contains_match": "b"}, b"abc", b"ac"),
        ({"prefix_match": "a"}, b"ab", b"ba"),
        ({"suffix_match": "a"}, b"ba", b"ab"),
        ({"exact_match": "a"}, b"a", b"ab"),
        ({"range_match": {"start": 2, "end": 5}}, b"2", b"1"),
        ({"range_match": {"start": 2, "end": 5}}, b"4", b"5"),
        ({"string_match": {"exact": "a"}, "invert_match": True}, b"b", b"a"),
        ({"present_match": True}, b"", None),
        ({"present_match": True, "invert_match": True}, None, b"a"),
        ({"string_match": {"exact": ""}, "treat_missing_header_as_empty": True}, None, b"a"),
    ],
)
def test_header_matchers(matcher: dict[str, Any], fits: bytes | None, does_not: bytes | None) -> None:
    route = {**DIRECT, "match": {"prefix": "/", "headers": [{"name": "h", **matcher}]}}
    made = table(virtual_hosts=[{"name": "v", "domains": ["*"], "routes": [route]}])
    for value, wanted in ((fits, True), (does_not, False)):
        headers = RequestHeaders(b"GET", b"/", b"a", b"http", [] if value is None else [(b"h", value)])
        assert (made.route(headers) is not None) is wanted


@pytest.mark.parametrize(
    ("matcher", "fits", "does_not"),
    [
        ({"present_match": True}, b"/?q", b"/"),
        ({"present_match": False}, b"/", b"/?q"),
        ({"string_match": {"exact": "a"}}, b"/?q=a", b"/?q=b"),
    ],
)
def test_query_parameters(matcher: dict[str, Any], fits: bytes, does_not: bytes) -> None:
    route = {**DIRECT, "match": {"prefix": "/", "query_parameters": [{"name": "q", **matcher}]}}
    made = table(virtual_hosts=[{"name": "v", "domains": ["*"], "routes": [route]}])
    assert made.route(RequestHeaders(b"GET", fits, b"a")) is not None
    assert made.route(RequestHeaders(b"GET", does_not, b"a")) is None


def test_a_plain_socket_by_its_name() -> None:
    kind = "envoy.config.core.v3.TransportSocket"
    assert read_upstream_socket(reader(kind, {"name": "envoy.transport_sockets.raw_buffer"})) is None
    with pytest.raises(ConfigError):
        read_upstream_socket(reader(kind, {"name": "another"}))


def test_local_replies_mapped() -> None:
    code = {"status_code_filter": {"comparison": {"value": {"default_value": 404, "runtime_key": "k"}}}}
    mapper = {
        "filter": code, "status_code": 299, "body": {"inline_string": "b"},
        "body_format_override": {"text_format_source": {"inline_string": "own"}},
        "headers_to_add": [{"header": {"key": "a", "value": "b"}}],
    }  # fmt: skip
    body_format = {"text_format_source": {"inline_string": "all"}, "content_type": "a/b"}
    mapping = manager(
        local_reply_config={"mappers": [mapper, {"filter": code}], "body_format": body_format}
    ).local_reply
    assert mapping is not None
    one, two = mapping.mappers
    context = full(response_code=404)
    assert one.wanted(context)
    assert not one.wanted(full(response_code=200))
    assert (one.status, one.body, [each.name for each in one.headers.to_add]) == (299, b"b", [b"a"])
    assert one.body_format is not None
    assert one.body_format.format(context, b"") == b"own"
    assert (two.status, two.body, two.body_format, list(two.headers.to_add)) == (None, None, None, [])
    assert (mapping.body_format.format(context, b""), mapping.body_format.content_type) == (b"all", b"a/b")
    assert manager().local_reply is None
    plain = manager(local_reply_config={}).local_reply
    assert plain is not None
    assert plain.body_format.format(context, b"body") == b"body"
