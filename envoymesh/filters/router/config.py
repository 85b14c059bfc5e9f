"""envoy.extensions.filters.http.router.v3.Router -> factory of router filters."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.config.reader import Reader
from envoymesh.filters.router.filter import RouterFilter
from envoymesh.filters.router.settings import RouterFilterConfig
from envoymesh.filters.router.stats import RouterStats
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory
from envoymesh.stats import Scope
from envoymesh.upstream.api import ClusterManager


def router_filter_factory(
    reader: Reader, clusters: ClusterManager, scope: Scope, random: Callable[[], float]
) -> FilterFactory:
    """Read the router's settings. Errors: ConfigError."""
    # dynamic_stats false would leave out the per-code stats; there is nothing to win by that here.
    reader.accept("dynamic_stats")
    config = RouterFilterConfig(
        clusters=clusters,
        stats=RouterStats.create(scope),
        random=random,
        suppress_envoy_headers=reader.boolean("suppress_envoy_headers"),
        respect_expected_rq_timeout=reader.boolean("respect_expected_rq_timeout"),
    )

    def add(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_decoder_filter(RouterFilter(config))

    return add
