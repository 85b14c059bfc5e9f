"""envoy.extensions.filters.http.health_check.v3.HealthCheck -> factory of health check filters."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.health_check.filter import HealthCheckCache, HealthCheckFilter, HealthCheckFilterSettings
from envoymesh.filters.http.health_check.stats import HealthCheckFilterStats, TracingStats
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory
from envoymesh.matching.config import read_header_matcher


def health_check_filter_factory(reader: Reader, context: HttpFilterFactoryContext) -> FilterFactory:
    """Read a HealthCheck. Errors: ConfigError."""
    pass_through = reader.boolean("pass_through_mode")
    period = reader.duration("cache_time", 0.0) or 0.0
    if period and not pass_through:
        raise reader.error("cache_time", "cache_time_ms must not be set when path_through_mode is disabled")
    percentages = reader.message_map("cluster_min_healthy_percentages")
    # As in Envoy, of no effect where checks are passed through; and percents are cut to whole ones.
    min_healthy = {name: int(each.number("value")) for name, each in percentages.items()}
    settings = HealthCheckFilterSettings(
        pass_through=pass_through,
        matchers=[read_header_matcher(each) for each in reader.repeated("headers")],
        failed=context.health_check_failed,
        service_cluster=context.service_cluster.encode(),
        clusters=context.clusters,
        cache=HealthCheckCache(context.dispatcher.now, period) if period else None,
        min_healthy={} if pass_through else min_healthy,
        stats=HealthCheckFilterStats.create(context.scope.scope("health_check.")),
        tracing=TracingStats.create(context.scope.scope("tracing.")),
    )

    def add(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_filter(HealthCheckFilter(settings))

    return add
