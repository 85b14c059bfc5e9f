"""More than one worker: what is counted is the sum. Who serves a connection is chance: cases look at the sum."""

from __future__ import annotations

from tests.integration.exchanges import get
from tests.integration.harness import Until, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, CaseStep, Connect, UntilStat

AREA = "workers"
TEA = {"match": {"prefix": "/tea"}, "direct_response": {"status": 418}}


def _configuration(places: Places) -> Json:
    cluster = static_cluster("up", *places.group("one"))
    return bootstrap_of([http_listener("main", catch_all(TEA, to_cluster("up")))], [cluster])


SETUP = Setup("workers", _configuration, hosts("one", 1), ("--concurrency", "2"))


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


def each_on_its_own(count: int, path: str = "/tea") -> tuple[CaseStep, ...]:
    """So many connections at once, a request on each."""
    steps: list[CaseStep] = [get(path), Until(b"HTTP/1.1")]
    for _ in range(count - 1):
        steps += [Connect(), get(path), Until(b"HTTP/1.1")]
    return tuple(steps)


CASES = [
    case("one connection", get("/")),
    case("eight connections", *each_on_its_own(8)),
    case("two requests of one connection share an upstream connection", get("/"), Until(b"one-1"), get("/again")),
    case("what is open adds up", *each_on_its_own(5), UntilStat("http.test.downstream_cx_active", 5),
        Admin("GET /stats?filter=^http.test.downstream_(cx_active|cx_total|rq_active)$", body=False)),
    case("how many there are", Admin("GET /stats?filter=^server.concurrency$"), get("/tea")),
]  # fmt: skip
