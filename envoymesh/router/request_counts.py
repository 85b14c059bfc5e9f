"""What is counted of some of a virtual host's requests: those of a virtual cluster, or of one route.

The names are Envoy's, below ``vhost.<name>.vcluster.<name>.`` and ``vhost.<name>.route.<stat_prefix>.``. This module
must not decide which requests those are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from envoymesh.matching.headers import HeaderMatcher
from envoymesh.router.stats import RouteStats
from envoymesh.stats.histogram import Histogram
from envoymesh.stats.primitives import Counter
from envoymesh.stats.store import Scope


class RequestCounts:
    """Counts of requests that went upstream.

    Attributes:
        stats: what is counted of tries; they are there from the beginning.
    """

    __slots__ = ("_codes", "_scope", "_time", "stats")

    def __init__(self, scope: Scope) -> None:
        self.stats = RouteStats.create(scope)
        self._scope = scope
        self._codes: dict[int, tuple[Counter, ...]] = {}
        self._time: Histogram | None = None

    def charge(self, status: int) -> None:
        """Count one response by its code."""
        counters = self._codes.get(status)
        if counters is None:
            counters = self._codes[status] = tuple(self._scope.counter(name) for name in _code_names(status))
        for counter in counters:
            counter.inc()

    def record_time(self, milliseconds: int) -> None:
        """Record how long one response took."""
        if self._time is None:
            self._time = self._scope.histogram("upstream_rq_time", "ms")
        self._time.record(milliseconds)


Counts = tuple[RequestCounts, ...]
"""Everybody who counts a request."""

NO_COUNTS: Final[Counts] = ()


def charge_all(counts: Counts, status: int) -> None:
    """Count one response everywhere."""
    for each in counts:
        each.charge(status)


def record_time_of_all(counts: Counts, milliseconds: int) -> None:
    """Record one response's time everywhere."""
    for each in counts:
        each.record_time(milliseconds)


def _code_names(status: int) -> tuple[str, ...]:
    if not 100 <= status < 600:
        return "upstream_rq_completed", "upstream_rq_unknown"
    return "upstream_rq_completed", f"upstream_rq_{status // 100}xx", f"upstream_rq_{status}"


class VirtualCluster:
    """envoy.config.route.v3.VirtualCluster: requests with some headers, counted together.

    Without any headers it is the one of all other requests, which logs do not name (as in Envoy).
    """

    __slots__ = ("counts", "headers", "name")

    def __init__(self, name: str, headers: Sequence[HeaderMatcher], counts: RequestCounts) -> None:
        self.name = name
        self.headers = tuple(headers)
        self.counts = counts

    @property
    def logged_name(self) -> str:
        """What ``%VIRTUAL_CLUSTER_NAME%`` says."""
        return self.name if self.headers else ""
