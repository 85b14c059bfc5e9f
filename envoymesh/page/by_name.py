"""The mesh of Docker Compose, as a container of it sees it: the addresses behind the services' names, and no more.

Docker itself is out of reach on purpose: who holds its socket is root. So what needs it says which command to type.
It must not send a request.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from envoymesh.page.errors import PageError
from envoymesh.page.runtime import FRONT_TIER, REPLICA_TIER, Place

ADMIN_PORT = 8001
_COMMANDS = {
    "scale": "docker compose up -d --no-recreate --scale SERVICE=N",
    "replica": "docker kill CONTAINER, or docker pause CONTAINER; `docker compose ps` has their names",
    "example": "docker compose -f docker-compose.yaml -f examples/NAME/compose.yaml up --build -d",
}


class NamedRuntime:
    """A MeshRuntime over the name service.

    Args:
        services: their names, the front first.
    """

    kind = "docker"
    example: str | None = None

    def __init__(self, services: Sequence[str]) -> None:
        self._services = services
        self._known: dict[str, list[str]] = {}
        self.can: Mapping[str, str | None] = {
            "faults": None,
            "runtime": None,
            **{name: f"The page has no rights over Docker. Type: {words}" for name, words in _COMMANDS.items()},
        }

    async def places(self) -> list[Place]:
        """Ask the name service."""
        found = await asyncio.gather(*map(_addresses, self._services))
        return [
            each
            for name, addresses in zip(self._services, found, strict=True)
            for each in self._places(name, addresses)
        ]

    def _places(self, service: str, addresses: Sequence[str]) -> list[Place]:
        """A replica keeps its number as long as its address is there; new ones take the first that are free."""
        known = [each if each in addresses else "" for each in self._known.get(service, [])]
        for address in addresses:
            if address not in known:
                known = [*known, ""] if "" not in known else known
                known[known.index("")] = address
        self._known[service] = known
        front = service == self._services[0]
        tier = FRONT_TIER if front else REPLICA_TIER
        # The sidecars' admins listen on their containers' loopback.
        return [
            Place(
                f"{service}-{number}", service, "healthy", tier, each, f"{each}:{ADMIN_PORT}" if front else "", (each,)
            )
            for number, each in enumerate(known, 1)
            if each
        ]

    async def scale(self, service: str, replicas: int) -> None:
        """Not here."""
        raise PageError(str(self.can["scale"]))

    async def act(self, replica: str, action: str) -> None:
        """Not here."""
        raise PageError(str(self.can["replica"]))

    async def examples(self) -> list[dict[str, Any]]:
        """The images have none."""
        return []

    async def change(self, example: str | None) -> None:
        """Not here."""
        raise PageError(str(self.can["example"]))


async def _addresses(name: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({str(each[4][0]) for each in found})
