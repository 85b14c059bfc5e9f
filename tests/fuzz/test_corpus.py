"""Every input that is kept, replayed; and some of each grammar, so that grammars and targets stay in step."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import corpus
from tests.fuzz.registry import NAMES, find

INPUTS = [(name, data) for name in NAMES for data in corpus.load(name)]


@pytest.mark.parametrize(("name", "data"), INPUTS, ids=[f"{name}-{n}" for n, (name, _) in enumerate(INPUTS)])
def test_kept_input(name: str, data: bytes) -> None:
    find(name).check(data)


@pytest.mark.parametrize("name", NAMES)
def test_some_of_the_grammar(name: str) -> None:
    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(find(name).inputs)
    def check(data: bytes) -> None:
        find(name).check(data)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_inputs(name: str) -> None:
    for data in (b"", b"\0", b"\n", b"\xff"):
        find(name).check(data)


def test_every_corpus_has_its_target() -> None:
    assert {path.stem for path in corpus.FOLDER.glob("*.txt")} == set(NAMES)
