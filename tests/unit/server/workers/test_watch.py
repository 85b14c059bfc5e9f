"""Who hangs: silence counted in the parent's own ticks, and what follows."""

import logging

import pytest

from envoymesh.server.watchdog import WatchdogSettings
from envoymesh.server.workers.process import WorkerProcess
from envoymesh.server.workers.watch import LONGEST_TICK, SHORTEST_TICK, STACK_TIME, START_TIME, Watch
from tests.support.fakes import FakeDispatcher


class Worker(WorkerProcess):
    """Answers each ping at once, unless it is told to hang."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.started = True
        self.hangs = False
        self.pings = 0
        self.stacks_asked = 0
        self.killed = False

    def ping(self) -> None:
        self.pings += 1
        self.owes = True
        if not self.hangs:
            self.heard()

    def ask_stack(self) -> None:
        self.stacks_asked += 1

    def last_stack(self) -> str:
        return "File here, line 1"

    def system_state(self) -> str:
        return "running"

    def kill(self) -> None:
        self.killed = True


class Stage:
    """Workers that are watched; `silent` are those said to be."""

    def __init__(self, settings: WatchdogSettings, count: int = 2) -> None:
        self.dispatcher = FakeDispatcher()
        self.workers = [Worker(index) for index in range(count)]
        self.silent: set[int] = set()
        kill_after = settings.kill_after(5.0, lambda: 0.0)
        self.watch = Watch(self.dispatcher, settings, kill_after, lambda: self.workers, self._on_silent)
        self.watch.start()

    def _on_silent(self, worker: WorkerProcess) -> None:
        self.silent.add(worker.index)

    def hang(self, *indices: int) -> None:
        for index in indices:
            self.workers[index].hangs = True

    @property
    def killed(self) -> list[int]:
        return [worker.index for worker in self.workers if worker.killed]


def test_who_answers_is_left_alone_and_asked_twice_a_second() -> None:
    stage = Stage(WatchdogSettings())
    stage.dispatcher.advance(60.0)
    assert (stage.silent, stage.killed) == (set(), [])
    assert stage.watch.tick == LONGEST_TICK
    assert stage.workers[0].pings == 60 / LONGEST_TICK


def test_who_is_silent_is_said_to_be_then_killed_with_its_stack_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(WatchdogSettings())
    stage.hang(1)
    stage.dispatcher.advance(1.4)
    assert stage.silent == set()
    stage.dispatcher.advance(0.2)
    assert stage.silent == {1}
    stage.dispatcher.advance(3.6)
    assert (stage.killed, stage.workers[1].stacks_asked) == ([], 0)
    with caplog.at_level(logging.CRITICAL, "envoymesh.main"):
        stage.dispatcher.advance(0.3 + STACK_TIME)
    assert (stage.killed, stage.workers[1].stacks_asked) == ([1], 1)
    assert stage.workers[1].pings == 1
    assert "5.0 s and is killed; its state: running\nFile here, line 1" in caplog.text


def test_a_time_in_which_the_parent_did_not_run_is_held_against_nobody() -> None:
    stage = Stage(WatchdogSettings())
    stage.hang(1)
    stage.dispatcher.advance(0.6)
    stage.dispatcher._now += 3600.0
    stage.dispatcher.advance(0.1)
    assert (stage.silent, stage.killed) == (set(), [])
    assert stage.workers[1].silent <= 2 * LONGEST_TICK


def test_who_comes_back_while_its_stack_is_asked_for_lives() -> None:
    stage = Stage(WatchdogSettings())
    stage.hang(0)
    stage.dispatcher.advance(5.5)
    assert stage.workers[0].condemned
    stage.workers[0].hangs = False
    stage.workers[0].heard()
    stage.dispatcher.advance(STACK_TIME)
    assert stage.killed == []
    stage.hang(0)
    stage.dispatcher.advance(7.0)
    assert stage.killed == [0], "a second time it is killed all the same"


def test_nobody_is_killed_with_a_kill_timeout_of_zero() -> None:
    stage = Stage(WatchdogSettings(kill_timeout=0.0))
    stage.hang(0, 1)
    stage.dispatcher.advance(600.0)
    assert (stage.silent, stage.killed) == ({0, 1}, [])


def test_who_starts_has_longer() -> None:
    stage = Stage(WatchdogSettings())
    stage.workers[0].started = False
    stage.hang(0)
    stage.dispatcher.advance(START_TIME - 1.0)
    assert (stage.silent, stage.killed) == (set(), [])
    stage.dispatcher.advance(3.0)
    assert stage.killed == [0]


@pytest.mark.parametrize(
    ("threshold", "hanging", "killed"),
    [(0.0, (0,), []), (0.0, (0, 3), [0, 3]), (0.6, (0, 1), []), (0.6, (0, 1, 3), [0, 1, 3]), (1.0, (0, 1, 2), [])],
)
def test_several_that_hang_together_are_killed_sooner(
    threshold: float, hanging: tuple[int, ...], killed: list[int]
) -> None:
    settings = WatchdogSettings(kill_timeout=100.0, multikill_timeout=2.0, multikill_threshold=threshold)
    stage = Stage(settings, 4)
    stage.hang(*hanging)
    stage.dispatcher.advance(1.9)
    assert stage.killed == []
    stage.dispatcher.advance(2.0)
    assert stage.killed == killed


def test_short_times_are_looked_at_more_often_within_reason() -> None:
    assert Stage(WatchdogSettings(kill_timeout=0.4)).watch.tick == 0.1
    assert Stage(WatchdogSettings(megamiss_timeout=0.001)).watch.tick == SHORTEST_TICK


def test_stopped_it_asks_nobody() -> None:
    stage = Stage(WatchdogSettings())
    stage.watch.stop()
    stage.dispatcher.advance(60.0)
    assert stage.workers[0].pings == 0
