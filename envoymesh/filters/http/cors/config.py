"""envoy.extensions.filters.http.cors.v3.Cors -> factory of CORS filters; its CorsPolicy in routes -> policies."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.http.cors.filter import CorsFilter
from envoymesh.filters.http.cors.stats import CorsStats
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory
from envoymesh.router.config import RouteFactoryContext, read_cors_policy
from envoymesh.router.cors import CorsPolicy


def cors_filter_factory(reader: Reader, context: HttpFilterFactoryContext) -> FilterFactory:
    """The message has no fields: routes say what is allowed."""
    stats = CorsStats.create(context.scope.scope("cors."))

    def add(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_filter(CorsFilter(stats))

    return add


def read_cors_route(reader: Reader, context: RouteFactoryContext) -> CorsPolicy:
    """Read a CorsPolicy. Errors: ConfigError."""
    return read_cors_policy(reader, context)
