"""Real processes for integration tests: a proxy (ours or the real Envoy) and an upstream that records and misbehaves.

    with Upstream(answers) as upstream, Proxy.ours(bootstrap, folder) as proxy:
        exchange(proxy.addresses["plain"], [b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"])

Ports are the kernel's; everything started here is stopped by its own handle. It must not know what tests expect.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
START_LIMIT = 60.0

Address = tuple[str, int]


# Configurations


def socket_address(address: Address) -> dict[str, Any]:
    """An envoy.config.core.v3.Address."""
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def hcm_filter(route_config: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A network filter: the HTTP connection manager with the router."""
    manager = {
        "@type": HCM,
        "stat_prefix": "test",
        "delayed_close_timeout": "0.1s",
        "route_config": route_config,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": {**manager, **options}}


def http_listener(name: str, route_config: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A listener on port 0 of the loopback with one connection manager."""
    chain = {"filters": [hcm_filter(route_config, **options)]}
    return {"name": name, "address": socket_address(("127.0.0.1", 0)), "filter_chains": [chain]}


def static_cluster(name: str, *hosts: Address, **options: Any) -> dict[str, Any]:
    """A STATIC cluster."""
    endpoints = [{"endpoint": {"address": socket_address(host)}} for host in hosts]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}] if hosts else []}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment, **options}


def catch_all(*routes: dict[str, Any]) -> dict[str, Any]:
    """A route configuration with one virtual host."""
    return {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(routes)}]}


def to_cluster(cluster: str, prefix: str = "/", **options: Any) -> dict[str, Any]:
    """A route to a cluster."""
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster, **options}}


def bootstrap(listeners: Sequence[dict[str, Any]], clusters: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A bootstrap with an admin listener on port 0."""
    resources = {"listeners": list(listeners), "clusters": list(clusters)}
    return {"admin": {"address": socket_address(("127.0.0.1", 0))}, "static_resources": resources, **more}


def refused_address() -> Address:
    """An address where nobody listens: bound once, so that it was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ("127.0.0.1", probe.getsockname()[1])


# Proxies


class Proxy:
    """A proxy process. `addresses` has the listeners with a port by name, `admin` the admin listener's."""

    def __init__(self, command: Sequence[str], config: dict[str, Any] | str, folder: Path, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "envoy.yaml"
        self.config_path.write_text(config if isinstance(config, str) else json.dumps(config))
        self.log_path = folder / "proxy.log"
        self._admin_path = folder / "admin.address"
        self._admin_path.unlink(missing_ok=True)
        self.admin: Address = ("", 0)
        self.admin_pipe = ""
        self.addresses: dict[str, Address] = {}
        with self.log_path.open("wb") as log:
            arguments = [*command, "-c", str(self.config_path), "--admin-address-path", str(self._admin_path), *flags]
            self.process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)

    @classmethod
    def ours(cls, config: dict[str, Any] | str, folder: Path, *flags: str) -> Self:
        """`envoymesh proxy`, with one worker unless flags say otherwise."""
        command = [sys.executable, "-m", "envoymesh", "proxy", "--concurrency", "1"]
        return cls(command, config, folder, *flags)

    @classmethod
    def real(cls, program: Path, config: dict[str, Any] | str, folder: Path, *flags: str) -> Self:
        """The real Envoy."""
        return cls([str(program)], config, folder, "--use-dynamic-base-id", "--concurrency", "1", *flags)

    def __enter__(self) -> Self:
        try:
            self._wait_until_live()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _wait_until_live(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the proxy ended with {self.process.returncode}:\n{self.log[-2000:]}")
            if self._admin_path.exists() and self._is_admin(self._admin_path.read_text()) and self._is_live():
                self.addresses = self._listeners()
                return
            time.sleep(0.02)
        raise AssertionError(f"the proxy did not become live:\n{self.log[-2000:]}")

    def _is_admin(self, text: str) -> bool:
        """Whether the file says, whole, where the admin is: a port, or a Unix domain socket."""
        if text.startswith(("/", "@")):
            self.admin_pipe = text
        elif ":" in text:
            host, _, port = text.rpartition(":")
            self.admin = (host, int(port))
        return bool(self.admin_pipe or self.admin[1])

    def _is_live(self) -> bool:
        try:
            return self.admin_get("/ready") == "LIVE\n"
        except OSError:
            return False

    def _listeners(self) -> dict[str, Address]:
        found = {}
        for status in json.loads(self.admin_get("/listeners?format=json"))["listener_statuses"]:
            address = status["local_address"].get("socket_address")
            if address is not None:
                found[status["name"]] = (address["address"], address["port_value"])
        return found

    def admin_get(self, path: str) -> str:
        """The admin's answer as text."""
        if self.admin_pipe:
            return ask_pipe(self.admin_pipe, path)[1]
        with urlopen(f"http://{self.admin[0]}:{self.admin[1]}{path}", timeout=10) as answer:
            return answer.read().decode()

    def stat(self, name: str) -> int:
        """A counter's or gauge's value."""
        for line in self.admin_get(f"/stats?filter=^{re.escape(name)}$").splitlines():
            return int(line.rpartition(": ")[2])
        raise KeyError(name)

    @property
    def log(self) -> str:
        """What the process has written."""
        return self.log_path.read_text(errors="replace")

    @property
    def resident_kib(self) -> int:
        """Resident memory now, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]

    @property
    def descriptors(self) -> int:
        """Open file descriptors now."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class PipeConnection(http.client.HTTPConnection):
    """HTTP over a Unix domain socket; a path that begins with ``@`` is an abstract name."""

    def __init__(self, path: str) -> None:
        super().__init__("any.example", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect("\0" + self._path[1:] if self._path.startswith("@") else self._path)


def ask_pipe(path: str, target: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Status and body of a request over a Unix domain socket."""
    connection = PipeConnection(path)
    try:
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def run_to_end(config: dict[str, Any] | str, folder: Path, *flags: str) -> tuple[int, str]:
    """Start our proxy on a configuration that ends it; its exit code and output."""
    proxy = Proxy.ours(config, folder, *flags)
    try:
        return proxy.wait(START_LIMIT), proxy.log
    finally:
        proxy.stop()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Until the condition holds; an AssertionError when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


# The upstream


@dataclass(frozen=True)
class Request:
    """A request as an upstream got it; a chunked body is joined, and `chunked` says so."""

    head: bytes
    body: bytes
    chunked: bool = False
    trailers: bytes = b""

    @property
    def path(self) -> str:
        """The request target without its query."""
        return self.head.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")


@dataclass
class Peer:
    """One connection to an upstream, as an answer function sees it."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def more(self) -> bool:
        """Read some more; False at the end."""
        data = self.socket.recv(262144)
        self.buffer += data
        return bool(data)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Answer = Callable[[Peer, Request], None]


class Upstream:
    """A threaded HTTP/1 server on raw sockets. `answers` by path prefix, the longest first; `requests` by `x-case`."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = sorted(answers.items(), key=lambda item: -len(item[0]))
        self.requests: defaultdict[bytes, list[Request]] = defaultdict(list)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address: Address = self._listener.getsockname()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._sockets):
            _shut(each)
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.add(accepted)
            self._spawn(self._serve, Peer(accepted))

    def _serve(self, peer: Peer) -> None:
        try:
            while (request := read_request(peer)) is not None:
                case = re.search(rb"\r\nx-case: (\S+)", request.head)
                self.requests[case[1] if case else b""].append(request)
                self._answer_for(request.path)(peer, request)
        except OSError:
            pass  # the proxy went away, or the answer closed the connection: both are what tests look at
        finally:
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _answer_for(self, path: str) -> Answer:
        return next(answer for prefix, answer in self._answers if path.startswith(prefix))


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # closed already


def read_request(peer: Peer) -> Request | None:
    """The next request, or None at the end of the connection."""
    buffer = peer.buffer
    while b"\r\n\r\n" not in buffer:
        if not peer.more():
            return None
    head, _, _ = bytes(buffer).partition(b"\r\n\r\n")
    del buffer[: len(head) + 4]
    if re.search(rb"\r\ntransfer-encoding: chunked", head, re.I):
        parts = _read_chunks(peer)
        return None if parts is None else Request(head, parts[0], chunked=True, trailers=parts[1])
    found = re.search(rb"\r\ncontent-length: (\d+)", head, re.I)
    length = int(found[1]) if found else 0
    while len(buffer) < length:
        if not peer.more():
            return None
    body = bytes(buffer[:length])
    del buffer[:length]
    return Request(head, body)


def _read_chunks(peer: Peer) -> tuple[bytes, bytes] | None:
    """Body and trailers."""
    body = b""
    while (line := _read_line(peer)) is not None:
        size = int(line, 16)
        if not size:
            return _read_trailers(peer, body)
        while len(peer.buffer) < size + 2:
            if not peer.more():
                return None
        body += peer.buffer[:size]
        del peer.buffer[: size + 2]
    return None


def _read_trailers(peer: Peer, body: bytes) -> tuple[bytes, bytes] | None:
    trailers = b""
    while (line := _read_line(peer)) is not None:
        if not line:
            return body, trailers
        trailers += line + b"\r\n"
    return None


def _read_line(peer: Peer) -> bytes | None:
    while b"\r\n" not in peer.buffer:
        if not peer.more():
            return None
    line, _, _ = bytes(peer.buffer).partition(b"\r\n")
    del peer.buffer[: len(line) + 2]
    return line


# Clients


class ShutdownWrite:
    """A step of an exchange: send FIN, and go on reading."""


@dataclass(frozen=True)
class Wait:
    """A step of an exchange: let the proxy be for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Until:
    """A step of an exchange: read until these bytes have come."""

    data: bytes


Step = bytes | ShutdownWrite | Wait | Until


@dataclass
class Received:
    """What a client got: all bytes, how the connection was at the end (``open``, ``FIN`` or ``RST``), its own port."""

    data: bytes
    end: str
    port: int = 0


class PortsUsed:
    """Pairs of ports that connections have had: logs tell connections apart by them, and systems use ports again."""

    def __init__(self) -> None:
        self._pairs: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def is_new(self, client: socket.socket) -> bool:
        """Whether no connection before had this one's ports; from now on one has."""
        pair = (client.getsockname()[1], client.getpeername()[1])
        with self._lock:
            new = pair not in self._pairs
            self._pairs.add(pair)
            return new


def _connect(address: Address, ports: PortsUsed | None) -> socket.socket:
    client = socket.create_connection(address, timeout=10)
    if ports is None or ports.is_new(client):
        return client
    # While this one is open the system gives others other ports.
    with client:
        return _connect(address, ports)


def exchange(address: Address, steps: Sequence[Step], quiet: float = 0.6, ports: PortsUsed | None = None) -> Received:
    """Do the steps on a new connection, then read until it ends or nothing has come for `quiet` seconds."""
    client = _connect(address, ports)
    port = client.getsockname()[1]
    received = bytearray()
    try:
        for step in steps:
            _take(step, client, received)
        client.settimeout(quiet)
        while data := client.recv(262144):
            received += data
        return Received(bytes(received), "FIN", port)
    except TimeoutError:
        return Received(bytes(received), "open", port)
    except (ConnectionResetError, BrokenPipeError):
        return Received(bytes(received), "RST", port)
    finally:
        client.close()


def _take(step: Step, client: socket.socket, received: bytearray) -> None:
    if isinstance(step, bytes):
        client.sendall(step)
    elif isinstance(step, Wait):
        time.sleep(step.seconds)
    elif isinstance(step, Until):
        while step.data not in received:
            data = client.recv(262144)
            assert data, f"the connection ended before {step.data!r}: {bytes(received)!r}"
            received += data
    else:
        client.shutdown(socket.SHUT_WR)
