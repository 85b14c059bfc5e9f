"""Stats of clusters and hosts, by Envoy's names."""

from __future__ import annotations

from typing import Annotated

from envoymesh.stats import ConstantStats, Counter, Gauge, Histogram, Named, StatsStruct, stats_struct


@stats_struct
class CircuitBreakerStats(StatsStruct):
    """``cluster.<name>.circuit_breakers.<priority>.``; a gauge is 1 while its breaker is open."""

    cx_open: Gauge
    cx_pool_open: Gauge
    rq_open: Gauge
    rq_pending_open: Gauge
    rq_retry_open: Gauge


@stats_struct
class ClusterStats(StatsStruct):
    """``cluster.<name>.``."""

    bind_errors: Counter
    lb_healthy_panic: Counter
    lb_local_cluster_not_ok: Counter
    lb_recalculate_zone_structures: Counter
    lb_subsets_active: Gauge
    lb_subsets_created: Counter
    lb_subsets_fallback: Counter
    lb_subsets_fallback_panic: Counter
    lb_subsets_removed: Counter
    lb_subsets_selected: Counter
    lb_zone_cluster_too_small: Counter
    lb_zone_no_capacity_left: Counter
    lb_zone_routing_all_directly: Counter
    lb_zone_routing_cross_zone: Counter
    lb_zone_routing_sampled: Counter
    total_match_count: Annotated[Counter, Named("default.total_match_count")]
    max_host_weight: Gauge
    original_dst_host_invalid: Counter
    membership_change: Counter
    membership_degraded: Gauge
    membership_excluded: Gauge
    membership_healthy: Gauge
    membership_total: Gauge
    retry_or_shadow_abandoned: Counter
    update_attempt: Counter
    update_failure: Counter
    update_no_rebuild: Counter
    update_success: Counter
    warming_state: Gauge
    upstream_cx_active: Gauge
    upstream_cx_close_notify: Counter
    upstream_cx_connect_attempts_exceeded: Counter
    upstream_cx_connect_fail: Counter
    upstream_cx_connect_ms: Annotated[Histogram, "ms"]
    upstream_cx_connect_timeout: Counter
    upstream_cx_destroy: Counter
    upstream_cx_destroy_local: Counter
    upstream_cx_destroy_local_with_active_rq: Counter
    upstream_cx_destroy_remote: Counter
    upstream_cx_destroy_remote_with_active_rq: Counter
    upstream_cx_destroy_with_active_rq: Counter
    upstream_cx_http1_total: Counter
    upstream_cx_http2_total: Counter
    upstream_cx_idle_timeout: Counter
    upstream_cx_length_ms: Annotated[Histogram, "ms"]
    upstream_cx_max_duration_reached: Counter
    upstream_cx_max_requests: Counter
    upstream_cx_none_healthy: Counter
    upstream_cx_overflow: Counter
    upstream_cx_pool_overflow: Counter
    upstream_cx_protocol_error: Counter
    upstream_cx_rx_bytes_buffered: Gauge
    upstream_cx_rx_bytes_total: Counter
    upstream_cx_total: Counter
    upstream_cx_tx_bytes_buffered: Gauge
    upstream_cx_tx_bytes_total: Counter
    upstream_flow_control_backed_up_total: Counter
    upstream_flow_control_drained_total: Counter
    upstream_flow_control_paused_reading_total: Counter
    upstream_flow_control_resumed_reading_total: Counter
    upstream_rq_maintenance_mode: Counter
    upstream_internal_redirect_failed_total: Counter
    upstream_internal_redirect_succeeded_total: Counter
    upstream_rq_active: Gauge
    upstream_rq_active_overflow: Counter
    upstream_rq_cancelled: Counter
    upstream_rq_completed: Counter
    upstream_rq_pending_active: Gauge
    upstream_rq_pending_failure_eject: Counter
    upstream_rq_pending_overflow: Counter
    upstream_rq_pending_total: Counter
    upstream_rq_per_cx: Histogram
    upstream_rq_per_try_idle_timeout: Counter
    upstream_rq_per_try_timeout: Counter
    upstream_rq_retry: Counter
    upstream_rq_retry_backoff_exponential: Counter
    upstream_rq_retry_backoff_ratelimited: Counter
    upstream_rq_retry_limit_exceeded: Counter
    upstream_rq_retry_overflow: Counter
    upstream_rq_retry_success: Counter
    upstream_rq_max_duration_reached: Counter
    upstream_rq_rx_reset: Counter
    upstream_rq_timeout: Counter
    upstream_rq_total: Counter
    upstream_rq_tx_reset: Counter


@stats_struct
class UnusedClusterStats(ConstantStats):
    """EDS, HTTP/3, preconnecting and the like."""

    assignment_stale: Counter
    assignment_timeout_received: Counter
    assignment_use_cached: Counter
    update_empty: Counter
    upstream_cx_connect_with_0_rtt: Counter
    upstream_cx_http3_total: Counter
    upstream_cx_preconnect_skipped: Counter
    upstream_http3_broken: Counter
    upstream_queue_overloaded: Gauge
    upstream_rq_0rtt: Counter
    upstream_rq_rx_reset_no_error: Counter
    version: Gauge


@stats_struct
class UnusedDnsCacheStats(ConstantStats):
    """``dns_cache.<name>.``: names kept across restarts, and addresses of an IP version that is out of use."""

    cache_load: Counter
    dns_address_filter_out: Counter


@stats_struct
class DnsCacheBreakerStats(StatsStruct):
    """``dns_cache.<name>.circuit_breakers.``"""

    rq_pending_open: Gauge
    rq_pending_remaining: Gauge


@stats_struct
class DnsCacheStats(StatsStruct):
    """``dns_cache.<name>.``"""

    dns_query_attempt: Counter
    dns_query_failure: Counter
    dns_query_success: Counter
    dns_query_timeout: Counter
    dns_rq_pending_overflow: Counter
    host_added: Counter
    host_address_changed: Counter
    host_overflow: Counter
    host_removed: Counter
    num_hosts: Gauge
    breakers: Annotated[DnsCacheBreakerStats, Named("circuit_breakers.")]
    unused: UnusedDnsCacheStats


@stats_struct
class ProxyProtocolStats(StatsStruct):
    """``upstream.proxyprotocol.``: of headers that connections begin with."""

    v2_tlvs_exceed_max_length: Counter


@stats_struct
class RemainingStats(StatsStruct):
    """``circuit_breakers.<priority>.remaining_*``: what is left of each limit, where `track_remaining` is set."""

    remaining_cx: Gauge
    remaining_cx_pools: Gauge
    remaining_pending: Gauge
    remaining_retries: Gauge
    remaining_rq: Gauge


@stats_struct
class RingHashStats(StatsStruct):
    """``cluster.<name>.ring_hash_lb.``: how many places the last ring has, and each host on it."""

    max_hashes_per_host: Gauge
    min_hashes_per_host: Gauge
    size: Gauge


@stats_struct
class MaglevStats(StatsStruct):
    """``cluster.<name>.maglev_lb.``: how many places of the last table each host has."""

    max_entries_per_host: Gauge
    min_entries_per_host: Gauge


@stats_struct
class HealthCheckStats(StatsStruct):
    """``cluster.<name>.health_check.``: checks; and how many hosts pass them, or call themselves degraded, now."""

    attempt: Counter
    degraded: Gauge
    failure: Counter
    healthy: Gauge
    network_failure: Counter
    passive_failure: Counter
    success: Counter
    verify_cluster: Counter


@stats_struct
class UnusedAsyncClientStats(ConstantStats):
    """What Envoy's router counts below ``http.async-client.`` and a request from inside cannot come to."""

    no_cluster: Counter
    no_route: Counter
    passthrough_internal_redirect_bad_location: Counter
    passthrough_internal_redirect_no_route: Counter
    passthrough_internal_redirect_predicate: Counter
    passthrough_internal_redirect_too_many_redirects: Counter
    passthrough_internal_redirect_unsafe_scheme: Counter
    rq_direct_response: Counter
    rq_overload_local_reply: Counter
    rq_redirect: Counter


@stats_struct
class AsyncClientStats(StatsStruct):
    """``http.async-client.``: requests from inside."""

    rq_reset_after_downstream_response_started: Counter
    rq_total: Counter
    unused: UnusedAsyncClientStats
