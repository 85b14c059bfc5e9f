"""What the admin of a parent sees in place of one server's parts: each shows the whole and changes every process.

A change is made in the parent first, then told to the workers. It must not know how workers are told.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from envoymesh.admin.context import CpuProfiler, LogLevels, RuntimeView
from envoymesh.admin.views import RuntimeSnapshot
from envoymesh.server.workers.protocol import Verb
from envoymesh.server.workers.snapshot import Lookups
from envoymesh.stats import Store
from envoymesh.stats.recent_lookups import RecentLookups


class Tell(Protocol):
    """Gives every worker a command."""

    def __call__(self, verb: Verb, *arguments: object) -> None: ...


class FleetStore(Store):
    """The stats that are shown, gathered anew for each request that shows them.

    Args:
        own: the parent's own stats.
        reset_counters: resets the parent's and the workers' counters.
    """

    def __init__(self, own: Store, tell: Tell, reset_counters: Callable[[], None]) -> None:
        super().__init__()
        self.lookups: FleetLookups = FleetLookups(own.lookups, tell)
        self._reset_counters = reset_counters

    def reset_counters(self) -> None:
        """Reset those that are counted; the stats here are only shown."""
        self._reset_counters()


class FleetLookups(RecentLookups):
    """Look-ups of every process; `total` and the names are as of the last `gather`."""

    __slots__ = ("_own", "_parts", "_tell")

    def __init__(self, own: RecentLookups, tell: Tell) -> None:
        super().__init__()
        self._own = own
        self._tell = tell
        self._parts: Sequence[Lookups] = ()

    def gather(self, workers: Sequence[Lookups]) -> None:
        """Take what the processes have looked up by now."""
        self._parts = [Lookups.of(self._own), *workers]
        self.total = sum(part.total for part in self._parts)

    def enable(self, wanted: bool) -> None:
        """Begin or stop remembering names, in every process."""
        self.enabled = wanted
        self._own.enable(wanted)
        self._tell(Verb.ENABLE_LOOKUPS, wanted)

    def clear(self) -> None:
        """Forget the names, in every process."""
        self._own.clear()
        self._tell(Verb.CLEAR_LOOKUPS)

    def counts(self) -> list[tuple[int, str]]:
        """(how often, name) of what is remembered, the most frequent first."""
        whole: collections.Counter[str] = collections.Counter()
        for part in self._parts:
            whole.update({name: count for count, name in part.counts})
        return sorted(((count, name) for name, count in whole.items()), key=lambda each: (-each[0], each[1]))


class FleetLogLevels:
    """The process log's levels."""

    def __init__(self, own: LogLevels, tell: Tell) -> None:
        self._own = own
        self._tell = tell

    def levels(self) -> Mapping[str, str]:
        """The parent's, which are everybody's."""
        return self._own.levels()

    def set_level(self, logger: str, level: str, /) -> None:
        """Change one logger in every process."""
        self._own.set_level(logger, level)
        self._tell(Verb.SET_LOG_LEVELS, dict(self._own.levels()))

    def set_all(self, level: str, /) -> None:
        """Change every logger in every process."""
        self._own.set_all(level)
        self._tell(Verb.SET_LOG_LEVELS, dict(self._own.levels()))


class FleetRuntime:
    """The runtime."""

    def __init__(self, own: RuntimeView, tell: Tell) -> None:
        self._own = own
        self._tell = tell

    def snapshot(self) -> RuntimeSnapshot:
        """The parent's, which is everybody's."""
        return self._own.snapshot()

    @property
    def has_admin_layer(self) -> bool:
        """Whether there is a layer to change."""
        return self._own.has_admin_layer

    def modify(self, values: Mapping[str, str]) -> None:
        """Change it in every process."""
        self._own.modify(values)
        self._tell(Verb.MODIFY_RUNTIME, dict(values))


class FleetCpuProfiler:
    """The CPU profilers; each process writes a file of its own."""

    def __init__(self, own: CpuProfiler, tell: Tell) -> None:
        self._own = own
        self._tell = tell

    def start(self) -> bool:
        """Begin everywhere. False when the parent's file cannot be written: then nobody begins."""
        started = self._own.start()
        if started:
            self._tell(Verb.PROFILE_CPU, True)
        return started

    def stop(self) -> None:
        """End everywhere, and write the files."""
        self._own.stop()
        self._tell(Verb.PROFILE_CPU, False)
