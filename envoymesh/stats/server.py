"""The structs that belong to the process as a whole: server, managers, runtime, files.

Each says the scope it is created under. It must not fill them in: the server does.
"""

from typing import Annotated

from envoymesh.stats.histogram import Histogram
from envoymesh.stats.primitives import Counter, Gauge
from envoymesh.stats.struct import ConstantStats, Named, StatsStruct, stats_struct


@stats_struct
class WatchdogStats(StatsStruct):
    """Scopes `server.main_thread.`, `server.worker_N.`, `main_thread.` and `workers.`."""

    watchdog_mega_miss: Counter
    watchdog_miss: Counter


@stats_struct
class UnusedServerStats(ConstantStats):
    """Scope `server.`: debug builds, hot restart, OCSP, xDS, FIPS builds, notifications, stats sinks."""

    fips_mode: Annotated[Gauge, Named("compilation_settings.fips_mode")]
    debug_assertion_failures: Counter
    dropped_stat_flushes: Counter
    dynamic_unknown_fields: Counter
    envoy_notifications: Counter
    hot_restart_epoch: Gauge
    parent_connections: Gauge
    seconds_until_first_ocsp_response_expiring: Gauge
    wip_protos: Counter


@stats_struct
class ServerStats(StatsStruct):
    """Scope `server.`. `state` is 0 live, 1 draining, 2 pre-initializing, 3 initializing; `uptime` is in seconds.

    `envoy_bug_failures` counts exceptions that nobody expected; `stats_recent_lookups` stats looked up by name.
    """

    concurrency: Gauge
    days_until_first_cert_expiring: Gauge
    envoy_bug_failures: Counter
    hot_restart_generation: Gauge
    initialization_time_ms: Annotated[Histogram, "ms"]
    live: Gauge
    main_thread: Annotated[WatchdogStats, Named("main_thread.")]
    memory_allocated: Gauge
    memory_heap_size: Gauge
    memory_physical_size: Gauge
    state: Gauge
    static_unknown_fields: Counter
    stats_recent_lookups: Gauge
    total_connections: Gauge
    unused: UnusedServerStats
    uptime: Gauge
    version: Gauge
    worker: Annotated[WatchdogStats, Named("worker_0.")]


@stats_struct
class UnusedListenerManagerStats(ConstantStats):
    """Scope `listener_manager.`: listeners that come and go while the server runs (LDS), pinned threads."""

    listener_create_failure: Counter
    listener_in_place_updated: Counter
    listener_modified: Counter
    listener_removed: Counter
    total_filter_chains_draining: Gauge
    total_listeners_draining: Gauge
    total_listeners_warming: Gauge
    workers_pinned: Gauge


@stats_struct
class ListenerManagerStats(StatsStruct):
    """Scope `listener_manager.`."""

    listener_added: Counter
    listener_create_success: Counter
    listener_stopped: Counter
    total_listeners_active: Gauge
    unused: UnusedListenerManagerStats
    workers_started: Gauge


@stats_struct
class UnusedClusterManagerStats(ConstantStats):
    """Scope `cluster_manager.`: clusters that come and go while the server runs (CDS)."""

    cluster_modified: Counter
    cluster_removed: Counter
    warming_clusters: Gauge


@stats_struct
class ClusterManagerStats(StatsStruct):
    """Scope `cluster_manager.`."""

    active_clusters: Gauge
    cluster_added: Counter
    cluster_updated: Counter
    cluster_updated_via_merge: Counter
    update_merge_cancelled: Counter
    update_out_of_merge_window: Counter
    unused: UnusedClusterManagerStats


@stats_struct
class ThreadLocalClusterManagerStats(StatsStruct):
    """Scopes `thread_local_cluster_manager.main_thread.` and `thread_local_cluster_manager.worker_N.`."""

    clusters_inflated: Gauge


@stats_struct
class UnusedRuntimeStats(ConstantStats):
    """Scope `runtime.`: layers that are read from disk, and deprecated fields, which Envoy counts only in what comes
    after the bootstrap."""

    deprecated_feature_seen_since_process_start: Gauge
    deprecated_feature_use: Counter
    load_error: Counter
    override_dir_exists: Counter


@stats_struct
class RuntimeStats(StatsStruct):
    """Scope `runtime.`."""

    admin_overrides_active: Gauge
    load_success: Counter
    num_keys: Gauge
    num_layers: Gauge
    override_dir_not_exists: Counter
    unused: UnusedRuntimeStats


@stats_struct
class FilesystemStats(StatsStruct):
    """Scope `filesystem.`: access logs and the process log."""

    flushed_by_timer: Counter
    reopen_failed: Counter
    write_buffered: Counter
    write_completed: Counter
    write_failed: Counter
    write_total_buffered: Gauge


@stats_struct
class UnusedOverloadStats(ConstantStats):
    """The root scope: the overload manager, which has nothing to watch."""

    refresh_interval_delay: Annotated[Histogram, "ms", Named("overload.refresh_interval_delay")]
    reset_high_memory_stream: Annotated[Counter, Named("envoy.overload_actions.reset_high_memory_stream.count")]
