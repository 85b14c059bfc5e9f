"""What each request counts by name: a host's own counts, and a cluster's by response code.

Apart from stats.py so that they can be compiled. They must not decide anything.
"""

from __future__ import annotations

from envoymesh.stats.histogram import Histogram
from envoymesh.stats.primitives import Counter, Gauge
from envoymesh.stats.store import Scope


class HostStats:
    """A host's own counts, which only ``/clusters`` shows; they live and die with the host."""

    __slots__ = (
        "cx_active",
        "cx_connect_fail",
        "cx_total",
        "rq_active",
        "rq_error",
        "rq_pending_active",
        "rq_success",
        "rq_timeout",
        "rq_total",
    )

    def __init__(self) -> None:
        self.cx_active = Gauge("cx_active")
        self.cx_connect_fail = Counter("cx_connect_fail")
        self.cx_total = Counter("cx_total")
        self.rq_active = Gauge("rq_active")
        self.rq_error = Counter("rq_error")
        self.rq_pending_active = Gauge("rq_pending_active")
        self.rq_success = Counter("rq_success")
        self.rq_timeout = Counter("rq_timeout")
        self.rq_total = Counter("rq_total")

    def all(self) -> tuple[Counter | Gauge, ...]:
        """All of them, in the order of their names."""
        connections = self.cx_active, self.cx_connect_fail, self.cx_total
        return (
            *connections,
            self.rq_active,
            self.rq_error,
            self.rq_pending_active,
            self.rq_success,
            self.rq_timeout,
            self.rq_total,
        )


class ResponseCodeStats:
    """``upstream_rq_<code>``, ``upstream_rq_<class>`` and ``upstream_rq_completed``, as they come to be needed.

    Counted three times as in Envoy: plainly, and below ``internal.`` or ``external.`` (``canary.`` for canary hosts).
    Each (status, origin) keeps its counters, so that a request builds no name.
    """

    __slots__ = ("_known", "_retried", "_scope", "_times")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._known: dict[tuple[int, bool, bool], tuple[Counter, ...]] = {}
        self._retried: dict[int, tuple[Counter, ...]] = {}
        self._times: dict[bool, tuple[Histogram, ...]] = {}

    def charge(self, status: int, internal: bool, canary: bool = False) -> None:
        """Count one response."""
        key = (status, internal, canary)
        counters = self._known.get(key)
        if counters is None:
            counters = self._known[key] = self._make(status, internal, canary)
        for counter in counters:
            counter.inc()

    def charge_retried(self, status: int) -> None:
        """Count one response that another try takes the place of: below ``retry.`` only."""
        counters = self._retried.get(status)
        if counters is None:
            names = _code_names(status)
            counters = self._retried[status] = tuple(self._scope.counter("retry." + name) for name in names)
        for counter in counters:
            counter.inc()

    def record_time(self, milliseconds: int, internal: bool) -> None:
        """Record one response's time in ``upstream_rq_time``, plainly and by origin."""
        histograms = self._times.get(internal)
        if histograms is None:
            prefixes = ("", "internal." if internal else "external.")
            made = tuple(self._scope.histogram(prefix + "upstream_rq_time", "ms") for prefix in prefixes)
            histograms = self._times[internal] = made
        for histogram in histograms:
            histogram.record(milliseconds)

    def _make(self, status: int, internal: bool, canary: bool) -> tuple[Counter, ...]:
        prefixes = ["", "internal." if internal else "external."]
        if canary:
            prefixes.append("canary.")
        return tuple(self._scope.counter(prefix + name) for prefix in prefixes for name in _code_names(status))


def _code_names(status: int) -> tuple[str, ...]:
    if not 100 <= status < 600:
        return "upstream_rq_completed", "upstream_rq_unknown"
    return "upstream_rq_completed", f"upstream_rq_{status // 100}xx", f"upstream_rq_{status}"
