"""Circuit breakers: what is refused when a limit is reached, and the gauges that say so while it is."""

from __future__ import annotations

import time
from functools import partial

from tests.integration.exchanges import get
from tests.integration.harness import (
    Peer,
    Request,
    ShutdownWrite,
    Until,
    Wait,
    catch_all,
    http_listener,
    static_cluster,
    to_cluster,
)
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts, says, tcp_listener
from tests.parity.steps import Admin, Answers, CaseStep, Change, Closed, Connect, UntilSeen, UntilStat, Use

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


SHUT = {"priority": "HIGH", "max_requests": 0}
RETRY: Json = {"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}
PER_HOST = {"per_host_thresholds": [{"max_connections": 1}]}
MORE: dict[str, Json] = {
    "high-shut": {"thresholds": [SHUT]},
    "high-retries": {"thresholds": [{"priority": "HIGH", "max_retries": 0}]},
    "high-connections": {"thresholds": [{"priority": "HIGH", "max_connections": 1, "track_remaining": True}]},
    "budget": {"thresholds": [{"max_retries": 0, "retry_budget": {}}]},
    "budget-none": {"thresholds": [{"retry_budget": {"budget_percent": {"value": 0}, "min_retry_concurrency": 0}}]},
    "budget-share": {
        "thresholds": [
            {
                "retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": 0},
                "track_remaining": True,
            }
        ]
    },
    "pools": {"thresholds": [{"max_connection_pools": 1, "track_remaining": True}]},
    "pools-high": {"thresholds": [{"priority": "HIGH", "max_connection_pools": 0}]},
    "of-a-host": PER_HOST,
    "of-a-host-high": {"per_host_thresholds": [{"priority": "HIGH", "max_connections": 1}]},
    "by-runtime": {},
    "budget-by-runtime": {"thresholds": [{"max_retries": 0}]},
    "bytes-shut": {"thresholds": [{"max_connections": 0}]},
    "bytes-none-waits": {"thresholds": [{"max_pending_requests": 0}]},
    "bytes-of-a-host": PER_HOST,
}
"""`circuit_breakers` by the names of clusters; routes to some are of high priority, and routes to `pools` speak as the
client does."""

RUNTIME: Json = {
    "circuit_breakers.budget-by-runtime.default.retry_budget.min_retry_concurrency": 1,
}


def _more(places: Places) -> Json:
    as_client = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
    }
    clusters, routes = [], []
    for name, breakers in MORE.items():
        cluster = static_cluster(name, *places.group("one"), circuit_breakers=breakers)
        if name.startswith("pools"):
            cluster["typed_extension_protocol_options"] = {as_client["@type"].rpartition("/")[2]: as_client}
        clusters.append(cluster)
        options = {"priority": "HIGH"} if "high" in name else {}
        route = to_cluster(name, retry_policy=RETRY, timeout="0s", **options)
        match = {"headers": [{"name": "x-to", "string_match": {"exact": name}}], "prefix": "/"}
        routes.append({**route, "match": match})
    layers = [{"name": "static", "static_layer": RUNTIME}, {"name": "admin", "admin_layer": {}}]
    listeners = [
        http_listener("main", catch_all(*routes)),
        *(tcp_listener(name, name) for name in ("bytes-shut", "bytes-none-waits", "bytes-of-a-host")),
    ]
    return bootstrap_of(listeners, clusters, layered_runtime={"layers": layers})


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
SETUP_MORE = Setup("breakers-more", _more, ONE)


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


def more(name: str, *steps: CaseStep, on: str = "main", lines: int | None = None) -> Case:
    return Case(AREA, name, steps, on, setup=SETUP_MORE, lines=lines)


def gauges(cluster: str) -> Admin:
    """What a cluster's breakers show."""
    return Admin(f"GET /stats?filter=cluster.{cluster}.circuit_breakers")


def limit(cluster: str, key: str, value: str = "") -> Admin:
    """Set a limit by the runtime, or leave it to the configuration again."""
    return Admin(f"POST /runtime_modify?circuit_breakers.{cluster}.default.{key}={value}")


CASES += [
    more("high priority: no request at all", to("high-shut"), Answers(1), gauges("high-shut")),
    more("high priority: no retry", to("high-retries", "/fails"), Answers(1), gauges("high-retries")),
    more("high priority: one connection", *busy("high-connections", to("high-connections"), Wait(0.05)),
         gauges("high-connections")),
    more("a budget of retries", to("budget", "/fails"), Answers(1), gauges("budget")),
    more("no budget", to("budget-none", "/fails"), Answers(1), Admin("GET /clusters?filter=budget-none", body=False)),
    # While one request is under way there may be one retry.
    more("a budget that is a share", *busy("budget-share", to("budget-share", "/fails"), Answers(1)),
         gauges("budget-share")),
    more("a share of nothing", to("budget-share", "/fails"), Answers(1)),
    more("one pool", *busy("pools", gauges("pools"))),
    more("one pool, and another protocol", *busy("pools", Wait(0.05), Admin("GET /stats?filter=cx_pool_open"))),
    more("a pool that is gone", to("pools"), Answers(1), Change("one-1", lambda upstream: upstream.drop()),
         UntilStat("cluster.pools.upstream_cx_active", 0, exactly=True), gauges("pools")),
    more("no pool at all", to("pools-high"), Answers(1), to("pools-high"), Answers(2)),
    more("one connection to a host", *busy("of-a-host", to("of-a-host"), Until(b"one-1"))),
    more("one connection to a host, high priority", *busy("of-a-host-high", to("of-a-host-high"), Until(b"one-1"))),
    more("by the runtime: no request", limit("by-runtime", "max_requests", "0"), to("by-runtime"), Answers(1),
         limit("by-runtime", "max_requests"), to("by-runtime"), Answers(2), gauges("by-runtime")),
    more("by the runtime: no retry", limit("by-runtime", "max_retries", "0"), to("by-runtime", "/fails"), Answers(1),
         limit("by-runtime", "max_retries")),
    more("by the runtime: a budget", to("budget-by-runtime", "/fails"), Answers(1)),
    more("by the runtime: pools", limit("pools", "max_connection_pools", "0"), to("pools"), Answers(1),
         limit("pools", "max_connection_pools"), to("pools"), Answers(2)),
    more("bytes: no connection", Closed(), on="bytes-shut", lines=0),
    more("bytes: nobody may wait", Closed(), on="bytes-none-waits", lines=0),
    more("bytes: one connection to a host", get("/"), Until(b"one-1"), Connect(), get("/"), Wait(0.15), Use(0),
         ShutdownWrite(), Use(1), Until(b"one-1"), on="bytes-of-a-host", lines=2),
]  # fmt: skip
