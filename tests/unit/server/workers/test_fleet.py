"""The fleet over workers that are only the other end of a socket pair, played by the test."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from envoymesh.admin.views import MemoryUsage
from envoymesh.options import Options
from envoymesh.server.watchdog import WatchdogSettings
from envoymesh.server.workers.fleet import (
    ANSWER_TIME,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    URGENT_PAUSE,
    Fleet,
    WorkersFailedError,
)
from envoymesh.server.workers.process import WorkerProcess
from envoymesh.server.workers.protocol import (
    Answer,
    Ask,
    Command,
    Failed,
    FrameReader,
    Message,
    Ping,
    Pong,
    Sockets,
    Start,
    Started,
    Verb,
    encode,
)
from envoymesh.server.workers.snapshot import Snapshot
from envoymesh.stats.image import StoreImage
from tests.support.fakes import FakeDispatcher

WATCHED = WatchdogSettings(kill_timeout=5.0)
UNWATCHED = WatchdogSettings(megamiss_timeout=1e6, kill_timeout=0.0)


def snapshot(connections: int) -> Snapshot:
    return Snapshot(StoreImage(), [], MemoryUsage(1, 2, 3), connections)


class PlayedWorker(WorkerProcess):
    """A worker whose process is the test; pings are answered when they are come upon."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.end: socket.socket | None = None
        self.killed = False
        self._reader = FrameReader()
        self._heard: list[Message] = []
        self.taken: list[Answer] = []

    def spawn(self, start: Start) -> socket.socket:
        ours, self.end = socket.socketpair()
        return ours

    def say(self, message: Message) -> None:
        assert self.end is not None
        self.end.sendall(encode(message))

    async def hear(self) -> Message:
        """The next message that is not a ping."""
        assert self.end is not None
        self.end.setblocking(False)
        while not self._heard:
            for message in self._reader.feed(await asyncio.get_running_loop().sock_recv(self.end, 65536)):
                if isinstance(message, Ping):
                    self.say(Pong())
                else:
                    self._heard.append(message)
        return self._heard.pop(0)

    def take(self, answer: Answer) -> bool:
        self.taken.append(answer)
        return super().take(answer)

    def die(self) -> None:
        assert self.end is not None
        self.end.close()

    def kill(self) -> None:
        self.killed = True
        self.die()

    def reap(self) -> int:
        return -9


class Stage:
    """A fleet of two and its employer; `cast` are all workers that ever were."""

    def __init__(self, watchdog: WatchdogSettings = WATCHED) -> None:
        self.dispatcher = FakeDispatcher()
        self.cast: list[PlayedWorker] = []
        self.lasts: list[Snapshot | None] = []
        self.deaths = 0
        self.broken = False
        self.downs: list[int] = []
        self.hung: list[int] = []
        self.fleet = Fleet(self.dispatcher, 2, self, watchdog, watchdog.kill_timeout or 0.0, self._make)

    def _make(self, index: int) -> WorkerProcess:
        if self.broken:
            self.broken = False
            raise OSError(11, "Resource temporarily unavailable")
        self.cast.append(PlayedWorker(index))
        return self.cast[-1]

    def start_message(self, index: int) -> Start:
        return Start(index, Options(), b"", ())

    def on_worker_ended(self, last: Snapshot | None) -> None:
        self.lasts.append(last)

    def sockets_of(self, index: int) -> Sockets:
        return ()

    def on_down_changed(self) -> None:
        self.downs.append(self.fleet.down)

    def on_worker_died(self, index: int, *, hung: bool) -> None:
        self.deaths += 1
        if hung:
            self.hung.append(index)

    async def die_and_come_again(self, worker: PlayedWorker, pause: float) -> None:
        """The worker dies and has a successor after the pause."""
        made = len(self.cast)
        worker.die()
        await self.until(lambda: worker not in self.fleet.running)
        self.dispatcher.advance(pause)
        await self.until(lambda: len(self.cast) == made + 1)

    async def answer_ping(self, worker: PlayedWorker) -> None:
        """The worker says that it is there, whether it was asked or not."""
        worker.say(Pong())
        await self.until(lambda: not worker.owes)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)

    async def begin(self) -> None:
        """Both workers start."""
        starting = asyncio.ensure_future(self.fleet.start())
        await self.until(lambda: len(self.cast) == 2)
        for index, worker in enumerate(self.cast):
            start = await worker.hear()
            assert isinstance(start, Start)
            assert start.index == index
            assert not starting.done()
            worker.say(Started())
        await starting

    async def finish(self) -> None:
        self.fleet.kill()
        await self.fleet.end(0.0)


def play(scene: Callable[[Stage], Awaitable[None]], watchdog: WatchdogSettings = WATCHED) -> None:
    async def run() -> None:
        stage = Stage(watchdog)
        try:
            await scene(stage)
        finally:
            await stage.finish()

    asyncio.run(run())


def test_figures_are_asked_for_and_kept() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        done: list[int] = []
        stage.fleet.ask(lambda: done.append(1))
        for connections, worker in enumerate(stage.cast):
            assert await worker.hear() == Ask(1)
            assert not done
            worker.say(Answer(1, snapshot(connections)))
            await stage.until(lambda: len(stage.fleet.snapshots) == connections + 1)  # noqa: B023 waited for here
        assert done == [1]
        assert [each.connections for each in stage.fleet.snapshots] == [0, 1]
        stage.dispatcher.advance(ANSWER_TIME)
        assert done == [1]

    play(scene)


def part(connections: int, **counters: int) -> Snapshot:
    return Snapshot(StoreImage(counters), connections=connections)


def test_an_answer_comes_in_parts_and_counts_when_it_is_whole() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        one, other = stage.cast
        done: list[int] = []
        stage.fleet.ask(lambda: done.append(1))
        other.say(Answer(1, part(1)))
        await stage.until(lambda: stage.fleet.snapshots)
        for count, name in enumerate("abc", 1):
            stage.dispatcher.advance(ANSWER_TIME * 0.9)
            one.say(Answer(1, part(0, **{name: 1}), last=False))
            await stage.until(lambda: len(one.taken) == count)  # noqa: B023 waited for here
        assert not done, "who is telling is not late"
        one.say(Answer(1, part(5)))
        await stage.until(lambda: done)
        whole = stage.fleet.snapshots[0]
        assert (whole.connections, whole.stats.counters) == (5, {"a": 1, "b": 1, "c": 1})

    play(scene)


def test_of_answers_that_overtake_each_other_the_later_question_counts() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        worker = stage.cast[0]
        worker.say(Answer(1, part(0, a=1), last=False))
        worker.say(Answer(2, part(0, a=2), last=False))
        worker.say(Answer(2, part(2, b=2)))
        await stage.until(lambda: stage.fleet.snapshots)
        worker.say(Answer(1, part(1)))
        worker.say(Answer(0, part(0)))
        worker.say(Answer(3, part(3), last=False))
        await stage.until(lambda: worker.taken[-1].number == 3)
        (known,) = stage.fleet.snapshots
        assert (known.connections, known.stats.counters) == (2, {"a": 2, "b": 2})

    play(scene)


def test_a_late_worker_is_waited_for_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        quick, slow = stage.cast
        done: list[int] = []
        stage.fleet.ask(lambda: done.append(1))
        quick.say(Answer(1, snapshot(0)))
        await stage.until(lambda: stage.fleet.snapshots)
        assert not done
        stage.dispatcher.advance(ANSWER_TIME)
        assert done == [1]
        stage.fleet.ask(lambda: done.append(2))
        quick.say(Answer(2, snapshot(0)))
        await stage.until(lambda: len(done) == 2)
        slow.say(Answer(1, snapshot(5)))
        await stage.until(lambda: len(stage.fleet.snapshots) == 2)
        stage.fleet.ask(lambda: done.append(3))
        quick.say(Answer(3, snapshot(0)))
        slow.say(Answer(3, snapshot(6)))
        await stage.until(lambda: len(done) == 3)
        assert [each.connections for each in stage.fleet.snapshots] == [0, 6]

    play(scene)


def test_a_worker_that_dies_owes_nothing_and_is_replaced_at_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        first, second = stage.cast
        first.say(Answer(0, snapshot(3)))
        await stage.until(lambda: stage.fleet.snapshots)
        done: list[int] = []
        stage.fleet.ask(lambda: done.append(1))
        second.say(Answer(1, snapshot(4)))
        await stage.until(lambda: len(stage.fleet.snapshots) == 2)
        first.die()
        await stage.until(lambda: len(stage.cast) == 3)
        assert done == [1]
        assert (stage.deaths, [last and last.connections for last in stage.lasts]) == (1, [3])
        stage.fleet.tell(Command(Verb.STOP))
        assert isinstance(await stage.cast[2].hear(), Start)
        assert await stage.cast[2].hear() == Command(Verb.STOP), "also one that is starting is told"

    play(scene)


def test_a_worker_that_dies_at_its_start_is_replaced_after_longer_and_longer_pauses() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        stage.cast[0].die()
        for attempt in range(3):
            await stage.until(lambda: len(stage.cast) == 3 + attempt)  # noqa: B023 waited for here
            await stage.cast[-1].hear()
            deaths = stage.deaths
            stage.cast[-1].die()
            await stage.until(lambda: stage.deaths == deaths + 1)  # noqa: B023 waited for here
            pause = FIRST_PAUSE * 2**attempt
            stage.dispatcher.advance(pause * 0.9)
            await asyncio.sleep(0)
            assert len(stage.cast) == 3 + attempt
            stage.dispatcher.advance(pause * 0.2)
        await stage.until(lambda: len(stage.cast) == 6)

    play(scene)


def test_the_pause_is_short_while_nobody_serves() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        stage.cast[0].die()
        await stage.until(lambda: len(stage.cast) == 3)
        for _ in range(8):
            await stage.die_and_come_again(stage.cast[-1], LONGEST_PAUSE)
        stage.cast[1].die()
        await stage.until(lambda: stage.fleet.down == 2)
        assert not stage.fleet.serves
        await stage.die_and_come_again(stage.cast[-2], URGENT_PAUSE)

    play(scene, UNWATCHED)


def test_a_worker_that_lived_is_replaced_at_once_and_down_until_then() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        for times in range(1, 4):
            stage.dispatcher.advance(LONGEST_PAUSE)
            stage.cast[-1].die()
            await stage.until(lambda: len(stage.cast) == 2 + times)  # noqa: B023 waited for here
            assert stage.downs[-1] == stage.fleet.down == 1
            stage.cast[-1].say(Started())
            await stage.until(lambda: not stage.fleet.down)
            assert stage.downs[-1] == 0

    play(scene, UNWATCHED)


def test_a_silent_worker_is_down_until_it_speaks_and_killed_when_it_does_not() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        quick, silent = stage.cast
        stage.dispatcher.advance(0.5)
        for _ in range(2):
            await stage.answer_ping(quick)
            stage.dispatcher.advance(0.5)
        assert stage.fleet.down == 1
        silent.say(Pong())
        await stage.until(lambda: not stage.fleet.down)
        assert silent in stage.fleet.running
        for _ in range(14):
            await stage.answer_ping(quick)
            stage.dispatcher.advance(0.5)
        assert silent.killed
        await stage.until(lambda: stage.deaths == 1)
        assert stage.hung == [1]
        assert not quick.killed

    play(scene)


def test_a_process_that_the_system_refuses_is_tried_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        stage.broken = True
        stage.cast[0].die()
        await stage.until(lambda: not stage.broken)
        assert len(stage.cast) == 2
        await asyncio.sleep(0)
        stage.dispatcher.advance(FIRST_PAUSE * 2)
        await stage.until(lambda: len(stage.cast) == 3)

    play(scene)


@pytest.mark.parametrize("reason", ["cannot open a file", ""])
def test_a_worker_that_cannot_start_fails_the_start(reason: str) -> None:
    async def scene(stage: Stage) -> None:
        starting = asyncio.ensure_future(stage.fleet.start())
        await stage.until(lambda: len(stage.cast) == 2)
        await stage.cast[0].hear()
        if reason:
            stage.cast[0].say(Failed(reason))
        stage.cast[0].die()
        await stage.until(lambda: stage.lasts)
        with pytest.raises(WorkersFailedError, match=reason or "before it had started"):
            await starting
        assert stage.cast[1].killed
        assert not stage.fleet.running

    play(scene)


def test_a_process_that_the_system_refuses_at_the_start_fails_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.broken = True
        with pytest.raises(WorkersFailedError, match="worker 0 cannot be started: Resource temporarily unavailable"):
            await stage.fleet.start()
        assert not stage.cast

    play(scene)


def test_a_start_that_is_called_off_begins_no_more_workers() -> None:
    async def scene(stage: Stage) -> None:
        starting = asyncio.ensure_future(stage.fleet.start())
        await stage.until(lambda: stage.cast)
        stage.fleet.let_end()
        stage.fleet.tell(Command(Verb.DRAIN_AND_STOP))
        await starting
        assert len(stage.cast) == 1
        assert isinstance(await stage.cast[0].hear(), Start)
        assert await stage.cast[0].hear() == Command(Verb.DRAIN_AND_STOP)

    play(scene)


def test_workers_that_were_told_to_end_are_not_replaced() -> None:
    async def scene(stage: Stage) -> None:
        await stage.begin()
        ending = asyncio.ensure_future(stage.fleet.end(3.0))
        stage.cast[0].die()
        await stage.until(lambda: stage.lasts)
        assert not ending.done()
        stage.dispatcher.advance(3.0)
        await ending
        assert stage.cast[1].killed
        assert (len(stage.cast), stage.deaths) == (2, 0)

    play(scene)
