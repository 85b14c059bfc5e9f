import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from envoymesh.sandbox.addresses import Placement
from envoymesh.sandbox.compose import HealthCheck, Service
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.process import Command, Process
from envoymesh.sandbox.replica import EXITED, RESTARTING, RUNNING, Clock, Plan, Replica, describe_exit

SERVICE = Service("app", {"app": ("app",), "sidecar": ("sidecar",)}, restart="unless-stopped", grace=0.02)


class FakeProcess:
    """Ends when the test says so, or at SIGTERM unless it is stubborn, or at SIGKILL."""

    def __init__(self, machine: "Machine", name: str) -> None:
        self.name = name
        self.pid = len(machine.started)
        self._machine = machine
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(self, code: int) -> None:
        if not self._code.done():
            self._machine.ended.append((self.name, code))
            self._code.set_result(code)

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    def send_signal(self, number: int) -> None:
        if number == signal.SIGKILL or self.name not in self._machine.stubborn:
            self.end(-number)


@dataclass
class Machine:
    """A machine that runs fake processes, with a clock that a sleep moves on."""

    log: Path
    now: float = 0.0
    started: list[FakeProcess] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    well: bool = True

    async def spawn(self, command: Command) -> Process:
        name = command.words[0]
        if name in self.broken:
            raise SandboxError(f"cannot run {name}")
        process = FakeProcess(self, name)
        self.started.append(process)
        return process

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def probe(self) -> bool:
        return self.well

    def replica(self, service: Service = SERVICE) -> Replica:
        commands = {name: Command([name], {}, Path("/"), self.log) for name in service.processes}
        checked = service.healthcheck.test != ("NONE",)
        plan = Plan(commands, self.probe if checked else None)
        return Replica(
            service,
            2,
            Placement("127.0.1.2", {}),
            lambda _: plan,
            lambda _, line: self.lines.append(line),
            self.spawn,
            Clock(lambda: self.now, self.sleep),
        )

    def last(self, name: str) -> FakeProcess:
        return next(each for each in reversed(self.started) if each.name == name)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "log")


def run(scenario: Coroutine[None, None, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await scenario

    asyncio.run(limited())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_processes_start_in_order_and_stop_in_the_reverse_order(machine: Machine) -> None:
    async def scenario() -> None:
        replica = machine.replica()
        await replica.start()
        assert [each.name for each in machine.started] == ["app", "sidecar"]
        assert (replica.name, replica.state, replica.health, replica.serves) == ("app-2", RUNNING, "", True)
        assert replica.pids() == {"app": 0, "sidecar": 1}
        await replica.stop()
        assert machine.ended == [("sidecar", -15), ("app", -15)]
        assert replica.state == EXITED
        assert replica.pids() == {}
        assert machine.lines == ["started", "stopped"]

    run(scenario())


def test_what_does_not_stop_in_time_is_killed(machine: Machine) -> None:
    machine.stubborn.add("sidecar")

    async def scenario() -> None:
        replica = machine.replica()
        await replica.start()
        await replica.stop()
        assert machine.ended == [("sidecar", -9), ("app", -15)]

    run(scenario())


def test_a_crash_ends_the_others_and_starts_all_again_with_back_off(machine: Machine) -> None:
    async def scenario() -> None:
        replica = machine.replica()
        await replica.start()
        for crash in range(1, 4):
            machine.last("sidecar").end(1)
            await until(lambda crash=crash: len(machine.started) == 2 * (crash + 1))
        assert machine.slept == [0.1, 0.2, 0.4]
        assert machine.ended[:2] == [("sidecar", 1), ("app", -15)]
        assert "sidecar ended (status 1); starting again in 0.1 s" in machine.lines
        machine.now += 60
        machine.last("app").end(-9)
        await until(lambda: len(machine.started) == 10)
        assert machine.slept[3:] == [0.1]
        await replica.stop()

    run(scenario())


def test_no_name_leads_to_a_replica_that_restarts(machine: Machine) -> None:
    machine.stubborn.add("app")

    async def scenario() -> None:
        replica = machine.replica(replace(SERVICE, grace=5.0))
        await replica.start()
        machine.last("sidecar").end(1)
        await until(lambda: replica.state == RESTARTING)
        assert not replica.serves
        machine.last("app").end(0)
        await until(lambda: replica.serves)
        machine.stubborn.clear()
        await replica.stop()

    run(scenario())


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [("no", 1, False), ("on-failure", 0, False), ("on-failure", 1, True), ("always", 0, True)],
)
def test_restart_policies(machine: Machine, policy: str, code: int, restarts: bool) -> None:
    async def scenario() -> None:
        replica = machine.replica(replace(SERVICE, restart=policy))
        await replica.start()
        machine.last("app").end(code)
        await until(lambda: len(machine.started) == 4 if restarts else replica.state == EXITED)
        await replica.stop()

    run(scenario())


def checked() -> Service:
    return replace(SERVICE, healthcheck=HealthCheck(("CMD", "check"), interval=1.0, retries=2, start_period=0.0))


def test_it_serves_from_its_first_good_check_on(machine: Machine) -> None:
    machine.well = False

    async def scenario() -> None:
        replica = machine.replica(replace(checked(), healthcheck=replace(checked().healthcheck, start_period=1e9)))
        await replica.start()
        waiting = asyncio.create_task(replica.wait_until_healthy())
        await until(lambda: len(machine.slept) > 3)
        assert (replica.health, replica.serves, waiting.done()) == ("starting", False, False)
        machine.well = True
        await waiting
        assert (replica.health, replica.serves) == ("healthy", True)
        assert "is healthy" in machine.lines
        await replica.stop()
        assert replica.health == ""

    run(scenario())


def test_waiting_for_what_never_comes_up_ends_with_its_last_words(machine: Machine) -> None:
    machine.well = False
    machine.log.write_text("one\nbad configuration\n\n")

    async def scenario() -> None:
        replica = machine.replica(replace(checked(), healthcheck=replace(checked().healthcheck, start_period=1e9)))
        await replica.start()

        async def crash() -> None:
            for _ in range(3):
                machine.last("app").end(1)
                count = len(machine.started)
                await until(lambda count=count: len(machine.started) > count)

        crashing = asyncio.create_task(crash())
        expected = r"app-2 does not come up: app ended \(status 1\) 3 times before it was healthy: bad configuration"
        with pytest.raises(SandboxError, match=expected):
            await replica.wait_until_healthy()
        await crashing
        await replica.stop()

    run(scenario())


def test_waiting_for_what_is_stopped_ends(machine: Machine) -> None:
    machine.well = False

    async def scenario() -> None:
        replica = machine.replica(replace(checked(), healthcheck=replace(checked().healthcheck, start_period=1e9)))
        await replica.start()
        waiting = asyncio.create_task(replica.wait_until_healthy())
        await asyncio.sleep(0)
        await replica.stop()
        with pytest.raises(SandboxError, match="it was stopped"):
            await waiting

    run(scenario())


def test_a_killed_replica_stays_down_until_it_is_started(machine: Machine) -> None:
    async def scenario() -> None:
        replica = machine.replica()
        await replica.start()
        await replica.kill()
        assert {code for _, code in machine.ended} == {-9}
        assert (replica.state, machine.lines[-1]) == (EXITED, "killed")
        await replica.start()
        assert replica.state == RUNNING
        await replica.stop()

    run(scenario())


def test_after_send_kill_nothing_is_started_again(machine: Machine) -> None:
    async def scenario() -> None:
        replica = machine.replica()
        await replica.start()
        replica.send_kill()
        await until(lambda: not replica.pids())
        await replica.stop()
        assert len(machine.started) == 2

    run(scenario())


def test_a_program_that_is_not_there_leaves_nothing_running(machine: Machine) -> None:
    machine.broken.add("sidecar")

    async def scenario() -> None:
        replica = machine.replica()
        with pytest.raises(SandboxError, match="cannot run sidecar"):
            await replica.start()
        assert machine.ended == [("app", -15)]
        assert replica.state == EXITED

    run(scenario())


def test_a_restart_that_cannot_be_made_is_tried_again(machine: Machine) -> None:
    async def scenario() -> None:
        replica = machine.replica()
        await replica.start()
        machine.broken.add("app")
        machine.last("app").end(1)
        await until(lambda: len(machine.slept) >= 3)
        assert machine.slept[:3] == [0.1, 0.2, 0.4]
        machine.broken.clear()
        await until(lambda: replica.state == RUNNING)
        await replica.stop()

    run(scenario())


@pytest.mark.parametrize(("code", "words"), [(3, "status 3"), (-9, "signal SIGKILL"), (-1000, "signal 1000")])
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


_: Callable[[Command], Awaitable[Process]] = Machine(Path()).spawn
