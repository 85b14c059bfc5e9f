"""A soak of seconds: after each cycle of mixed load the proxy holds what it held before. `make soak` is longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adversarial.soak import soak

SECONDS = 12.0
GROWTH_KIB = 16 * 1024


@pytest.mark.slow
def test_cycles_of_mixed_load_leave_nothing(tmp_path: Path) -> None:
    done = soak(SECONDS, tmp_path)
    assert min(done.asked.values()) > 0, done.asked
    assert done.restarts, "no upstream was restarted"
    assert not done.failures
    assert not [sample for sample in done.samples if sample.streams]
    first, *_, last = done.samples
    assert last.descriptors <= first.descriptors
    assert last.timers <= first.timers, "timers pile up"
    assert last.connections <= first.connections, "connections pile up"
    assert last.rss - first.rss < GROWTH_KIB
