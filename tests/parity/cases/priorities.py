"""Hosts by priority and locality: who gets requests as hosts fail, and what the admin shows of them."""

from __future__ import annotations

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, to_cluster
from tests.parity.case import Case
from tests.parity.cases.assigned import ShowHosts, cluster_of, host, hosts_of
from tests.parity.cases.showing import in_turn, shares
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, CaseStep, in_order

AREA = "priorities"
OUT = "UNHEALTHY"


def _clusters(places: Places) -> list[Json]:
    one, two = places.group("one"), places.group("two")
    no_panic = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}

    def first(*states: str, **more: object) -> Json:
        return hosts_of(*(host(at, state) for at, state in zip(one, states, strict=False)), **more)  # type: ignore[arg-type]

    def second(*states: str, priority: int = 1) -> Json:
        return hosts_of(*(host(at, state) for at, state in zip(two, states, strict=False)), priority=priority)

    weighted = hosts_of(host(one[0], weight=90), host(one[1], OUT, weight=10))
    return [
        cluster_of("well", first("HEALTHY", "HEALTHY"), second("HEALTHY")),
        cluster_of("first-out", first(OUT, OUT), second("HEALTHY", "HEALTHY")),
        cluster_of("gap", first(OUT), second("HEALTHY", priority=3)),
        cluster_of("only-second", second("HEALTHY", "HEALTHY")),
        cluster_of("all-out", first(OUT), hosts_of(host(one[1], OUT), priority=1)),
        cluster_of("all-out-no-panic", first(OUT), second(OUT), **no_panic),
        cluster_of("degraded-first", first("DEGRADED"), second("HEALTHY")),
        cluster_of("degraded-only", first("DEGRADED", OUT), second(OUT), **no_panic),
        cluster_of("draining-first", first("DRAINING"), second("HEALTHY")),
        cluster_of("draining-counts-not", first("DRAINING", "HEALTHY"), second("HEALTHY")),
        cluster_of("provisioned", first("HEALTHY", OUT), second("HEALTHY"), policy={"overprovisioning_factor": 200}),
        cluster_of("by-weight", weighted, second("HEALTHY"), policy={"weighted_priority_health": True}),
        cluster_of("dropped", first("HEALTHY"), policy=_drop(100)),
        cluster_of("dropped-never", first("HEALTHY"), policy=_drop(0)),
        cluster_of("far", hosts_of(host(one[0]), zone="a")),
        cluster_of("near", hosts_of(host(one[0]), zone="b")),
        cluster_of(
            "zones",
            first("HEALTHY", zone="b", weight=3),
            hosts_of(host(two[0], name="far", weight=7), zone="a", weight=4),
            hosts_of(host(two[1], "DEGRADED"), priority=1, zone="c"),
        ),
    ]  # fmt: skip


def _drop(percent: int) -> Json:
    return {"drop_overloads": [{"category": "all", "drop_percentage": {"numerator": percent}}]}


def _configuration(places: Places) -> Json:
    clusters = _clusters(places)
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    node = {"id": "n", "cluster": "c", "locality": {"region": "r", "zone": "b"}}
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters, node=node)


SETUP = Setup("priorities", _configuration, {**hosts("one", 2), **hosts("two", 2)})


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", show=in_turn, setup=SETUP)


def shared(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", show=shares, setup=SETUP)


CASES = [
    # First, since later which of two hosts got a request is chance.
    case("the admin: hosts", ShowHosts()),
    case("the admin: hosts as JSON", ShowHosts(as_json=True)),
    case("the first takes all", *in_order(get("/well/"), 4)),
    case("the first is out", *in_order(get("/first-out/"), 4)),
    case("priorities without hosts between", *in_order(get("/gap/"), 2)),
    case("none of priority 0", *in_order(get("/only-second/"), 4)),
    shared("all are out: panic in both", *in_order(get("/all-out/"), 1)),
    case("all are out, and no panic", get("/all-out-no-panic/")),
    case("degraded hosts wait for healthy ones of another priority", *in_order(get("/degraded-first/"), 2)),
    case("degraded hosts are better than none", *in_order(get("/degraded-only/"), 2)),
    case("the first drains", *in_order(get("/draining-first/"), 2)),
    case("a draining host counts for nothing", *in_order(get("/draining-counts-not/"), 4)),
    case("a large overprovisioning factor", *in_order(get("/provisioned/"), 4)),
    case("health by weight", *in_order(get("/by-weight/"), 4)),
    case("overload: all are dropped", get("/dropped/")),
    case("overload: none are dropped", get("/dropped-never/")),
    case("a host of another zone", *in_order(get("/far/"), 1), Admin("GET /stats?filter=far.zone.*completed")),
    case("a host of the own zone", *in_order(get("/near/"), 1), Admin("GET /stats?filter=near.zone.*completed")),
    case("the admin: endpoints",
        Admin("GET /config_dump?include_eds&mask=static_endpoint_configs.endpoint_config.endpoints")),
    case("the admin: membership", Admin("GET /stats?filter=membership_(change|degraded|excluded|healthy|total)")),
]  # fmt: skip
