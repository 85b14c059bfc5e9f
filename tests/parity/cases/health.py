"""Hosts that are not healthy: what an assignment says of them, and panic. Active and passive checks belong here too."""

from __future__ import annotations

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, socket_address, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.cases.showing import shares
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, CaseStep, in_order

AREA = "health"
STATES: dict[str, tuple[str, ...]] = {
    "one-out": ("HEALTHY", "UNHEALTHY", "HEALTHY", "HEALTHY"),
    "two-out": ("UNHEALTHY", "UNHEALTHY", "HEALTHY", "HEALTHY"),
    "panic": ("UNHEALTHY", "UNHEALTHY", "UNHEALTHY", "HEALTHY"),
    "draining": ("DRAINING", "HEALTHY", "HEALTHY", "HEALTHY"),
    "timeout": ("TIMEOUT", "HEALTHY", "UNKNOWN", "HEALTHY"),
    "degraded": ("DEGRADED", "HEALTHY", "HEALTHY", "HEALTHY"),
    "all-out": ("UNHEALTHY", "UNHEALTHY", "UNHEALTHY", "UNHEALTHY"),
}


def _cluster(name: str, places: Places, states: tuple[str, ...], **more: object) -> Json:
    endpoints = [
        {"endpoint": {"address": socket_address(host)}, "health_status": state}
        for host, state in zip(places.group("four"), states, strict=True)
    ]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return {**static_cluster(name), "load_assignment": assignment, **more}


def _configuration(places: Places) -> Json:
    never = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
    clusters = [_cluster(name, places, states) for name, states in STATES.items()]
    clusters.append(_cluster("no-panic", places, STATES["all-out"], **never))
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters)


SETUP = Setup("health", _configuration, hosts("four", 4))


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", show=shares, setup=SETUP)


CASES = [
    *(case(name, *in_order(get(f"/{name}/"), 12)) for name in (*STATES, "no-panic")),
    case("what the admin says of it", Admin("GET /stats?filter=membership_(healthy|degraded|total)")),
]
