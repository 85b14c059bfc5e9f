import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from envoymesh.sandbox.control import ControlServer, ask
from envoymesh.sandbox.errors import SandboxError


async def double(number: int) -> int:
    return 2 * number


async def refuse() -> None:
    raise SandboxError("not today")


def served(path: Path, *questions: tuple[str, dict[str, Any]]) -> list[Any]:
    """The answers of a server to questions; an error is its text."""

    def one(command: str, arguments: dict[str, Any]) -> Any:
        try:
            return ask(path, command, **arguments)
        except SandboxError as error:
            return f"error: {error}"

    async def run() -> list[Any]:
        server = ControlServer(path, {"double": double, "refuse": refuse})
        await server.start()
        try:
            assert path.stat().st_mode & 0o077 == 0
            return [await asyncio.to_thread(one, *question) for question in questions]
        finally:
            server.close()

    return asyncio.run(run())


def test_results_and_errors_reach_who_asked(tmp_path: Path) -> None:
    questions = (("double", {"number": 4}), ("refuse", {}), ("nothing", {}))
    assert served(tmp_path / "s", *questions) == [8, "error: not today", "error: unknown command"]
    assert not (tmp_path / "s").exists()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "s", "double")


def test_a_server_that_ends_while_it_is_asked(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        async def run() -> None:
            asking = asyncio.create_task(asyncio.to_thread(ask, tmp_path / "s", "double"))
            connection = (await asyncio.to_thread(listener.accept))[0]
            connection.recv(100)
            connection.close()
            await asking

        with pytest.raises(ConnectionResetError):
            asyncio.run(run())
