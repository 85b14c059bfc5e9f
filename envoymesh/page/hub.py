"""The browsers that listen. One that reads too slowly misses snapshots, and holds up nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

MOST_LISTENERS = 32
MOST_WAITING = 64


class Hub:
    """Gives every event to every listener; each has a queue of texts as they go out, None is the end."""

    def __init__(self) -> None:
        self.listeners: set[asyncio.Queue[str | None]] = set()

    @property
    def full(self) -> bool:
        """Whether there may be no more."""
        return len(self.listeners) >= MOST_LISTENERS

    def publish(self, events: Sequence[tuple[str, Any]]) -> None:
        """Written once for all; what is empty is left out."""
        if not self.listeners:
            return
        texts = [event_text(name, data) for name, data in events if data]
        for queue in self.listeners:
            for text in texts:
                _put(queue, text)

    def end(self) -> None:
        """There is no mesh any more: browsers come again."""
        for queue in self.listeners:
            _put(queue, None)


def _put(queue: asyncio.Queue[str | None], text: str | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(text)


def event_text(name: str, data: Any) -> str:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
