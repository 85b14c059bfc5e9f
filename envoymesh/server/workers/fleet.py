"""The parent's workers: started, asked, told, started again when they die, and ended.

A worker that dies before all have started once is a failed start; later it is replaced. A worker that does not answer
in time is late: nobody waits for it again until it has answered. It must not know what a server is.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from envoymesh.errors import EnvoymeshError
from envoymesh.network.api import Dispatcher, Timer
from envoymesh.server.workers.channel import Channel
from envoymesh.server.workers.protocol import Answer, Ask, Command, Failed, Message, Start, Started
from envoymesh.server.workers.snapshot import Snapshot

_log = logging.getLogger("envoymesh.main")

ANSWER_TIME = 1.0
"""Seconds that an admin request waits for workers; then their last known figures are shown."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds before a worker is started again that died before it had started: doubled each time."""

_HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


class WorkersFailedError(EnvoymeshError):
    """Not all workers could start."""


class Employer(Protocol):
    """Whose workers they are."""

    def start_message(self, index: int) -> Start:
        """What a worker is to run; asked anew at each of its starts."""

    def on_worker_ended(self, last: Snapshot | None) -> None:
        """A worker is no more; `last` is what it last told of itself. If it died, it is replaced."""

    def on_worker_died(self) -> None:
        """It ended without having been told to."""


class WorkerProcess:
    """One worker, from its start to its end."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self.started = False
        self.late = False
        self.snapshot: Snapshot | None = None
        self._backlog: list[Message] = []

    def spawn(self, start: Start) -> socket.socket:
        """Begin the process; gives the parent's end of its channel, on which `start` has yet to be sent."""
        ours, theirs = socket.socketpair()
        shared = [descriptor for descriptors in start.sockets for descriptor in descriptors]
        # Held back until the worker has said that it ignores them: a Ctrl-C must not hit an interpreter on its way up.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "envoymesh.server.workers", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *shared),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            theirs.close()
        return ours

    async def open_channel(
        self, ours: socket.socket, start: Start, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> None:
        """Send the start message, then whatever there was to say meanwhile."""
        channel = await Channel.open(ours, on_message, on_lost)
        for message in (start, *self._backlog):
            channel.send(message)
        self._channel = channel

    def send(self, message: Message) -> None:
        """Send a message, now or as soon as there is a channel."""
        if self._channel is None:
            self._backlog.append(message)
        else:
            self._channel.send(message)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()

    def reap(self) -> int:
        """Make sure that the process is gone; its exit code, negative for a signal."""
        assert self.process is not None
        # Its channel has ended, so it is on its way out or out of reach: either way there is nothing to wait for.
        self.process.kill()
        return self.process.wait()

    def __repr__(self) -> str:
        return f"worker {self.index} (pid {self.process.pid if self.process else 'none'})"


class _Question:
    """A question on its way: who still owes an answer, and what happens when all have, or time is up."""

    def __init__(self, waiting: set[WorkerProcess], then: Callable[[], None], timer: Timer) -> None:
        self.waiting = waiting
        self.then = then
        self.timer = timer
        timer.enable(ANSWER_TIME)


class Fleet:
    """All workers of a parent.

    Args:
        count: how many.
        employer: who is told of them.
        make_worker: makes a worker that has yet to be spawned.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        count: int,
        employer: Employer,
        make_worker: Callable[[int], WorkerProcess] = WorkerProcess,
    ) -> None:
        self._dispatcher = dispatcher
        self._employer = employer
        self._count = count
        self._make_worker = make_worker
        self._workers: list[WorkerProcess] = []
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self._pauses = 0
        self._complete = False
        self._ending = False
        self._spawning: set[asyncio.Future[None]] = set()
        self._failure = ""
        self._changed = asyncio.Event()

    @property
    def snapshots(self) -> list[Snapshot]:
        """The last known figures of every worker that has told any."""
        return [worker.snapshot for worker in self._workers if worker.snapshot is not None]

    @property
    def running(self) -> Sequence[WorkerProcess]:
        """The workers whose processes have not ended."""
        return self._workers

    # Starting

    async def start(self) -> None:
        """Start all and wait until they accept connections. Stops early once `let_end` was called.

        Errors: WorkersFailedError; then none is left.
        """
        for index in range(self._count):
            # Told to end meanwhile: a worker that began now would not hear of it.
            if not self._ending:
                await self._spawn(index)
        while not self._ending:
            if self._failure or len(self._workers) < self._count:
                self.kill()
                await self.end(0.0)
                raise WorkersFailedError(self._failure or "a worker ended before it had started")
            if all(worker.started for worker in self._workers):
                self._complete = True
                return
            await self._next_change()

    async def _spawn(self, index: int) -> None:
        start = self._employer.start_message(index)
        worker = self._make_worker(index)
        ours = worker.spawn(start)
        self._workers.append(worker)
        self._workers.sort(key=lambda each: each.index)
        await worker.open_channel(
            ours, start, lambda message: self._on_message(worker, message), lambda: self._on_lost(worker)
        )

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # What workers say

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        if isinstance(message, Answer):
            worker.snapshot = message.snapshot
            worker.late = False
            self._answered(worker, message.number)
        elif isinstance(message, Started):
            worker.started = True
            self._changed.set()
        elif isinstance(message, Failed):
            self._failure = message.reason

    def _on_lost(self, worker: WorkerProcess) -> None:
        code = worker.reap()
        self._workers.remove(worker)
        for number in list(self._questions):
            self._answered(worker, number)
        self._employer.on_worker_ended(worker.snapshot)
        self._changed.set()
        if not self._ending:
            self._replace(worker, code)

    def _replace(self, worker: WorkerProcess, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        _log.critical("%r ended (%s)%s", worker, how, f": {self._failure}" if self._failure else "")
        if not self._complete:
            return  # `start` sees it
        self._employer.on_worker_died()
        self._failure = ""
        if worker.started:
            self._pauses = 1
            self._respawn(worker.index)
        else:
            self._respawn_later(worker.index)

    def _respawn_later(self, index: int) -> None:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._pauses)
        self._pauses += 1
        self._dispatcher.create_timer(lambda: self._respawn(index)).enable(pause)

    def _respawn(self, index: int) -> None:
        if not self._ending:
            spawning = asyncio.ensure_future(self._spawn_again(index))
            # The loop keeps weak references only.
            self._spawning.add(spawning)
            spawning.add_done_callback(self._spawning.discard)

    async def _spawn_again(self, index: int) -> None:
        try:
            await self._spawn(index)
        except OSError as error:
            _log.critical("worker %d cannot be started: %s", index, error.strerror)
            self._respawn_later(index)

    # Asking and telling

    def ask(self, then: Callable[[], None]) -> None:
        """Ask every worker for its figures; `then` is called when they are in, or when ANSWER_TIME is over."""
        self._asked += 1
        number = self._asked
        asked = {worker for worker in self._workers if worker.started and not worker.late}
        if not asked:
            then()
            return
        timer = self._dispatcher.create_timer(lambda: self._give_up(number))
        self._questions[number] = _Question(set(asked), then, timer)
        for worker in asked:
            worker.send(Ask(number))

    def _answered(self, worker: WorkerProcess, number: int) -> None:
        question = self._questions.get(number)
        if question is None:
            return
        question.waiting.discard(worker)
        if not question.waiting:
            del self._questions[number]
            question.timer.disable()
            question.then()

    def _give_up(self, number: int) -> None:
        question = self._questions.pop(number, None)
        if question is None:
            return
        for worker in question.waiting:
            worker.late = True
            _log.warning("%r does not answer; its last known figures are shown", worker)
        question.then()

    def tell(self, command: Command) -> None:
        """Give every worker a command, also those that are starting."""
        for worker in self._workers:
            worker.send(command)

    # Ending

    def let_end(self) -> None:
        """From now on workers end because they were told to, and are not replaced."""
        self._ending = True
        self._changed.set()

    async def end(self, patience: float) -> None:
        """Wait for all workers to end; those that have not in `patience` seconds are killed."""
        self.let_end()
        timer = self._dispatcher.create_timer(self.kill)
        timer.enable(patience)
        while self._workers:
            await self._next_change()
        timer.disable()

    def kill(self) -> None:
        """End all at once."""
        for worker in self._workers:
            worker.kill()
