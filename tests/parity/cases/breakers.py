"""Circuit breakers: what is refused when a limit is reached, and the gauges that say so while it is."""

from __future__ import annotations

import time
from functools import partial

from tests.integration.exchanges import get
from tests.integration.harness import Peer, Request, Until, Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts, says
from tests.parity.steps import CaseStep, Connect, UntilSeen, UntilStat, Use

AREA = "circuit breakers"
LIMITS: dict[str, Json] = {
    "requests": {"max_requests": 1},
    "connections": {"max_connections": 1},
    "connections-only": {"max_connections": 1, "max_pending_requests": 0},
    "pending": {"max_connections": 1, "max_pending_requests": 1},
    "retries": {"max_retries": 0},
    "shut": {"max_requests": 0},
}


def slow(peer: Peer, request: Request) -> None:
    time.sleep(0.8)
    says("one-1")(peer, request)


def fails(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


TRACKED: dict[str, Json] = {"tracked": {"max_requests": 2, "max_connections": 3, "track_remaining": True}}


def _configuration(all_limits: dict[str, Json], places: Places) -> Json:
    clusters = [
        static_cluster(name, *places.group("one"), circuit_breakers={"thresholds": [limits]})
        for name, limits in all_limits.items()
    ]
    retry = {"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}
    routes = [
        {**to_cluster(name), "match": {"headers": [{"name": "x-to", "string_match": {"exact": name}}], "prefix": "/"}}
        for name in all_limits
    ]
    for route in routes:
        if route["route"]["cluster"] == "retries":
            route["route"]["retry_policy"] = retry
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters)


ONE = hosts("one", 1, slow=slow, fails=fails)
SETUP = Setup("breakers", partial(_configuration, LIMITS), ONE)
SETUP_TRACKED = Setup("breakers-tracked", partial(_configuration, TRACKED), ONE)


def case(name: str, *steps: CaseStep, setup: Setup = SETUP) -> Case:
    return Case(AREA, name, steps, "main", setup=setup)


def to(cluster: str, path: str = "/") -> bytes:
    return get(path, f"x-to: {cluster}")


def busy(cluster: str, *after: CaseStep) -> tuple[CaseStep, ...]:
    """A request that takes its time, then others on another connection while it does."""
    return (to(cluster, "/slow"), UntilSeen("one-1"), Connect(), *after)


CASES = [
    case("one request at a time", *busy("requests", to("requests"), Until(b"503"), Use(0), Until(b"one-1"))),
    case("and again when it is over", to("requests"), Until(b"one-1"), to("requests")),
    case("the second connection waits", *busy("connections", to("connections"), Until(b"one-1"))),
    case("no connection and no place to wait", *busy("connections-only", to("connections-only"), Until(b"503"))),
    case("one may wait, the next may not", *busy(
        "pending", to("pending"), UntilStat("cluster.pending.upstream_rq_pending_active", 1), Connect(), to("pending"),
        Until(b"503"), Use(1), Until(b"one-1"))),
    case("what is left", *busy("tracked", Wait(0.05)), setup=SETUP_TRACKED),
    case("no request at all", to("shut")),
    case("no retry", to("retries", "/fails")),
]  # fmt: skip
