"""Several addresses of a host: their order, and which attempt wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from envoymesh.network.api import Address, UpstreamSocketSettings
from envoymesh.network.connection import happy_eyeballs
from envoymesh.network.connection.happy_eyeballs import attempt_order, race


def order(addresses: str, **settings: object) -> str:
    """Of addresses such as `4a 6b`, by their last letters."""
    given = [Address(f"10.0.0.{each[1]}" if each[0] == "4" else f"::{each[1]}", 80) for each in addresses.split()]
    ordered = attempt_order(given, UpstreamSocketSettings(**settings))  # type: ignore[arg-type]
    return " ".join(f"{6 if each.is_ipv6 else 4}{each.host[-1]}" for each in ordered)


@pytest.mark.parametrize(
    ("given", "settings", "expected"),
    [
        ("4a 4b 6a 6b", {}, "4a 6a 4b 6b"),
        ("6a 4a 4b 4c", {}, "6a 4a 4b 4c"),
        ("4a 4b 6a", {"first_family": "V6"}, "6a 4a 4b"),
        ("6a 4a 4b", {"first_family": "V4"}, "4a 6a 4b"),
        ("4a 4b 4c 6a 6b", {"first_family_count": 2}, "4a 4b 6a 4c 6b"),
        ("4a 4b", {"first_family": "V6"}, "4a 4b"),
    ],
)
def test_families_take_turns(given: str, settings: dict[str, object], expected: str) -> None:
    assert order(given, **settings) == expected


class Attempt:
    """Ends when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.closed = False

    async def __call__(self) -> tuple[Attempt, str]:
        self.begun.set()
        return self, await self.outcome

    def close(self) -> None:
        self.closed = True


def run(main: Callable[[list[Attempt]], Awaitable[None]], count: int = 2) -> None:
    async def with_attempts() -> None:
        await asyncio.wait_for(main([Attempt() for _ in range(count)]), 10.0)

    asyncio.run(with_attempts())


def test_the_next_begins_when_one_has_failed() -> None:
    async def main(attempts: list[Attempt]) -> None:
        first, second = attempts
        racing = asyncio.ensure_future(race(attempts))
        await first.begun.wait()
        first.outcome.set_result("refused")
        await second.begun.wait()
        second.outcome.set_result("")
        assert await racing == (1, second, "")
        assert (first.closed, second.closed) == (True, False)

    run(main)


def test_the_next_begins_when_one_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happy_eyeballs, "ATTEMPT_DELAY", 0.0)

    async def main(attempts: list[Attempt]) -> None:
        first, second = attempts
        racing = asyncio.ensure_future(race(attempts))
        await second.begun.wait()
        first.outcome.set_result("")
        assert await racing == (0, first, "")
        await asyncio.sleep(0)
        assert second.outcome.cancelled()

    run(main)


def test_a_loser_that_connects_all_the_same_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happy_eyeballs, "ATTEMPT_DELAY", 0.0)

    async def main(attempts: list[Attempt]) -> None:
        first, second, third = attempts
        racing = asyncio.ensure_future(race(attempts))
        await third.begun.wait()
        first.outcome.set_result("")
        second.outcome.set_result("")
        winner, _, _ = await racing
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [each.closed for each in attempts[:2]].count(True) == 1
        assert not attempts[winner].closed

    run(main, 3)


def test_the_last_failure_is_the_whole_ones() -> None:
    async def main(attempts: list[Attempt]) -> None:
        first, second = attempts
        first.outcome.set_exception(OSError("first"))
        second.outcome.set_result("refused")
        assert await race(attempts) == (1, second, "refused")
        assert not second.closed

    run(main)


def test_what_the_last_attempt_raises_is_raised() -> None:
    async def main(attempts: list[Attempt]) -> None:
        first, second = attempts
        first.outcome.set_result("refused")
        second.outcome.set_exception(OSError("second"))
        with pytest.raises(OSError, match="second"):
            await race(attempts)
        assert first.closed

    run(main)


def test_who_gives_up_cancels_all_attempts() -> None:
    async def main(attempts: list[Attempt]) -> None:
        racing = asyncio.ensure_future(race(attempts))
        await attempts[0].begun.wait()
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
        await asyncio.sleep(0)
        assert attempts[0].outcome.cancelled()

    run(main)
