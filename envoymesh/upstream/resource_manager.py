"""Circuit breakers: counted limits of one priority (Envoy's `ResourceManager`). Decides nothing but yes or no."""

from __future__ import annotations

from typing import Final

from envoymesh.runtime import RuntimeDouble, RuntimeNumber, RuntimeReader
from envoymesh.stats import Gauge
from envoymesh.upstream.settings import ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats, RemainingStats

UNSET: Final = -1
"""What a key of a retry budget is where neither the runtime nor the configuration has it."""

BUDGET_PERCENT: Final = 20.0
MIN_RETRY_CONCURRENCY: Final = 3
"""Of a retry budget that the runtime sets the other half of."""


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

    def limit(self) -> int:
        """The limit as it is now."""
        return self.maximum

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


class RetryLimit(Resource):
    """The limit of retries: a number, or a share of the requests that there are (`retry_budget`).

    As in Envoy the gauge of an open breaker goes by the number also where there is a budget.
    """

    __slots__ = ("_min_concurrency", "_pending", "_percent", "_requests")

    def __init__(
        self,
        maximum: int,
        open_gauge: Gauge,
        remaining: Gauge | None,
        requests: Resource,
        pending: Resource,
        percent: RuntimeDouble,
        min_concurrency: RuntimeNumber,
    ) -> None:
        super().__init__(maximum, open_gauge, remaining)
        self._requests = requests
        self._pending = pending
        self._percent = percent
        self._min_concurrency = min_concurrency

    def _has_budget(self) -> bool:
        return self._percent.value >= 0.0 or self._min_concurrency.value >= 0

    def can_create(self) -> bool:
        """Whether one more retry may be under way."""
        if self._has_budget():
            self._forget_remaining()
        return self.count < self.limit()

    def limit(self) -> int:
        """How many retries may be under way now."""
        if not self._has_budget():
            return self.maximum
        percent, least = self._percent.value, self._min_concurrency.value
        share = (percent if percent >= 0.0 else BUDGET_PERCENT) / 100.0
        return max(
            int(share * (self._requests.count + self._pending.count)), least if least >= 0 else MIN_RETRY_CONCURRENCY
        )

    def _show(self) -> None:
        super()._show()
        if self._has_budget():
            self._forget_remaining()

    def _forget_remaining(self) -> None:
        """What is left of a budget changes without a word to this object."""
        if self._remaining is not None:
            self._remaining.set(0)


class ResourceManager:
    """The limits of one priority of one cluster.

    Args:
        runtime_prefix: of the keys that set the limits anew, ``circuit_breakers.<cluster>.<priority>.``.

    Attributes:
        max_connections_per_host: of each host by itself.
    """

    __slots__ = (
        "connection_pools",
        "connections",
        "max_connections_per_host",
        "pending_requests",
        "requests",
        "retries",
    )

    def __init__(
        self,
        thresholds: ThresholdSettings,
        stats: CircuitBreakerStats,
        runtime: RuntimeReader,
        runtime_prefix: str,
        remaining: RemainingStats | None = None,
    ) -> None:
        cx, pools, pending, retries, rq = (None,) * 5 if remaining is None else _gauges(remaining)
        self.connections = Resource(thresholds.max_connections, stats.cx_open, cx)
        self.pending_requests = Resource(thresholds.max_pending_requests, stats.rq_pending_open, pending)
        self.requests = Resource(thresholds.max_requests, stats.rq_open, rq)
        self.connection_pools = Resource(thresholds.max_connection_pools, stats.cx_pool_open, pools)
        self.max_connections_per_host: int = thresholds.max_connections_per_host
        budget = thresholds.retry_budget
        self.retries = RetryLimit(
            thresholds.max_retries,
            stats.rq_retry_open,
            retries,
            self.requests,
            self.pending_requests,
            runtime.double(runtime_prefix + "retry_budget.budget_percent", UNSET if budget is None else budget.percent),
            runtime.number(
                runtime_prefix + "retry_budget.min_retry_concurrency",
                UNSET if budget is None else budget.min_retry_concurrency,
            ),
        )
        for name, resource in (
            ("max_connections", self.connections),
            ("max_pending_requests", self.pending_requests),
            ("max_requests", self.requests),
            ("max_retries", self.retries),
            ("max_connection_pools", self.connection_pools),
        ):
            limit = runtime.number(runtime_prefix + name, resource.maximum, resource.set_maximum)
            if limit.value != resource.maximum:
                resource.set_maximum(limit.value)


def _gauges(remaining: RemainingStats) -> tuple[Gauge, Gauge, Gauge, Gauge, Gauge]:
    return (
        remaining.remaining_cx,
        remaining.remaining_cx_pools,
        remaining.remaining_pending,
        remaining.remaining_retries,
        remaining.remaining_rq,
    )
