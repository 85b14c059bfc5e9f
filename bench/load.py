"""Load generators: wrk and h2load, run for a bounded time, their answers as one shape.

It must not know who answers.
"""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import LOAD_CORES, BenchError, pinned

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
# wrk gives up on what takes longer and counts it as an error.
_WRK_TIMEOUT = 10
_GRACE = 30


@dataclass(frozen=True, slots=True)
class Load:
    """What clients do.

    Args:
        tool: "wrk" (HTTP/1) or "h2load" (HTTP/2).
        streams: concurrent requests on a connection; HTTP/2 only.
        upload: bytes of a POST body; None for GET.
        close: a new connection for each request.
    """

    tool: str = "wrk"
    connections: int = 16
    streams: int = 1
    path: str = "/"
    upload: int | None = None
    close: bool = False


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What clients saw; latencies in milliseconds, None where the tool does not tell."""

    requests: int
    errors: int
    rate: float
    p50: float | None
    p99: float | None


def run_load(load: Load, port: int, seconds: float, folder: Path, tls: bool = False) -> LoadResult:
    """Load one port for `seconds`.

    Raises:
        BenchError: the tool failed.
    """
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{load.path}"
    if load.tool == "wrk":
        return _wrk(load, url, seconds, folder)
    return _h2load(load, url, seconds, folder)


def run_paced(connections: int, rate: float, port: int, seconds: float, folder: Path) -> LoadResult:
    """HTTP/1 requests at an offered rate (a second, over all connections)."""
    url = f"http://127.0.0.1:{port}/"
    flags = ("--h1", f"--rps={rate / connections:.2f}")
    return _h2load(Load("h2load", connections), url, seconds, folder, flags)


def _run(command: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            pinned(command, LOAD_CORES),
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command)} did not end in time") from None
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed: {done.stderr or done.stdout}")
    return done.stdout


def _wrk(load: Load, url: str, seconds: float, folder: Path) -> LoadResult:
    whole = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{whole}s", f"--timeout={_WRK_TIMEOUT}s", "--latency"]
    if load.close:
        command += ["-H", "Connection: close"]
    if load.upload is not None:
        script = folder / "upload.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {load.upload})\n')
        command += ["-s", str(script)]
    return parse_wrk(_run([*command, url], whole))


def parse_wrk(text: str) -> LoadResult:
    """Read wrk's report.

    Raises:
        BenchError: it is none.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    if total is None:
        raise BenchError(f"wrk said something unexpected: {text}")
    errors = sum(int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    requests = int(total[1])
    if refused is not None:
        errors += int(refused[1])
        requests -= int(refused[1])
    elapsed = float(total[2]) * _UNITS[total[3]] / 1000
    return LoadResult(requests, errors, requests / elapsed, _wrk_percentile(text, 50), _wrk_percentile(text, 99))


def _wrk_percentile(text: str, percent: int) -> float | None:
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    return None if found is None else float(found[1]) * _UNITS[found[2]]


def _h2load(load: Load, url: str, seconds: float, folder: Path, flags: Sequence[str] = ()) -> LoadResult:
    whole = max(1, round(seconds))
    log = folder / "h2load.tsv"
    # h2load adds to a log that is there.
    log.unlink(missing_ok=True)
    command = ["h2load", f"-c{load.connections}", f"-m{load.streams}", f"-D{whole}", f"--log-file={log}", *flags]
    if load.upload is not None:
        body = folder / "upload.body"
        body.write_bytes(b"x" * load.upload)
        command.append(f"--data={body}")
    return parse_h2load(_run([*command, url], whole), log)


def parse_h2load(text: str, log: Path) -> LoadResult:
    """Read h2load's report, and latencies from its log (start in us since the epoch, status, us; one line a request).

    Raises:
        BenchError: it is none.
    """
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    rate = re.search(r"finished in [\d.]+(?:us|ms|s|m), ([\d.]+) req/s", text)
    if counts is None or rate is None:
        raise BenchError(f"h2load said something unexpected: {text}")
    latencies = [int(line.split()[2]) / 1000 for line in log.read_text().splitlines() if line.split()[1] == "200"]
    p50 = p99 = None
    if len(latencies) > 1:
        cuts = statistics.quantiles(latencies, n=100)
        p50, p99 = cuts[49], cuts[98]
    return LoadResult(int(counts[1]), int(counts[2]) + int(counts[4]), float(rate[1]), p50, p99)
