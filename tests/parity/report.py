"""The report for people: a score by area, each difference, and docs/parity.md. Must not run or judge cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.parity.cases.table import AREAS
from tests.parity.compare import Difference, Intended, by_case
from tests.parity.pair import Result
from tests.parity.run import Findings
from tests.parity.stats_kinds import kinds

SHOWN = 160
Row = tuple[str, int, int, int]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "parity.md"

INTRODUCTION = """\
# Parity with the real Envoy

`make parity` sends the same bytes through the real Envoy {version} and through envoymesh, with the same bootstrap and
the same recording upstreams, and compares for each case: the response (status line, names, values, order and case of
its headers, body, or HTTP/2 frames), how the connection ends, what the upstream received, the access-log line, by how
much each counter grew and how many values each histogram got, and gauges before the client closes and afterwards.
Masked by name are: `date`, `x-envoy-upstream-service-time`, request ids, and ports. Of HTTP/2, when SETTINGS and PING
are acknowledged and windows are updated is not compared, nor how many bytes HPACK, frames and TLS records take.

This page is written by `make parity`; the list of intended differences is `tests/parity/intended.toml`. Any other
difference fails `make test` and CI.

## Score

`same` cases agree in every respect; `intended` ones differ only where the list below says so.

"""


AGAIN = """\
A case that differs beyond the list is run once more, for a busy machine can be late; the second result counts. In the
run of this page that befell:

"""


def score(results: Sequence[Result], found: Sequence[Difference], left: Sequence[Difference]) -> list[Row]:
    """(area, cases, cases that differ as intended, cases that differ otherwise), and the sum."""
    different = {each.case for each in left}
    intended = {each.case for each in found} - different
    rows = []
    for area in AREAS:
        names = {result.case.id for result in results if result.case.area == area}
        if names:
            rows.append((area, len(names), len(names & intended), len(names & different)))
    return [*rows, ("all", *(sum(row[at] for row in rows) for at in (1, 2, 3)))]  # type: ignore[list-item]


def score_text(rows: Sequence[Row]) -> str:
    """The score for a terminal."""
    head = f"{'area':<38}{'cases':>7}{'same':>7}{'intended':>10}{'different':>11}"
    return "\n".join(
        [head, *(f"{area:<38}{cases:>7}{cases - kept - bad:>7}{kept:>10}{bad:>11}" for area, cases, kept, bad in rows)]
    )


def stats_lines(findings: Findings) -> list[str]:
    """What was compared of the stats, in words."""
    tally = findings.tally
    lines = []
    for kind, words in _KINDS.items():
        names, times = tally.of(kind)
        lines.append(f"{words}: {names} of them equal and not zero in some case, {times:,} times")
    lines.append(f"times of {len(tally.times)} histograms, where they are long: within a factor of four, "
                 f"{sum(tally.times.values())} times")  # fmt: skip
    if findings.names:
        zero, constant, envoys = kinds(findings.names, tally.values)
        lines.append(
            f"names that were zero all along in both: {zero}; shown by ours and never counted: {constant}; of the "
            f"real Envoy only: {envoys}"
        )
    return lines


def again_lines(findings: Findings) -> list[str]:
    """Each case that was run a second time, with what differed the first time."""
    return [f"{name} ({len(texts)} lines: {'; '.join(texts[:3])[:SHOWN]})" for name, texts in findings.again.items()]


_KINDS = {
    "counter": "counters (by how much they grew)",
    "open gauge": "gauges while connections are open",
    "gauge": "gauges afterwards",
    "histogram": "histograms (values they got)",
}


def document(rows: Sequence[Row], findings: Findings, listed: Sequence[Intended], version: str) -> str:
    """docs/parity.md."""
    left = findings.left
    table = ["| area | cases | same | intended | different |", "|---|---:|---:|---:|---:|"]
    table += [f"| {area} | {cases} | {cases - kept - bad} | {kept} | {bad} |" for area, cases, kept, bad in rows]
    again = "\n".join(f"- {line}" for line in again_lines(findings)) or "No case was run a second time."
    parts = [INTRODUCTION.format(version=version) + "\n".join(table)]
    parts += [
        "## Run again",
        AGAIN + again,
        "## Stats of the cases",
        "\n".join(f"- {line}" for line in stats_lines(findings)),
    ]
    parts += ["## Intended differences"]
    parts += [_entry(entry) for entry in listed if not entry.to_be_closed]
    still_open = [_entry(entry) for entry in listed if entry.to_be_closed]
    if still_open:
        parts += ["## Known differences, to be closed", *still_open]
    if left:
        parts.append("## Other differences")
        parts.append("\n".join(f"- {name}" for name in by_case(left)))
    return "\n\n".join(parts) + "\n"


def _entry(entry: Intended) -> str:
    where = ", ".join(f"`{pattern}`" for pattern in entry.cases)
    what = ", ".join(f"`{_printable(pattern)}`" for pattern in entry.differs)
    return f"- {entry.reason}\n  - where: {where}\n  - what: {what}"


def _printable(pattern: str) -> str:
    """Bytes of a TLS record among them are shown as escapes."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in pattern)
