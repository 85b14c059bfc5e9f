"""A proxy's life: starting, refusing to start, validating, draining, stopping, reopening logs."""

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import (
    Peer,
    Proxy,
    Request,
    Until,
    Upstream,
    bootstrap,
    catch_all,
    exchange,
    hcm_filter,
    http_listener,
    refused_address,
    run_to_end,
    socket_address,
    static_cluster,
    to_cluster,
    wait_for,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TEA = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}


def direct(**more: Any) -> dict[str, Any]:
    return bootstrap([http_listener("main", catch_all(TEA))], [], **more)


class Gate:
    """An upstream's answer that waits until the test opens it."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.open = threading.Event()

    def __call__(self, peer: Peer, request: Request) -> None:
        self.arrived.set()
        assert self.open.wait(10)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")


def proxied(upstream: Upstream) -> dict[str, Any]:
    return bootstrap([http_listener("main", catch_all(to_cluster("up")))], [static_cluster("up", upstream.address)])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(number: signal.Signals, tmp_path: Path) -> None:
    gate = Gate()
    with Upstream({"/": gate}) as upstream, Proxy.ours(proxied(upstream), tmp_path) as proxy:
        address = proxy.addresses["main"]
        with socket.create_connection(address, 10) as idle, socket.create_connection(address, 10) as busy:
            busy.sendall(GET)
            assert gate.arrived.wait(10)
            proxy.signal(number)
            assert idle.recv(1) == b"", "an idle connection is closed"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, 1).close()
            gate.open.set()
            answer = b""
            while data := busy.recv(4096):
                answer += data
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"done")
        assert b"\r\nconnection: close\r\n" in answer
        assert proxy.wait() == 0
        assert "Traceback" not in proxy.log


def test_a_kept_alive_connection_is_closed_by_draining(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path) as proxy:
        with socket.create_connection(proxy.addresses["main"], 10) as client:
            client.sendall(GET)
            assert client.recv(4096).endswith(b"tea")
            proxy.signal(signal.SIGTERM)
            assert client.recv(1) == b""
        assert proxy.wait() == 0


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    gate = Gate()
    with Upstream({"/": gate}) as upstream, Proxy.ours(proxied(upstream), tmp_path) as proxy:
        with socket.create_connection(proxy.addresses["main"], 10) as busy:
            busy.sendall(GET)
            assert gate.arrived.wait(10)
            proxy.signal(signal.SIGTERM)
            wait_for(lambda: "draining" in proxy.log, "the first signal is noted")
            assert proxy.process.poll() is None
            proxy.signal(signal.SIGTERM)
            assert proxy.wait(5) == 0
            assert "second signal" in proxy.log
        gate.open.set()


def test_the_drain_time_is_the_limit(tmp_path: Path) -> None:
    gate = Gate()
    flags = ("--drain-time-s", "1")
    with Upstream({"/": gate}) as upstream, Proxy.ours(proxied(upstream), tmp_path, *flags) as proxy:
        with socket.create_connection(proxy.addresses["main"], 10) as busy:
            busy.sendall(GET)
            assert gate.arrived.wait(10)
            proxy.signal(signal.SIGTERM)
            assert proxy.wait(30) == 0, "the default is ten minutes"
            assert busy.recv(100) == b"", "it had no answer"
        gate.open.set()


def test_quitquitquit(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path) as proxy:
        received = exchange(proxy.admin, [b"POST /quitquitquit HTTP/1.1\r\nHost: localhost\r\n\r\n", Until(b"OK\n")])
        assert received.data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert proxy.wait() == 0


def access_log(path: Path) -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    return {"name": "envoy.access_loggers.file", "typed_config": {"@type": kind, "path": str(path)}}


def test_sigusr1_reopens_logs(tmp_path: Path) -> None:
    access, process = tmp_path / "access.log", tmp_path / "process.log"
    config = bootstrap([http_listener("main", catch_all(TEA), access_log=[access_log(access)])], [])
    flags = ("--log-path", str(process), "--file-flush-interval-msec", "50")
    with Proxy.ours(config, tmp_path / "run", *flags) as proxy:
        exchange(proxy.addresses["main"], [GET, Until(b"tea")], 0.01)
        wait_for(lambda: access.read_text().count("\n") == 1, "the first line is written")
        access.rename(tmp_path / "access.1")
        process.rename(tmp_path / "process.1")
        proxy.signal(signal.SIGUSR1)
        wait_for(access.exists, "the access log is made anew")
        wait_for(process.exists, "the process log is made anew")
        exchange(proxy.addresses["main"], [GET, Until(b"tea")], 0.01)
        wait_for(lambda: access.read_text().count("\n") == 1, "the second line is in the new file")
        assert (tmp_path / "access.1").read_text().count("\n") == 1
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert "exiting" in process.read_text()


def test_the_default_access_log_line(tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    config = bootstrap([http_listener("main", catch_all(TEA), access_log=[access_log(access)])], [])
    with Proxy.ours(config, tmp_path / "run") as proxy:
        exchange(
            proxy.addresses["main"], [b"GET /x HTTP/1.1\r\nHost: a.com\r\nUser-Agent: c\r\n\r\n", Until(b"tea")], 0.01
        )
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
    line = access.read_text()
    assert line.startswith("[20")
    assert line.count("\n") == 1
    assert '] "GET /x HTTP/1.1" 200 - 0 3 0 - "-" "c" "' in line
    assert line.endswith('" "a.com" "-"\n')


def test_sighup_is_ignored(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path) as proxy:
        proxy.signal(signal.SIGHUP)
        assert exchange(proxy.addresses["main"], [GET, Until(b"tea")], 0.01).end == "open"


def one_line(log: str) -> str:
    lines = [line for line in log.splitlines() if "[critical]" in line or line.startswith("error")]
    assert len(lines) == 1, log
    assert "Traceback" not in log
    return lines[0]


@pytest.mark.parametrize("who", ["listener", "admin"])
def test_a_busy_port_is_one_line(who: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        config = direct()
        busy = config["admin"] if who == "admin" else config["static_resources"]["listeners"][0]
        busy["address"] = socket_address(address)
        code, log = run_to_end(config, tmp_path)
    assert code == 1
    assert f"127.0.0.1:{address[1]}" in one_line(log)
    assert "in use" in one_line(log)


def validate(path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "envoymesh", "proxy", "--mode", "validate", "-c", str(path), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def broken(**changes: Any) -> dict[str, Any]:
    config = direct()
    config["static_resources"].update(changes)
    return config


def with_filters(*filters: dict[str, Any]) -> dict[str, Any]:
    listener = http_listener("main", catch_all(TEA))
    manager = hcm_filter(catch_all(TEA))
    manager["typed_config"]["http_filters"] = list(filters)
    listener["filter_chains"][0]["filters"] = [manager]
    return broken(listeners=[listener])


def twice() -> dict[str, Any]:
    address = socket_address(refused_address())
    first, second = http_listener("one", catch_all(TEA)), http_listener("two", catch_all(TEA))
    return broken(listeners=[{**first, "address": address}, {**second, "address": address}])


MANAGER = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config"
BUFFER = {
    "name": "envoy.filters.http.buffer",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
        "max_request_bytes": 9,
    },
}
BROKEN: dict[str, tuple[Any, tuple[str, ...]]] = {
    "unsupported field": (
        lambda: broken(clusters=[{**static_cluster("up"), "track_cluster_stats": {}}]),
        ("static_resources.clusters[0].track_cluster_stats", "not supported"),
    ),
    "unsupported field of the manager": (
        lambda: broken(listeners=[http_listener("main", catch_all(TEA), tracing={})]),
        (f"{MANAGER}.tracing", "not supported"),
    ),
    "unknown field": (lambda: broken(clusters=[{**static_cluster("up"), "nonsense": 1}]), ("clusters[0]", "nonsense")),
    "unknown cluster": (
        lambda: broken(listeners=[http_listener("main", catch_all(to_cluster("nowhere")))]),
        (f"{MANAGER}.route_config.virtual_hosts[0].routes[0].route.cluster", "unknown cluster 'nowhere'"),
    ),
    "duplicate address": (twice, ("static_resources.listeners[1]", "duplicate address", "existing listener 'one'")),
    "duplicate cluster": (
        lambda: broken(clusters=[static_cluster("up"), static_cluster("up")]),
        ("static_resources.clusters[1].name", "duplicate cluster 'up'"),
    ),
    "no filter": (with_filters, (f"{MANAGER}.http_filters", "missing terminal filter")),
    "unsupported filter": (lambda: with_filters(BUFFER), ("http_filters[0]", "envoy.filters.http.buffer")),
    "domain twice": (
        lambda: broken(
            listeners=[
                http_listener("m", {"virtual_hosts": [{"name": n, "domains": ["*"], "routes": [TEA]} for n in "ab"]})
            ]
        ),
        ("route_config", "Only a single wildcard domain"),
    ),
    "bad regex": (
        lambda: broken(listeners=[http_listener("m", catch_all({**TEA, "match": {"safe_regex": {"regex": "a("}}}))]),
        ("routes[0].match.safe_regex", "missing )"),
    ),
    "unknown format command": (
        lambda: broken(listeners=[http_listener("m", catch_all(TEA), access_log=[odd_log()])]),
        ("access_log[0]", "NONSENSE"),
    ),
}


def odd_log() -> dict[str, Any]:
    kind = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    return {
        "name": "s",
        "typed_config": {"@type": kind, "log_format": {"text_format_source": {"inline_string": "%NONSENSE%"}}},
    }


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_refused_by_path(name: str, tmp_path: Path) -> None:
    make, expected = BROKEN[name]
    path = tmp_path / "envoy.yaml"
    path.write_text(json.dumps(make()))
    done = validate(path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error initializing configuration '{path}': ")
    assert str(path) in done.stderr
    for part in expected:
        assert part in done.stderr, done.stderr
    code, log = run_to_end(make(), tmp_path / "serve")
    assert code == 1
    for part in expected:
        if not part.startswith("existing"):
            assert part in one_line(log)


def test_a_right_configuration_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text(json.dumps(direct()))
    done = validate(path)
    assert (done.returncode, done.stdout) == (0, f"configuration '{path}' OK\n")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    done = validate(tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "none.yaml" in done.stderr
    assert "Traceback" not in done.stderr
