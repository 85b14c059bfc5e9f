"""Differences between what the real Envoy and ours did, as text for people, and which of them are intended.

A difference is one line: a line of the response only one has, a field of the access log, a counter. The list of
intended differences is intended.toml; every entry says why. This file must not run anything.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path

from tests.parity.configuration import LOG_SEPARATOR
from tests.parity.pair import Outcome, Result

INTENDED_PATH = Path(__file__).with_name("intended.toml")
SHOWN = 300


@dataclass(frozen=True)
class Difference:
    """One difference in one case, such as ``counter http2.tx_reset: 0 -> 1`` (the real Envoy's first)."""

    case: str
    area: str
    text: str


@dataclass(frozen=True)
class Intended:
    """One entry of the list: patterns (fnmatch) of cases and of what differs there."""

    reason: str
    cases: tuple[str, ...]
    differs: tuple[str, ...]
    to_be_closed: bool = False

    def covers(self, difference: Difference) -> bool:
        """Whether a difference is meant to be."""
        return any(fnmatchcase(difference.case, pattern) for pattern in self.cases) and any(
            fnmatchcase(difference.text, pattern) for pattern in self.differs
        )


def read_list(path: Path = INTENDED_PATH) -> list[Intended]:
    """The list of intended differences, then those that are known and to be closed."""
    tables = tomllib.loads(path.read_text())
    return [
        Intended(" ".join(entry["reason"].split()), tuple(entry["cases"]), tuple(entry["differs"]), kind == "open")
        for kind in ("intended", "open")
        for entry in tables.get(kind, [])
    ]


def differences(result: Result) -> list[Difference]:
    """Where the two outcomes of a case are not the same."""
    case, real, ours = result.case, result.real, result.ours
    return [Difference(case.id, case.area, text) for text in _all(real, ours)]


def _all(real: Outcome, ours: Outcome) -> Iterator[str]:
    yield from _text_differences("response", real["response"].split("\n"), ours["response"].split("\n"))
    if real["end"] != ours["end"]:
        yield f"end: {real['end']} -> {ours['end']}"
    for number, (sent, got) in enumerate(zip_longest(real["upstream"], ours["upstream"], fillvalue="")):
        name = "upstream" if not number else f"upstream {number + 1}"
        yield from _text_differences(name, sent.split("\n"), got.split("\n"))
    for line, other in zip_longest(real["log"], ours["log"], fillvalue=""):
        yield from _log_differences(line, other)
    counters = real["counters"], ours["counters"]
    for name in sorted(counters[0].keys() | counters[1].keys()):
        one, two = (each.get(name, 0) for each in counters)
        if one != two:
            yield f"counter {name}: {one} -> {two}"


def _text_differences(aspect: str, real: Sequence[str], ours: Sequence[str]) -> Iterator[str]:
    # Its first two lines are a heading.
    for line in list(difflib.unified_diff(real, ours, n=0, lineterm=""))[2:]:
        if not line.startswith("@@"):
            yield f"{aspect} {line[:SHOWN]}"


def _log_differences(real: str, ours: str) -> Iterator[str]:
    if not real or not ours:
        if real != ours:
            yield f"log {'-' if real else '+'}{real or ours}"
        return
    for one, two in zip(real.split(LOG_SEPARATOR), ours.split(LOG_SEPARATOR), strict=True):
        if one != two:
            name, _, value = one.partition("=")
            yield f"log {name}: {value} -> {two.partition('=')[2]}"


def unintended(found: Iterable[Difference], listed: Sequence[Intended]) -> list[Difference]:
    """The differences that no entry covers."""
    return [difference for difference in found if not any(entry.covers(difference) for entry in listed)]


def unused(found: Sequence[Difference], listed: Sequence[Intended]) -> list[Intended]:
    """Entries of the list that no difference needs any more."""
    return [entry for entry in listed if not any(entry.covers(difference) for difference in found)]


def by_case(found: Iterable[Difference]) -> dict[str, list[str]]:
    """Differences for people: a case's name, then what differs there."""
    cases: dict[str, list[str]] = {}
    for each in found:
        cases.setdefault(each.case, []).append(each.text)
    return cases
