"""`make attack`: every attack on ours and on the real Envoy, round by round; the table of docs/reliability.md.

    python -m tests.adversarial [--attack NAME]... [--seconds 3] [--rounds 3] [--dry]

Proxies have a core of their own where the machine has two; attackers run at a low priority on the other, so that the
prober does not wait for them. Both proxies meet the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.processes import SUBJECT_CORES
from envoymesh.native.loader import activate
from tests.adversarial import report
from tests.adversarial.attack import Attack
from tests.adversarial.attacks import ATTACKS, BY_NAME, CALM
from tests.adversarial.stage import Outcome, Stage
from tests.conftest import ORACLE_DEFAULT

WARM_UP = 0.3


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.adversarial", description=__doc__)
    parser.add_argument("--attack", action="append", choices=sorted(BY_NAME), help="only these; may be repeated")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one attack")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="do not write docs/reliability.md")
    return parser.parse_args()


def measured(
    attack: Attack, stage: Stage, sides: Sequence[str], seconds: float, rounds: int
) -> dict[str, report.Figures]:
    """The attack on a fresh proxy of each side, in turned order."""
    outcomes: dict[str, list[Outcome]] = {side: [] for side in sides}
    with ExitStack() as stack:
        targets = {side: stack.enter_context(stage.proxy(side, attack.setup)) for side in sides}
        for target in targets.values():
            target.attacked(CALM, WARM_UP)
        for turn in range(rounds):
            for side in sides if turn % 2 == 0 else reversed(sides):
                outcomes[side].append(targets[side].attacked(attack, seconds))
                if not outcomes[side][-1].alive:
                    return {name: report.Figures.of(each) for name, each in outcomes.items() if each}
    return {name: report.Figures.of(each) for name, each in outcomes.items()}


def _conditions(options: argparse.Namespace, real: bool) -> str:
    cores = len(os.sched_getaffinity(0))
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {cores} cores, Python {platform.python_version()}, ours "
        f"{activate()}; {options.seconds:g} s an attack, {options.rounds} rounds"
        f"{'' if real else '; without the real Envoy'}. Waits are those of another client: the median over the rounds "
        "of the worst, and of the 99th percentile. Memory is the most that a round added."
    )


def main() -> int:
    """Measure, print, write. 1 when something was not held."""
    options = _options()
    chosen = [BY_NAME[name] for name in options.attack] if options.attack else ATTACKS
    real = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    sides = ["envoy", "ours"] if os.access(real, os.X_OK) else ["ours"]
    lines = [_conditions(options, "envoy" in sides), "", report.HEADER]
    print("\n".join(lines), flush=True)
    not_held = 0
    with tempfile.TemporaryDirectory(prefix="envoymesh-attack-") as folder:
        apart = len(os.sched_getaffinity(0)) > len(SUBJECT_CORES)
        with Stage(Path(folder), real, apart=apart) as stage:
            for attack in chosen:
                figures = measured(attack, stage, sides, options.seconds, options.rounds)
                line = report.row(attack, figures.get("envoy"), figures["ours"])
                not_held += not line.endswith("| held |")
                lines.append(line)
                print(line, flush=True)
    summary = f"{len(chosen) - not_held} of {len(chosen)} rows held."
    lines += ["", summary]
    print(f"\n{summary}")
    if not options.dry and not options.attack:
        report.write("attacks", "\n".join(lines))
    return 1 if not_held else 0


if __name__ == "__main__":
    sys.exit(main())
