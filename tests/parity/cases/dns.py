"""Clusters found by name: STRICT_DNS and LOGICAL_DNS, with names that need no server (localhost and below)."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import Address, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.cases.showing import in_turn
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, UntilStat

AREA = "DNS"
NOWHERE = "nowhere.onion"  # which no resolver asks a server for (RFC 7686)


def _named(kind: str, name: str, *addresses: Address, family: str = "V4_ONLY", **more: Any) -> Json:
    made = static_cluster(name, *addresses)
    return {**made, "type": kind, "dns_lookup_family": family, "dns_refresh_rate": "600s", **more}


def _configuration(places: Places) -> Json:
    ports = [address[1] for address in places.group("two")]
    clusters = [
        _named("STRICT_DNS", "strict", ("localhost", ports[0])),
        _named("STRICT_DNS", "several", *(("localhost", port) for port in ports)),
        _named("STRICT_DNS", "under", ("a.localhost", ports[0])),
        _named("STRICT_DNS", "literal", ("127.0.0.1", ports[0])),
        _named("STRICT_DNS", "unknown", (NOWHERE, ports[0])),
        _named("STRICT_DNS", "partly", (NOWHERE, ports[0]), ("localhost", ports[1])),
        _named("STRICT_DNS", "sixth", ("localhost", ports[0]), family="V6_ONLY"),
        _named("LOGICAL_DNS", "logical", ("localhost", ports[0])),
        _named("LOGICAL_DNS", "logical-unknown", (NOWHERE, ports[0])),
        _named("STRICT_DNS", "often", ("localhost", ports[0]), dns_refresh_rate="0.05s"),
    ]
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    return bootstrap_of([http_listener("main", catch_all(*routes))], clusters)


SETUP = Setup("dns", _configuration, hosts("two", 2))


def case(name: str, *steps: Any) -> Case:
    return Case(AREA, name, steps, "main", show=in_turn, setup=SETUP)


CASES = [
    case("a name", get("/strict/") * 2),
    case("two hosts of one name", get("/several/") * 4),
    case("a name under localhost", get("/under/")),
    case("an address in the place of a name", get("/literal/")),
    case("a name that nobody has", get("/unknown/")),
    case("one name of two", get("/partly/") * 2),
    case("the other family, where nobody listens", get("/sixth/")),
    case("a logical name", get("/logical/") * 2),
    case("a logical name that nobody has", get("/logical-unknown/")),
    case("looked up again and the same", UntilStat("cluster.often.update_attempt", 5), get("/often/"),
        Admin("GET /stats?filter=cluster.often.membership_(change|total)")),
]  # fmt: skip
