"""Stats of the router filter, under the connection manager's ``http.<stat_prefix>.``."""

from __future__ import annotations

from envoymesh.stats import ConstantStats, Counter, StatsStruct, stats_struct


@stats_struct
class UnusedRouterStats(ConstantStats):
    """Local replies that an overload makes, and redirects, which Envoy now counts with the direct responses."""

    rq_overload_local_reply: Counter
    rq_redirect: Counter


@stats_struct
class RouterStats(StatsStruct):
    """Envoy's ALL_ROUTER_STATS, as far as they can happen here."""

    no_cluster: Counter
    no_route: Counter
    passthrough_internal_redirect_bad_location: Counter
    passthrough_internal_redirect_no_route: Counter
    passthrough_internal_redirect_predicate: Counter
    passthrough_internal_redirect_too_many_redirects: Counter
    passthrough_internal_redirect_unsafe_scheme: Counter
    rq_direct_response: Counter
    rq_reset_after_downstream_response_started: Counter
    rq_total: Counter
    unused: UnusedRouterStats
