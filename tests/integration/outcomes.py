"""Runs the table of exchanges through a proxy and describes each outcome, with what changes from run to run masked."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.integration.exchanges import ANSWERS, CASES, Case, configuration
from tests.integration.harness import Address, PortsUsed, Proxy, Request, Step, Upstream, exchange, refused_address

EXPECTED_PATH = Path(__file__).with_name("exchanges.json")
AT_ONCE = 12

Outcome = dict[str, Any]

_MASKS = (
    (re.compile(rb"(?mi)^(date): (?!Mon, 06 Jul 2020).*GMT\r$"), rb"\1: DATE\r"),
    (re.compile(rb"(?mi)^(x-envoy-upstream-service-time): \d+\r$"), rb"\1: MS\r"),
    (re.compile(rb"(?m)^x-forwarded-port: \d{5}\r$"), b"x-forwarded-port: PORT\r"),
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), b"UUID"),
)
_LOOPBACK_SHOWN_AS = re.compile(rb"(?m)^(x-forwarded-for: (?:.*,)?|x-envoy-external-address: )(\d+\.\d+\.\d+\.\d+)$")
_GIVEN = (b"1.1.1.1", b"1.2.3.4", b"2.2.2.2", b"9.9.9.9", b"10.0.0.1", b"10.0.0.2")
_LONG = re.compile(rb"(.)\1{99,}")


def run_all(make_proxy: Callable[..., Proxy], folder: Path) -> dict[str, Outcome]:
    """The outcome of every case by name; `make_proxy` takes a configuration, a folder and flags."""
    log_path = folder / "access.log"
    with Upstream(ANSWERS) as upstream:
        config = configuration(upstream.address, refused_address(), log_path)
        with make_proxy(config, folder, "--file-flush-interval-msec", "50") as proxy:
            ports = PortsUsed()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                runs = [pool.submit(run_one, proxy, upstream, ports, index, each) for index, each in enumerate(CASES)]
            assert proxy.process.poll() is None, f"the proxy died:\n{proxy.log}"
            assert "Traceback" not in proxy.log, proxy.log
            proxy.signal(signal.SIGTERM)
            proxy.wait()
    outcomes = {case.name: run.result() for case, run in zip(CASES, runs, strict=True)}
    add_logs(outcomes, log_path.read_text(errors="replace"))
    return outcomes


def add_logs(outcomes: dict[str, Outcome], log: str) -> None:
    """Give each outcome its access log lines, found by the case's mark or the connection's ports."""
    by_mark = {str(index): each.name for index, each in enumerate(CASES)}
    by_ports = {outcome.pop("ports"): name for name, outcome in outcomes.items()}
    for line in log.splitlines():
        who, _, text = line.partition(" | ")
        mark, remote, local = who.split(" ")
        name = by_mark.get(mark) or by_ports.get((_port(remote), _port(local)))
        assert name is not None, line
        outcomes[name]["log"].append(text)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def run_one(proxy: Proxy, upstream: Upstream, ports: PortsUsed, index: int, case: Case) -> Outcome:
    """Do one case; its requests carry the number of the case, by which the upstream tells them apart."""
    mark = b"%d" % index
    address: Address = proxy.addresses[case.listener]
    received = exchange(address, [marked(step, mark) for step in case.steps], case.quiet, ports)
    return {
        "response": shown(received.data),
        "end": received.end,
        "upstream": [shown_request(request, mark) for request in upstream.requests[mark]],
        "log": [],
        "ports": (received.port, address[1]),
    }


def marked(step: Step, mark: bytes) -> Step:
    """Put x-case before each blank line that ends a request's head."""
    if not isinstance(step, bytes):
        return step
    return re.sub(rb"(?m)^(Host:[^\r\n]*\r\n)", lambda found: found[1] + b"x-case: " + mark + b"\r\n", step)


def mask(data: bytes) -> bytes:
    """Take out what differs from run to run."""
    for pattern, replacement in _MASKS:
        data = pattern.sub(replacement, data)
    return _LONG.sub(lambda found: b"%b{%d}" % (found[1], len(found[0])), data)


def shown(data: bytes) -> str:
    """Bytes as text for people and JSON."""
    return mask(data).decode("latin-1").replace("\r\n", "\n")


def shown_request(request: Request, mark: bytes) -> str:
    """What the upstream got: head and body."""
    head = mask(request.head.replace(b"\r\nx-case: " + mark, b"") + b"\r\n").replace(b"\r\n", b"\n")
    head = _LOOPBACK_SHOWN_AS.sub(_hide_machine, head)
    body = (b"[chunked] " if request.chunked else b"") + request.body
    return (head + b"\n" + body).decode("latin-1")


def _hide_machine(found: re.Match[bytes]) -> bytes:
    return found[0] if found[2] in _GIVEN or found[2].startswith(b"127.") else found[1] + b"MACHINE"
