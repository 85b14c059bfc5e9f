"""Unix domain sockets: listeners at one, hosts at one, and what addresses look like then (pipe_listeners.py)."""

from __future__ import annotations

from tests.integration.exchanges import get, message
from tests.integration.harness import Step, Wait
from tests.parity.case import Case, http2_case
from tests.parity.frames import ask

PIPES = "Unix domain sockets"
XFF = "x-forwarded-for: 192.0.2.7"


def _case(name: str, *steps: Step, on: str = "pipe", lines: int | None = None) -> Case:
    return Case(PIPES, name, steps, on, lines=lines)


def _post(path: str, body: bytes) -> bytes:
    return message(f"POST {path}", f"content-length: {len(body)}", body=body)


CASES = [
    _case("direct response", get("/direct")),
    _case("to a port", get("/u/a")),
    _case("to a socket", get("/piped/a")),
    _case("two requests on a connection", get("/piped/a"), Wait(0.1), get("/piped/b")),
    _case("pipelined", get("/direct") + get("/direct")),
    _case("body", _post("/u/a", b"x" * 5000)),
    _case("connection close", get("/piped/a", "connection: close")),
    _case("malformed", b"BAD\r\n\r\n"),
    _case("nobody there", get("/dead")),
    _case("nobody there, tried again", get("/again")),
    _case("x-forwarded-for is taken", get("/piped/a", XFF)),
    http2_case(PIPES, "HTTP/2", ask(path="/piped/a"), on="pipe"),
    *(
        _case(f"{on}: {what}", get("/piped/a", *fields), on=on)
        for on in ("pipe-edge", "pipe-internal", "pipe-hops")
        for what, fields in {
            "no x-forwarded-for": (),
            "x-forwarded-for": (XFF,),
            "x-forwarded-for of two": (f"{XFF},192.0.2.8",),
            "x-forwarded-for of no address": ("x-forwarded-for: nonsense",),
            "internal headers": ("x-envoy-internal: true", "x-envoy-external-address: 192.0.2.9", "x-request-id: a"),
        }.items()
    ),
    _case("filter chains", get("/"), on="pipe-chains"),
    _case("log: direct response", get("/direct"), on="pipe-log", lines=2),
    _case("log: to a socket", get("/piped/a"), on="pipe-log", lines=2),
    _case("log: nobody there", get("/dead"), on="pipe-log", lines=2),
    _case("log: x-forwarded-for", get("/piped/a", XFF), on="pipe-log", lines=2),
]
