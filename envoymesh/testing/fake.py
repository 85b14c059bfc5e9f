"""Fake upstreams: hosts that answer as the test says, and keep what they were asked.

They live on a loop in a thread of their own, so that tests may be plain, asyncio's or trio's. A fake must not know who
asks it.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from envoymesh.testing.answers import (
    REFUSE,
    Answer,
    Behaviour,
    Handler,
    Hosts,
    Refusal,
    Reply,
    Request,
    as_answer,
    as_handler,
)
from envoymesh.testing.server import reset_connection, serve

T = TypeVar("T")
Address = tuple[str, int]
HEALTH_CHECKER = "Envoy/HC"
"""The user agent of Envoy's active health checks."""


class LoopThread:
    """An event loop in a thread, for all fakes of a test run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="envoymesh-fakes", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        """End the thread."""
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class FakeHost:
    """One host of a fake cluster: an address, what it answers, what it was asked.

    Attributes:
        requests: what it got, in order; active health checks are not among them.
        healthy: what active HTTP health checks (of user agent ``Envoy/HC``) are told: 200 or 503.
    """

    def __init__(self, fake: Fake, index: int, behaviour: Behaviour) -> None:
        self.index = index
        self.requests: list[Request] = []
        self.healthy = True
        self._fake = fake
        self._handler = as_handler(behaviour)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        # Bound and not listening, the port is refused, and nobody else gets it.
        self._bound = socket.socket()
        self._bound.bind(("127.0.0.1", 0))
        self.address: Address = self._bound.getsockname()

    def __repr__(self) -> str:
        return f"<FakeHost {self.index} of {self._fake.name} at {self.address[0]}:{self.address[1]}>"

    def answer(self, behaviour: Behaviour) -> None:
        """Answer so from now on. Errors: TestingError."""
        before, self._handler = self._handler, as_handler(behaviour)
        if REFUSE in (before, self._handler):
            self._fake.thread.run(self._settle())

    def refuse(self) -> None:
        """Refuse connections from now on; those that there are are reset."""
        self.answer(REFUSE)

    async def _settle(self) -> None:
        """Listen, or do not, as the behaviour says."""
        if self._handler is REFUSE:
            if self._server is None:
                return
            await self._leave()
            self._bound = socket.socket()
            self._bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bound.bind(self.address)
        elif self._server is None:
            # asyncio listens on the socket itself, and closes it.
            self._server = await asyncio.start_server(self._accept, sock=self._bound, backlog=512)

    async def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._bound.close()
        tasks = list(self._connections.values())
        for writer in list(self._connections):
            reset_connection(writer)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[writer] = task
        try:
            await serve(reader, writer, self._respond)
        except asyncio.CancelledError:
            # This fake is told to leave: Python 3.11 would print a connection's task that ends cancelled.
            return
        finally:
            self._connections.pop(writer, None)

    async def _respond(self, request: Request) -> Answer:
        if (request.header("user-agent") or "").startswith(HEALTH_CHECKER):
            return Reply(200 if self.healthy else 503)
        request = _at(request, self.index)
        self._fake.requests.append(request)
        self.requests.append(request)
        try:
            return as_answer(await self._ask(request))
        except Exception as error:  # noqa: BLE001  a test's own function: whatever it raises is told to the test
            self._fake.errors.append(error)
            return Reply(500, "".join(traceback.format_exception(error)))

    async def _ask(self, request: Request) -> Any:
        handler = self._handler
        if isinstance(handler, Refusal):
            return Reply(503, "this host has left")
        if inspect.iscoroutinefunction(handler):
            return await handler(request)
        # It may block, as tests do.
        answer = await asyncio.to_thread(cast("Callable[[Request], Any]", handler), request)
        return await answer if isinstance(answer, Awaitable) else answer


def _at(request: Request, host: int) -> Request:
    return Request(
        request.method, request.path, request.authority, request.headers, request.body, host, request.protocol
    )


class Fake:
    """A cluster that a test holds.

    Args:
        count: how many hosts it has where the behaviour does not say so.

    Attributes:
        requests: what all hosts got, in order.
        errors: what the test's own handlers raised; such requests are answered 500, and the test fails at its end.
    """

    def __init__(self, thread: LoopThread, name: str, behaviour: Behaviour | Hosts, count: int) -> None:
        self.thread = thread
        self.name = name
        self.requests: list[Request] = []
        self.errors: list[Exception] = []
        behaviours = behaviour.behaviours if isinstance(behaviour, Hosts) else self._shared(behaviour, count)
        self.hosts = [FakeHost(self, index, each) for index, each in enumerate(behaviours)]
        thread.run(self._settle())

    def __repr__(self) -> str:
        return f"<Fake {self.name}: {len(self.hosts)} hosts, {len(self.requests)} requests>"

    @staticmethod
    def _shared(behaviour: Behaviour, count: int) -> tuple[Handler | Refusal, ...]:
        return (as_handler(behaviour),) * count

    def answer(self, behaviour: Behaviour) -> None:
        """All hosts answer so from now on. Errors: TestingError."""
        handler = as_handler(behaviour)
        for each in self.hosts:
            each.answer(handler)

    def close(self) -> None:
        """Leave; connections are reset."""
        self.thread.run(self._close())

    async def _settle(self) -> None:
        for each in self.hosts:
            await each._settle()

    async def _close(self) -> None:
        for each in self.hosts:
            await each._leave()
