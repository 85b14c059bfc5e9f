"""The admin's parts of a parent: a change is made here and told to all."""

from collections.abc import Mapping
from typing import Any

from envoymesh.admin.views import RuntimeSnapshot
from envoymesh.server.workers.fleet_views import (
    FleetCpuProfiler,
    FleetLogLevels,
    FleetLookups,
    FleetRuntime,
    FleetStore,
)
from envoymesh.server.workers.protocol import Verb
from envoymesh.server.workers.snapshot import Lookups
from envoymesh.stats import Store
from envoymesh.stats.recent_lookups import RecentLookups


class Told(list[tuple[Any, ...]]):
    """What the workers were told."""

    def __call__(self, verb: Verb, *arguments: object) -> None:
        self.append((verb, *arguments))


class Levels(dict[str, str]):
    """Log levels."""

    def levels(self) -> Mapping[str, str]:
        return self

    def set_level(self, logger: str, level: str, /) -> None:
        self[logger] = level

    def set_all(self, level: str, /) -> None:
        self.update(dict.fromkeys(self, level))


def test_log_levels() -> None:
    told, own = Told(), Levels(main="info", http="info")
    whole = FleetLogLevels(own, told)
    whole.set_level("main", "debug")
    whole.set_all("error")
    assert told == [
        (Verb.SET_LOG_LEVELS, {"main": "debug", "http": "info"}),
        (Verb.SET_LOG_LEVELS, {"main": "error", "http": "error"}),
    ]
    assert whole.levels() == {"main": "error", "http": "error"}


class OneLayer:
    """A runtime."""

    has_admin_layer = True

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def snapshot(self) -> RuntimeSnapshot:
        return RuntimeSnapshot(("admin",), {key: (value,) for key, value in self.values.items()})

    def modify(self, values: Mapping[str, str]) -> None:
        self.values.update(values)


def test_runtime() -> None:
    told = Told()
    whole = FleetRuntime(OneLayer(), told)
    whole.modify({"a": "1"})
    assert told == [(Verb.MODIFY_RUNTIME, {"a": "1"})]
    assert whole.has_admin_layer
    assert whole.snapshot().entries == {"a": ("1",)}


class Profiler:
    """A CPU profiler that can write its file or not."""

    def __init__(self, works: bool) -> None:
        self.works = works

    def start(self) -> bool:
        return self.works

    def stop(self) -> None:
        self.works = False


def test_cpu_profiler() -> None:
    told, own = Told(), Profiler(True)
    whole = FleetCpuProfiler(own, told)
    assert whole.start()
    whole.stop()
    assert told == [(Verb.PROFILE_CPU, True), (Verb.PROFILE_CPU, False)]
    told.clear()
    assert not whole.start()
    assert told == [], "who cannot begin lets nobody begin"


def test_lookups() -> None:
    told, own = Told(), RecentLookups()
    whole = FleetLookups(own, told)
    whole.enable(True)
    assert own.enabled
    own.note("a")
    whole.gather([Lookups(5, ((2, "a"), (3, "b"))), Lookups(1, ((1, "c"),))])
    assert whole.total == 7
    assert whole.counts() == [(3, "a"), (3, "b"), (1, "c")]
    whole.clear()
    assert own.total == 0
    whole.enable(False)
    assert not whole.enabled
    assert not own.enabled
    assert told == [(Verb.ENABLE_LOOKUPS, True), (Verb.CLEAR_LOOKUPS,), (Verb.ENABLE_LOOKUPS, False)]


def test_a_reset_is_not_of_what_is_shown() -> None:
    resets: list[int] = []
    store = FleetStore(Store(), Told(), lambda: resets.append(1))
    store.reset_counters()
    assert resets == [1]
