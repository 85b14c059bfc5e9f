"""The sandbox's two configurations as two processes of one kind, ours or the real Envoy, and the traffic they get.

    with StatsMesh(make_proxy, folder, certificates) as mesh:
        mesh.drive()
        front = mesh.snapshot("front")

The front's service1 is the sidecar, whose app answers, closes without an answer, or answers an error; nobody listens
where service2 should be. It must not know what the stats should be.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from tests.integration.harness import Address, Peer, Proxy, Request, Upstream, refused_address, wait_for

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATES = "/etc/envoy/certs"
TIERS = ("front", "sidecar")
# The names under which both runs' listeners are compared.
SHOWN_PORTS = {"http": "8080", "https": "8443", "ingress": "8000"}

# Everything of the admin's own.
ADMIN_NUMBERS = "/stats?type=Counters&filter=^(http|listener)[.]admin[.]"

MakeProxy = Callable[..., Proxy]


def ok(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncontent-type: text/plain\r\n\r\nhello\n")


def error(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")


def hang_up(peer: Peer, request: Request) -> None:
    peer.close()


APP = {"/": ok, "/service/1/error": error, "/service/1/hang-up": hang_up}


@dataclass(frozen=True)
class Snapshot:
    """One proxy's stats: the text of ``/stats``, of each type of it, and of ``/stats/prometheus``, ports masked."""

    text: str
    by_type: dict[str, str]
    prometheus: str


class StatsMesh:
    """Front and sidecar, an app, and clients. Ports are the kernel's, another for every listener.

    Args:
        certificates: where the front's certificate and key are.
    """

    def __init__(self, make_proxy: MakeProxy, folder: Path, certificates: Path) -> None:
        self._make_proxy = make_proxy
        self._certificates = certificates
        self._folder = folder
        self._stack = ExitStack()
        self._ports: dict[str, int] = {}
        self.proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Self:
        with self._stack as stack:
            app = stack.enter_context(Upstream(APP))
            self._start(
                "sidecar", self._configuration("service-envoy/service-envoy.yaml", {"local_service": app.address})
            )
            services = {
                "service1": ("localhost", self._ports["ingress"]),
                "service2": ("localhost", refused_address()[1]),
            }
            self._start("front", self._configuration("front-envoy/envoy.yaml", services))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _start(self, tier: str, config: str) -> None:
        proxy = self._make_proxy(config, self._folder / tier, "--service-cluster", tier)
        self.proxies[tier] = self._stack.enter_context(proxy)

    def _configuration(self, file: str, clusters: dict[str, Address]) -> str:
        text = (ROOT / file).read_text().replace(CERTIFICATES, str(self._certificates))
        config: dict[str, Any] = yaml.safe_load(text)
        _set_address(config["admin"]["address"], ("127.0.0.1", 0))
        for listener in config["static_resources"]["listeners"]:
            self._ports[listener["name"]] = refused_address()[1]
            _set_address(listener["address"], ("127.0.0.1", self._ports[listener["name"]]))
        for cluster in config["static_resources"]["clusters"]:
            if cluster["type"] == "STRICT_DNS":
                cluster["dns_refresh_rate"] = "600s"  # how often names are looked up is then not a question of time
            endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            _set_address(endpoint["address"], clusters[cluster["name"]])
        return yaml.safe_dump(config)

    # Traffic

    def drive(self) -> None:
        """A few requests of each kind, then wait until every connection of a client is gone and was flushed."""
        self._http1()
        self._malformed()
        self._https()
        front = self.proxies["front"]
        wait_for(lambda: front.stat("http.ingress_http.downstream_cx_active") == 0, "clients are gone")
        # `server.uptime` is set by the flush, which also merges the histograms.
        before = [self.proxies[tier].stat("server.uptime") for tier in TIERS]
        for tier, uptime in zip(TIERS, before, strict=True):
            wait_for(partial(self._flushed_since, tier, uptime), "stats are flushed", 15)

    def _http1(self) -> None:
        base = f"http://127.0.0.1:{self._ports['http']}"
        with httpx.Client(base_url=base, timeout=20) as client:
            for _ in range(3):
                assert client.get("/service/1").status_code == 200
            assert client.head("/service/1").status_code == 200
            assert client.post("/service/1", content=b"x" * 1000).status_code == 200
            assert client.get("/nowhere").status_code == 404
            assert client.get("/service/1/error").status_code == 500
            assert client.get("/service/1/hang-up").status_code == 503
            assert client.get("/service/2").status_code == 503
        with httpx.Client(base_url=base, http1=False, http2=True, timeout=20) as client:
            assert client.get("/service/1").status_code == 200
            assert client.get("/nowhere").status_code == 404

    def _malformed(self) -> None:
        address = ("127.0.0.1", self._ports["http"])
        for data, status in (
            (b"GET / HTTP/1.0\r\n\r\n", b"426"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        ):
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(data)
                assert status in _read_to_end(client).partition(b"\r\n")[0]
        with socket.create_connection(address, timeout=10) as client:
            client.sendall(b"GET /service/1 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _https(self) -> None:
        base = f"https://127.0.0.1:{self._ports['https']}"
        for http2 in (False, True):
            context = ssl.create_default_context(cafile=self._certificates / "front-envoy.crt")
            context.check_hostname = False
            with httpx.Client(base_url=base, http2=http2, verify=context, timeout=20) as client:
                assert client.get("/service/1").status_code == 200
                assert client.get("/nowhere").status_code == 404
        with socket.create_connection(("127.0.0.1", self._ports["https"]), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _read_to_end(client)

    def _flushed_since(self, tier: str, uptime: int) -> bool:
        return self.proxies[tier].stat("server.uptime") > uptime

    # Stats

    def snapshot(self, tier: str) -> Snapshot:
        """What its stats are now."""
        proxy = self.proxies[tier]
        kinds = ("Counters", "Gauges", "Histograms", "TextReadouts")
        by_type = {kind: self._masked(proxy.admin_get(f"/stats?type={kind}")) for kind in kinds}
        text = self._masked(proxy.admin_get("/stats"))
        return Snapshot(text, by_type, self._masked(proxy.admin_get("/stats/prometheus")))

    def admin_growth(self) -> dict[str, int]:
        """How much each number of the front's admin grows by a fixed sequence of requests."""
        proxy = self.proxies["front"]
        before = _numbers(proxy.admin_get(ADMIN_NUMBERS))
        for path in ("/ready", "/hot_restart_version", "/stats?filter=^server.state$", "/nowhere", "/reset_counters"):
            with socket.create_connection(proxy.admin, timeout=10) as client:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                _read_to_end(client)
        after = _numbers(proxy.admin_get(ADMIN_NUMBERS))
        growth = {name: value - before[name] for name, value in after.items()}
        # The answer that shows the numbers is as long as they are.
        return {name: value for name, value in growth.items() if value and "tx_bytes" not in name}

    def _masked(self, text: str) -> str:
        for name, port in self._ports.items():
            text = re.sub(rf"\b127\.0\.0\.1_{port}\b", f"0.0.0.0_{SHOWN_PORTS[name]}", text)
        return text


def _numbers(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split(": ") for line in text.splitlines())}


def _set_address(address: dict[str, Any], value: Address) -> None:
    address["socket_address"] = {"address": value[0], "port_value": value[1]}


def _read_to_end(client: socket.socket) -> bytes:
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionResetError:
        pass  # also an end
    return data
