"""Answers that come in pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from envoymesh.page.admin import AdminClient
from envoymesh.page.bodies import read_body
from envoymesh.page.lab.sender import Sender, Wanted
from tests.unit.page.fakes import listening

PIECES = [b'{"requests": [', b"1, " * 40_000, b"2]}"]


class Slow:
    """Answers piece by piece; `whole` counts the answers that were taken to their end."""

    def __init__(self) -> None:
        self.whole = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in PIECES:
            await response.write(piece)
            await asyncio.sleep(0.01)
        await response.write_eof()
        self.whole += 1
        return response


def run(test: Callable[[Slow, str, aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def body() -> None:
        slow = Slow()
        async with aiohttp.ClientSession() as session, listening(slow.answer) as base:
            await test(slow, base, session)

    asyncio.run(body())


def test_an_admins_answer_is_whole() -> None:
    async def test(slow: Slow, base: str, session: aiohttp.ClientSession) -> None:
        assert await AdminClient(session).json(base, "/requests") == json.loads(b"".join(PIECES))

    run(test)


def test_so_much_is_kept() -> None:
    async def test(slow: Slow, base: str, session: aiohttp.ClientSession) -> None:
        async with session.get(f"http://{base}/") as answer:
            assert await read_body(answer.content, 20) == b"".join(PIECES)[:20]
            assert answer.content.at_eof()

    run(test)


def test_the_labs_answers_are_whole_and_come_to_their_end() -> None:
    async def test(slow: Slow, base: str, session: aiohttp.ClientSession) -> None:
        sender = Sender(session, lambda tls: base, lambda: False)
        assert len((await sender.once(Wanted()))["body"]) == 65_536
        assert (await sender.burst(Wanted(), 3))["statuses"] == {200: 3}
        assert slow.whole == 4
        await sender.close()

    run(test)
