"""Pick by pick what the real Envoy picked (tests/recordings)."""

from __future__ import annotations

import pytest

from tests.recordings.picks import Recording, ours, read_recordings

RECORDINGS = read_recordings()


@pytest.mark.parametrize("recording", RECORDINGS, ids=[each.name for each in RECORDINGS])
def test_as_the_real_envoy(recording: Recording) -> None:
    assert ours(recording, recording.seed or 0, len(recording.picks)) == recording.picks


def test_there_is_enough_to_compare() -> None:
    turns = [each for each in RECORDINGS if each.in_turns]
    assert len(turns) >= 10
    assert len(RECORDINGS) - len(turns) >= 15
    assert sum(len(each.picks) == 10_000 for each in turns) >= 4
    assert all(len(each.picks) >= 1000 for each in RECORDINGS)
    assert all(len(set(each.picks)) > 1 for each in RECORDINGS if not each.name.endswith("-one"))
