"""The table of raw HTTP/1 exchanges, and the one configuration they all run against.

Each case is what a client does on a new connection to one of the listeners. What the real Envoy answered is kept in
exchanges.json (`python -m tests.integration.record /path/to/envoy` writes it). This file must not say what is right.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.harness import (
    Address,
    Answer,
    Peer,
    Request,
    ShutdownWrite,
    Step,
    Until,
    Wait,
    bootstrap,
    http_listener,
    static_cluster,
    to_cluster,
)

# What the upstream answers

PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n"
    b"Date: Mon, 06 Jul 2020 06:20:00 GMT\r\nServer: Python/3.11 aiohttp/3\r\nX-Envoy-Upstream-Service-Time: 77\r\n"
    b"Keep-Alive: 5\r\nX-request-id: 5\r\nconnection: keep-alive\r\nVia: 1.1 up\r\n\r\n"
)


def plain(peer: Peer, request: Request) -> None:
    peer.send(PLAIN if request.head.startswith(b"HEAD") else PLAIN + b"hi")


def sends(*parts: bytes, pause: float = 0.05) -> Answer:
    """An answer of these bytes, sent apart."""

    def answer(peer: Peer, request: Request) -> None:
        for index, part in enumerate(parts):
            if index:
                time.sleep(pause)
            peer.send(part)

    return answer


def sends_and_closes(data: bytes) -> Answer:
    """These bytes, then FIN."""

    def answer(peer: Peer, request: Request) -> None:
        if data:
            peer.send(data)
        peer.close()

    return answer


def sends_and_resets(data: bytes) -> Answer:
    """These bytes, then RST once they have been read."""

    def answer(peer: Peer, request: Request) -> None:
        if data:
            peer.send(data)
            time.sleep(0.2)
        peer.reset()

    return answer


def slow(peer: Peer, request: Request) -> None:
    time.sleep(1.0)
    plain(peer, request)


OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"

ANSWERS: dict[str, Answer] = {
    "/": plain,
    "*": plain,
    "/u/slow": slow,
    "/idle/u/slow": slow,
    "/p/slow": slow,
    "/u/close": sends_and_closes(b""),
    "/u/reset": sends_and_resets(b""),
    "/u/partial-head": sends_and_closes(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "/u/truncated": sends_and_closes(OK + b"Content-Length: 10\r\n\r\nabc"),
    "/u/late-reset": sends_and_resets(OK + b"Content-Length: 10\r\n\r\nabc"),
    "/u/half-chunk": sends_and_closes(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "/u/garbage": sends(b"garbage\r\n\r\n"),
    "/u/bad-chunk": sends(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\nabc\r\n"),
    "/u/eof": sends_and_closes(OK + b"\r\nabc"),
    "/u/http10": sends_and_closes(b"HTTP/1.0 200 OK\r\nx-a: b\r\n\r\nabc"),
    "/u/chunked": sends(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    "/u/trailers": sends(OK + b"Transfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"),
    "/u/204": sends(b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
    "/u/204-length": sends(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    "/u/304": sends(b"HTTP/1.1 304 Not Modified\r\nETag: q\r\nContent-Length: 5\r\n\r\n"),
    "/u/103": sends(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + EMPTY),
    "/u/100": sends(b"HTTP/1.1 100 Continue\r\n\r\n", EMPTY),
    "/u/500": sends(b"HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\nbad"),
    "/u/999": sends(b"HTTP/1.1 799 Odd\r\ncontent-length: 0\r\n\r\n"),
    "/u/says-close": sends_and_closes(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi"),
    "/u/hop": sends(
        OK + b"Content-Length: 0\r\nConnection: x-hop\r\nx-hop: 1\r\nProxy-Connection: a\r\nUpgrade: h2\r\n\r\n"
    ),
    "/u/two-lengths": sends(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    "/u/length-and-chunked": sends(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "/u/cookies": sends(OK + b"Content-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"),
    "/u/big-head": sends(OK + b"Content-Length: 0\r\n" + b"x-big: " + b"v" * 90000 + b"\r\n\r\n"),
    "/u/content": sends(OK + b"Content-Length: 5\r\nx-a: 1\r\n\r\n", b"he", b"llo"),
}

# Routes


def direct(prefix: str, status: int, body: str = "", **match: Any) -> dict[str, Any]:
    return {
        "match": {"prefix": prefix, **match},
        "direct_response": {"status": status, **({"body": {"inline_string": body}} if body else {})},
    }


def redirect(prefix: str, **fields: Any) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, "redirect": fields}


def header_routes() -> list[dict[str, Any]]:
    """One route for each header and query matcher, under /h/ and /q/."""
    headers = {
        "exact": {"name": "x-m", "string_match": {"exact": "One"}},
        "nocase": {"name": "x-m", "string_match": {"exact": "one", "ignore_case": True}},
        "prefix": {"name": "x-m", "string_match": {"prefix": "pre"}},
        "suffix": {"name": "x-m", "string_match": {"suffix": "fix"}},
        "contains": {"name": "x-m", "string_match": {"contains": "mid"}},
        "regex": {"name": "x-m", "string_match": {"safe_regex": {"regex": "a+b"}}},
        "range": {"name": "x-m", "range_match": {"start": -5, "end": 10}},
        "present": {"name": "x-m", "present_match": True},
        "absent": {"name": "x-m", "present_match": False},
        "invert": {"name": "x-m", "string_match": {"exact": "no"}, "invert_match": True},
        "missing": {"name": "x-m", "string_match": {"exact": ""}, "treat_missing_header_as_empty": True},
        "method": {"name": ":method", "string_match": {"exact": "PUT"}},
        "authority": {"name": ":authority", "string_match": {"prefix": "auth"}},
    }
    queries = {
        "exact": {"name": "k", "string_match": {"exact": "v"}},
        "present": {"name": "k", "present_match": True},
        "prefix": {"name": "k", "string_match": {"prefix": "v"}},
    }
    made = [direct(f"/h/{name}", 200, f"header {name}", headers=[matcher]) for name, matcher in headers.items()]
    made += [direct(f"/q/{name}", 200, f"query {name}", query_parameters=[each]) for name, each in queries.items()]
    return made


ROUTES: list[dict[str, Any]] = [
    *header_routes(),
    to_cluster("dead", "/dead"),
    to_cluster("empty", "/empty"),
    to_cluster("up", "/u/slow", timeout="0.3s"),
    to_cluster("up", "/idle/u/slow", idle_timeout="0.3s"),
    {
        "match": {"prefix": "/retry/"},
        "route": {"cluster": "dead", "retry_policy": {"retry_on": "connect-failure", "num_retries": 2}},
    },
    direct("/tea", 418, "short and stout"),
    direct("/bare", 204),
    direct("/case", 200, "any case", case_sensitive=False),
    redirect("/to/https", https_redirect=True),
    redirect("/to/host", host_redirect="other.org"),
    redirect("/to/port", port_redirect=8443),
    redirect("/to/path", path_redirect="/new", response_code="FOUND"),
    redirect("/to/query", path_redirect="/new?y=2"),
    redirect("/to/prefix", prefix_rewrite="/moved", response_code="SEE_OTHER"),
    redirect("/to/strip", host_redirect="o", strip_query=True, response_code="TEMPORARY_REDIRECT"),
    redirect("/to/scheme", scheme_redirect="ftp", host_redirect="f", response_code="PERMANENT_REDIRECT"),
    {"match": {"path": "/exact"}, "direct_response": {"status": 200, "body": {"inline_string": "exact"}}},
    {"match": {"path_separated_prefix": "/sep"}, "direct_response": {"status": 200, "body": {"inline_string": "sep"}}},
    {
        "match": {"safe_regex": {"regex": "/re/[0-9]+"}},
        "direct_response": {"status": 200, "body": {"inline_string": "regex"}},
    },
    {"match": {"prefix": "/grpc", "grpc": {}}, "direct_response": {"status": 200, "body": {"inline_string": "grpc"}}},
    to_cluster("up", "/u/"),
    to_cluster("up", "/p/"),
]


def virtual_host(name: str, *domains: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "domains": list(domains), "routes": [direct("/", 200, name)], **more}


ROUTE_CONFIG = {
    "virtual_hosts": [
        {"name": "all", "domains": ["*"], "routes": ROUTES},
        virtual_host("exact", "exact.com", "exact.com:81"),
        virtual_host("suffix", "*.suffix.com"),
        virtual_host("longer suffix", "*.long.suffix.com"),
        virtual_host("dash", "*-bar.com"),
        virtual_host("prefix", "pre.*"),
        virtual_host("longer prefix", "pre.fix.*"),
        virtual_host("tls", "secure.com", require_tls="ALL"),
        virtual_host("external tls", "external.com", require_tls="EXTERNAL_ONLY"),
    ]
}

LISTENERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "edge": {"use_remote_address": True},
    "http10": {"http_protocol_options": {"accept_http_10": True}},
    "http10-host": {"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "default.org"}},
    "relative": {"http_protocol_options": {"allow_absolute_url": False}},
    "trailers": {"http_protocol_options": {"enable_trailers": True}},
    "chunked-length": {"http_protocol_options": {"allow_chunked_length": True}},
    "proper-case": {"http_protocol_options": {"header_key_format": {"proper_case_words": {}}}},
    "edge-hops": {"use_remote_address": True, "xff_num_trusted_hops": 1},
    "hops": {"xff_num_trusted_hops": 1},
    "internal": {
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]},
    },
    "internal-hop": {
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
    },
    "skip-append": {"use_remote_address": True, "skip_xff_append": True, "append_x_forwarded_port": True},
    "named": {"via": "mesh", "server_name": "front"},
    "append-if-absent": {"server_header_transformation": "APPEND_IF_ABSENT"},
    "pass-through": {"server_header_transformation": "PASS_THROUGH"},
    "normal": {"normalize_path": True, "merge_slashes": True},
    "merge": {"merge_slashes": True},
    "slash-reject": {"path_with_escaped_slashes_action": "REJECT_REQUEST"},
    "slash-redirect": {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"},
    "slash-forward": {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD", "normalize_path": True},
    "strip-any": {"strip_any_host_port": True},
    "strip-matching": {"strip_matching_host_port": True},
    "keeps-ids": {
        "use_remote_address": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
    },
    "no-ids": {"generate_request_id": False},
    "user-agent": {"add_user_agent": True},
    "stream-idle": {"stream_idle_timeout": "0.3s"},
    "request-timeout": {"request_timeout": "0.3s"},
    "headers-timeout": {"request_headers_timeout": "0.3s"},
    "idle": {"common_http_protocol_options": {"idle_timeout": "0.3s"}, "drain_timeout": "0.1s"},
    "duration": {
        "common_http_protocol_options": {"max_connection_duration": "0.3s"},
        "drain_timeout": "0.1s",
    },
    "stream-duration": {"common_http_protocol_options": {"max_stream_duration": "0.3s"}},
    "one-request": {"common_http_protocol_options": {"max_requests_per_connection": 1}},
    "limits": {"max_request_headers_kb": 8, "common_http_protocol_options": {"max_headers_count": 10}},
    "proxy-100": {"proxy_100_continue": True},
    "reject-underscores": {"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"}},
    "drop-underscores": {"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
}


LOG_FORMAT = (
    "%REQ(X-CASE)% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% | "
    "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH):20% %PROTOCOL% "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% "
    "%ROUTE_NAME% %REQ(:AUTHORITY)% %RESP(SERVER)% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
)


def configuration(upstream: Address, refused: Address, log: Path) -> dict[str, Any]:
    """The bootstrap that every case runs against; all listeners log to one file."""
    logger = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(log),
            "log_format": {"text_format_source": {"inline_string": LOG_FORMAT}},
        },
    }
    listeners = [
        http_listener(name, ROUTE_CONFIG, access_log=[logger], **options) for name, options in LISTENERS.items()
    ]
    clusters = [static_cluster("up", upstream), static_cluster("dead", refused), static_cluster("empty")]
    return bootstrap(listeners, clusters, node={"id": "n", "cluster": "test-cluster"})


# Cases


@dataclass(frozen=True)
class Case:
    """What a client does.

    `differs` says why ours is meant to answer otherwise than the real Envoy; empty when it must answer the same.
    """

    name: str
    steps: tuple[Step, ...]
    listener: str = "plain"
    differs: str = ""
    quiet: float = 0.6


def message(
    start: str, *fields: str, body: bytes = b"", host: str | None = "a.com", version: str = "HTTP/1.1"
) -> bytes:
    """A request; `start` is method and target."""
    lines = [f"{start} {version}", *([f"Host: {host}"] if host is not None else []), *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(target: str, *fields: str, **options: Any) -> bytes:
    return message(f"GET {target}", *fields, **options)


RACES = frozenset(
    {"half closed after get", "half closed after direct", "half closed in the body", "no route with whole body"}
)
"""Cases in which the real Envoy does now this, now that: the client's next bytes or FIN race against the answer, the
upstream connection or the close. Ours must still answer each of them as it was recorded."""


def case(name: str, *steps: Step, on: str = "plain", differs: str = "", quiet: float = 0.6) -> Case:
    return Case(name, steps, on, differs, quiet)


FORWARDED = ("x-forwarded-for: 1.2.3.4", "x-forwarded-proto: https", "x-request-id: abc")
ENVOY_HEADERS = (
    "x-envoy-internal: true", "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 3",
    "x-envoy-expected-rq-timeout-ms: 5", "x-envoy-original-path: /q", "x-envoy-decorator-operation: 5",
    "x-envoy-downstream-service-cluster: c", "x-envoy-downstream-service-node: n", "x-envoy-force-trace: 1",
    "x-envoy-external-address: 9.9.9.9", "x-envoy-attempt-count: 7", "x-envoy-upstream-rq-timeout-ms: 700",
)  # fmt: skip

PLAIN_CASES = [
    case("get", get("/u/a?x=1", "User-Agent: c", "Accept: */*")),
    case("head", message("HEAD /u/a")),
    case("head of chunked", message("HEAD /tea")),
    case("post with length", message("POST /u/a", "content-length: 3", body=b"abc")),
    case("post chunked", message("POST /u/a", "transfer-encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")),
    case("post chunked in upper case", message("POST /u/a", "Transfer-Encoding: CHUNKED", body=b"1\r\na\r\n0\r\n\r\n")),
    case("post chunked with extension", message("POST /u/a", "te: trailers", "transfer-encoding: chunked",
        body=b"3;a=b\r\nabc\r\n0\r\n\r\n")),
    case("post with trailers dropped", message("POST /u/a", "transfer-encoding: chunked",
        body=b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n")),
    case("post with trailers", message("POST /u/a", "transfer-encoding: chunked",
        body=b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"), on="trailers"),
    case("response trailers dropped", get("/u/trailers")),
    case("response trailers", get("/u/trailers"), on="trailers"),
    case("post without body", message("POST /u/a")),
    case("post with length 0", message("POST /u/a", "content-length: 0")),
    case("get with body", get("/u/a", "content-length: 3", body=b"abc")),
    case("put in pieces", message("PUT /u/a", "content-length: 6"), Wait(0.05), b"abc", Wait(0.05), b"def"),
    case("head in pieces", b"GET /u/", Wait(0.05), b"a HTTP/1.1\r\nHo", Wait(0.05), b"st: a\r\n\r", Wait(0.05), b"\n"),
    case("expect 100", message("POST /u/a", "content-length: 3", "expect: 100-continue"),
        Until(b"100 Continue\r\n\r\n"), b"abc"),
    case("expect 100 with body", message("POST /u/a", "content-length: 3", "expect: 100-continue", body=b"abc")),
    case("expect other", message("POST /u/a", "content-length: 3", "expect: 200-ok", body=b"abc")),
    case("expect 100 without route", message("POST /nowhere", "content-length: 3", "expect: 100-continue")),
    case("proxied 100", message("POST /u/100", "content-length: 3", "expect: 100-continue", body=b"abc"),
        on="proxy-100"),
    case("upstream 100", get("/u/100")),
    case("upstream 103", get("/u/103")),
    case("proxied 103", get("/u/103"), on="proxy-100"),
    case("204", get("/u/204")),
    case("204 with length", get("/u/204-length")),
    case("304", get("/u/304")),
    case("500", get("/u/500")),
    case("799", get("/u/999")),
    case("chunked response", get("/u/chunked")),
    case("response in pieces", get("/u/content")),
    case("read until close", get("/u/eof")),
    case("upstream of http 1.0", get("/u/http10")),
    case("upstream says close", get("/u/says-close")),
    case("hop by hop response headers", get("/u/hop")),
    case("cookies", get("/u/cookies")),
    case("keep alive", get("/u/a"), Until(b"hi"), get("/u/b"), Until(b"hi"), get("/tea")),
    case("pipelining", get("/u/a") + get("/u/b") + get("/tea")),
    case("pipelined posts", message("POST /u/a", "content-length: 3", body=b"abc") * 3),
    case("pipelining behind close", get("/u/a", "connection: close") + get("/u/b")),
    case("blank lines first", b"\r\n\r\n" + get("/u/a")),
    case("connection close", get("/u/a", "Connection: close")),
    case("connection keep-alive", get("/u/a", "Connection: keep-alive")),
    case("proxy-connection close", get("/u/a", "Proxy-Connection: close")),
    case("one request a connection", get("/u/a"), on="one-request"),
    case("close of direct response", get("/tea", "Connection: close")),
    case("proper case", get("/u/a", "x-my-header: 1"), on="proper-case"),
    case("duplicate headers", get("/u/a", "x-a: 1", "x-b: 2", "x-a: 3", "cookie: a=1", "cookie: b=2")),
    case("empty header value", get("/u/a", "x-empty:", "x-space:   ")),
    case("header value white space", get("/u/a", "x-a: \t b c \t ")),
]  # fmt: skip

VERSION_CASES = [
    case("http 1.0 refused", get("/u/a", version="HTTP/1.0")),
    case("http 1.0", get("/u/a", version="HTTP/1.0"), on="http10"),
    case("http 1.0 keep-alive", get("/u/a", "connection: keep-alive", version="HTTP/1.0"), on="http10"),
    case("http 1.0 chunked response", get("/u/chunked", version="HTTP/1.0"), on="http10"),
    case("http 1.0 chunked response keep-alive", get("/u/chunked", "connection: keep-alive", version="HTTP/1.0"),
        on="http10"),
    case("http 1.0 post", message("POST /u/a", "content-length: 2", body=b"ab", version="HTTP/1.0"), on="http10"),
    case("http 1.0 without host", get("/u/a", host=None, version="HTTP/1.0"), on="http10"),
    case("http 1.0 default host", get("/u/a", host=None, version="HTTP/1.0"), on="http10-host"),
    case("http 1.0 direct response", get("/tea", "connection: keep-alive", version="HTTP/1.0"), on="http10"),
    case("http 1.0 head", message("HEAD /u/a", "connection: keep-alive", version="HTTP/1.0"), on="http10"),
    case("http 1.1 on http10", get("/u/a"), on="http10"),
    case("http 0.9", b"GET /u/a\r\n\r\n"),
    case("http 2.0", get("/u/a", version="HTTP/2.0")),
    case("http 1.2", get("/u/a", version="HTTP/1.2")),
    case("no host", get("/u/a", host=None)),
    case("empty host", get("/u/a", host="")),
    case("absolute form", get("http://z.com/u/abs?q=1", host="a.com")),
    case("absolute form without path", get("http://exact.com", host="a.com")),
    case("absolute form https", get("https://z.com/u/abs", host="a.com")),
    case("absolute form with user", get("http://u:p@z.com/u/abs", host="a.com")),
    case("absolute form refused", get("http://z.com/u/abs", host="a.com"), on="relative"),
    case("relative target", get("u/a")),
    case("options star", message("OPTIONS *")),
    case("options path", message("OPTIONS /u/a")),
    case("get star", get("*")),
    case("connect", message("CONNECT a.com:80")),
    case("connect with path", message("CONNECT /u/a")),
    case("trace", message("TRACE /u/a")),
    case("upgrade", get("/u/a", "Connection: upgrade", "Upgrade: websocket")),
    case("upgrade h2c", get("/u/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")),
    case("upgrade not nominated", get("/u/a", "Upgrade: websocket")),
]  # fmt: skip

HEADER_CASES = [
    case("envoy headers", get("/u/a", *ENVOY_HEADERS)),
    case("envoy headers at the edge", get("/u/a", *ENVOY_HEADERS), on="edge"),
    case("envoy headers from inside", get("/u/a", *ENVOY_HEADERS), on="internal"),
    case("forwarded", get("/u/a", *FORWARDED)),
    case("forwarded at the edge", get("/u/a", *FORWARDED), on="edge"),
    case("edge", get("/u/a"), on="edge"),
    case("forwarded edge hops", get("/u/a", *FORWARDED), on="edge-hops"),
    case("edge hops without", get("/u/a"), on="edge-hops"),
    case("two forwarded edge hops", get("/u/a", "x-forwarded-for: 1.1.1.1, 2.2.2.2"), on="edge-hops"),
    case("forwarded hops", get("/u/a", "x-forwarded-for: 1.1.1.1, 2.2.2.2"), on="hops"),
    case("internal", get("/u/a"), on="internal"),
    case("internal with forwarded", get("/u/a", "x-forwarded-for: 10.0.0.1"), on="internal"),
    case("internal by forwarded", get("/u/a", "x-forwarded-for: 10.0.0.1", "x-envoy-retry-on: 5xx"), on="internal-hop"),
    case("internal by two forwarded", get("/u/a", "x-forwarded-for: 10.0.0.1, 10.0.0.2"), on="internal-hop"),
    case("forwarded that is no address", get("/u/a", "x-forwarded-for: nobody"), on="internal-hop"),
    case("forwarded twice", get("/u/a", "x-forwarded-for: 1.1.1.1", "x-forwarded-for: 2.2.2.2"), on="edge"),
    case("skip append", get("/u/a", "x-forwarded-for: 1.1.1.1"), on="skip-append"),
    case("forwarded proto odd", get("/u/a", "x-forwarded-proto: gopher")),
    case("forwarded proto https", get("/u/a", "x-forwarded-proto: https"), on="edge-hops"),
    case("request id at the edge", get("/u/a", "x-request-id: abc"), on="edge"),
    case("request id kept", get("/u/a", "x-request-id: abc"), on="keeps-ids"),
    case("request id made", get("/tea"), on="keeps-ids"),
    case("request id off", get("/u/a"), on="no-ids"),
    case("request id off but sent", get("/u/a", "x-request-id: abc"), on="no-ids"),
    case("user agent", get("/u/a"), on="user-agent"),
    case("user agent sent", get("/u/a", "user-agent: c"), on="user-agent"),
    case("hop by hop", get("/u/a", "Keep-Alive: 5", "Proxy-Connection: a", "Connection: keep-alive")),
    case("nominated", get("/u/a", "Connection: foo, keep-alive", "foo: bar", "baz: 1")),
    case("nominated close", get("/u/a", "Connection: foo, close", "foo: bar")),
    case("nominated te", get("/u/a", "Connection: te", "te: trailers")),
    case("nominated forwarded", get("/u/a", "Connection: x-forwarded-for", "x-forwarded-for: 1.2.3.4")),
    case("nominated pseudo", get("/u/a", "Connection: :path")),
    case("nominated host", get("/u/a", "Connection: host")),
    case("nominated request id", get("/u/a", "Connection: x-request-id", "x-request-id: abc")),
    case("nominated length", message("POST /u/a", "Connection: content-length", "content-length: 3", body=b"abc"),
        differs="a nominated Content-Length still frames the body, and is kept"),
    case("nominated many", get("/u/a", "Connection: " + ",".join(f"x-{n}" for n in range(10)))),
    case("nominated nine", get("/u/a", "Connection: " + ",".join(f"x-{n}" for n in range(9)))),
    case("nominated itself", get("/u/a", "Connection: connection")),
    case("te many plain", get("/u/a", "te: gzip, trailers")),
    case("te twice", get("/u/a", "te: gzip", "te: trailers")),
    case("te in capitals", get("/u/a", "te: Trailers")),
    case("forced trace from inside", get("/u/a", "x-envoy-force-trace: 1"), on="internal"),
    case("nominated cookie", get("/u/a", "Connection: cookie", "cookie: a=b")),
    case("te trailers", get("/u/a", "te: trailers")),
    case("te many", get("/u/a", "te: gzip, trailers;q=0.5")),
    case("te gzip", get("/u/a", "te: gzip")),
    case("via and server", get("/u/a", "via: 1.1 me"), on="named"),
    case("via of direct response", get("/tea"), on="named"),
    case("server appended", get("/u/204"), on="append-if-absent"),
    case("server kept", get("/u/a"), on="append-if-absent"),
    case("server passed", get("/u/a"), on="pass-through"),
    case("server passed absent", get("/u/204"), on="pass-through"),
    case("server of local reply passed", get("/tea"), on="pass-through"),
    case("upstream timeout header", get("/u/slow", "x-envoy-upstream-rq-timeout-ms: 100")),
    case("underscore", get("/u/a", "a_b: 1")),
    case("underscore refused", get("/u/a", "a_b: 1"), on="reject-underscores"),
    case("underscore dropped", get("/u/a", "a_b: 1", "c: 2"), on="drop-underscores"),
]  # fmt: skip

PATH_CASES = [
    *(
        case(f"normalised {path}", get(path), on="normal")
        for path in (
            "/u/a/../b", "/u/./b", "/u//b", "/u/%41%2e", "/u/%7Eb%2f", "/u/b/..", "/../../u/x", "/u/a\\..\\b", "/u/%00",
            "/u/%zz", "/u/%4", "/u/a/..?x=/../y", "/u/%2e%2e/u/b", "/u/b%20c", "/u/a;b/../c", "/u/.", "/u/...",
            "/u/a//../b", "/u/%E2%82%AC", "/u/%c3%a9", '/u/"<>^', "/u/{a}|b`",
            "/u/[a]", "/u/a'b", "/u/a:b@c!$&()*+,;=", "/u/%2E%2E/x", "/u/a%5cb", "/u/%25",
            "/u/%7f", "/u/%1f", "/u/a/%2e",
        )
    ),
    case("path unchanged", get("/u/a/../b//c%2e?x=//")),
    case("merged", get("/u//a///b?c=//d"), on="merge"),
    case("escaped slash rejected", get("/u/a%2Fb"), on="slash-reject"),
    case("escaped backslash rejected", get("/u/a%5cb"), on="slash-reject"),
    case("escaped slash in query", get("/u/a?b=%2F"), on="slash-reject"),
    case("escaped slash redirected", get("/u/a%2Fb?c=%2f"), on="slash-redirect"),
    case("escaped backslash redirected", get("/u/a%5Cb"), on="slash-redirect"),
    case("escaped slash forwarded", get("/u/a%2F..%2fb"), on="slash-forward"),
    case("nothing escaped forwarded", get("/u/a"), on="slash-forward"),
    case("fragment", get("/u/a#b")),
    case("strip any port", get("/u/a", host="a.com:1234"), on="strip-any"),
    case("strip any port ipv6", get("/u/a", host="[::1]:1234"), on="strip-any"),
    case("strip any port of none", get("/u/a", host="a.com"), on="strip-any"),
    case("strip other port", get("/u/a", host="a.com:1"), on="strip-matching"),
]  # fmt: skip

ROUTE_CASES = [
    case("no route", get("/nowhere")),
    case("no route with body", message("POST /nowhere", "content-length: 100", body=b"abc")),
    case("no route with whole body", message("POST /nowhere", "content-length: 3", body=b"abc"), get("/tea")),
    case("no route head", message("HEAD /nowhere")),
    case("direct", get("/tea")),
    case("direct empty", get("/bare")),
    case("direct head", message("HEAD /tea")),
    case("direct post", message("POST /tea", "content-length: 3", body=b"abc")),
    case("direct post chunked unfinished", message("POST /tea", "transfer-encoding: chunked", body=b"3\r\nabc\r\n")),
    case("case insensitive", get("/CaSe/x")),
    case("exact path", get("/exact")),
    case("exact path with query", get("/exact?x")),
    case("exact path and more", get("/exact/")),
    case("separated", get("/sep")),
    case("separated more", get("/sep/a")),
    case("separated query", get("/sep?a")),
    case("separated other", get("/separate")),
    case("regex", get("/re/12?x")),
    case("regex other", get("/re/12a")),
    case("grpc route", get("/grpc", "content-type: application/grpc")),
    case("grpc route with suffix", get("/grpc", "content-type: application/grpc+proto")),
    case("grpc route other", get("/grpc", "content-type: application/grpc-web")),
    *(
        case(f"redirect {name} of {host}", get(f"/to/{name}/x?q=1", host=host))
        for name in ("https", "host", "port", "path", "query", "prefix", "strip", "scheme")
        for host in ("a.com", "a.com:80")
    ),
    case("redirect other port", get("/to/https", host="a.com:8080")),
    case("redirect ipv6", get("/to/port", host="[::1]:80")),
    case("redirect forwarded https", get("/to/https", "x-forwarded-proto: https", host="a.com:443")),
    case("redirect of forwarded https", get("/to/host", "x-forwarded-proto: https", host="a.com:443")),
    case("redirect of forwarded odd", get("/to/host", "x-forwarded-proto: gopher")),
    case("redirect of absolute https", get("https://a.com:443/to/path")),
    case("redirect head", message("HEAD /to/host")),
    *(
        case(f"host {host}", get("/", host=host))
        for host in (
            "exact.com", "EXACT.com", "exact.com:80", "exact.com:81", "a.suffix.com", "suffix.com", ".suffix.com",
            "a.long.suffix.com", "foo-bar.com", "-bar.com", "pre.x", "pre.", "pre.fix.y", "pre.fix.", "other.com",
            "secure.com", "external.com",
        )
    ),
    case("tls by forwarded", get("/", "x-forwarded-proto: https", host="secure.com")),
    case("tls external from inside", get("/", host="external.com"), on="internal"),
    *(
        case(f"header {name} {value}", get(f"/h/{name}", *([f"x-m: {value}"] if value is not None else [])))
        for name, values in {
            "exact": ("One", "one", None), "nocase": ("ONE", "two"), "prefix": ("pref", "xpre"),
            "suffix": ("affix", "fixa"), "contains": ("amidb", "md"), "regex": ("aab", "aabc"),
            "range": ("-5", "9", "10", "x", "+3", None), "present": ("", None), "absent": ("1", None),
            "invert": ("no", "yes", None), "missing": (None, "x"),
        }.items()
        for value in values
    ),
    case("header twice", get("/h/exact", "x-m: One", "x-m: Two")),
    case("header twice second", get("/h/exact", "x-m: Two", "x-m: One")),
    case("header twice joined", get("/h/exact", "x-m: One,Two")),
    case("header twice inverted", get("/h/invert", "x-m: yes", "x-m: no")),
    case("header twice range", get("/h/range", "x-m: 100", "x-m: 5")),
    case("header twice contains", get("/h/contains", "x-m: mi", "x-m: d")),
    case("header method", message("PUT /h/method")),
    case("header authority", get("/h/authority", host="authority")),
    *(
        case(f"query {query}", get(f"/q/{query}"))
        for query in ("exact?k=v", "exact?k=w", "exact?a=b&k=v", "exact?k", "present?k", "present", "prefix?k=vw",
            "exact?k=w&k=v", "exact?k=%76", "exact?k=v#f")
    ),
]  # fmt: skip

FAILURE_CASES = [
    case("refused", get("/dead")),
    case("refused post", message("POST /dead", "content-length: 3", body=b"abc")),
    case("refused with retries", get("/retry/")),
    case("no hosts", get("/empty")),
    case("closed before headers", get("/u/close")),
    case("reset before headers", get("/u/reset")),
    case("closed in the head", get("/u/partial-head")),
    case("truncated", get("/u/truncated")),
    case("reset after headers", get("/u/late-reset"),
        differs="logged as the reset it is (UC), where Envoy's codec reports an early end (UPE)"),
    case("half a chunk", get("/u/half-chunk")),
    case("garbage", get("/u/garbage")),
    case("bad chunk", get("/u/bad-chunk")),
    case("two lengths upstream", get("/u/two-lengths")),
    case("length and chunked upstream", get("/u/length-and-chunked")),
    case("big head upstream", get("/u/big-head")),
    case("route timeout", get("/u/slow")),
    case("route timeout without the body", message("POST /u/slow", "content-length: 3"), Wait(0.5), b"abc", quiet=0.7),
    case("route idle timeout", get("/idle/u/slow"), quiet=0.9),
    case("grpc no route", get("/nowhere", "content-type: application/grpc")),
    case("grpc refused", get("/dead", "content-type: application/grpc")),
    case("grpc no hosts", get("/empty", "content-type: application/grpc", "te: trailers")),
    case("grpc direct", get("/tea", "content-type: application/grpc")),
    case("grpc timeout", get("/u/slow", "content-type: application/grpc")),
    case("grpc head", message("HEAD /nowhere", "content-type: application/grpc")),
    case("stream idle", get("/p/slow"), on="stream-idle", quiet=0.9),
    case("stream idle in the body", message("POST /p/a", "content-length: 3", body=b"a"), on="stream-idle", quiet=0.8),
    case("stream idle no route", message("POST /p/a", "transfer-encoding: chunked"), on="stream-idle", quiet=0.8),
    case("request timeout", message("POST /p/a", "content-length: 3", body=b"a"), on="request-timeout", quiet=0.8),
    case("request headers timeout", b"GET /p/a HT", on="headers-timeout", quiet=0.8),
    case("request headers timeout second", get("/tea"), Until(b"stout"), b"GET /p/a HT", on="headers-timeout",
        quiet=0.8),
    case("idle before any request", on="idle", quiet=0.8),
    case("idle after a request", get("/tea"), on="idle", quiet=0.8),
    case("connection duration", get("/tea"), on="duration", quiet=0.9),
    case("connection duration during a request", get("/p/slow"), on="duration", quiet=1.3),
    case("stream duration", get("/p/slow"), on="stream-duration", quiet=0.9),
    case("stream duration in the body", message("POST /p/a", "content-length: 3", body=b"a"), on="stream-duration",
        quiet=0.9),
]  # fmt: skip

MALFORMED_CASES = [
    case("bad line", b"BAD\r\n\r\n"),
    case("unknown method", message("BREW /u/a")),
    case("lower case method", message("get /u/a")),
    case("space in target", b"GET /u/a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("no colon", b"GET /u/a HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
    case("space before colon", b"GET /u/a HTTP/1.1\r\nHost: a\r\nx-a : b\r\n\r\n"),
    case("empty name", b"GET /u/a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    case("nul in value", b"GET /u/a HTTP/1.1\r\nHost: a\r\nx-a: b\0c\r\n\r\n"),
    case("bare cr in value", b"GET /u/a HTTP/1.1\r\nHost: a\r\nx-a: b\rc\r\n\r\n", differs="Envoy drops the CR"),
    case("bare lf", b"GET /u/a HTTP/1.1\nHost: a\n\n", differs="bare LF ends a line in Envoy"),
    case("folded", b"GET /u/a HTTP/1.1\r\nHost: a\r\nx-a: b\r\n c\r\n\r\n", differs="Envoy unfolds"),
    case("two hosts", get("/u/a", "Host: b.com"), differs="Envoy joins two Host headers"),
    case("two lengths", message("POST /u/a", "content-length: 3", "content-length: 3", body=b"abc")),
    case("length list", message("POST /u/a", "content-length: 3, 3", body=b"abc")),
    case("length with sign", message("POST /u/a", "content-length: +3", body=b"abc")),
    case("length not a number", message("POST /u/a", "content-length: x", body=b"abc")),
    case("length too large", message("POST /u/a", "content-length: 99999999999999999999", body=b"abc")),
    case("length and chunked", message("POST /u/a", "content-length: 3", "transfer-encoding: chunked",
        body=b"0\r\n\r\n")),
    case("length and chunked allowed", message("POST /u/a", "content-length: 3", "transfer-encoding: chunked",
        body=b"0\r\n\r\n"), on="chunked-length"),
    case("gzip coding", message("POST /u/a", "transfer-encoding: gzip", body=b"abc")),
    case("gzip and chunked", message("POST /u/a", "transfer-encoding: gzip, chunked", body=b"0\r\n\r\n")),
    case("identity coding", message("POST /u/a", "transfer-encoding: identity", body=b"abc")),
    case("bad chunk size", message("POST /u/a", "transfer-encoding: chunked", body=b"xyz\r\nabc\r\n0\r\n\r\n")),
    case("bad chunk size later", message("POST /p/a", "transfer-encoding: chunked"), Wait(0.2), b"xyz\r\n"),
    case("bad chunk end", message("POST /u/a", "transfer-encoding: chunked", body=b"3\r\nabcd\r\n0\r\n\r\n"),
        differs="Envoy skips what stands between a chunk and its end"),
    case("utf-8 target", b"GET /u/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("latin-1 value", get("/u/a", "x-a: \xe9")),
    case("bad host", get("/u/a", host="a b")),
    case("host with slash", get("/u/a", host="a/b")),
    case("large head", get("/u/a", "x-a: " + "v" * 9000), on="limits"),
    case("large head by default", get("/u/a", "x-a: " + "v" * 62000)),
    case("large target", get("/u/" + "a" * 9000), on="limits"),
    case("many headers", get("/u/a", *(f"x-{n}: 1" for n in range(12))), on="limits"),
    case("many headers by default", get("/u/a", *(f"x-{n}: 1" for n in range(101)))),
    case("as many headers as allowed", get("/u/a", *(f"x-{n}: 1" for n in range(98)))),
    case("second request malformed", get("/u/a") + b"BAD\r\n\r\n"),
    case("second request malformed later", get("/u/a"), Until(b"hi"), b"BAD\r\n\r\n"),
    case("binary", bytes(range(128, 256)) + b"\r\n\r\n"),
    case("tls hello", bytes.fromhex("16030100f8010000f40303") + b"\0" * 40),
]  # fmt: skip

HALF_CLOSE_CASES = [
    case("half closed after get", get("/p/slow"), ShutdownWrite(),
        differs="whether the upstream saw the request before it was given up is a race"),
    case("half closed after direct", get("/tea"), ShutdownWrite(),
        differs="ours writes what it has answered before it sees the FIN"),
    case("half closed during slow", get("/p/slow"), Wait(0.1), ShutdownWrite()),
    case("half closed after answer", get("/u/a"), Until(b"hi"), ShutdownWrite()),
    case("half closed in the head", b"GET /u/a HT", ShutdownWrite()),
    case("half closed in the body", message("POST /u/a", "content-length: 9", body=b"abc"), ShutdownWrite()),
    case("half closed at once", ShutdownWrite()),
]  # fmt: skip

CASES = [
    *PLAIN_CASES, *VERSION_CASES, *HEADER_CASES, *PATH_CASES, *ROUTE_CASES, *FAILURE_CASES, *MALFORMED_CASES,
    *HALF_CLOSE_CASES,
]  # fmt: skip
