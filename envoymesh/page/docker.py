"""The mesh of Docker Compose, as this machine's own user sees it: `envoymesh page --docker` on the host.

It uses the docker command, which knows where its engine is and what this user may do. It must not build an image.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envoymesh.page.by_name import ADMIN_PORT
from envoymesh.page.errors import PageError
from envoymesh.page.runtime import FRONT_TIER, REPLICA_TIER, Place

ACTIONS = {"kill": "kill", "stop": "stop", "start": "start", "pause": "pause", "resume": "unpause"}
MOST_REPLICAS = 100
PATIENCE = 120.0
FRESH = 2.0
"""Seconds for which what the engine told is believed."""

PAGE = "page"
_LABEL = "com.docker.compose"
# A name that begins with a dash would be an option.
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class DockerRuntime:
    """A MeshRuntime over the docker command.

    Args:
        file: the Compose file of the mesh.
        project: Compose's name for it.
    """

    kind = "docker"
    example: str | None = None
    can: Mapping[str, str | None] = {
        "scale": None,
        "replica": None,
        "faults": None,
        "runtime": None,
        "example": "Type: docker compose -f docker-compose.yaml -f examples/NAME/compose.yaml up --build -d",
    }

    def __init__(self, file: Path, project: str) -> None:
        self._file = file
        self._project = project
        self._places: list[Place] = []
        self._asked = -FRESH

    async def places(self) -> list[Place]:
        """Ask the engine, but not at each refresh: a command costs more than a look at a proxy."""
        now = time.monotonic()
        if now - self._asked >= FRESH:
            self._places = await self._ask()
            self._asked = now
        return self._places

    async def _ask(self) -> list[Place]:
        ids = (await _docker("ps", "-aq", "--filter", f"label={_LABEL}.project={self._project}")).split()
        if not ids:
            raise PageError(f"The project {self._project} has no containers.", 503)
        found = [_place(each) for each in json.loads(await _docker("inspect", *ids))]
        return sorted((each for each in found if each.service != PAGE), key=lambda each: (each.tier, each.name))

    async def scale(self, service: str, replicas: int) -> None:
        """`docker compose up --scale`, which leaves the other containers alone."""
        if replicas > MOST_REPLICAS:
            raise PageError(f"The page asks for {MOST_REPLICAS} replicas at most.", 400)
        if not _SERVICE.fullmatch(service):
            raise PageError(f"There is no service {service}.", 400)
        compose = ("compose", "-f", str(self._file), "-p", self._project)
        await _docker(*compose, "up", "-d", "--no-recreate", "--no-build", "--scale", f"{service}={replicas}", service)
        self._asked = -FRESH

    async def act(self, replica: str, action: str) -> None:
        """`docker kill` and its sisters."""
        if action not in ACTIONS:
            raise PageError(f"{action} is none of {', '.join(ACTIONS)}.", 400)
        if replica not in {each.name for each in self._places}:
            raise PageError(f"There is no replica {replica}.", 404)
        await _docker(ACTIONS[action], f"{self._project}-{replica}")
        self._asked = -FRESH

    async def examples(self) -> list[dict[str, Any]]:
        """Compose starts them, not the page."""
        return []

    async def change(self, example: str | None) -> None:
        """Not here."""
        raise PageError(str(self.can["example"]))


def _place(container: dict[str, Any]) -> Place:
    """A container as `docker inspect` tells of it."""
    labels, state = container["Config"]["Labels"], container["State"]
    service = labels[f"{_LABEL}.service"]
    networks = container["NetworkSettings"]["Networks"].values()
    address = next((each["IPAddress"] for each in networks if each["IPAddress"]), "")
    published = any(container["HostConfig"].get("PortBindings") or {})
    return Place(
        f"{service}-{labels[f'{_LABEL}.container-number']}",
        service,
        _state(state),
        FRONT_TIER if published else REPLICA_TIER,
        address,
        # The sidecars' admins listen on their containers' loopback.
        f"{address}:{ADMIN_PORT}" if published and address else "",
        (address,) if address else (),
    )


def _state(state: dict[str, Any]) -> str:
    if state["Status"] in ("created", "restarting"):
        return "starting"
    if state["Status"] == "paused":
        return "unhealthy"
    if state["Status"] != "running":
        return "stopped"
    health: str = state.get("Health", {}).get("Status", "healthy")
    return health if health in ("starting", "unhealthy") else "healthy"


async def _docker(*words: str) -> str:
    """What a docker command prints. Errors: PageError with its last line."""
    try:
        process = await asyncio.create_subprocess_exec(
            "docker", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise PageError(f"The docker command cannot be run: {error.strerror}.", 503) from None
    try:
        async with asyncio.timeout(PATIENCE):
            out, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise PageError(f"docker {words[0]} has not ended in {PATIENCE:.0f} seconds.", 503) from None
    if process.returncode:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        raise PageError(lines[-1] if lines else f"docker {words[0]} ended with {process.returncode}.")
    return out.decode("utf-8", "replace")
