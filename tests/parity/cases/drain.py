"""Leaving: listeners that drain, health that fails, a process that is told to end. Each case has a pair of its own."""

from __future__ import annotations

import signal
import time

from tests.integration.exchanges import get
from tests.integration.harness import Peer, Request, Until, Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity import frames as f
from tests.parity.case import Case
from tests.parity.frames import show_http2
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts, says
from tests.parity.steps import Admin, CaseStep, Closed, Connect, Ended, Signal, UntilSeen

AREA = "drain"


def slow(peer: Peer, request: Request) -> None:
    time.sleep(0.3)
    says("one-1")(peer, request)


def _configuration(places: Places) -> Json:
    cluster = static_cluster("up", *places.group("one"))
    return bootstrap_of([http_listener("main", catch_all(to_cluster("up")), drain_timeout="0.1s")], [cluster])


FLAGS = ("--concurrency", "1", "--drain-time-s", "1", "--parent-shutdown-time-s", "2", "--drain-strategy", "immediate")
SETUP = Setup("drain", _configuration, hosts("one", 1, slow=slow), FLAGS, alone=True)


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


def http2(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", show=show_http2, bytes_counted=False, setup=SETUP)


DRAIN, GRACEFUL, FAIL = "POST /drain_listeners", "POST /drain_listeners?graceful", "POST /healthcheck/fail"

CASES = [
    case("a connection outlives its listener", get("/"), Until(b"one-1"), Admin(DRAIN), get("/again")),
    case("nobody is let in any more", Admin(DRAIN), Wait(0.1), Connect()),
    case("gracefully: the next answer says so", get("/"), Until(b"one-1"), Admin(GRACEFUL), get("/again"), Closed()),
    case("a request under way is answered", get("/slow"), UntilSeen("one-1"), Admin(DRAIN), Until(b"one-1")),
    case("health that fails", Admin(FAIL), get("/"), Closed(), Admin("GET /ready")),
    case("health that fails and comes back", Admin(FAIL), Admin("POST /healthcheck/ok"), get("/"), Until(b"one-1"),
        Admin("GET /ready")),
    http2("http2: health that fails", Admin(FAIL), f.ask(path="/"), Closed()),
    case("told to end by the admin", Admin("POST /quitquitquit"), Closed(), Ended()),
    case("told to end by a signal", Wait(0.05), Signal(signal.SIGTERM), Closed(), Ended()),
]  # fmt: skip
