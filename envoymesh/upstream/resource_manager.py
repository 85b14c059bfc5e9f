"""Circuit breakers: counted limits of one priority (Envoy's `ResourceManager`). Decides nothing but yes or no."""

from __future__ import annotations

from envoymesh.stats import Gauge
from envoymesh.upstream.settings import ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats


class Resource:
    """One limit. `open_gauge` is 1 while no more can be created."""

    __slots__ = ("count", "maximum", "open_gauge")

    def __init__(self, maximum: int, open_gauge: Gauge) -> None:
        self.maximum = maximum
        self.count = 0
        self.open_gauge = open_gauge

    def can_create(self) -> bool:
        """Whether one more is within the limit."""
        return self.count < self.maximum

    def inc(self) -> None:
        """One more."""
        self.count += 1
        if self.count >= self.maximum:
            self.open_gauge.set(1)

    def dec(self) -> None:
        """One less."""
        self.count -= 1
        if self.count == self.maximum - 1:
            self.open_gauge.set(0)

    def __repr__(self) -> str:
        return f"<Resource {self.count}/{self.maximum}>"


class ResourceManager:
    """The limits of one priority of one cluster."""

    __slots__ = ("connections", "pending_requests", "requests", "retries", "thresholds")

    def __init__(self, thresholds: ThresholdSettings, stats: CircuitBreakerStats) -> None:
        self.thresholds = thresholds
        self.connections = Resource(thresholds.max_connections, stats.cx_open)
        self.pending_requests = Resource(thresholds.max_pending_requests, stats.rq_pending_open)
        self.requests = Resource(thresholds.max_requests, stats.rq_open)
        self.retries = Resource(thresholds.max_retries, stats.rq_retry_open)
