"""Stats of one case: what counters and histograms grew by, gauges afterwards; and how two such measurements differ.

Which names are not determined is said here and in stats_left_out.toml. It must not ask a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.parity.stats_compare import VOLATILE
from tests.parity.stats_report import left_out

LONG = 200.0
"""Milliseconds from which a time is compared by value; shorter ones are the machine's."""
FACTOR = 4.0
TIMES = re.compile(r"_ms$|_time$")

# The process's own, or what happens beside the case: the admin's requests, look-ups of names, the watchdog's beats.
BESIDE = re.compile(
    r"^(http|listener)\.admin\.|^server\.|^main_thread\.|^workers\.|^runtime\.|^filesystem\.|^access_logs\."
    r"|^cluster\..*\.update_(attempt|success|no_rebuild|empty)$|^dns\.|_bytes_buffered$|watchdog_|^cluster_manager\.dns"
)


@dataclass
class Measured:
    """Values by name. A histogram's is (count, sum of about its values)."""

    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, tuple[int, float]] = field(default_factory=dict)

    def since(self, before: Measured) -> Measured:
        """What counters and histograms grew by, and the gauges as they are."""
        counters = {name: value - before.counters.get(name, 0) for name, value in self.counters.items()}
        histograms = {}
        for name, (count, total) in self.histograms.items():
            was, old = before.histograms.get(name, (0, 0.0))
            if count != was:
                histograms[name] = (count - was, total - old)
        return Measured({name: value for name, value in counters.items() if value}, self.gauges, histograms)


def measured(
    counters: Mapping[str, int], gauges: Mapping[str, int], histograms: Sequence[Any], plain: Callable[[str], str]
) -> Measured:
    """From the admin's JSON, without what happens beside the case. `plain` makes names of listeners the same."""
    details = [each for part in histograms for each in part["histograms"]["details"]]
    return Measured(
        {name: value for name, value in counters.items() if not BESIDE.search(name)},
        determined_gauges(gauges),
        {plain(each["name"]): _sums(each["totals"]) for each in details if not BESIDE.search(each["name"])},
    )


def determined_gauges(gauges: Mapping[str, int]) -> dict[str, int]:
    """Gauges that are not zero and that the case determines."""
    return {name: value for name, value in gauges.items() if value and not BESIDE.search(name)}


def _sums(buckets: Sequence[Mapping[str, float]]) -> tuple[int, float]:
    count = sum(int(each["count"]) for each in buckets)
    return count, sum(each["count"] * (each["lower_bound"] + each["width"] / 2) for each in buckets)


@dataclass
class Tally:
    """What was compared over many cases, by name: how often equal and not zero; times within the factor."""

    values: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        self.values[name] = self.values.get(name, 0) + 1
        self.kinds[name] = kind

    def of(self, kind: str) -> tuple[int, int]:
        """(names of a kind that were equal and not zero in a case, such comparisons)."""
        names = [name for name, each in self.kinds.items() if each == kind]
        return len(names), sum(self.values[name] for name in names)


def stats_differences(real: Mapping[str, Any], ours: Mapping[str, Any], tally: Tally | None = None) -> Iterator[str]:
    """Differences of two outcomes' stats as lines; what is equal and not zero is added to the tally."""
    tally = tally or Tally()
    one, two = real["stats"], ours["stats"]
    yield from _numbers("counter", one.counters, two.counters, tally)
    yield from _numbers("open gauge", real["open"], ours["open"], tally)
    yield from _numbers("gauge", one.gauges, two.gauges, tally)
    yield from _numbers("histogram", _counts(one), _counts(two), tally)
    yield from _times(one, two, tally)


def _numbers(kind: str, real: Mapping[str, int], ours: Mapping[str, int], tally: Tally) -> Iterator[str]:
    for name in sorted(real.keys() | ours.keys()):
        values = real.get(name, 0), ours.get(name, 0)
        if values[0] != values[1]:
            if not _not_compared(name):
                yield f"{kind} {name}: {values[0]} -> {values[1]}"
        elif values[0]:
            tally.add(kind, name)


def _not_compared(name: str) -> bool:
    return any(entry.pattern.search(name) for entry in _CASES_LEFT_OUT)


_CASES_LEFT_OUT = left_out("case")


def _counts(stats: Measured) -> dict[str, int]:
    return {name: count for name, (count, _) in stats.histograms.items()}


def _times(real: Measured, ours: Measured, tally: Tally) -> Iterator[str]:
    """Times of which one is long: a mean that is zero, or in seconds, is far from the other's."""
    for name in sorted(real.histograms.keys() & ours.histograms.keys()):
        if not (TIMES.search(name) or VOLATILE.search(name)):
            continue
        means = [total / count for count, total in (real.histograms[name], ours.histograms[name])]
        if max(means) < LONG:
            continue
        if max(means) > FACTOR * max(min(means), 1.0):
            yield f"time {name}: about {means[0]:.0f} -> {means[1]:.0f}"
        else:
            tally.times[name] = tally.times.get(name, 0) + 1
