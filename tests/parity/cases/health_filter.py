"""The HTTP filter `health_check`: checks of the proxy itself, answered, passed through, remembered."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import ROUTER, Wait, catch_all, http_listener, socket_address, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.configuration import LOG_FORMAT
from tests.parity.setup import FILE_LOG, Json, Places, Setup, bootstrap_of, hosts, says
from tests.parity.steps import Admin, Answers, CaseStep, Change, Connect
from tests.parity.upstreams import Recorder

AREA = "health check filter"
HEALTH_CHECK = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck"
PATH: Json = {"name": ":path", "string_match": {"exact": "/hc"}}


def _filters(**config: Any) -> list[Json]:
    settings = {"@type": HEALTH_CHECK, "pass_through_mode": False, "headers": [PATH], **config}
    return [
        {"name": "envoy.filters.http.health_check", "typed_config": settings},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}},
    ]


def _degraded_or_failed(status: int, *more: bytes) -> Any:
    head = b"\r\n".join([b"HTTP/1.1 %d X" % status, b"content-length: 0", *more, b"", b""])
    return lambda peer, request: peer.send(head)


class _Host(Recorder):
    """A host whose answer to /hc can be changed."""

    def __init__(self) -> None:
        super().__init__({"/": says("host-1")})

    def say(self, status: int, *more: bytes) -> None:
        """From now on answer with this."""
        self._answers = [("/", _degraded_or_failed(status, *more))]

    def recover(self) -> None:
        """Answer as at first."""
        self._answers = [("/", says("host-1"))]


def _cluster(name: str, places: Places, *states: str) -> Json:
    endpoints = [
        {"endpoint": {"address": socket_address(host)}, "health_status": state}
        for host, state in zip(places.group("four"), states, strict=False)
    ]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return {**static_cluster(name), "load_assignment": assignment}


def _percent(**clusters: float) -> Json:
    return {
        "cluster_min_healthy_percentages": {
            name.replace("_", "-"): {"value": value} for name, value in clusters.items()
        }
    }


LISTENERS: dict[str, Json] = {
    "answers": {},
    "passes": {"pass_through_mode": True},
    "remembers": {"pass_through_mode": True, "cache_time": "600s"},
    "remembers-shortly": {"pass_through_mode": True, "cache_time": "0.3s"},
    "any-request": {"headers": []},
    "two-headers": {"headers": [PATH, {"name": "x-check", "present_match": True}]},
    "half": _percent(half=50),
    "half-too-few": _percent(half=51),
    "half-cut": _percent(half=50.9),
    "with-degraded": _percent(degraded=100),
    "both": _percent(half=50, whole=100),
    "one-too-few": _percent(half=75, whole=100),
    "unknown": _percent(unknown=0),
    "empty": _percent(empty=1),
    "empty-enough": _percent(empty=0),
    "passes-by-cluster": {"pass_through_mode": True, **_percent(empty=50)},
}


def _configuration(places: Places) -> Json:
    clusters = [
        static_cluster("up", places["host"]),
        _cluster("half", places, "HEALTHY", "UNHEALTHY", "HEALTHY", "UNHEALTHY"),
        _cluster("whole", places, "HEALTHY", "HEALTHY"),
        _cluster("degraded", places, "HEALTHY", "DEGRADED"),
        static_cluster("empty"),
    ]
    routes = catch_all(to_cluster("up"))
    made = [http_listener(name, routes, http_filters=_filters(**each)) for name, each in LISTENERS.items()]
    text = {"text_format_source": {"inline_string": LOG_FORMAT + "\n"}}
    log = {"@type": FILE_LOG, "path": str(places.log), "log_format": text}
    logs = [{"name": "l", "typed_config": log, "filter": {"not_health_check_filter": {}}}]
    made.append(http_listener("unlogged", routes, http_filters=_filters(), access_log=logs))
    return bootstrap_of(made, clusters, node={"id": "n", "cluster": "service-cluster"})


SETUP = Setup("health-filter", _configuration, {"host": _Host, **hosts("four", 4)})
FAIL, WELL = Admin("POST /healthcheck/fail"), Admin("POST /healthcheck/ok")
POST = b"POST /hc HTTP/1.1\r\nhost: a.com\r\n"


def case(name: str, listener: str, *steps: CaseStep, lines: int | None = None) -> Case:
    return Case(AREA, name, steps, listener, lines=lines, setup=SETUP)


CASES = [
    case("answered", "answers", get("/hc")),
    case("another path goes on", "answers", get("/hc/more")),
    case("a query is another path", "answers", get("/hc?a")),
    case("a body is read to its end", "answers", POST + b"content-length: 3\r\n\r\n", Wait(0.1), b"abc"),
    case(
        "a body in chunks", "answers", POST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n", Wait(0.1), b"0\r\n\r\n"
    ),
    case("HEAD", "answers", b"HEAD /hc HTTP/1.1\r\nhost: a.com\r\n\r\n"),
    case("any request", "any-request", get("/")),
    case("one of two headers", "two-headers", get("/hc")),
    case("both headers", "two-headers", b"GET /hc HTTP/1.1\r\nhost: a.com\r\nx-check: 1\r\n\r\n"),
    case("failed by the admin", "answers", FAIL, get("/hc"), Answers(1), WELL, Connect(), get("/hc"), Answers(1)),
    case("failed by the admin, and another request", "answers", FAIL, get("/"), Answers(1), WELL),
    case("passed through", "passes", get("/hc")),
    case(
        "passed through, and failed by the admin",
        "passes",
        FAIL,
        get("/hc"),
        Answers(1),
        WELL,
        Connect(),
        get("/hc"),
        Answers(1),
    ),
    case("passed through, a body", "passes", POST + b"content-length: 3\r\n\r\nabc"),
    case("passed through whatever the clusters are", "passes-by-cluster", get("/hc")),
    case("remembered", "remembers", get("/hc"), Answers(1), get("/hc"), Answers(2), get("/"), Answers(3)),
    case(
        "a failure is remembered",
        "remembers-shortly",
        Wait(0.31),
        Change("host", lambda host: host.say(500)),
        get("/hc"),
        Answers(1),
        get("/hc"),
        Answers(2),
        Change("host", lambda host: host.recover()),
    ),
    case(
        "degraded is remembered",
        "remembers-shortly",
        Wait(0.31),
        Change("host", lambda host: host.say(200, b"x-envoy-degraded: 1")),
        get("/hc"),
        Answers(1),
        get("/hc"),
        Answers(2),
        Change("host", lambda host: host.recover()),
    ),
    case("remembered and forgotten", "remembers-shortly", get("/hc"), Answers(1), Wait(0.7), get("/hc"), Answers(2)),
    case("half are healthy", "half", get("/hc")),
    case("a little too few are", "half-too-few", get("/hc")),
    case("percents are whole", "half-cut", get("/hc")),
    case("degraded ones count", "with-degraded", get("/hc")),
    case("two clusters", "both", get("/hc")),
    case("one of two clusters has too few", "one-too-few", get("/hc")),
    case("an unknown cluster", "unknown", get("/hc")),
    case("an empty cluster", "empty", get("/hc")),
    case("an empty cluster is enough", "empty-enough", get("/hc")),
    case("checks are not logged", "unlogged", get("/hc"), Answers(1), get("/"), Answers(2), lines=1),
]
