"""One replica of a service: what a container would be. Its processes live and die together; a crash starts them again.

It must not know the other replicas, nor where names and addresses come from.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from envoymesh.sandbox.addresses import Placement
from envoymesh.sandbox.backoff import Backoff
from envoymesh.sandbox.compose import Service
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.health import STARTING, Health, Probe
from envoymesh.sandbox.process import Command, Process, Spawn

CREATED, RUNNING, RESTARTING, EXITED = "created", "running", "restarting", "exited"
# A replica that ends so often without ever having been healthy will not come up by itself.
HOPELESS_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Clock:
    """The time: `now` in seconds of a clock that never goes back, and `sleep` for so many seconds."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica consists of.

    Args:
        commands: the command of each process by its name, in start order.
        probe: its health check; None for none.
        sockets: every address and port that it will listen on, as far as its proxy configurations tell.
        wrote: the files that were written for it.
    """

    commands: Mapping[str, Command]
    probe: Probe | None
    sockets: tuple[tuple[str, int], ...] = ()
    wrote: tuple[Path, ...] = ()


class Replica:
    """A replica.

    Args:
        prepare: writes what the processes need, and says what they are; called before each start.
        changed: called after each change of `state` or `health`, with a line for people or an empty text.
    """

    def __init__(
        self,
        service: Service,
        index: int,
        placement: Placement,
        prepare: Callable[[Replica], Plan],
        changed: Callable[[Replica, str], None],
        spawn: Spawn,
        clock: Clock,
    ) -> None:
        self.service = service
        self.index = index
        self.placement = placement
        self.state = CREATED
        self.plan: Plan | None = None
        self._prepare = prepare
        self._changed = changed
        self._spawn = spawn
        self._clock = clock
        self._backoff = Backoff()
        self._pause = 0.0
        self._health = Health(service.healthcheck)
        self._processes: dict[str, Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = False
        self._settled = asyncio.Event()
        self._failure = ""

    def __repr__(self) -> str:
        return f"Replica({self.name}, {self.state}, {self.health})"

    @property
    def name(self) -> str:
        """The replica's name, which is its host name too: service1-1."""
        return f"{self.service.name}-{self.index}"

    @property
    def health(self) -> str:
        """Compose's word: starting, healthy, unhealthy; empty when it does not run or has no health check."""
        if self.state != RUNNING or self.plan is None or self.plan.probe is None:
            return ""
        return self._health.status

    @property
    def serves(self) -> bool:
        """Whether requests should come here: it runs, and has been healthy once or has no health check."""
        return self.state == RUNNING and self.health != STARTING

    def pids(self) -> dict[str, int]:
        """The running processes' ids, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def start(self) -> None:
        """Start the processes and watch over them from now on. Errors: SandboxError when they cannot be started."""
        if self.state in (RUNNING, RESTARTING):
            return
        self._backoff = Backoff()
        self._failure = ""
        self._wanted = True
        await self._launch()
        self._tasks.append(asyncio.create_task(self._watch(), name=f"watch {self.name}"))

    async def wait_until_healthy(self) -> None:
        """Wait for the first good health check. Errors: SandboxError when the replica ended or failed instead."""
        while not self.serves:
            if self._failure or self.state == EXITED:
                raise SandboxError(f"{self.name} does not come up: {self._failure or 'it was stopped'}")
            self._settled.clear()
            await self._settled.wait()

    async def stop(self) -> None:
        """Stop in order: SIGTERM to each process, the last started first, and SIGKILL after the service's grace."""
        await self._cancel_tasks()
        await self._end_processes()
        if self.state not in (CREATED, EXITED):
            self._become(EXITED, "stopped")

    async def kill(self) -> None:
        """End all processes at once."""
        await self._cancel_tasks()
        for process in self._processes.values():
            process.send_signal(signal.SIGKILL)
        await self._end_processes()
        self._become(EXITED, "killed")

    def pause(self) -> None:
        """Let the processes stand still. Errors: SandboxError where none runs."""
        self._signal_running(signal.SIGSTOP)
        self._report("paused")

    def resume(self) -> None:
        """Let them go on. Errors: SandboxError where none runs."""
        self._signal_running(signal.SIGCONT)
        self._report("goes on")

    def _signal_running(self, number: int) -> None:
        if self.state != RUNNING:
            raise SandboxError(f"{self.name} does not run")
        for process in self._processes.values():
            process.send_signal(number)

    def send_kill(self) -> None:
        """SIGKILL every process, and wait for nothing; none is started again."""
        self._wanted = False
        for process in self._processes.values():
            process.send_signal(signal.SIGKILL)

    # Inside

    def _become(self, state: str, line: str) -> None:
        self.state = state
        self._report(line)

    def _report(self, line: str) -> None:
        self._settled.set()
        self._changed(self, line)

    async def _launch(self) -> None:
        self.plan = self._prepare(self)
        self._health = Health(self.service.healthcheck)
        try:
            for name, command in self.plan.commands.items():
                self._processes[name] = await self._spawn(command)
        except SandboxError:
            await self._end_processes()
            self._become(EXITED, "cannot be started")
            raise
        self._become(RUNNING, "started")

    async def _watch(self) -> None:
        """Until cancelled: wait for a process to end, end the others, and start all again after a while."""
        while True:
            started = self._clock.now()
            checking = asyncio.create_task(self._check_health(started), name=f"health of {self.name}")
            try:
                name, code = await self._first_end()
            finally:
                checking.cancel()
            # At once, so that no name leads here any more while the other processes end.
            self._become(RESTARTING, "")
            line = f"{name} ended ({describe_exit(code)})"
            await self._end_processes()
            if not self._wanted or not self._may_restart(line, code, self._clock.now() - started):
                return
            await self._relaunch(line)

    def _may_restart(self, line: str, code: int, ran_for: float) -> bool:
        policy = self.service.restart
        pause = self._backoff.after(ran_for)
        if self._health.status == STARTING and self._backoff.failures >= HOPELESS_FAILURES:
            self._failure = f"{line} {HOPELESS_FAILURES} times before it was healthy{self._last_words()}"
        if policy == "no" or (policy == "on-failure" and code == 0):
            self._failure = self._failure or line + self._last_words()
            self._become(EXITED, line)
            return False
        self._pause = pause
        self._become(RESTARTING, f"{line}; starting again in {pause:.1f} s")
        return True

    async def _relaunch(self, line: str) -> None:
        while True:
            await self._clock.sleep(self._pause)
            try:
                await self._launch()
                return
            except SandboxError as error:
                self._pause = self._backoff.after(0.0)
                self._become(RESTARTING, f"{error}; trying again in {self._pause:.1f} s")

    async def _first_end(self) -> tuple[str, int]:
        """The name and exit code of the process that ends first."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        first = min(done, key=lambda each: list(waits).index(each))
        return waits[first], first.result()

    async def _end_processes(self) -> None:
        for name, process in reversed(list(self._processes.items())):
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self.service.grace):
                    await process.wait()
            except TimeoutError:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            # Also to processes that it has started and that outlived it.
            process.send_signal(signal.SIGKILL)
            del self._processes[name]

    async def _cancel_tasks(self) -> None:
        self._wanted = False
        tasks, self._tasks = self._tasks, []
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _check_health(self, started: float) -> None:
        probe = self.plan.probe if self.plan else None
        while probe is not None:
            before = self._health.status
            self._health.observe(await probe(), self._clock.now() - started)
            if self._health.status != before:
                self._report(f"is {self._health.status}")
            await self._clock.sleep(self._health.pause())

    def _last_words(self) -> str:
        """The last line that the processes wrote, to be shown after the message of their end."""
        log = next(iter(self.plan.commands.values())).log if self.plan else None
        lines = log.read_text(errors="replace").split("\n") if log and log.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f": {last.strip()}" if last else ""


def describe_exit(code: int) -> str:
    """An exit code in words: status 1, signal SIGKILL."""
    if code >= 0:
        return f"status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
