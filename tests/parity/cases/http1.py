"""HTTP/1 cases: the integration table's exchanges by area, and what only a comparison of logs and counters shows."""

from __future__ import annotations

from tests.integration import exchanges
from tests.integration.exchanges import get, message
from tests.integration.harness import Step, Until, Wait
from tests.parity.case import Case

TABLES = {
    "HTTP/1 messages": exchanges.PLAIN_CASES,
    "HTTP/1 versions and targets": exchanges.VERSION_CASES,
    "headers at the edge and inside": exchanges.HEADER_CASES,
    "path normalisation": exchanges.PATH_CASES,
    "virtual hosts and routes": exchanges.ROUTE_CASES,
    "local replies and upstream failures": exchanges.FAILURE_CASES,
    "HTTP/1 malformed": exchanges.MALFORMED_CASES,
    "connection end": exchanges.HALF_CLOSE_CASES,
}
ORDINARY_QUIET = 0.6


LATE = {"reset after headers": 0.5}
"""Seconds to wait where the end comes long after the first answer."""


def _taken(area: str, each: exchanges.Case) -> Case:
    quiet = each.quiet if each.quiet != ORDINARY_QUIET else LATE.get(each.name, 0.0)
    return Case(area, each.name, each.steps, each.listener, quiet)


def case(area: str, name: str, *steps: Step, on: str = "plain", quiet: float = 0.0) -> Case:
    return Case(area, name, steps, on, quiet)


KEEP_ALIVE = "keep-alive and pipelining"
HOPS = "hop by hop"
UPSTREAM = "HTTP/1 to an HTTP/2 upstream"

MORE = [
    case(KEEP_ALIVE, "two requests", get("/u/a"), Until(b"hi"), get("/u/b")),
    case(KEEP_ALIVE, "two requests of one write", get("/u/a") + get("/u/b")),
    case(KEEP_ALIVE, "close in the second", get("/u/a"), Until(b"hi"), get("/u/b", "connection: close")),
    case(KEEP_ALIVE, "pipelined behind slow", get("/u/slow") + get("/tea")),
    case(KEEP_ALIVE, "pipelined local replies", get("/tea") + get("/nowhere") + get("/tea")),
    case(KEEP_ALIVE, "pipelined post and get", message("POST /u/a", "content-length: 3", body=b"abc") + get("/u/b")),
    case(KEEP_ALIVE, "pipelined chunked and get",
        message("POST /u/a", "transfer-encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n") + get("/u/b")),
    case(KEEP_ALIVE, "malformed behind good", get("/tea"), Until(b"stout"), b"GET\r\n\r\n"),
    case(KEEP_ALIVE, "malformed behind slow", get("/u/slow") + b"GET\r\n\r\n"),
    case(KEEP_ALIVE, "half a request behind good", get("/u/a") + b"GET /u/b HTTP/1.1\r\nHo", Wait(0.1),
        b"st: b\r\n\r\n"),
    case(KEEP_ALIVE, "after a failure", get("/dead"), Until(b"111"), get("/u/a")),
    case(KEEP_ALIVE, "after no route", get("/nowhere"), Until(b"404"), get("/u/a")),
    case(KEEP_ALIVE, "after upstream close", get("/u/close"), Until(b"termination"), get("/u/a")),
    case(KEEP_ALIVE, "after truncated", get("/u/truncated"), Wait(0.2), get("/u/a")),
    case(KEEP_ALIVE, "after a timeout", get("/u/slow"), Until(b"timeout"), get("/u/a")),
    case(KEEP_ALIVE, "after head", message("HEAD /u/a"), Wait(0.1), get("/u/b")),
    case(KEEP_ALIVE, "after 204", get("/u/204"), Wait(0.1), get("/u/b")),
    case(KEEP_ALIVE, "after 304", get("/u/304"), Wait(0.1), get("/u/b")),
    case(KEEP_ALIVE, "blank line between", get("/tea"), Until(b"stout"), b"\r\n" + get("/tea")),
    case(KEEP_ALIVE, "blank lines between", get("/tea"), Until(b"stout"), b"\r\n\r\n\r\n" + get("/tea")),
    case(KEEP_ALIVE, "http 1.0 two requests", get("/u/a", "connection: keep-alive", version="HTTP/1.0"), Until(b"hi"),
        get("/u/a", version="HTTP/1.0"), on="http10"),
    case(KEEP_ALIVE, "one request a connection, two sent", get("/u/a") + get("/u/b"), on="one-request"),
    case(KEEP_ALIVE, "body after a local reply", message("POST /nowhere", "content-length: 5"), Until(b"404"), b"abcde",
        get("/tea")),
    case(KEEP_ALIVE, "unread body after a local reply", message("POST /tea", "content-length: 50", body=b"abc"),
        Until(b"stout"), b"d" * 47 + get("/tea")),
    case(HOPS, "connection list", get("/u/a", "Connection: x-a, x-b", "x-a: 1", "x-b: 2", "x-c: 3")),
    case(HOPS, "connection twice", get("/u/a", "Connection: x-a", "Connection: x-b", "x-a: 1", "x-b: 2")),
    case(HOPS, "connection odd", get("/u/a", "Connection: ,, x-a ,", "x-a: 1")),
    case(HOPS, "connection upper case", get("/u/a", "Connection: X-A", "x-a: 1")),
    case(HOPS, "close upper case", get("/u/a", "Connection: CLOSE")),
    case(HOPS, "keep-alive and close", get("/u/a", "Connection: keep-alive, close")),
    case(HOPS, "close and nominated host", get("/u/a", "Connection: close, host")),
    case(HOPS, "nominated content-length", message("POST /u/a", "Connection: content-length", "content-length: 3",
        body=b"abc")),
    case(HOPS, "nominated transfer-encoding", message("POST /u/a", "Connection: transfer-encoding",
        "transfer-encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")),
    case(HOPS, "nominated expect", message("POST /u/a", "Connection: expect", "expect: 100-continue",
        "content-length: 3", body=b"abc")),
    case(HOPS, "expect twice", message("POST /u/a", "expect: 100-continue", "expect: 100-continue", "content-length: 3",
        body=b"abc")),
    case(HOPS, "expect empty and whole", message("POST /u/a", "expect:", "expect: 100-continue", "content-length: 3",
        body=b"abc")),
    case(HOPS, "nominated authorization", get("/u/a", "Connection: authorization", "authorization: Basic x")),
    case(HOPS, "nominated many", get("/u/a", "Connection: a,b,c,d,e,f,g,h,i,j,k,l", "a: 1")),
    case(HOPS, "nominated te gzip", get("/u/a", "Connection: te", "te: gzip")),
    case(HOPS, "nominated te both", get("/u/a", "Connection: te, x-a", "te: trailers, gzip", "x-a: 1")),
    case(HOPS, "trailer header", message("POST /u/a", "trailer: x-t", "transfer-encoding: chunked",
        body=b"0\r\nx-t: 1\r\n\r\n")),
    case(HOPS, "proxy-authenticate", get("/u/a", "proxy-authorization: a", "proxy-authenticate: b")),
    case(HOPS, "keep-alive header", get("/u/a", "Keep-Alive: timeout=5, max=1000")),
    case(HOPS, "upgrade list", get("/u/a", "Connection: Upgrade", "Upgrade: foo, bar")),
    case(HOPS, "http2-settings alone", get("/u/a", "HTTP2-Settings: AAMA")),
    case(HOPS, "retry after 500", get("/5retry/u/a")),
    *(
        case(UPSTREAM, f"answer {name}", get(f"/2/{name}"))
        for name in (
            "a", "trailers", "204", "304", "no-length", "empty-data", "only-head", "pieces", "100", "103", "cookies",
            "close", "late-close", "reset-refused", "reset-internal", "late-reset", "no-status", "connection",
            "huge-head", "goaway", "long-length", "short-length", "twice", "slow",
        )
    ),
    case(UPSTREAM, "head", message("HEAD /2/head")),
    case(UPSTREAM, "post", message("POST /2/a", "content-length: 3", body=b"abc")),
    case(UPSTREAM, "post chunked", message("POST /2/a", "transfer-encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")),
    case(UPSTREAM, "request trailers", message("POST /2/a", "transfer-encoding: chunked",
        body=b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"), on="trailers"),
    case(UPSTREAM, "response trailers", get("/2/trailers"), on="trailers"),
    case(UPSTREAM, "response trailers asked for", get("/2/trailers", "te: trailers"), on="trailers"),
    case(UPSTREAM, "hop by hop", get("/2/a", "connection: keep-alive, x-a", "x-a: 1", "keep-alive: 5", "te: trailers")),
    case(UPSTREAM, "cookies sent", get("/2/a", "cookie: a=1; b=2", "cookie: c=3")),
    case(UPSTREAM, "expect", message("POST /2/a", "content-length: 3", "expect: 100-continue", body=b"abc")),
    case(UPSTREAM, "upper case and order", get("/2/a", "X-B: 1", "x-A: 2", "X-b: 3")),
    case(UPSTREAM, "two requests", get("/2/a"), Until(b"hi"), get("/2/b")),
    case(UPSTREAM, "refused connection", get("/2dead")),
    case(UPSTREAM, "retry of refused stream", get("/2retry/2/reset-refused")),
    case(UPSTREAM, "http 1.0", get("/2/a", version="HTTP/1.0"), on="http10"),
    case(UPSTREAM, "http 1.0 trailers", get("/2/trailers", version="HTTP/1.0"), on="http10"),
]  # fmt: skip

CASES = [
    *(_taken(area, each) for area, table in TABLES.items() for each in table if each.name not in exchanges.RACES),
    *MORE,
]
