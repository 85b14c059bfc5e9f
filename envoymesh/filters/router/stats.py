"""Stats of the router filter, under the connection manager's ``http.<stat_prefix>.``."""

from __future__ import annotations

from envoymesh.stats import Counter, StatsStruct, stats_struct


@stats_struct
class RouterStats(StatsStruct):
    """Envoy's ALL_ROUTER_STATS, as far as they can happen here."""

    no_cluster: Counter
    no_route: Counter
    rq_direct_response: Counter
    rq_redirect: Counter
    rq_reset_after_downstream_response_started: Counter
    rq_total: Counter
