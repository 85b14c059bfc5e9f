"""The mesh of `envoymesh up`: what its supervisor tells over the control socket. It must not start a process itself."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from envoymesh.page.errors import PageError
from envoymesh.page.runtime import CHANGES, FRONT_TIER, REPLICA_TIER, Place
from envoymesh.sandbox.control import LARGEST_LINE
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.examples import find_all
from envoymesh.sandbox.state import State

ACTIONS = ("kill", "stop", "start", "pause", "resume")
MOST_REPLICAS = 100
ANSWER_LIMIT = 120.0
"""Seconds; the supervisor answers when what it was asked for is done."""


class EmbeddedRuntime:
    """A MeshRuntime over a supervisor."""

    kind = "embedded"
    can: Mapping[str, str | None] = dict.fromkeys(CHANGES)

    def __init__(self, state: State) -> None:
        self._state = state
        self._about: dict[str, Any] = {}
        self._admins: dict[Path, tuple[int, str]] = {}

    @property
    def example(self) -> str | None:
        """As of the last look."""
        found: str | None = self._about.get("example")
        return found

    async def places(self) -> list[Place]:
        """Ask the supervisor."""
        self._about = await self._ask("about")
        services = self._about["services"]
        rows = await self._ask("rows")
        return [self._place(row, services[row["Service"]]) for row in rows if row["Service"] in services]

    def _place(self, row: dict[str, Any], service: dict[str, Any]) -> Place:
        source = next(iter(service["configs"].values()), "")
        admin = self._admin(row["Name"], service)
        return Place(
            row["Name"],
            row["Service"],
            _state(row["State"], row["Health"]),
            FRONT_TIER if service["published"] else REPLICA_TIER,
            row["Address"],
            admin,
            _with_admin_last(row["Sockets"], admin),
            source=source,
            text=self._text(source),
            runs=self._runs(row["Name"], service),
            checks=tuple(service["checks"]),
        )

    def _admin(self, name: str, service: dict[str, Any]) -> str:
        """Where a replica's proxy has its admin, from the configuration that runs."""
        for target in service["configs"]:
            file = self._copy(name, target)
            try:
                changed = file.stat().st_mtime_ns
                if self._admins.get(file, (0, ""))[0] != changed:
                    self._admins[file] = changed, _admin_of(file.read_text(encoding="utf-8"))
            except OSError:
                continue
            if self._admins[file][1]:
                return self._admins[file][1]
        return ""

    def _runs(self, name: str, service: dict[str, Any]) -> str:
        return next((str(self._copy(name, target)) for target in service["configs"]), "")

    def _copy(self, name: str, target: str) -> Path:
        return self._state.replicas / name / Path(target).name

    def _text(self, source: str) -> str:
        path = Path(self._about["folder"]) / source
        try:
            return path.read_text(encoding="utf-8") if source else ""
        except OSError:
            return ""

    async def scale(self, service: str, replicas: int) -> None:
        """`envoymesh scale`."""
        if replicas > MOST_REPLICAS:
            raise PageError(f"The page asks for {MOST_REPLICAS} replicas at most.", 400)
        await self._ask("scale", name=service, count=replicas)

    async def act(self, replica: str, action: str) -> None:
        """`envoymesh kill` and its sisters."""
        if action not in ACTIONS:
            raise PageError(f"{action} is none of {', '.join(ACTIONS)}.", 400)
        await self._ask(action, name=replica)

    async def examples(self) -> list[dict[str, Any]]:
        """Those beside the description."""
        if not self._about:
            self._about = await self._ask("about")
        try:
            found = await asyncio.to_thread(find_all, Path(self._about["file"]), os.environ)
        except SandboxError as error:
            raise PageError(str(error)) from None
        return [{"name": each.name, "title": each.title, "watch": list(each.watch)} for each in found]

    async def change(self, example: str | None) -> None:
        """Run it in the place of what runs."""
        await self._ask("change", example=example)

    async def _ask(self, command: str, **arguments: Any) -> Any:
        """What `sandbox.control.ask` does, without holding up others meanwhile."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                answer = await self._exchange(json.dumps({"command": command, **arguments}).encode() + b"\n")
        except (OSError, asyncio.IncompleteReadError, ValueError):
            raise PageError("The mesh does not run.", 503) from None
        except TimeoutError:
            raise PageError(f"The mesh has not done it in {ANSWER_LIMIT:.0f} seconds ({command}).", 503) from None
        if "error" in answer:
            raise PageError(f"{answer['error'][:1].upper()}{answer['error'][1:]}.")
        return answer["result"]

    async def _exchange(self, line: bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self._state.control), limit=LARGEST_LINE)
        try:
            writer.write(line)
            answer: dict[str, Any] = json.loads(await reader.readuntil(b"\n"))
            return answer
        finally:
            writer.close()


def _state(state: str, health: str) -> str:
    if state == "running":
        return health or "healthy"
    return "starting" if state in ("created", "restarting") else "stopped"


def _with_admin_last(sockets: list[str], admin: str) -> tuple[str, ...]:
    """What clients come to is what people look for."""
    return tuple(sorted(sockets, key=lambda each: each == admin))


def _admin_of(text: str) -> str:
    try:
        socket = yaml.safe_load(text)["admin"]["address"]["socket_address"]
        return f"{socket['address']}:{socket['port_value']}"
    except (yaml.YAMLError, KeyError, TypeError):
        return ""
