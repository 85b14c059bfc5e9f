"""Differences between what the real Envoy and ours did, as text for people, and which of them are intended.

A difference is one line: a line of the response only one has, a field of the access log, a counter. The list of
intended differences is intended.toml; every entry says why. This file must not run anything.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.parity.measured import Tally
from tests.parity.outcome import differences_of
from tests.parity.pair import Result

INTENDED_PATH = Path(__file__).with_name("intended.toml")


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
    """The list of intended differences, then those that are known and to be closed.

    Raises:
        ValueError: an entry does not say what differs, or is about every case.
    """
    tables = tomllib.loads(path.read_text())
    found = [
        Intended(" ".join(entry["reason"].split()), tuple(entry["cases"]), tuple(entry["differs"]), kind == "open")
        for kind in ("intended", "open")
        for entry in tables.get(kind, [])
    ]
    for entry in found:
        for pattern in (*entry.cases, *entry.differs):
            if names_nothing(pattern):
                raise ValueError(
                    f"{path.name}: {pattern!r} of {entry.cases[0]!r} matches whatever differs: name the lines"
                )
    return found


_ASPECT = re.compile(r"^(response|upstream( \d+)?|log|counter|(open )?gauge|histogram|time|end)(?![\w-])")


def names_nothing(pattern: str) -> bool:
    """Whether a pattern has wildcards and, beside the aspect, nothing else."""
    return "*" in pattern and not re.search(r"\w", _ASPECT.sub("", pattern).replace("->", ""))


def differences(result: Result, tally: Tally | None = None) -> list[Difference]:
    """Where the two outcomes of a case are not the same; equal stats are added to the tally."""
    case = result.case
    return [Difference(case.id, case.area, text) for text in differences_of(result.real, result.ours, tally)]


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
