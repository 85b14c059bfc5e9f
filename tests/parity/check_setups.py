"""Clusters whose hosts are checked, and the setups of the cases about that. It must not know cases.

Every cluster has its own host, or two. Names begin with `hc-`: counts of checks are not compared (stats_left_out.toml).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.harness import Wait, catch_all, http_listener, socket_address, static_cluster, to_cluster
from tests.parity import frames
from tests.parity.checked import (
    Checked,
    Http2Checked,
    Http2Peer,
    Listens,
    answer,
    plain,
    secured,
)
from tests.parity.setup import Json, MakeUpstream, Places, Setup, bootstrap_of, tcp_listener
from tests.parity.upstreams import Refusing

TIME_OUT = (
    "slow", "silent", "h2-silent", "grpc-silent", "wrong-answer", "no-answer", "binary-send", "tls-tcp-to-plain",
    "tls-to-plain", "stalls", "bytes-cut", "bytes-stay",
)  # fmt: skip
"""Clusters whose checks are to time out. Others have time, and all are checked seldom: setups run side by side; their
hosts are threads of one process, and those that answer late would be connected to again and again."""
OUT = "/failed_active_hc"
TIMED_OUT = "/failed_active_hc/active_hc_timeout"
NO_PANIC: Json = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HTTP2: Json = {
    "typed_extension_protocol_options": {
        HTTP_OPTIONS: {
            "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}
UPSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
TLS: Json = {
    "transport_socket": {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": UPSTREAM_TLS, "sni": "up.example.com"},
    }
}
ENDPOINTS = "static_endpoint_configs.endpoint_config.endpoints"
FILE_SINK = "type.googleapis.com/envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink"


def http(**more: Any) -> Json:
    """An HTTP check; fields of the HealthCheck itself beside `http_health_check` are named `of_check`."""
    of_check = more.pop("of_check", {})
    return {"http_health_check": {"path": "/hc", **more}, **of_check}


def header(name: str, value: str, **more: Any) -> Json:
    return {"header": {"key": name, "value": value}, **more}


@dataclass(frozen=True)
class Cluster:
    """A cluster that is checked.

    Args:
        hosts: what makes each.
        check: fields of its HealthCheck.
        more: fields of the cluster.
        endpoint: fields of every endpoint.
        events: the suffix of an event log beside the access log; empty for none.
    """

    name: str
    check: Json
    hosts: tuple[MakeUpstream, ...]
    more: Json = field(default_factory=dict)
    endpoint: Json = field(default_factory=dict)
    events: str = ""

    def upstreams(self) -> dict[str, MakeUpstream]:
        return {f"{self.name}-{at + 1}": make for at, make in enumerate(self.hosts)}

    def config(self, places: Places) -> Json:
        check = {
            "timeout": "0.4s" if self.name in TIME_OUT else "2s",
            "interval": "0.5s",
            "no_traffic_interval": "0.5s",
            "unhealthy_threshold": 2,
            "healthy_threshold": 2,
            **self.check,
        }
        if self.events:
            check["event_log_path"] = str(places.log.with_name(f"hc-{self.name}.{self.events}"))
        made = {**static_cluster(f"hc-{self.name}"), **NO_PANIC, "health_checks": [check], **self.more}
        endpoints = [
            {"endpoint": {"address": socket_address(places[name]), **self.endpoint}} for name in self.upstreams()
        ]
        assignment = {"cluster_name": made["name"], "endpoints": [{"lb_endpoints": endpoints}]}
        return {**made, "load_assignment": assignment}


def one(
    name: str,
    make: MakeUpstream,
    check: Json,
    more: Json | None = None,
    endpoint: Json | None = None,
    *,
    events: str = "",
) -> Cluster:
    """A cluster of one host."""
    return Cluster(name, check, (make,), more or {}, endpoint or {}, events)


def setup_of(name: str, clusters: list[Cluster], *flags: str, **more: Any) -> Setup:
    """All of these clusters, each behind a route of its name and a TCP proxy."""
    made = {name: make for each in clusters for name, make in each.upstreams().items()}

    def configuration(places: Places) -> Json:
        routes = [to_cluster(f"hc-{each.name}", f"/{each.name}/") for each in clusters]
        listeners = [http_listener("main", catch_all(*routes))]
        listeners += [tcp_listener(each.name, f"hc-{each.name}") for each in clusters if each.name.startswith("bytes")]
        return bootstrap_of(listeners, [each.config(places) for each in clusters], **more)

    return Setup(name, configuration, made, flags or ("--concurrency", "1"))


# HTTP


def _bodies(*parts: str) -> list[Json]:
    return [{"text": part.encode().hex()} for part in parts]


HTTP_CLUSTERS = [
    one("well", plain(), http()),
    one("wrong", plain(answer(503, b"")), http()),
    one("wrong-200", plain(), http(expected_statuses=[{"start": 204, "end": 205}])),
    one(
        "expected", plain(answer(418)), http(expected_statuses=[{"start": 200, "end": 300}, {"start": 418, "end": 419}])
    ),
    one("retriable", plain(answer(503)), http(retriable_statuses=[{"start": 500, "end": 600}])),
    one("degraded", plain(answer(200, b"ok", b"x-envoy-degraded: true")), http()),
    one("immediate", plain(answer(503, b"", b"x-envoy-immediate-health-check-fail: true")), http()),
    one("immediate-200", plain(answer(200, b"", b"x-envoy-immediate-health-check-fail: true")), http()),
    one("refused", Refusing, http()),
    one("slow", plain(delay=0.7), http()),
    one("silent", plain(b""), http()),
    one("garbage", plain(b"garbage\r\n\r\n"), http()),
    one("closes", plain(b"", close=True), http()),
    one("cut", plain(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", close=True), http()),
    one("announces", plain(answer(200, b"ok", b"connection: close")), http()),
    one("once", plain(close=True), http()),
    one("old", plain(answer(200, b"ok", version=b"1.0")), http()),
    one("to-the-end", plain(b"HTTP/1.1 200 OK\r\n\r\nok", close=True), http()),
    one("chunked", plain(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), http()),
    one("empty", plain(b"HTTP/1.1 204 No Content\r\n\r\n"), http(expected_statuses=[{"start": 204, "end": 205}])),
    one("interim", plain(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer()), http()),
    one("no-reuse", plain(), http(of_check={"reuse_connection": False})),
]
HTTP_SETUP = setup_of("checks-http", HTTP_CLUSTERS)

REQUEST_CLUSTERS = [
    one("host", plain(), http(host="checked.example.com", path="/a?b=c")),
    one(
        "hostname",
        plain(),
        http(host="checked.example.com"),
        endpoint={"hostname": "real", "health_check_config": {"hostname": "own.example.com"}},
    ),
    one("head", plain(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), http(method="HEAD")),
    one("post", plain(), http(method="POST", send={"text": "68656c6c6f"})),
    one("put", plain(), http(method="PUT", send={"binary": base64.b64encode(b"\x00bin").decode()})),
    one("options", plain(), http(method="OPTIONS")),
    one(
        "headers",
        plain(),
        http(
            request_headers_to_add=[
                header("x-a", "1"),
                header("x-a", "2"),
                header("x-protocol", "%PROTOCOL%"),
                header("x-from", "%DOWNSTREAM_REMOTE_ADDRESS%"),
                header("user-agent", "me", append_action="OVERWRITE_IF_EXISTS_OR_ADD"),
                header("x-check", "yes"),
            ]
        ),
    ),
    one(
        "no-agent",
        plain(),
        http(request_headers_to_add=[header("x-check", "yes")], request_headers_to_remove=["User-Agent"]),
    ),
    one("has", plain(answer(200, b"one two three")), http(receive=_bodies("one", "three"))),
    one("has-not", plain(answer(200, b"one two three")), http(receive=_bodies("three", "one"))),
    one("too-far", plain(answer(200, b"x" * 1020 + b"needle")), http(receive=_bodies("needle"))),
    one("far", plain(answer(200, b"x" * 1020 + b"needle")), http(receive=_bodies("needle"), response_buffer_size=0)),
    one("near", plain(answer(200, b"abcdef")), http(receive=_bodies("abc"), response_buffer_size=3)),
    one("has-binary", plain(answer(200, b"a\x00b")), http(receive=[{"binary": base64.b64encode(b"\x00b").decode()}])),
    one("has-but-wrong", plain(answer(503, b"one")), http(receive=_bodies("one"))),
    one(
        "service",
        plain(answer(200, b"", b"x-envoy-upstream-healthchecked-cluster: shop-1")),
        http(service_name_matcher={"prefix": "shop"}),
    ),
    one(
        "other-service",
        plain(answer(200, b"", b"x-envoy-upstream-healthchecked-cluster: bank")),
        http(service_name_matcher={"prefix": "shop"}),
    ),
    one("no-service", plain(), http(service_name_matcher={"prefix": "shop"})),
    one("any-service", plain(), http(service_name_matcher={"safe_regex": {"regex": ".*"}})),
    one("tls", secured, http(), TLS),
    one("tls-alpn", lambda: secured("check"), http(of_check={"tls_options": {"alpn_protocols": ["check"]}}), TLS),
    one("tls-to-plain", plain(), http(), TLS),
    one("plain-to-tls", secured, http()),
    one(
        "by-match",
        secured,
        http(of_check={"transport_socket_match_criteria": {"secure": True}}),
        {
            "transport_socket_matches": [{"name": "secure", "match": {"secure": True}, **TLS}],
        },
    ),
    one(
        "by-match-not",
        plain(),
        http(of_check={"transport_socket_match_criteria": {"secure": False}}),
        {
            "transport_socket_matches": [{"name": "secure", "match": {"secure": True}, **TLS}],
        },
    ),
]
REQUEST_SETUP = setup_of("checks-request", REQUEST_CLUSTERS)


# HTTP/2 and gRPC


def http2_answer(
    *more: frames.Field, status: str = "200", body: bytes | None = None
) -> Callable[[Http2Peer, int], None]:
    """Answer with headers, and a body where there is one."""
    fields = [(":status", status), *more]

    def send(peer: Http2Peer, stream: int) -> None:
        peer.send(
            frames.headers(fields, stream, end=body is None) + (b"" if body is None else frames.data(body, stream))
        )

    return send


def http2_says(*parts: Callable[[int], bytes]) -> Callable[[Http2Peer, int], None]:
    """Answer with these frames of the stream."""
    return lambda peer, stream: peer.send(b"".join(part(stream) for part in parts))


def _head(*more: frames.Field, status: str = "200", end: bool = False) -> Callable[[int], bytes]:
    return lambda stream: frames.headers([(":status", status), *more], stream, end=end)


GRPC_TYPE = ("content-type", "application/grpc")


def grpc_answer(
    *messages: bytes, status: str = "0", content_type: str = "application/grpc"
) -> Callable[[Http2Peer, int], None]:
    """Answer with messages and trailers."""
    framed = b"".join(b"\0" + len(each).to_bytes(4, "big") + each for each in messages)
    return http2_says(
        _head(("content-type", content_type)),
        lambda stream: frames.data(framed, stream, end=False),
        lambda stream: frames.headers([("grpc-status", status)], stream),
    )


def h2(name: str, reply: Callable[[Http2Peer, int], None], check: Json | None = None, **more: Any) -> Cluster:
    return one(name, lambda: Http2Checked(reply), check or http(codec_client_type="HTTP2"), more)


def grpc(name: str, reply: Callable[[Http2Peer, int], None], of_check: Json | None = None, **more: Any) -> Cluster:
    return one(name, lambda: Http2Checked(reply), {"grpc_health_check": more, **(of_check or {})}, HTTP2)


SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
STREAM_CLUSTERS = [
    h2("h2", http2_answer()),
    h2(
        "h2-body",
        http2_answer(body=b"yes"),
        http(codec_client_type="HTTP2", method="POST", send={"text": "6869"}, receive=_bodies("yes")),
    ),
    h2("h2-wrong", http2_answer(status="503")),
    h2("h2-trailers", http2_says(_head(), lambda stream: frames.headers([("x-t", "1")], stream))),
    h2("h2-reset", lambda peer, stream: peer.send(frames.rst(2, stream))),
    h2("h2-silent", lambda peer, stream: None),
    h2("h2-leaves", http2_says(lambda stream: frames.goaway(stream, 0), _head(end=True))),
    h2("h2-leaves-unasked", http2_says(lambda stream: frames.goaway(0, 0))),
    h2("h2-fails", http2_says(lambda stream: frames.goaway(stream, 2))),
    h2("h2-malformed", lambda peer, stream: peer.send(frames.frame(frames.DATA, 0, 0, b"x"))),
    grpc("grpc", grpc_answer(SERVING)),
    grpc(
        "grpc-service",
        grpc_answer(SERVING),
        service_name="shop",
        authority="grpc.example.com",
        initial_metadata=[header("x-m", "%PROTOCOL%")],
    ),
    grpc("grpc-not-serving", grpc_answer(NOT_SERVING)),
    grpc("grpc-unknown", grpc_answer(SERVICE_UNKNOWN)),
    grpc("grpc-empty", grpc_answer(b"")),
    grpc("grpc-none", grpc_answer()),
    grpc("grpc-two", grpc_answer(SERVING, SERVING)),
    grpc("grpc-no-message", grpc_answer(b"\xff")),
    grpc("grpc-status", grpc_answer(SERVING, status="14")),
    grpc("grpc-trailers-only", http2_answer(GRPC_TYPE, ("grpc-status", "12"))),
    grpc("grpc-http-error", http2_answer(status="503")),
    grpc("grpc-http", http2_answer(body=b"hello")),
    grpc("grpc-ends", http2_answer(GRPC_TYPE, body=b"\0\0\0\0\2" + SERVING)),
    grpc("grpc-silent", lambda peer, stream: None),
    grpc("grpc-reset", lambda peer, stream: peer.send(frames.rst(2, stream))),
    grpc("grpc-no-reuse", grpc_answer(SERVING), {"reuse_connection": False}),
    grpc(
        "grpc-leaves", lambda peer, stream: (peer.send(frames.goaway(stream, 0)), grpc_answer(SERVING)(peer, stream))[0]
    ),
    grpc("grpc-fails", http2_says(lambda stream: frames.goaway(stream, 2))),
]
STREAM_SETUP = setup_of("checks-streams", STREAM_CLUSTERS)


# TCP, and where a check goes


def _tcp(**more: Any) -> Json:
    return {"tcp_health_check": more}


PLACE_CLUSTERS = [
    one("connects", Listens, _tcp()),
    one("connects-refused", Refusing, _tcp()),
    one("sends-only", lambda: Listens(wait=b"never"), _tcp(send={"text": "6869"})),
    one("answers", lambda: Listens(b"hello", wait=b"hi"), _tcp(send={"text": "6869"}, receive=_bodies("hello"))),
    one(
        "in-pieces",
        lambda: Listens(b"he", b"l", b"lo", wait=b"hi"),
        _tcp(send={"text": "6869"}, receive=_bodies("he", "lo")),
    ),
    one("speaks-first", lambda: Listens(b"hello"), _tcp(receive=_bodies("hello"))),
    one("wrong-answer", lambda: Listens(b"no", wait=b"hi"), _tcp(send={"text": "6869"}, receive=_bodies("yes"))),
    one("no-answer", lambda: Listens(wait=b"hi"), _tcp(send={"text": "6869"}, receive=_bodies("yes"))),
    one("closes-tcp", lambda: Listens(wait=b"hi", close=True), _tcp(send={"text": "6869"}, receive=_bodies("yes"))),
    one(
        "answers-once",
        lambda: Listens(b"yes", wait=b"hi", close=True),
        _tcp(send={"text": "6869"}, receive=_bodies("yes")),
    ),
    one(
        "no-reuse-tcp",
        lambda: Listens(b"yes", wait=b"hi"),
        {**_tcp(send={"text": "6869"}, receive=_bodies("yes")), "reuse_connection": False},
    ),
    one("binary-send", lambda: Listens(b"yes", wait=b"hi"), _tcp(send={"binary": "aGk="}, receive=_bodies("yes"))),
    one("tls-tcp", secured, _tcp(), TLS),
    one("tls-tcp-to-plain", lambda: Listens(wait=b"never"), _tcp(), TLS),
    one(
        "disabled", plain(answer(503)), http(), endpoint={"health_check_config": {"disable_active_health_check": True}}
    ),
    Cluster("dns", http(), (plain(),), {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"}),
    Cluster("dns-wrong", http(), (plain(answer(503)),), {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"}),
    Cluster("logical", http(), (plain(answer(503)),), {"type": "LOGICAL_DNS", "dns_lookup_family": "V4_ONLY"}),
    Cluster(
        "new-hosts",
        http(of_check={"initial_jitter": "0.3s"}),
        (plain(),),
        {
            "type": "STRICT_DNS",
            "dns_lookup_family": "V4_ONLY",
            "wait_for_warm_on_init": False,
            "common_lb_config": {"ignore_new_hosts_until_first_hc": True, "healthy_panic_threshold": {"value": 0}},
        },
    ),
]


class _Elsewhere:
    """A cluster whose host is checked at another's port: requests go to the first, checks to the second."""

    name = "elsewhere"

    def upstreams(self) -> dict[str, MakeUpstream]:
        return {"elsewhere-1": plain(answer(503)), "elsewhere-2": plain()}

    def config(self, places: Places) -> Json:
        made = one("elsewhere", plain(), http()).config(places)
        [[endpoint]] = [each["lb_endpoints"] for each in made["load_assignment"]["endpoints"]]
        endpoint["endpoint"]["health_check_config"] = {"port_value": places["elsewhere-2"][1], "hostname": "there"}
        return made


class _OtherAddress(_Elsewhere):
    name = "other-address"

    def upstreams(self) -> dict[str, MakeUpstream]:
        return {"other-address-1": plain(answer(503)), "other-address-2": plain()}

    def config(self, places: Places) -> Json:
        made = one("other-address", plain(), http()).config(places)
        [[endpoint]] = [each["lb_endpoints"] for each in made["load_assignment"]["endpoints"]]
        endpoint["endpoint"]["health_check_config"] = {"address": socket_address(places["other-address-2"])}
        return made


PLACE_SETUP = setup_of("checks-places", [*PLACE_CLUSTERS, _Elsewhere(), _OtherAddress()])  # type: ignore[list-item]


# What changes while it runs


def fails(host: Any) -> None:
    host.reply = answer(503, b"")


def cuts(host: Any) -> None:
    host.reply, host.close = b"", True


def recovers(host: Any) -> None:
    host.reply, host.close, host.delay = answer(), False, 0.0


def degrades(host: Any) -> None:
    host.reply = answer(200, b"ok", b"x-envoy-degraded: 1")


def stalls(host: Any) -> None:
    host.delay = 0.7


def fails_at_once(host: Any) -> None:
    host.reply, host.delay = answer(503, b""), 0.0


WINDOW = Wait(1.1)
"""Between two changes of a host: the real Envoy tells its workers of health once a second (`update_merge_window`)."""


IMMEDIATE = b"HTTP/1.1 200 OK\r\nx-envoy-immediate-health-check-fail: true\r\ncontent-length: 2\r\n\r\nok"


class _TakesItselfOut(Checked):
    """Answers requests to /out with the header that takes it out."""

    def __init__(self) -> None:
        super().__init__()
        self._answers = [("/takes-out/out", lambda peer, request: peer.send(IMMEDIATE)), *self._answers]


EVERY: Json = {"always_log_health_check_failures": True, "always_log_health_check_success": True}


def _sinks(places_name: str) -> Json:
    return {"@type": FILE_SINK, "event_log_path": places_name}


CHANGE_CLUSTERS = [
    one("changes", plain(), http(), events="events"),
    one("by-threshold", plain(), http(), events="events"),
    one("every-event", plain(), http(of_check=EVERY), events="events"),
    one("every-failure", plain(answer(503)), http(of_check=EVERY), events="events"),
    one("to-degraded", plain(), http(), events="events"),
    one("stalls", plain(), http(), events="events"),
    one("tcp-events", lambda: Listens(wait=b"never"), _tcp(), events="events"),
    one(
        "grpc-events", lambda: Http2Checked(grpc_answer(NOT_SERVING)), {"grpc_health_check": {}}, HTTP2, events="events"
    ),
    one(
        "takes-out", _TakesItselfOut, http(of_check={"no_traffic_interval": "0.15s", "interval": "2s"}), events="events"
    ),
    one("rarely", plain(), http(of_check={"no_traffic_interval": "60s"})),
    one("healthy-rarely", plain(), http(of_check={"no_traffic_healthy_interval": "60s"})),
    one("edge", plain(answer(503)), http(of_check={"no_traffic_interval": "0.1s", "unhealthy_interval": "60s"})),
    one(
        "jittered",
        plain(),
        http(of_check={"initial_jitter": "0.2s", "interval_jitter": "0.1s", "interval_jitter_percent": 50}),
    ),
    one(
        "bytes-cut",
        lambda: Listens(b"hello"),
        _tcp(receive=_bodies("hello")),
        {"close_connections_on_host_health_failure": True},
    ),
    one("bytes-stay", lambda: Listens(b"hello"), _tcp(receive=_bodies("hello"))),
    Cluster("two", http(), (plain(), plain())),
    Cluster("both-out", http(), (plain(answer(503)), plain(answer(503))), {"common_lb_config": {}}),
]


class _Priorities:
    name = "priorities"

    def upstreams(self) -> dict[str, MakeUpstream]:
        return {"priorities-1": plain(), "priorities-2": plain()}

    def config(self, places: Places) -> Json:
        made = Cluster("priorities", http(), (plain(), plain())).config(places)
        first, second = made["load_assignment"]["endpoints"][0]["lb_endpoints"]
        made["load_assignment"]["endpoints"] = [
            {"lb_endpoints": [first], "priority": 0},
            {"lb_endpoints": [second], "priority": 1},
        ]
        return made


class _Sinks:
    name = "sinks"

    def upstreams(self) -> dict[str, MakeUpstream]:
        return {"sinks-1": plain(answer(503))}

    def config(self, places: Places) -> Json:
        made = one("sinks", plain(), http(), events="events").config(places)
        sinks = [_sinks(str(places.log.with_name(f"hc-sinks.{name}"))) for name in ("first", "second")]
        made["health_checks"][0]["event_logger"] = [
            {"name": "envoy.health_check.event_sink.file", "typed_config": each} for each in sinks
        ]
        return made


CHANGE_SETUP = setup_of("checks-changes", [*CHANGE_CLUSTERS, _Priorities(), _Sinks()])  # type: ignore[list-item]

RUNTIME = {
    "layered_runtime": {
        "layers": [
            {"name": "static", "static_layer": {"health_check": {"min_interval": 60000, "verify_cluster": 0}}},
            {"name": "admin", "admin_layer": {}},
        ]
    }
}
RUNTIME_SETUP = setup_of(
    "checks-runtime",
    [
        one("seldom", plain(), http()),
        one("unverified", plain(), http(service_name_matcher={"prefix": "shop"})),
    ],
    **RUNTIME,
)

WORKER_CLUSTERS = [
    one("well", plain(), http(), events="events"),
    one("wrong", plain(answer(503)), http(), events="events"),
    one("slow", plain(delay=0.7), http()),
    one("changes", plain(), http()),
    one("degraded", plain(answer(200, b"ok", b"x-envoy-degraded: true")), http()),
    one("takes-out", _TakesItselfOut, http(of_check={"interval": "60s"})),
    one("rarely", plain(), http(of_check={"no_traffic_interval": "60s"})),
    one(
        "disabled", plain(answer(503)), http(), endpoint={"health_check_config": {"disable_active_health_check": True}}
    ),
    Cluster("dns", http(), (plain(),), {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"}),
    Cluster("dns-wrong", http(), (plain(answer(503)),), {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"}),
]
WORKER_SETUP = setup_of("checks-workers", WORKER_CLUSTERS, "--concurrency", "2")
