"""The running mesh: its replicas, in the order in which they depend on each other, and the names that lead to them.

It must not know how it is asked (a terminal, a control socket), nor print.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from envoymesh.sandbox.adaptation import DEFAULT_REFRESH_SECONDS, refresh_seconds
from envoymesh.sandbox.addresses import AddressPlan
from envoymesh.sandbox.compose import Project, Service
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.hosts import hosts_text, names_for
from envoymesh.sandbox.preparation import Preparation, check_sockets
from envoymesh.sandbox.process import Spawn
from envoymesh.sandbox.replica import RESTARTING, RUNNING, Clock, Replica
from envoymesh.sandbox.state import write

# After the proxies' refresh interval: the refresh itself takes a moment too.
REFRESH_MARGIN_SECONDS = 0.5


class Row(TypedDict):
    """One replica as `ps` shows it, with Compose's keys; `Pids` by process."""

    Name: str
    Service: str
    State: str
    Health: str
    Address: str
    Sockets: list[str]
    Pids: dict[str, int]


class Supervisor:
    """The mesh.

    Args:
        scale: replicas by service, where it is not the description's number.
        say: takes a line for people about what happened.
    """

    def __init__(
        self,
        project: Project,
        plan: AddressPlan,
        preparation: Preparation,
        scale: Mapping[str, int],
        spawn: Spawn,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self.project = project
        self._plan = plan
        self._preparation = preparation
        self._spawn = spawn
        self._clock = clock
        self._say = say
        self._replicas: dict[str, Replica] = {}
        self._leaving: set[str] = set()
        self._hosts: dict[str, str] = {}
        self._busy = asyncio.Lock()
        self._closing = False
        for name, count in scale.items():
            self._plan.check_scale(self._service(name), count)
        for service in project.services.values():
            self._add(service, range(1, scale.get(service.name, service.replicas) + 1))

    # Commands

    async def up(self) -> None:
        """Start everything, each service when those it depends on are healthy. Errors: SandboxError."""
        async with self._busy:
            await self._generate()
            replicas = list(self._replicas.values())
            for each in replicas:
                check_sockets(self._preparation.plan(each).sockets, each.name)
            for service in self.project.in_start_order():
                own = [each for each in replicas if each.service is service]
                await self._wait(each for each in replicas if service.dependencies.get(each.service.name))
                await self._start(own)
            await self._wait(replicas)

    async def scale(self, name: str, count: int) -> None:
        """Run so many replicas of a service: new ones are healthy on return, those that left lost no request."""
        async with self._busy:
            service = self._service(name)
            self._plan.check_scale(service, count)
            own = [each for each in self._replicas.values() if each.service is service]
            await self._remove(own[count:])
            taken = {each.index for each in own}
            free = [index for index in range(1, count + 1) if index not in taken]
            self._add(service, free[: max(0, count - len(own))])
            wanted = [each for each in self._replicas.values() if each.service is service]
            await self._start(each for each in wanted if each.state not in (RUNNING, RESTARTING))
            await self._wait(wanted)

    async def start(self, name: str) -> None:
        """Start a replica that was stopped or killed; it is healthy on return."""
        async with self._busy:
            replica = self._replica(name)
            await self._start([replica])
            await self._wait([replica])

    async def stop(self, name: str) -> None:
        """Stop a replica; it stays in the mesh and can be started again."""
        async with self._busy:
            await self._replica(name).stop()

    async def kill(self, name: str) -> None:
        """End a replica at once, likewise."""
        async with self._busy:
            await self._replica(name).kill()

    async def pause(self, name: str) -> None:
        """Let a replica stand still: it accepts, and answers nothing."""
        self._replica(name).pause()

    async def resume(self, name: str) -> None:
        """Let it go on."""
        self._replica(name).resume()

    async def down(self) -> None:
        """Stop everything, each service before those it depends on. What is being started or waited for fails."""
        self._closing = True
        for service in reversed(self.project.in_start_order()):
            await asyncio.gather(*(each.stop() for each in self._replicas.values() if each.service is service))

    def send_kill(self) -> None:
        """End every process at once, and wait for nothing."""
        for each in self._replicas.values():
            each.send_kill()

    def rows(self) -> list[Row]:
        """The replicas, in the description's order."""
        return [_row(each) for each in self._replicas.values()]

    def written(self) -> list[str]:
        """The files that were generated for the replicas."""
        files = []
        for each in self._replicas.values():
            files += [str(self._preparation.hosts(each)), *map(str, each.plan.wrote if each.plan else ())]
        return files

    # Inside

    def _service(self, name: str) -> Service:
        if name not in self.project.services:
            raise SandboxError(f"there is no service {name}; there are {', '.join(self.project.services)}")
        return self.project.services[name]

    def _replica(self, name: str) -> Replica:
        if name not in self._replicas:
            raise SandboxError(f"there is no replica {name}; there are {', '.join(self._replicas)}")
        return self._replicas[name]

    def _add(self, service: Service, indexes: Iterable[int]) -> None:
        for index in indexes:
            placement = self._plan.placement(service, index)
            made = Replica(service, index, placement, self._preparation.plan, self._on_change, self._spawn, self._clock)
            self._replicas[made.name] = made
        order = list(self.project.services)
        self._replicas = dict(
            sorted(self._replicas.items(), key=lambda pair: (order.index(pair[1].service.name), pair[1].index))
        )

    async def _remove(self, replicas: list[Replica]) -> None:
        """Take replicas out: first their names, then, when every proxy has seen it, themselves."""
        if not replicas:
            return
        self._leaving.update(each.name for each in replicas)
        self._write_hosts()
        if any(each.serves for each in replicas):
            await self._clock.sleep(self._refresh_seconds() + REFRESH_MARGIN_SECONDS)
        await asyncio.gather(*(each.stop() for each in replicas))
        for each in replicas:
            del self._replicas[each.name]
            self._leaving.discard(each.name)
            self._hosts.pop(each.name, None)

    def _refresh_seconds(self) -> float:
        sources = {source for service in self.project.services.values() for source in service.configs.values()}
        rates = [refresh_seconds(self._preparation.read(source), source) for source in sources]
        return max(rates, default=DEFAULT_REFRESH_SECONDS)

    async def _start(self, replicas: Iterable[Replica]) -> None:
        for each in replicas:
            if self._closing:
                raise SandboxError("the mesh is stopping")
            self._write_hosts()
            if each.state not in (RUNNING, RESTARTING):
                check_sockets(self._preparation.plan(each).sockets, each.name)
            await each.start()

    async def _wait(self, replicas: Iterable[Replica]) -> None:
        for each in replicas:
            await each.wait_until_healthy()

    def _on_change(self, replica: Replica, line: str) -> None:
        self._write_hosts()
        if line:
            self._say(f"{replica.name}: {line}")

    def _write_hosts(self) -> None:
        """Write every replica's hosts file that is not as it should be."""
        members = {
            name: [
                each.placement.address
                for each in self._replicas.values()
                if each.service.name == name and each.serves and each.name not in self._leaving
            ]
            for name in self.project.services
        }
        for each in self._replicas.values():
            text = hosts_text(names_for(each.name, each.service.name, each.placement.address, members))
            if self._hosts.get(each.name) != text:
                write(self._preparation.hosts(each), text)
                self._hosts[each.name] = text

    async def _generate(self) -> None:
        for service in self.project.services.values():
            for path in service.generated:
                command = self._preparation.generator(service, path)
                process = await self._spawn(command)
                if await process.wait():
                    words = " ".join(command.words)
                    raise SandboxError(f"{service.name}: `{words}` failed: {command.log.read_text().strip()}")


def _row(replica: Replica) -> Row:
    sockets = replica.plan.sockets if replica.plan else ()
    return Row(
        Name=replica.name,
        Service=replica.service.name,
        State=replica.state,
        Health=replica.health,
        Address=replica.placement.address,
        Sockets=[f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in sockets],
        Pids=replica.pids(),
    )
