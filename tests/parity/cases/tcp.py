"""Bytes that are no HTTP: connections that are closed in halves, upstreams that talk first or never.

The upstream takes steps as a client does (`TcpRecorder`). A TCP proxy's listeners and cases belong here.
"""

from __future__ import annotations

from functools import partial

from tests.integration.exchanges import get
from tests.integration.harness import ShutdownWrite, Until, Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of
from tests.parity.steps import CaseStep, Closed
from tests.parity.upstreams import TcpRecorder

AREA = "TCP"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
SCRIPTS = {
    "answers": (Until(b"\r\n\r\n"), HEAD + b"hi"),
    "closes": (Until(b"\r\n\r\n"), HEAD + b"hi", ShutdownWrite()),
    "early": (HEAD + b"hi", Wait(0.2)),
}


def _configuration(places: Places) -> Json:
    clusters = [static_cluster(name, places[name]) for name in SCRIPTS]
    return bootstrap_of(
        [http_listener("main", catch_all(*(to_cluster(name, f"/{name}/") for name in SCRIPTS)))], clusters
    )


SETUP = Setup("tcp", _configuration, {name: partial(TcpRecorder, *script) for name, script in SCRIPTS.items()})


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


CASES = [
    case("an upstream of bytes", get("/answers/"), Until(b"hi")),
    case("an upstream that half-closes", get("/closes/"), Until(b"hi")),
    case("an upstream that answers before it was asked", get("/early/"), Until(b"hi")),
    case("a client that half-closes when all is said", get("/answers/"), Until(b"hi"), ShutdownWrite(), Closed()),
    case("bytes that are nothing", b"\x00\x01\x02\x03\r\n\r\n", Closed()),
]
