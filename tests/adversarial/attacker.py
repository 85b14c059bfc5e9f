"""Attacks from a process of its own, at a low priority: `python -m tests.adversarial.attacker ADDRESSES`.

For each line `NAME SECONDS` on standard input one attack; what was done is printed as JSON. It must not measure.
"""

from __future__ import annotations

import json
import os
import sys

from tests.adversarial.attack import Ground
from tests.adversarial.attacks import BY_NAME
from tests.integration.harness import Address

NICENESS = 10


def main(addresses: dict[str, Address]) -> None:
    """Attack until standard input ends."""
    os.nice(NICENESS)
    for line in sys.stdin:
        name, seconds = line.split()
        ground = Ground(addresses, float(seconds))
        ground.begin()
        try:
            BY_NAME[name].run(ground)
        except OSError:
            ground.done["ended by the proxy"] += 1
        print(json.dumps(ground.done), flush=True)


if __name__ == "__main__":
    main({name: tuple(each) for name, each in json.loads(sys.argv[1]).items()})
