"""Health checks of the real proxy, where no case beside the real Envoy looks: workers that come and go, the start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import (
    Address,
    Proxy,
    bootstrap,
    catch_all,
    http_listener,
    static_cluster,
    to_cluster,
    wait_for,
)
from tests.integration.worker_processes import TWO, workers_of
from tests.parity.checked import Checked, answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CHECK = {
    "timeout": "1s",
    "interval": "0.1s",
    "no_traffic_interval": "0.1s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "http_health_check": {"path": "/hc"},
}
NO_PANIC = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}


def _config(host: Address, **check: Any) -> dict[str, Any]:
    cluster = static_cluster("c", host, health_checks=[{**CHECK, **check}], **NO_PANIC)
    return bootstrap([http_listener("main", catch_all(to_cluster("c")))], [cluster])


def _status(address: Address) -> int:
    with socket.create_connection(address, 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        received = b""
        while data := client.recv(4096):
            received += data
    found = re.match(rb"HTTP/1.1 (\d+)", received)
    return int(found[1]) if found else 0


def _statuses(proxy: Proxy, count: int = 12) -> set[int]:
    """Of connections that the workers share out among themselves."""
    return {_status(proxy.addresses["main"]) for _ in range(count)}


def _attempts(proxy: Proxy) -> int:
    found = re.search(r"health_check.attempt: (\d+)", proxy.admin_get("/stats?filter=health_check.attempt"))
    return int(found[1]) if found else 0


def test_a_worker_that_dies_does_not_end_the_checks_and_its_successor_knows_them(tmp_path: Path) -> None:
    with Checked() as host, Proxy.ours(_config(host.address), tmp_path, *TWO) as proxy:
        wait_for(lambda: _statuses(proxy) == {200}, "a healthy host")
        host.reply = answer(503, b"")
        wait_for(lambda: _statuses(proxy) == {503}, "both workers to know that it fails")
        before, checks = workers_of(proxy), _attempts(proxy)
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(workers_of(proxy)) == 2 and workers_of(proxy) != before, "another worker")
        wait_for(lambda: "workers_down: 0" in proxy.admin_get("/stats?filter=workers_down"), "it to serve", 30)
        assert _statuses(proxy) == {503}, "it has been told at its start"
        wait_for(lambda: _attempts(proxy) > checks + 2, "checks to go on")
        host.reply = answer()
        wait_for(lambda: _statuses(proxy) == {200}, "both workers to know that it is well")


def test_a_worker_that_hangs_does_not_end_the_checks(tmp_path: Path) -> None:
    with Checked() as host, Proxy.ours(_config(host.address), tmp_path, *TWO) as proxy:
        wait_for(lambda: _statuses(proxy) == {200}, "a healthy host")
        hanging = workers_of(proxy)[0]
        os.kill(hanging, signal.SIGSTOP)
        try:
            checks = len(host.checks)
            wait_for(lambda: len(host.checks) > checks + 5, "checks to go on")
        finally:
            os.kill(hanging, signal.SIGCONT)


def test_each_host_is_checked_once_whatever_the_number_of_workers(tmp_path: Path) -> None:
    with (
        Checked() as host,
        Proxy.ours(_config(host.address, interval="0.5s", no_traffic_interval="0.5s"), tmp_path, *TWO),
    ):
        wait_for(lambda: len(host.checks) >= 2, "checks")
        before = len(host.checks)
        time.sleep(1.6)
        assert 2 <= len(host.checks) - before <= 4
        assert host.connections == 1


@pytest.mark.parametrize("flags", [("--concurrency", "1"), TWO])
def test_nobody_is_served_before_the_first_checks(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with Checked(delay=0.4) as host, Proxy.ours(_config(host.address), tmp_path, *flags) as proxy:
        assert len(host.checks) >= 1
        assert _status(proxy.addresses["main"]) == 200


@pytest.mark.parametrize("flags", [("--concurrency", "1"), TWO])
def test_the_first_checks_do_not_hold_up_the_end(tmp_path: Path, flags: tuple[str, ...]) -> None:
    config, log = tmp_path / "config.json", tmp_path / "log"
    with Checked(b"") as host:
        config.write_text(json.dumps(_config(host.address, timeout="60s")))
        command = [sys.executable, "-m", "envoymesh", "proxy", "-c", str(config), *flags]
        with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
            wait_for(lambda: host.checks, "a check", 30)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
