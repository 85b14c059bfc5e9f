import asyncio
import os
import socket
from collections.abc import Coroutine
from pathlib import Path

import pytest

from envoymesh.sandbox.addresses import AddressPlan
from envoymesh.sandbox.compose import Project, load
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.preparation import Preparation, check_sockets
from envoymesh.sandbox.process import spawn
from envoymesh.sandbox.replica import Clock
from envoymesh.sandbox.show import banner, table
from envoymesh.sandbox.state import State
from envoymesh.sandbox.supervisor import Supervisor
from tests.support.ports import unclaimed_port

COMPOSE = """
x-envoymesh: {network: 127.200.0.0/16}
services:
  front:
    ports: ["%(port)d:8080"]
    depends_on: {app: {condition: service_healthy}}
    restart: always
    x-envoymesh:
      processes: {main: [sleep, "60"]}
      configs: {/etc/front.yaml: front.yaml}
      generated: {/etc/made: [mkdir]}
      try: [curl it]
  app:
    restart: always
    healthcheck: {test: [CMD, "true"], interval: 10s, timeout: 10s}
    x-envoymesh:
      processes: {main: [sh, -c, "echo $$HOSTNAME $$CARES_HOSTS; exec sleep 60"]}
"""
FRONT = """
static_resources:
  listeners: [{name: http, address: {socket_address: {address: 0.0.0.0, port_value: 8080}}, made: /etc/made/key}]
  clusters: [{name: app, dns_refresh_rate: 3s}]
"""


class Mesh:
    """A supervisor of a small project in a folder, with a clock whose long sleeps are only written down."""

    def __init__(self, folder: Path) -> None:
        self.port = unclaimed_port()
        (folder / "docker-compose.yaml").write_text(COMPOSE % {"port": self.port})
        (folder / "front.yaml").write_text(FRONT)
        self.state = State(folder / "state")
        self.slept: list[float] = []
        self.lines: list[str] = []

    def project(self) -> Project:
        return load(self.state.folder.parent / "docker-compose.yaml", {})

    def supervisor(self, **scale: int) -> Supervisor:
        project = self.project()
        preparation = Preparation(project, self.state, {"PATH": "/usr/bin:/bin"})
        plan = AddressPlan(project, ipv6=False)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            # A check's pause lasts for ever: the first check is all that these tests need.
            await asyncio.sleep(1e6 if seconds == 10.0 else 0)

        clock = Clock(asyncio.get_running_loop().time, sleep)
        return Supervisor(project, plan, preparation, scale, spawn, clock, self.lines.append)

    def hosts(self, replica: str) -> list[str]:
        return (self.state.replicas / replica / "hosts").read_text().splitlines()[1:]


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    made = Mesh(tmp_path)
    os.close(made.state.acquire())
    return made


def run(scenario: Coroutine[None, None, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(limited())


def states(supervisor: Supervisor) -> dict[str, str]:
    return {row["Name"]: row["State"] for row in supervisor.rows()}


def test_up_starts_what_others_need_first_and_down_stops_them_last(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor()
        await supervisor.up()
        assert mesh.lines == ["app-1: started", "app-1: is healthy", "front-1: started"]
        assert mesh.hosts("front-1") == ["127.0.0.1 front-1", "127.200.1.1 app"]
        assert mesh.hosts("app-1") == ["127.200.1.1 app-1", "127.0.0.1 front"]
        await supervisor.down()
        assert mesh.lines[3:] == ["front-1: stopped", "app-1: stopped"]
        assert mesh.hosts("front-1") == ["127.0.0.1 front-1"]

    run(scenario())


def test_what_is_generated_and_adapted_is_shown(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor()
        await supervisor.up()
        text = (mesh.state.replicas / "front-1" / "front.yaml").read_text()
        assert f"port_value: {mesh.port}" in text
        assert str(mesh.state.generated / "front" / "made" / "key") in text
        assert (mesh.state.generated / "front" / "made").is_dir()
        shown = banner(supervisor, mesh.state)
        for part in ("curl it", "envoymesh scale app=3", f"127.0.0.1:{mesh.port}", "running (healthy)", "front.yaml"):
            assert part in shown
        assert table(supervisor.rows()).splitlines()[0].split() == ["NAME", "STATE", "LISTENS", "ON", "PIDS"]
        await supervisor.down()

    run(scenario())


def test_processes_know_their_name_and_their_hosts(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor(app=2)
        await supervisor.up()
        log = mesh.state.log("app-2")
        while not (log.exists() and log.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
        assert log.read_text().split() == ["app-2", str(mesh.state.replicas / "app-2" / "hosts")]
        await supervisor.down()

    run(scenario())


def test_scaling_up_names_the_new_replicas(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor()
        await supervisor.up()
        await supervisor.scale("app", 3)
        assert list(states(supervisor)) == ["front-1", "app-1", "app-2", "app-3"]
        assert mesh.hosts("front-1")[1:] == [f"127.200.1.{index} app" for index in (1, 2, 3)]
        await supervisor.down()

    run(scenario())


def test_scaling_down_takes_the_name_first_and_the_replica_when_everyone_has_seen_it(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor(app=3)
        await supervisor.up()
        mesh.lines.clear()
        seen: list[tuple[list[str], list[str]]] = []

        class Recorder(list[float]):
            def append(self, seconds: float) -> None:
                seen.append((mesh.hosts("front-1")[1:], list(mesh.lines)))
                super().append(seconds)

        mesh.slept = Recorder()
        await supervisor.scale("app", 1)
        assert seen[0] == (["127.200.1.1 app"], [])
        assert mesh.slept[0] == 3.5
        assert sorted(mesh.lines) == ["app-2: stopped", "app-3: stopped"]
        assert list(states(supervisor)) == ["front-1", "app-1"]
        await supervisor.down()

    run(scenario())


def test_scaling_starts_what_was_killed(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor(app=2)
        await supervisor.up()
        await supervisor.kill("app-1")
        assert states(supervisor)["app-1"] == "exited"
        assert mesh.hosts("front-1")[1:] == ["127.200.1.2 app"]
        await supervisor.scale("app", 2)
        assert states(supervisor) == {"front-1": "running", "app-1": "running", "app-2": "running"}
        await supervisor.down()

    run(scenario())


def test_stop_and_start_of_one_replica(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor()
        await supervisor.up()
        await supervisor.stop("front-1")
        assert states(supervisor)["front-1"] == "exited"
        await supervisor.start("front-1")
        assert states(supervisor)["front-1"] == "running"
        await supervisor.down()

    run(scenario())


def test_names_that_are_not_there(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor()
        with pytest.raises(SandboxError, match="there is no replica x; there are front-1, app-1"):
            await supervisor.stop("x")
        with pytest.raises(SandboxError, match="there is no service x; there are front, app"):
            await supervisor.scale("x", 1)
        with pytest.raises(SandboxError, match="it cannot have 2 replicas"):
            mesh.supervisor(front=2)

    run(scenario())


def test_a_busy_port_is_one_line_and_nothing_is_started(mesh: Mesh) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", mesh.port)):
            expected = rf"^front-1 cannot listen on 127\.0\.0\.1:{mesh.port}: it is in use\. Is another mesh running\?"
            with pytest.raises(SandboxError, match=expected):
                await mesh.supervisor().up()
        assert mesh.lines == []

    run(scenario())


def test_a_missing_configuration_is_one_line(mesh: Mesh) -> None:
    (mesh.state.folder.parent / "front.yaml").unlink()

    async def scenario() -> None:
        with pytest.raises(SandboxError, match=r"front\.yaml: cannot read the configuration: No such file"):
            await mesh.supervisor().up()

    run(scenario())


def test_a_generator_that_fails_says_why(mesh: Mesh) -> None:
    async def scenario() -> None:
        supervisor = mesh.supervisor()
        (mesh.state.generated / "front" / "made").mkdir(parents=True)
        with pytest.raises(SandboxError, match=r"^front: `mkdir .*` failed: mkdir: .*File exists"):
            await supervisor.up()

    run(scenario())


def test_an_address_that_the_machine_does_not_have_says_what_to_do() -> None:
    # TEST-NET-1 (RFC 5737) is nobody's.
    with pytest.raises(SandboxError, match=r"192\.0\.2\.1 is not an address of this machine.*ifconfig lo0 alias"):
        check_sockets([("192.0.2.1", 8080)], "app-1")
