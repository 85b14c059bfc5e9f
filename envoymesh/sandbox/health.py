"""Whether a replica is well, by its Compose health check. It must not know what to do about it."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from envoymesh.sandbox.compose import HealthCheck

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
# As long as a replica has not been well yet, it is asked more often: what waits for it should not wait longer.
STARTING_INTERVAL = 0.2
# curl -f takes a status from here on for a failure.
FIRST_BAD_STATUS = 400

Probe = Callable[[], Awaitable[bool]]
"""One check: whether the replica is well."""


class Health:
    """Compose's rules for a status from single checks: `retries` failures in a row make it unhealthy, but during
    `start_period` seconds only once it has been healthy."""

    def __init__(self, check: HealthCheck) -> None:
        self._check = check
        self._failures = 0
        self.status = STARTING

    def __repr__(self) -> str:
        return f"Health({self.status}, {self._failures} failures)"

    def observe(self, well: bool, age: float) -> None:
        """Take in one check, made `age` seconds after the start."""
        if well:
            self._failures = 0
            self.status = HEALTHY
            return
        if self.status == STARTING and age < self._check.start_period:
            return
        self._failures += 1
        if self._failures >= self._check.retries:
            self.status = UNHEALTHY

    def pause(self) -> float:
        """Seconds until the next check."""
        return min(self._check.interval, STARTING_INTERVAL) if self.status == STARTING else self._check.interval


def make_probe(
    check: HealthCheck, adapt: Callable[[str], str], environment: Mapping[str, str], folder: Path
) -> Probe | None:
    """The check that `test` asks for, or None when it asks for none.

    `curl` with URLs is done in this process, since the machine may have no curl; anything else is run.

    Args:
        adapt: a word of the test in the container -> the word here.
    """
    kind, *words = check.test
    if kind == "NONE":
        return None
    urls = [adapt(word) for word in words if word.startswith("http://")]
    if kind == "CMD" and words[0] == "curl" and urls:
        return lambda: _in_time(check.timeout, _all_answer(urls))
    command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else [adapt(word) for word in words]
    return lambda: _in_time(check.timeout, _succeeds(command, environment, folder))


async def _in_time(seconds: float, check: Awaitable[bool]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await check
    except (TimeoutError, OSError):
        return False


async def _all_answer(urls: Sequence[str]) -> bool:
    for url in urls:
        if not 0 < await _status(urlsplit(url)) < FIRST_BAD_STATUS:
            return False
    return True


async def _status(url: SplitResult) -> int:
    """The status of a GET, or 0 for an answer that is not HTTP."""
    reader, writer = await asyncio.open_connection(url.hostname, url.port or http.client.HTTP_PORT)
    try:
        path = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {url.netloc}\r\nconnection: close\r\n\r\n".encode())
        version, _, rest = (await reader.readline()).partition(b" ")
        code = rest[:3]
        return int(code) if version.startswith(b"HTTP/") and code.isdigit() else 0
    finally:
        writer.close()


async def _succeeds(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> bool:
    devnull = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *command, stdin=devnull, stdout=devnull, stderr=devnull, env=dict(environment), cwd=folder
    )
    try:
        return await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
