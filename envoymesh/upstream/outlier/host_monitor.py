"""What one host's requests tell of it: failures in a row, and shares of success (Envoy's `DetectorHostMonitorImpl`).

It tells its detector when failures in a row reach a limit. It must not eject, and knows no time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.upstream.host import Host
from envoymesh.upstream.outlier.api import EjectionType, HostMonitor
from envoymesh.upstream.outlier.keys import OutlierKeys

TIMEOUT_CODE: Final = 504
FAILURE_CODE: Final = 503
"""What timeouts and failures to connect count as, where they are not told apart from answers."""


@trait
class ConsecutiveErrorObserver:
    """Who decides what becomes of a host with failures in a row."""

    __slots__ = ()

    @abstractmethod
    def on_consecutive_error(self, monitor: DetectorHostMonitor, why: EjectionType) -> None:
        """A host has just reached a limit."""


class SuccessRate:
    """Requests of an interval and how many were answered well (Envoy's `SuccessRateAccumulator`).

    Attributes:
        total, successes: of the interval that goes on.
        last_total, last_successes: of the one before.
        value: percent of the last interval that counts for anything; -1 is unknown.
    """

    __slots__ = ("last_successes", "last_total", "successes", "total", "value")

    def __init__(self) -> None:
        self.total = 0
        self.successes = 0
        self.last_total = 0
        self.last_successes = 0
        self.value = -1.0

    def end_interval(self) -> None:
        """Begin another interval."""
        self.last_total, self.last_successes = self.total, self.successes
        self.total = self.successes = 0
        self.value = -1.0

    def of_last_interval(self) -> float:
        """Percent; there must have been requests."""
        return self.last_successes * 100.0 / self.last_total


class DetectorHostMonitor(HostMonitor):
    """One host's.

    Attributes:
        external, local: shares of success; `local` is of connections and timeouts, where they are told apart.
        consecutive_5xx, consecutive_gateway_failure, consecutive_local_origin_failure: in a row, until now.
        num_ejections: since the host is known.
        eject_time_backoff: how many times the base time its next ejection lasts, less one.
        jitter: milliseconds that its ejection lasts longer.
        last_ejection, last_unejection: monotonic seconds, or None.
    """

    __slots__ = (
        "_keys",
        "_observer",
        "_split",
        "consecutive_5xx",
        "consecutive_gateway_failure",
        "consecutive_local_origin_failure",
        "eject_time_backoff",
        "external",
        "host",
        "jitter",
        "last_ejection",
        "last_unejection",
        "local",
        "num_ejections",
    )

    def __init__(self, host: Host, keys: OutlierKeys, split: bool, observer: ConsecutiveErrorObserver) -> None:
        self.host = host
        self._keys = keys
        self._split = split
        self._observer = observer
        self.external = SuccessRate()
        self.local = SuccessRate()
        self.consecutive_5xx = 0
        self.consecutive_gateway_failure = 0
        self.consecutive_local_origin_failure = 0
        self.num_ejections = 0
        self.eject_time_backoff = 0
        self.jitter = 0
        self.last_ejection: float | None = None
        self.last_unejection: float | None = None

    def __repr__(self) -> str:
        return f"<DetectorHostMonitor {self.host!r} ejections={self.num_ejections}>"

    def put_http_response_code(self, code: int) -> None:
        """The host answered."""
        external = self.external
        external.total += 1
        if code < 500 or code > 599:
            external.successes += 1
            self.consecutive_5xx = 0
            self.consecutive_gateway_failure = 0
            return
        if 502 <= code <= 504:
            self.consecutive_gateway_failure += 1
            if self.consecutive_gateway_failure == self._keys.consecutive_gateway_failure.value:
                self._observer.on_consecutive_error(self, EjectionType.CONSECUTIVE_GATEWAY_FAILURE)
        else:
            self.consecutive_gateway_failure = 0
        self.consecutive_5xx += 1
        if self.consecutive_5xx == self._keys.consecutive_5xx.value:
            self._observer.on_consecutive_error(self, EjectionType.CONSECUTIVE_5XX)

    def put_connect_success(self) -> None:
        """How the request ends will be told as well: it counts only where connections count for themselves."""
        if self._split:
            self._local_success()

    def put_connect_success_final(self) -> None:
        """Nothing more will be told."""
        if self._split:
            self._local_success()
        else:
            self.put_http_response_code(200)

    def put_connect_failure(self) -> None:
        """No connection, or a reset."""
        if self._split:
            self._local_failure()
        else:
            self.put_http_response_code(FAILURE_CODE)

    def put_timeout(self) -> None:
        """Too slow."""
        if self._split:
            self._local_failure()
        else:
            self.put_http_response_code(TIMEOUT_CODE)

    def _local_success(self) -> None:
        self.local.total += 1
        self.local.successes += 1
        self.consecutive_local_origin_failure = 0

    def _local_failure(self) -> None:
        self.local.total += 1
        self.consecutive_local_origin_failure += 1
        if self.consecutive_local_origin_failure == self._keys.consecutive_local_origin_failure.value:
            self._observer.on_consecutive_error(self, EjectionType.CONSECUTIVE_LOCAL_ORIGIN_FAILURE)

    @property
    def success_rate(self) -> float:
        """Of answers."""
        return self.external.value

    @property
    def local_origin_success_rate(self) -> float:
        """Of connections and timeouts."""
        return self.local.value

    def reset_consecutive(self) -> None:
        """Count failures in a row anew."""
        self.consecutive_5xx = 0
        self.consecutive_gateway_failure = 0
        self.consecutive_local_origin_failure = 0
