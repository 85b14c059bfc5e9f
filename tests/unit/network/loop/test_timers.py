"""Tests of envoymesh.network.loop.timers on a clock of their own."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.network.loop.timers import MAX_IDLE_QUEUES, NEVER, QueueTimer, TimerQueues


class Loop:
    """A clock, and the one timer that the queues may arm."""

    def __init__(self) -> None:
        self.time = 100.0
        self.armed: dict[int, tuple[float, Callable[[], None]]] = {}
        self.wake_ups = 0
        self.arms = 0
        self.failures: list[Exception] = []

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Loop.Handle:
        self.arms += 1
        self.armed[self.arms] = (self.time + seconds, callback)
        return Loop.Handle(self, self.arms)

    class Handle:
        def __init__(self, loop: Loop, key: int) -> None:
            self.loop, self.key = loop, key

        def cancel(self) -> None:
            self.loop.armed.pop(self.key, None)

    def run(self, timer: QueueTimer) -> None:
        try:
            timer.fire()
        except ValueError as error:
            self.failures.append(error)

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while self.armed:
            key, (deadline, callback) = min(self.armed.items(), key=lambda item: item[1][0])
            if deadline > end:
                break
            del self.armed[key]
            self.time = max(self.time, deadline)
            self.wake_ups += 1
            callback()
        self.time = end


def queues() -> tuple[Loop, TimerQueues]:
    loop = Loop()
    return loop, TimerQueues(loop.now, loop.call_later, loop.run)


def test_fires_once_at_its_time() -> None:
    loop, timers = queues()
    fired: list[float] = []
    timer = timers.create(lambda: fired.append(loop.time))
    timer.enable(2.5)
    assert timer.enabled
    loop.advance(2.4)
    assert fired == []
    loop.advance(10)
    assert fired == [102.5]
    assert not timer.enabled


def test_enabling_again_restarts_and_disabling_is_harmless() -> None:
    loop, timers = queues()
    fired: list[float] = []
    timer = timers.create(lambda: fired.append(loop.time))
    timer.disable()
    timer.enable(1.0)
    loop.advance(0.9)
    timer.enable(1.0)
    loop.advance(0.9)
    assert fired == []
    timer.disable()
    timer.disable()
    loop.advance(5)
    assert fired == []


def test_one_loop_timer_serves_all_and_none_is_left_when_all_are_done() -> None:
    loop, timers = queues()
    many = [timers.create(lambda: None) for _ in range(1000)]
    for timer in many:
        timer.enable(15.0)
    assert loop.arms == 1
    for timer in many:
        timer.disable()
    loop.advance(100)
    assert loop.wake_ups == 1
    assert not loop.armed
    assert timers.armed_for == NEVER


def test_requests_that_end_in_time_cost_one_wake_up_a_duration() -> None:
    loop, timers = queues()
    timer = timers.create(lambda: None)
    for _ in range(1500):
        timer.enable(15.0)
        loop.advance(0.1)
        timer.disable()
    assert loop.wake_ups <= 11
    assert loop.arms <= 12


def test_an_earlier_deadline_rearms() -> None:
    loop, timers = queues()
    fired: list[str] = []
    timers.create(lambda: fired.append("late")).enable(10)
    timers.create(lambda: fired.append("early")).enable(1)
    assert len(loop.armed) == 1
    loop.advance(1)
    assert fired == ["early"]
    loop.advance(9)
    assert fired == ["early", "late"]


def test_a_callback_may_enable_itself_and_others_and_disable_others() -> None:
    loop, timers = queues()
    fired: list[str] = []

    def first() -> None:
        fired.append(f"first@{loop.time:g}")
        second.disable()
        third.enable(0.5)
        if len(fired) < 3:
            timer.enable(1)

    timer = timers.create(first)
    second = timers.create(lambda: fired.append("second"))
    third = timers.create(lambda: fired.append(f"third@{loop.time:g}"))
    timer.enable(1)
    second.enable(1)
    loop.advance(10)
    assert fired == ["first@101", "third@101.5", "first@102", "third@102.5"]


def test_a_callback_that_raises_stops_no_other() -> None:
    loop, timers = queues()
    fired: list[int] = []

    def bad() -> None:
        raise ValueError

    timers.create(bad).enable(1)
    timers.create(lambda: fired.append(1)).enable(1)
    loop.advance(1)
    assert fired == [1]
    assert len(loop.failures) == 1


def test_jittered_durations_share_queues_and_idle_queues_go() -> None:
    loop, timers = queues()
    for step in range(10_000):
        timers.create(lambda: None).enable(step / 100_000)
    assert len(timers.queues) <= 101
    loop.advance(1)
    assert len(timers.queues) <= MAX_IDLE_QUEUES + 1


def test_zero_and_negative_fire_at_once_but_not_within_enable() -> None:
    loop, timers = queues()
    fired: list[int] = []
    timers.create(lambda: fired.append(0)).enable(0)
    timers.create(lambda: fired.append(1)).enable(-5)
    assert fired == []
    loop.advance(0)
    assert sorted(fired) == [0, 1]


STEP = st.tuples(
    st.sampled_from(["enable", "disable", "advance"]),
    st.integers(0, 7),
    st.sampled_from([0.0, 0.001, 0.0314, 0.25, 0.2504, 1.0, 15.0, 300.0]),
)


@given(st.lists(STEP, max_size=60))
def test_like_a_model_that_sorts(steps: list[tuple[str, int, float]]) -> None:
    loop, timers = queues()
    fired: list[tuple[int, float]] = []
    own = [timers.create(lambda key=key: fired.append((key, loop.time))) for key in range(8)]
    model: dict[int, float] = {}
    expected: list[tuple[int, float]] = []
    for what, key, seconds in steps:
        if what == "enable":
            own[key].enable(seconds)
            model[key] = loop.time + seconds
        elif what == "disable":
            own[key].disable()
            model.pop(key, None)
        else:
            loop.advance(seconds + 0.0021)
            due = sorted((at, k) for k, at in model.items() if at <= loop.time - 0.0011)
            late = {k for k, at in model.items() if at > loop.time + 0.0011}
            assert {k for _, k in due} <= {k for k, _ in fired}
            assert not late & {k for k, _ in fired}
            for k, at in fired:
                assert abs(at - model.pop(k)) <= 0.00151
            expected.clear()
            fired.clear()
        assert {k for k in range(8) if own[k].enabled} == set(model)
