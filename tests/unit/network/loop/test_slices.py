"""Long work takes a slice of a turn, all of it together, and goes on in the next turn."""

from collections.abc import Iterator

import pytest

from envoymesh.network.loop.slices import LONGEST, SHARE, SLICE, Slices
from tests.support.fakes import FakeDispatcher


def work(dispatcher: FakeDispatcher, done: list[str], name: str, steps: int) -> Iterator[None]:
    """Steps that take a quarter of a slice each."""
    for step in range(steps):
        dispatcher._now += SLICE / 4
        done.append(f"{name}{step}")
        yield


def turn(dispatcher: FakeDispatcher) -> None:
    """What was posted before this turn, and nothing that it posts."""
    for _ in range(len(dispatcher.posted)):
        dispatcher.posted.popleft()()


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher(now=0.0)


def test_a_turn_does_no_more_than_a_slice(dispatcher: FakeDispatcher) -> None:
    done: list[str] = []
    slices = Slices(dispatcher)
    slices.add(work(dispatcher, done, "a", 6))
    assert done == [], "not in the turn of whoever wants it"
    turn(dispatcher)
    assert done == ["a0", "a1", "a2", "a3"]
    turn(dispatcher)
    assert done[4:] == ["a4", "a5"]
    assert not dispatcher.posted


def test_works_take_turns_and_share_them(dispatcher: FakeDispatcher) -> None:
    done: list[str] = []
    slices = Slices(dispatcher)
    slices.add(work(dispatcher, done, "a", 8))
    slices.add(work(dispatcher, done, "b", 4))
    assert len(dispatcher.posted) == 1
    turn(dispatcher)
    assert [each[0] for each in done] == ["a"] * 4
    turn(dispatcher)
    assert [each[0] for each in done] == ["a"] * 4 + ["b"] * 4
    dispatcher.run_posted()
    assert len(done) == 12


def test_a_work_that_fails_does_not_stop_the_others(dispatcher: FakeDispatcher) -> None:
    def failing() -> Iterator[None]:
        yield
        raise ZeroDivisionError

    done: list[str] = []
    slices = Slices(dispatcher)
    slices.add(failing())
    slices.add(work(dispatcher, done, "a", 1))
    with pytest.raises(ZeroDivisionError):
        turn(dispatcher)
    turn(dispatcher)
    assert done == ["a0"]
    assert not dispatcher.posted


def test_work_may_add_work(dispatcher: FakeDispatcher) -> None:
    done: list[str] = []
    slices = Slices(dispatcher)

    def first() -> Iterator[None]:
        slices.add(work(dispatcher, done, "b", 1))
        yield

    slices.add(first())
    dispatcher.run_posted()
    assert done == ["b0"]


def test_where_turns_are_long_slices_are(dispatcher: FakeDispatcher) -> None:
    done: list[str] = []
    slices = Slices(dispatcher)
    slices.add(work(dispatcher, done, "a", 1000))
    dispatcher._now += 2 * SLICE / SHARE
    turn(dispatcher)
    assert len(done) == 8, "two slices' worth of steps"
    dispatcher._now += 10.0
    turn(dispatcher)
    assert len(done) == 8 + LONGEST / (SLICE / 4)
