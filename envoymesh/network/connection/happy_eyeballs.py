"""A host of several addresses: in which order they are tried, and the race of the attempts (RFC 8305).

As Envoy's `HappyEyeballsConnectionProvider`, except that the first address whose TCP connects is taken, also where its
TLS handshake fails afterwards. This module must not know sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from envoymesh.network.api import Address, UpstreamSocketSettings

ATTEMPT_DELAY: Final = 0.3
"""Seconds after which the next address is tried beside those under way."""


class Closable(Protocol):
    """A socket, as far as a race needs to know it."""

    def close(self) -> object:
        """Close it: another attempt was faster."""


Socket = TypeVar("Socket", bound=Closable)


def attempt_order(addresses: Sequence[Address], settings: UpstreamSocketSettings) -> tuple[Address, ...]:
    """Addresses of both families in turn: `first_family_count` of the first family, one of the other, and so on."""
    first_is_ipv6 = settings.first_family == "V6" if settings.first_family else addresses[0].is_ipv6
    first = [address for address in addresses if address.is_ipv6 == first_is_ipv6]
    other = [address for address in addresses if address.is_ipv6 != first_is_ipv6]
    ordered: list[Address] = []
    while first or other:
        ordered += [*first[: settings.first_family_count], *other[:1]]
        del first[: settings.first_family_count], other[:1]
    return tuple(ordered)


Attempt = Callable[[], Coroutine[Any, Any, tuple[Socket, str]]]
"""Tries one address; gives its socket, and why that is not connected (empty where it is)."""


async def race(attempts: Sequence[Attempt[Socket]]) -> tuple[int, Socket, str]:
    """The first attempt that connects: its number, socket and an empty text; or the last one, and why it failed.

    An attempt is begun when the one before it has failed or taken ATTEMPT_DELAY; those that lose are cancelled, and
    their sockets closed. Errors: what the last attempt raised.
    """
    under_way: dict[asyncio.Task[tuple[Socket, str]], int] = {}
    waiting = list(enumerate(attempts))
    try:
        while True:
            if waiting:
                number, begin = waiting.pop(0)
                under_way[asyncio.create_task(begin())] = number
            delay = ATTEMPT_DELAY if waiting else None
            done, _ = await asyncio.wait(under_way, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                number, is_last = under_way.pop(task), not waiting and not under_way
                if task.exception() is not None and not is_last:
                    continue
                socket, reason = task.result()
                if not reason or is_last:
                    return number, socket, reason
                socket.close()
    finally:
        for task in under_way:
            task.add_done_callback(_close)
            task.cancel()


def _close(task: asyncio.Task[tuple[Socket, str]]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[0].close()
