"""What an open page costs the proxies: `python -m bench.page_cost [--rate N] [--seconds N] [--rounds N]`.

The mesh of docker-compose.yaml as local processes, two replicas of service 1, so many requests a second from the start
to the end. In turn nobody looks at the page, and one browser does (a reader of its stream of events); CPU time of each
proxy in both, as percents of a core. It must not judge. It needs h2load; `envoymesh compile` first.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.processes import LOAD_CORES, accepts, pinned
from envoymesh.testing.mesh import free_ports

ROOT = Path(__file__).parents[1]
SETTLE = 3.0
CONNECTIONS = 16


def _command(environment: Mapping[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "envoymesh", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def _mesh() -> Iterator[tuple[dict[str, int], dict[str, str]]]:
    """A mesh: its ports, and the environment of commands for it."""
    names = ("PORT_PROXY", "PORT_HTTPS", "PORT_ADMIN", "PORT_PAGE")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with tempfile.TemporaryDirectory(prefix="envoymesh-") as folder:
        own = {**{name: str(port) for name, port in ports.items()}, "ENVOYMESH_NETWORK": "127.77.0.0/16"}
        environment = {**os.environ, **own, "ENVOYMESH_STATE": folder}
        _command(environment, "up", "-d", "--scale", "service1=2")
        try:
            yield ports, environment
        finally:
            _command(environment, "down")


def _pids(environment: Mapping[str, str]) -> dict[str, int]:
    """The process of each proxy, the services' own and the page."""
    rows = json.loads(_command(environment, "ps", "--format", "json"))
    used = [row for row in rows if row["Service"] != "service2"]
    return {f"{row['Name']} {name}": pid for row in used for name, pid in row["Pids"].items()}


def _cpu(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds that each has used."""
    return {
        name: sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
        for name, pid in pids.items()
    }


@contextmanager
def _looking(port: int) -> Iterator[None]:
    """A browser that has the page open."""
    with socket.create_connection(("127.0.0.1", port)) as browser:
        browser.sendall(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        reader = threading.Thread(target=lambda: all(iter(lambda: browser.recv(1 << 16), b"")))
        reader.start()
        try:
            yield
        finally:
            browser.shutdown(socket.SHUT_RDWR)
            reader.join()


def _served(admin: int) -> int:
    """Requests that the front has had."""
    url = f"http://127.0.0.1:{admin}/stats?filter=http.ingress_http.downstream_rq_total"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.read().split()[-1])


@contextmanager
def _load(rate: int, port: int, seconds: float) -> Iterator[None]:
    """So many requests a second meanwhile."""
    flags = ["--h1", f"--rps={rate / CONNECTIONS:.2f}", f"-c{CONNECTIONS}", "-t1", f"-D{seconds:.0f}"]
    command = pinned(["h2load", *flags, f"http://127.0.0.1:{port}/service/1"], LOAD_CORES)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
        assert process.poll() is None, "the load ended too soon"
    finally:
        process.terminate()
        process.wait()


def _measure(pids: Mapping[str, int], seconds: float) -> dict[str, float]:
    time.sleep(SETTLE)
    before = _cpu(pids)
    time.sleep(seconds)
    return {name: (used - before[name]) / seconds * 100 for name, used in _cpu(pids).items()}


def _print(rounds: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    print(f"{'percent of a core':28} {'nobody':>8} {'page':>8} {'more':>8}")
    for name in rounds[0][0]:
        without = sum(each[0][name] for each in rounds) / len(rounds)
        with_ = sum(each[1][name] for each in rounds) / len(rounds)
        print(f"{name:28} {without:8.2f} {with_:8.2f} {with_ - without:+8.2f}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What an open page costs the proxies.")
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    whole = given.rounds * 2 * (given.seconds + 2 * SETTLE) + 5
    with _mesh() as (ports, environment), _load(given.rate, ports["PORT_PROXY"], whole):
        rounds = []
        # The load is under way already: the page starts beside it.
        while not (pids := _pids(environment)).keys() >= {"page-1 page"} or not accepts(ports["PORT_PAGE"]):
            time.sleep(0.5)
        begun, before = time.monotonic(), _served(ports["PORT_ADMIN"])
        for _ in range(given.rounds):
            idle = _measure(pids, given.seconds)
            with _looking(ports["PORT_PAGE"]):
                watched = _measure(pids, given.seconds)
            rounds.append((idle, watched))
            time.sleep(SETTLE * 2)  # the page lingers
        served = _served(ports["PORT_ADMIN"]) - before
        print(f"{served / (time.monotonic() - begun):.0f} requests a second")
        _print(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
