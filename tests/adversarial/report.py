"""Figures as Markdown, and their place in docs/reliability.md. It must not measure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.adversarial.attack import Attack
from tests.adversarial.stage import Outcome

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
FACTOR, EXTRA = 2.0, 20.0
"""A wait may be so many times Envoy's, and so many milliseconds beyond that."""
GROWTH_LIMIT = 32 * 1024
"""KiB of memory that one attack may cost."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What rounds of one attack on one proxy came to. Milliseconds, KiB."""

    worst: float
    p99: float
    growth: int
    failures: int
    late: int
    left: dict[str, int]
    alive: bool

    @classmethod
    def of(cls, rounds: Sequence[Outcome]) -> Figures:
        """The median of the rounds' worst waits and p99, and the most of everything else."""
        return cls(
            statistics.median(each.worst for each in rounds),
            statistics.median(each.p99 for each in rounds),
            max(each.growth for each in rounds),
            sum(len(each.failures) for each in rounds),
            sum(each.done.get("late", 0) for each in rounds),
            rounds[-1].left,
            all(each.alive for each in rounds),
        )


def verdict(real: Figures | None, ours: Figures) -> str:
    """`held`, or what was not."""
    faults = []
    if not ours.alive:
        faults.append("the proxy ended")
    if ours.failures:
        faults.append(f"{ours.failures} probes not served")
    if real is not None and ours.worst > FACTOR * real.worst + EXTRA:
        faults.append("waits")
    if ours.growth > GROWTH_LIMIT:
        faults.append("memory")
    if ours.late > (real.late if real else 0):
        faults.append(f"{ours.late} late connections")
    if ours.left:
        faults.append("left: " + ", ".join(f"{name} {value}" for name, value in ours.left.items()))
    return "held" if not faults else f"**{'; '.join(faults)}**"


def row(attack: Attack, real: Figures | None, ours: Figures) -> str:
    """One line of the table."""
    shown = [attack.name, attack.text]
    shown += [_waits(real), _waits(ours)]
    shown.append(f"{_mebibytes(real)}, {_mebibytes(ours)}")
    shown.append(verdict(real, ours))
    return "| " + " | ".join(text.replace("|", "\\|") for text in shown) + " |"


HEADER = (
    "| attack | what is done | Envoy's worst wait, p99 (ms) | ours | memory, Envoy and ours (MiB) | verdict |\n"
    "|---|---|---|---|---|---|"
)


def _waits(figures: Figures | None) -> str:
    if figures is None:
        return "-"
    failed = f" ({figures.failures} probes not served)" if figures.failures else ""
    return f"{figures.worst:.0f}, {figures.p99:.1f}{failed}"


def _mebibytes(figures: Figures | None) -> str:
    return "-" if figures is None else f"{figures.growth / 1024:.1f}"


def write(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Put text between the document's markers of that name.

    Raises:
        ValueError: the document has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = document.read_text()
    before, found, rest = whole.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{document} has no place for {name}: {begin} ... {end}")
    document.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
