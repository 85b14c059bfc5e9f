"""More connections than descriptors, and many at once: nobody is lost, and those open are served."""

import re
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import (
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

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
TEA = {"match": {"prefix": "/tea"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}
FILES = 64


def ask(client: socket.socket, path: bytes = b"/tea") -> bytes:
    client.sendall(GET % path)
    return client.recv(4096)


def answer(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup")


def processor_seconds(proxy: Proxy) -> float:
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Full:
    """A proxy with few descriptors, `first` connected, and more clients than it can accept."""

    def __init__(self, proxy: Proxy, stack: ExitStack) -> None:
        self.proxy = proxy
        address = proxy.addresses["main"]
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        self.first = stack.enter_context(socket.create_connection(address, 10))
        assert ask(self.first).endswith(b"tea")
        count = FILES - proxy.descriptors + 5
        self.more = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(count)]
        wait_for(lambda: "Too many open files" in proxy.log, "the shortage is noted")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Full]:
    with Upstream({"/": answer}) as upstream, ExitStack() as stack:
        log = {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"}
        text = "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
        log |= {"path": str(tmp_path / "access.log"), "log_format": {"text_format_source": {"inline_string": text}}}  # type: ignore[dict-item]
        listener = http_listener(
            "main", catch_all(TEA, to_cluster("up")), access_log=[{"name": "file", "typed_config": log}]
        )
        named = {
            **static_cluster("named", upstream.address),
            "type": "STRICT_DNS",
            "dns_refresh_rate": "0.1s",
        }
        named["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"][
            "address"
        ] = "localhost"
        config = bootstrap([listener], [static_cluster("up", upstream.address), named])
        flags = ("--file-flush-interval-msec", "10")
        yield Full(stack.enter_context(Proxy.ours(config, tmp_path, *flags)), stack)


@pytest.mark.slow
def test_out_of_descriptors_it_serves_and_waits(full: Full) -> None:
    proxy = full.proxy
    before = processor_seconds(proxy)
    time.sleep(1.0)
    assert processor_seconds(proxy) - before < 0.5, "it does not spin"
    assert ask(full.first).endswith(b"tea")
    refused = ask(full.first, b"/up")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert refused.endswith(b"reset reason: local connection failure")
    for each in full.more[:20]:
        each.close()
    assert ask(full.more[-1]).endswith(b"tea"), "who waited is accepted when there is room"
    assert ask(full.first, b"/up").endswith(b"up")
    wait_for(lambda: proxy.stat("cluster.up.upstream_cx_connect_fail") == 1, "as in Envoy it counts as one")
    assert proxy.stat("cluster.named.membership_total") == 1
    assert proxy.log.count("Too many open files") == 1
    wait_for(lambda: "accepted again" in proxy.log, "its end is noted too")
    assert "Traceback" not in proxy.log
    access = (proxy.config_path.parent / "access.log").read_text()
    assert re.search(r"^UF \S+\{local_connection_failure\|socket_creation_failure\}$", access, re.M)


def test_a_burst_is_let_in_whole(tmp_path: Path) -> None:
    """The queue is as long as the system allows: no SYN of 600 is dropped while the proxy cannot look."""
    config: dict[str, Any] = bootstrap([http_listener("main", catch_all(TEA))], [])
    with Proxy.ours(config, tmp_path) as proxy, ExitStack() as stack:
        proxy.signal(signal.SIGSTOP)
        address = proxy.addresses["main"]
        clients = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(600)]
        for each in clients:
            each.sendall(GET % b"/tea")
        proxy.signal(signal.SIGCONT)
        for each in clients:
            assert each.recv(4096).endswith(b"tea")
