"""What a client does beside sending bytes and waiting: more connections, the admin, and changes in between.

Every step is an object with `take(client)`, so an area may bring its own. They must not know what is right.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.integration.harness import Step

if TYPE_CHECKING:
    from tests.parity.client import Client

LIMIT = 5.0
"""Seconds that a step waits for what it waits for; what has not come by then shows in what is compared."""


class Do:
    """Base of such steps."""

    def take(self, client: Client) -> None:
        """Do it, for one half of the pair."""
        raise NotImplementedError


CaseStep = Step | Do


@dataclass(frozen=True)
class Connect(Do):
    """Open another connection, which the steps after it use; those before stay open and are read.

    Args:
        listener: another one than the case's.
    """

    listener: str = ""

    def take(self, client: Client) -> None:
        client.connect(self.listener)


@dataclass(frozen=True)
class Use(Do):
    """Go back to a connection, by its number from 0."""

    number: int

    def take(self, client: Client) -> None:
        client.use(self.number)


@dataclass(frozen=True)
class Answers(Do):
    """Read until so many HTTP/1 answers have begun on the connection, and the last one's `body` has come.

    Requests that follow each other are so many `get(...)` with this between them.
    """

    count: int
    body: bytes = b"\r\n\r\n"

    def take(self, client: Client) -> None:
        received = client.current.received

        def enough() -> bool:
            parts = received.split(b"HTTP/1.1 ")
            return (len(parts) > self.count and self.body in parts[-1]) or client.current.end != "open"

        client.read_until(enough, LIMIT)


def in_order(request: bytes, count: int) -> tuple[CaseStep, ...]:
    """A request so many times on one connection, each after the answer to the one before."""
    return tuple(step for number in range(count) for step in (request, Answers(number + 1)))


@dataclass(frozen=True)
class Closed(Do):
    """Read until the proxy closes the connection."""

    def take(self, client: Client) -> None:
        client.read_until(lambda: client.current.end != "open", LIMIT)


@dataclass(frozen=True)
class Admin(Do):
    """Ask the admin, and show how it answers: `Admin("POST /drain_listeners")`."""

    line: str
    body: bool = True

    def take(self, client: Client) -> None:
        method, _, path = self.line.partition(" ")
        status, text = client.side.admin_ask(method, path)
        client.note(f"{self.line}: {status} {text if self.body else ''}")


@dataclass(frozen=True)
class Change(Do):
    """Change an upstream: `Change("one", lambda upstream: upstream.stop())`."""

    upstream: str
    how: Callable[[Any], None]

    def take(self, client: Client) -> None:
        self.how(client.side.upstreams[self.upstream])


@dataclass(frozen=True)
class Signal(Do):
    """Send the proxy a signal."""

    number: signal.Signals

    def take(self, client: Client) -> None:
        client.side.proxy.signal(self.number)


@dataclass(frozen=True)
class Ended(Do):
    """Wait until the process has ended, and show its exit code."""

    def take(self, client: Client) -> None:
        client.read_until(lambda: client.side.ended, LIMIT)
        client.note(f"exit code {client.side.proxy.process.poll()}")


@dataclass(frozen=True)
class UntilStat(Do):
    """Wait until a counter or gauge is at least (or, `exactly`, just) so large."""

    name: str
    value: int
    exactly: bool = False

    def take(self, client: Client) -> None:
        def reached() -> bool:
            now = client.side.stat(self.name)
            return now == self.value if self.exactly else now >= self.value

        client.read_until(reached, LIMIT)


@dataclass(frozen=True)
class UntilSeen(Do):
    """Wait until an upstream has seen so many requests (of the case)."""

    upstream: str
    count: int = 1

    def take(self, client: Client) -> None:
        client.read_until(lambda: len(client.side.upstreams[self.upstream].seen) >= self.count, LIMIT)


def until(condition: Callable[[], object], read: Callable[[], bool], seconds: float) -> bool:
    """Read until the condition holds; False when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        if not read():
            time.sleep(0.01)
    return True
