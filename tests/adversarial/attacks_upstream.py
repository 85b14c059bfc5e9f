"""Attacks from behind: an ordinary client asks, and the upstream answers with bad manners. And the admin's callers."""

from __future__ import annotations

from tests.adversarial.attack import Attack, Flood, forever, once
from tests.adversarial.upstream import HTTP1_MANNERS, HTTP2_MANNERS

QUIET = ("big", "silent", "unread")
"""Manners that are the background of other attacks."""

TEXTS = {
    "one-byte-chunks": "one-byte chunks without end",
    "endless-1xx": "interim responses (102) without end",
    "endless-100": "interim responses (100) without end",
    "endless-head": "a head without end",
    "many-fields": "header fields without end",
    "head-bytewise": "a head, a byte a packet",
    "chunk-size-bytewise": "chunks whose sizes come a byte a packet",
    "chunk-extension": "a chunk extension without end",
    "endless-trailers": "trailers without end",
    "unasked": "a response, and then more that nobody asked for",
    "blank-lines": "blank lines without end",
    "ping": "PING",
    "settings": "SETTINGS",
    "settings-entries": "SETTINGS with 2,700 entries each",
    "unknown-frames": "frames of an unknown type",
    "one-byte-data": "DATA of one byte",
    "empty-data": "empty DATA",
    "continuation": "CONTINUATION without end",
    "window-update": "WINDOW_UPDATE",
    "priority": "PRIORITY",
    "hpack-bomb": "one-byte references that stand for 4 KiB each",
}


def _asked(place: str, manner: str) -> Flood:
    """Four clients that ask, read what comes, and ask again where it ends."""
    path = f"/{place}/{manner}".encode()
    return Flood(once(b"GET %b HTTP/1.1\r\nHost: a.com\r\n\r\n" % path))


def _attacks(place: str, prefix: str, words: str, manners: dict[str, object]) -> tuple[Attack, ...]:
    return tuple(
        Attack(f"{prefix}{manner}", f"{words} {TEXTS[manner]}", _asked(place, manner))
        for manner in manners
        if manner not in QUIET
    )


UPSTREAM = (
    *_attacks("hostile", "upstream-", "an upstream sends", dict(HTTP1_MANNERS)),
    *_attacks("hostile2", "upstream2-", "an HTTP/2 upstream sends", dict(HTTP2_MANNERS)),
)

PAGES = {
    "config-dump": "/config_dump",
    "stats": "/stats",
    "prometheus": "/stats/prometheus",
    "clusters": "/clusters",
    "html": "/stats?format=html",
}


def _scrape(path: str) -> Flood:
    ask = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()
    return Flood(forever(ask), listener="admin", connections=1, pause=0.2)


ADMIN = (
    *(Attack(f"admin-{name}", f"`{path}` five times a second, 300 clusters", _scrape(path), "wide")
      for name, path in PAGES.items()),
    Attack("admin-unread", "20 callers of `/config_dump` that do not read, 300 clusters",
           Flood(once(b"GET /config_dump HTTP/1.1\r\nHost: localhost\r\n\r\n"), listener="admin", connections=20,
                 reads=False, receive_buffer=4096), "wide"),
)  # fmt: skip
