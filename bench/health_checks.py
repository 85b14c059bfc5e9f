"""What active health checks cost: `python -m bench.health_checks [--hosts N] [--seconds N] [--rounds N]`.

One cluster of many hosts at addresses of the loopback, each checked over HTTP once a second on a connection that stays;
nobody sends requests. Ours and, where ENVOYMESH_ORACLE names it, the real Envoy, one after the other in each round.
It must not judge.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from multiprocessing import Process as Helper
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.processes import LOAD_CORES, SUBJECT_CORES, BenchError, Process, free_port

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
START = 60.0
SETTLE = 3.0


class _Host(asyncio.Protocol):
    """Answers whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


def serve(port: int) -> None:
    """Every host at once: the whole loopback network leads here."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Host, "0.0.0.0", port, backlog=4096)
        await server.serve_forever()

    os.sched_setaffinity(0, LOAD_CORES)
    asyncio.run(run())


def configuration(hosts: int, port: int, admin: int) -> dict[str, Any]:
    """A cluster of so many hosts, and an admin."""
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": f"127.1.{at >> 8}.{at & 255}", "port_value": port}}}}
        for at in range(1, hosts + 1)
    ]
    times = {"timeout": "0.9s", "interval": "1s", "no_traffic_interval": "1s", "interval_jitter": "0.1s"}
    check = {**times, "initial_jitter": "1s", "unhealthy_threshold": 3, "healthy_threshold": 2}
    cluster = {
        "name": "many",
        "connect_timeout": "1s",
        "health_checks": [{**check, "http_health_check": {"path": "/healthz"}}],
        "load_assignment": {"cluster_name": "many", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": admin}}
    return {"admin": {"address": address}, "static_resources": {"clusters": [cluster]}}


def _stat(admin: int, name: str) -> int:
    with urlopen(f"http://127.0.0.1:{admin}/stats?filter=^cluster.many.{name}$", timeout=10) as answer:
        return int(answer.read().decode().partition(": ")[2] or 0)


def measure(name: str, command: list[str], hosts: int, seconds: float, folder: Path) -> str:
    """One subject: microseconds of CPU for each check, checks a second, memory."""
    port, admin = free_port(), free_port()
    upstream = Helper(target=serve, args=(port,), daemon=True)
    upstream.start()
    config = folder / "config.json"
    config.write_text(json.dumps(configuration(hosts, port, admin)))
    process = Process(name, [*command, "-c", str(config), "--concurrency", "1"], SUBJECT_CORES, folder / f"{name}.log")
    try:
        process.wait_for_port(admin)
        end = time.monotonic() + START
        while _stat(admin, "health_check.healthy") < hosts:
            if time.monotonic() > end:
                raise BenchError(f"{name}: only {_stat(admin, 'health_check.healthy')} hosts are healthy")
            time.sleep(0.1)
        time.sleep(SETTLE)
        before, checks, began = process.usage(), _stat(admin, "health_check.success"), time.monotonic()
        time.sleep(seconds)
        after, took = process.usage(), time.monotonic() - began
        checks = _stat(admin, "health_check.success") - checks
        failures = _stat(admin, "health_check.failure")
    finally:
        process.stop()
        upstream.terminate()
        upstream.join()
    cpu = after.cpu - before.cpu
    return (
        f"{name}: {cpu / took:.1%} of a core, {cpu / checks * 1e6:.0f} us a check, {checks / took:.0f} checks/s, "
        f"{failures} failed, {after.rss / 1024:.0f} MiB"
    )


def main() -> int:
    """Measure in rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    subjects = {"envoymesh": [sys.executable, "-m", "envoymesh", "proxy"]}
    oracle = os.environ.get("ENVOYMESH_ORACLE")
    if oracle:
        subjects["Envoy"] = [oracle, "--use-dynamic-base-id", "-l", "error"]
    for _ in range(options.rounds):
        for name, command in subjects.items():
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                print(measure(name, command, options.hosts, options.seconds, Path(folder)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
