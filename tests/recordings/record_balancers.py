"""Records what the real Envoy picks: `python -m tests.recordings.record_balancers` writes balancers.json.

Each recording is a cluster, and for each request the place of the host that answered it, as one letter (`a` is the
first endpoint). Requests come one after another on one connection. Where the pick follows from a hash, request N has
the header `x-key: key-N`. Where it follows from turns that begin at a random place, the recording has a seed too, with
which ours begins at the same place: it is searched for. This script must not know how a pick is made; it needs the
real Envoy (ENVOYMESH_ORACLE), and takes a minute.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from envoymesh.upstream.lb.edf import EdfScheduler
from tests.conftest import ORACLE_DEFAULT
from tests.integration.harness import Proxy, bootstrap, catch_all, http_listener, to_cluster
from tests.parity.setup import says
from tests.parity.upstreams import Recorder
from tests.recordings.picks import Recording, host_letters, ours

FILE = Path(__file__).with_name("balancers.json")
HOSTS = 8
BATCH = 50
TURNS, FEW_TURNS, KEYS = 10_000, 1_000, 1_000
LONG = ("round-1-2-3", "least-1-2-3", "round-1-9", "least-1-9")
CANDIDATES = 300_000
HASHED = [{"header": {"header_name": "x-key"}}]
COMMON = "common_lb_config"


def _cluster(name: str, ports: list[int], weights: list[int], localities: list[int] | None = None, **more: Any) -> Any:
    """A cluster whose hosts have hash keys and names of their own; `localities` are weights of one host's each."""
    endpoints = [
        {
            "endpoint": {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "hostname": f"host-{place}.example.com",
            },
            "load_balancing_weight": weight,
            "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": f"host-{place}"}}},
        }
        for place, (port, weight) in enumerate(zip(ports, weights, strict=False))
    ]
    groups: list[Any] = [{"lb_endpoints": endpoints}]
    if localities is not None:
        groups = [
            {"locality": {"zone": f"z{place}"}, "load_balancing_weight": weight, "lb_endpoints": [endpoint]}
            for place, (weight, endpoint) in enumerate(zip(localities, endpoints, strict=True))
        ]
    assignment = {"cluster_name": name, "endpoints": groups}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment, **more}


def _without_keys(cluster: Any) -> Any:
    for group in cluster["load_assignment"]["endpoints"]:
        for endpoint in group["lb_endpoints"]:
            del endpoint["metadata"]
    return cluster


def in_turns(ports: list[int]) -> Iterator[Any]:
    """Clusters whose hosts take turns."""
    for weights in ([1, 2, 3], [1, 9], [2, 7], [1, 1, 2, 2, 4], [60_000_000, 20_000_000, 1]):
        name = "-".join(map(str, weights))
        yield _cluster(f"round-{name}", ports, weights)
        yield _cluster(f"least-{name}", ports, weights, lb_policy="LEAST_REQUEST")
    yield _cluster("round-equal", ports, [7] * 5)
    weighted = {COMMON: {"locality_weighted_lb_config": {}}}
    yield _cluster("round-localities", ports, [1, 1, 1], [1, 2, 3], **weighted)


def hashed(ports: list[int]) -> Iterator[Any]:
    """Clusters whose hosts follow from hashes."""
    sets: dict[str, list[int]] = {"equal": [1] * 5, "weights": [1, 2, 3, 10], "one": [1], "many": [1] * HOSTS}
    for name, weights in sets.items():
        yield _cluster(f"ring-{name}", ports, weights, lb_policy="RING_HASH")
        yield _cluster(f"maglev-{name}", ports, weights, lb_policy="MAGLEV")
    small = {"minimum_ring_size": 10, "maximum_ring_size": 12}
    murmur = {"hash_function": "MURMUR_HASH_2"}
    yield _cluster("ring-murmur", ports, [1, 1, 2], lb_policy="RING_HASH", ring_hash_lb_config=murmur)
    yield _cluster("ring-small", ports, [1, 2, 4], lb_policy="RING_HASH", ring_hash_lb_config=small)
    yield _cluster("maglev-small", ports, [1, 2, 4], lb_policy="MAGLEV", maglev_lb_config={"table_size": 11})
    by_name = {COMMON: {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}}
    weighted = {COMMON: {"locality_weighted_lb_config": {}}}
    for policy in ("RING_HASH", "MAGLEV"):
        kind = policy.partition("_")[0].lower()
        named = _cluster(f"{kind}-names", ports, [1, 1, 1], lb_policy=policy, **by_name)
        # A static cluster may not be told to hash names.
        yield {**_without_keys(named), "type": "STRICT_DNS"}
        yield _without_keys(_cluster(f"{kind}-addresses", ports, [1, 1, 1], lb_policy=policy))
        yield _cluster(f"{kind}-localities", ports, [1, 1, 1], [1, 2, 5], lb_policy=policy, **weighted)


def ask(address: tuple[str, int], cluster: str, count: int) -> str:
    """The hosts that answered so many requests, as letters."""
    picks: list[str] = []
    with socket.create_connection(address, timeout=10) as client:
        answers = client.makefile("rb")
        for begin in range(0, count, BATCH):
            batch = range(begin, min(begin + BATCH, count))
            text = "".join(f"GET /{cluster}/ HTTP/1.1\r\nhost: a\r\nx-key: key-{number}\r\n\r\n" for number in batch)
            client.sendall(text.encode())
            picks += [_read_answer(answers) for _ in batch]
    return "".join(picks)


def _read_answer(answers: Any) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = answers.readline()
        assert line, head
        head += line
    found = re.search(rb"\r\nx-host: (\w)\r\n", head)
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head)
    assert found is not None, head
    assert length is not None, head
    answers.read(int(length[1]))
    return found[1].decode()


def find_seed(recording: Recording) -> int:
    """A seed with which ours begins at the same place."""
    chance = random.Random(7)
    letters = host_letters(len(recording.weights))
    for number in range(CANDIDATES):
        seed = number if number < 50_000 else chance.randrange(2**32)
        schedule: EdfScheduler[str] = EdfScheduler()
        schedule.start(letters, recording.weights, seed)
        if _follows(schedule, recording) and ours(recording, seed, len(recording.picks)) == recording.picks:
            return seed
    raise SystemExit(f"{recording.name}: ours has no such turns")


def _follows(schedule: EdfScheduler[str], recording: Recording) -> bool:
    weights = dict(zip(host_letters(len(recording.weights)), recording.weights, strict=True))
    for letter in recording.picks:
        if schedule.due() != letter:
            return False
        schedule.put_back(weights[letter], letter)
    return True


def record(oracle: Path, folder: Path) -> list[Recording]:
    """All recordings."""
    with ExitStack() as stack:
        upstreams = [stack.enter_context(Recorder({"/": says(letter)})) for letter in host_letters(HOSTS)]
        ports = [upstream.address[1] for upstream in upstreams]
        turns, hashes = list(in_turns(ports)), list(hashed(ports))
        routes = [to_cluster(each["name"], f"/{each['name']}/") for each in turns]
        routes += [to_cluster(each["name"], f"/{each['name']}/", hash_policy=HASHED) for each in hashes]
        config = bootstrap([http_listener("main", catch_all(*routes))], [*turns, *hashes])
        flags = ["--use-dynamic-base-id", "--concurrency", "1"]
        proxy = stack.enter_context(Proxy([str(oracle)], config, folder, *flags))
        address = proxy.addresses["main"]
        counts = [TURNS if each["name"] in LONG else FEW_TURNS for each in turns]
        made = [
            Recording(each["name"], each, ask(address, each["name"], count))
            for each, count in zip(turns, counts, strict=True)
        ]
        return made + [Recording(each["name"], each, ask(address, each["name"], KEYS)) for each in hashes]


def main() -> None:
    """Record, find seeds, write."""
    oracle = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    with tempfile.TemporaryDirectory(prefix="record-") as folder:
        recordings = record(oracle, Path(folder))
    for each in recordings:
        if each.in_turns:
            each.seed = find_seed(each)
            print(each.name, "begins at", each.seed, file=sys.stderr)
    lines = [json.dumps(each.as_json()) for each in recordings]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
