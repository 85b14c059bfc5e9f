"""Tunnels through real processes, with peers that others wrote: a WebSocket through both tiers, curl's proxy tunnel."""

from __future__ import annotations

import http.server
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

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

FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
FORMAT = "%PROTOCOL% %REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%\n"
MUCH = 8 << 20
SMALL = 65536
MOST_KIB = 6 << 10
"""How much more memory may be in use while a client rests: a tunnel's buffers, in blocks of the system's."""


def _log(path: Path) -> list[dict[str, Any]]:
    text = {"text_format_source": {"inline_string": FORMAT}}
    return [{"name": "log", "typed_config": {"@type": FILE_LOG, "path": str(path), "log_format": text}}]


def _tier(cluster: dict[str, Any], log: Path, **options: Any) -> dict[str, Any]:
    """A proxy that takes WebSockets, by HTTP/1 and by HTTP/2."""
    listener = http_listener(
        "main",
        catch_all(to_cluster("up")),
        access_log=_log(log),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        http2_protocol_options={"allow_connect": True},
        **options,
    )
    return bootstrap([{**listener, "per_connection_buffer_limit_bytes": SMALL}], [cluster])


def _over_http2(address: Address) -> dict[str, Any]:
    windows = {"initial_stream_window_size": 4 * SMALL, "initial_connection_window_size": 16 * SMALL}
    explicit = {"http2_protocol_options": {"allow_connect": True, **windows}}
    options = {OPTIONS: {"@type": f"type.googleapis.com/{OPTIONS}", "explicit_http_config": explicit}}
    return static_cluster("up", address, typed_extension_protocol_options=options)


class Mesh:
    """A front, by HTTP/2 to a sidecar, by HTTP/1 to an app that echoes WebSocket messages; `pour` sends MUCH."""

    def __init__(self, folder: Path, stack: ExitStack, *flags: str) -> None:
        self.logs = [folder / "front.log", folder / "sidecar.log"]
        server = stack.enter_context(serve(self._answer, "127.0.0.1", 0, max_size=None, compression=None))
        threading.Thread(target=server.serve_forever).start()
        stack.callback(server.shutdown)
        address = server.socket.getsockname()
        config = _tier(static_cluster("up", address), self.logs[1])
        flags = ("--file-flush-interval-msec", "20", *flags)
        self.sidecar = stack.enter_context(Proxy.ours(config, folder / "sidecar", *flags))
        config = _tier(_over_http2(self.sidecar.addresses["main"]), self.logs[0])
        self.front = stack.enter_context(Proxy.ours(config, folder / "front", *flags))

    def _answer(self, websocket: ServerConnection) -> None:
        try:
            for message in websocket:
                websocket.send(bytes(MUCH) if message == "pour" else message)
        except ConnectionClosed:
            pass  # the proxy went away: what tests look at

    def connect(self) -> ClientConnection:
        host, port = self.front.addresses["main"]
        return connect(f"ws://{host}:{port}/chat", max_size=None, compression=None)

    def lines(self, count: int) -> list[str]:
        """Both logs' lines, once each has so many."""
        wait_for(lambda: all(log.read_text().count("\n") >= count for log in self.logs), "the access logs")
        return [line for log in self.logs for line in log.read_text().splitlines()]


@contextmanager
def mesh(folder: Path, *flags: str) -> Iterator[Mesh]:
    with ExitStack() as stack:
        yield Mesh(folder, stack, *flags)


@pytest.mark.timeout(180)  # six processes from source, on a machine that may be busy
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_websocket_through_both_tiers(tmp_path: Path, workers: str) -> None:
    with mesh(tmp_path, "--concurrency", workers) as made:
        with made.connect() as websocket:
            websocket.send("hello")
            assert websocket.recv(10) == "hello"
            websocket.send(bytes(1 << 20))
            assert websocket.recv(10) == bytes(1 << 20)
            assert websocket.ping().wait(10)
        assert websocket.close_code == 1000
        front, sidecar = made.lines(1)
        assert front.startswith("HTTP/1.1 GET 101 ")
        assert sidecar.startswith("HTTP/2 GET 101 ")
        for line in (front, sidecar):
            received, sent = line.split()[-2:]
            assert 1 << 20 < int(sent) < int(received) < (1 << 20) + 100  # a client's frames have a mask
        for proxy in (made.front, made.sidecar):
            assert proxy.stat("http.test.downstream_cx_upgrades_total") == 1
            assert proxy.stat("http.test.downstream_cx_upgrades_active") == 0


def test_leaving_waits_for_a_websocket(tmp_path: Path) -> None:
    with mesh(tmp_path, "--drain-time-s", "20") as made, made.connect() as websocket:
        for proxy in (made.front, made.sidecar):
            proxy.signal(signal.SIGTERM)
            wait_for(lambda: "draining" in proxy.log, "the signal is heard")  # noqa: B023 called at once
        websocket.send("hello")
        assert websocket.recv(10) == "hello"
        websocket.close()
        assert [proxy.wait(15) for proxy in (made.front, made.sidecar)] == [0, 0]


def test_leaving_ends_a_websocket_when_its_time_is_over(tmp_path: Path) -> None:
    with mesh(tmp_path, "--drain-time-s", "1") as made, made.connect() as websocket:
        made.front.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            websocket.recv(10)
        assert made.front.wait(15) == 0


POUR = b"\x81\x84\0\0\0\0pour"
"""A frame (RFC 6455 section 5.2): the text of four bytes, with a mask of zeros."""


@pytest.mark.slow
def test_a_client_that_rests_is_waited_for(tmp_path: Path) -> None:
    with mesh(tmp_path) as made, socket.create_connection(made.front.addresses["main"], timeout=20) as client:
        fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        client.sendall(f"GET /chat HTTP/1.1\r\nHost: a\r\n{fields}{key}\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
        before = [proxy.resident_kib for proxy in (made.front, made.sidecar)]
        client.sendall(POUR * 4)
        paused = "cluster.up.upstream_flow_control_paused_reading_total"
        wait_for(lambda: made.front.stat(paused) and made.sidecar.stat(paused), "neither tier reads on")
        after = [proxy.resident_kib for proxy in (made.front, made.sidecar)]
        assert all(now - then < MOST_KIB for now, then in zip(after, before, strict=True)), (before, after)
        left = 4 * MUCH
        while left > 0:
            left -= len(client.recv(262144))


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def hello() -> Iterator[Address]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        threading.Thread(target=server.serve_forever).start()
        yield ("127.0.0.1", server.server_address[1])
        server.shutdown()


def test_curl_s_proxy_tunnel(tool: Callable[[str], str], tmp_path: Path, hello: Address) -> None:
    taken = {"upgrade_type": "CONNECT", "connect_config": {}}
    routes = catch_all({"match": {"connect_matcher": {}}, "route": {"cluster": "up", "upgrade_configs": [taken]}})
    log = tmp_path / "access.log"
    config = bootstrap([http_listener("main", routes, access_log=_log(log))], [static_cluster("up", hello)])
    with Proxy.ours(config, tmp_path, "--file-flush-interval-msec", "20") as proxy:
        host, port = proxy.addresses["main"]
        command = [
            tool("curl"),
            "-sS",
            "--proxytunnel",
            "-x",
            f"http://{host}:{port}",
            f"http://{hello[0]}:{hello[1]}/",
        ]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr
        wait_for(lambda: log.exists() and log.read_text().count("\n") == 1, "the access log")
        assert log.read_text().startswith("HTTP/1.1 CONNECT 200 ")
        assert proxy.stat("cluster.up.upstream_cx_total") == 1


def test_a_tunnel_to_an_ipv6_address(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        taken = {"upgrade_type": "CONNECT", "connect_config": {}}
        routes = catch_all({"match": {"connect_matcher": {}}, "route": {"cluster": "up", "upgrade_configs": [taken]}})
        cluster = static_cluster("up", ("::1", listener.getsockname()[1]))
        with Proxy.ours(bootstrap([http_listener("main", routes)], [cluster]), tmp_path) as proxy:
            client = socket.create_connection(proxy.addresses["main"], timeout=10)
            client.sendall(b"CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n\r\nhello")
            accepted, _ = listener.accept()
            with client, accepted:
                accepted.settimeout(10)
                assert accepted.recv(100) == b"hello"
                accepted.sendall(b"bye")
                received = b""
                while not received.endswith(b"bye"):
                    received += client.recv(100)
                assert received.startswith(b"HTTP/1.1 200 OK\r\n")
