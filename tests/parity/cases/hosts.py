"""Where hosts come from: the types of clusters, also as extensions, and what makes hosts differ."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.cases.assigned import ShowHosts, cluster_of, host, hosts_of
from tests.parity.cases.showing import in_turn
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, CaseStep, in_order

AREA = "hosts"
TYPE = "type.googleapis.com/envoy.extensions."
RAW = {"name": "raw", "typed_config": {"@type": TYPE + "transport_sockets.raw_buffer.v3.RawBuffer"}}
NOWHERE = "nowhere.onion"  # which no resolver asks a server for (RFC 7686)


def _extension(name: str, **config: Any) -> Json:
    """A `cluster_type` in the place of a `type`."""
    typed = {"@type": TYPE + "clusters.dns.v3.DnsCluster", **config}
    return {"type": None, "cluster_type": {"name": name, "typed_config": typed} if config else {"name": name}}


def _clusters(places: Places) -> list[Json]:
    one, other = places.group("two")
    name = ("localhost", one[1])
    v4: Json = {"dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "600s"}
    dns = "envoy.cluster.dns"
    matching = {"filter_metadata": {"envoy.transport_socket_match": {"kind": "plain"}}}
    match: Json = {"name": "plain", "match": {"kind": "plain"}, "transport_socket": RAW}
    return [
        cluster_of("static", hosts_of(host(one)), **_extension("envoy.cluster.static")),
        cluster_of("strict", hosts_of(host(name)), **v4, **_extension("envoy.cluster.strict_dns")),
        cluster_of("logical", hosts_of(host(name)), **v4, **_extension("envoy.cluster.logical_dns")),
        cluster_of("dns", hosts_of(host(name)), **_extension(dns, **v4)),
        cluster_of("dns-single", hosts_of(host(name)), **_extension(dns, **v4, all_addresses_in_single_endpoint=True)),
        cluster_of(
            "dns-priorities", hosts_of(host(name, "UNHEALTHY")), hosts_of(host(("localhost", other[1])), priority=1),
            type="STRICT_DNS", **v4,
        ),
        cluster_of("twice", hosts_of(host(one), host(one))),
        cluster_of("twice-by-name", hosts_of(host(name), host(("127.0.0.1", one[1]))), type="STRICT_DNS", **v4),
        cluster_of("cold", hosts_of(host((NOWHERE, 80))), type="STRICT_DNS", wait_for_warm_on_init=False, **v4),
        cluster_of("named", hosts_of(host(one, name="one.example"), host(other, name="other.example"))),
        cluster_of("heavy", hosts_of(host(one, weight=4294967295))),
        cluster_of(
            "matched", hosts_of(host(one, metadata=matching), host(other)), transport_socket_matches=[match]
        ),
        cluster_of("matched-locality", hosts_of(host(one), metadata=matching), transport_socket_matches=[match]),
        cluster_of("matched-all", hosts_of(host(one)), transport_socket_matches=[{**match, "match": {}}]),
        cluster_of("canary", hosts_of(host(one, metadata={"filter_metadata": {"envoy.lb": {"canary": True}}}))),
        cluster_of("unknown", hosts_of(host((NOWHERE, 80))), type="LOGICAL_DNS", **v4),
        static_cluster("none"),
    ]  # fmt: skip


def _configuration(places: Places) -> Json:
    clusters = [{key: value for key, value in each.items() if value is not None} for each in _clusters(places)]
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters)


SETUP = Setup("hosts", _configuration, hosts("two", 2))


def _bare(places: Places) -> Json:
    bare = cluster_of("bare", hosts_of(host(("127.0.0.1", places["two-1"][1]))), **_extension("envoy.cluster.dns"))
    del bare["type"]
    return bootstrap_of([http_listener("main", catch_all(to_cluster("bare")))], [bare])


BARE = Setup("bare", _bare, hosts("two", 1), alone=True)


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", show=in_turn, setup=SETUP)


def stats(pattern: str) -> Admin:
    return Admin(f"GET /stats?filter={pattern}")


CASES = [
    case("the type STATIC as an extension", get("/static/")),
    case("the type STRICT_DNS as an extension", get("/strict/")),
    case("the type LOGICAL_DNS as an extension", get("/logical/")),
    case("a DnsCluster", get("/dns/")),
    case("a DnsCluster with one host of all addresses", get("/dns-single/")),
    Case(AREA, "a DnsCluster without any settings", (get("/"),), "main", show=in_turn, setup=BARE),
    case("names of two priorities", *in_order(get("/dns-priorities/"), 2)),
    case("an address twice is two hosts", *in_order(get("/twice/"), 4), stats("cluster.twice.membership_total")),
    case("an address by two names is two hosts", *in_order(get("/twice-by-name/"), 4),
        stats("cluster.twice-by-name.membership_total")),
    case("a cluster that is not waited for", get("/cold/")),
    case("a logical name that nobody has", get("/unknown/"), stats("cluster.unknown.update_")),
    case("hosts with names", *in_order(get("/named/"), 4)),
    case("the largest weight", *in_order(get("/heavy/"), 2)),
    case("sockets by metadata", *in_order(get("/matched/"), 4), stats("total_match_count")),
    case("sockets by metadata of the locality", get("/matched-locality/")),
    case("a canary", *in_order(get("/canary/"), 1), stats("cluster.canary.canary.*completed")),
    case("no host at all", *in_order(get("/none/"), 1), stats("cluster.none.*none_healthy")),
    case("the admin: hosts", ShowHosts()),
    case("the admin: hosts as JSON", ShowHosts(as_json=True)),
    case("the admin: updates", stats("cluster.(strict|logical|dns|dns-single|twice-by-name).update_")),
    case("the admin: membership", stats("membership_(change|degraded|excluded|healthy|total)")),
]  # fmt: skip
