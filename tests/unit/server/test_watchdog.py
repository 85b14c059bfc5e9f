"""The watchdog counts a loop that stood still, and ends it where it is told to."""

import subprocess
import sys

import pytest

from envoymesh.server.watchdog import Lifeline, Watchdog, Watchdogs, WatchdogSettings
from envoymesh.stats import Store
from envoymesh.stats.server import WatchdogStats
from tests.support.fakes import FakeDispatcher

DEFAULT = WatchdogSettings()


class SlowDispatcher(FakeDispatcher):
    """Time can pass without a timer getting its turn."""

    def stall(self, seconds: float) -> None:
        self._now += seconds


class RecordingLifeline(Lifeline):
    """Ends nothing."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.held: list[float] = []
        self.is_cut = False

    def hold(self, now: float) -> None:
        self.held.append(now)

    def cut(self) -> None:
        self.is_cut = True


def watched(
    settings: WatchdogSettings = DEFAULT, lifeline: Lifeline | None = None
) -> tuple[SlowDispatcher, WatchdogStats, Watchdog]:
    dispatcher = SlowDispatcher()
    stats = WatchdogStats.create(Store().scope("main_thread."))
    watchdog = Watchdog(dispatcher, [(settings, [stats])], lifeline)
    watchdog.start()
    return dispatcher, stats, watchdog


def counts(stats: WatchdogStats) -> tuple[int, int]:
    return stats.watchdog_miss.value, stats.watchdog_mega_miss.value


@pytest.mark.parametrize("miss", [0.0, 0.001, 0.2, 30.0])
def test_a_loop_that_runs_misses_nothing(miss: float) -> None:
    dispatcher, stats, _ = watched(WatchdogSettings(miss_timeout=miss))
    dispatcher.advance(5.0)
    assert counts(stats) == (0, 0)


@pytest.mark.parametrize("settings", [DEFAULT, WatchdogSettings(miss_timeout=2.0, megamiss_timeout=7.0)])
def test_a_stall_is_a_miss_and_a_long_one_a_mega_miss(settings: WatchdogSettings) -> None:
    dispatcher, stats, _ = watched(settings)
    dispatcher.stall(settings.miss_timeout + 0.1)
    dispatcher.advance(10.0)
    assert counts(stats) == (1, 0)
    dispatcher.stall(settings.megamiss_timeout + 0.1)
    dispatcher.advance(10.0)
    assert counts(stats) == (2, 1)


def test_main_thread_and_worker_count_by_settings_of_their_own() -> None:
    dispatcher, store = SlowDispatcher(), Store()
    made = [WatchdogStats.create(store.scope(prefix)) for prefix in ("main_thread.", "workers.")]
    Watchdog(dispatcher, [(DEFAULT, made[:1]), (WatchdogSettings(miss_timeout=3.0), made[1:])]).start()
    dispatcher.stall(1.5)
    dispatcher.advance(1.0)
    assert [counts(each) for each in made] == [(1, 1), (0, 1)]


def test_stopped_it_counts_no_more_and_ends_nothing() -> None:
    lifeline = RecordingLifeline(8.0)
    dispatcher, stats, watchdog = watched(lifeline=lifeline)
    watchdog.stop()
    dispatcher.stall(10.0)
    dispatcher.advance(10.0)
    assert stats.watchdog_miss.value == 0
    assert lifeline.is_cut
    assert len(lifeline.held) == 1


def test_the_lifeline_is_held_in_each_of_its_intervals_however_long_a_miss_is() -> None:
    lifeline = RecordingLifeline(2.0)
    dispatcher, _, _ = watched(WatchdogSettings(miss_timeout=60.0, megamiss_timeout=60.0), lifeline)
    dispatcher.advance(10.0)
    gaps = [later - earlier for earlier, later in zip(lifeline.held, lifeline.held[1:], strict=False)]
    assert gaps
    assert max(gaps) <= lifeline.interval


def test_the_kill_timeout_of_one_process_is_the_shorter_one_with_its_jitter() -> None:
    def kill_after(main_thread: WatchdogSettings, worker: WatchdogSettings) -> float:
        return Watchdogs(main_thread, worker).kill_after(lambda: 0.5)

    jittered = WatchdogSettings(kill_timeout=2.0, max_kill_timeout_jitter=4.0)
    assert kill_after(DEFAULT, DEFAULT) == 0.0
    assert kill_after(DEFAULT, jittered) == 4.0
    assert kill_after(WatchdogSettings(kill_timeout=3.0), jittered) == 3.0
    assert kill_after(WatchdogSettings(kill_timeout=0.0, max_kill_timeout_jitter=9.0), DEFAULT) == 0.0
    assert DEFAULT.kill_after(5.0, lambda: 0.5) == 5.0
    assert WatchdogSettings(kill_timeout=0.0).kill_after(5.0, lambda: 0.5) == 0.0


LET_GO = """
import sys, time
from envoymesh.server.watchdog import Lifeline
lifeline = Lifeline(0.05)
lifeline.hold(time.monotonic())
if sys.argv[1] == "cut":
    lifeline.cut()
def hang_here():
    time.sleep(0.3)
hang_here()
print("alive")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("what", "code", "alive"), [("hang", 1, False), ("cut", 0, True)])
def test_a_lifeline_that_is_let_go_ends_the_process_with_its_stack(what: str, code: int, alive: bool) -> None:
    ended = subprocess.run([sys.executable, "-c", LET_GO, what], capture_output=True, text=True, timeout=60)
    assert ended.returncode == code
    assert ("alive" in ended.stdout) is alive
    assert ("hang_here" in ended.stderr) is not alive
