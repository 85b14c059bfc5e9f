"""How the commands reach a running mesh: one JSON line each way over a Unix socket in the state folder.

It must not know what the commands do.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from envoymesh.sandbox.errors import SandboxError

LARGEST_LINE = 1 << 20

Handler = Callable[..., Awaitable[Any]]
"""Does one command, whose arguments come as keywords; returns what JSON can hold. Errors: SandboxError."""


class ControlServer:
    """Takes commands: `handlers` by the command's name."""

    def __init__(self, path: Path, handlers: dict[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Only this user may connect."""
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LARGEST_LINE)
        finally:
            os.umask(before)

    def close(self) -> None:
        """Listen no more; the socket's file goes too."""
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await reader.readline())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            # The client has gone, or sent no command; or the mesh ends, where Python 3.11 prints a cancelled handler.
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        handler = self._handlers.get(request.pop("command", ""))
        if handler is None:
            return {"error": "unknown command"}
        try:
            return {"result": await handler(**request)}
        except SandboxError as error:
            return {"error": str(error)}


def ask(path: Path, command: str, **arguments: Any) -> Any:
    """Have a running mesh do a command, and wait for its result.

    Errors: ConnectionError or FileNotFoundError when none listens; SandboxError with the mesh's own words.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
        with connection.makefile("rb") as file:
            line = file.readline()
    if not line:
        raise ConnectionResetError("the mesh ended while it was asked")
    answer = json.loads(line)
    if "error" in answer:
        raise SandboxError(answer["error"])
    return answer["result"]
