"""Stats of virtual clusters and of routes with a `stat_prefix`, by Envoy's names."""

from __future__ import annotations

from envoymesh.stats import Counter, StatsStruct, stats_struct


@stats_struct
class RouteStats(StatsStruct):
    """Envoy's ALL_VIRTUAL_CLUSTER_STATS and ALL_ROUTE_STATS, which are the same."""

    upstream_rq_retry: Counter
    upstream_rq_retry_limit_exceeded: Counter
    upstream_rq_retry_overflow: Counter
    upstream_rq_retry_success: Counter
    upstream_rq_timeout: Counter
    upstream_rq_total: Counter
