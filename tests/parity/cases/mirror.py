"""Mirrored requests: what the mirror gets, that its answer is nobody's, and what is counted where.

A mirror that does not read is not here: the real Envoy then holds the client up, and ours drops the copy
(tests/integration/test_mirror.py).
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from tests.integration.exchanges import get, message
from tests.integration.harness import Peer, Request, ShutdownWrite, Until, Wait, http_listener, static_cluster
from tests.parity import frames as f
from tests.parity.answers import ok as http2_ok
from tests.parity.answers import sends
from tests.parity.case import Case
from tests.parity.frames import show_http2
from tests.parity.setup import Json, Places, Setup, bootstrap_of, says
from tests.parity.steps import Answers, CaseStep, UntilSeen
from tests.parity.upstreams import Http2Recorder, Recorder, Refusing

AREA = "mirror"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HTTP2: Json = {
    OPTIONS: {
        "@type": f"type.googleapis.com/{OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}
LAYER = {"mirror.never": 0, "mirror.always": 100}
ALL, NONE = {"default_value": {"numerator": 100}}, {"default_value": {"numerator": 0}}


def _mirrored(prefix: str, *policies: Json, to: str = "main", **action: Any) -> Json:
    return {"match": {"prefix": prefix}, "route": {"cluster": to, "request_mirror_policies": list(policies), **action}}


def _append(name: str, value: str, **more: Any) -> Json:
    return {"append": {"header": {"key": name, "value": value}, **more}}


SHADOW: Json = {"cluster": "shadow"}
MUTATIONS = [
    _append("x-host", "%REQ(:authority)%"), _append("x-again", "%REQ(x-host)%"), {"remove": "x-request-id"},
    _append("x-request-id", "of the mirror"), _append("x-empty", "", keep_empty_value=True), _append("x-none", ""),
    _append("x-known", "%PROTOCOL% %UPSTREAM_CLUSTER%"), {"remove_on_match": {"key_matcher": {"prefix": "x-old"}}},
    _append("x-forwarded-proto", "mirrored", append_action="OVERWRITE_IF_EXISTS"),
]  # fmt: skip
RETRY = {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.005s"}}
ROUTES: list[Json] = [
    _mirrored("/same-host", {**SHADOW, "disable_shadow_host_suffix_append": True}),
    _mirrored("/new-host", {**SHADOW, "host_rewrite_literal": "new.com:8"}),
    _mirrored("/new-host-without-suffix", {**SHADOW, "host_rewrite_literal": "b", "trace_sampled": False}),
    _mirrored("/changed", {**SHADOW, "request_headers_mutations": MUTATIONS}),
    _mirrored("/two", SHADOW, {"cluster": "other"}),
    _mirrored("/by-header", {"cluster_header": "X-Mirror"}),
    _mirrored("/by-path", {"cluster_header": ":path"}),
    _mirrored("/always", {**SHADOW, "runtime_fraction": ALL}),
    _mirrored("/never", {**SHADOW, "runtime_fraction": NONE}),
    _mirrored("/runtime-always", {**SHADOW, "runtime_fraction": {**NONE, "runtime_key": "mirror.always"}}),
    _mirrored("/runtime-never", {**SHADOW, "runtime_fraction": {**ALL, "runtime_key": "mirror.never"}}),
    _mirrored("/dead-mirror", {"cluster": "dead"}),
    _mirrored("/empty-mirror", {"cluster": "empty"}),
    _mirrored("/shut-mirror", {"cluster": "shut"}),
    _mirrored("/dead-main", SHADOW, to="dead"),
    _mirrored("/empty-main", SHADOW, to="empty"),
    _mirrored("/short", SHADOW, timeout="0.2s"),
    _mirrored("/endless", SHADOW, timeout="0s"),
    _mirrored("/retried", SHADOW, retry_policy=RETRY, timeout="0s"),
    _mirrored("/per-try", SHADOW, retry_policy={**RETRY, "per_try_timeout": "1s"}, timeout="3s"),
    _mirrored("/http2", {"cluster": "http2"}),
    {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}},
    {"match": {"prefix": "/there"}, "redirect": {"path_redirect": "/x"}},
    {
        **_mirrored("/added", SHADOW),
        "request_headers_to_add": [{"header": {"key": "x-added", "value": "of the route"}}],
        "request_headers_to_remove": ["x-removed"],
    },
    _mirrored("/", SHADOW),
]


def _levels() -> Json:
    plain = {"match": {"prefix": "/"}, "route": {"cluster": "main"}}
    own = _mirrored("/own", {"cluster": "other"})
    answer = {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}}
    return {
        "virtual_hosts": [
            {
                "name": "host", "domains": ["host.com"], "routes": [own, answer, plain],
                "request_mirror_policies": [{**SHADOW, "host_rewrite_literal": "of-the-host"}],
            },
            {
                "name": "counted", "domains": ["counted.com"], "include_request_attempt_count": True,
                "routes": [_mirrored("/retried", SHADOW, retry_policy=RETRY, timeout="0s"), plain],
            },
            {"name": "all", "domains": ["*"], "routes": [own, plain]},
        ],
        "request_mirror_policies": [{**SHADOW, "host_rewrite_literal": "of-the-table"}],
    }  # fmt: skip


def _configuration(places: Places) -> Json:
    table = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": ROUTES}]}
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    silent = {**router, "suppress_envoy_headers": True, "dynamic_stats": False}
    listeners = [
        http_listener("main", table),
        http_listener("edge", table, use_remote_address=True),
        http_listener("trailers", table, http_protocol_options={"enable_trailers": True}),
        http_listener("levels", _levels()),
        http_listener("silent", table, http_filters=[{"name": "envoy.filters.http.router", "typed_config": silent}]),
    ]
    shut = {"circuit_breakers": {"thresholds": [{"max_requests": 0}]}}
    trailers = {
        OPTIONS: {
            "@type": f"type.googleapis.com/{OPTIONS}",
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
        }
    }
    clusters = [
        *(static_cluster(name, places[name], typed_extension_protocol_options=trailers)
          for name in ("main", "shadow", "other")),
        static_cluster("http2", places["http2"], typed_extension_protocol_options=HTTP2),
        static_cluster("shut", places["shadow"], **shut),
        static_cluster("dead", places["dead"]),
        static_cluster("empty"),
    ]  # fmt: skip
    layers = {"layers": [{"name": "static", "static_layer": LAYER}]}
    return bootstrap_of(listeners, clusters, layered_runtime=layers)


def _fails(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


def _late(peer: Peer, request: Request) -> None:
    time.sleep(0.5)
    says("late")(peer, request)


def _cuts(peer: Peer, request: Request) -> None:
    peer.close()


def _breaks_off(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
    peer.close()


def _garbage(peer: Peer, request: Request) -> None:
    peer.send(b"what?\r\n\r\n")


def _closes(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi")
    peer.close()


def _interim(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n")
    says("interim")(peer, request)


SHADOW_ANSWERS = {
    "/": says("shadow"), "/fails": _fails, "/short/late": _late, "/cuts": _cuts, "/breaks-off": _breaks_off,
    "/garbage": _garbage, "/closes": _closes, "/interim": _interim,
}  # fmt: skip
SETUP = Setup(
    "mirror",
    _configuration,
    {
        "main": partial(Recorder, {"/": says("main"), "/retried": _fails, "/main-fails": _fails}),
        "shadow": partial(Recorder, SHADOW_ANSWERS),
        "other": partial(Recorder, {"/": says("other")}),
        "http2": partial(Http2Recorder, {"/": http2_ok(), "/http2/reset": sends(lambda stream: f.rst(2, stream))}),
        "dead": Refusing,
    },
)


def case(name: str, *steps: CaseStep, on: str = "main", seen: int = 1, **more: Any) -> Case:
    """A case whose mirror sees so many requests."""
    waits = (UntilSeen("shadow", seen),) if seen else ()
    return Case(AREA, name, (*steps, *waits), on, setup=SETUP, **more)


def _post(path: str, *fields: str, body: bytes = b"hello", **options: Any) -> bytes:
    return message(f"POST {path}", f"content-length: {len(body)}", *fields, body=body, **options)


def _chunked(path: str, *fields: str) -> bytes:
    return message(f"POST {path}", "transfer-encoding: chunked", *fields)


def _h2(name: str, *parts: bytes | Wait, seen: int = 1, on: str = "main") -> Case:
    return case(f"http2: {name}", *parts, on=on, seen=seen, show=show_http2, bytes_counted=False)


HOSTS = ("a.com", "a.com:80", "1.2.3.4:5", "[::1]", "[::1]:80", "a.com:", "A.com:0")
LARGE = b"x" * 300_000

CASES = [
    *(case(f"host {host}", get("/a", host=host)) for host in HOSTS),
    *(case(f"method {method}", message(f"{method} /a")) for method in ("HEAD", "OPTIONS", "DELETE")),
    case("a body", _post("/a")),
    case("an empty body", _post("/a", body=b"")),
    case("a body in pieces", message("POST /a", "content-length: 6"), *(
        step for piece in (b"ab", b"cd", b"ef") for step in (Wait(0.05), piece))),
    case("a large body", _post("/a", body=LARGE)),
    case("chunks", _chunked("/a"), Wait(0.05), b"3\r\nabc\r\n", Wait(0.05), b"2\r\nde\r\n", Wait(0.05), b"0\r\n\r\n"),
    case("trailers", _chunked("/a", "trailer: x-t"), b"3\r\nabc\r\n0\r\nx-t: 1\r\nx-u: 2\r\n\r\n", on="trailers"),
    case("trailers that are dropped", _chunked("/a"), b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"),
    case("100-continue", message("POST /a", "expect: 100-continue", "content-length: 2"), Until(b"100"), b"hi"),
    case("two on one connection", get("/a"), Answers(1, b"main"), get("/b"), seen=2),
    case("the same host", get("/same-host", host="a.com:80")),
    case("a new host", get("/new-host", host="a.com:80")),
    case("a new host, shorter", get("/new-host-without-suffix")),
    case("changed headers", get("/changed", "x-old-1: 1", "x-old-2: 2", "x-kept: 3")),
    case("headers of the route", get("/added", "x-removed: 1", "x-kept: 2")),
    case("what the request wishes", get(
        "/a", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 3", "x-envoy-upstream-rq-timeout-ms: 777",
        "x-envoy-upstream-rq-per-try-timeout-ms: 70")),
    case("from outside", get("/a", "x-envoy-internal: true", "x-forwarded-for: 9.9.9.9"), on="edge"),
    case("forwarded before", get("/a", "x-forwarded-for: 9.9.9.9, 8.8.8.8")),
    case("hop-by-hop", get("/a", "connection: close, x-hop", "x-hop: 1", "te: trailers")),
    case("no headers of Envoy", get("/a"), on="silent"),
    case("two mirrors", _post("/two"), UntilSeen("other")),
    case("named by a header", get("/by-header", "x-mirror: shadow")),
    case("named by two headers", get("/by-header", "x-mirror: shadow", "x-mirror: other")),
    case("named by no header", get("/by-header"), seen=0),
    case("named by an empty header", get("/by-header", "x-mirror: "), seen=0),
    case("named by a header, unknown", get("/by-header", "x-mirror: nobody"), seen=0),
    case("named by the path", get("/by-path"), seen=0),
    *(case(f"chance: {each}", get(f"/{each}"), seen=int("always" in each))
      for each in ("always", "never", "runtime-always", "runtime-never")),
    case("of the virtual host", get("/a", host="host.com"), on="levels"),
    case("of the route configuration", get("/a"), on="levels"),
    case("of the route", get("/own", host="host.com"), UntilSeen("other"), on="levels", seen=0),
    case("a direct response is not mirrored", get("/direct", host="host.com"), on="levels", seen=0),
    case("nor is a redirect", get("/there"), seen=0),
    case("counted tries", get("/retried", host="counted.com"), on="levels"),
    # How the mirror answers
    case("the mirror fails", get("/fails")),
    case("the mirror is late", get("/short/late"), quiet=0.7),
    case("the mirror cuts the connection", _post("/cuts")),
    case("the mirror breaks off", get("/breaks-off")),
    case("the mirror sends garbage", get("/garbage")),
    case("the mirror closes", get("/closes"), Answers(1, b"main"), get("/closes"), seen=2),
    case("the mirror sends an interim answer", get("/interim")),
    case("a dead mirror", _post("/dead-mirror"), seen=0),
    case("a mirror without hosts", _post("/empty-mirror"), seen=0),
    case("a mirror whose breaker is open", _post("/shut-mirror"), seen=0),
    # What becomes of the request
    case("the main cluster fails", get("/main-fails")),
    case("the main cluster is dead", get("/dead-main")),
    case("the main cluster has no hosts", get("/empty-main"), seen=0),
    case("the request is tried again", get("/retried")),
    case("the request is tried again, with a body", _post("/retried")),
    case("a timeout for each try", get("/per-try")),
    case("no timeout", get("/endless")),
    case("the client leaves amid the body", message("POST /a", "content-length: 9", body=b"abc"), Wait(0.1),
         ShutdownWrite(), lines=1),
    # HTTP/2
    case("a mirror of HTTP/2", get("/http2"), seen=0, bytes_counted=False),
    case("a mirror of HTTP/2, with a body", _post("/http2"), seen=0, bytes_counted=False),
    case("a mirror of HTTP/2, with trailers", _chunked("/http2"), b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n", on="trailers",
         seen=0, bytes_counted=False),
    case("a mirror of HTTP/2 that resets", get("/http2/reset"), seen=0, bytes_counted=False),
    _h2("a request", f.ask(path="/a")),
    _h2("a body", f.hello(f.headers(f.request("POST", "/a"), end=False)), Wait(0.05), f.data(b"hello")),
    _h2("trailers", f.hello(f.headers(f.request("POST", "/a"), end=False)), Wait(0.05), f.data(b"abc", end=False),
        f.headers([("x-t", "1")])),
    _h2("the client resets the request", f.hello(f.headers(f.request("POST", "/a"), end=False)), Wait(0.05),
        f.data(b"abc", end=False), Wait(0.1), f.rst(8)),
]  # fmt: skip
