"""Stats of `tcp_proxy`, by Envoy's names (``tcp.<stat_prefix>.``)."""

from __future__ import annotations

from envoymesh.stats import ConstantStats, Counter, Gauge, StatsStruct, stats_struct


@stats_struct
class UnusedTcpProxyStats(ConstantStats):
    """``tcp.<stat_prefix>.`` of on-demand clusters, overload actions and drains of tunnels."""

    downstream_cx_drain_close: Counter
    downstream_cx_overload_close: Counter
    route_delayed_total: Counter


@stats_struct
class TcpProxyStats(StatsStruct):
    """Everything under ``tcp.<stat_prefix>.`` that is counted."""

    downstream_cx_no_route: Counter
    downstream_cx_rx_bytes_buffered: Gauge
    downstream_cx_rx_bytes_total: Counter
    downstream_cx_total: Counter
    downstream_cx_tx_bytes_buffered: Gauge
    downstream_cx_tx_bytes_total: Counter
    downstream_flow_control_paused_reading_total: Counter
    downstream_flow_control_resumed_reading_total: Counter
    early_data_received_count_total: Counter
    idle_timeout: Counter
    max_downstream_connection_duration: Counter
    upstream_flush_active: Gauge
    upstream_flush_total: Counter
    unused: UnusedTcpProxyStats
