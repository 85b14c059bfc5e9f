"""Times that are long enough to compare: an upstream that takes 300 ms, connections that stay open."""

from __future__ import annotations

import time

from tests.integration.exchanges import get
from tests.integration.harness import Peer, Request, Until, Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.frames import ask, show_http2
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts, says
from tests.parity.steps import CaseStep

AREA = "times"


def slow(peer: Peer, request: Request) -> None:
    time.sleep(0.3)
    says("one-1")(peer, request)


def slow_body(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
    time.sleep(0.3)
    peer.send(b"cd")


def _configuration(places: Places) -> Json:
    cluster = static_cluster("up", *places.group("one"))
    return bootstrap_of([http_listener("main", catch_all(to_cluster("up")))], [cluster])


SETUP = Setup("times", _configuration, hosts("one", 1, slow=slow, body=slow_body))


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


CASES = [
    case("a slow answer", get("/slow"), Until(b"one-1")),
    case("two of them on one connection", get("/slow"), Until(b"one-1"), Wait(0.05), get("/slow"), Wait(0.4)),
    case("a slow body", get("/body"), Until(b"abcd")),
    case("a slow request", get("/")[:-2], Wait(0.3), b"\r\n", Until(b"one-1")),
    case("a connection that idles", get("/"), Wait(0.4)),
    Case(AREA, "http2: a slow answer", (ask(path="/slow"), Until(b"one-1")), "main", show=show_http2,
        bytes_counted=False, setup=SETUP),
]  # fmt: skip
