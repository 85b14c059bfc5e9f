"""One stage for all attacks: upstreams, and the proxies of a configuration, made when first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.adversarial.attacks import CALM
from tests.adversarial.stage import Stage, Target
from tests.conftest import ORACLE_DEFAULT

Targets = Callable[[str], dict[str, Target]]


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    """A function: setup -> proxies by side (`ours`, and `envoy` where it is installed), the same for all attacks."""
    made: dict[str, dict[str, Target]] = {}
    real = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    sides = ["ours", *(["envoy"] if os.access(real, os.X_OK) else [])]
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(tmp_path_factory.mktemp("attacks"), real))

        def of(setup: str) -> dict[str, Target]:
            if setup not in made:
                made[setup] = {side: stack.enter_context(stage.proxy(side, setup)) for side in sides}
                for target in made[setup].values():
                    target.attacked(CALM, 0.3)
            return made[setup]

        yield of
