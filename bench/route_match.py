"""Microseconds of a route's look-up in a large table, and the memory of the table; without sockets.

Run: .venv/bin/python -m bench.route_match [--hosts 1000] [--routes 10]. It prints and asserts nothing: machines differ,
compare runs on one.
"""

from __future__ import annotations

import argparse
import gc
import random
import timeit
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.http.headers import RequestHeaders
from envoymesh.router import table as table_module
from envoymesh.router.config import RouteFactoryContext, read_route_table
from envoymesh.router.table import RouteTable
from envoymesh.runtime import RuntimeReader

Json = dict[str, Any]
REQUESTS = 1000
ROUNDS = 20


def route(match: Json) -> Json:
    """A route to a cluster."""
    return {"match": match, "route": {"cluster": "c"}}


def exact(number: int) -> Json:
    """An exact path."""
    return {"path": f"/service/{number}/exact"}


def prefix(number: int) -> Json:
    """A prefix."""
    return {"prefix": f"/service/{number}/"}


def regex(number: int) -> Json:
    """A regex."""
    return {"safe_regex": {"regex": f"/service/{number}/[0-9a-f]+/x"}}


def header(number: int) -> Json:
    """A prefix that every path has, and a header."""
    return {"prefix": "/service/", "headers": [{"name": "x-n", "string_match": {"exact": str(number)}}]}


def table(hosts: int, routes: int, *kinds: Callable[[int], Json]) -> RouteTable:
    """A table of so many virtual hosts with so many routes each, their kinds in turn, a last one for all."""
    made = [
        {
            "name": f"host-{host}", "domains": [f"host-{host}.example.com", f"*.host-{host}.example.com"],
            "routes": [*(route(kinds[i % len(kinds)](i)) for i in range(routes)), route({"prefix": "/"})],
        }
        for host in range(hosts)
    ]  # fmt: skip
    message = json_format.ParseDict(
        {"name": "r", "virtual_hosts": made}, message_class("envoy.config.route.v3.RouteConfiguration")()
    )
    return read_route_table(Reader(message), RouteFactoryContext(lambda *_: None, RuntimeReader(), random.random))


def requests(hosts: int, routes: int, prefix_of_host: str = "") -> Iterator[RequestHeaders]:
    """Requests for any host and any of its routes."""
    chance = random.Random(7)
    for _ in range(REQUESTS):
        name = f"{prefix_of_host}host-{chance.randrange(hosts)}.example.com"
        number = chance.randrange(routes)
        end = chance.choice(["exact", "a1/x", "other"])
        path = f"/service/{number}/{end}?q=1"
        yield RequestHeaders(b"GET", path.encode(), name.encode(), b"http", [(b"x-n", b"%d" % number)])


def microseconds(made: RouteTable, asked: list[RequestHeaders]) -> float:
    """The best round's time for one look-up."""

    def ask() -> None:
        for each in asked:
            made.route(each)

    return min(timeit.repeat(ask, number=1, repeat=ROUNDS)) / len(asked) * 1e6


def megabytes(make: Callable[[], RouteTable]) -> float:
    """What a table keeps, without its messages."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept is not None
    return size / 2**20


def kind_of_code() -> str:
    """Whether what is measured is compiled."""
    return "interpreted" if (table_module.__file__ or "").endswith(".py") else "compiled"


SHAPES: dict[str, tuple[Callable[[int], Json], ...]] = {
    "prefixes": (prefix,),
    "exact paths": (exact,),
    "exact, prefix in turn": (exact, prefix),
    "regexes": (regex,),
    "exact, prefix, regex in turn": (exact, prefix, regex),
    "one prefix, many headers": (header,),
}


def main() -> None:
    """Measure every shape: many virtual hosts, and one with as many routes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--routes", type=int, default=10)
    options = parser.parse_args()
    hosts, routes = options.hosts, options.routes
    print(f"{kind_of_code()}; microseconds a look-up")
    print(f"{'':30} {hosts} hosts x {routes}   by wildcard   1 host x {hosts * routes}")
    for name, kinds in SHAPES.items():
        many = table(hosts, routes, *kinds)
        by_name = microseconds(many, list(requests(hosts, routes)))
        by_wildcard = microseconds(many, list(requests(hosts, routes, "x.")))
        # Routes that only headers tell apart are asked one by one, here as in Envoy: a hundred are enough.
        size = 100 if kinds == (header,) else hosts * routes
        single = table(1, size, *kinds)
        alone = microseconds(single, list(requests(1, size)))
        print(f"{name:30} {by_name:14.2f} {by_wildcard:13.2f} {alone:14.2f}{' (x 100)' if size == 100 else ''}")
    print(f"memory of {hosts} hosts x {routes} prefixes: {megabytes(lambda: table(hosts, routes, prefix)):.1f} MB")


if __name__ == "__main__":
    main()
