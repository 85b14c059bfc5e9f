"""What a look at the admin costs everybody else: `python -m bench.admin_wait [--clusters N] [TARGET ...]`.

One proxy with many clusters; a client asks the data path every millisecond and notes how long it waits; meanwhile
another process asks the admin for one thing once a second. Ours and, where ENVOYMESH_ORACLE names it, the real Envoy.
The first row is without anybody at the admin: what the machine itself adds. `--realtime` (Linux, root) puts the client,
the upstream and what serves it before whatever else the machine does, the proxy's other threads and processes included.
It must not judge.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process as Helper
from pathlib import Path

from bench.mesh_config import Ports, Setup, bootstrap
from bench.processes import LOAD_CORES, SUBJECT_CORES, BenchError, Process, free_port
from bench.upstream import Upstream
from bench.workers import workers_of

SECONDS = 6.0
PAUSE = 0.001
TIMEOUT = 10.0
TARGETS = (
    "/stats",
    "/stats?usedonly",
    "/stats?filter=no.such.stat",
    "/stats?format=json",
    "/stats?format=html",
    "/stats/prometheus",
    "/clusters",
    "/clusters?format=json",
    "/config_dump",
    "/config_dump?include_eds",
    "/config_dump?name_regex=cluster.*",
    "/listeners?format=json",
    "/certs",
    "POST /reset_counters",
)

_SERVING_THREADS = ("python", "envoymesh", "wrk:worker")
"""Ours has one thread; Envoy names its workers."""

_REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
_ANSWER_ENDS = b"."  # the upstream's body ends with dots


def ask(connection: socket.socket) -> float:
    """One request; milliseconds until its answer is there."""
    began = time.perf_counter()
    connection.sendall(_REQUEST)
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(_ANSWER_ENDS):
        data = connection.recv(65536)
        if not data:
            raise BenchError(f"the proxy hung up after {received!r}")
        received += data
    return (time.perf_counter() - began) * 1000


def waits(port: int, seconds: float) -> list[float]:
    """What a client waits for each of its answers, in rising order."""
    found = []
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            found.append(ask(connection))
            time.sleep(PAUSE)
    return sorted(found)


def scrape(port: int, target: str, seconds: float) -> None:
    """Ask the admin once a second, and read all that it says."""
    method, path = target.split() if " " in target else ("GET", target)
    request = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(request.encode())
            first = connection.recv(65536)
            if not first.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"{target}: {first[:200]!r}")
            while connection.recv(1 << 20):
                pass
        time.sleep(max(0.0, began + 1 - time.monotonic()))


@contextmanager
def scraped(port: int, target: str, seconds: float) -> Iterator[None]:
    """Somebody else looks at the admin meanwhile; nobody where `target` is empty."""
    if not target:
        yield
        return
    helper = Helper(target=scrape, args=(port, target, seconds))
    helper.start()
    try:
        yield
    finally:
        helper.join(seconds + TIMEOUT)
        if helper.exitcode is None:
            helper.kill()
    if helper.exitcode:
        raise BenchError(f"{target} was not answered")


def share_first_place(pid: int) -> None:
    """The proxy's threads and processes that serve come before all but the client and the upstream, its others last."""
    workers = workers_of(pid)
    for process in {pid, *workers}:
        for task in Path(f"/proc/{process}/task").iterdir():
            serves = process in workers and (task / "comm").read_text().startswith(_SERVING_THREADS)
            policy, priority = (os.SCHED_RR, 1) if serves else (os.SCHED_OTHER, 0)
            os.sched_setscheduler(int(task.name), policy, os.sched_param(priority))


def measure(name: str, command: list[str], upstream: Upstream, folder: Path, options: argparse.Namespace) -> None:
    """Start one proxy and print a row for each target."""
    ports = Ports(free_port(), free_port(), upstream.http1)
    config = folder / f"{name}.json"
    config.write_text(json.dumps(bootstrap(Setup(clusters=options.clusters), ports, folder, None)))
    # Workers that are pinned to one core would wait for each other.
    cores = SUBJECT_CORES if options.concurrency == 1 else SUBJECT_CORES | LOAD_CORES
    proxy = Process(name, [*command, "-c", str(config), "-l", "warning"], cores, folder / f"{name}.log")
    try:
        proxy.wait_for_port(ports.listener)
        if options.realtime:
            share_first_place(proxy.pid)
        waits(ports.listener, 1.0)
        for target in ["", *options.targets]:
            before = proxy.usage().cpu
            with scraped(ports.admin, target, SECONDS):
                found = waits(ports.listener, SECONDS)
            cpu = (proxy.usage().cpu - before) / SECONDS
            p99 = found[len(found) * 99 // 100]
            print(f"{name:12} {target or '-':36} {found[-1]:8.1f} {p99:8.2f} {cpu:6.2f}", flush=True)
    finally:
        proxy.stop()


def main() -> None:
    """Read the command line and measure ours and the real Envoy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--only", choices=["ours", "Envoy"])
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    options = parser.parse_args()
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
    shared = ["--concurrency", str(options.concurrency)]
    subjects = {"ours": [sys.executable, "-m", "envoymesh", "proxy", *shared]}
    if oracle := os.environ.get("ENVOYMESH_ORACLE"):
        subjects["Envoy"] = [oracle, "--use-dynamic-base-id", *shared]
    # The client must not wait for the proxy's own core, nor for the scraper's.
    os.sched_setaffinity(0, LOAD_CORES)
    print(f"{'proxy':12} {'asked of the admin once a second':36} {'worst ms':>8} {'p99 ms':>8} {'cores':>6}")
    with tempfile.TemporaryDirectory(prefix="envoymesh-bench-") as folder:
        upstream = Upstream(Path(folder))
        try:
            for name, command in subjects.items():
                if options.only in (None, name):
                    measure(name, command, upstream, Path(folder), options)
        finally:
            upstream.stop()


if __name__ == "__main__":
    main()
