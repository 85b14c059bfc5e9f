"""The one list of HTTP filters: type URL -> function that reads its settings and gives a factory.

A new filter is one more line here; nothing registers itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.config.reader import Reader
from envoymesh.filters.router.config import router_filter_factory
from envoymesh.http.filter import FilterFactory
from envoymesh.network.api import Dispatcher
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope
from envoymesh.upstream.api import ClusterManager


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What a filter's settings may refer to.

    Args:
        scope: the connection manager's stats, ``http.<stat_prefix>.``.
        random: uniform in [0, 1).
        runtime: gives filters their keys.
    """

    clusters: ClusterManager
    dispatcher: Dispatcher
    scope: Scope
    random: Callable[[], float]
    runtime: RuntimeReader


FILTERS: dict[str, Callable[[Reader, FilterContext], FilterFactory]] = {
    "envoy.extensions.filters.http.router.v3.Router": lambda reader, context: router_filter_factory(
        reader, context.clusters, context.scope, context.random, context.runtime
    ),
}

FILTER_NAMES = {"envoy.extensions.filters.http.router.v3.Router": "envoy.filters.http.router"}
"""Well-known names by type, for ``/server_info``."""

TERMINAL_FILTERS = frozenset({"envoy.extensions.filters.http.router.v3.Router"})
"""Filters that end a chain; exactly one must, as its last."""
