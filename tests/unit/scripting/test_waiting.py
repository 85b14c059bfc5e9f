"""Coroutines without tasks: they end at once where nothing waits, and are closed where their stream is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from envoymesh.scripting.waiting import Running, Wait


class Bench:
    """Leads a coroutine, and notes how it ends."""

    def __init__(self, coroutine: Any) -> None:
        self.posted: list[Callable[[], None]] = []
        self.told: list[Any] = []
        self.running = Running(coroutine, self.posted.append, self.told.append, self.told.append)
        self.running.step()


def test_what_does_not_wait_ends_at_once() -> None:
    async def quick() -> int:
        wait: Wait[int] = Wait()
        wait.succeed(3)
        return await wait

    bench = Bench(quick())
    assert (bench.told, bench.posted) == ([3], [])


def test_what_waits_goes_on_when_it_is_told() -> None:
    wait: Wait[int] = Wait()

    async def slow() -> int:
        return await wait + 1

    bench = Bench(slow())
    assert bench.told == []
    wait.succeed(3)
    wait.fail(ValueError("too late"))
    assert bench.told == [4]


def test_a_failure_is_raised_where_it_is_awaited() -> None:
    wait: Wait[int] = Wait()

    async def careful() -> str:
        try:
            await wait
        except KeyError:
            return "caught"
        return "no"

    bench = Bench(careful())
    wait.fail(KeyError("a"))
    assert bench.told == ["caught"]


def test_closing_runs_what_must_be_run_and_stops_the_work() -> None:
    stopped: list[str] = []
    wait: Wait[int] = Wait()
    wait.on_cancel(lambda: stopped.append("work"))

    async def tidy() -> None:
        try:
            await wait
        finally:
            stopped.append("finally")

    bench = Bench(tidy())
    bench.running.close()
    bench.running.close()
    wait.succeed(1)
    assert (stopped, bench.told) == (["work", "finally"], [])


def test_it_may_be_closed_by_what_it_calls() -> None:
    made: list[Bench] = []

    async def own() -> None:
        await turn()
        made[0].running.close()
        await turn()

    async def turn() -> None:
        await asyncio.sleep(0)

    made.append(Bench(own()))
    made[0].posted.pop()()
    assert (made[0].told, made[0].posted) == ([], [])


def test_futures_of_the_loop_may_be_awaited() -> None:
    async def work(ended: asyncio.Future[Any]) -> None:
        async def filter_() -> str:
            await asyncio.sleep(0.001)
            return await asyncio.get_running_loop().run_in_executor(None, lambda: "done")

        loop = asyncio.get_running_loop()
        Running(filter_(), loop.call_soon, ended.set_result, ended.set_exception).step()

    async def main() -> Any:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await work(ended)
        return await ended

    assert asyncio.run(main()) == "done"


def test_a_cancelled_future_is_an_error_of_the_filter() -> None:
    async def main() -> list[Any]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def waits() -> None:
            await future

        bench = Bench(waits())
        future.cancel()
        await asyncio.sleep(0)
        return bench.told

    (error,) = asyncio.run(main())
    assert isinstance(error, RuntimeError)


def test_what_cannot_be_awaited_is_told() -> None:
    class Odd:
        def __await__(self) -> Any:
            yield 1

    async def odd() -> None:
        await Odd()

    (error,) = Bench(odd()).told
    assert isinstance(error, TypeError)


@pytest.mark.parametrize("error", [ValueError("a"), KeyError("b")])
def test_what_it_raises_is_told(error: Exception) -> None:
    async def raises() -> None:
        raise error

    assert Bench(raises()).told == [error]
