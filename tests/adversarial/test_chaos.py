"""Each fault of the chaos once: ours loses no request that the real Envoy does not. `make chaos` is longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.adversarial.chaos import FAULTS, chaos, markdown
from tests.conftest import ORACLE_DEFAULT

TURN = 1.5


@pytest.mark.slow
def test_faults_of_replicas_lose_no_request(tmp_path: Path) -> None:
    real = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    done = chaos(0.0, tmp_path, real if os.access(real, os.X_OK) else None, turn=TURN)
    assert done.figures.keys() == FAULTS.keys()
    assert all(len(figures.waits) > 10 for sides in done.figures.values() for figures in sides.values())
    assert all(done.ejections.values()), "nobody was ejected"
    allowed = done.losses("envoy") if "envoy" in done.ejections else 0
    assert done.losses("ours") <= allowed, markdown(done, TURN)
