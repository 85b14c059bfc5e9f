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
    """``upstream_rq_<code>``, ``upstream_rq_<class>`` and ``upstream_rq_completed``, made when first counted.

    Counted several times as in Envoy: plainly, below ``internal.`` or ``external.``, below ``canary.`` for canary
    hosts, and below ``zone.<own>.<host's>.`` where both zones are known. Each combination keeps its counters, so that
    a request builds no name.

    Args:
        own_zone: this proxy's (`node.locality.zone`), or empty.
    """

    __slots__ = ("_known", "_own_zone", "_retried", "_scope", "_times")

    def __init__(self, scope: Scope, own_zone: str = "") -> None:
        self._scope = scope
        self._own_zone = own_zone
        self._known: dict[tuple[int, bool, bool, str], tuple[Counter, ...]] = {}
        self._retried: dict[int, tuple[Counter, ...]] = {}
        self._times: dict[tuple[bool, bool, str], tuple[Histogram, ...]] = {}

    def charge(self, status: int, internal: bool, canary: bool = False, zone: str = "") -> None:
        """Count one response; `zone` is the host's."""
        key = (status, internal, canary, zone)
        counters = self._known.get(key)
        if counters is None:
            counters = self._known[key] = self._make(status, internal, canary, zone)
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

    def record_time(self, milliseconds: int, internal: bool, canary: bool = False, zone: str = "") -> None:
        """Record one response's time in ``upstream_rq_time``, in as many places as it is counted."""
        key = (internal, canary, zone)
        histograms = self._times.get(key)
        if histograms is None:
            prefixes = self._prefixes(internal, canary, zone)
            made = tuple(self._scope.histogram(prefix + "upstream_rq_time", "ms") for prefix in prefixes)
            histograms = self._times[key] = made
        for histogram in histograms:
            histogram.record(milliseconds)

    def _make(self, status: int, internal: bool, canary: bool, zone: str) -> tuple[Counter, ...]:
        prefixes = self._prefixes(internal, canary, zone)
        return tuple(self._scope.counter(prefix + name) for prefix in prefixes for name in _code_names(status))

    def _prefixes(self, internal: bool, canary: bool, zone: str) -> list[str]:
        prefixes = ["", "internal." if internal else "external."]
        if canary:
            prefixes.append("canary.")
        if self._own_zone and zone:
            prefixes.append(f"zone.{self._own_zone}.{zone}.")
        return prefixes


def _code_names(status: int) -> tuple[str, ...]:
    if not 100 <= status < 600:
        return "upstream_rq_completed", "upstream_rq_unknown"
    return "upstream_rq_completed", f"upstream_rq_{status // 100}xx", f"upstream_rq_{status}"
