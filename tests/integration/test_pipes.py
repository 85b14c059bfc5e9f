"""Unix domain sockets with one worker and with two: listeners, hosts and the admin; files that are there already."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import (
    Proxy,
    ask_pipe,
    run_to_end,
    wait_for,
)
from tests.integration.pipes import mesh, pipe
from tests.integration.worker_processes import TWO, workers_of

WORKERS = [pytest.param((), id="one worker"), pytest.param(TWO, id="two workers")]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("flags", WORKERS)
def test_everything_at_sockets(flags: tuple[str, ...], tmp_path: Path) -> None:
    with Proxy.ours(mesh(tmp_path), tmp_path, "--file-flush-interval-msec", "20", *flags) as proxy:
        assert proxy.admin_pipe == str(tmp_path / "admin.sock")
        for _ in range(10):
            assert ask_pipe(str(tmp_path / "front.sock"), "/") == (200, "tea")
        assert (mode_of(tmp_path / "front.sock"), mode_of(tmp_path / "admin.sock")) == (0o600, 0o640)
        listeners = proxy.admin_get("/listeners").splitlines()
        assert listeners[0] == f"front::{tmp_path}/front.sock"
        assert listeners[1].startswith("back::@envoymesh-test-")
        assert proxy.stat("cluster.back.upstream_rq_200") == 10
        assert "::rq_success::10\n" in proxy.admin_get("/clusters")
        (dumped,) = json.loads(proxy.admin_get("/config_dump?mask=bootstrap.admin.address"))["configs"]
        assert dumped["bootstrap"]["admin"]["address"] == {
            "pipe": {"path": str(tmp_path / "admin.sock"), "mode": 0o640}
        }
        # Nobody can be led here by a name that resolves to the loopback.
        assert ask_pipe(proxy.admin_pipe, "/ready", host="rebound.example") == (200, "LIVE\n")
        assert ask_pipe(proxy.admin_pipe, "/reset_counters", "POST", origin="http://other.example")[0] == 403
        wait_for(lambda: '"GET /listeners HTTP/1.1" 200' in (tmp_path / "admin.log").read_text(), "the admin's log")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
    assert (tmp_path / "admin.sock").exists(), "as Envoy does, it leaves the file"


def test_a_worker_that_dies_leaves_the_socket_to_the_others(tmp_path: Path) -> None:
    with Proxy.ours(mesh(tmp_path), tmp_path, *TWO) as proxy:
        for pid in workers_of(proxy):
            os.kill(pid, signal.SIGKILL)
            assert ask_pipe(str(tmp_path / "front.sock"), "/") == (200, "tea")
            wait_for(lambda: proxy.stat("server.workers_down") == 0 and len(workers_of(proxy)) == 2, "a new worker")


@pytest.mark.parametrize("flags", WORKERS)
def test_a_socket_that_is_there_gives_way(flags: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("front", "admin"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(tmp_path / f"{name}.sock"))
    with Proxy.ours(mesh(tmp_path), tmp_path, *flags):
        assert ask_pipe(str(tmp_path / "front.sock"), "/") == (200, "tea")


@pytest.mark.parametrize("who", ["front", "admin"])
@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_text("mine")], ids=["folder", "file"])
def test_anything_else_that_is_there_stays(who: str, make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / f"{who}.sock"
    make(path)
    code, log = run_to_end(mesh(tmp_path), tmp_path)
    assert code == 1
    assert f"cannot bind '{path}': Address already in use" in log
    assert path.is_dir() or path.read_text() == "mine"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    config = mesh(tmp_path)
    config["admin"] = pipe(tmp_path / "none" / "admin.sock")
    code, log = run_to_end(config, tmp_path)
    assert code == 1
    assert f"cannot bind '{tmp_path}/none/admin.sock': No such file or directory" in log


def test_curl(tmp_path: Path, tool: Callable[[str], str]) -> None:
    with Proxy.ours(mesh(tmp_path), tmp_path):
        command = [tool("curl"), "-sS", "--unix-socket", str(tmp_path / "admin.sock"), "http://anything/ready"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "LIVE\n"
