"""Asks the proxies' admins, with a limit for everything. It must not know what the answers mean."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from envoymesh.page.bodies import read_body
from envoymesh.page.errors import PageError

LARGEST_ANSWER = 16 << 20
TIMEOUT = aiohttp.ClientTimeout(total=2.0, connect=1.0)
PATIENT = aiohttp.ClientTimeout(total=15.0, connect=1.0)


class AdminClient:
    """One for all proxies."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def json(self, admin: str, path: str, *, patient: bool = False) -> Any:
        """An answer as JSON. Errors: PageError."""
        text = await self.text(admin, path, patient=patient)
        try:
            return json.loads(text)
        except ValueError:
            raise PageError(f"The admin at {admin} answers {path.partition('?')[0]} with no JSON.", 503) from None

    async def text(self, admin: str, path: str, *, method: str = "GET", body: str = "", patient: bool = False) -> str:
        """An answer of 200. Errors: PageError."""
        if not admin:
            raise PageError("This proxy's admin cannot be reached from here.", 409)
        timeout = PATIENT if patient else TIMEOUT
        try:
            async with self._session.request(
                method, f"http://{admin}{path}", data=body or None, timeout=timeout
            ) as answer:
                found = await read_body(answer.content, LARGEST_ANSWER)
                text = found.decode("utf-8", "replace")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            words = str(error) or type(error).__name__
            raise PageError(f"The admin at {admin} does not answer: {words}", 503) from None
        if answer.status != 200:
            raise PageError(f"The admin at {admin} answered {answer.status}: {text.strip()[:300]}")
        return text
