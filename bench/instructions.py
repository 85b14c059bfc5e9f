"""User-space instructions of one proxied request, counted by callgrind: repeatable to about 0.1% on a busy machine.

The whole process is counted, loop and libraries included, from the end of a warm-up on. Both tiers of the chain are
counted apart. Where ENVOYMESH_BEFORE names another checkout of ours, that one is counted too, for a ratio.

Run: .venv/bin/python -m bench.instructions [SCENARIO...]. It needs valgrind, h2load and nginx; it asserts nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.mesh_config import Ports, Setup, bootstrap
from bench.processes import LOAD_CORES, SUBJECT_CORES, BenchError, Process, free_port, pinned
from bench.subjects import trees
from bench.upstream import Upstream

WARM_UP = 400
REQUESTS = 5000
START_LIMIT = 240
"""Seconds: the interpreter starts some fifty times slower under callgrind."""

STAMP = 'def on_request(request):\n    request.headers["x-stamp"] = "1"\n'


@dataclass(frozen=True, slots=True)
class Counted:
    """One kind of request. `http2` is the client's side, `streams` its concurrent requests on the one connection."""

    setup: Setup
    http2: bool = False
    streams: int = 1
    path: str = "/"


SCENARIOS = {
    "h1": Counted(Setup()),
    "h2": Counted(Setup(http2_downstream=True, http2_upstream=True), http2=True),
    "h2-16": Counted(Setup(http2_downstream=True, http2_upstream=True), http2=True, streams=16),
    "front": Counted(Setup(http2_upstream=True)),
    "sidecar": Counted(Setup(http2_downstream=True), http2=True),
    "python-filter": Counted(Setup(python_filter=STAMP)),
    "python-async": Counted(Setup(python_filter=STAMP.replace("def", "async def"))),
    "down-64k": Counted(Setup(), path="/body/65536"),
}


class CountedProxy:
    """Our proxy under callgrind, one worker."""

    def __init__(self, tree: Path, setup: Setup, upstream: Upstream, folder: Path) -> None:
        target = upstream.http2 if setup.http2_upstream else upstream.http1
        self.port = free_port()
        config = folder / "proxy.yaml"
        made = bootstrap(replace(setup, tls=False), Ports(self.port, free_port(), target), folder, None)
        # What is done by the clock would count once for each of its intervals, which are long here.
        made["stats_flush_interval"] = "299s"
        config.write_text(json.dumps(made))
        self._dump = folder / "callgrind.out"
        command = [
            "env", "-C", str(tree), "PYTHONHASHSEED=0",
            "valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={self._dump}",
            sys.executable, "-m", "envoymesh", "proxy", "-c", str(config), "--concurrency", "1", "-l", "warning",
        ]  # fmt: skip
        self._process = Process("counted", command, SUBJECT_CORES, folder / "proxy.log")

    def wait(self) -> None:
        """Until it listens."""
        limit = time.monotonic() + START_LIMIT
        while time.monotonic() < limit:
            try:
                self._process.wait_for_port(self.port)
                return
            except BenchError:
                self._process.started = time.monotonic()
        raise BenchError(f"the counted proxy does not listen; its last words:\n{self._process.last_words()}")

    def zero(self) -> None:
        """Count from here."""
        self._control("--zero")

    def total(self) -> int:
        """Instructions since `zero`."""
        self._control("--dump")
        newest = max(self._dump.parent.glob("callgrind.out*"), key=lambda each: each.stat().st_mtime)
        found = re.search(r"^(?:summary|totals): (\d+)", newest.read_text(), re.MULTILINE)
        if found is None:
            raise BenchError(f"{newest} has no total")
        return int(found[1])

    def _control(self, what: str) -> None:
        subprocess.run(["callgrind_control", what, str(self._process.pid)], check=True, capture_output=True, timeout=60)

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def count(tree: Path, scenario: Counted) -> float:
    """Instructions a request of one tree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream = Upstream(folder)
        proxy = CountedProxy(tree, scenario.setup, upstream, folder)
        try:
            proxy.wait()
            _load(proxy.port, scenario, WARM_UP)
            proxy.zero()
            _load(proxy.port, scenario, REQUESTS)
            return proxy.total() / REQUESTS
        finally:
            proxy.stop()
            upstream.stop()


def _load(port: int, scenario: Counted, requests: int) -> None:
    protocol = [] if scenario.http2 else ["--h1"]
    url = f"http://127.0.0.1:{port}{scenario.path}"
    command = ["h2load", *protocol, "-n", str(requests), "-c", "1", "-m", str(scenario.streams), url]
    done = subprocess.run(pinned(command, LOAD_CORES), capture_output=True, text=True, timeout=300, check=True)
    if f"{requests} succeeded" not in done.stdout:
        raise BenchError(f"not all requests were answered:\n{done.stdout}")


def main() -> None:
    """Print a line a scenario."""
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    for name in sys.argv[1:] or SCENARIOS:
        now, *before = [count(tree, SCENARIOS[name]) for tree in trees()]
        ratio = f"  before {before[0]:10,.0f}  {now / before[0] - 1:+.2%}" if before else ""
        print(f"{name:10} {now:10,.0f} instructions a request{ratio}", flush=True)


if __name__ == "__main__":
    main()
