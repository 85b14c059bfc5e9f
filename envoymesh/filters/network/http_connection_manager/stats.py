"""Stats of the HTTP connection manager, by Envoy's names (``http.<stat_prefix>.``)."""

from __future__ import annotations

from typing import Annotated

from envoymesh.network.api import Connection
from envoymesh.stats import ConstantStats, Counter, Gauge, Histogram, StatsStruct, stats_struct


@stats_struct
class UnusedConnectionManagerStats(ConstantStats):
    """``http.<stat_prefix>.`` of HTTP/3, overload actions and the detection of addresses."""

    downstream_cx_http1_soft_drain: Gauge
    downstream_cx_http3_active: Gauge
    downstream_cx_http3_total: Counter
    downstream_cx_overload_disable_keepalive: Counter
    downstream_rq_http3_total: Counter
    downstream_rq_overload_close: Counter
    downstream_rq_rejected_via_ip_detection: Counter


@stats_struct
class UnusedTracingStats(ConstantStats):
    """``http.<stat_prefix>.tracing.``: nothing is traced here."""

    client_enabled: Counter
    not_traceable: Counter
    random_sampling: Counter
    service_forced: Counter


@stats_struct
class HttpConnectionManagerStats(StatsStruct):
    """Everything under ``http.<stat_prefix>.`` that the connection manager counts."""

    downstream_cx_active: Gauge
    downstream_cx_delayed_close_timeout: Counter
    downstream_cx_destroy: Counter
    downstream_cx_destroy_active_rq: Counter
    downstream_cx_destroy_local: Counter
    downstream_cx_destroy_local_active_rq: Counter
    downstream_cx_destroy_remote: Counter
    downstream_cx_destroy_remote_active_rq: Counter
    downstream_cx_drain_close: Counter
    downstream_cx_http1_active: Gauge
    downstream_cx_http1_total: Counter
    downstream_cx_http2_active: Gauge
    downstream_cx_http2_total: Counter
    downstream_cx_idle_timeout: Counter
    downstream_cx_length_ms: Annotated[Histogram, "ms"]
    downstream_cx_max_duration_reached: Counter
    downstream_cx_max_requests_reached: Counter
    downstream_cx_protocol_error: Counter
    downstream_cx_rx_bytes_buffered: Gauge
    downstream_cx_rx_bytes_total: Counter
    downstream_cx_ssl_active: Gauge
    downstream_cx_ssl_total: Counter
    downstream_cx_total: Counter
    downstream_cx_tx_bytes_buffered: Gauge
    downstream_cx_tx_bytes_total: Counter
    downstream_cx_upgrades_active: Gauge
    downstream_cx_upgrades_total: Counter
    downstream_flow_control_paused_reading_total: Counter
    downstream_flow_control_resumed_reading_total: Counter
    downstream_rq_1xx: Counter
    downstream_rq_2xx: Counter
    downstream_rq_3xx: Counter
    downstream_rq_4xx: Counter
    downstream_rq_5xx: Counter
    downstream_rq_active: Gauge
    downstream_rq_completed: Counter
    downstream_rq_failed_path_normalization: Counter
    downstream_rq_header_timeout: Counter
    downstream_rq_http1_total: Counter
    downstream_rq_http2_total: Counter
    downstream_rq_idle_timeout: Counter
    downstream_rq_max_duration_reached: Counter
    downstream_rq_non_relative_path: Counter
    downstream_rq_redirected_with_normalized_path: Counter
    downstream_rq_response_before_rq_complete: Counter
    downstream_rq_rx_reset: Counter
    downstream_rq_time: Annotated[Histogram, "ms"]
    downstream_rq_timeout: Counter
    downstream_rq_too_large: Counter
    downstream_rq_too_many_premature_resets: Counter
    downstream_rq_total: Counter
    downstream_rq_tx_reset: Counter
    downstream_rq_ws_on_non_ws_route: Counter
    rs_too_large: Counter
    unused: UnusedConnectionManagerStats

    def charge_new_connection(self, tls: bool) -> None:
        """Count a connection that begins."""
        self.downstream_cx_total.inc()
        self.downstream_cx_active.inc()
        if tls:
            self.downstream_cx_ssl_total.inc()
            self.downstream_cx_ssl_active.inc()

    def charge_closed_connection(self, milliseconds: int, remote: bool, connection: Connection) -> None:
        """Count a connection that lasted so long; `remote` is who ended it."""
        self.downstream_cx_destroy.inc()
        self.downstream_cx_active.dec()
        self.downstream_cx_length_ms.record(milliseconds)
        if connection.tls is not None:
            self.downstream_cx_ssl_active.dec()
        if connection.delayed_close_timed_out:
            self.downstream_cx_delayed_close_timeout.inc()
        (self.downstream_cx_destroy_remote if remote else self.downstream_cx_destroy_local).inc()

    def charge_active_requests(self, remote: bool) -> None:
        """Count a connection that ended with requests under way."""
        self.downstream_cx_destroy_active_rq.inc()
        if remote:
            self.downstream_cx_destroy_remote_active_rq.inc()
        else:
            self.downstream_cx_destroy_local_active_rq.inc()

    def charge_local_reply(self, details: str) -> None:
        """Count an answer of the connection manager's own that says a body was too large to keep."""
        if details == "request_payload_too_large":
            self.downstream_rq_too_large.inc()
        elif details == "response_payload_too_large":
            self.rs_too_large.inc()


@stats_struct
class ListenerHttpStats(StatsStruct):
    """The same responses counted by listener (``listener.<address>.http.<stat_prefix>.``)."""

    downstream_rq_1xx: Counter
    downstream_rq_2xx: Counter
    downstream_rq_3xx: Counter
    downstream_rq_4xx: Counter
    downstream_rq_5xx: Counter
    downstream_rq_completed: Counter


def response_class_counters(stats: HttpConnectionManagerStats | ListenerHttpStats) -> tuple[Counter | None, ...]:
    """Counters indexed by a status's first digit."""
    return (
        None,
        stats.downstream_rq_1xx,
        stats.downstream_rq_2xx,
        stats.downstream_rq_3xx,
        stats.downstream_rq_4xx,
        stats.downstream_rq_5xx,
        None,
        None,
        None,
        None,
    )
