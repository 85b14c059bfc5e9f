"""SIGTERM while clients ask: nothing that arrived is lost, over each protocol, with one worker and with two."""

import signal
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration.asking import Clients, Http1Client, Http2Client, connect
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

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TEA = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
TWO = ("--concurrency", "2")
ROUNDS = 3
"""Each asks and leaves so often: what is lost by chance would be lost in one of them."""


def direct(**more: Any) -> dict[str, Any]:
    return bootstrap([{**http_listener("main", catch_all(TEA), delayed_close_timeout="1s"), **more}], [])


class Secured:
    """A listener's TLS, and a client's for it."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        leaf = self._authority.issue_cert("a")
        leaf.private_key_pem.write_to_path(folder / "key.pem")
        leaf.cert_chain_pems[0].write_to_path(folder / "chain.pem")
        files = {"certificate_chain": {"filename": str(folder / "chain.pem")}}
        files["private_key"] = {"filename": str(folder / "key.pem")}
        common = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [files]}
        self.socket = {"name": "tls", "typed_config": {"@type": TLS, "common_tls_context": common}}

    def client(self, protocol: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        context.set_alpn_protocols([protocol])
        return context

    def bootstrap(self, **more: Any) -> dict[str, Any]:
        config = direct(**more)
        config["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = self.socket
        return config


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", [Http1Client, Http2Client])
def test_nobody_who_asks_loses_a_request(
    kind: type[Http1Client] | type[Http2Client], secured: bool, workers: str, tmp_path: Path
) -> None:
    tls = Secured(tmp_path) if secured else None
    context = tls.client("h2" if kind is Http2Client else "http/1.1") if tls else None
    config = tls.bootstrap() if tls else direct()
    for _ in range(ROUNDS):
        with Proxy.ours(config, tmp_path, "--concurrency", workers) as proxy:
            with Clients(proxy.addresses["main"], 20, kind, context) as clients:
                wait_for(lambda: clients.answered >= 200, "everybody asks", 30)
                proxy.signal(signal.SIGTERM)
                assert proxy.wait() == 0
            assert clients.lost == 0
            assert "Traceback" not in proxy.log


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_was_let_in_is_served(workers: str, tmp_path: Path) -> None:
    """A connection for each request: some are in the accept queue at any time."""
    for _ in range(ROUNDS):
        with Proxy.ours(direct(), tmp_path, "--concurrency", workers) as proxy:
            with Clients(proxy.addresses["main"], 20, keep=False) as clients:
                wait_for(lambda: clients.answered >= 100, "everybody asks", 30)
                proxy.signal(signal.SIGTERM)
                assert proxy.wait() == 0
            assert clients.lost == 0


def test_the_accept_queue_is_emptied(tmp_path: Path) -> None:
    """What connected while the proxy could not look is answered, and nobody after that is let in."""
    with Proxy.ours(direct(), tmp_path) as proxy:
        address = proxy.addresses["main"]
        proxy.signal(signal.SIGSTOP)
        waiting = [socket.create_connection(address, 10) for _ in range(100)]
        for each in waiting:
            each.sendall(GET)
        proxy.signal(signal.SIGTERM)
        proxy.signal(signal.SIGCONT)
        for each in waiting:
            with each:
                assert each.recv(4096).endswith(b"tea")
                assert each.recv(4096) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 10).close()
        assert proxy.wait() == 0


def until_told(proxy: Proxy) -> None:
    """The signal was seen."""
    proxy.signal(signal.SIGTERM)
    wait_for(lambda: "draining" in proxy.log, "the signal is noted")


@pytest.mark.parametrize("idle", [0.0, 0.7], ids=["active", "idle"])
def test_what_lies_unread_when_the_signal_comes_is_answered(idle: float, tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path) as proxy, socket.create_connection(proxy.addresses["main"], 10) as client:
        client.sendall(GET)
        assert client.recv(4096).endswith(b"tea")
        time.sleep(idle)
        proxy.signal(signal.SIGSTOP)
        proxy.signal(signal.SIGTERM)
        client.sendall(GET)
        proxy.signal(signal.SIGCONT)
        assert client.recv(4096).endswith(b"tea")
        assert client.recv(4096) == b""
        assert proxy.wait() == 0


def test_idle_connections_are_closed_and_do_not_hold_the_end_back(tmp_path: Path) -> None:
    """One that was answered, one that said nothing, one of HTTP/2."""
    with Proxy.ours(direct(), tmp_path) as proxy:
        address = proxy.addresses["main"]
        with socket.create_connection(address, 10) as kept, socket.create_connection(address, 10) as silent:
            kept.sendall(GET)
            assert kept.recv(4096).endswith(b"tea")
            with connect(address, None) as multiplexed:
                assert Http2Client(multiplexed).ask()
                proxy.signal(signal.SIGTERM)
                assert kept.recv(1) == b""
                assert silent.recv(1) == b""
                assert proxy.wait() == 0, "long before the drain time of ten minutes"


@pytest.mark.parametrize("first", [b"G", b"P", b"GET / HTTP/1.1\r\nHo"])
def test_a_request_that_has_begun_is_waited_for(first: bytes, tmp_path: Path) -> None:
    rest = (GET if first[:1] == b"G" else b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n")[len(first) :]
    with Proxy.ours(direct(), tmp_path) as proxy, socket.create_connection(proxy.addresses["main"], 10) as client:
        client.sendall(first)
        wait_for(lambda: proxy.stat("http.test.downstream_cx_rx_bytes_total") == len(first), "it has arrived")
        until_told(proxy)
        time.sleep(1.2)  # longer than idle connections are left
        client.sendall(rest)
        assert b"\r\nconnection: close\r\n" in client.recv(4096)
        client.close()
        assert proxy.wait() == 0


@pytest.mark.parametrize("inspected", [False, True], ids=["tls", "inspected"])
def test_a_handshake_under_way_is_waited_for(inspected: bool, tmp_path: Path) -> None:
    more = {"listener_filters": [{"name": "i", "typed_config": {"@type": INSPECTOR}}]} if inspected else {}
    tls = Secured(tmp_path)
    with Proxy.ours(tls.bootstrap(**more), tmp_path) as proxy:
        with socket.create_connection(proxy.addresses["main"], 10) as raw:
            wait_for(lambda: accepted(proxy) == 1, "it is accepted")
            until_told(proxy)
            time.sleep(0.2)
            with tls.client("http/1.1").wrap_socket(raw, server_hostname="a") as client:
                client.sendall(GET)
                assert b"\r\nconnection: close\r\n" in client.recv(4096)
        assert proxy.wait() == 0


def accepted(proxy: Proxy) -> int:
    names = ("downstream_cx_active", "downstream_pre_cx_active")
    return sum(proxy.stat(f"listener.127.0.0.1_0.{name}") for name in names)


def test_an_answer_that_had_begun_is_not_the_last_word(tmp_path: Path) -> None:
    """Its head promised to keep the connection, so the request behind it is answered too."""
    gate = threading.Event()

    def slowly(peer: Peer, request: Request) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndo")
        assert gate.wait(10)
        peer.send(b"ne")

    with Upstream({"/": slowly}) as upstream:
        listener = http_listener("main", catch_all(to_cluster("up")))
        config = bootstrap([listener], [static_cluster("up", upstream.address)])
        with Proxy.ours(config, tmp_path) as proxy, socket.create_connection(proxy.addresses["main"], 10) as client:
            client.sendall(GET)
            assert client.recv(4096).endswith(b"do")
            until_told(proxy)
            client.sendall(GET)
            time.sleep(0.7)  # longer than a connection without a request is left
            gate.set()
            answer = b""
            while data := client.recv(4096):
                answer += data
            assert answer.startswith(b"ne")
            assert b"\r\nconnection: close\r\n" in answer
            assert answer.endswith(b"done")
            assert proxy.wait() == 0
