"""The life of one supervisor process: from the lock on the state folder to the last process gone.

The only place that handles signals. It must not know how its lines are shown.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping

from envoymesh.sandbox.addresses import AddressPlan
from envoymesh.sandbox.compose import Project
from envoymesh.sandbox.control import ControlServer
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.mesh import Mesh
from envoymesh.sandbox.preparation import Preparation, has_ipv6
from envoymesh.sandbox.process import spawn
from envoymesh.sandbox.replica import Clock
from envoymesh.sandbox.show import banner
from envoymesh.sandbox.state import State
from envoymesh.sandbox.supervisor import Supervisor

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runtime:
    """One mesh, until it is told to stop."""

    def __init__(self, mesh: Mesh, state: State, say: Callable[[str], None]) -> None:
        self._mesh = mesh
        self._state = state
        self._say = say
        self._stop = asyncio.Event()
        self._up: asyncio.Task[None] | None = None
        self._control = ControlServer(
            state.control,
            {
                "wait": self._wait,
                "rows": mesh.rows,
                "about": mesh.about,
                "scale": mesh.scale,
                "start": mesh.start,
                "stop": mesh.stop,
                "kill": mesh.kill,
                "pause": mesh.pause,
                "resume": mesh.resume,
                "change": self._change,
                "down": self._down,
            },
        )

    async def run(self) -> None:
        """Bring the mesh up, serve commands, and take it down at a signal or at `down`.

        Errors: SandboxError when it does not come up; nothing is left running then.
        """
        self._catch_signals()
        await self._control.start()
        self._up = asyncio.create_task(self._mesh.services.up(), name="up")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        pages: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({self._up, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._up.done():
                self._up.result()
                self._say(banner(self._mesh.services, self._state))
                pages = asyncio.create_task(self._mesh.open_pages(), name="pages")
                await stopping
        finally:
            stopping.cancel()
            self._up.cancel()
            if pages is not None:
                pages.cancel()
            await self._mesh.down()
            # Answers to those who asked for this get out first.
            await asyncio.sleep(0)
            self._control.close()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._say("killing everything")
            self._mesh.send_kill()
            return
        self._say("stopping (once more kills everything at once)")
        self._stop.set()

    async def _wait(self) -> str:
        """Wait until the mesh is up. Errors: SandboxError when it does not come up."""
        assert self._up is not None
        await asyncio.wait({self._up})
        if self._up.cancelled():
            raise SandboxError("the mesh was stopped before it was up")
        self._up.result()
        return "\n".join([banner(self._mesh.services, self._state), *self._mesh.page_lines()])

    async def _change(self, example: str | None) -> None:
        await self._mesh.change(example)
        self._say(banner(self._mesh.services, self._state))

    async def _down(self) -> None:
        self._say("stopping")
        await self._mesh.down()
        self._stop.set()


def run(project: Project, state: State, scale: Mapping[str, int], say: Callable[[str], None]) -> None:
    """Run the mesh in this process until it is stopped. Errors: SandboxError."""
    asyncio.run(_run(project, state, scale, say))


async def _run(project: Project, state: State, scale: Mapping[str, int], say: Callable[[str], None]) -> None:
    clock = Clock(time.monotonic, asyncio.sleep)
    ipv6 = has_ipv6()

    def make(project: Project, scale: Mapping[str, int]) -> Supervisor:
        preparation = Preparation(project, state, os.environ)
        return Supervisor(project, AddressPlan(project, ipv6=ipv6), preparation, scale, spawn, clock, say)

    mesh = Mesh(project, scale, make, lambda: state.token, say)
    lock = state.acquire()
    try:
        await Runtime(mesh, state, say).run()
    finally:
        os.close(lock)
