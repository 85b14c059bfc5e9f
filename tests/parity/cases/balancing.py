"""Load balancing: which of several hosts answers, in order and in shares."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, socket_address, static_cluster, to_cluster
from tests.parity.case import Case, Show
from tests.parity.cases.showing import in_turn, shares
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import CaseStep, Connect, in_order
from tests.parity.upstreams import Refusing

AREA = "balancing"
POLICIES: dict[str, Json] = {
    "round": {"lb_policy": "ROUND_ROBIN"},
    "least": {"lb_policy": "LEAST_REQUEST"},
    "random": {"lb_policy": "RANDOM"},
}


def _weighted(places: Places, *weights: int) -> Json:
    endpoints = [
        {"endpoint": {"address": socket_address(host)}, "load_balancing_weight": weight}
        for host, weight in zip(places.group("three"), weights, strict=True)
    ]
    return {"cluster_name": "weighted", "endpoints": [{"lb_endpoints": endpoints}]}


def _configuration(places: Places) -> Json:
    three = places.group("three")
    clusters = [static_cluster(name, *three, **policy) for name, policy in POLICIES.items()]
    clusters += [
        static_cluster("one", three[0]),
        static_cluster("empty"),
        {**static_cluster("weighted"), "load_assignment": _weighted(places, 1, 2, 5)},
        static_cluster("dead", places["dead"], places["dead"]),
    ]
    retry: Any = {"retry_on": "connect-failure", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}}
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters[:-1]]
    return bootstrap_of(
        [http_listener("main", catch_all(*routes, to_cluster("dead", "/dead/", timeout="0s", retry_policy=retry)))],
        clusters,
    )


SETUP = Setup("balancing", _configuration, {**hosts("three", 3), "dead": Refusing})


def case(name: str, *steps: CaseStep, show: Show = in_turn) -> Case:
    return Case(AREA, name, steps, "main", show=show, setup=SETUP)


CASES = [
    case("round robin takes turns", *in_order(get("/round/"), 7)),
    case("round robin on two connections", *in_order(get("/round/"), 2), Connect(), get("/round/")),
    case("one host", *in_order(get("/one/"), 3)),
    case("no host", get("/empty/")),
    case("weights", *in_order(get("/weighted/"), 16), show=shares),
    case("pipelined requests take turns too", get("/round/") * 3),
    case("dead hosts are tried, as often as the route says", get("/dead/")),
]
