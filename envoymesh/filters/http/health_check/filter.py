"""The health check filter: answers checks of this proxy itself, or passes them through and remembers the answer.

Envoy's `extensions/filters/http/health_check`. After ``/healthcheck/fail`` every check fails, and other responses tell
whoever checks this proxy's hosts to take it out. It must not check anything itself: it looks at what others know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from envoymesh.filters.http.health_check.stats import HealthCheckFilterStats, TracingStats
from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus, StreamFilter
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.upstream.cluster_manager import ClusterManager

DEGRADED: Final = b"x-envoy-degraded"
UNAVAILABLE: Final = 503


class HealthCheckCache:
    """The last answer to a check that was passed through, for the rest of its period (Envoy's
    `HealthCheckCacheManager`).

    Args:
        now: monotonic seconds.
        period: seconds; periods follow each other from the start.
    """

    __slots__ = ("_now", "_of_period", "_period", "_started", "degraded", "status")

    def __init__(self, now: Callable[[], float], period: float) -> None:
        self._now = now
        self._period = period
        self._started = now()
        self._of_period = -1
        self.status = 200
        self.degraded = False

    def _current(self) -> int:
        return int((self._now() - self._started) / self._period)

    @property
    def is_fresh(self) -> bool:
        """Whether the answer is of this period."""
        return self._of_period == self._current()

    def keep(self, status: int, degraded: bool) -> None:
        """An answer."""
        self.status = status
        self.degraded = degraded
        self._of_period = self._current()


@dataclass(frozen=True, slots=True)
class HealthCheckFilterSettings:
    """envoy.extensions.filters.http.health_check.v3.HealthCheck.

    Args:
        matchers: a request that fits all of them is a check.
        failed: whether ``/healthcheck/fail`` was asked for.
        service_cluster: this proxy's own (`node.cluster`), which checks are told.
        min_healthy: percent of hosts, healthy or degraded, that clusters need.
    """

    pass_through: bool
    matchers: Sequence[HeaderMatcher]
    failed: Callable[[], bool]
    service_cluster: bytes
    clusters: ClusterManager
    stats: HealthCheckFilterStats
    tracing: TracingStats
    cache: HealthCheckCache | None = None
    min_healthy: Mapping[str, int] = field(default_factory=dict)

    def verdict(self) -> tuple[int, str]:
        """The status of an answer by the clusters, and its details."""
        if not self.min_healthy:
            return 200, "health_check_ok"
        for name, percent in self.min_healthy.items():
            cluster = self.clusters.get(name)
            if cluster is None:
                self.stats.failed_cluster_not_found.inc()
                return UNAVAILABLE, "health_check_failed_no_cluster_found"
            total = cluster.stats.membership_total.value
            usable = cluster.stats.membership_healthy.value + cluster.stats.membership_degraded.value
            if not total and percent:
                self.stats.failed_cluster_empty.inc()
                return UNAVAILABLE, "health_check_failed_cluster_empty"
            if 100 * usable < total * percent:
                self.stats.failed_cluster_unhealthy.inc()
                return UNAVAILABLE, "health_check_failed_cluster_unhealthy"
        return 200, "health_check_ok_cluster_healthy"


class HealthCheckFilter(StreamFilter):
    """One request, a check or not, and its response."""

    __slots__ = ("_handles", "_is_check", "_settings")

    def __init__(self, settings: HealthCheckFilterSettings) -> None:
        self._settings = settings
        self._is_check = False
        self._handles = False

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Answer a check, when it has come whole, or pass it through."""
        settings = self._settings
        if not all(matcher.matches(headers) for matcher in settings.matchers):
            return FilterHeadersStatus.CONTINUE
        self._is_check = True
        self.decoder_callbacks.stream_info.health_check = True
        settings.tracing.health_check.inc()
        cache = settings.cache
        self._handles = not settings.pass_through or settings.failed() or (cache is not None and cache.is_fresh)
        if not self._handles:
            return FilterHeadersStatus.CONTINUE
        if end_stream:
            self._answer()
        return FilterHeadersStatus.STOP

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """A check's body is of no interest."""
        if not self._handles:
            return FilterDataStatus.CONTINUE
        if end_stream:
            self._answer()
        return FilterDataStatus.STOP_NO_BUFFER

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The check has come whole."""
        if not self._handles:
            return FilterTrailersStatus.CONTINUE
        self._answer()
        return FilterTrailersStatus.STOP

    def _answer(self) -> None:
        settings = self._settings
        cache, stats = settings.cache, settings.stats
        mark = None
        stats.request_total.inc()
        if settings.failed():
            status, details = UNAVAILABLE, "health_check_failed"
        elif cache is not None:
            stats.cached_response.inc()
            status, details = cache.status, "health_check_cached"
            if cache.degraded:
                stats.degraded.inc()
                mark = _mark_degraded
        else:
            status, details = settings.verdict()
        if 200 <= status < 300:
            stats.ok.inc()
        else:
            stats.failed.inc()
            self.decoder_callbacks.stream_info.flags |= ResponseFlag.FAILED_LOCAL_HEALTH_CHECK
        self.decoder_callbacks.send_local_reply(status, b"", details, mark)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Remember the answer to a check, and say what is known of this proxy."""
        settings = self._settings
        if self._is_check:
            if settings.cache is not None:
                settings.cache.keep(headers.status, DEGRADED in headers)
            headers.set(b"x-envoy-upstream-healthchecked-cluster", settings.service_cluster)
        if settings.failed():
            headers.set(b"x-envoy-immediate-health-check-fail", b"true")
        return FilterHeadersStatus.CONTINUE


def _mark_degraded(headers: ResponseHeaders) -> None:
    headers.set(DEGRADED, b"")
