"""Clusters of clusters, and clusters whose hosts requests name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.cases.assigned import ShowHosts, cluster_of, host, hosts_of
from tests.parity.cases.showing import in_turn
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, Answers, CaseStep, Connect, Do, UntilStat, in_order
from tests.parity.upstreams import Refusing

if TYPE_CHECKING:
    from tests.parity.client import Client

AREA = "aggregates"
HEADER = "x-envoy-original-dst-host"
DESTINATIONS = "original destinations"
AGGREGATE = "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig"
PROVIDED = {"lb_policy": "CLUSTER_PROVIDED"}
OUT = "UNHEALTHY"


def _aggregate(name: str, *clusters: str, **more: Any) -> Json:
    typed = {"@type": AGGREGATE, "clusters": list(clusters)}
    extension = {"name": "envoy.clusters.aggregate", "typed_config": typed}
    return {"name": name, "connect_timeout": "1s", "cluster_type": extension, **PROVIDED, **more}


def _aggregates(places: Places) -> Json:
    one, two = places.group("one"), places.group("two")
    clusters = [
        cluster_of("a", hosts_of(*map(host, one))),
        cluster_of("b", hosts_of(*map(host, two))),
        cluster_of("out", hosts_of(host(one[0], OUT))),
        cluster_of("second", hosts_of(host(one[0], OUT)), hosts_of(host(one[1]), priority=1)),
        cluster_of("degraded", hosts_of(host(one[0], "DEGRADED"))),
        static_cluster("empty"),
        static_cluster("dead", places["dead"]),
        _aggregate("first", "a", "b"),
        _aggregate("fall-back", "out", "b"),
        _aggregate("through-empty", "empty", "b"),
        _aggregate("through-unknown", "unknown", "b"),
        _aggregate("by-priority", "second", "b"),
        _aggregate("less-degraded", "degraded", "b"),
        _aggregate("all-empty", "empty"),
        _aggregate("in-panic", "out"),
        _aggregate("dying", "dead", "b"),
        _aggregate("limited", "a", circuit_breakers={"thresholds": [{"max_requests": 0, "max_pending_requests": 0}]}),
    ]
    retry: Any = {"retry_on": "connect-failure", "num_retries": 1, "retry_back_off": {"base_interval": "0.001s"}}
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters if "cluster_type" in each]
    routes.insert(0, to_cluster("dying", "/dying/again/", retry_policy=retry))
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters)


SETUP = Setup("aggregates", _aggregates, {**hosts("one", 2), **hosts("two", 2), "dead": Refusing})


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", show=in_turn, setup=SETUP)


def stats(pattern: str) -> Admin:
    return Admin(f"GET /stats?filter={pattern}")


# Where requests name the host


def _destinations(places: Places) -> Json:
    by_header: Json = {"use_http_header": True}
    own: Json = {"use_http_header": True, "http_header_name": "X-To"}
    clusters = [
        _original("by-header", by_header),
        _original("own-header", own),
        _original("no-header", {}),
        _original("other-port", {**by_header, "upstream_port_override": places["one-1"][1]}),
        {**_original("as-extension", by_header), "cluster_type": {"name": "envoy.cluster.original_dst"}},
        {**_original("tidy", by_header), "cleanup_interval": "0.05s"},
    ]
    del clusters[4]["type"]
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters)


def _original(name: str, config: Json) -> Json:
    made: Json = {"name": name, "type": "ORIGINAL_DST", "cleanup_interval": "600s", "connect_timeout": "1s"}
    made.update(PROVIDED)
    return {**made, "original_dst_lb_config": config} if config else made


@dataclass(frozen=True)
class AskFor(Do):
    """Ask for a path, and name the upstream that it should come from, which each half has its own of."""

    path: str
    header: str = HEADER
    other_port: bool = False

    def take(self, client: Client) -> None:
        host, port = client.side.upstreams["one-1"].address
        client.current.send(get(self.path, f"{self.header}: {host}:{1000 if self.other_port else port}"))


TO_ONE = Setup("destinations", _destinations, hosts("one", 1))


def to_one(name: str, *steps: CaseStep) -> Case:
    return Case(DESTINATIONS, name, steps, "main", setup=TO_ONE)


def bad(name: str, value: str, header: str = HEADER, path: str = "/by-header/") -> Case:
    return to_one(name, *in_order(get(path, f"{header}: {value}"), 1), stats("original_dst_host_invalid"))


CASES = [
    # First, since later which of two hosts got a request is chance.
    case("the admin: hosts", ShowHosts()),
    case("the first cluster takes all", *in_order(get("/first/"), 4)),
    case("the first cluster is out", *in_order(get("/fall-back/"), 4)),
    case("the first cluster is empty", *in_order(get("/through-empty/"), 2)),
    case("the first cluster is unknown", *in_order(get("/through-unknown/"), 2)),
    case("all priorities of the first cluster come first", *in_order(get("/by-priority/"), 2)),
    case("degraded hosts of the first, healthy ones of the second", *in_order(get("/less-degraded/"), 2)),
    case("no host at all", *in_order(get("/all-empty/"), 1), stats("none_healthy")),
    case("panic", *in_order(get("/in-panic/"), 1)),
    case("a host that refuses", get("/dying/")),
    case("limits are those of the hosts' own cluster", get("/limited/")),
    case("the admin: membership", stats("membership_(change|degraded|excluded|healthy|total)")),
    to_one("a header names the host", AskFor("/by-header/"), Answers(1), AskFor("/by-header/")),
    to_one("a header of another name", AskFor("/own-header/", "x-to")),
    to_one("another port", AskFor("/other-port/", other_port=True)),
    to_one("the type as an extension", AskFor("/as-extension/")),
    to_one("what nobody needs is dropped", AskFor("/tidy/"), Answers(1), Connect(),
        UntilStat("cluster.tidy.membership_total", 1, exactly=True)),
    bad("no header", "10.0.0.1:80", "x-other"),
    bad("a name", "localhost:80"),
    bad("an address without a port", "127.0.0.1"),
    bad("a port that is none", "127.0.0.1:99999"),
    bad("an IPv6 address without brackets", "::1:80"),
    bad("a header that nobody asked for", "127.0.0.1:80", path="/no-header/"),
    bad("a bad header of another name", "localhost", "x-to", "/own-header/"),
]  # fmt: skip
