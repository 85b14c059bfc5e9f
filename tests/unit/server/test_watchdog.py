"""The watchdog counts a loop that stood still."""

from envoymesh.server.watchdog import MEGA_MISS_TIMEOUT, MISS_TIMEOUT, Watchdog
from envoymesh.stats import Store
from envoymesh.stats.server import WatchdogStats
from tests.support.fakes import FakeDispatcher


class SlowDispatcher(FakeDispatcher):
    """Time can pass without a timer getting its turn."""

    def stall(self, seconds: float) -> None:
        self._now += seconds


def watched() -> tuple[SlowDispatcher, WatchdogStats, Watchdog]:
    dispatcher = SlowDispatcher()
    stats = WatchdogStats.create(Store().scope("main_thread."))
    watchdog = Watchdog(dispatcher, [stats])
    watchdog.start()
    return dispatcher, stats, watchdog


def test_a_loop_that_runs_misses_nothing() -> None:
    dispatcher, stats, _ = watched()
    dispatcher.advance(5.0)
    assert (stats.watchdog_miss.value, stats.watchdog_mega_miss.value) == (0, 0)


def test_a_stall_is_a_miss_and_a_long_one_a_mega_miss() -> None:
    dispatcher, stats, _ = watched()
    dispatcher.stall(MISS_TIMEOUT + 0.1)
    dispatcher.advance(1.0)
    assert (stats.watchdog_miss.value, stats.watchdog_mega_miss.value) == (1, 0)
    dispatcher.stall(MEGA_MISS_TIMEOUT + 0.1)
    dispatcher.advance(1.0)
    assert (stats.watchdog_miss.value, stats.watchdog_mega_miss.value) == (2, 1)


def test_stopped_it_counts_no_more() -> None:
    dispatcher, stats, watchdog = watched()
    watchdog.stop()
    dispatcher.stall(10.0)
    dispatcher.advance(10.0)
    assert stats.watchdog_miss.value == 0
