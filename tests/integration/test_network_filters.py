"""Listeners of bytes in the real process: several workers, leaving, much data and slow readers, the admin."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import Proxy, bootstrap, socket_address, static_cluster, wait_for

EXTENSION = "type.googleapis.com/envoy.extensions.filters.network."
ECHO = {"name": "echo", "typed_config": {"@type": EXTENSION + "echo.v3.Echo"}}
TCP = {
    "name": "tcp",
    "typed_config": {"@type": EXTENSION + "tcp_proxy.v3.TcpProxy", "stat_prefix": "test", "cluster": "up"},
}
MUCH = 48 << 20
SMALL = 65536
MOST_KIB = 12 << 10
"""How much more memory may be in use while a reader rests: one connection's buffers, in blocks of the system's."""


class Server:
    """An echo; or, `pours`, one that sends MUCH and takes nothing."""

    def __init__(self, pours: bool = False) -> None:
        self._pours = pours
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.go_on = threading.Event()
        self.received = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            if self._pours:
                connection.sendall(bytes(MUCH))
                connection.shutdown(socket.SHUT_WR)
                self.go_on.wait(20)
            while data := connection.recv(262144):
                self.received += len(data)
                if not self._pours:
                    connection.sendall(data)

    def close(self) -> None:
        self._listener.close()
        self.go_on.set()


@contextmanager
def running(folder: Path, server: Server, *flags: str, **cluster: Any) -> Iterator[Proxy]:
    listeners = [
        {
            "name": name, "address": socket_address(("127.0.0.1", 0)), "filter_chains": [{"filters": [each]}],
            "per_connection_buffer_limit_bytes": SMALL,
        }
        for name, each in (("echo", ECHO), ("tcp", TCP))
    ]  # fmt: skip
    config = bootstrap(listeners, [static_cluster("up", server.address, **cluster)])
    try:
        with Proxy.ours(config, folder, *flags) as proxy:
            yield proxy
    finally:
        server.close()


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return client.recv(100)


def test_several_workers(tmp_path: Path) -> None:
    with running(tmp_path, Server(), "--concurrency", "2") as proxy:
        for name in ("tcp", "echo"):
            clients = [socket.create_connection(proxy.addresses[name], timeout=10) for _ in range(20)]
            assert [ask(each, b"hello") for each in clients] == [b"hello"] * 20
            for each in clients:
                each.close()
        wait_for(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0, "connections end")
        assert proxy.stat("tcp.test.downstream_cx_total") == 20
        assert proxy.stat("tcp.test.downstream_cx_rx_bytes_total") == 100
        assert proxy.stat("cluster.up.upstream_cx_total") == 20


def test_leaving_waits_for_connections_and_for_no_more(tmp_path: Path) -> None:
    with running(tmp_path, Server(), "--drain-time-s", "20") as proxy:
        clients = [socket.create_connection(proxy.addresses[name], timeout=10) for name in ("tcp", "echo")]
        assert [ask(each, b"before") for each in clients] == [b"before"] * 2
        proxy.signal(signal.SIGTERM)
        wait_for(lambda: "draining" in proxy.log, "the signal is heard")
        assert [ask(each, b"after") for each in clients] == [b"after"] * 2
        for each in clients:
            each.close()
        assert proxy.wait(10) == 0


def test_leaving_ends_connections_when_its_time_is_over(tmp_path: Path) -> None:
    with running(tmp_path, Server(), "--drain-time-s", "1") as proxy:
        client = socket.create_connection(proxy.addresses["tcp"], timeout=10)
        assert ask(client, b"before") == b"before"
        proxy.signal(signal.SIGTERM)
        assert client.recv(100) == b""
        assert proxy.wait(10) == 0
        client.close()


@pytest.mark.slow
def test_a_client_that_rests_is_waited_for(tmp_path: Path) -> None:
    server = Server(pours=True)
    with running(tmp_path, server, per_connection_buffer_limit_bytes=SMALL) as proxy:
        before = proxy.resident_kib
        client = socket.create_connection(proxy.addresses["tcp"], timeout=10)
        paused = "cluster.up.upstream_flow_control_paused_reading_total"
        wait_for(lambda: proxy.stat(paused) > 0, "the server is not read")
        assert proxy.resident_kib - before < MOST_KIB
        received = 0
        while data := client.recv(262144):
            received += len(data)
        assert received == MUCH
        assert proxy.resident_kib - before < MOST_KIB
        client.close()


@pytest.mark.slow
def test_a_server_that_rests_is_waited_for(tmp_path: Path) -> None:
    server = Server(pours=True)
    with running(tmp_path, server, per_connection_buffer_limit_bytes=SMALL) as proxy:
        before = proxy.resident_kib
        client = socket.create_connection(proxy.addresses["tcp"], timeout=20)
        sender = threading.Thread(target=client.sendall, args=(bytes(MUCH),))
        reader = threading.Thread(target=_read_all, args=(client,))
        reader.start()
        sender.start()
        paused = "tcp.test.downstream_flow_control_paused_reading_total"
        wait_for(lambda: proxy.stat(paused) > 0, "the client is not read")
        assert proxy.resident_kib - before < MOST_KIB
        server.go_on.set()
        sender.join(20)
        wait_for(lambda: server.received == MUCH, "all has come")
        client.close()
        reader.join(10)


def _read_all(client: socket.socket) -> None:
    try:
        while client.recv(262144):
            pass
    except OSError:
        pass  # closed here


def test_what_the_admin_shows(tmp_path: Path) -> None:
    with running(tmp_path, Server()) as proxy:
        host, port = proxy.addresses["tcp"]
        assert f"tcp::{host}:{port}" in proxy.admin_get("/listeners").splitlines()
        dump = json.loads(proxy.admin_get("/config_dump"))["configs"]
        (listeners,) = [each for each in dump if each["@type"].endswith("ListenersConfigDump")]
        names = [each["listener"]["name"] for each in listeners["static_listeners"]]
        assert names == ["echo", "tcp"]
        assert "static_route_configs" not in json.dumps(dump)
        extensions = json.loads(proxy.admin_get("/server_info"))["node"]["extensions"]
        assert "envoy.filters.network.tcp_proxy" in [each["name"] for each in extensions]
