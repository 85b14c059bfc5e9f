"""Redirects that the proxy follows itself (envoy.config.route.v3.InternalRedirectPolicy): whether, and to where.

Pure functions on settings, a response's location and what has been followed already. This module must not send.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoymesh.http.stream_info import FilterState

REDIRECT_CODES: Final = frozenset({301, 302, 303, 307, 308})
"""What `redirect_response_codes` may say; Envoy passes over all else."""

_URL: Final = re.compile(
    rb"([a-z][a-z0-9+.-]*)://(?:[!-.0->A-~]*@)?"  # scheme and user
    rb"((?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?)"  # host and port
    rb"([/?][!-\"$-~]*)?(?:#[!-~]*)?",  # path and query, fragment
    re.IGNORECASE,
)
_LARGEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Target:
    """Where a redirect leads to.

    Args:
        scheme: as the location has it.
        path: with its query, without a fragment.
    """

    scheme: bytes
    host: bytes
    path: bytes


def parse_location(location: bytes) -> Target | None:
    """The target of a `location`; None where that is no absolute URL. A user in it is left out."""
    found = _URL.fullmatch(location)
    if found is None or int(found[3] or 0) > _LARGEST_PORT:
        return None
    path = found[4] or b"/"
    return Target(found[1], found[2], path if path.startswith(b"/") else b"/" + path)


HISTORY_KEY: Final = "num_internal_redirects"
"""The filter state of a request that has been redirected, named as Envoy's."""


class RedirectHistory(FilterState):
    """What has been followed for one request.

    Attributes:
        count: how many redirects.
        targets: for each route whose `previous_routes` predicate was asked, the names of routes it has let through.
    """

    __slots__ = ("count", "targets")

    def __init__(self) -> None:
        self.count = 0
        self.targets: dict[str, set[str]] = {}

    def as_text(self) -> str | None:
        """How many redirects."""
        return str(self.count)

    def as_json(self) -> Any:
        """How many redirects."""
        return self.count

    def lives_with_request(self) -> bool:
        """The redirected request's filters see it."""
        return True


@dataclass(frozen=True, slots=True)
class InternalRedirectPolicy:
    """Settings of one route.

    Args:
        route_name: the route's own.
        codes: statuses that are followed.
        headers_to_copy: names of response headers (in lower case) that the new request gets.
        previous_routes: the predicate: no route is taken a second time.
        allowed_routes: the predicate `allow_listed_routes`; None is not configured.
        safe_cross_scheme: the predicate: never from http to https, since the client has sent its request in plain text.
    """

    route_name: str = ""
    max_redirects: int = 1
    codes: frozenset[int] = frozenset({302})
    allow_cross_scheme: bool = False
    headers_to_copy: Sequence[bytes] = ()
    previous_routes: bool = False
    allowed_routes: frozenset[str] | None = None
    safe_cross_scheme: bool = False

    def accepts(self, target: str, history: RedirectHistory, *, from_https: bool, to_https: bool) -> bool:
        """Whether all predicates let the request go on to the route of this name."""
        if self.previous_routes:
            seen = history.targets.setdefault(self.route_name, set())
            if target in seen:
                return False
            seen.add(target)
        if self.allowed_routes is not None and target not in self.allowed_routes:
            return False
        return not self.safe_cross_scheme or from_https or not to_https
