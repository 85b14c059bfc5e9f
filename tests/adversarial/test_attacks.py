"""Every attack, shortly, on ours and on the real Envoy. Nothing here looks at time: `make attack` measures that.

Asserted is that everybody else is served meanwhile, that memory grows by no more than its bound, that the proxy lives,
and that connections, streams and descriptors are gone when the attack is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.adversarial.attack import Attack
from tests.adversarial.attacks import ATTACKS, CALM
from tests.adversarial.conftest import Targets
from tests.adversarial.report import GROWTH_LIMIT
from tests.adversarial.stage import Outcome

SECONDS = 0.5
pytestmark = pytest.mark.slow


def test_the_real_envoy_takes_part(oracle: Path) -> None:
    """Where it is not installed the attacks below are on ours alone, and this says so."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack(attack: Attack, targets: Targets) -> None:
    with ThreadPoolExecutor() as threads:
        asked = {
            side: threads.submit(target.attacked, attack, SECONDS) for side, target in targets(attack.setup).items()
        }
    for side, each in asked.items():
        check(attack, side, each.result())


def check(attack: Attack, side: str, outcome: Outcome) -> None:
    """What the attacks do has a meaning beyond ours: the real Envoy serves everybody under them too."""
    assert outcome.alive, f"{side} ended"
    assert not outcome.failures, f"{side}: {len(outcome.failures)} probes were not served: {outcome.failures[:3]}"
    assert all(outcome.waits.values()), f"nobody probed {side}"
    assert attack is CALM or outcome.done["connections"], f"nobody attacked {side}"
    if side == "ours":
        assert outcome.growth <= GROWTH_LIMIT, f"{outcome.growth} KiB more"
        assert not outcome.left, "of the attack is left"
