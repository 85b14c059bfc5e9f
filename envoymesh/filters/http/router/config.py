"""envoy.extensions.filters.http.router.v3.Router -> factory of router filters."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.router.filter import RouterFilter
from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.filters.http.router.stats import RouterStats
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory


def router_filter_factory(reader: Reader, context: HttpFilterFactoryContext) -> FilterFactory:
    """Read the router's settings. Errors: ConfigError."""
    config = RouterFilterConfig(
        clusters=context.clusters,
        client=context.client,
        stats=RouterStats.create(context.scope),
        random=context.random,
        base_retry_backoff=context.runtime.number("upstream.base_retry_backoff_ms", 25),
        use_retry=context.runtime.share("upstream.use_retry", 1.0),
        dynamic_stats=reader.boolean("dynamic_stats", True),
        suppress_envoy_headers=reader.boolean("suppress_envoy_headers"),
        respect_expected_rq_timeout=reader.boolean("respect_expected_rq_timeout"),
    )

    def add(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_decoder_filter(RouterFilter(config))

    return add
