"""The two runtimes of the mesh behind one interface: Docker Compose, and local processes.

Both read the repository's docker-compose.yaml. A mesh must not know what a scenario expects of it.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx
from testcontainers.compose import DockerCompose

ROOT = Path(__file__).resolve().parents[2]
FRONT = "front-envoy"
PAGE = "page"
APP_PORT = 8080
# Linux gives clients ports from 32768 on.
BELOW_EPHEMERAL = (20_000, 32_000)


class Replica(NamedTuple):
    """One running copy of a service.

    `health` is Compose's word: starting, healthy, unhealthy; `hostname` is what it greets with.
    """

    name: str
    service: str
    health: str
    hostname: str


class Ports(NamedTuple):
    """The three published ports of the front, and the page's."""

    proxy: int
    https: int
    admin: int
    page: int

    def environment(self) -> dict[str, str]:
        """The variables docker-compose.yaml reads them from."""
        return {f"PORT_{name.upper()}": str(port) for name, port in self._asdict().items()}


class Rights(NamedTuple):
    """What a running container may do; `capabilities` are all of its sets, in hexadecimal."""

    user: str
    read_only: bool
    capabilities: set[str]
    no_new_privileges: bool


def rights(container: str) -> Rights:
    """Asked inside of the container: what the kernel knows of it, not what the engine was told."""
    # The image's user owns its home: it is the root file system that keeps it from writing there.
    write = "touch /home/envoy/written 2>/dev/null && echo writable || echo read-only"
    script = f"id -u; {write}; grep -E '^(Cap|NoNewPrivs)' /proc/self/status"
    done = subprocess.run(
        ["docker", "exec", container, "bash", "-c", script], check=True, capture_output=True, text=True
    )
    user, root, *status = done.stdout.splitlines()
    fields = dict(line.split(":\t") for line in status)
    no_new = fields.pop("NoNewPrivs")
    return Rights(user, root == "read-only", set(fields.values()), no_new == "1")


class Mesh(Protocol):
    """What a scenario may do with a mesh. Every method returns when the runtime's own command has returned."""

    ports: Ports

    def start(self) -> None:
        """Bring everything up, and wait until every replica is healthy."""

    def stop(self) -> None:
        """Leave nothing running."""

    def replicas(self) -> list[Replica]:
        """The running replicas of all services but the page, which is none of the mesh's."""

    def scale(self, service: str, count: int) -> None:
        """Run `count` replicas of a service; starts again what was killed."""

    def kill(self, replica: str) -> None:
        """End a replica at once, without a word of warning to it."""

    def restart(self, replica: str) -> None:
        """Stop a replica in order and start it again."""

    def logs(self) -> str:
        """What all replicas wrote."""

    def at(self, replica: str, method: str, path: str, body: str = "") -> str:
        """Ask a replica's app itself, without any proxy between; what it answers."""


def free_ports() -> Ports:
    """Ports nobody listens on. The system gives them to no client, which might take one before it is needed."""
    return Ports(*(_free_port() for _ in Ports._fields))


def _free_port() -> int:
    while True:
        port = random.randrange(*BELOW_EPHEMERAL)
        try:
            socket.create_server(("", port)).close()
        except OSError:
            continue
        return port


class DockerMesh:
    """docker compose, in a project of its own; `extra` is one more Compose file, laid over the repository's."""

    def __init__(self, project: str, extra: Path | None = None, ports: Ports | None = None) -> None:
        self.ports = ports or free_ports()
        self._environment = {**self.ports.environment(), "COMPOSE_PROJECT_NAME": project}
        files = ["docker-compose.yaml", *([str(extra)] if extra else [])]
        self._compose = DockerCompose(str(ROOT), files, build=True, wait=True)

    @property
    def _own(self) -> DockerCompose:
        """Compose, for this mesh: testcontainers hands its own environment on, and takes no other.

        Set anew for every command: another mesh of this process, or its end, may have changed it since, and a command
        without it would bring up a mesh of the default name on the default ports.
        """
        os.environ.update(self._environment)
        return self._compose

    def start(self) -> None:
        """docker compose up --build --wait."""
        try:
            self._own.start()
        except subprocess.CalledProcessError as error:
            raise AssertionError(
                f"docker compose up failed:\n{error.stderr.decode()[-5_000:]}\n{self.logs()[-10_000:]}"
            ) from error

    def stop(self) -> None:
        """docker compose down, the images too; what they were built from stays in the builder's cache."""
        try:
            self._run("down", "--volumes", "--rmi", "local")
        finally:
            for name in self._environment:
                os.environ.pop(name, None)

    def replicas(self) -> list[Replica]:
        """docker compose ps."""
        # Compose names a container's host by the first twelve digits of its id.
        running = [each for each in self._own.get_containers() if each.Service != PAGE]
        return [Replica(each.Name, each.Service, each.Health, each.ID[:12]) for each in running]

    def scale(self, service: str, count: int) -> None:
        """docker compose up --scale, which leaves the other containers alone."""
        self._run("up", "-d", "--no-recreate", "--scale", f"{service}={count}")

    def kill(self, replica: str) -> None:
        """docker kill."""
        subprocess.run(["docker", "kill", replica], check=True, capture_output=True)

    def restart(self, replica: str) -> None:
        """docker restart."""
        subprocess.run(["docker", "restart", replica], check=True, capture_output=True)

    def logs(self) -> str:
        """docker compose logs."""
        return "\n".join(self._own.get_logs())

    def at(self, replica: str, method: str, path: str, body: str = "") -> str:
        """docker exec curl."""
        command = ["curl", "-sS", "-X", method, "--data", body, f"http://127.0.0.1:{APP_PORT}{path}"]
        done = subprocess.run(["docker", "exec", replica, *command], check=True, capture_output=True, text=True)
        return done.stdout

    def rights(self, replica: str) -> Rights:
        """What one of its containers may do."""
        return rights(replica)

    def inside(self, service: str, command: str) -> str:
        """What a command line prints in a service's container, under the container's own bash."""
        return self._own.exec_in_container(["/bin/bash", "-c", command], service)[0]

    def _run(self, *arguments: str) -> None:
        command = [*self._own.compose_command_property, *arguments]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


class EmbeddedMesh:
    """envoymesh up -d and its sister commands, in a state folder of its own; `example` is laid over the description."""

    def __init__(self, state: Path, example: str = "") -> None:
        self.ports = free_ports()
        self._state = state
        self._example = example

    def start(self) -> None:
        """envoymesh up -d."""
        self._run("up", "-d", *(["--example", self._example] if self._example else []))

    def stop(self) -> None:
        """envoymesh down."""
        self._run("down")
        shutil.rmtree(self._state, ignore_errors=True)

    def replicas(self) -> list[Replica]:
        """envoymesh ps."""
        return [
            Replica(each["Name"], each["Service"], each["Health"], each["Name"])
            for each in self._rows()
            if each["State"] == "running" and each["Service"] != PAGE
        ]

    def scale(self, service: str, count: int) -> None:
        """envoymesh scale."""
        self._run("scale", f"{service}={count}")

    def kill(self, replica: str) -> None:
        """envoymesh kill."""
        self._run("kill", replica)

    def restart(self, replica: str) -> None:
        """envoymesh stop, then start."""
        self._run("stop", replica)
        self._run("start", replica)

    def logs(self) -> str:
        """envoymesh logs."""
        return self._run("logs")

    def at(self, replica: str, method: str, path: str, body: str = "") -> str:
        """An HTTP request to the address that the replica has here."""
        address = next(each["Address"] for each in self._rows() if each["Name"] == replica)
        return httpx.request(method, f"http://{address}:{APP_PORT}{path}", content=body, timeout=20).text

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self._run("ps", "--format", "json"))
        return rows

    def _run(self, *arguments: str) -> str:
        command: Sequence[str] = [sys.executable, "-m", "envoymesh", *arguments]
        environment = {**os.environ, **self.ports.environment(), "ENVOYMESH_STATE": str(self._state)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"envoymesh {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout
