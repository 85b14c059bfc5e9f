"""CPU of whole requests through a table of 10,000 routes, and the memory of the table: ours and the real Envoy's.

Run: .venv/bin/python -m bench.route_requests [--seconds 3] [--rounds 2]. Routes answer directly, so that no upstream
is measured with them; requests are for any host and any of its routes, with a query. The first row is a table of one
route: what a request costs anyway. It needs wrk, and ENVOYMESH_ORACLE for the real Envoy; it asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import parse_wrk
from bench.mesh_config import Ports, Setup, bootstrap
from bench.processes import LOAD_CORES, SUBJECT_CORES, Process, free_port, pinned
from bench.route_match import exact, prefix, regex, requests

Json = dict[str, Any]
Kinds = Sequence[Callable[[int], Json]]


@dataclass(frozen=True, slots=True)
class Shape:
    """So many virtual hosts with so many routes, their kinds in turn."""

    name: str
    hosts: int
    routes: int
    kinds: Kinds


SHAPES = (
    Shape("one route", 1, 0, (prefix,)),
    Shape("1,000 hosts x 10 prefixes", 1000, 10, (prefix,)),
    Shape("1,000 hosts x 10, exact and prefix in turn", 1000, 10, (exact, prefix)),
    Shape("1,000 hosts x 10 regexes", 1000, 10, (regex,)),
    Shape("1 host x 10,000 prefixes", 1, 10_000, (prefix,)),
)


def answering(match: Json) -> Json:
    """A route that answers by itself."""
    return {"match": match, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}


def table(shape: Shape) -> Json:
    """A RouteConfiguration; each host ends with a route for all, and one host takes what is left."""
    kinds = shape.kinds
    hosts = [
        {
            "name": f"host-{host}",
            "domains": [f"host-{host}.example.com"],
            "routes": [
                *(answering(kinds[i % len(kinds)](i)) for i in range(shape.routes)),
                answering({"prefix": "/"}),
            ],
        }
        for host in range(shape.hosts)
    ]
    return {"name": "r", "virtual_hosts": hosts}


def script(shape: Shape, folder: Path) -> Path:
    """A wrk script that asks for any host and any of its routes."""
    asked = [
        (each.path.decode(), (each.authority or b"").decode()) for each in requests(shape.hosts, shape.routes or 1)
    ]
    lines = ",\n".join(f"{{{json.dumps(path)}, {json.dumps(host)}}}" for path, host in asked)
    text = f"""
local asked = {{{lines}}}
local made, at = {{}}, 0
init = function()
  for i, each in ipairs(asked) do made[i] = wrk.format("GET", each[1], {{["Host"] = each[2]}}) end
end
request = function() at = at % #made + 1; return made[at] end
"""
    path = folder / "requests.lua"
    path.write_text(text)
    return path


def measure(command: Sequence[str], shape: Shape, seconds: int, folder: Path) -> tuple[float, float, str]:
    """Microseconds of CPU a request, MiB of resident memory before any request, and what our log says that runs."""
    ports = Ports(free_port(), free_port(), 9)
    made = bootstrap(Setup(), ports, folder, None)
    (listener,) = made["static_resources"]["listeners"]
    listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"] = table(shape)
    config = folder / "envoy.json"
    config.write_text(json.dumps(made))
    flags = ["-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "info"]
    process = Process("proxy", [*command, *flags], SUBJECT_CORES, folder / "proxy.log")
    try:
        process.wait_for_port(ports.listener)
        before = process.usage()
        url = f"http://127.0.0.1:{ports.listener}/"
        wrk = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(script(shape, folder)), url]
        done = subprocess.run(pinned(wrk, LOAD_CORES), check=True, capture_output=True, text=True)
        result = parse_wrk(done.stdout)
        after = process.usage()
        lines = [line for line in process.log.read_text(errors="replace").splitlines() if "data path" in line]
        return (after.cpu - before.cpu) / result.requests * 1e6, before.rss / 1024, "".join(lines)
    finally:
        process.stop()


def _median(rounds: Sequence[tuple[float, float]], place: int) -> float:
    return statistics.median(each[place] for each in rounds)


def main() -> None:
    """Print a table, medians of the rounds, which take turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    subjects = {"envoymesh": [sys.executable, "-m", "envoymesh", "proxy"]}
    if oracle := os.environ.get("ENVOYMESH_ORACLE"):
        subjects["Envoy"] = [oracle]
    said = ""
    for shape in SHAPES:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
        for _ in range(arguments.rounds):
            for name, command in subjects.items():
                with tempfile.TemporaryDirectory() as folder:
                    cpu, memory, line = measure(command, shape, arguments.seconds, Path(folder))
                found[name].append((cpu, memory))
                said = said or line
        texts = [f"{name} {_median(each, 0):.1f} us {_median(each, 1):.0f} MiB" for name, each in found.items()]
        print(f"{shape.name}: {', '.join(texts)}", flush=True)
    print(said)


if __name__ == "__main__":
    main()
