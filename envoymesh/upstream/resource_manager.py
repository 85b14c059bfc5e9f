"""Circuit breakers: counted limits of one priority (Envoy's `ResourceManager`). Decides nothing but yes or no."""

from __future__ import annotations

from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Gauge
from envoymesh.upstream.settings import ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats, RemainingStats


class Resource:
    """One limit.

    Args:
        open_gauge: 1 while no more can be created.
        remaining: a gauge of how many more can be created; None: not counted.
    """

    __slots__ = ("_open_gauge", "_remaining", "count", "maximum")

    def __init__(self, maximum: int, open_gauge: Gauge, remaining: Gauge | None = None) -> None:
        self.maximum = maximum
        self.count = 0
        self._open_gauge = open_gauge
        self._remaining = remaining
        if remaining is not None:
            remaining.set(maximum)

    def can_create(self) -> bool:
        """Whether one more is within the limit."""
        return self.count < self.maximum

    def inc(self) -> None:
        """One more."""
        self.count += 1
        if self.count >= self.maximum or not self._open_gauge.used or self._remaining is not None:
            self._show()

    def dec(self) -> None:
        """One less."""
        self.count -= 1
        if self.count == self.maximum - 1 or self._remaining is not None:
            self._show()

    def set_maximum(self, maximum: int) -> None:
        """Change the limit; what is over it stays until it ends."""
        self.maximum = maximum
        self._show()

    def _show(self) -> None:
        self._open_gauge.set(int(self.count >= self.maximum))
        if self._remaining is not None:
            self._remaining.set(max(0, self.maximum - self.count))

    def __repr__(self) -> str:
        return f"<Resource {self.count}/{self.maximum}>"


class ResourceManager:
    """The limits of one priority of one cluster.

    Args:
        runtime_prefix: of the keys that set the limits anew, ``circuit_breakers.<cluster>.<priority>.``.
    """

    __slots__ = ("connections", "pending_requests", "requests", "retries")

    def __init__(
        self,
        thresholds: ThresholdSettings,
        stats: CircuitBreakerStats,
        runtime: RuntimeReader,
        runtime_prefix: str,
        remaining: RemainingStats | None = None,
    ) -> None:
        cx, pending, retries, rq = (None, None, None, None) if remaining is None else _gauges(remaining)
        self.connections = Resource(thresholds.max_connections, stats.cx_open, cx)
        self.pending_requests = Resource(thresholds.max_pending_requests, stats.rq_pending_open, pending)
        self.requests = Resource(thresholds.max_requests, stats.rq_open, rq)
        self.retries = Resource(thresholds.max_retries, stats.rq_retry_open, retries)
        for name, resource in (
            ("max_connections", self.connections),
            ("max_pending_requests", self.pending_requests),
            ("max_requests", self.requests),
            ("max_retries", self.retries),
        ):
            limit = runtime.number(runtime_prefix + name, resource.maximum, resource.set_maximum)
            if limit.value != resource.maximum:
                resource.set_maximum(limit.value)


def _gauges(remaining: RemainingStats) -> tuple[Gauge, Gauge, Gauge, Gauge]:
    return remaining.remaining_cx, remaining.remaining_pending, remaining.remaining_retries, remaining.remaining_rq
