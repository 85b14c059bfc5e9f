"""Upgrades and CONNECT (tunnel_setup.py)."""

from __future__ import annotations

from tests.integration.exchanges import get, message
from tests.integration.harness import ShutdownWrite, Until, Wait
from tests.parity import frames as f
from tests.parity.case import Case
from tests.parity.frames import Field, data, headers, hello, show_http2
from tests.parity.steps import Admin, CaseStep, Closed, Connect, Use
from tests.parity.tcp_setup import LARGE, Reset, Rest
from tests.parity.tunnel_setup import LEAVING, SETUP, WORKERS, show

UPGRADES, CONNECT, BY_HTTP2, RAW = "upgrades", "CONNECT", "tunnels by HTTP/2", "CONNECT to TCP"
END = ShutdownWrite()
IN, HELLO, BYE = b"in\n", Until(b"hello\n"), Until(b"bye\n")


def ws(to: str, *more: str, path: str = "/", kind: str = "websocket", connection: str = "Upgrade") -> bytes:
    """A request for an upgrade."""
    return get(path, f"x-to: {to}", f"connection: {connection}", f"upgrade: {kind}", *more)


def con(to: str, *more: str, target: str = "a.com:443") -> bytes:
    """A CONNECT request."""
    return message(f"CONNECT {target}", f"x-to: {to}", *more, host=target)


def case(name: str, on: str, *steps: CaseStep, quiet: float = 0.0, lines: int | None = None) -> Case:
    return Case(UPGRADES, name, steps, on, quiet, show, lines=lines, setup=SETUP)


TALK = [
    case("both talk, the upstream ends", "main", ws("talks"), HELLO, IN, BYE, Closed()),
    case("the client ends", "main", ws("echo"), b"abc", Until(b"abc"), END, Closed()),
    case("the client resets", "main", ws("echo"), b"abc", Until(b"abc"), Reset()),
    case("the client goes", "main", ws("echo"), b"abc", Until(b"abc")),
    case("the upstream closes", "main", ws("closes"), IN, Closed()),
    case("the upstream resets", "main", ws("resets"), IN, Closed()),
    case("the upstream ends its side", "main", ws("half-closes"), IN, BYE, Closed()),
    case("bytes before the switch", "main", ws("late") + IN, BYE, Closed()),
    case("bytes before the switch, in pieces", "main", ws("late"), Wait(0.05), b"i", Wait(0.05), b"n\n", BYE, Closed()),
    case("the client ends before the switch", "main", ws("late"), Wait(0.1), END, Closed()),
    case("the client resets before the switch", "main", ws("late"), Wait(0.1), Reset()),
    case("a request behind the switch is bytes", "main", ws("echo"), Until(b"101"), get("/direct"), Until(b"direct")),
    case("another kind", "main", ws("talks", kind="foo"), HELLO, IN, BYE, Closed()),
    case("another kind, bytes before the switch", "main", ws("late", kind="foo") + IN, BYE, Closed()),
    case("a kind in other letters", "main", ws("talks", kind="WebSocket"), HELLO, IN, BYE, Closed()),
    case("with a content-length", "main", ws("talks", "content-length: 3") + IN, HELLO, BYE, Closed()),
    case("with a content-length of 0", "main", ws("talks", "content-length: 0") + IN, HELLO, BYE, Closed()),
    case("chunked", "main", ws("talks", "transfer-encoding: chunked") + b"3\r\nin\n\r\n0\r\n\r\n", Wait(0.1)),
    case("by POST", "main", message("POST /", "x-to: talks", "connection: upgrade", "upgrade: websocket") + IN, BYE),
    case("rewritten", "rewrites", ws("talks", path="/a?b"), HELLO, IN, BYE, Closed()),
    case("kept alive before", "main", get("/direct"), Until(b"direct"), ws("talks"), HELLO, IN, BYE, lines=2),
    case("other names in connection", "main", ws("talks", "x-b: 1", connection="keep-alive, Upgrade, x-b"), HELLO),
    case("hop-by-hop fields", "main", ws("talks", "te: trailers", "keep-alive: 5", "proxy-connection: x"), HELLO),
]

WHO = [
    case("not configured", "no-route-none", ws("echo", path="/on"), Closed()),
    case("not configured, no route", "no-route-none", ws("echo", path="/other"), Closed()),
    case("configured, no route", "no-route", ws("echo", path="/other"), Closed()),
    case("a kind that is not configured", "main", ws("echo", kind="bar"), Closed()),
    case("several kinds", "main", ws("echo", kind="websocket, foo"), Closed()),
    case("refused, with bytes behind", "no-route-none", ws("echo", path="/on") + get("/on"), Closed()),
    case("a direct response", "main", ws("echo", path="/direct"), Closed()),
    case("a direct response with bytes behind", "main", ws("echo", path="/direct") + get("/direct"), Closed()),
    case("a redirect", "by-routes-too", ws("echo", path="/redirect"), Closed()),
    case("a direct response where none is configured", "routes", ws("echo", path="/direct"), Closed()),
    *(
        case(f"{on}: {kind} at {path}", on, ws("talks", path=path, kind=kind), Wait(0.1))
        for on in ("routes", "disabled", "by-routes-too")
        for path, kind in (
            ("/on", "websocket"), ("/cased", "websocket"), ("/off", "websocket"), ("/foo", "foo"),
            ("/foo", "websocket"), ("/plain", "websocket"),
        )
    ),
    case("filters of its own", "own-filters", ws("talks", "content-length: 9") + IN, HELLO, BYE, Closed()),
    case("filters of the others", "own-filters", ws("talks", kind="foo") + b"in\n123", Closed()),
    case("an upgrade that connection does not name", "main", get("/", "x-to: says-200-plainly", "upgrade: websocket")),
    case("h2c", "main", ws("says-200-plainly", "http2-settings: A", kind="h2c", connection="Upgrade, HTTP2-Settings")),
    case("ignored", "ignores", ws("says-200-plainly", kind="foo")),
    case("ignored by prefix", "ignores", ws("says-200-plainly", kind="bar/2")),
    case("ignored, of two", "ignores", ws("talks", kind="foo, websocket"), HELLO),
    case("ignored, with keep-alive", "ignores", ws("says-200-plainly", kind="foo", connection="Upgrade, keep-alive")),
    case("not ignored", "ignores", ws("talks"), HELLO),
    case("HTTP/1.0", "http10", ws("talks").replace(b"HTTP/1.1", b"HTTP/1.0"), HELLO, IN, BYE, Closed()),
]  # fmt: skip

ANSWERS = [
    *(
        case(f"answered: {to}", "main", ws(to), Wait(0.2))
        for to in (
            "says-200", "says-200-plainly", "says-204", "says-302", "says-403", "says-503", "says-101-bare",
            "says-101-length", "says-101-chunked", "says-101-keep-alive", "says-100-first", "closes-before",
            "resets-before", "dead",
        )
    ),
    *(
        case(f"another kind, answered: {to}", "main", ws(to, kind="foo") + IN, Wait(0.2))
        for to in ("says-200", "says-200-plainly", "says-403", "says-503")
    ),
    case("a switch that nobody asked for", "main", get("/", "x-to: silent")),
    case("retried and failed", "retries", ws("says-503")),
    case("retried, nobody listens", "retries", ws("dead")),
    case("retried, with bytes", "retries", ws("closes-before") + IN),
    case("no retry after the switch", "retries", ws("closes"), IN, Closed()),
]  # fmt: skip

TIMES = [
    case("stream_idle_timeout after the switch", "idle", ws("silent"), Closed(), quiet=0.6),
    case("stream_idle_timeout, with bytes", "idle", ws("echo"), *(b"a", Wait(0.15)) * 4, Closed(), quiet=0.6),
    case("stream_idle_timeout before the switch", "idle", ws("never"), Closed(), quiet=0.6),
    case("idle_timeout of the route", "route-idle", ws("silent"), Closed(), quiet=0.6),
    case("max_stream_duration", "duration", ws("silent"), Closed(), quiet=0.6),
    case("request_timeout before the switch", "request-timeout", ws("never"), Closed(), quiet=0.6),
    case("request_timeout after the switch", "request-timeout", ws("silent"), Wait(0.6), quiet=0.7),
    case("the route's timeout before the switch", "timeout", ws("never"), Wait(0.5), quiet=0.6),
    case("the route's timeout after the switch", "timeout", ws("silent"), Wait(0.6), quiet=0.7),
    case("the route's timeout, another kind", "timeout", ws("never", kind="foo"), Wait(0.5), quiet=0.6),
    case("per_try_timeout before the switch", "per-try", ws("never"), Wait(1.2), quiet=1.2),
    case("per_try_timeout after the switch", "per-try", ws("silent"), Wait(0.6), quiet=0.7),
    case("per_try_idle_timeout before the switch", "per-try-idle", ws("never"), Wait(1.2), quiet=1.2),
    case("per_try_idle_timeout after the switch", "per-try-idle", ws("silent"), Wait(0.6), quiet=0.7),
]

LARGER = [
    case("a large answer", "main", ws("large"), IN, Closed()),
    case("a large answer, read late", "small", ws("large"), IN, Rest(0.4), Closed()),
    case("much to an upstream that rests", "small", ws("rests"), LARGE, Until(b"all\n")),
    case("much before the switch", "small", ws("late") + LARGE + IN, BYE, Closed()),
    case("much, with retries", "small-retries", ws("rests"), LARGE, Until(b"all\n")),
    case("mirrored", "mirrored", ws("talks"), HELLO, IN, BYE, Wait(0.1)),
    case("mirrored, bytes before the switch", "mirrored", ws("late") + IN, BYE, Wait(0.1)),
    case("a virtual cluster", "counted", ws("talks"), HELLO, IN, BYE, Closed()),
    case("a virtual cluster, refused", "counted", ws("says-302"), Closed()),
    case("a line when it is switched", "told-early", ws("talks"), HELLO, IN, BYE, Closed(), lines=2),
]


def con_case(name: str, on: str, *steps: CaseStep, quiet: float = 0.0, lines: int | None = None) -> Case:
    return Case(CONNECT, name, steps, on, quiet, show, lines=lines, setup=SETUP)


CONNECTS = [
    con_case("passed on", "main", con("connect"), Until(b"\r\n\r\n"), IN, BYE, Closed()),
    con_case("the client ends", "main", con("connect-echo"), Until(b"\r\n\r\n"), b"abc", Until(b"abc"), END, Closed()),
    con_case("bytes before the answer", "main", con("connect-late") + IN, BYE, Closed()),
    con_case("answered with 201", "main", con("connect-201"), Until(b"\r\n\r\n"), IN, BYE, Closed()),
    con_case("answered chunked", "main", con("connect-chunked"), Until(b"\r\n\r\n"), IN, BYE, Closed()),
    con_case("answered with 403", "main", con("connect-403") + IN, Closed()),
    con_case("nobody listens", "main", con("dead"), Closed()),
    con_case("not configured", "no-route-none", con("connect"), Closed()),
    con_case("no route", "no-route", con("connect"), Closed()),
    con_case("by the route", "raw-by-route", con("tcp"), Until(b"\r\n\r\n"), IN, BYE, Closed()),
    con_case("without a port", "main", con("connect", target="a.com"), Wait(0.1)),
    con_case("to an IPv6 address", "main", con("connect", target="[::1]:80"), Until(b"\r\n\r\n"), IN, BYE),
    con_case("with a path", "main", message("CONNECT /a", "x-to: connect"), Wait(0.1)),
    con_case("answered with 200 and a length", "main", con("connect-200-length"), Until(b"200"), IN, BYE, Closed()),
    con_case("refused and retried", "retries", con("connect-503"), Wait(0.3)),
    con_case("nobody listens, retried", "retries", con("dead"), Wait(0.3)),
    con_case("the upstream closes, retried", "retries", con("closes-before"), Wait(0.3)),
    con_case("the upstream resets, retried", "retries", con("resets-before"), Wait(0.3)),
    con_case("another Host", "main", message("CONNECT a.com:1", "x-to: connect", host="b.com"), Until(b"200"), IN),
    con_case("with content-length 0", "main", con("connect", "content-length: 0"), Until(b"200"), IN, BYE),
    con_case("with content-length", "main", con("connect", "content-length: 3") + IN, Wait(0.1)),
    con_case("with an upgrade", "main", con("connect", "connection: upgrade", "upgrade: websocket"), Wait(0.2)),
    con_case("the route's timeout", "timeout", con("connect-late"), Wait(0.5), quiet=0.6),
    con_case("stream_idle_timeout", "idle", con("connect-echo"), Closed(), quiet=0.6),
    con_case("request_timeout", "request-timeout", con("connect-echo"), Wait(0.6), quiet=0.7),
    con_case("retried", "retries", con("closes-before") + IN, Wait(0.3)),
    con_case("HTTP/1.0", "http10", con("connect").replace(b"HTTP/1.1", b"HTTP/1.0"), Wait(0.1), IN),
    con_case("a line when it is established", "told-early", con("connect"), Until(b"200"), IN, BYE, Closed(), lines=2),
]


def raw(name: str, on: str, *steps: CaseStep, quiet: float = 0.0, lines: int | None = None) -> Case:
    return Case(RAW, name, steps, on, quiet, show, lines=lines, setup=SETUP)


POST = ("POST /", "transfer-encoding: chunked")
RAWS = [
    raw("both talk", "raw", con("tcp"), Until(b"\r\n\r\n"), IN, BYE, Closed()),
    raw("the upstream speaks first", "raw", con("tcp-first"), HELLO, IN, BYE, Closed()),
    raw("bytes with the request", "raw", con("tcp") + IN, BYE, Closed()),
    raw("the upstream ends its side", "raw", con("tcp-half"), HELLO, Closed()),
    raw("the upstream closes at once", "raw", con("tcp-closes"), Closed()),
    raw("the upstream resets", "raw", con("tcp-resets"), Until(b"\r\n\r\n"), IN, Closed()),
    raw("the client ends", "raw", con("tcp-after"), Until(b"\r\n\r\n"), IN, Wait(0.1), END, Closed()),
    raw("the client resets", "raw", con("tcp-silent"), Until(b"\r\n\r\n"), IN, Wait(0.1), Reset()),
    raw("the client goes", "raw", con("tcp-silent"), Until(b"\r\n\r\n"), IN),
    raw("nobody listens", "raw", con("dead"), Closed()),
    raw("no such cluster", "raw", con("nowhere"), Closed()),
    raw("a GET", "raw", get("/", "x-to: says-200-plainly")),
    raw("by POST", "post", message(*POST, "x-to: tcp") + b"3\r\nin\n\r\n", BYE, Closed()),
    raw("by POST with its end", "post", message(*POST, "x-to: tcp") + b"3\r\nin\n\r\n0\r\n\r\n", BYE, Closed()),
    raw("by POST with a length", "post", message("POST /", "x-to: tcp", "content-length: 3") + IN, BYE, Closed()),
    raw("by POST, after the end", "post", message("POST /", "x-to: tcp-after", "content-length: 3") + IN, Wait(0.1)),
    raw("by POST, CONNECT", "post", con("tcp"), Wait(0.1)),
    raw("by POST, trailers", "post", message(*POST, "x-to: tcp") + b"3\r\nin\n\r\n0\r\nx: y\r\n\r\n", BYE, Closed()),
    raw("the route's timeout", "raw-timeout", con("tcp-silent"), Wait(0.5), quiet=0.6),
    raw("a large answer", "raw", con("tcp-large"), IN, Closed()),
]


def h2(name: str, on: str, *steps: CaseStep, quiet: float = 0.0, lines: int | None = None) -> Case:
    return Case(BY_HTTP2, name, steps, on, quiet, show_http2, bytes_counted=False, lines=lines, setup=SETUP)


def wide(name: str, on: str, *steps: CaseStep, quiet: float = 0.0) -> Case:
    """From HTTP/1 to HTTP/2."""
    return Case(BY_HTTP2, name, steps, on, quiet, show, bytes_counted=False, setup=SETUP)


def extended(to: str, *more: Field, kind: str = "websocket", path: str = "/", end: bool = False) -> bytes:
    """Extended CONNECT (RFC 8441), on a connection's first stream."""
    pseudo = [(":method", "CONNECT"), (":scheme", "http"), (":path", path), (":authority", "a.com")]
    return hello(headers([*pseudo, (":protocol", kind), ("x-to", to), *more], end=end))


def plain(to: str, *more: Field, end: bool = False) -> bytes:
    """CONNECT by HTTP/2."""
    return hello(headers([(":method", "CONNECT"), (":authority", "a.com:443"), ("x-to", to), *more], end=end))


D_IN = data(IN, end=False)
HTTP2 = [
    h2("to HTTP/1: both talk", "main", extended("talks"), HELLO, D_IN, BYE),
    h2("to HTTP/1: the client ends its side", "main", extended("echo"), data(b"abc"), Until(b"abc"), Wait(0.1)),
    h2("to HTTP/1: the client resets", "main", extended("echo"), data(b"abc", end=False), Until(b"abc"), f.rst(8)),
    h2("to HTTP/1: the upstream closes", "main", extended("closes"), D_IN, Wait(0.1)),
    h2("to HTTP/1: the upstream resets", "main", extended("resets"), D_IN, Wait(0.1)),
    h2("to HTTP/1: bytes before the switch", "main", extended("late"), D_IN, BYE),
    h2("to HTTP/1: with an end at once", "main", extended("talks", end=True), Wait(0.2)),
    h2("to HTTP/1: another kind", "main", extended("talks", kind="foo"), HELLO, D_IN, BYE),
    h2("CONNECT where the extended one was not offered", "not-offered", plain("connect"), D_IN, BYE),
    h2("to HTTP/1: bytestream", "main", extended("connect", kind="bytestream"), Wait(0.1)),
    h2("to HTTP/1: a kind that is not configured", "main", extended("echo", kind="bar")),
    h2("to HTTP/1: refused with 403", "main", extended("says-403")),
    h2("to HTTP/1: refused with 503", "main", extended("says-503")),
    h2("to HTTP/1: answered with 200", "main", extended("says-200")),
    h2("to HTTP/1: content-length 0", "main", extended("talks", ("content-length", "0")), HELLO),
    h2(
        "to HTTP/1: content-length 0 and bytes",
        "main",
        extended("talks", ("content-length", "0")),
        HELLO,
        D_IN,
        Wait(0.2),
    ),
    h2("to HTTP/1: content-length and bytes", "main", extended("talks", ("content-length", "3")), HELLO, D_IN, BYE),
    h2(
        "to HTTP/1: content-length and more bytes",
        "main",
        extended("talks", ("content-length", "2")),
        HELLO,
        D_IN,
        Wait(0.2),
    ),
    h2("to HTTP/1: trailers", "main", extended("echo"), Wait(0.1), headers([("x-t", "1")]), Wait(0.1)),
    h2("to HTTP/1: stream_idle_timeout", "idle", extended("silent"), Wait(0.5), quiet=0.6),
    h2(
        "to HTTP/1: the route's timeout after the client's end",
        "timeout",
        extended("silent"),
        Wait(0.1),
        data(b"a"),
        Wait(0.6),
    ),
    h2("to HTTP/2: both talk", "main", extended("http2-talks"), HELLO, D_IN, BYE),
    h2("to HTTP/2: bytes before the answer", "main", extended("http2-late"), D_IN, BYE),
    h2("to HTTP/2: refused", "main", extended("http2-refuses"), D_IN),
    h2("to HTTP/2: the upstream resets", "main", extended("http2-resets"), D_IN, Wait(0.1)),
    h2("to HTTP/2: the client ends its side", "main", extended("http2-silent"), data(b"abc"), Wait(0.2)),
    h2("to HTTP/2: trailers", "main", extended("http2-trailers"), D_IN, BYE),
    h2("CONNECT to HTTP/1", "main", plain("connect"), Until(b"\x00"), D_IN, BYE),
    h2("CONNECT to HTTP/2", "main", plain("http2-talks"), HELLO, D_IN, BYE),
    h2("CONNECT to HTTP/2, refused", "main", plain("http2-refuses"), D_IN),
    # In one piece with the request: what comes after the refusal nobody counts.
    h2("CONNECT to HTTP/1, refused", "main", plain("connect-403") + D_IN),
    h2("CONNECT, not configured", "no-route-none", plain("connect"), Wait(0.1)),
    h2("CONNECT to TCP", "raw", plain("tcp"), D_IN, BYE, Wait(0.1)),
    h2("CONNECT to TCP, the client ends", "raw", plain("tcp-after"), Wait(0.1), data(IN), Until(b"ended\n")),
    h2("CONNECT to TCP, the upstream ends its side", "raw", plain("tcp-half"), HELLO, Wait(0.1)),
    h2("CONNECT to TCP, the upstream resets", "raw", plain("tcp-resets"), D_IN, Wait(0.1)),
    h2("CONNECT to TCP, an end at once", "raw", plain("tcp-after", end=True), Until(b"ended\n"), Wait(0.1)),
    h2("CONNECT to TCP, the client resets", "raw", plain("tcp-silent"), D_IN, Wait(0.1), f.rst(8)),
    h2("CONNECT to TCP, a byte stream", "raw", extended("tcp", kind="bytestream"), D_IN, BYE, Wait(0.1)),
    h2("an upgrade is no CONNECT", "routes", extended("talks", path="/on"), HELLO),
    h2(
        "CONNECT to TCP, trailers",
        "raw",
        plain("tcp-after"),
        D_IN,
        Wait(0.1),
        headers([("x-t", "1")]),
        Until(b"ended\n"),
    ),
    h2(
        "CONNECT to TCP, the route's timeout after the end",
        "raw-timeout",
        plain("tcp-lingers"),
        Wait(0.1),
        data(b"a"),
        Wait(0.6),
    ),
    h2(
        "CONNECT to HTTP/2, the route's timeout after the end",
        "timeout",
        plain("http2-silent"),
        Wait(0.1),
        data(b"a"),
        Wait(0.6),
    ),
    h2(
        "to HTTP/2, another kind, the route's timeout after the end",
        "timeout",
        extended("http2-silent", kind="foo"),
        Wait(0.1),
        data(b"a"),
        Wait(0.6),
    ),
    h2("a line when it is established", "told-early", plain("connect"), Wait(0.1), D_IN, BYE, lines=2),
    wide("from HTTP/1: both talk", "main", ws("http2-talks"), HELLO, IN, BYE, Closed()),
    wide("from HTTP/1: bytes before the answer", "main", ws("http2-late") + IN, BYE, Closed()),
    wide("from HTTP/1: another kind", "main", ws("http2-talks", kind="foo"), HELLO, IN, BYE, Closed()),
    wide("from HTTP/1: answered with 101", "main", ws("http2-says-101"), Wait(0.1)),
    wide("from HTTP/1: answered with 201", "main", ws("http2-says-201") + IN, Wait(0.2)),
    wide("from HTTP/1: refused", "main", ws("http2-refuses") + IN, Wait(0.1)),
    wide("from HTTP/1: the upstream resets", "main", ws("http2-resets"), IN, Closed()),
    wide("from HTTP/1: the client ends", "main", ws("http2-silent"), IN, Wait(0.1), END, Closed()),
    wide("from HTTP/1: an upstream without extended CONNECT", "main", ws("http2-without"), HELLO, IN, BYE, Closed()),
    wide("from HTTP/1: CONNECT", "main", con("http2-talks"), HELLO, IN, BYE, Closed()),
    wide("from HTTP/1: CONNECT answered with 201", "main", con("http2-says-201") + IN, Wait(0.2)),
    wide("from HTTP/1: CONNECT refused", "main", con("http2-refuses") + IN, Wait(0.1)),
    wide("from HTTP/1: the route's timeout", "timeout", ws("http2-never"), Wait(0.5), quiet=0.6),
]

GRACEFUL = Admin("POST /drain_listeners?graceful")


def leaving(name: str, *steps: CaseStep, lines: int | None = None) -> Case:
    return Case("drain", name, steps, "main", show=show, lines=lines, setup=LEAVING)


def several(name: str, *steps: CaseStep) -> Case:
    return Case("workers", name, steps, "main", show=show, setup=WORKERS)


OTHERS = [
    leaving(
        "a tunnel outlives its listener", ws("echo"), Until(b"101"), GRACEFUL, b"abc", Until(b"abc"), END, Closed()
    ),
    leaving("a tunnel outlives the drain", ws("echo"), Until(b"101"), GRACEFUL, Wait(1.5), b"abc", Until(b"abc")),
    leaving("a switch in a drain", get("/direct"), Until(b"direct"), GRACEFUL, ws("talks"), HELLO, IN, BYE, Closed()),
    leaving(
        "CONNECT in a drain",
        get("/direct"),
        Until(b"direct"),
        GRACEFUL,
        con("connect"),
        Until(b"200 OK\r\nda"),
        IN,
        BYE,
    ),
    leaving("a refused upgrade in a drain", get("/direct"), Until(b"direct"), GRACEFUL, ws("says-503"), Closed()),
    several("a tunnel", ws("talks"), HELLO, IN, BYE, Closed()),
    several(
        "two tunnels at once",
        ws("echo"),
        Until(b"101"),
        Connect(),
        ws("echo"),
        b"a",
        Until(b"a"),
        Use(0),
        b"a",
        Until(b"a"),
    ),
    several("CONNECT", con("connect"), Until(b"\r\n\r\n"), IN, BYE, Closed()),
]

CASES = [*TALK, *WHO, *ANSWERS, *TIMES, *LARGER, *CONNECTS, *RAWS, *HTTP2, *OTHERS]
