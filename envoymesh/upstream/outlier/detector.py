"""Outlier detection of one cluster: who is ejected, for how long, and who comes back (Envoy's `DetectorImpl`).

Failures in a row eject at once, within the call that told of the last of them; shares of success and of failures are
looked at once an interval, and so is who may come back. A host's ejection is the flag FAILED_OUTLIER_CHECK, of which
the `PrioritySet` hears before anything else happens. This module must not pick hosts, nor know how they are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from envoymesh.network.api import Dispatcher, Timer
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Counter
from envoymesh.upstream.host import FAILED_OUTLIER_CHECK, Host
from envoymesh.upstream.host_set import PrioritySet, PrioritySetObserver
from envoymesh.upstream.outlier.api import EjectionType
from envoymesh.upstream.outlier.event_log import OutlierEventLog
from envoymesh.upstream.outlier.host_monitor import ConsecutiveErrorObserver, DetectorHostMonitor, SuccessRate
from envoymesh.upstream.outlier.keys import OutlierKeys
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings
from envoymesh.upstream.outlier.stats import OutlierDetectionStats

SHORTEST_INTERVAL: Final = 1
"""Milliseconds between two looks at all hosts, where the runtime says 0."""


class SuccessRates:
    """What the success rates of a cluster's hosts come to; percents, -1 is unknown."""

    __slots__ = ("average", "ejection_threshold")

    def __init__(self) -> None:
        self.average = -1.0
        self.ejection_threshold = -1.0

    def forget(self) -> None:
        """They are not known any more."""
        self.average = self.ejection_threshold = -1.0

    def measure(self, rates: Sequence[float], factor: float) -> None:
        """The mean, and as much below it as `factor` times the standard deviation."""
        mean = sum(rates) / len(rates)
        variance = sum((rate - mean) ** 2 for rate in rates) / len(rates)
        self.average = mean
        self.ejection_threshold = mean - factor * math.sqrt(variance)


class OutlierDetector(PrioritySetObserver, ConsecutiveErrorObserver):
    """One cluster's.

    Args:
        cluster: its name, for the log.
        hosts: the cluster's; the detector observes them from now on.
        random: uniform in [0, 1).
        event_log: where ejections are told of, or None.
        on_ejected: called with each host that has been ejected, after the sets are right.

    Attributes:
        external, local: success rates of the last interval.
    """

    __slots__ = (
        "_cluster",
        "_dispatcher",
        "_event_log",
        "_hosts",
        "_keys",
        "_monitors",
        "_on_ejected",
        "_random",
        "_settings",
        "_stats",
        "_timer",
        "external",
        "local",
    )

    def __init__(
        self,
        cluster: str,
        settings: OutlierDetectionSettings,
        hosts: PrioritySet,
        stats: OutlierDetectionStats,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        runtime: RuntimeReader,
        event_log: OutlierEventLog | None,
        on_ejected: Callable[[Host], None],
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._hosts = hosts
        self._stats = stats
        self._dispatcher = dispatcher
        self._random = random
        self._keys = OutlierKeys(settings, runtime)
        self._event_log = event_log
        self._on_ejected = on_ejected
        self._monitors: dict[Host, DetectorHostMonitor] = {}
        self._timer: Timer = dispatcher.create_timer(self._on_interval)
        self.external = SuccessRates()
        self.local = SuccessRates()
        hosts.add_observer(self)

    def __repr__(self) -> str:
        return f"<OutlierDetector {self._cluster} hosts={len(self._monitors)}>"

    def start(self) -> None:
        """Begin to look at the hosts once an interval."""
        self._timer.enable(max(self._keys.interval_ms.value, SHORTEST_INTERVAL) / 1000)

    def stop(self) -> None:
        """Look no more."""
        self._timer.disable()

    # PrioritySetObserver

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """A monitor for each that came; what is known of those that left is forgotten."""
        for host in removed:
            if self._monitors.pop(host, None) is not None:
                host.outlier_detector = None
                if host.health_flag_get(FAILED_OUTLIER_CHECK):
                    host.health_flag_clear(FAILED_OUTLIER_CHECK)
                    self._stats.ejections_active.dec()
        split = self._settings.split_external_local_origin_errors
        for host in added:
            if host not in self._monitors:
                monitor = self._monitors[host] = DetectorHostMonitor(host, self._keys, split, self)
                host.outlier_detector = monitor

    def on_health_changed(self, priority: int) -> None:
        """Whoever changed it, it changes nothing here."""

    # Failures in a row

    def on_consecutive_error(self, monitor: DetectorHostMonitor, why: EjectionType) -> None:
        """A host has reached a limit; the count begins anew, whether it is ejected or not."""
        host = monitor.host
        if host not in self._monitors or host.health_flag_get(FAILED_OUTLIER_CHECK):
            return
        _detected(self._stats, why).inc()
        self._eject(monitor, why)
        if why is EjectionType.CONSECUTIVE_5XX:
            self._stats.ejections_consecutive_5xx.inc()
            monitor.consecutive_5xx = 0
        elif why is EjectionType.CONSECUTIVE_GATEWAY_FAILURE:
            monitor.consecutive_gateway_failure = 0
        else:
            monitor.consecutive_local_origin_failure = 0

    # Ejecting

    def _eject(self, monitor: DetectorHostMonitor, why: EjectionType) -> None:
        if not self._may_eject():
            self._stats.ejections_overflow.inc()
            return
        if why is EjectionType.CONSECUTIVE_5XX or why is EjectionType.SUCCESS_RATE:
            self._stats.ejections_total.inc()
        # Who is an outlier for two reasons in one interval is ejected once; Envoy counts it twice, and one for ever.
        enforced = self._keys.enforcing[why].holds(self._random) and not _is_ejected(monitor)
        if enforced:
            self._enforce(monitor, why)
        self._log_eject(monitor, why, enforced)

    def _may_eject(self) -> bool:
        """Whether one more is within `max_ejection_percent`; priorities are not told apart."""
        active = self._stats.ejections_active.value
        if active == 0 and self._settings.always_eject_one_host:
            return True
        return 100.0 * (active + 1) / len(self._monitors) <= min(100, self._keys.max_ejection_percent.value)

    def _enforce(self, monitor: DetectorHostMonitor, why: EjectionType) -> None:
        stats, keys, host = self._stats, self._keys, monitor.host
        stats.ejections_active.inc()
        stats.ejections_enforced_total.inc()
        _enforced(stats, why).inc()
        host.health_flag_set(FAILED_OUTLIER_CHECK)
        monitor.num_ejections += 1
        monitor.last_ejection = self._dispatcher.now()
        monitor.jitter = int(self._random() * (keys.max_ejection_time_jitter_ms.value + 1))
        base = keys.base_ejection_time_ms.value
        if monitor.eject_time_backoff * base < keys.max_ejection_time_ms.value + base:
            monitor.eject_time_backoff += 1
        self._hosts.update_health((host,))
        self._on_ejected(host)

    def _log_eject(self, monitor: DetectorHostMonitor, why: EjectionType, enforced: bool) -> None:
        if self._event_log is not None:
            rates = self.local if why is EjectionType.SUCCESS_RATE_LOCAL_ORIGIN else self.external
            average, limit = rates.average, rates.ejection_threshold
            self._event_log.log_eject(self._cluster, monitor, why, enforced, average, limit)

    # Coming back

    def _has_rested(self, monitor: DetectorHostMonitor, now: float) -> bool:
        keys = self._keys
        grown = keys.base_ejection_time_ms.value * monitor.eject_time_backoff
        milliseconds = min(grown, keys.max_ejection_time_ms.value) + monitor.jitter
        # Whole milliseconds, as in Envoy; a clock's last digits must not cost an interval.
        return monitor.last_ejection is not None and now - monitor.last_ejection >= milliseconds / 1000 - 1e-6

    def _uneject(self, monitor: DetectorHostMonitor) -> None:
        self._stats.ejections_active.dec()
        monitor.host.health_flag_clear(FAILED_OUTLIER_CHECK)
        # Another kind of failure may have been one short of its limit.
        monitor.reset_consecutive()
        monitor.last_unejection = self._dispatcher.now()
        self._hosts.update_health((monitor.host,))
        if self._event_log is not None:
            self._event_log.log_uneject(self._cluster, monitor)

    def on_successful_health_check(self, host: Host) -> None:
        """An active health check has succeeded, and the host counts as healthy for those checks: it comes back, unless
        `successful_active_health_check_uneject_host` is false."""
        monitor = self._monitors.get(host)
        if monitor is None or not self._settings.successful_active_health_check_uneject_host:
            return
        if host.health_flag_get(FAILED_OUTLIER_CHECK):
            self._uneject(monitor)

    # Once an interval

    def _on_interval(self) -> None:
        now = self._dispatcher.now()
        for monitor in tuple(self._monitors.values()):
            if _is_ejected(monitor) and self._has_rested(monitor, now):
                self._uneject(monitor)
            monitor.external.end_interval()
            monitor.local.end_interval()
        self._judge(False)
        self._judge(True)
        interval = max(self._keys.interval_ms.value, SHORTEST_INTERVAL) / 1000
        for monitor in self._monitors.values():
            if monitor.eject_time_backoff and not _is_ejected(monitor):
                back = monitor.last_unejection
                if back is not None and now - back >= interval - 1e-6:
                    monitor.eject_time_backoff -= 1
        self._timer.enable(interval)

    def _judge(self, local: bool) -> None:
        """Eject whose success rate is far below the others', or who fails too large a share.

        Args:
            local: of connections and timeouts, instead of answers.
        """
        keys = self._keys
        rates = self.local if local else self.external
        rates.forget()
        count = len(self._monitors)
        if count < keys.success_rate_minimum_hosts.value and count < keys.failure_percentage_minimum_hosts.value:
            return
        of_rate, of_percentage = self._with_volume(local)
        if of_rate and len(of_rate) >= keys.success_rate_minimum_hosts.value:
            self._judge_success_rates(of_rate, local)
        if of_percentage and len(of_percentage) >= keys.failure_percentage_minimum_hosts.value:
            self._judge_failure_percentages(of_percentage, local)

    def _with_volume(self, local: bool) -> tuple[list[DetectorHostMonitor], list[DetectorHostMonitor]]:
        """The hosts that are not ejected and had requests enough, for success rates and for failure percentages."""
        for_rate = self._keys.success_rate_request_volume.value
        for_percentage = self._keys.failure_percentage_request_volume.value
        of_rate: list[DetectorHostMonitor] = []
        of_percentage: list[DetectorHostMonitor] = []
        for monitor in self._monitors.values():
            rate = _rate(monitor, local)
            volume = rate.last_total
            if not volume or _is_ejected(monitor):
                continue
            if volume >= min(for_rate, for_percentage):
                rate.value = rate.of_last_interval()
            if volume >= for_rate:
                of_rate.append(monitor)
            if volume >= for_percentage:
                of_percentage.append(monitor)
        return of_rate, of_percentage

    def _judge_success_rates(self, monitors: list[DetectorHostMonitor], local: bool) -> None:
        rates = self.local if local else self.external
        factor = self._keys.success_rate_stdev_factor.value / 1000.0
        rates.measure([_rate(monitor, local).value for monitor in monitors], factor)
        why = EjectionType.SUCCESS_RATE_LOCAL_ORIGIN if local else EjectionType.SUCCESS_RATE
        for monitor in monitors:
            if _rate(monitor, local).value < rates.ejection_threshold:
                self._stats.ejections_success_rate.inc()
                _detected(self._stats, why).inc()
                self._eject(monitor, why)

    def _judge_failure_percentages(self, monitors: list[DetectorHostMonitor], local: bool) -> None:
        threshold = self._keys.failure_percentage_threshold.value
        why = EjectionType.FAILURE_PERCENTAGE_LOCAL_ORIGIN if local else EjectionType.FAILURE_PERCENTAGE
        for monitor in monitors:
            if 100.0 - _rate(monitor, local).value >= threshold:
                _detected(self._stats, why).inc()
                self._eject(monitor, why)


def _is_ejected(monitor: DetectorHostMonitor) -> bool:
    return monitor.host.health_flag_get(FAILED_OUTLIER_CHECK)


def _rate(monitor: DetectorHostMonitor, local: bool) -> SuccessRate:
    return monitor.local if local else monitor.external


def _detected(stats: OutlierDetectionStats, why: EjectionType) -> Counter:
    counters: dict[EjectionType, Counter] = {
        EjectionType.CONSECUTIVE_5XX: stats.ejections_detected_consecutive_5xx,
        EjectionType.CONSECUTIVE_GATEWAY_FAILURE: stats.ejections_detected_consecutive_gateway_failure,
        EjectionType.SUCCESS_RATE: stats.ejections_detected_success_rate,
        EjectionType.CONSECUTIVE_LOCAL_ORIGIN_FAILURE: stats.ejections_detected_consecutive_local_origin_failure,
        EjectionType.SUCCESS_RATE_LOCAL_ORIGIN: stats.ejections_detected_local_origin_success_rate,
        EjectionType.FAILURE_PERCENTAGE: stats.ejections_detected_failure_percentage,
        EjectionType.FAILURE_PERCENTAGE_LOCAL_ORIGIN: stats.ejections_detected_local_origin_failure_percentage,
    }
    return counters[why]


def _enforced(stats: OutlierDetectionStats, why: EjectionType) -> Counter:
    counters: dict[EjectionType, Counter] = {
        EjectionType.CONSECUTIVE_5XX: stats.ejections_enforced_consecutive_5xx,
        EjectionType.CONSECUTIVE_GATEWAY_FAILURE: stats.ejections_enforced_consecutive_gateway_failure,
        EjectionType.SUCCESS_RATE: stats.ejections_enforced_success_rate,
        EjectionType.CONSECUTIVE_LOCAL_ORIGIN_FAILURE: stats.ejections_enforced_consecutive_local_origin_failure,
        EjectionType.SUCCESS_RATE_LOCAL_ORIGIN: stats.ejections_enforced_local_origin_success_rate,
        EjectionType.FAILURE_PERCENTAGE: stats.ejections_enforced_failure_percentage,
        EjectionType.FAILURE_PERCENTAGE_LOCAL_ORIGIN: stats.ejections_enforced_local_origin_failure_percentage,
    }
    return counters[why]
