"""Much of everything: bodies larger than any buffer, many requests, many connections; memory and descriptors stay."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.integration.harness import (
    Address,
    Peer,
    Proxy,
    Request,
    Upstream,
    bootstrap,
    catch_all,
    http_listener,
    static_cluster,
    to_cluster,
    wait_for,
)

MIB = 1 << 20
BODY = 200 * MIB
PIECE = b"x" * (256 * 1024)
GROWTH_KIB = 8 * 1024
HTTP2_WINDOW_KIB = 16 * 1024  # of a stream, by default (initial_stream_window_size): what a peer may send unasked
GET = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"


def download(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY)
    for _ in range(BODY // len(PIECE)):
        peer.send(PIECE)


def small(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")


class SlowReader:
    """An upstream that takes a request's body slowly at first, and counts it."""

    def __init__(self) -> None:
        self.taken = 0
        self.proceed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> SlowReader:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.proceed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # nobody came
        with connection:
            buffer = b""
            while b"\r\n\r\n" not in buffer:
                buffer += connection.recv(65536)
            self.taken = len(buffer.partition(b"\r\n\r\n")[2])
            self.proceed.wait(20)
            while self.taken < BODY and (data := connection.recv(MIB)):
                self.taken += len(data)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream({"/": small, "/download": download}) as made:
        yield made


@pytest.fixture
def slow() -> Iterator[SlowReader]:
    with SlowReader() as made:
        yield made


HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


@pytest.fixture(params=["http1", "http2"])
def proxy(request: pytest.FixtureRequest, upstream: Upstream, slow: SlowReader, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy to the upstreams; with http2 in two tiers, that speak HTTP/2 between them."""
    routes = catch_all(to_cluster("slow", "/upload", timeout="0s"), to_cluster("up", timeout="0s"))
    clusters = [static_cluster("up", upstream.address), static_cluster("slow", slow.address)]
    config = bootstrap([http_listener("main", routes)], clusters)
    with ExitStack() as stack:
        back = stack.enter_context(Proxy.ours(config, tmp_path / "back"))
        if request.param == "http1":
            front = back
        else:
            tier = static_cluster("up", back.addresses["main"], typed_extension_protocol_options=HTTP2)
            config = bootstrap([http_listener("main", catch_all(to_cluster("up", timeout="0s")))], [tier])
            front = stack.enter_context(Proxy.ours(config, tmp_path / "front"))
        fetch(front.addresses["main"], 50)  # what the first requests allocate is not what is measured
        yield front


@pytest.fixture
def limit(request: pytest.FixtureRequest) -> int:
    """KiB that the proxy may grow by while nobody reads."""
    return GROWTH_KIB + (HTTP2_WINDOW_KIB if "http2" in request.node.name else 0)


def fetch(address: Address, count: int) -> None:
    """So many requests on one connection."""
    with socket.create_connection(address, 10) as client:
        for _ in range(count):
            client.sendall(GET)
            read_answer(client)


def read_answer(client: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\nhi"):
        more = client.recv(65536)
        assert more, data
        data += more
    return data


def settle(seconds: float = 0.3) -> None:
    """Give the proxy the time to take in whatever it would, were nothing to hold it back."""
    time.sleep(seconds)


@pytest.mark.slow
def test_a_large_response_to_a_slow_reader(proxy: Proxy, limit: int) -> None:
    before = proxy.resident_kib
    with socket.create_connection(proxy.addresses["main"], 10) as client:
        client.sendall(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
        settle()
        held = proxy.resident_kib
        received, most = -head_of(client), held
        while received < BODY:
            data = client.recv(MIB)
            assert data
            received += len(data)
            if received % (16 * MIB) < len(data):
                most = max(most, proxy.resident_kib)
    assert received == BODY
    assert held - before < limit
    assert most - before < limit


def head_of(client: socket.socket) -> int:
    """Take the response's head; minus the body bytes that came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(4096)
    return -len(data.partition(b"\r\n\r\n")[2])


@pytest.mark.slow
def test_a_large_request_to_a_slow_upstream(proxy: Proxy, slow: SlowReader, limit: int) -> None:
    before = proxy.resident_kib
    most = before
    with socket.create_connection(proxy.addresses["main"], 10) as client:
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\ncontent-length: %d\r\n\r\n" % BODY)
        client.settimeout(0.3)
        sent = 0
        with suppress(TimeoutError):
            while sent < BODY:
                sent += client.send(PIECE)
        assert sent < 32 * MIB, "nobody reads: sending must come to a stop"
        assert proxy.resident_kib - before < limit
        slow.proceed.set()
        client.settimeout(20)
        while sent < BODY:
            sent += client.send(PIECE[: BODY - sent])
            if sent % (16 * MIB) < len(PIECE):
                most = max(most, proxy.resident_kib)
        answer = b""
        while not answer.endswith(b"done"):
            data = client.recv(4096)
            assert data, answer
            answer += data
    assert slow.taken == BODY
    assert most - before < limit


@pytest.mark.slow
def test_many_requests_and_connections_leave_nothing(proxy: Proxy) -> None:
    address = proxy.addresses["main"]
    fetch(address, 500)
    wait_for(lambda: proxy.stat("http.test.downstream_cx_active") == 0, "connections are closed")
    descriptors, before = proxy.descriptors, proxy.resident_kib
    total = proxy.stat("cluster.up.upstream_rq_200")
    fetch(address, 4000)
    for _ in range(1000):
        fetch(address, 1)
    wait_for(lambda: proxy.stat("http.test.downstream_cx_active") == 0, "connections are closed")
    wait_for(lambda: proxy.descriptors <= descriptors, f"{proxy.descriptors} descriptors, {descriptors} before")
    assert proxy.stat("cluster.up.upstream_rq_200") - total == 5000
    assert proxy.stat("http.test.downstream_rq_active") == 0
    assert proxy.stat("cluster.up.upstream_rq_active") == 0
    assert proxy.resident_kib - before < 2048


@pytest.mark.slow
def test_clients_that_go_away_leave_nothing(proxy: Proxy) -> None:
    address = proxy.addresses["main"]
    before = proxy.descriptors
    for _ in range(20):
        with socket.create_connection(address, 10) as client:
            client.sendall(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(1)
    wait_for(lambda: proxy.stat("http.test.downstream_cx_active") == 0, "connections are closed")
    wait_for(lambda: proxy.stat("cluster.up.upstream_rq_active") == 0, "upstream requests are given up")
    wait_for(lambda: proxy.descriptors <= before, f"{proxy.descriptors} descriptors, {before} before")


def test_reading_slowly_is_read_exactly(proxy: Proxy, tmp_path: Path) -> None:
    with socket.create_connection(proxy.addresses["main"], 10) as client:
        client.sendall(GET * 100)
        data = b""
        while data.count(b"\r\n\r\nhi") < 100:
            data += client.recv(10)
    assert data.count(b"HTTP/1.1 200 OK\r\n") == 100
