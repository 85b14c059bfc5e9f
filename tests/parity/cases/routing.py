"""Routes that choose between clusters, rewrite, and retry. Matching is covered by the exchanges (http1.py)."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get, message
from tests.integration.harness import Peer, Request, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import CaseStep

AREA = "routing"


def fails(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 503 Service Unavailable\r\nx-host: two-1\r\ncontent-length: 0\r\n\r\n")


def _match(cluster: str, **match: Any) -> Json:
    return {"match": match, "route": {"cluster": cluster}}


def _configuration(places: Places) -> Json:
    one, two = places.group("one"), places.group("two")
    is_two = {"name": "x-to", "string_match": {"exact": "two"}}
    retry = {"retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}
    routes = [
        _match("two", prefix="/", headers=[is_two]),
        _match("two", prefix="/query", query_parameters=[{"name": "v", "string_match": {"exact": "2"}}]),
        _match("two", safe_regex={"regex": "/items/[0-9]+"}),
        _match("two", path_separated_prefix="/api"),
        to_cluster("two", "/retry/", timeout="0s", retry_policy=retry),
        to_cluster("nobody", "/nobody/", cluster_not_found_response_code="NOT_FOUND"),
        to_cluster("one"),
    ]
    clusters = [static_cluster("one", *one), static_cluster("two", *two)]
    # A route to a cluster that is not there is refused at load unless it is not to be checked.
    table = {**catch_all(*routes), "validate_clusters": False}
    return bootstrap_of([http_listener("main", table)], clusters)


SETUP = Setup("routing", _configuration, {**hosts("one", 1), **hosts("two", 1, **{"retry/": fails})})


def case(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, steps, "main", setup=SETUP)


CASES = [
    case("the other cluster by a header", get("/", "x-to: two")),
    case("the first by default", get("/", "x-to: three")),
    case("by a query parameter", get("/query?v=2&w=1")),
    case("by another value of it", get("/query?v=3")),
    case("by a regular expression", get("/items/42?x=y")),
    case("the expression is about the whole path", get("/items/42/more")),
    case("a prefix that ends at a slash", get("/api/x")),
    case("and not in a word", get("/apis")),
    case("tried again until the last", get("/retry/x")),
    case("a request with a body tried again", message("POST /retry/x", "content-length: 3", body=b"abc")),
    case("a cluster that is not there", get("/nobody/")),
]
