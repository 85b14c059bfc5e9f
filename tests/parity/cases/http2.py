"""HTTP/2 cases: requests with odd and forbidden fields and frames, and responses of an HTTP/2 upstream."""

from __future__ import annotations

from tests.integration.harness import ShutdownWrite, Step, Until, Wait
from tests.parity import frames as f
from tests.parity.answers import HTTP2_ANSWERS
from tests.parity.case import Case, http2_case
from tests.parity.frames import ask, ask_with, data, frame, headers, hello, request, settings

REQUESTS = "HTTP/2 requests"
FIELDS = "HTTP/2 request fields"
FRAMES = "HTTP/2 frames"
RESPONSES = "HTTP/2 responses"
LOCAL = "HTTP/2 local replies"

M, S, P, A = (":method", "GET"), (":scheme", "http"), (":path", "/u/a"), (":authority", "a.com")
POST = (":method", "POST")


def fields(name: str, *pairs: f.Field, on: str = "plain", body: bytes | None = None) -> Case:
    after = [] if body is None else [data(body)]
    return http2_case(FIELDS, name, ask_with(pairs, *after, end=body is None), on=on)


def more(name: str, *pairs: f.Field, body: bytes | None = None) -> Case:
    """An ordinary request to the HTTP/1 upstream with more fields."""
    return fields(name, M if body is None else POST, S, P, A, *pairs, body=body)


def frames(name: str, *steps: Step, on: str = "plain", quiet: float = 0.0) -> Case:
    return http2_case(FRAMES, name, *steps, on=on, quiet=quiet)


def asked(*after: bytes, method: str = "GET", path: str = "/u/a", end: bool = True) -> bytes:
    """A request, then these frames."""
    return hello(headers(request(method, path), end=end), *after)


REQUEST_CASES = [
    http2_case(REQUESTS, name, *steps)
    for name, steps in {
        "get": (ask(path="/u/a"),),
        "get to http2": (ask(),),
        "head": (ask(method="HEAD", path="/u/a"),),
        "head to http2": (ask(method="HEAD", path="/2/head"),),
        "post": (ask(method="POST", path="/u/a", body=b"abc"),),
        "post with length": (ask(("content-length", "3"), method="POST", path="/u/a", body=b"abc"),),
        "post to http2": (ask(method="POST", body=b"abc"),),
        "post of nothing": (ask(method="POST", path="/u/a"),),
        "post of empty data": (ask(method="POST", path="/u/a", body=b""),),
        "put in pieces": (asked(method="PUT", end=False), Wait(0.05), data(b"abc", end=False), Wait(0.05), data(b"d")),
        "trailers": (asked(data(b"abc", end=False), headers([("x-t", "1")]), method="POST", end=False),),
        "trailers to http2": (
            asked(data(b"abc", end=False), headers([("x-t", "1")]), method="POST", path="/2/a", end=False),
        ),
        "trailers without data": (asked(headers([("x-t", "1")]), method="POST", path="/2/a", end=False),),
        "options star": (ask(method="OPTIONS", path="*"),),
        "trace": (ask(method="TRACE", path="/u/a"),),
        "unknown method": (ask(method="BREW", path="/u/a"),),
        "lower case method": (ask(method="get", path="/u/a"),),
        "connect": (ask_with([(":method", "CONNECT"), A]),),
        "extended connect": (ask_with([(":method", "CONNECT"), (":protocol", "websocket"), S, P, A]),),
        "two streams": (hello(headers(request("GET", "/tea"), 1)), Wait(0.1), headers(request("GET", "/nowhere"), 3)),
        "two streams to http1": (hello(headers(request("GET", "/u/a"), 1)), Until(b"hi"),
            headers(request("GET", "/u/b"), 3)),
        "two streams to http2": (hello(headers(request("GET", "/2/a"), 1)), Until(b"hi"),
            headers(request("GET", "/2/b"), 3)),
        "expect": (ask(("expect", "100-continue"), method="POST", path="/u/a", body=b"abc"),),
        "expect other": (ask(("expect", "200-ok"), method="POST", path="/u/a", body=b"abc"),),
        "cookie crumbs": (ask(("cookie", "a=1"), ("cookie", "b=2"), path="/u/a"),),
        "cookie crumbs to http2": (ask(("cookie", "a=1"), ("cookie", "b=2")),),
        "forwarded": (ask(("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"), path="/u/a"),),
        "envoy fields": (ask(("x-envoy-internal", "true"), ("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3")),),
        "via http10 listener": (ask(path="/u/a"),),
    }.items()
] + [
    http2_case(REQUESTS, "edge", ask(("x-envoy-internal", "true"), path="/u/a"), on="edge"),
    http2_case(REQUESTS, "edge to http2", ask(("x-envoy-internal", "true")), on="edge"),
    http2_case(REQUESTS, "normalised path", ask(path="/u/a/../b//c"), on="normal"),
    http2_case(REQUESTS, "slash redirected", ask(path="/u/a%2Fb"), on="slash-redirect"),
    http2_case(REQUESTS, "one request a connection", ask(path="/u/a"), on="one-request"),
    http2_case(REQUESTS, "via", ask(path="/u/a"), on="named"),
    http2_case(REQUESTS, "proper case", ask(("x-my-header", "1"), path="/u/a"), on="proper-case"),
    http2_case(REQUESTS, "on a codec of http1", ask(path="/u/a"), on="codec1"),
    http2_case(REQUESTS, "on a codec of http2", ask(path="/u/a"), on="codec2"),
    http2_case(REQUESTS, "http1 on a codec of http2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", on="codec2"),
]  # fmt: skip

FIELD_CASES = [
    fields("no method", S, P, A),
    fields("no scheme", M, P, A),
    fields("no path", M, S, A),
    fields("no authority", M, S, P),
    fields("host instead of authority", M, S, P, ("host", "a.com")),
    fields("host and authority", M, S, P, A, ("host", "a.com")),
    fields("other host and authority", M, S, P, A, ("host", "b.com")),
    fields("empty method", (":method", ""), S, P, A),
    fields("empty scheme", M, (":scheme", ""), P, A),
    fields("empty path", M, S, (":path", ""), A),
    fields("empty authority", M, S, P, (":authority", "")),
    fields("no pseudo fields", ("x-a", "b")),
    fields("no fields"),
    fields("odd scheme", M, (":scheme", "gopher"), P, A),
    fields("https scheme", M, (":scheme", "https"), P, A),
    fields("upper case scheme", M, (":scheme", "HTTP"), P, A),
    fields("path without slash", M, S, (":path", "u/a"), A),
    fields("absolute path", M, S, (":path", "http://a.com/u/a"), A),
    fields("path with fragment", M, S, (":path", "/u/a#b"), A),
    fields("path with space", M, S, (":path", "/u/a b"), A),
    fields("path with control", M, S, (":path", "/u/a\x01"), A),
    fields("path in utf-8", M, S, (":path", b"/u/\xc3\xa9"), A),
    fields("path star", M, S, (":path", "*"), A),
    fields("method with space", (":method", "G T"), S, P, A),
    fields("authority with user", M, S, P, (":authority", "u@a.com")),
    fields("authority with slash", M, S, P, (":authority", "a/b")),
    fields("authority with space", M, S, P, (":authority", "a b")),
    fields("two methods", M, M, S, P, A),
    fields("two paths", M, S, P, P, A),
    fields("two authorities", M, S, P, A, A),
    fields("pseudo after others", M, S, P, ("x-a", "b"), A),
    fields("unknown pseudo", M, S, P, A, (":x", "b")),
    fields("status in a request", M, S, P, A, (":status", "200")),
    fields("protocol without connect", M, S, P, A, (":protocol", "websocket")),
    fields("connect with path", (":method", "CONNECT"), S, P, A),
    more("upper case name", ("X-A", "b")),
    more("space in a name", ("x a", "b")),
    more("colon in a name", ("x:a", "b")),
    more("empty name", ("", "b")),
    more("control in a name", ("x\x01", "b")),
    more("latin in a name", ("x\xe9", "b")),
    more("empty value", ("x-a", "")),
    more("blank around a value", ("x-a", " b ")),
    more("tab around a value", ("x-a", "\tb\t")),
    more("nul in a value", ("x-a", "b\0c")),
    more("cr in a value", ("x-a", "b\rc")),
    more("lf in a value", ("x-a", "b\nc")),
    more("control in a value", ("x-a", "b\x01c")),
    more("delete in a value", ("x-a", "b\x7fc")),
    more("latin in a value", ("x-a", "\xe9")),
    more("connection", ("connection", "close")),
    more("connection keep-alive", ("connection", "keep-alive")),
    more("keep-alive", ("keep-alive", "5")),
    more("proxy-connection", ("proxy-connection", "close")),
    more("transfer-encoding", ("transfer-encoding", "chunked"), body=b"abc"),
    more("upgrade", ("upgrade", "h2c")),
    more("te trailers", ("te", "trailers")),
    more("te gzip", ("te", "gzip")),
    more("te list", ("te", "trailers, gzip")),
    more("http2-settings", ("http2-settings", "AAMA")),
    more("underscore", ("x_a", "b")),
    more("twice", ("x-a", "1"), ("x-b", "2"), ("x-a", "3")),
    more("short content-length", ("content-length", "1"), body=b"abc"),
    more("long content-length", ("content-length", "9"), body=b"abc"),
    more("content-length without body", ("content-length", "3")),
    more("content-length of nothing", ("content-length", "0")),
    more("two content-lengths", ("content-length", "3"), ("content-length", "3"), body=b"abc"),
    more("content-length list", ("content-length", "3, 3"), body=b"abc"),
    more("content-length not a number", ("content-length", "x"), body=b"abc"),
    more("content-length with sign", ("content-length", "+3"), body=b"abc"),
    more("large field", ("x-a", "v" * 50000)),
    more("too large fields", ("x-a", "v" * 62000)),
    more("as many fields as allowed", *((f"x-{n}", "1") for n in range(95))),
    more("too many fields", *((f"x-{n}", "1") for n in range(101))),
    fields("too large for the listener", M, S, P, A, ("x-a", "v" * 9000), on="limits"),
    fields("too many for the listener", M, S, P, A, *((f"x-{n}", "1") for n in range(12)), on="limits"),
    fields("underscore refused", M, S, P, A, ("a_b", "1"), on="reject-underscores"),
    fields("underscore dropped", M, S, P, A, ("a_b", "1"), ("c", "2"), on="drop-underscores"),
    fields("forbidden, with override", M, S, P, A, ("connection", "close"), on="h2-override"),
    fields("upper case, with override", M, S, P, A, ("X-A", "b"), on="h2-override"),
    fields("no path, with override", M, S, A, on="h2-override"),
    fields("stripped port", M, S, (":path", "/u/a"), (":authority", "a.com:99"), on="strip-any"),
    http2_case(FIELDS, "pseudo field in trailers",
        asked(data(b"a", end=False), headers([(":path", "/")]), method="POST", end=False)),
    http2_case(FIELDS, "upper case in trailers",
        asked(data(b"a", end=False), headers([("X-T", "1")]), method="POST", end=False)),
    http2_case(FIELDS, "connection in trailers",
        asked(data(b"a", end=False), headers([("connection", "close")]), method="POST", end=False)),
    http2_case(FIELDS, "trailers that do not end", asked(headers([("x-t", "1")], end=False), method="POST", end=False)),
    http2_case(FIELDS, "empty trailers", asked(headers([]), method="POST", end=False)),
]  # fmt: skip

FRAME_CASES = [
    frames("only the preface", f.PREFACE),
    frames("preface and settings", hello()),
    frames("no settings", f.PREFACE + headers(request("GET", "/u/a"))),
    frames("half a preface", f.PREFACE[:12]),
    # A FIN right behind the first bytes is a race in both: SETTINGS go out if they are not read in one turn.
    frames("half a preface and end", f.PREFACE[:12], Wait(0.1), ShutdownWrite()),
    frames("broken preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    frames("ping", hello(frame(f.PING, 0, 0, b"12345678"))),
    frames("ping acknowledged", hello(frame(f.PING, f.ACK, 0, b"12345678"))),
    frames("short ping", hello(frame(f.PING, 0, 0, b"123"))),
    frames("ping on a stream", hello(frame(f.PING, 0, 1, b"12345678"))),
    frames("settings on a stream", hello(frame(f.SETTINGS, 0, 1))),
    frames("settings of odd length", hello(frame(f.SETTINGS, 0, 0, b"12345"))),
    frames("settings acknowledged with payload", hello(frame(f.SETTINGS, f.ACK, 0, b"123456"))),
    frames("unknown setting", f.PREFACE + settings((99, 1)) + headers(request("GET", "/u/a"))),
    frames("settings push 2", hello(settings((2, 2)))),
    frames("settings window too large", hello(settings((4, 0x80000000)))),
    frames("settings frame size too small", hello(settings((5, 100)))),
    frames("settings connect protocol 2", hello(settings((8, 2)))),
    frames("settings window of nothing", f.PREFACE + settings((4, 0)) + headers(request("GET", "/u/a"))),
    frames("settings window of 1", f.PREFACE + settings((4, 1)) + headers(request("GET", "/tea"))),
    frames("reset while the answer waits for a window", f.PREFACE + settings((4, 0)) + headers(request("GET", "/tea")),
        Wait(0.1), f.rst(8)),
    frames("answer that waits too long for a window", f.PREFACE + settings((4, 0)) + headers(request("GET", "/tea")),
        on="stream-idle", quiet=0.9),
    frames("answer to an unfinished request that waits for a window",
        f.PREFACE + settings((4, 0)) + headers(request("POST", "/tea"), end=False)),
    frames("window opened later", f.PREFACE + settings((4, 0)) + headers(request("GET", "/tea")), Wait(0.1),
        settings((4, 100))),
    frames("no table", f.PREFACE + settings((1, 0)) + headers(request("GET", "/tea"))),
    frames("data on an idle stream", hello(data(b"abc", 1))),
    frames("data on stream 0", hello(data(b"abc", 0))),
    frames("headers on stream 0", hello(headers(request("GET", "/u/a"), 0))),
    frames("headers on an even stream", hello(headers(request("GET", "/u/a"), 2))),
    frames("lower stream", hello(headers(request("GET", "/tea"), 3)), Until(b"stout"),
        headers(request("GET", "/tea"), 1)),
    frames("stream used again", asked(path="/tea"), Until(b"stout"), headers(request("GET", "/tea"), 1)),
    frames("data on a closed stream", asked(path="/tea"), Until(b"stout"), data(b"abc", 1)),
    frames("data after end", asked(data(b"abc"), path="/u/slow")),
    frames("headers after end", asked(headers([("x-t", "1")]), path="/u/slow")),
    frames("rst of an idle stream", hello(f.rst(8))),
    frames("rst of stream 0", hello(f.rst(8, 0))),
    frames("rst of wrong length", asked(frame(f.RST_STREAM, 0, 1, b"123"), path="/u/slow")),
    frames("rst while waiting", asked(path="/u/slow"), Wait(0.1), f.rst(8)),
    frames("rst while waiting for http2", asked(path="/2/slow"), Wait(0.1), f.rst(8)),
    frames("rst in the body", asked(data(b"abc", end=False), method="POST", end=False), Wait(0.1), f.rst(8)),
    frames("rst after the answer", asked(path="/tea"), Until(b"stout"), f.rst(8)),
    frames("goaway", asked(path="/tea"), Until(b"stout"), f.goaway(0, 0), headers(request("GET", "/tea"), 3)),
    frames("goaway with error", hello(f.goaway(0, 1, b"why"))),
    frames("goaway on a stream", hello(frame(f.GOAWAY, 0, 1, b"\0" * 8))),
    frames("goaway too short", hello(frame(f.GOAWAY, 0, 0, b"\0" * 4))),
    frames("window update 0", hello(f.window_update(0))),
    frames("window update 0 of a stream", asked(f.window_update(0, 1), path="/u/slow")),
    frames("window overflow", hello(f.window_update(0x7FFFFFFF))),
    frames("stream window overflow", asked(f.window_update(0x7FFFFFFF, 1), path="/u/slow")),
    frames("window update of an idle stream", hello(f.window_update(1, 1))),
    frames("short window update", hello(frame(f.WINDOW_UPDATE, 0, 0, b"12"))),
    frames("priority", hello(frame(f.PRIORITY, 0, 1, b"\0\0\0\0\x10"), headers(request("GET", "/tea"), 3))),
    frames("priority of wrong length", hello(frame(f.PRIORITY, 0, 1, b"123"))),
    frames("priority on itself", hello(frame(f.PRIORITY, 0, 1, b"\0\0\0\x01\x10"))),
    frames("priority on stream 0", hello(frame(f.PRIORITY, 0, 0, b"\0\0\0\x01\x10"))),
    frames("headers with priority",
        hello(frame(f.HEADERS, 0x25, 1, b"\0\0\0\0\x10" + f.block(request("GET", "/tea"))))),
    frames("headers on itself", hello(frame(f.HEADERS, 0x25, 1, b"\0\0\0\x01\x10" + f.block(request("GET", "/tea"))))),
    frames("padded headers", hello(frame(f.HEADERS, 13, 1, b"\x03" + f.block(request("GET", "/tea")) + b"\0\0\0"))),
    frames("padding too long", hello(frame(f.HEADERS, 13, 1, b"\xff" + f.block(request("GET", "/tea"))))),
    frames("padded data", asked(frame(f.DATA, 9, 1, b"\x02abc\0\0"), method="POST", end=False)),
    frames("padded data too long", asked(frame(f.DATA, 9, 1, b"\x09abc"), method="POST", end=False)),
    frames("continuation", hello(frame(f.HEADERS, 1, 1, f.block(request("GET", "/tea"))[:5]),
        frame(f.CONTINUATION, 4, 1, f.block(request("GET", "/tea"))[5:]))),
    frames("continuation alone", hello(frame(f.CONTINUATION, 4, 1, f.block(request("GET", "/tea"))))),
    frames("continuation broken by ping", hello(frame(f.HEADERS, 1, 1, f.block(request("GET", "/tea"))),
        frame(f.PING, 0, 0, b"12345678"))),
    frames("continuation of another stream", hello(frame(f.HEADERS, 1, 1, f.block(request("GET", "/tea"))),
        frame(f.CONTINUATION, 4, 3, b""))),
    frames("continuation unfinished", hello(frame(f.HEADERS, 1, 1, f.block(request("GET", "/tea"))[:9]))),
    frames("push promise from a client", hello(frame(f.PUSH_PROMISE, 4, 1, b"\0\0\0\x02"))),
    frames("unknown frame", hello(frame(77, 0, 0, b"abc"), headers(request("GET", "/tea")))),
    frames("unknown frame on a stream", hello(frame(77, 0, 1, b"abc"), headers(request("GET", "/tea")))),
    frames("frame too large", hello(frame(f.PING, 0, 0, b"x" * 17000))),
    frames("data frame too large", asked(data(b"x" * 17000), method="POST", end=False)),
    frames("bad block", hello(frame(f.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"))),
    frames("index 0", hello(frame(f.HEADERS, 5, 1, b"\x80"))),
    frames("table size too large",
        hello(frame(f.HEADERS, 5, 1, b"\x3f\xff\xff\x03" + f.block(request("GET", "/tea"))))),
    frames("garbage after settings", hello(b"garbage garbage garbage")),
    frames("half closed after get", asked(path="/u/slow"), Wait(0.1), ShutdownWrite()),
    frames("half closed in the body", asked(data(b"abc", end=False), method="POST", end=False), Wait(0.1),
        ShutdownWrite()),
    frames("half closed without a request", hello(), Wait(0.1), ShutdownWrite()),
    frames("too many streams", hello(*(headers(request("POST", "/u/a"), n, end=False) for n in (1, 3, 5))),
        on="h2-small"),
    frames("small window overrun", asked(*(data(b"x" * 16384, end=False) for _ in range(5)), path="/nowhere2",
        method="POST", end=False), on="h2-small"),
    frames("empty data flood", asked(*(data(b"", end=False) for _ in range(6)), method="POST", end=False),
        on="h2-flood"),
    frames("priority flood", asked(*(frame(f.PRIORITY, 0, 1, b"\0\0\0\0\x10") for _ in range(20))), on="h2-flood"),
    frames("window update flood", hello(*(f.window_update(1) for _ in range(40))), on="h2-flood"),
    frames("ping flood", hello(*(frame(f.PING, 0, 0, b"12345678") for _ in range(60))), on="h2-flood"),
    frames("idle", hello(), on="idle", quiet=0.8),
    frames("idle after a request", asked(path="/tea"), on="idle", quiet=0.8),
    frames("connection duration", asked(path="/tea"), on="duration", quiet=0.9),
]  # fmt: skip

RESPONSE_CASES = [
    http2_case(RESPONSES, path.removeprefix("/2/"), ask(path=path, method="HEAD" if path.endswith("/head") else "GET"))
    for path in HTTP2_ANSWERS
    if path != "/"
] + [
    http2_case(RESPONSES, f"of http1 {name}", ask(path=f"/u/{name}"), quiet=0.5 if name == "late-reset" else 0.0)
    for name in (
        "a", "close", "reset", "partial-head", "truncated", "late-reset", "half-chunk", "garbage", "bad-chunk", "eof",
        "chunked", "trailers", "204", "304", "103", "100", "999", "says-close", "hop", "two-lengths", "cookies",
        "length-and-chunked", "big-head", "content",
    )
]  # fmt: skip

LOCAL_CASES = [
    http2_case(LOCAL, name, ask(*more, method=method, path=path, authority=authority))
    for name, method, path, authority, more in (
        ("direct", "GET", "/tea", "a.com", ()),
        ("direct head", "HEAD", "/tea", "a.com", ()),
        ("no route", "GET", "/nowhere", "a.com", ()),
        ("refused", "GET", "/dead", "a.com", ()),
        ("refused http2", "GET", "/2dead", "a.com", ()),
        ("no hosts", "GET", "/empty", "a.com", ()),
        ("timeout", "GET", "/u/slow", "a.com", ()),
        ("retries", "GET", "/retry/", "a.com", ()),
        ("retry of refused stream", "GET", "/2retry/2/reset-refused", "a.com", ()),
        ("redirect", "GET", "/to/https", "a.com", ()),
        ("tls required", "GET", "/", "secure.com", ()),
        ("grpc no route", "GET", "/nowhere", "a.com", (("content-type", "application/grpc"),)),
        ("grpc refused", "POST", "/dead", "a.com", (("content-type", "application/grpc"), ("te", "trailers"))),
        ("grpc timeout", "POST", "/2/slow", "a.com", (("content-type", "application/grpc"),)),
        ("grpc direct", "GET", "/tea", "a.com", (("content-type", "application/grpc"),)),
    )
] + [
    http2_case(LOCAL, "stream idle", asked(method="POST", end=False), on="stream-idle", quiet=0.8),
    http2_case(LOCAL, "request timeout", asked(data(b"a", end=False), method="POST", end=False), on="request-timeout",
        quiet=0.8),
    http2_case(LOCAL, "request headers timeout", hello(frame(f.HEADERS, 1, 1, f.block(request("GET", "/tea"))[:9])),
        on="headers-timeout", quiet=0.8),
    http2_case(LOCAL, "unfinished body of a direct response", asked(path="/tea", method="POST", end=False)),
    http2_case(LOCAL, "unfinished body without route", asked(path="/nowhere", method="POST", end=False)),
    http2_case(LOCAL, "body after a local reply", asked(path="/tea", method="POST", end=False), Until(b"stout"),
        data(b"abc")),
]  # fmt: skip

CASES = [*REQUEST_CASES, *FIELD_CASES, *FRAME_CASES, *RESPONSE_CASES, *LOCAL_CASES]
