"""Headers that come twice: Envoy joins those that it knows by name, and keeps others apart."""

from __future__ import annotations

from tests.integration.exchanges import get
from tests.integration.harness import Peer, Request, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts

AREA = "doubled headers"
REMOTE = {"use_remote_address": True, "xff_num_trusted_hops": 1}


def _configuration(places: Places) -> Json:
    routes = catch_all(to_cluster("up"))
    listeners = [http_listener("main", routes), http_listener("edge", routes, **REMOTE)]
    return bootstrap_of(listeners, [static_cluster("up", *places.group("one"))])


def _twice(peer: Peer, request: Request) -> None:
    fields = "".join(f"{name}: a\r\nx-between: c\r\n{name}: b\r\n" for name in ANSWERED)
    peer.send(f"HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n".encode())


SETUP = Setup("doubled", _configuration, hosts("one", 1, answer=_twice))


def case(name: str, *fields: str, on: str = "main", path: str = "/") -> Case:
    return Case(AREA, name, (get(path, *fields),), on, setup=SETUP)


NAMES = """
    accept accept-encoding authorization cache-control content-type cookie etag expect forwarded grpc-accept-encoding
    grpc-timeout if-none-match keep-alive origin range referer te user-agent via x-client-trace-id
    x-envoy-downstream-service-cluster x-envoy-original-path x-forwarded-client-cert x-forwarded-for x-forwarded-host
    x-forwarded-proto x-request-id x-unknown
"""

ANSWERED = (
    "cache-control",
    "content-type",
    "date",
    "etag",
    "location",
    "set-cookie",
    "vary",
    "via",
    "www-authenticate",
)

CASES = [
    case("in an answer", on="main", path="/answer"),
    *[case(f"{name} twice", f"{name}: a", f"{name}: b") for name in NAMES.split()],
    *[
        case(f"{name} twice at the edge", f"{name}: 1.2.3.4", f"{name}: 5.6.7.8", on="edge")
        for name in NAMES.split()
        if name.startswith("x-")
    ],
    case(
        "x-forwarded-for thrice",
        "x-forwarded-for: 1.1.1.1",
        "x-a: b",
        "x-forwarded-for: 2.2.2.2, 3.3.3.3",
        "x-forwarded-for:",
        "x-forwarded-for: 4.4.4.4",
    ),
    case(
        "x-forwarded-for thrice at the edge",
        "x-forwarded-for: 1.1.1.1",
        "x-a: b",
        "x-forwarded-for: 2.2.2.2, 3.3.3.3",
        "x-forwarded-for: 4.4.4.4",
        on="edge",
    ),
]
