"""How upstream connections are made: own addresses, options of sockets, several addresses of a host, in advance."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.cases.assigned import cluster_of, host, hosts_of
from tests.parity.setup import FILE_LOG, Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, CaseStep, UntilStat, in_order
from tests.parity.upstreams import Refusing

AREA = "connecting"
LOG = (
    "code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% host=%UPSTREAM_HOST% "
    "from=%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% to=%UPSTREAM_REMOTE_ADDRESS% "
    "failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n"
)
SO_KEEPALIVE = {"level": 1, "name": 9, "int_value": 1}
NO_SUCH_OPTION = {"level": 1, "name": 9999, "int_value": 1}
NOT_OURS = "192.0.2.1"  # RFC 5737: nobody's


def _from(*addresses: str, **more: Any) -> Json:
    first, *others = ({"address": each, "port_value": 0} for each in addresses)
    extra: Json = {"extra_source_addresses": [{"address": each} for each in others]} if others else {}
    return {"upstream_bind_config": {"source_address": first, **extra, **more}}


def _also(*addresses: tuple[str, int]) -> Json:
    listed = [{"address": {"socket_address": {"address": at, "port_value": port}}} for at, port in addresses]
    return {"endpoint": {"additional_addresses": listed}}


def _clusters(places: Places) -> list[Json]:
    one = places["one-1"]
    dead, sixth = places["dead"], ("::1", one[1])

    def plain(name: str, **more: Any) -> Json:
        return static_cluster(name, one, **more)

    return [
        plain("bound", **_from("127.0.0.5")),
        plain("by-bootstrap"),
        plain("bound-to-family", **_from("::1", "127.0.0.6")),
        plain("bound-to-other-family", **_from("::1")),
        plain("not-ours", **_from(NOT_OURS)),
        plain("free", **_from(NOT_OURS, freebind=True)),
        plain("options", **_from("127.0.0.5", socket_options=[SO_KEEPALIVE, {**SO_KEEPALIVE, "state": "STATE_BOUND"}])),
        plain("bad-option", upstream_bind_config={"socket_options": [NO_SUCH_OPTION]}),
        plain("alive", upstream_connection_options={"tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 10}}),
        cluster_of("second-address", hosts_of(host(dead, **_also(one)))),
        cluster_of("second-family", hosts_of(host(sixth, **_also(one)))),
        cluster_of("first-address", hosts_of(host(one, **_also(dead)))),
        cluster_of("no-address", hosts_of(host(dead, **_also(dead, sixth)))),
        cluster_of(
            "other-family-first", hosts_of(host(sixth, **_also(one))),
            upstream_connection_options={"happy_eyeballs_config": {"first_address_family_version": "V4"}},
        ),
        plain("ahead", preconnect_policy={"per_upstream_preconnect_ratio": 2}),
        plain("one-each", max_requests_per_connection=1),
        plain("at-most-one", circuit_breakers={"thresholds": [{"max_connections": 1}]}),
    ]  # fmt: skip


def _configuration(places: Places) -> Json:
    clusters = _clusters(places)
    routes = [to_cluster(each["name"], f"/{each['name']}/") for each in clusters]
    log = {"@type": FILE_LOG, "path": str(places.log), "log_format": {"text_format_source": {"inline_string": LOG}}}
    listener = http_listener("main", catch_all(*routes), access_log=[{"name": "file", "typed_config": log}])
    bind = {"upstream_bind_config": {"source_address": {"address": "127.0.0.7", "port_value": 0}}}
    return bootstrap_of([listener], clusters, cluster_manager=bind)


SETUP = Setup("connecting", _configuration, {**hosts("one", 1), "dead": Refusing})


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


CASES = [
    case("an own address", get("/bound/")),
    case("the bootstrap's own address", get("/by-bootstrap/")),
    case("own addresses of both families", get("/bound-to-family/")),
    case("an own address of the other family", get("/bound-to-other-family/")),
    case("an address that is not ours", *in_order(get("/not-ours/"), 1), Admin("GET /stats?filter=bind_errors")),
    case("options of the socket", get("/options/")),
    case("an option that there is not", get("/bad-option/")),
    case("keepalive", get("/alive/")),
    case("the second address, where the first refuses", get("/second-address/")),
    case("the second address, of the other family", get("/second-family/")),
    case("the first address, where it is well", get("/first-address/")),
    case("no address", get("/no-address/")),
    case("the other family first", get("/other-family-first/")),
    case("a connection in advance", get("/ahead/"), UntilStat("cluster.ahead.upstream_cx_total", 2), Wait(0.05)),
    case("one request on each connection", *in_order(get("/one-each/"), 3)),
    case("one connection at most", *in_order(get("/at-most-one/"), 3)),
]
