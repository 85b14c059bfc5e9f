"""Routes in their order: the first that fits a request counts. It must not know virtual hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.tree.data import MatchingData
from envoymesh.router.match.mismatch import Mismatch
from envoymesh.router.path_index import Run, runs_of
from envoymesh.router.paths import ConnectPath, TemplatePath

if TYPE_CHECKING:
    from envoymesh.matching.tree.match_tree import MatchTree
    from envoymesh.router.table import Route

_PARAMETERS: Final = re.compile(rb";[^/]*")

INDEXED_FROM: Final = 4
"""Routes of a list from which on they are looked up by path; fewer are asked one by one as fast."""


class RouteList:
    """Routes of a virtual host, or of a branch of its matcher (envoy.config.route.v3.RouteList)."""

    __slots__ = ("_pathless", "_runs", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._pathless = tuple(route for route in routes if isinstance(route.path, ConnectPath))
        # Empty where there are so few routes that an index would not be faster.
        self._runs: tuple[Run, ...] = runs_of([route.path for route in routes]) if len(routes) >= INDEXED_FROM else ()

    def find(self, headers: RequestHeaders, path: bytes, info: StreamInfo | None) -> Route | None:
        """The first route that fits; `path` is without the query, and empty where a CONNECT has none."""
        routes = self.routes
        if not path:
            routes = self._pathless
        elif self._runs:
            for run in self._runs:
                for place in run.find(path):
                    if routes[place].fits_beside_path(headers, info):
                        return routes[place]
            return None
        for route in routes:
            if route.matches(headers, path, info):
                return route
        return None

    def find_ignoring_parameters(self, headers: RequestHeaders, path: bytes, info: StreamInfo | None) -> Route | None:
        """The same for `ignore_path_parameters_in_path_matching`. As in Envoy only URI templates see the parameters."""
        bare = _PARAMETERS.sub(b"", path)
        for route in self.routes:
            if route.matches(headers, path if isinstance(route.path, TemplatePath) else bare, info):
                return route
        return None

    def considered(
        self, headers: RequestHeaders, path: bytes, info: StreamInfo | None, ignore_parameters: bool
    ) -> list[tuple[Route, Mismatch | None]]:
        """For people: every route that is asked, up to the one that fits, and why the others do not."""
        ignores = ignore_parameters and path.find(b";") >= 0
        found: list[tuple[Route, Mismatch | None]] = []
        for route in self.routes:
            seen = _PARAMETERS.sub(b"", path) if ignores and not isinstance(route.path, TemplatePath) else path
            mismatch = route.why_not(headers, seen, info)
            if mismatch is None and not path and route not in self._pathless:
                mismatch = Mismatch("connect_matcher", "the request has no path, which only a connect_matcher takes")
            found.append((route, mismatch))
            if mismatch is None:
                break
        return found


def route_list_of(tree: MatchTree, headers: RequestHeaders, info: StreamInfo | None) -> RouteList | None:
    """The routes that a virtual host's matcher leads to. As in Envoy it sees nothing of trailers and responses."""
    found = tree.match(MatchingData(info, headers))
    return found if isinstance(found, RouteList) else None
