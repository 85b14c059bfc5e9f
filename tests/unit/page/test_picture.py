"""The picture of what is known: nodes, edges, groups; and what is said of its changes."""

from typing import Any

from envoymesh.page.figures import Latencies
from envoymesh.page.notices import notices
from envoymesh.page.picture import MOST_NODES, Picture
from envoymesh.page.runtime import Place
from envoymesh.page.watch import Watch

CLUSTERS = """service1::observability_name::service1
service1::default_priority::max_connections::1024
service1::127.0.1.1:8000::rq_total::{first}
service1::127.0.1.1:8000::rq_error::{failed}
service1::127.0.1.1:8000::rq_active::2
service1::127.0.1.1:8000::health_flags::{flags}
service1::127.0.1.2:8000::rq_total::7
service1::127.0.1.2:8000::health_flags::healthy
v6::[2001:db8::1]:443::rq_total::3
v6::[2001:db8::1]:443::health_flags::/degraded_active_hc
"""


def place(name: str, address: str, tier: int = 2, state: str = "healthy") -> Place:
    service = name.rpartition("-")[0]
    return Place(name, service, state, tier, address, f"{address}:8001", (f"{address}:8000",))


def watches(first: int = 0, failed: int = 0, flags: str = "healthy") -> list[Watch]:
    front = Watch(place("front-1", "127.0.0.1", 1))
    front.take_clusters(0, CLUSTERS.format(first=0, failed=0, flags="healthy"))
    front.take_clusters(2, CLUSTERS.format(first=first, failed=failed, flags=flags))
    replicas = [Watch(place(f"service1-{number}", f"127.0.1.{number}")) for number in (1, 2)]
    replicas[0].take_clusters(2, "local::127.0.1.1:8080::rq_total::5\nlocal::127.0.1.1:8080::health_flags::healthy\n")
    for each in (front, *replicas):
        each.become(1000.0)
    return [front, *replicas]


def by_id(things: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in things}


def test_edges_have_rates_errors_and_health() -> None:
    latencies = {"front-1>service1-1": Latencies()}
    latencies["front-1>service1-1"].add(2, 4.5)
    picture = Picture(watches(first=20, failed=4, flags="/failed_outlier_check"), latencies, 2)
    edges = by_id(picture.edges)
    first = edges["front-1>service1-1"]
    assert (first["rps"], first["errors"], first["active"], first["p50"]) == (10.0, 2.0, 2, 4.5)
    assert (first["health"], first["flags"], first["cluster"]) == ("unhealthy", ["failed_outlier_check"], "service1")
    assert edges["front-1>service1-2"]["health"] == "healthy"
    assert edges["front-1>[2001:db8::1]:443"]["health"] == "degraded"
    assert set(edges) == {"clients>front-1", "front-1>service1-1", "front-1>service1-2", "front-1>[2001:db8::1]:443"}


def test_nodes_of_every_tier() -> None:
    nodes = by_id(Picture(watches(first=20), {}, 2).nodes)
    assert [(each["id"], each["kind"], each["tier"]) for each in nodes.values()] == [
        ("clients", "client", 0),
        ("front-1", "proxy", 1),
        ("service1-1", "replica", 2),
        ("service1-2", "replica", 2),
        ("[2001:db8::1]:443", "external", 3),
    ]
    assert nodes["service1-1"]["rps"] == 10.0


def test_the_app_beside_a_sidecar_is_found_and_is_no_node() -> None:
    front, first, _ = watches()
    assert (first.app, front.app) == ("127.0.1.1:8080", "")


def test_a_silent_admin_is_unreachable_and_answers_again() -> None:
    front = watches()[0]
    front.missed = 3
    front.become(1001.0)
    assert (front.state, front.since) == ("unreachable", 1001.0)
    front.missed = 0
    front.become(1002.0)
    assert front.state == "healthy"


def test_many_replicas_are_one_node() -> None:
    front = watches()[0]
    many = [Watch(place(f"service1-{number}", f"127.0.1.{number}")) for number in range(1, MOST_NODES + 2)]
    for each in many:
        each.become(1000.0)
    many[3].missed = 3
    many[3].become(1000.0)
    picture = Picture([front, *many], {}, 2)
    group = by_id(picture.nodes)["service1"]
    assert (group["kind"], group["count"], group["state"]) == ("group", MOST_NODES + 1, "unreachable")
    assert len(picture.nodes) < 6
    assert by_id(picture.edges)["front-1>service1"]["to"] == "service1"
    assert picture.totals()["replicas"] == MOST_NODES + 1


def snapshot(*made: Watch) -> dict[str, Any]:
    picture = Picture(list(made), {}, 2)
    return {"nodes": picture.nodes, "edges": picture.edges, "example": None}


def test_what_is_said() -> None:
    before = snapshot(*watches())
    front, first, _ = watches(flags="/failed_outlier_check")
    first.place = place("service1-1", "127.0.1.1", state="stopped")
    first.become(1001.0)
    come = Watch(place("service1-3", "127.0.1.3"))
    come.become(1001.0)
    after = snapshot(front, first, come)
    said = list(notices(before, after))
    assert ("ejected", "service1-1 was ejected by front-1: too many of its answers were failures.") in said
    assert ("killed", "service1-1 has stopped.") in said
    assert ("scaled", "service1-3 has come.") in said
    assert ("scaled", "service1-2 has gone.") in said
    assert ("recovered", "service1-1 gets requests of front-1 again.") in list(notices(after, before))
    assert list(notices(before, before)) == []
    assert list(notices(before, {**before, "example": "mirror"})) == [("example", "The example mirror runs.")]
