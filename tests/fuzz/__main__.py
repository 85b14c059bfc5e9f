"""The fuzzer's command line.

python -m tests.fuzz [run] [--seconds N] [TARGET...]   fuzz, and print a table; 1 where something failed
python -m tests.fuzz replay TARGET HEX                 run one input again
python -m tests.fuzz work [FAMILY...]                  how work grows with what a hostile peer sends
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz import campaign
from tests.fuzz.registry import NAMES, find


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="fuzz")
    run.add_argument("--seconds", type=float, default=60)
    run.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all without one")
    replay = commands.add_parser("replay", help="run one input again")
    replay.add_argument("target", choices=NAMES)
    replay.add_argument("hex", type=bytes.fromhex)
    work = commands.add_parser("work", help="how work grows with what a hostile peer sends")
    work.add_argument("families", nargs="*", metavar="FAMILY")
    options = parser.parse_args()
    if options.command == "replay":
        find(options.target).check(options.hex)
        print("no failure")
        return 0
    if options.command == "work":
        from tests.fuzz import work as measured

        print(measured.report(options.families))
        return 0
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return fuzz(options.targets or NAMES, options.seconds)


def fuzz(names: list[str], seconds: float) -> int:
    """Fuzz, and say what was found."""
    rows = campaign.run(names, seconds)
    for failure in [failure for row in rows for failure in row.failures]:
        print(failure, end="\n\n")
    print(campaign.table(rows))
    return int(any(row.failures for row in rows))


if __name__ == "__main__":
    sys.exit(main())
