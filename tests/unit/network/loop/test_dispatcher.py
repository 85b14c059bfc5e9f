"""Tests of envoymesh.network.loop.dispatcher on both loops."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from envoymesh.network.api import ExceptionHandler
from envoymesh.network.loop.dispatcher import REPORT_INTERVAL
from tests.support.network import Net
from tests.support.stand_ins import stands_for
from tests.unit.network.conftest import Run


def test_a_timer_fires_on_the_real_loop_not_early(run: Run) -> None:
    async def main(net: Net) -> None:
        done = asyncio.Event()
        started = time.monotonic()
        net.dispatcher.create_timer(done.set).enable(0.03)
        await asyncio.wait_for(done.wait(), 5)
        assert time.monotonic() - started >= 0.0285

    run(main)


def test_post_comes_in_a_later_turn(run: Run) -> None:
    async def main(net: Net) -> None:
        order: list[str] = []
        done = asyncio.Event()
        net.dispatcher.post(lambda: order.append("posted"))
        net.dispatcher.post(done.set)
        order.append("now")
        await done.wait()
        assert order == ["now", "posted"]

    run(main)


def test_stray_exceptions_are_logged_with_traceback_and_counted(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main(net: Net) -> None:
        seen: list[int] = []
        net.dispatcher.on_error = lambda: seen.append(1)
        net.expected_errors = 2
        done = asyncio.Event()

        def bad() -> None:
            raise ValueError("oh no")

        def also_bad() -> None:
            raise ValueError("oh no")

        net.dispatcher.create_timer(bad).enable(0)
        net.dispatcher.post(also_bad)
        net.dispatcher.create_timer(done.set).enable(0.005)
        await done.wait()
        assert len(seen) == 2

    with caplog.at_level(logging.CRITICAL):
        run(main)
    assert caplog.text.count("ValueError: oh no") == 2
    assert "test_dispatcher.py" in caplog.text


@pytest.mark.interpreted_only("it replaces the clock of a module, which is a constant of compiled code")
def test_one_place_is_logged_once_a_second(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]

    async def main(net: Net) -> None:
        monkeypatch.setattr("envoymesh.network.loop.dispatcher._monotonic", lambda: clock[0])
        net.expected_errors = 12

        def fail(kind: type[Exception]) -> None:
            try:
                raise kind("oh no")
            except kind as error:
                net.dispatcher.report("a test", error)

        for _ in range(10):
            fail(ValueError)
        fail(KeyError)
        clock[0] += REPORT_INTERVAL
        fail(ValueError)

    with caplog.at_level(logging.CRITICAL):
        run(main)
    assert caplog.text.count("ValueError: oh no") == 2
    assert caplog.text.count("KeyError") == 1
    assert "(and 9 times since it was last logged)" in caplog.text


def test_a_timers_owner_hears_what_its_callback_raises(run: Run) -> None:
    class Owner(stands_for(ExceptionHandler)):
        def __init__(self) -> None:
            self.heard: list[Exception] = []

        def on_exception(self, where: str, error: Exception) -> None:
            self.heard.append(error)

    async def main(net: Net) -> None:
        owner = Owner()
        done = asyncio.Event()

        def bad() -> None:
            raise ValueError("mine")

        net.dispatcher.create_timer(bad, owner).enable(0)
        net.dispatcher.create_timer(done.set).enable(0.005)
        await done.wait()
        assert [str(error) for error in owner.heard] == ["mine"]

    run(main)


def test_time(run: Run) -> None:
    async def main(net: Net) -> None:
        assert abs(net.dispatcher.wall_time() - time.time()) < 5
        before = net.dispatcher.now()
        assert net.dispatcher.now() >= before

    run(main)
