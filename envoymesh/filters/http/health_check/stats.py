"""Stats of the health check filter, by Envoy's names (``http.<stat_prefix>.health_check.``)."""

from __future__ import annotations

from envoymesh.stats import Counter, StatsStruct, stats_struct


@stats_struct
class HealthCheckFilterStats(StatsStruct):
    """Checks that were answered here; `ok` and `failed` add up to `request_total`."""

    cached_response: Counter
    degraded: Counter
    failed: Counter
    failed_cluster_empty: Counter
    failed_cluster_not_found: Counter
    failed_cluster_unhealthy: Counter
    ok: Counter
    request_total: Counter


@stats_struct
class TracingStats(StatsStruct):
    """``http.<stat_prefix>.tracing.``: requests that are checks. Without a filter the stat is there, too."""

    health_check: Counter
