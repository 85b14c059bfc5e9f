"""A replica's faults (docs/faults.md), asked for and set at the service itself. It must not know what they do."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from envoymesh.page.bodies import read_body
from envoymesh.page.errors import PageError

LARGEST = 64 << 10
TIMEOUT = aiohttp.ClientTimeout(total=3.0, connect=1.0)


class Faults:
    """Of all replicas; `app` is host:port of the one that is meant."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, app: str) -> dict[str, Any] | None:
        """What holds now; None where there are none to switch. Errors: PageError where it does not answer."""
        if not app:
            return None
        status, text = await self._ask("GET", app, "")
        return _faults(text) if status == 200 else None

    async def set(self, app: str, faults: dict[str, Any]) -> dict[str, Any]:
        """Switch these on and all others off. Errors: PageError with the service's words."""
        if not app:
            raise PageError("It is not known yet where this replica is to be asked; try again in a moment.", 503)
        status, text = await self._ask(*(("PUT", app, json.dumps(faults)) if faults else ("DELETE", app, "")))
        if status == 404:
            raise PageError("This service has no faults to switch: FAULTS=on is not in its environment.")
        if status != 200:
            raise PageError(text.strip()[:300] or f"The service answered {status}.", 400 if status == 400 else 503)
        return _faults(text) or {}

    async def _ask(self, method: str, app: str, body: str) -> tuple[int, str]:
        try:
            async with self._session.request(
                method, f"http://{app}/faults", data=body or None, timeout=TIMEOUT
            ) as answer:
                return answer.status, (await read_body(answer.content, LARGEST)).decode("utf-8", "replace")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise PageError(
                f"The service at {app} does not answer: {str(error) or type(error).__name__}", 503
            ) from None


def _faults(text: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(text)["faults"]
    except (ValueError, KeyError, TypeError):
        return None
    return found
