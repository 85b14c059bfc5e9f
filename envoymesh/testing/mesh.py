"""A whole mesh under test, as the `compose_mesh` fixture gives it. It must not know pytest."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from envoymesh.sandbox.compose import load
from envoymesh.sandbox.control import ask
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.logs import LogReader
from envoymesh.sandbox.state import State

# Systems give clients ports above these: one is free until the mesh takes it, unless another mesh looks there just now.
PORTS = range(10_000, 32_000)
# The second number of a loopback network; 127.0 is that of a mesh which somebody runs by hand.
NETWORKS = range(1, 255)
POLL = 0.05
ATTEMPTS = 5


class Mesh:
    """The services of a Compose file as local processes, with the ports that they publish moved to free ones.

    Args:
        folder: where the generated files of all meshes of this test are.
    """

    def __init__(self, files: Sequence[Path], folder: Path) -> None:
        self._files = [each.absolute() for each in files]
        # A Unix socket's path is short, pytest's folders are long.
        self._state = State(Path(tempfile.mkdtemp(prefix="envoymesh-")))
        self._output = folder / "mesh.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[int, int] = {}
        self._client = httpx.Client(timeout=30, trust_env=False, verify=False)

    def up(self, scale: Mapping[str, int]) -> None:
        """Start it, and wait until every replica is healthy. Errors: SandboxError."""
        project, _ = load(self._files[0], os.environ, self._files[1:]).parted()
        published = {port for service in project.services.values() for port in service.ports.values()}
        for attempt in range(ATTEMPTS):
            self._ports = dict(zip(sorted(published), free_ports(len(published)), strict=True))
            try:
                self._up_once(scale)
                return
            except SandboxError as error:
                if "in use" not in str(error) or attempt == ATTEMPTS - 1:
                    raise

    def _up_once(self, scale: Mapping[str, int]) -> None:
        network = f"127.{random.choice(NETWORKS)}.0.0/16"
        words = [str(self._state.folder), network, json.dumps(self._ports), json.dumps(dict(scale))]
        command = [sys.executable, "-m", "envoymesh.testing.mesh_process", *words, *map(str, self._files)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        while self._process.poll() is None:
            try:
                ask(self._state.control, "wait")
                return
            except (ConnectionError, FileNotFoundError):
                time.sleep(POLL)
        lines = self._output.read_text(errors="replace").strip().splitlines()
        raise SandboxError(lines[-1] if lines else f"the mesh ended with {self._process.returncode}")

    def close(self) -> None:
        """Stop it; nothing of it is left running."""
        self._client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                # The second signal kills every replica at once.
                self._process.terminate()
                self._process.wait(10)
        self._output.write_text(self.log)
        shutil.rmtree(self._state.folder, ignore_errors=True)

    # Requests

    def port(self, published: int) -> int:
        """The port here of one that the description publishes."""
        if published not in self._ports:
            raise SandboxError(f"no service publishes port {published}; there are {sorted(self._ports)}")
        return self._ports[published]

    def request(self, method: str, path: str, *, port: int, scheme: str = "http", **options: Any) -> httpx.Response:
        """Ask at a published port. Certificates are not checked: a mesh makes its own."""
        return self._client.request(method, f"{scheme}://127.0.0.1:{self.port(port)}{path}", **options)

    def get(self, path: str, *, port: int, scheme: str = "http", **options: Any) -> httpx.Response:
        """GET; see `request`."""
        return self.request("GET", path, port=port, scheme=scheme, **options)

    # Replicas

    @property
    def replicas(self) -> list[dict[str, Any]]:
        """The replicas as `envoymesh ps --format json` shows them."""
        rows: list[dict[str, Any]] = ask(self._state.control, "rows")
        return rows

    def scale(self, service: str, count: int) -> None:
        """Run so many replicas, and wait until they are healthy. Errors: SandboxError."""
        ask(self._state.control, "scale", name=service, count=count)

    def stop(self, replica: str) -> None:
        """Stop a replica, such as service1-1: it drains, then ends. Errors: SandboxError."""
        ask(self._state.control, "stop", name=replica)

    def start(self, replica: str) -> None:
        """Start a stopped replica. Errors: SandboxError."""
        ask(self._state.control, "start", name=replica)

    def kill(self, replica: str) -> None:
        """End a replica at once. Errors: SandboxError."""
        ask(self._state.control, "kill", name=replica)

    @property
    def log(self) -> str:
        """What the replicas wrote, and the mesh itself."""
        own = self._output.read_text(errors="replace") if self._output.exists() else ""
        if not self._state.logs.exists():
            return own
        return own + "\n".join(LogReader(self._state.logs, "").lines())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(PORTS)
        try:
            socket.create_server(("", port)).close()
        except OSError:
            continue
        found.add(port)
    return list(found)
