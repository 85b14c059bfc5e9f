"""What runs the mesh, as the page sees it: a supervisor behind its control socket, or a name service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from envoymesh.page import by_name
from envoymesh.page.by_name import NamedRuntime
from envoymesh.page.command import run
from envoymesh.page.embedded import EmbeddedRuntime
from envoymesh.page.errors import PageError
from envoymesh.sandbox.control import ControlServer
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.state import State

SERVICES = {
    "front": {"published": [8080], "configs": {"/etc/envoy.yaml": "front.yaml"}, "checks": []},
    "app": {"published": [], "configs": {"/etc/side.yaml": "side.yaml"}, "checks": ["/healthz"]},
}
ADMIN = "admin: { address: { socket_address: { address: 127.0.1.1, port_value: 8001 } } }"


def row(service: str, state: str = "running", health: str = "healthy") -> dict[str, Any]:
    sockets = ["127.0.1.1:8001", "127.0.1.1:8000"]
    return {"Name": f"{service}-1", "Service": service, "State": state, "Health": health, "Address": "127.0.1.1",
            "Sockets": sockets, "Pids": {}}  # fmt: skip


class Supervised:
    """A control socket whose supervisor remembers what it was told."""

    def __init__(self, folder: Path) -> None:
        self.state = State(folder)
        self.rows = [row("front"), row("app"), row("page")]
        self.told: list[Any] = []
        self.server = ControlServer(
            self.state.control,
            {
                "about": self._about,
                "rows": self._rows,
                "scale": self._scale,
                "kill": self._kill,
                "change": self._change,
            },
        )

    async def _about(self) -> dict[str, Any]:
        file = str(self.state.folder / "docker-compose.yaml")
        return {"folder": str(self.state.folder), "file": file, "example": "mirror", "services": SERVICES}

    async def _rows(self) -> list[Any]:
        return self.rows

    async def _scale(self, name: str, count: int) -> None:
        if name != "app":
            raise SandboxError(f"there is no service {name}")
        self.told.append((name, count))

    async def _kill(self, name: str) -> None:
        self.told.append(name)

    async def _change(self, example: str | None) -> None:
        self.told.append(example)


def test_the_supervisors_mesh(tmp_path: Path) -> None:
    async def test() -> None:
        mesh = Supervised(tmp_path)
        await mesh.server.start()
        copy = tmp_path / "replicas/app-1/side.yaml"
        copy.parent.mkdir(parents=True)
        copy.write_text(ADMIN)
        (tmp_path / "side.yaml").write_text("admin: {}")
        runtime = EmbeddedRuntime(mesh.state)
        front, app = await runtime.places()
        assert (front.name, front.tier, front.admin, front.text) == ("front-1", 1, "", "")
        assert (app.tier, app.admin, app.listens) == (2, "127.0.1.1:8001", ("127.0.1.1:8000", "127.0.1.1:8001"))
        assert (app.source, app.text, app.runs, app.checks) == ("side.yaml", "admin: {}", str(copy), ("/healthz",))
        assert runtime.example == "mirror"
        copy.write_text("admin: [")
        assert (await runtime.places())[1].admin == ""
        await runtime.scale("app", 3)
        await runtime.act("app-1", "kill")
        await runtime.change(None)
        assert mesh.told == [("app", 3), "app-1", None]
        for wrong, words in (
            (runtime.scale("none", 1), "There is no service none."),
            (runtime.scale("app", 101), "100 replicas at most"),
            (runtime.act("app-1", "down"), "down is none of"),
        ):
            with pytest.raises(PageError, match=words):
                await wrong
        mesh.server.close()
        with pytest.raises(PageError, match="The mesh does not run"):
            await runtime.places()

    asyncio.run(test())


@pytest.mark.parametrize(
    ("state", "health", "expected"),
    [
        ("running", "healthy", "healthy"),
        ("running", "", "healthy"),
        ("running", "starting", "starting"),
        ("running", "unhealthy", "unhealthy"),
        ("restarting", "", "starting"),
        ("created", "", "starting"),
        ("exited", "", "stopped"),
    ],
)
def test_states(tmp_path: Path, state: str, health: str, expected: str) -> None:
    async def test() -> None:
        mesh = Supervised(tmp_path)
        mesh.rows = [row("app", state, health)]
        await mesh.server.start()
        assert (await EmbeddedRuntime(mesh.state).places())[0].state == expected
        mesh.server.close()

    asyncio.run(test())


def test_the_name_services_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"front": ["10.0.0.2"], "app": ["10.0.0.3", "10.0.0.4"]}

    async def addresses(name: str) -> list[str]:
        return names.get(name, [])

    async def test() -> None:
        monkeypatch.setattr(by_name, "_addresses", addresses)
        runtime = NamedRuntime(["front", "app", "gone"])
        front, *apps = await runtime.places()
        assert (front.name, front.tier, front.admin) == ("front-1", 1, "10.0.0.2:8001")
        assert [(each.name, each.address, each.admin) for each in apps] == [
            ("app-1", "10.0.0.3", ""),
            ("app-2", "10.0.0.4", ""),
        ]
        names["app"] = ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
        found = {each.address: each.name for each in await runtime.places()}
        assert found == {"10.0.0.2": "front-1", "10.0.0.4": "app-2", "10.0.0.5": "app-1", "10.0.0.6": "app-3"}
        assert {name for name, reason in runtime.can.items() if reason is None} == {"faults", "runtime"}
        for refused in (runtime.scale("app", 2), runtime.act("app-1", "kill"), runtime.change("mirror")):
            with pytest.raises(PageError, match="Type: docker"):
                await refused

    asyncio.run(test())


def test_a_command_that_cannot_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = State(tmp_path)
    assert run(state, [], "http://127.0.0.1:0", "") == 1
    assert "no mesh is running" in capsys.readouterr().err
    for wrong in ("8002", "https://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:99999"):
        assert run(state, ["front"], wrong, "") == 1
        assert "is not http://ADDRESS:PORT" in capsys.readouterr().err
