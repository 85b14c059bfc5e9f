"""Complete responses that an HTTP/2 client's window holds back: how long they may wait."""

from __future__ import annotations

from tests.integration.harness import Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case, http2_case
from tests.parity.frames import PREFACE, headers, request, settings, window_update
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import CaseStep

AREA = "flush timeouts"
INITIAL_WINDOW_SIZE = 4


def _configuration(places: Places) -> Json:
    routes = [
        to_cluster("up", "/own/", flush_timeout="0.3s"),
        to_cluster("up", "/never/", flush_timeout="0s"),
        to_cluster("up", "/idle/", idle_timeout="0.4s"),
        to_cluster("up", "/both/", idle_timeout="0.2s", flush_timeout="0.5s"),
        {"match": {"prefix": "/here"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}},
        to_cluster("up"),
    ]
    table = catch_all(*routes)
    listeners = [
        http_listener("idle", table, stream_idle_timeout="0.5s"),
        http_listener("flush", table, stream_idle_timeout="0.2s", stream_flush_timeout="0.6s"),
        http_listener("off", table, stream_flush_timeout="0s"),
    ]
    return bootstrap_of(listeners, [static_cluster("up", *places.group("one"))])


SETUP = Setup("flushing", _configuration, hosts("one", 1))


def case(name: str, on: str, path: str, *after: CaseStep) -> Case:
    asked = PREFACE + settings((INITIAL_WINDOW_SIZE, 2)) + headers(request("GET", path))
    made = http2_case(AREA, name, asked, *after, on=on, quiet=1.2)
    return Case(**{**made.__dict__, "setup": SETUP})


CASES = [
    *[
        case(f"{path} on {on}", on, f"/{path}/a")
        for on in ("idle", "flush", "off")
        for path in ("own", "never", "idle", "both", "else", "here")
    ],
    case("some of it in between", "idle", "/own/a", Wait(0.2), window_update(1, 1), Wait(0.2), window_update(1, 1)),
    case("all of it just in time", "flush", "/a", Wait(0.4), window_update(100, 1)),
]
