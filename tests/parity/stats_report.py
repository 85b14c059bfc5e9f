"""The section on stats of docs/parity.md, from what was compared and from stats_left_out.toml.

It must not compare, nor start anything.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.parity.constants import is_constant
from tests.parity.stats_compare import Difference

INTRODUCTION = """\
Both configurations under the same traffic (HTTP/1, HTTP/2, TLS, 404, 500, 503, malformed requests, a host that is not
there), then the whole of `/stats` compared: names, types, and every value that the clock, the machine or the build does
not decide; and of `/stats/prometheus` every series with its type and its labels in order. An equal value says something
where it is not zero; what ours shows and never counts, having no such feature (`ConstantStats`), says nothing."""

HEADING = (
    "| configuration | Envoy's names | present | equal and not zero | equal at zero | zero, not counted by ours |"
    " different |"
)
LEFT_OUT = Path(__file__).with_name("stats_left_out.toml")


@dataclass(frozen=True)
class Entry:
    """Names that are left out, or whose values are, and why."""

    pattern: re.Pattern[str]
    reason: str


def left_out(kind: str) -> list[Entry]:
    """The list of a kind: ``name`` or ``value``."""
    found = tomllib.loads(LEFT_OUT.read_text())[kind]
    return [Entry(re.compile(each["pattern"]), each["reason"]) for each in found]


def unlisted(names: list[str], kind: str) -> list[str]:
    """Those of the names for which the list has no reason."""
    entries = left_out(kind)
    return [name for name in names if not any(entry.pattern.search(name) for entry in entries)]


def section(found: Mapping[str, Difference]) -> str:
    """The section, for the differences by the configuration's name."""
    rows = [_row(tier, each) for tier, each in found.items()]
    missing = sorted({name for each in found.values() for name in each.missing})
    return "\n".join(
        [
            "## Stats of the sandbox's configurations",
            "",
            INTRODUCTION,
            "",
            HEADING,
            "|---|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "Not present:",
            "",
            *(f"- `{name}`: {_reason(name, 'name')}" for name in missing),
            "",
            "Present, but not compared by value:",
            "",
            *(f"- `{entry.pattern.pattern}`: {entry.reason}" for entry in left_out("value")),
        ]
    )


def _row(tier: str, found: Difference) -> str:
    zero = unlisted(found.zero, "value")
    constant = [name for name in zero if is_constant(name)]
    numbers = [
        len(unlisted(found.moved, "value")), len(zero) - len(constant), len(constant),
        len(unlisted(list(found.values), "value")),
    ]  # fmt: skip
    present = f"{found.names - len(found.missing)} ({found.share:.1%})"
    return f"| {tier} | {found.names} | {present} | {' | '.join(map(str, numbers))} |"


def _reason(name: str, kind: str) -> str:
    return next((entry.reason for entry in left_out(kind) if entry.pattern.search(name)), "no reason is known")
