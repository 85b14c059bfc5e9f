"""Nanoseconds a pick, by policy and number of hosts, without sockets: `python -m bench.balancers`.

What runs is what is there: compiled modules (`make native`), or the source; the first line says which. Hosts are
healthy and in one priority. `refresh` is what one change of a host's health costs the balancer, in microseconds;
`memory` is what the balancer keeps besides the hosts, in KiB. This module must not judge the figures.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from envoymesh.native.loader import activate

DATA_PATH = activate()

from envoymesh.metadata import match_criteria  # noqa: E402 - what is compiled must be known before
from envoymesh.network.api import Address  # noqa: E402
from envoymesh.stats import Store  # noqa: E402
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host  # noqa: E402
from envoymesh.upstream.host_set import PrioritySet  # noqa: E402
from envoymesh.upstream.lb import settings as lb  # noqa: E402
from envoymesh.upstream.lb.api import LbParams, LoadBalancer  # noqa: E402
from envoymesh.upstream.lb.factory import make_load_balancer  # noqa: E402
from envoymesh.upstream.lb.subset import SubsetLoadBalancer  # noqa: E402
from envoymesh.upstream.settings import EndpointSettings  # noqa: E402
from envoymesh.upstream.stats import ClusterStats  # noqa: E402

SIZES = (10, 100, 1000)
PICKS, ROUNDS, CHANGES = 20_000, 5, 5
SUBSETS = [lb.SubsetSelectorSettings(("version",))]
ROWS: list[tuple[str, lb.LbSettings, str]] = [
    ("round robin", lb.RoundRobinSettings(), "equal"),
    ("round robin, weights", lb.RoundRobinSettings(), "weights"),
    ("round robin, weights of 60 million", lb.RoundRobinSettings(), "large"),
    ("least request", lb.LeastRequestSettings(), "equal"),
    ("least request, weights", lb.LeastRequestSettings(), "weights"),
    ("random", lb.RandomSettings(), "equal"),
    ("ring hash", lb.RingHashSettings(), "equal"),
    ("maglev", lb.MaglevSettings(), "equal"),
    ("maglev, bounded", lb.MaglevSettings(hash_balance_factor=200), "equal"),
    ("subsets of ten", lb.SubsetSettings(lb.RoundRobinSettings(), SUBSETS), "equal"),
]
CRITERIA = match_criteria({"version": "3"})


def hosts(count: int, weights: str) -> list[Host]:
    """So many hosts, whose metadata have one of ten versions."""
    weight_of = {"equal": lambda n: 1, "weights": lambda n: n % 7 + 1, "large": lambda n: 60_000_000 + n}[weights]
    made = []
    for number in range(count):
        metadata = {"UPSTREAM_HOST": {"envoy.lb": {"version": str(number % 10), "hash_key": f"host-{number}"}}}
        address = Address(f"10.0.{number // 250}.{number % 250}", 80)
        made.append(Host(address, EndpointSettings(address.host, 80, weight=weight_of(number), metadata=metadata)))
    return made


def params_of(priority_set: PrioritySet) -> LbParams:
    """What a balancer over these hosts is made of."""
    scope = Store().scope("cluster.c.")
    return LbParams(priority_set, ClusterStats.create(scope), scope, random.random, time.monotonic, 50)


def picker(balancer: LoadBalancer) -> Callable[[], Any]:
    """What makes one pick: of a subset for criteria, else for a request of which nothing is known, by a random hash."""
    if isinstance(balancer, SubsetLoadBalancer):
        return partial(balancer._choose, None, CRITERIA)
    return partial(balancer.choose_host, None)


def nanoseconds(pick: Callable[[], Any]) -> float:
    """The best of some rounds of picks, less what the loop itself takes."""
    best = empty = 1e9
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(PICKS):
            pick()
        best = min(best, (time.perf_counter_ns() - began) / PICKS)
        began = time.perf_counter_ns()
        for _ in range(PICKS):
            pass
        empty = min(empty, (time.perf_counter_ns() - began) / PICKS)
    return best - empty


def refresh(priority_set: PrioritySet) -> float:
    """Microseconds of one change of health."""
    first = priority_set.hosts()[0]
    began = time.perf_counter()
    for _ in range(CHANGES):
        first.health_flag_set(FAILED_ACTIVE_HC)
        priority_set.update_health([first])
        first.health_flag_clear(FAILED_ACTIVE_HC)
        priority_set.update_health([first])
    return (time.perf_counter() - began) / (2 * CHANGES) * 1e6


def measure(settings: lb.LbSettings, count: int, weights: str) -> tuple[float, float, float]:
    """Nanoseconds a pick, microseconds a refresh, KiB kept."""
    priority_set = PrioritySet()
    priority_set.update_hosts(0, hosts(count, weights))
    params = params_of(priority_set)
    tracemalloc.start()
    balancer = make_load_balancer(settings, params)
    pick = picker(balancer)
    pick()
    memory = tracemalloc.get_traced_memory()[0] / 1024
    tracemalloc.stop()
    return nanoseconds(pick), refresh(priority_set), memory


def main() -> None:
    """Print the table."""
    print(f"data path: {DATA_PATH}")
    print(f"{'':36}" + "".join(f"{f'{count} hosts':>26}" for count in SIZES))
    print(f"{'':36}" + "   ns/pick  refresh   memory" * len(SIZES))
    for name, settings, weights in ROWS:
        found = [measure(settings, count, weights) for count in SIZES]
        print(f"{name:36}" + "".join(f"{pick:10.0f}{again:9.0f}{memory:9.0f}" for pick, again, memory in found))


if __name__ == "__main__":
    main()
