"""Sends requests to the front: one, a burst, or so many a second while a page is open. All of it is bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from envoymesh.page.bodies import read_body
from envoymesh.page.configuration import NOT_SHOWN
from envoymesh.page.errors import PageError

FASTEST = 200.0
LARGEST_BURST = 1000
LARGEST_BODY = 64 << 10
MOST_HEADERS = 50
AT_ONCE = 50
TIMEOUT = aiohttp.ClientTimeout(total=30.0, connect=5.0)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HIDDEN = ("set-cookie", "authorization", "proxy-authorization", "cookie")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to send."""

    method: str = "GET"
    path: str = "/"
    scheme: str = "http"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def wanted_of(asked: dict[str, Any]) -> Wanted:
    """A browser's wish. Errors: PageError (400) for what makes no sense."""
    wanted = Wanted(
        str(asked.get("method", "GET")).upper(),
        str(asked.get("path", "/")),
        str(asked.get("scheme", "http")),
        str(asked.get("body", "")),
        _headers(asked.get("headers", {})),
    )
    if wanted.method not in METHODS:
        raise PageError(f"The method {wanted.method} is none of {', '.join(METHODS)}.", 400)
    if not wanted.path.startswith("/") or not wanted.path.isascii() or any(each <= " " for each in wanted.path):
        raise PageError("A path begins with / and has no spaces; other characters are written as %20 is.", 400)
    if wanted.scheme not in ("http", "https"):
        raise PageError("The scheme is http or https.", 400)
    if len(wanted.body) > LARGEST_BODY:
        raise PageError(f"A body has {LARGEST_BODY} characters at most.", 400)
    return wanted


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or len(given) > MOST_HEADERS:
        raise PageError(f"Headers are an object of {MOST_HEADERS} at most.", 400)
    headers = {str(name): str(value) for name, value in given.items()}
    for name, value in headers.items():
        if (
            not name
            or any(each in "\r\n\0:" or each <= " " for each in name)
            or any(each in "\r\n\0" for each in value)
        ):
            raise PageError(f"{name!r} is no header.", 400)
    return headers


class Sender:
    """Requests of the lab.

    Args:
        front: gives host:port of a listener of the front, with TLS or without. Errors: PageError.
        watched: whether a page is open.
    """

    def __init__(
        self, session: aiohttp.ClientSession, front: Callable[[bool], str], watched: Callable[[], bool]
    ) -> None:
        self._session = session
        self._front = front
        self._watched = watched
        self._rate: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._sent = 0

    async def once(self, wanted: Wanted) -> dict[str, Any]:
        """Send it, and give the answer. Errors: PageError."""
        begun = time.monotonic()
        try:
            async with self._request(wanted) as answer:
                body = await read_body(answer.content, LARGEST_BODY)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise PageError(f"There was no answer: {str(error) or type(error).__name__}", 503) from None
        headers = {name: NOT_SHOWN if name.lower() in _HIDDEN else value for name, value in answer.headers.items()}
        ms = round((time.monotonic() - begun) * 1000, 2)
        text = body.decode("utf-8", "replace")
        return {"sent": 1, "status": answer.status, "headers": headers, "body": text, "ms": ms}

    async def burst(self, wanted: Wanted, count: int) -> dict[str, Any]:
        """Send it so often, AT_ONCE at a time; how many got which status, 0 for no answer."""
        if not 0 < count <= LARGEST_BURST:
            raise PageError(f"A burst has 1 to {LARGEST_BURST} requests.", 400)
        self._front(wanted.scheme == "https")
        statuses: dict[int, int] = {}
        left = iter(range(count))

        async def send() -> None:
            for _ in left:
                status = await self._send(wanted)
                statuses[status] = statuses.get(status, 0) + 1

        await asyncio.gather(*(send() for _ in range(min(AT_ONCE, count))))
        return {"sent": count, "statuses": statuses}

    async def begin(self, wanted: Wanted, rate: float) -> dict[str, Any]:
        """Send it so often a second, from now on, in the place of what was sent before."""
        if not 0 < rate <= FASTEST:
            raise PageError(f"The rate is above 0 and at most {FASTEST:.0f} a second.", 400)
        self._front(wanted.scheme == "https")
        await self.stop()
        self._sent = 0
        self._rate = asyncio.create_task(self._go_on(wanted, rate), name="requests of the lab")
        return {"sent": 0}

    async def stop(self) -> dict[str, Any]:
        """Send no more; how many were sent."""
        task, self._rate = self._rate, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return {"sent": self._sent}

    async def close(self) -> None:
        """End everything."""
        await self.stop()
        for each in list(self._under_way):
            each.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _go_on(self, wanted: Wanted, rate: float) -> None:
        next_ = time.monotonic()
        while self._watched():
            # Where answers are slow nothing piles up.
            if len(self._under_way) < AT_ONCE:
                task = asyncio.create_task(self._send_quietly(wanted))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                self._sent += 1
            next_ = max(next_ + 1 / rate, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, next_ - time.monotonic()))

    async def _send_quietly(self, wanted: Wanted) -> None:
        await self._send(wanted)

    async def _send(self, wanted: Wanted) -> int:
        try:
            async with self._request(wanted) as answer:
                await read_body(answer.content, 0)
                return int(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, PageError):
            return 0

    def _request(self, wanted: Wanted) -> Any:
        url = URL(f"{wanted.scheme}://{self._front(wanted.scheme == 'https')}{wanted.path}", encoded=True)
        return self._session.request(
            wanted.method,
            url,
            data=wanted.body.encode() or None,
            headers=wanted.headers,
            timeout=TIMEOUT,
            ssl=False,  # a mesh makes its own certificates
            allow_redirects=False,
            skip_auto_headers=("Accept-Encoding",),
        )
