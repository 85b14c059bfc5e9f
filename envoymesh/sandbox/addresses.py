"""Where each replica listens: a loopback address of its own, or the published ports. Pure functions and values.

This module must not open sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from urllib.parse import SplitResult, urlsplit, urlunsplit

from envoymesh.sandbox.compose import Project, Service
from envoymesh.sandbox.errors import SandboxError

# What a process in a container calls itself: any of its addresses, or the loopback.
LOCAL = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1", "localhost"})
PUBLISHED_ADDRESS = "127.0.0.1"
PUBLISHED_ADDRESS_V6 = "::1"
LARGEST_SCALE = 254


@dataclass(frozen=True, slots=True)
class Placement:
    """The address that stands for a container's own, with what its ports become there.

    Args:
        address: an IPv4 loopback address.
        ports: port here by the container's port; a port that is not named stays.
        address_v6: where the listeners are to be reached too; empty for nowhere.
    """

    address: str
    ports: Mapping[int, int]
    address_v6: str = ""

    def port(self, port: int) -> int:
        """The port here of a port in the container."""
        return self.ports.get(port, port)

    def word(self, word: str) -> str:
        """A word of a command line: a local address, or a URL of one, becomes this placement's."""
        if word in LOCAL:
            return self.address
        if not word.startswith(("http://", "https://")):
            return word
        url = urlsplit(word)
        return urlunsplit(url._replace(netloc=self._netloc(url))) if url.hostname in LOCAL else word

    def _netloc(self, url: SplitResult) -> str:
        port = url.port or (443 if url.scheme == "https" else 80)
        return f"{self.address}:{self.port(port)}"


class AddressPlan:
    """The placements of all replicas of a project.

    Replica N of the K-th service that publishes no port has the address K.N of the project's network. A service that
    publishes ports is on them at 127.0.0.1 (and at ::1 where `ipv6`), so there can be one replica of it.
    """

    def __init__(self, project: Project, *, ipv6: bool) -> None:
        self._network: IPv4Network = project.network
        self._address_v6 = PUBLISHED_ADDRESS_V6 if ipv6 else ""
        inner = [name for name, service in project.services.items() if not service.ports]
        self._blocks = {name: block for block, name in enumerate(inner, 1)}
        if len(inner) > LARGEST_SCALE:
            raise SandboxError(f"{project.file}: more than {LARGEST_SCALE} services")

    def check_scale(self, service: Service, count: int) -> None:
        """Errors: SandboxError when the service cannot have so many replicas."""
        if service.ports and count > 1:
            ports = ", ".join(map(str, service.ports.values()))
            raise SandboxError(f"{service.name} publishes the ports {ports}: it cannot have {count} replicas")
        if count > LARGEST_SCALE:
            raise SandboxError(
                f"{service.name} cannot have {count} replicas: there are {LARGEST_SCALE} addresses for it"
            )

    def placement(self, service: Service, index: int) -> Placement:
        """The placement of the service's replica `index`, which counts from 1."""
        if service.ports:
            return Placement(PUBLISHED_ADDRESS, service.ports, self._address_v6)
        return Placement(str(self._network.network_address + 256 * self._blocks[service.name] + index), {})
