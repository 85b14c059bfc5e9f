"""The parent's workers: started, asked, told, started again when they die, and ended.

A worker that dies before all have started once is a failed start; later it is replaced, and until its successor has
started the others serve its connections (shares.py). One that hangs is killed (watch.py), and so dies. A worker that
does not answer an admin request in time is late: nobody waits for it again until it has said something. It must not
know what a server is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from envoymesh.errors import EnvoymeshError
from envoymesh.network.api import Dispatcher, Timer
from envoymesh.server.watchdog import WatchdogSettings
from envoymesh.server.workers.process import WorkerProcess
from envoymesh.server.workers.protocol import (
    Answer,
    Ask,
    ClusterUsed,
    Command,
    Failed,
    HostFailed,
    Message,
    Sockets,
    Start,
    Started,
)
from envoymesh.server.workers.shares import Shares
from envoymesh.server.workers.snapshot import Snapshot
from envoymesh.server.workers.watch import Watch

_log = logging.getLogger("envoymesh.main")

ANSWER_TIME = 1.0
"""Seconds that an admin request waits for a word of any worker; then their last known figures are shown."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
"""Seconds before a worker is started again that has died soon after its last start: doubled each time. One that had
lived for LONGEST_PAUSE is started again at once."""

URGENT_PAUSE = 1.0
"""The longest pause while no worker serves."""


class WorkersFailedError(EnvoymeshError):
    """Not all workers could start."""


class Employer(Protocol):
    """What the fleet needs of the parent."""

    def start_message(self, index: int) -> Start:
        """What a worker is to run; asked anew at each of its starts."""

    def sockets_of(self, index: int) -> Sockets:
        """The listening sockets that are one worker's alone; none where all share theirs."""

    def on_down_changed(self) -> None:
        """The number of workers that do not serve, `Fleet.down`, has changed."""

    def on_worker_ended(self, last: Snapshot | None) -> None:
        """A worker is no more; `last` is what it last told of itself. If it died, it is replaced."""

    def on_health_seen(self, seen: HostFailed | ClusterUsed) -> None:
        """A worker tells what the checks of health must know."""

    def on_worker_died(self, index: int, *, hung: bool) -> None:
        """It ended without having been told to, or was killed because it hung."""


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
        watchdog: how workers are watched.
        kill_after: seconds of silence before one is killed; 0 is never.
        make_worker: makes a worker that has yet to be spawned.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        count: int,
        employer: Employer,
        watchdog: WatchdogSettings,
        kill_after: float,
        make_worker: Callable[[int], WorkerProcess] = WorkerProcess,
    ) -> None:
        self._dispatcher = dispatcher
        self._employer = employer
        self._count = count
        self._make_worker = make_worker
        self._workers: list[WorkerProcess] = []
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self._attempts = [0] * count
        self._spawned = [0.0] * count
        self._complete = False
        self._ending = False
        self._failure = ""
        self._changed = asyncio.Event()
        self._shares = Shares(employer.sockets_of, lambda: self._workers, employer.on_down_changed)
        self._watch = Watch(dispatcher, watchdog, kill_after, lambda: self._workers, self._on_silent)

    @property
    def snapshots(self) -> list[Snapshot]:
        """The last known figures of every worker that has told any."""
        return [worker.snapshot for worker in self._workers if worker.snapshot is not None]

    @property
    def running(self) -> Sequence[WorkerProcess]:
        """The workers whose processes have not ended."""
        return self._workers

    @property
    def down(self) -> int:
        """How many workers do not serve: they are dead, have yet to start again, or hang."""
        return len(self._shares.down)

    @property
    def serves(self) -> bool:
        """Whether anybody accepts connections."""
        return bool(self._shares.serving)

    # Starting

    async def start(self) -> None:
        """Start all and wait until they accept connections. Stops early once `let_end` was called.

        Errors: WorkersFailedError; then none is left.
        """
        self._watch.start()
        for index in range(self._count):
            # `let_end` may have been called meanwhile: a worker started now would not be told to end.
            if not self._ending and not self._failure:
                self._spawn_first(index)
                await asyncio.sleep(0)
        while not self._ending:
            if self._failure or len(self._workers) < self._count:
                self.kill()
                await self.end(0.0)
                raise WorkersFailedError(self._failure or "a worker ended before it had started")
            if all(worker.started for worker in self._workers):
                self._complete = True
                return
            await self._next_change()

    def _spawn_first(self, index: int) -> None:
        try:
            self._spawn(index)
        except OSError as error:
            self._failure = f"worker {index} cannot be started: {error.strerror}"

    def _spawn(self, index: int) -> None:
        start = self._employer.start_message(index)
        worker = self._make_worker(index)
        ours = worker.spawn(start)
        self._spawned[index] = self._dispatcher.now()
        self._workers.append(worker)
        self._workers.sort(key=lambda each: each.index)
        worker.open_channel(
            ours, start, lambda message: self._on_message(worker, message), lambda: self._on_lost(worker)
        )

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # What workers say

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        worker.heard()
        worker.late = False
        if isinstance(message, Answer):
            self._on_answer(worker, message)
        elif isinstance(message, Started):
            worker.started = True
            if self._complete:
                _log.info("%r has started", worker)
            self._shares.give_back(worker)
            self._changed.set()
        elif isinstance(message, Failed):
            self._failure = message.reason
        elif isinstance(message, HostFailed | ClusterUsed):
            self._employer.on_health_seen(message)
        if worker.started and worker.index in self._shares.down:
            _log.info("%r answers again", worker)
            self._shares.give_back(worker)

    def _on_silent(self, worker: WorkerProcess) -> None:
        if worker.index not in self._shares.down:
            worker.late = True
            _log.warning("%r does not answer; meanwhile others serve its new connections", worker)
            self._shares.take_over(worker.index)

    def _on_answer(self, worker: WorkerProcess, answer: Answer) -> None:
        if worker.take(answer):
            self._answered(worker, answer.number)
        elif answer.number in self._questions:
            self._questions[answer.number].timer.enable(ANSWER_TIME)  # more parts are to come: give it more time

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
            return  # a failed start, which `start` reports
        self._failure = ""
        self._shares.take_over(worker.index)
        self._employer.on_worker_died(worker.index, hung=worker.condemned)
        if self._dispatcher.now() - self._spawned[worker.index] >= LONGEST_PAUSE:
            self._attempts[worker.index] = 0
        if self._attempts[worker.index]:
            self._respawn_later(worker.index)
        else:
            self._respawn(worker.index)

    def _respawn_later(self, index: int) -> None:
        longest = LONGEST_PAUSE if self.serves else URGENT_PAUSE
        pause = min(longest, FIRST_PAUSE * 2 ** (self._attempts[index] - 1))
        self._dispatcher.create_timer(lambda: self._respawn(index)).enable(pause)

    def _respawn(self, index: int) -> None:
        if self._ending:
            return
        self._attempts[index] += 1
        try:
            self._spawn(index)
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
        self._watch.stop()

    def kill(self) -> None:
        """End all at once."""
        for worker in self._workers:
            worker.kill()
