"""What a replica needs before its processes start: its files, its commands, its environment.

Writes below the state folder only; it must not start anything.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from envoymesh.sandbox.adaptation import adapt
from envoymesh.sandbox.compose import Project, Service
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.health import make_probe
from envoymesh.sandbox.process import Command
from envoymesh.sandbox.replica import Plan, Replica
from envoymesh.sandbox.state import State, write


class Preparation:
    """Prepares the replicas of one project.

    Args:
        environment: what every process inherits; the service's own variables come over it.
    """

    def __init__(self, project: Project, state: State, environment: Mapping[str, str]) -> None:
        self._project = project
        self._state = state
        # `python` and `envoymesh` in a command are those that run this.
        path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
        self._environment = {**environment, "PATH": path, "PYTHONUNBUFFERED": "1"}

    def generator(self, service: Service, path: str) -> Command:
        """The command that fills one `generated` folder."""
        folder = self._generated(service, path)
        folder.parent.mkdir(parents=True, exist_ok=True)
        words = [*service.generated[path], str(folder)]
        return Command(words, self._environment, self._project.folder, self._state.log(f"{service.name}-generated"))

    def hosts(self, replica: Replica) -> Path:
        """The replica's hosts file."""
        return self._state.replicas / replica.name / "hosts"

    def plan(self, replica: Replica) -> Plan:
        """Write the replica's configurations, and say what it consists of. Errors: SandboxError for a missing file."""
        wrote: list[Path] = []
        sockets: list[tuple[str, int]] = []
        for path, source in replica.service.configs.items():
            adapted = adapt(self.read(source), source, replica.placement, lambda word: self._path(replica, word))
            copy = self._copy(replica, path)
            write(
                copy,
                f"# Made by envoymesh for {replica.name}, from {source}: only addresses and paths differ.\n"
                + adapted.text,
            )
            wrote.append(copy)
            sockets.extend(adapted.sockets)
        if replica.service.page:
            sockets += [(replica.placement.address, port) for port in replica.service.ports.values()]
        environment = self._environment_of(replica)
        commands = {
            name: Command(
                [self._word(replica, word) for word in words],
                environment,
                self._project.folder,
                self._state.log(replica.name),
            )
            for name, words in replica.service.processes.items()
        }
        probe = make_probe(
            replica.service.healthcheck, lambda word: self._word(replica, word), environment, self._project.folder
        )
        return Plan(commands, probe, tuple(dict.fromkeys(sockets)), tuple(wrote))

    def read(self, source: str) -> str:
        """A configuration's text. Errors: SandboxError."""
        try:
            return (self._project.folder / source).read_text(encoding="utf-8")
        except OSError as error:
            raise SandboxError(
                f"{self._project.folder / source}: cannot read the configuration: {error.strerror}"
            ) from None

    def _environment_of(self, replica: Replica) -> dict[str, str]:
        own = {"HOSTNAME": replica.name, "CARES_HOSTS": str(self.hosts(replica))}
        if replica.service.page:
            own["ENVOYMESH_STATE"] = str(self._state.folder)  # where it asks about the mesh
        return {**self._environment, **replica.service.environment, **own}

    def _word(self, replica: Replica, word: str) -> str:
        return self._path(replica, replica.placement.word(word))

    def _path(self, replica: Replica, word: str) -> str:
        """A path in the image, or below one that is known, as the path here; any other word as it is."""
        if not word.startswith("/"):
            return word
        service = replica.service
        for candidate in (PurePosixPath(word), *PurePosixPath(word).parents):
            known = str(candidate)
            rest = word[len(known) :].lstrip("/")
            if known in service.configs:
                return str(self._copy(replica, known) / rest)
            if known in service.files:
                return str(self._project.folder / service.files[known] / rest)
            if known in service.generated:
                return str(self._generated(service, known) / rest)
        return word

    def _copy(self, replica: Replica, path: str) -> Path:
        return self._state.replicas / replica.name / PurePosixPath(path).name

    def _generated(self, service: Service, path: str) -> Path:
        return self._state.generated / service.name / PurePosixPath(path).name


def has_ipv6() -> bool:
    """Whether this machine has the IPv6 loopback address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def check_sockets(sockets: Iterable[tuple[str, int]], owner: str) -> None:
    """Try every address and port for a moment. Errors: SandboxError for the first that cannot be listened on."""
    for address, port in sockets:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            socket.create_server((address, port), family=family).close()
        except OSError as error:
            raise SandboxError(f"{owner} cannot listen on {_shown(address, port)}: {_reason(error, address)}") from None


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _reason(error: OSError, address: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "it is in use. Is another mesh running? For published ports set PORT_PROXY, PORT_HTTPS,"
            " PORT_ADMIN and PORT_PAGE, for inner addresses ENVOYMESH_NETWORK (such as 127.1.0.0/16)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{address} is not an address of this machine. Linux has all of 127.0.0.0/8; on macOS and BSD add it with"
            f" `sudo ifconfig lo0 alias {address} up`, or use Docker"
        )
    return error.strerror or str(error)
