"""What all connections of one connection manager filter share. It must not hold anything of one connection."""

from __future__ import annotations

import random as chance
from collections.abc import Callable

from envoymesh.filters.network.http_connection_manager.date import DateProvider
from envoymesh.filters.network.http_connection_manager.leaving import LeavingConnection
from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator
from envoymesh.filters.network.http_connection_manager.settings import (
    PREMATURE_RESET_LIMIT,
    PREMATURE_RESET_SECONDS,
    HttpConnectionManagerSettings,
)
from envoymesh.filters.network.http_connection_manager.stats import (
    HttpConnectionManagerStats,
    ListenerHttpStats,
    response_class_counters,
)
from envoymesh.http.failed_requests import FailedRequests
from envoymesh.http.recent_requests import RecentRequests
from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.network.api import Dispatcher
from envoymesh.runtime import RuntimeReader


class ConnectionManagerConfig:
    """What all connections of one connection manager filter share.

    Args:
        drain_close: whether the server wants connections to end; asked at each response.
        next_stream_id: gives process-wide unique request numbers.
        random: uniform in [0, 1).
        failed: where requests that failed are noted.
        recent: where all are noted while somebody looks.
    """

    __slots__ = (
        "dates",
        "dispatcher",
        "drain_close",
        "failed",
        "http1_stats",
        "http2_stats",
        "leaving",
        "listener_classes",
        "listener_stats",
        "managers",
        "next_stream_id",
        "premature_reset_limit",
        "premature_reset_seconds",
        "random",
        "recent",
        "request_ids",
        "response_classes",
        "settings",
        "stats",
    )

    def __init__(
        self,
        *,
        settings: HttpConnectionManagerSettings,
        stats: HttpConnectionManagerStats,
        listener_stats: ListenerHttpStats,
        http1_stats: Http1CodecStats,
        http2_stats: Http2CodecStats,
        dispatcher: Dispatcher,
        dates: DateProvider,
        request_ids: RequestIdGenerator,
        drain_close: Callable[[], bool],
        next_stream_id: Callable[[], int],
        runtime: RuntimeReader,
        random: Callable[[], float] = chance.random,
        failed: FailedRequests,
        recent: RecentRequests,
    ) -> None:
        self.settings = settings
        self.failed = failed
        self.recent = recent
        self.stats = stats
        self.listener_stats = listener_stats
        self.http1_stats = http1_stats
        self.http2_stats = http2_stats
        self.dispatcher = dispatcher
        self.dates = dates
        self.request_ids = request_ids
        self.drain_close = drain_close
        self.next_stream_id = next_stream_id
        self.random = random
        self.premature_reset_limit = runtime.number(PREMATURE_RESET_LIMIT, 500)
        self.premature_reset_seconds = runtime.number(PREMATURE_RESET_SECONDS, 1)
        self.response_classes = response_class_counters(stats)
        self.listener_classes = response_class_counters(listener_stats)
        self.managers: set[LeavingConnection] = set()
        self.leaving = False  # the process is about to end: connections accepted from now on are told so, too

    def leave(self) -> None:
        """The process is about to end: tell each connection, and those that are still to come."""
        self.leaving = True
        for manager in list(self.managers):
            manager.leave()

    def count_failed_handshake(self, remote: bool) -> None:
        """A connection came and went before its TLS was agreed on: as in Envoy it counts as one of ours."""
        stats = self.stats
        stats.downstream_cx_total.inc()
        stats.downstream_cx_ssl_total.inc()
        stats.downstream_cx_destroy.inc()
        (stats.downstream_cx_destroy_remote if remote else stats.downstream_cx_destroy_local).inc()

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""
        waiting = [manager.connection.buffered for manager in self.managers]
        self.stats.downstream_cx_rx_bytes_buffered.set(sum(received for received, _ in waiting))
        self.stats.downstream_cx_tx_bytes_buffered.set(sum(written for _, written in waiting))
