"""Mirrors that are slow or dead, beside the real proxy: the request never waits for its copy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoymesh.testing.plugin import Proxies
from tests.integration.harness import (
    Address,
    Peer,
    Proxy,
    Request,
    Upstream,
    bootstrap,
    catch_all,
    http_listener,
    run_to_end,
    static_cluster,
    to_cluster,
    wait_for,
)

SIZE = 24 * 1024 * 1024
"""Bytes of an upload: more than buffers of the system and of the proxy hold."""

MODERATE = 1024 * 1024
"""Bytes that a copy may be behind."""

ANYWHERE = ("127.0.0.1", 1)


class Deaf:
    """A service that accepts connections and never reads."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listening.getsockname()
        self.accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)

    def _accept(self) -> None:
        try:
            while True:
                self.accepted.append(self._listening.accept()[0])
        except OSError:
            pass  # closed

    def __enter__(self) -> Deaf:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for each in self.accepted:
            each.close()


def answer(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%d" % (len(str(len(request.body))), len(request.body)))


def mirrored(cluster: str) -> dict[str, Any]:
    return to_cluster("up", timeout="30s", request_mirror_policies=[{"cluster": cluster}])


def configuration(upstream: Address, mirror: Address) -> dict[str, Any]:
    listener = http_listener("main", catch_all(mirrored("mirror")))
    return bootstrap([listener], [static_cluster("up", upstream), static_cluster("mirror", mirror)])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream({"/": answer}) as made:
        yield made


def upload(address: Address, size: int) -> bytes:
    """Send so many bytes; gives the response."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
        received = b""
        while b"\r\n\r\n%d" % size not in received:
            piece = client.recv(65536)
            assert piece
            received += piece
        return received


@pytest.mark.slow
def test_a_mirror_that_does_not_read_holds_nobody_up(upstream: Upstream, tmp_path: Path) -> None:
    with Deaf() as deaf, Proxy.ours(configuration(upstream.address, deaf.address), tmp_path) as proxy:
        assert upload(proxy.addresses["main"], SIZE).startswith(b"HTTP/1.1 200")
        assert len(deaf.accepted) == 1
        assert proxy.stat("cluster.up.retry_or_shadow_abandoned") == 1
        wait_for(lambda: proxy.stat("cluster.mirror.upstream_cx_active") == 0, "the copy's connection is closed")
        assert proxy.stat("cluster.mirror.upstream_rq_active") == 0


def test_a_mirror_gets_all(envoymesh: Proxies) -> None:
    proxy = envoymesh(configuration(ANYWHERE, ANYWHERE), upstreams={"up": "got it", "mirror": 200})
    assert proxy.post("/", content=bytes(MODERATE)).text == "got it"
    proxy.stats.until("cluster.mirror.upstream_rq_200", 1)
    assert [len(request.body) for request in proxy.upstreams["mirror"].requests] == [MODERATE]


def test_a_mirror_that_is_not_there_is_refused(tmp_path: Path) -> None:
    config = configuration(("127.0.0.1", 1), ("127.0.0.1", 2))
    config["static_resources"]["clusters"].pop()
    code, output = run_to_end(config, tmp_path, "--mode", "validate")
    assert code == 1
    assert "route: unknown shadow cluster 'mirror'" in output
