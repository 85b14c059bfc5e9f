"""Health checks read from Envoy's messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.network.api import Address, PipeAddress
from envoymesh.upstream.config import read_cluster
from envoymesh.upstream.health.config import FILE_SINK, HealthCheckFactoryContext
from envoymesh.upstream.health.settings import (
    EndpointHealthCheck,
    GrpcHealthCheckSettings,
    HealthCheckSettings,
    HttpHealthCheckSettings,
    TcpHealthCheckSettings,
)
from envoymesh.upstream.settings import ClusterSettings
from tests.support.fakes import FakeRuntime

PATH = "static_resources.clusters[0]"
TIMES = {"timeout": "1s", "interval": "2s", "unhealthy_threshold": 3, "healthy_threshold": 4}
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
FIXED: dict[str, Any] = {
    "typed_extension_protocol_options": {
        HTTP2: {"@type": f"type.googleapis.com/{HTTP2}", "explicit_http_config": {"http2_protocol_options": {}}}
    }
}


class Context:
    """Stands for other rooms: what was opened and read."""

    def __init__(self) -> None:
        self.files: dict[str, list[bytes]] = {}
        self.headers: list[list[str]] = []

    def made(self) -> HealthCheckFactoryContext:
        return HealthCheckFactoryContext(
            self._open, self._headers, lambda reader: reader.string("prefix").encode().__eq__
        )

    def _open(self, path: str) -> Any:
        return self.files.setdefault(path, []).append

    def _headers(self, reader: Reader, to_add: str, to_remove: str) -> Any:
        names = [each.required("header").string("key") for each in reader.repeated(to_add)]
        names += [f"-{name}" for name in (reader.strings(to_remove) if to_remove else [])]
        self.headers.append(names)
        return (lambda *request: None) if names else None


def read_whole(cluster: dict[str, Any] | None = None, context: Context | None = None, **check: Any) -> ClusterSettings:
    """A cluster named `c` with one check; nothing may be left unread."""
    message_class(HTTP2)
    message_class(FILE_SINK)
    fields = {"name": "c", "health_checks": [{**TIMES, **check}], **(cluster or {})}
    message = json_format.ParseDict(fields, message_class("envoy.config.cluster.v3.Cluster")())
    reader = Reader(message, PATH)
    settings = read_cluster(reader, FakeRuntime(), None, (context or Context()).made())
    reader.finish()
    return settings


def read(**check: Any) -> HealthCheckSettings:
    found = read_whole(**check).health_check
    assert found is not None
    return found


def http(**fields: Any) -> HttpHealthCheckSettings:
    found = read(http_health_check={"path": "/hc", **fields}).check
    assert isinstance(found, HttpHealthCheckSettings)
    return found


def refused(**fields: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        read_whole(**fields)
    return caught.value.path.removeprefix(f"{PATH}."), caught.value.message


def test_defaults_are_envoys() -> None:
    assert read(http_health_check={"path": "/hc"}) == HealthCheckSettings(
        HttpHealthCheckSettings(b"/hc"), timeout=1.0, interval=2.0, unhealthy_threshold=3, healthy_threshold=4,
        no_traffic_interval=60.0, no_traffic_healthy_interval=60.0, unhealthy_interval=2.0, unhealthy_edge_interval=2.0,
        healthy_edge_interval=2.0,
    )  # fmt: skip


def test_times() -> None:
    found = read(
        tcp_health_check={}, no_traffic_interval="3s", no_traffic_healthy_interval="4s", unhealthy_interval="5s",
        unhealthy_edge_interval="6s", healthy_edge_interval="7s", initial_jitter="8s", interval_jitter="9s",
        interval_jitter_percent=10,
    )  # fmt: skip
    assert (found.no_traffic_interval, found.no_traffic_healthy_interval, found.unhealthy_interval) == (3.0, 4.0, 5.0)
    assert (found.unhealthy_edge_interval, found.healthy_edge_interval, found.initial_jitter) == (6.0, 7.0, 8.0)
    assert (found.interval_jitter, found.interval_jitter_percent) == (9.0, 10)


def test_an_interval_stands_for_those_that_are_left_out() -> None:
    found = read(tcp_health_check={}, no_traffic_interval="3s", unhealthy_interval="5s")
    assert (found.no_traffic_healthy_interval, found.unhealthy_edge_interval, found.healthy_edge_interval) == (3, 5, 2)


def test_the_rest_of_a_check() -> None:
    found = read(
        tcp_health_check={}, reuse_connection=False, always_log_health_check_failures=True,
        always_log_health_check_success=True, alt_port=5, tls_options={"alpn_protocols": ["a"]},
        transport_socket_match_criteria={"b": 1},
    )  # fmt: skip
    assert not found.reuse_connection
    assert found.always_log_health_check_failures
    assert found.always_log_health_check_success
    assert (found.alpn_protocols, found.transport_socket_match_criteria) == (("a",), {"b": 1})
    assert read(tcp_health_check={}, tls_options={}).alpn_protocols == ()


def test_http() -> None:
    found = http(
        host="h", method="PUT", send={"text": "6869"}, receive=[{"text": "00ff"}, {"binary": "aGk="}],
        response_buffer_size=9, expected_statuses=[{"start": 200, "end": 300}],
        retriable_statuses=[{"start": 500, "end": 600}], codec_client_type="HTTP2",
        service_name_matcher={"prefix": "s"},
    )  # fmt: skip
    assert (found.path, found.host, found.method, found.send) == (b"/hc", b"h", b"PUT", b"hi")
    assert (found.receive, found.response_buffer_size) == ((b"\x00\xff", b"hi"), 9)
    assert (found.expected_statuses, found.retriable_statuses) == (((200, 300),), ((500, 600),))
    assert found.http2
    assert found.service_name_matcher is not None
    assert found.service_name_matcher(b"s")


def test_headers() -> None:
    context = Context()
    change = [{"header": {"key": "a"}}]
    http = {"path": "/", "request_headers_to_add": change, "request_headers_to_remove": ["c"]}
    check = read_whole(context=context, http_health_check=http).health_check
    assert check is not None
    assert check.check.mutate_headers is not None  # type: ignore[union-attr]
    read_whole(FIXED, context, grpc_health_check={"initial_metadata": change})
    assert context.headers == [["a", "-c"], ["a"]]


def test_tcp() -> None:
    found = read(tcp_health_check={"send": {"text": "6869"}, "receive": [{"text": "00"}, {"binary": "aGk="}]})
    assert found.check == TcpHealthCheckSettings(b"hi", (b"\x00", b"hi"))
    found = read(tcp_health_check={"send": {"binary": "aGk="}})
    assert found.check == TcpHealthCheckSettings(), "as in Envoy"


def test_grpc() -> None:
    found = read_whole(FIXED, grpc_health_check={"service_name": "s", "authority": "a"}).health_check
    assert found is not None
    assert found.check == GrpcHealthCheckSettings(b"s", b"a")


def test_the_event_log() -> None:
    context = Context()
    sink = {"name": "n", "typed_config": {"@type": f"type.googleapis.com/{FILE_SINK}", "event_log_path": "/one"}}
    found = read_whole(context=context, tcp_health_check={}, event_logger=[sink], event_log_path="/two").health_check
    assert found is not None
    assert found.log_event is not None
    found.log_event(b"line")
    assert context.files == {"/one": [b"line"], "/two": [b"line"]}
    found = read_whole(context=context, tcp_health_check={}, event_log_path="/three").health_check
    assert found is not None
    assert found.log_event is not None
    found.log_event(b"line")
    assert context.files["/three"] == [b"line"]


@pytest.mark.parametrize(
    ("fields", "path", "text"),
    [
        ({"http_health_check": {"path": "/", "send": {"text": "00"}}}, "http_health_check.send", "with method 'GET'"),
        (
            {"http_health_check": {"path": "/", "method": "DELETE", "send": {"text": "00"}}},
            "http_health_check.send",
            "DELETE",
        ),
        (
            {"http_health_check": {"path": "/", "codec_client_type": "HTTP3"}},
            "http_health_check.codec_client_type",
            "HTTP3",
        ),
        (
            {"http_health_check": {"path": "/", "receive": [{"text": "0z"}]}},
            "http_health_check.receive[0].text",
            "invalid hex string '0z'",
        ),
        (
            {"http_health_check": {"path": "/", "receive": [{"text": "0 0"}]}},
            "http_health_check.receive[0].text",
            "invalid hex",
        ),
        (
            {"http_health_check": {"path": "/", "receive": [{"text": "0011"}], "response_buffer_size": 1}},
            "http_health_check.receive",
            "length '2'",
        ),
        (
            {"http_health_check": {"path": "/", "expected_statuses": [{"start": 200, "end": 200}]}},
            "http_health_check.expected_statuses[0].start",
            "start < end",
        ),
        (
            {"http_health_check": {"path": "/", "expected_statuses": [{"start": 99, "end": 200}]}},
            "http_health_check.expected_statuses[0].start",
            "start >= 100",
        ),
        (
            {"http_health_check": {"path": "/", "retriable_statuses": [{"start": 500, "end": 601}]}},
            "http_health_check.retriable_statuses[0].end",
            "Invalid http retriable",
        ),
        (
            {"tcp_health_check": {"proxy_protocol_config": {"version": "V2"}}},
            "tcp_health_check.proxy_protocol_config",
            "not supported",
        ),
        ({"grpc_health_check": {}}, "grpc_health_check", "c cluster must support HTTP/2"),
        ({"custom_health_check": {"name": "envoy.health_checkers.redis"}}, "custom_health_check", "not supported"),
        (
            {"tcp_health_check": {}, "event_service": {"grpc_service": {"envoy_grpc": {"cluster_name": "c"}}}},
            "event_service",
            "not supported",
        ),
    ],
)
def test_refused(fields: dict[str, Any], path: str, text: str) -> None:
    where, why = refused(**fields)
    assert where == f"health_checks[0].{path}"
    assert text in why


def test_several_checks_need_names() -> None:
    where, why = refused(cluster={"health_checks": [{**TIMES, "tcp_health_check": {}}] * 2})
    assert where == "health_checks"
    assert "missing a name" in why


def test_hosts_that_requests_name_are_not_checked() -> None:
    where, why = refused(cluster={"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}, tcp_health_check={})
    assert where == "health_checks"
    assert "ORIGINAL_DST" in why


def endpoint(**config: Any) -> EndpointHealthCheck | None:
    address = {"socket_address": {"address": "10.0.0.1", "port_value": 80}}
    host = {"endpoint": {"address": address, "health_check_config": config}}
    assignment = {"cluster_name": "c", "endpoints": [{"lb_endpoints": [host]}]}
    [found] = read_whole({"load_assignment": assignment}, tcp_health_check={}).endpoints
    return found.health_check


def test_what_an_endpoint_says() -> None:
    assert endpoint() is None
    assert endpoint(port_value=81, hostname="h") == EndpointHealthCheck(81, "h")
    assert endpoint(disable_active_health_check=True) == EndpointHealthCheck(disabled=True)
    at = {"socket_address": {"address": "10.0.0.9", "port_value": 82}}
    assert endpoint(address=at) == EndpointHealthCheck(address=Address("10.0.0.9", 82))
    assert endpoint(address={"pipe": {"path": "/a"}}) == EndpointHealthCheck(address=PipeAddress("/a"))


def test_an_endpoint_is_checked_at_an_address() -> None:
    with pytest.raises(ConfigError, match="malformed IP address: name"):
        endpoint(address={"socket_address": {"address": "name", "port_value": 82}})


def test_fields_of_the_cluster() -> None:
    found = read_whole(
        {
            "close_connections_on_host_health_failure": True,
            "common_lb_config": {"ignore_new_hosts_until_first_hc": True},
        },
        tcp_health_check={},
    )
    assert found.close_connections_on_host_health_failure
    assert found.ignore_new_hosts_until_first_hc
