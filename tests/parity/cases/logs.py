"""Access logs: formats, filters, flushes before the end, and the listener's own log (log_listeners.py)."""

from __future__ import annotations

import ssl

from tests.integration.exchanges import get, message
from tests.integration.harness import ShutdownWrite, Step, Until, Wait
from tests.parity.case import Case, Tls, http2_case
from tests.parity.certificates import tls
from tests.parity.frames import ask

FORMATS = "access log formats"
FILTERED = "access log filters"
FLUSHED = "access logs before the end"
CONNECTIONS = "access logs of listeners"

_BY_JSON = ("log-json", "log-json-omit")
_BY_TEXT = ("log-text", "log-text-omit")


def _each(listeners: tuple[str, ...], name: str, *steps: Step) -> list[Case]:
    return [Case(FORMATS, f"{on}: {name}", steps, on) for on in listeners]


def case(area: str, name: str, on: str, *steps: Step, lines: int | None = None, quiet: float = 0.0) -> Case:
    return Case(area, name, steps, on, quiet, lines=lines)


GIVEN = ("x-a: abcdef", "x-b: 12345", "user-agent: curl/7")

_FORMATS = [
    *_each(_BY_JSON, "direct", get("/tea", *GIVEN)),
    *_each(_BY_JSON, "upstream", get("/u/a", *GIVEN)),
    *_each(_BY_JSON, "quotes", get("/tea", 'user-agent: a"b\\c', "x-odd: \ttab\there")),
    *_each(_BY_JSON, "utf-8", get("/tea", "user-agent: h\u00c3\u00a9 \u00e2\u0082\u00ac")),
    *_each(_BY_JSON, "latin", get("/tea", "user-agent: caf\u00e9")),
    *_each(_BY_JSON, "dead", get("/dead")),
    *_each(_BY_JSON, "malformed", b"GET\r\n\r\n"),
    *_each(_BY_JSON, "control characters", get("/tea", "x-odd: a\x7fb")),
    case(FORMATS, "sorted and old field", "log-json-sorted", get("/u/a", *GIVEN), lines=2),
    *_each(_BY_TEXT, "direct", get("/tea?k=value&e=%41", *GIVEN)),
    *_each(_BY_TEXT, "upstream", get("/u/a?a=1&k=v", *GIVEN)),
    *_each(_BY_TEXT, "redirect of a prefix", get("/to/prefix/x?q=1", *GIVEN)),
    *_each(_BY_TEXT, "dead", get("/dead")),
    *_each(_BY_TEXT, "retried", get("/5retry/u/500")),
    *_each(_BY_TEXT, "retried in vain", get("/retry/x")),
    *_each(_BY_TEXT, "no route", get("/nowhere?k")),
    *_each(_BY_TEXT, "malformed", b"GET\r\n\r\n"),
    *_each(_BY_TEXT, "no host", b"GET /tea HTTP/1.1\r\n\r\n"),
    *_each(_BY_TEXT, "empty headers", get("/tea", "x-a:", "x-b: ")),
    *_each(_BY_TEXT, "twice", get("/tea", "x-a: one", "x-a: two")),
    *_each(_BY_TEXT, "forwarded", get("/tea", "x-forwarded-for: 1.2.3.4")),
    *_each(_BY_TEXT, "grpc", message("POST /tea", "content-type: application/grpc", "te: trailers")),
    *_each(_BY_TEXT, "grpc upstream", message("POST /u/a", "content-type: application/grpc", "te: trailers")),
    *_each(_BY_TEXT, "post", message("POST /u/a", "content-length: 3", body=b"abc")),
    *_each(_BY_TEXT, "http2 upstream", get("/2/trailers")),
    *_each(_BY_TEXT, "reset upstream", get("/u/close")),
]

FACTS = [
    Case(FORMATS, f"tls facts {name}", (Wait(0.1), get("/tea")), "log-tls-facts", tls=how, bytes_counted=False)
    for name, how in (("with a certificate", tls(certificate="client")), ("without", tls()))
]

HIGH_ID = "x-request-id: 0000270f-0000-4000-8000-000000000000"
LOW_ID = "x-request-id: 00000001-0000-4000-8000-000000000000"

_FILTERED = [
    case(FILTERED, "direct", "log-filters", get("/tea")),
    case(FILTERED, "200", "log-filters", get("/u/a")),
    case(FILTERED, "204", "log-filters", get("/u/204")),
    case(FILTERED, "500", "log-filters", get("/u/500")),
    case(FILTERED, "dead", "log-filters", get("/dead")),
    case(FILTERED, "no route", "log-filters", get("/nowhere")),
    case(FILTERED, "malformed", "log-filters", b"GET\r\n\r\n"),
    case(FILTERED, "header one", "log-filters", get("/u/a", "x-f: one", HIGH_ID)),
    case(FILTERED, "header two", "log-filters", get("/tea", "x-f: two", LOW_ID)),
    case(FILTERED, "header number", "log-filters", get("/tea", "x-f: 5", HIGH_ID)),
    case(FILTERED, "header twice", "log-filters", get("/tea", "x-f: one", "x-f: two", LOW_ID)),
    case(FILTERED, "grpc refused", "log-filters", message("POST /dead", "content-type: application/grpc")),
    case(FILTERED, "grpc without status", "log-filters", message("POST /u/a", "content-type: application/grpc")),
    case(FILTERED, "client gone", "log-filters", get("/p/slow"), Wait(0.1), ShutdownWrite()),
]

_FLUSHED = [
    case(FLUSHED, "upstream", "log-flush", get("/u/a"), lines=2),
    case(FLUSHED, "direct", "log-flush", get("/tea"), lines=2),
    case(FLUSHED, "no route", "log-flush", get("/nowhere"), lines=2),
    case(FLUSHED, "redirect", "log-flush", get("/to/https"), lines=2),
    case(FLUSHED, "upgrade", "log-flush", get("/u/a", "connection: upgrade", "upgrade: websocket"), lines=2),
    case(FLUSHED, "malformed", "log-flush", b"GET\r\n\r\n", lines=1),
    case(FLUSHED, "no host", "log-flush", b"GET /tea HTTP/1.1\r\n\r\n", lines=1),
    case(FLUSHED, "two requests", "log-flush", get("/u/a"), Until(b"hi"), get("/u/b"), lines=4),
    case(FLUSHED, "post", "log-flush", message("POST /u/a", "content-length: 3", body=b"abc"), lines=2),
    case(FLUSHED, "expect", "log-flush", message("POST /u/a", "content-length: 3", "expect: 100-continue"),
        Until(b"100"), b"abc", lines=2),
    case(FLUSHED, "periodic", "log-periodic", message("POST /u/a", "content-length: 6"), Wait(0.22), b"abcdef",
        Until(b"hi"), lines=3),
    case(FLUSHED, "periodic before the head", "log-periodic", b"GET /tea HTTP/1.1\r\nhost:", Wait(0.22), b" a\r\n\r\n",
        lines=3),
    case(FLUSHED, "periodic to a slow upstream", "log-periodic", get("/p/slow"), Until(b"hi"), lines=8),
    http2_case(FLUSHED, "http2", ask(path="/u/a"), on="log-flush"),
]  # fmt: skip


def _hello() -> bytes:
    """A ClientHello for a name that is nobody's."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="nobody.example.com")
    try:
        shaking.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


HELLO = _hello()


def connection(name: str, on: str, *steps: Step, quiet: float = 0.0) -> Case:
    return Case(CONNECTIONS, name, steps, on, quiet, lines=1)


def secure(name: str, on: str, *steps: Step, quiet: float = 0.0, tls: Tls | None = None) -> Case:
    """Handshakes are not the matter here: what came is not shown."""
    return Case(CONNECTIONS, name, steps, on, quiet, lambda came: "", tls=tls, bytes_counted=False, lines=1)


_CONNECTIONS = [
    connection("one request", "log-connection", get("/u/a")),
    connection("two requests", "log-connection", get("/u/a"), Until(b"hi"), get("/tea")),
    connection("closed by us", "log-connection", get("/tea", "connection: close")),
    connection("nothing sent", "log-connection", ShutdownWrite()),
    connection("idle", "log-connection", quiet=0.5),
    connection("malformed", "log-connection", b"GET\r\n\r\n"),
    connection("malformed after good", "log-connection", get("/tea"), Until(b"stout"), b"GET\r\n\r\n"),
    connection("half a head", "log-connection", b"GET / HT", Wait(0.1), ShutdownWrite()),
    connection("old version", "log-connection", get("/tea", version="HTTP/1.0")),
    connection("client gone", "log-connection", get("/p/slow"), Wait(0.1), ShutdownWrite()),
    connection("no chain", "log-no-chain", Wait(0.1)),
    secure("no name", "log-sni", get("/tea")),
    secure("other name", "log-sni", HELLO),
    secure("half a hello", "log-sni", HELLO[:60], Wait(0.05), ShutdownWrite()),
    secure("not tls", "log-tls", b"garbage garbage garbage"),
    secure("hello and away", "log-tls", HELLO, Wait(0.1), ShutdownWrite()),
    secure("slow hello", "log-tls", HELLO[:20], quiet=0.6),
    secure("tls", "log-tls", get("/tea"), tls=tls()),
]

CASES = [*_FORMATS, *FACTS, *_FILTERED, *_FLUSHED, *_CONNECTIONS]
