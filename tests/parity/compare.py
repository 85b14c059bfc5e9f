"""Differences between what the real Envoy and ours did, as text for people, and which of them are intended.

The list of intended differences is intended.toml; every entry says why. This file must not run anything.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.parity.pair import Outcome, Result

INTENDED_PATH = Path(__file__).with_name("intended.toml")
ASPECTS = ("response", "end", "upstream", "log", "counters")


@dataclass(frozen=True)
class Difference:
    """One aspect of one case; `counters` are its names where that is the aspect."""

    case: str
    area: str
    aspect: str
    lines: tuple[str, ...]
    counters: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """For people: the real Envoy's lines with -, ours with +."""
        return "\n".join([f"{self.case} [{self.aspect}]", *(f"    {line}" for line in self.lines)])


@dataclass(frozen=True)
class Intended:
    """One entry of the list: patterns of cases, and which aspects or counters differ there."""

    reason: str
    cases: tuple[str, ...]
    aspects: tuple[str, ...]
    counters: tuple[str, ...]

    def covers(self, difference: Difference) -> bool:
        """Whether all of a difference is meant to be."""
        if not any(fnmatchcase(difference.case, pattern) for pattern in self.cases):
            return False
        if difference.aspect in self.aspects:
            return True
        return difference.aspect == "counters" and all(self._covers_counter(name) for name in difference.counters)

    def _covers_counter(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.counters)


def read_intended(path: Path = INTENDED_PATH) -> list[Intended]:
    """The list of intended differences."""
    entries = tomllib.loads(path.read_text())["intended"]
    return [
        Intended(
            " ".join(entry["reason"].split()),
            tuple(entry["cases"]),
            tuple(entry.get("aspects", ())),
            tuple(entry.get("counters", ())),
        )
        for entry in entries
    ]


def differences(result: Result) -> list[Difference]:
    """Where the two outcomes of a case are not the same."""
    case, real, ours = result.case, result.real, result.ours
    return [
        Difference(
            case.id, case.area, aspect, tuple(_diff(lines(real, aspect), lines(ours, aspect))), _names(real, ours, aspect)
        )
        for aspect in ASPECTS
        if real[aspect] != ours[aspect]
    ]


def _names(real: Outcome, ours: Outcome, aspect: str) -> frozenset[str]:
    if aspect != "counters":
        return frozenset()
    return frozenset(name for name, _ in real[aspect].items() ^ ours[aspect].items())


def lines(outcome: Outcome, aspect: str) -> list[str]:
    """An aspect of an outcome as lines."""
    value = outcome[aspect]
    if isinstance(value, dict):
        return [f"{name}: {value[name]}" for name in sorted(value)]
    texts = [value] if isinstance(value, str) else value
    return [line for text in texts for line in text.split("\n")]


def _diff(real: Sequence[str], ours: Sequence[str]) -> Iterable[str]:
    for line in difflib.unified_diff(real, ours, n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line[:300]


def unintended(found: Iterable[Difference], listed: Sequence[Intended]) -> list[Difference]:
    """The differences that no entry covers; what is left of counters when entries cover some of them."""
    left = []
    for difference in found:
        if any(entry.covers(difference) for entry in listed):
            continue
        rest = _without_listed_counters(difference, listed)
        if rest is not None:
            left.append(rest)
    return left


def _without_listed_counters(difference: Difference, listed: Sequence[Intended]) -> Difference | None:
    if difference.aspect != "counters":
        return difference
    names = {name for name in difference.counters if not any(_covers_one(entry, difference, name) for entry in listed)}
    if not names:
        return None
    kept = tuple(line for line in difference.lines if line[1:].rpartition(":")[0] in names)
    return Difference(difference.case, difference.area, "counters", kept, frozenset(names))


def _covers_one(entry: Intended, difference: Difference, name: str) -> bool:
    single = Difference(difference.case, difference.area, "counters", (), frozenset({name}))
    return entry.covers(single)


def unused(found: Sequence[Difference], listed: Sequence[Intended]) -> list[Intended]:
    """Entries of the list that no difference needs any more."""
    return [entry for entry in listed if not any(_touches(entry, difference) for difference in found)]


def _touches(entry: Intended, difference: Difference) -> bool:
    if entry.covers(difference):
        return True
    return any(_covers_one(entry, difference, name) for name in difference.counters)
