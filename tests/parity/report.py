"""The report for people: a score by area, each difference, and docs/parity.md. Must not run or judge cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.parity.cases.table import AREAS
from tests.parity.compare import Difference, Intended, by_case
from tests.parity.pair import Result

Row = tuple[str, int, int, int]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "parity.md"

INTRODUCTION = """\
# Parity with the real Envoy

`make parity` sends the same bytes through the real Envoy {version} and through envoymesh, with the same bootstrap and
the same recording upstreams, and compares for each case: the response (status line, names, values, order and case of
its headers, body, or HTTP/2 frames), how the connection ends, what the upstream received, the access-log line, and by
how much each counter of `http.`, `http1.`, `http2.`, `cluster.` and `listener.` grew. Masked by name are: `date`,
`x-envoy-upstream-service-time`, request ids, and ports. Of HTTP/2, when SETTINGS and PING are acknowledged and windows
are updated is not compared, nor how many bytes HPACK, frames and TLS records take.

This page is written by `make parity`; the list of intended differences is `tests/parity/intended.toml`. Any other
difference fails `make test` and CI.

## Score

`same` cases agree in every respect (but for entries of the list that are about every case); `intended` ones differ only
where the list below says so.

"""


def score(
    results: Sequence[Result], found: Sequence[Difference], left: Sequence[Difference], listed: Sequence[Intended]
) -> list[Row]:
    """(area, cases, cases that differ as intended, cases that differ otherwise), and the sum.

    What differs in every case says nothing about one: it does not count here.
    """
    everywhere = [entry for entry in listed if entry.cases == ("*",)]
    different = {each.case for each in left}
    intended = {each.case for each in found if not any(entry.covers(each) for entry in everywhere)} - different
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


def document(rows: Sequence[Row], left: Sequence[Difference], listed: Sequence[Intended], version: str) -> str:
    """docs/parity.md."""
    table = ["| area | cases | same | intended | different |", "|---|---:|---:|---:|---:|"]
    table += [f"| {area} | {cases} | {cases - kept - bad} | {kept} | {bad} |" for area, cases, kept, bad in rows]
    parts = [INTRODUCTION.format(version=version) + "\n".join(table), "## Intended differences"]
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
    what = ", ".join(f"`{pattern}`" for pattern in entry.differs)
    return f"- {entry.reason}\n  - where: {where}\n  - what: {what}"
