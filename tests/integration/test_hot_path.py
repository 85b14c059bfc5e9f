"""The hot path's rule, counted: a request on the plain path creates no task and no future and arms no loop timer.

The whole proxy runs in this process on a loop that counts; requests come over real sockets, on a warm connection.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from envoymesh.config.load import load_bootstrap
from envoymesh.options import Options
from envoymesh.server.log import ProcessLog
from envoymesh.server.server import Server
from tests.integration.harness import (
    Peer,
    Request,
    Upstream,
    bootstrap,
    catch_all,
    http_listener,
    static_cluster,
    to_cluster,
)

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
REQUESTS = 200
# One timer serves all queues and looks again when a deadline passes; the server's own (stats flush) are among these.
TIMERS_OF_THE_SERVER = 5
HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


class Counting:
    """Mixed into a loop class: counts what the path must not do."""

    made: Counter[str]

    def create_task(self, *args: Any, **options: Any) -> Any:
        self.made["task"] += 1
        return super().create_task(*args, **options)  # type: ignore[misc]  # the loop's

    def create_future(self) -> Any:
        self.made["future"] += 1
        return super().create_future()  # type: ignore[misc]  # the loop's

    def call_later(self, *args: Any, **options: Any) -> Any:
        self.made["timer"] += 1
        return super().call_later(*args, **options)  # type: ignore[misc]  # the loop's


class CountingSelectorLoop(Counting, asyncio.SelectorEventLoop):
    pass


class CountingUvLoop(Counting, uvloop.Loop):
    pass


def say_hello(peer: Peer, request: Request) -> None:
    peer.send(ANSWER)


def plain(upstream: Upstream) -> dict[str, Any]:
    """HTTP/1 to HTTP/1."""
    return bootstrap([http_listener("front", catch_all(to_cluster("app")))], [static_cluster("app", upstream.address)])


def mirrored(upstream: Upstream) -> dict[str, Any]:
    """HTTP/1 to HTTP/1, and a copy of each request; one connection for copies, so that a late answer opens no other."""
    route = to_cluster("app", request_mirror_policies=[{"cluster": "mirror"}])
    one = {"circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
    clusters = [static_cluster("app", upstream.address), static_cluster("mirror", upstream.address, **one)]
    return bootstrap([http_listener("front", catch_all(route))], clusters)


def chain(upstream: Upstream) -> dict[str, Any]:
    """Front and sidecar in one process: HTTP/1, HTTP/2 between them, HTTP/1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        inner = probe.getsockname()
    sidecar = http_listener("sidecar", catch_all(to_cluster("app")))
    sidecar["address"]["socket_address"]["port_value"] = inner[1]
    clusters = [
        static_cluster("sidecar", inner, typed_extension_protocol_options=HTTP2),
        static_cluster("app", upstream.address),
    ]
    return bootstrap([http_listener("front", catch_all(to_cluster("sidecar"))), sidecar], clusters)


def exchange(client: socket.socket) -> None:
    client.sendall(REQUEST)
    received = b""
    while not received.endswith(b"hello"):
        received += client.recv(65536)
    assert received.startswith(b"HTTP/1.1 200")


def connect(server: Server) -> socket.socket:
    """A connection to the first listener, as soon as it accepts."""
    deadline = time.monotonic() + 10
    while True:
        address = server.listeners[0].addresses[0]
        try:
            return socket.create_connection((address.host, address.port), timeout=10)
        except OSError:
            assert time.monotonic() < deadline, "the proxy does not accept"
            time.sleep(0.005)


def drive(server: Server, loop: Any) -> Counter[str]:
    """Requests from another thread's client; what the loop made during all but the first ones."""
    with connect(server) as client:
        for _ in range(5):
            exchange(client)
        before = Counter(loop.made)
        for _ in range(REQUESTS):
            exchange(client)
        return Counter(loop.made) - before


@pytest.mark.parametrize("make_config", [plain, chain, mirrored])
@pytest.mark.parametrize("make_loop", [CountingSelectorLoop, CountingUvLoop])
def test_a_request_makes_no_task_no_future_and_no_timer(make_loop: Any, make_config: Any, tmp_path: Path) -> None:
    loop = make_loop()
    loop.made = Counter()
    with Upstream({"/": say_hello}) as upstream:
        path = tmp_path / "envoy.yaml"
        path.write_text(json.dumps(make_config(upstream)))
        made = loop.run_until_complete(_serve(loop, path, lambda server: drive(server, loop)))
    loop.close()
    assert made["task"] == 0
    assert made["future"] == 0
    assert made["timer"] <= TIMERS_OF_THE_SERVER


def say_goodbye(peer: Peer, request: Request) -> None:
    peer.send(ANSWER.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
    peer.close()


def drive_connections(server: Server) -> Counter[str]:
    """Connections with two requests each; the classes of ours that only the collector would have freed."""
    with connect(server) as client:
        exchange(client)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            with connect(server) as client:
                exchange(client)
                exchange(client)
        # The proxy has seen the last one's end when it answers the next.
        with connect(server) as client:
            exchange(client)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
        kinds = [type(each) for each in gc.garbage]
        return Counter(kind.__qualname__ for kind in kinds if kind.__module__.startswith("envoymesh"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("make_config", [plain, chain, mirrored])
@pytest.mark.parametrize("answer", [say_hello, say_goodbye])
def test_requests_and_connections_leave_nothing_to_the_collector(answer: Any, make_config: Any, tmp_path: Path) -> None:
    loop = uvloop.new_event_loop()
    with Upstream({"/": answer}) as upstream:
        path = tmp_path / "envoy.yaml"
        path.write_text(json.dumps(make_config(upstream)))
        left = loop.run_until_complete(_serve(loop, path, drive_connections))
    loop.close()
    assert left == Counter()


async def _serve(loop: Any, path: Path, drive: Callable[[Server], Counter[str]]) -> Counter[str]:
    options = Options(config_path=str(path), log_level="warning")
    server = Server(options, load_bootstrap(str(path)), ProcessLog("warning", "", options.log_format, ""), loop)
    done = asyncio.Event()
    results: list[Counter[str]] = []

    def client() -> None:
        try:
            results.append(drive(server))
        finally:
            loop.call_soon_threadsafe(done.set)

    serving = asyncio.ensure_future(server.run())
    thread = threading.Thread(target=client)
    thread.start()
    await done.wait()
    thread.join()
    server.shutdown()
    await serving
    return results[0]
