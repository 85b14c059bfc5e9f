"""What the page asks of whatever runs the mesh. It must not know which runtime that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

FRONT_TIER, REPLICA_TIER = 1, 2

CHANGES = ("scale", "replica", "faults", "example", "runtime")
"""What a runtime may be able to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """One replica of a service, as the runtime tells of it.

    Attributes:
        state: healthy, unhealthy, starting or stopped.
        tier: 1 for a proxy that clients come to, 2 for others.
        address: its IP address; `admin` is its proxy's host:port, empty where nobody can reach that.
        listens: every host:port, for people.
        source: the file of its proxy's configuration, and `text` what stands in it; empty where only the admin knows.
        runs: the file that the proxy runs, a copy of `source` with other addresses.
        checks: paths that the runtime's own health check asks for.
    """

    name: str
    service: str
    state: str
    tier: int
    address: str
    admin: str
    listens: Sequence[str] = ()
    source: str = ""
    text: str = ""
    runs: str = ""
    checks: Sequence[str] = ()


class MeshRuntime(Protocol):
    """A running mesh. Errors of every method: PageError."""

    kind: str

    @property
    def can(self) -> Mapping[str, str | None]:
        """For each of CHANGES None, or a sentence that says why it cannot be done here."""

    @property
    def example(self) -> str | None:
        """The example that runs."""

    async def places(self) -> list[Place]:
        """The replicas now."""

    async def scale(self, service: str, replicas: int) -> None:
        """Run so many replicas."""

    async def act(self, replica: str, action: str) -> None:
        """kill, stop, start, pause or resume a replica."""

    async def examples(self) -> list[dict[str, Any]]:
        """The examples: name, title, watch."""

    async def change(self, example: str | None) -> None:
        """Run another example, or none."""
