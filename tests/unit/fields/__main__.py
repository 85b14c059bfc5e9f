"""Proves the table: each test that it names fails when readers do not see the field. Also finds tests for new fields.

python -m tests.unit.fields          # every row; some minutes
python -m tests.unit.fields --find   # for fields without a row: rows to put into the table
"""

from __future__ import annotations

import sys

from tests.unit.fields.masking import masked, noting, run
from tests.unit.fields.table import FILES, readable, rows, without_effect

TRIES = 8
"""Tests that are tried for a field, those of fewest fields first."""


def prove() -> int:
    """Run each named test without its field; the number of those that do not notice."""
    unnoticed = 0
    for field, test in rows().items():
        with masked(field):
            outcome = run([test])
        if not outcome.failed:
            unnoticed += 1
            print(f"{field}: {test} does not notice ({outcome.ran} ran)")
    return unnoticed


def find() -> int:
    """Print a row for each field that has none; the number of those for which no test was found."""
    known = rows()
    with noting() as seen:
        run(FILES)
    breadth = {test: sum(test in tests for tests in seen.values()) for tests in seen.values() for test in tests}
    missing = 0
    for field in sorted(readable() - known.keys() - without_effect().keys()):
        tests = sorted(seen.get(field, ()), key=lambda test: breadth[test])[:TRIES]
        with masked(field):
            failed = run(tests, "-x").failed if tests else []
        missing += not failed
        print(f'"{field}" = "{failed[0].partition("[")[0]}"' if failed else f"# {field}: no test notices", flush=True)
    return missing


if __name__ == "__main__":
    sys.exit(1 if (find() if "--find" in sys.argv else prove()) else 0)
