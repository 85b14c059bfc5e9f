"""What many clusters cost: `python -m bench.many_clusters [--clusters N] [--hosts N] [--only NAME] [--type TYPE]`.

N clusters of so many hosts each, once STATIC and once STRICT_DNS with a name server of our own on the loopback; ours
and, where ENVOYMESH_ORACLE names it, the real Envoy: seconds until the listener accepts, memory, CPU time of a
refresh of all names (five seconds), and how long a scrape of all stats takes. It must not judge.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process as Helper
from pathlib import Path
from typing import Any

from bench.processes import SUBJECT_CORES, Process, free_port

START_LIMIT = 120.0
"""Seconds; a busy machine takes long over so many clusters."""

REFRESH = 5.0
"""Seconds between two questions for a name, as by default."""

CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"

Json = dict[str, Any]


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(number: int, hosts: int, name_server: int) -> Json:
    """One cluster; `name_server` is its port, or 0 for a STATIC one."""
    base = f"127.{number >> 8 & 255}.{number & 255}"
    places = [f"{base}.{host + 1}" for host in range(hosts)] if not name_server else [f"c{number}.bench.test"]
    endpoints = [{"endpoint": {"address": _address(place, 80)}} for place in places]
    made: Json = {
        "name": f"c{number}",
        "load_assignment": {"cluster_name": f"c{number}", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if name_server:
        resolver = {"@type": CARES, "resolvers": [_address("127.0.0.1", name_server)]}
        made |= {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"}
        made["typed_dns_resolver_config"] = {"name": "cares", "typed_config": resolver}
    return made


def configuration(clusters: int, hosts: int, listener: int, admin: int, name_server: int) -> Json:
    """A bootstrap with a listener that routes to all of them."""
    routes = [{"match": {"prefix": f"/c{number}/"}, "route": {"cluster": f"c{number}"}} for number in range(clusters)]
    manager = {
        "@type": HCM,
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    return {
        "admin": {"address": _address("127.0.0.1", admin)},
        "static_resources": {
            "listeners": [{"name": "l", "address": _address("127.0.0.1", listener), "filter_chains": [chain]}],
            "clusters": [_cluster(number, hosts, name_server) for number in range(clusters)],
        },
    }


def serve_names(port: int, hosts: int) -> None:
    """A name server (RFC 1035) in which every name has so many addresses, the same each time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        server.bind(("127.0.0.1", port))
        while True:
            data, client = server.recvfrom(512)
            end = data.index(0, 12) + 5
            name = sum(data[12:end])
            records = b"".join(
                b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes((127, name >> 8 & 255, name & 255, host + 1))
                for host in range(hosts)
            )
            server.sendto(
                data[:2] + b"\x81\x80\x00\x01" + struct.pack(">HHH", hosts, 0, 0) + data[12:end] + records, client
            )


@contextmanager
def name_server(port: int, hosts: int) -> Iterator[None]:
    """It runs meanwhile."""
    helper = Helper(target=serve_names, args=(port, hosts), daemon=True)
    helper.start()
    try:
        yield
    finally:
        helper.kill()
        helper.join()


def scrape(port: int) -> tuple[float, int]:
    """Ask for all stats as Prometheus does; gives milliseconds and bytes."""
    began = time.perf_counter()
    size = 0
    with socket.create_connection(("127.0.0.1", port), 60.0) as connection:
        connection.sendall(b"GET /stats/prometheus HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        while data := connection.recv(1 << 20):
            size += len(data)
    return (time.perf_counter() - began) * 1000, size


def measure(name: str, command: list[str], kind: str, options: argparse.Namespace, folder: Path) -> None:
    """Start one proxy and print its row."""
    listener, admin = free_port(), free_port()
    names = free_port() if kind == "STRICT_DNS" else 0
    config = folder / f"{name}-{kind}.json"
    config.write_text(json.dumps(configuration(options.clusters, options.hosts, listener, admin, names)))
    with name_server(names or free_port(), options.hosts):
        flags = ["-c", str(config), "-l", "error"]
        proxy = Process(name, [*command, *flags], SUBJECT_CORES, folder / f"{name}.log")
        try:
            started = proxy.wait_for_port(listener, START_LIMIT)
            time.sleep(REFRESH + 1)
            before, memory = proxy.usage().cpu, proxy.usage().rss / 1024
            time.sleep(2 * REFRESH)
            refresh = (proxy.usage().cpu - before) / 2
            milliseconds, size = scrape(admin)
            print(
                f"{name:8} {kind:11} {started:8.2f} {memory:9.1f} {refresh:11.3f} {milliseconds:10.0f} {size >> 10:7d} "
                f"{proxy.usage().peak_rss / 1024:8.1f}",
                flush=True,
            )
        finally:
            proxy.stop()


def main() -> None:
    """Read the command line and measure ours and the real Envoy, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--only", choices=["ours", "Envoy"])
    parser.add_argument("--type", choices=["STATIC", "STRICT_DNS"])
    options = parser.parse_args()
    one = ["--concurrency", "1"]
    subjects = {"ours": [sys.executable, "-m", "envoymesh", "proxy", *one]}
    if oracle := os.environ.get("ENVOYMESH_ORACLE"):
        subjects["Envoy"] = [oracle, "--use-dynamic-base-id", *one]
    print("proxy    clusters    start s    MiB    refresh CPU s  scrape ms     KiB  peak MiB")
    with tempfile.TemporaryDirectory(prefix="envoymesh-bench-") as folder:
        for kind in ("STATIC", "STRICT_DNS"):
            for name, command in subjects.items():
                if options.only in (None, name) and options.type in (None, kind):
                    measure(name, command, kind, options, Path(folder))


if __name__ == "__main__":
    main()
