"""A cluster's active health checks: a session for each host, which checks it again and again (Envoy's
`HealthCheckerImplBase`).

A session asks on a connection of its own, which no request ever uses and which no stat of connections counts. What it
finds it writes into the host's flags; the checker then has the `PrioritySet` sort its hosts, at once where it is one
host, together where there are more in one turn of the loop. This module must not know protocols.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from typing import Final

from envoymesh.network.api import Dispatcher, ExceptionHandler, Timer
from envoymesh.runtime import NO_LIMIT, RuntimeReader
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.health.api import ClusterHealth
from envoymesh.upstream.health.event_log import HealthEventLog
from envoymesh.upstream.health.settings import HealthCheckSettings
from envoymesh.upstream.host import (
    ACTIVE_HC_TIMEOUT,
    DEGRADED_ACTIVE_HC,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    PENDING_ACTIVE_HC,
    HealthCheckHostMonitor,
    Host,
)
from envoymesh.upstream.host_set import PrioritySet, PrioritySetObserver
from envoymesh.upstream.stats import HealthCheckStats

_MS: Final = 1000


class HealthTransition(enum.Enum):
    """What a check changed (Envoy's `HealthTransition`)."""

    UNCHANGED = 0
    CHANGED = 1
    CHANGE_PENDING = 2  # it would have, but for a threshold


class FailureType(enum.Enum):
    """Why a check failed (envoy.data.core.v3.HealthCheckFailureType); the value is what the event log says."""

    ACTIVE = "ACTIVE"  # the host's answer
    PASSIVE = "PASSIVE"  # a response's x-envoy-immediate-health-check-fail
    NETWORK = "NETWORK"
    NETWORK_TIMEOUT = "NETWORK_TIMEOUT"


_OF_NETWORK: Final = (FailureType.NETWORK, FailureType.NETWORK_TIMEOUT)

HostStatusCallback = Callable[[Host, HealthTransition, bool], None]
"""Hears of each check that is over: the host, what changed, and whether the check passed."""


class CheckSession(ExceptionHandler):
    """The checks of one host, one after the other.

    What a check raises is reported, and is a failed check; the next one comes at its time.
    """

    __slots__ = (
        "_first_check",
        "_healthy_count",
        "_interval_timer",
        "_timeout_timer",
        "_unhealthy_count",
        "checker",
        "host",
        "removed",
    )

    def __init__(self, checker: HealthChecker, host: Host) -> None:
        self.checker = checker
        self.host = host
        self.removed = False
        self._first_check = True
        self._healthy_count = 0
        self._unhealthy_count = 0
        self._interval_timer: Timer = checker.dispatcher.create_timer(self._on_interval_timer, self)
        self._timeout_timer: Timer = checker.dispatcher.create_timer(self._on_timeout_timer, self)
        if not host.health_flag_get(FAILED_ACTIVE_HC):
            checker.stats.healthy.inc()
        if host.health_flag_get(DEGRADED_ACTIVE_HC):
            checker.stats.degraded.inc()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host!r}>"

    # What a protocol does

    def on_interval(self) -> None:
        """Begin a check, which ends with `handle_success` or `handle_failure`, unless time is up."""
        raise NotImplementedError

    def on_timeout(self) -> None:
        """The check's time is up; it counts as failed right after this."""
        raise NotImplementedError

    def on_abandon(self) -> None:
        """Let go of the connection; nothing calls back from now on, but for the next `on_interval`."""
        raise NotImplementedError

    # Its life

    def start(self) -> None:
        """Check for the first time: in the next turns of the loop, which share out a thousand hosts' first checks, or
        within the initial jitter."""
        self._interval_timer.enable(self.checker.initial_delay())

    def remove(self) -> None:
        """The host is no member any more, or the checker has stopped."""
        self.removed = True
        self._interval_timer.disable()
        self._timeout_timer.disable()
        healthy = not self.host.health_flag_get(FAILED_ACTIVE_HC)
        if healthy:
            self.checker.stats.healthy.dec()
        if self.host.health_flag_get(DEGRADED_ACTIVE_HC):
            self.checker.stats.degraded.dec()
        self.on_abandon()
        if self._first_check:
            # Somebody may wait for it.
            self.checker.on_checked(self.host, HealthTransition.UNCHANGED, healthy)

    def _on_interval_timer(self) -> None:
        self.checker.stats.attempt.inc()
        self._timeout_timer.enable(self.checker.settings.timeout)
        self.on_interval()

    def _on_timeout_timer(self) -> None:
        self.on_timeout()
        self.handle_failure(FailureType.NETWORK_TIMEOUT)

    def on_exception(self, where: str, error: Exception) -> None:
        """A check raised: it has failed, and its connection is not to be trusted."""
        self.checker.dispatcher.report(f"{where} of {self!r}", error)
        if not self.removed:
            self.on_abandon()
            self.handle_failure(FailureType.NETWORK)

    # How a check ends

    def handle_success(self, degraded: bool) -> None:
        """The host is well, or as well as it says."""
        checker, host = self.checker, self.host
        self._unhealthy_count = 0
        transition = HealthTransition.UNCHANGED
        if host.health_flag_get(FAILED_ACTIVE_HC):
            transition = self._recover()
            host.last_hc_pass_time = checker.dispatcher.now()
        log = checker.event_log
        if (
            log is not None
            and transition is not HealthTransition.CHANGED
            and checker.settings.always_log_health_check_success
        ):
            log.success(host)
        transition = self._clear_pending(transition)
        if degraded != host.health_flag_get(DEGRADED_ACTIVE_HC):
            self._set_degraded(degraded)
            if transition is HealthTransition.UNCHANGED:
                transition = HealthTransition.CHANGED
        checker.stats.success.inc()
        self._first_check = False
        self._next(True, transition)
        checker.on_checked(host, transition, True)

    def _recover(self) -> HealthTransition:
        """One more check that a failed host has passed; the very first one is enough."""
        checker, host = self.checker, self.host
        self._healthy_count += 1
        if not self._first_check and self._healthy_count != checker.settings.healthy_threshold:
            return HealthTransition.CHANGE_PENDING
        host.health_flag_clear(ACTIVE_HC_TIMEOUT | EXCLUDED_VIA_IMMEDIATE_HC_FAIL | FAILED_ACTIVE_HC)
        checker.stats.healthy.inc()
        if checker.event_log is not None:
            checker.event_log.add_healthy(host, self._first_check)
        return HealthTransition.CHANGED

    def _set_degraded(self, degraded: bool) -> None:
        checker, host = self.checker, self.host
        if degraded:
            host.health_flag_set(DEGRADED_ACTIVE_HC)
            checker.stats.degraded.inc()
        else:
            # As in Envoy the gauge stays where it is.
            host.health_flag_clear(DEGRADED_ACTIVE_HC)
        if checker.event_log is not None:
            checker.event_log.degraded(host, degraded)

    def _clear_pending(self, transition: HealthTransition) -> HealthTransition:
        """The host has been checked; that alone changes what it counts for, where it had waited for that."""
        if not self.host.health_flag_get(PENDING_ACTIVE_HC):
            return transition
        self.host.health_flag_clear(PENDING_ACTIVE_HC)
        return HealthTransition.CHANGED

    def handle_failure(self, kind: FailureType, retriable: bool = False, status: int = 0) -> None:
        """The check failed. `retriable`: an answer that counts as a failure of the network does, up to the threshold;
        `status` is the answer's, for the event log."""
        transition = self._count_failure(kind, retriable, status)
        self._next(False, transition)
        self.checker.on_checked(self.host, transition, False)

    def set_unhealthy(self) -> None:
        """A response has said that the host is to be failed; the next check comes when it would have come anyway."""
        transition = self._count_failure(FailureType.PASSIVE, False, 0)
        self.checker.on_checked(self.host, transition, False)

    def _count_failure(self, kind: FailureType, retriable: bool, status: int) -> HealthTransition:
        checker, host = self.checker, self.host
        self._healthy_count = 0
        transition = HealthTransition.UNCHANGED
        if not host.health_flag_get(FAILED_ACTIVE_HC):
            transition = self._fail(kind, retriable, status)
        if kind is FailureType.NETWORK_TIMEOUT and host.health_flag_get(FAILED_ACTIVE_HC):
            host.health_flag_set(ACTIVE_HC_TIMEOUT)
        else:
            host.health_flag_clear(ACTIVE_HC_TIMEOUT)
        transition = self._clear_pending(transition)
        log = checker.event_log
        if log is not None and (self._first_check or checker.settings.always_log_health_check_failures):
            log.failure(host, kind.value, self._first_check, status)
        checker.stats.failure.inc()
        if kind in _OF_NETWORK:
            checker.stats.network_failure.inc()
        elif kind is FailureType.PASSIVE:
            checker.stats.passive_failure.inc()
        self._first_check = False
        return transition

    def _fail(self, kind: FailureType, retriable: bool, status: int) -> HealthTransition:
        """One more failure of a host that is well: it is out at once where it said so itself, else at the threshold."""
        checker, host = self.checker, self.host
        if kind in _OF_NETWORK or retriable:
            self._unhealthy_count += 1
            if self._unhealthy_count != checker.settings.unhealthy_threshold:
                return HealthTransition.CHANGE_PENDING
        host.health_flag_set(FAILED_ACTIVE_HC)
        checker.stats.healthy.dec()
        if checker.event_log is not None:
            checker.event_log.eject_unhealthy(host, kind.value, status)
        return HealthTransition.CHANGED

    def _next(self, healthy: bool, transition: HealthTransition) -> None:
        """Comes before others hear of the check: whatever they do, there is a next one."""
        self._timeout_timer.disable()
        if not self.removed:
            self._interval_timer.enable(self.checker.interval(healthy, transition))


SessionFactory = Callable[["HealthChecker", Host], CheckSession]


class HealthChecker(PrioritySetObserver, ClusterHealth, HealthCheckHostMonitor):
    """Checks the hosts of one cluster, from the moment that they are its members.

    Args:
        random: uniform in [0, 1).
        make_session: gives the session of a host, by the protocol of the check.
        on_host_failure: hears of each host that was healthy and is found unhealthy, after the sets are right.
        on_host_success: hears of each check that has passed, after the sets are right.

    Attributes:
        has_traffic: the cluster has been used, also where this process cannot see that itself; until then checks are as
            rare as `no_traffic_interval` says.
        callbacks: hear of each check that is over, after the sets are right.
    """

    __slots__ = (
        "_changed",
        "_hosts",
        "_initialised",
        "_max_interval",
        "_min_interval",
        "_on_host_failure",
        "_on_host_success",
        "_posted",
        "_sessions",
        "_waiting",
        "callbacks",
        "dispatcher",
        "event_log",
        "has_traffic",
        "info",
        "make_session",
        "random",
        "settings",
        "stats",
        "verify_cluster",
    )

    def __init__(
        self,
        settings: HealthCheckSettings,
        info: ClusterInfo,
        hosts: PrioritySet,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        runtime: RuntimeReader,
        make_session: SessionFactory,
        event_log: HealthEventLog | None,
        on_host_failure: Callable[[Host], None],
        on_host_success: Callable[[Host], None],
    ) -> None:
        self.settings = settings
        self.dispatcher = dispatcher
        self.make_session = make_session
        self.event_log = event_log
        self.stats = HealthCheckStats.create(info.scope.scope("health_check."))
        self.has_traffic = False
        self.callbacks: list[HostStatusCallback] = []
        self.verify_cluster = runtime.share("health_check.verify_cluster", 1.0)
        self._min_interval = runtime.number("health_check.min_interval", 0)
        self._max_interval = runtime.number("health_check.max_interval", NO_LIMIT)
        self.info = info
        self._hosts = hosts
        self.random = random
        self._on_host_failure = on_host_failure
        self._on_host_success = on_host_success
        self._sessions: dict[Host, CheckSession] = {}
        self._changed: dict[Host, None] = {}
        self._posted = False
        self._waiting = 0
        self._initialised: Callable[[], None] | None = None
        hosts.add_observer(self)

    def __repr__(self) -> str:
        return f"<HealthChecker {self.info.name} hosts={len(self._sessions)}>"

    # Hosts come and go

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Check those that came, and no more those that left."""
        for host in added:
            settings = host.endpoint.health_check
            if settings is None or not settings.disabled:
                session = self._sessions[host] = self.make_session(self, host)
                host.health_checker = self
                session.start()
        for host in removed:
            left = self._sessions.pop(host, None)
            if left is not None:
                left.remove()

    def on_health_changed(self, priority: int) -> None:
        """Nothing to do: it is from here."""

    def on_discovered(self, done: Callable[[], None]) -> None:
        """`done` comes with as many checks as there are hosts now, whose health is then sorted out all at once. As in
        Envoy it is checks that are counted, not hosts."""
        self._initialised = done
        self._waiting = len(self._sessions)
        if not self._waiting:
            self._finish()

    def _finish(self) -> None:
        done, self._initialised = self._initialised, None
        self._changed.clear()
        self._hosts.update_health(self._hosts.hosts())
        if done is not None:
            done()

    def stop(self) -> None:
        """Check no more."""
        self._hosts.remove_observer(self)
        self._initialised = None
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.remove()

    # Checks end

    def on_checked(self, host: Host, transition: HealthTransition, healthy: bool) -> None:
        """A session's check is over, and the host's flags are right."""
        changed = transition is HealthTransition.CHANGED
        if changed and self._initialised is None:
            self._show(host)
        if changed and host.health_flag_get(FAILED_ACTIVE_HC):
            self._on_host_failure(host)
        if healthy:
            self._on_host_success(host)
        for callback in self.callbacks:
            callback(host, transition, healthy)
        if self._initialised is not None:
            self._waiting -= 1
            if not self._waiting:
                self._finish()

    def _show(self, host: Host) -> None:
        """Have the hosts sorted: now, or with others that follow in the same turn of the loop at its end."""
        if self._posted:
            self._changed[host] = None
            return
        self._posted = True
        self.dispatcher.post(self._show_rest)
        self._hosts.update_health((host,))

    def _show_rest(self) -> None:
        self._posted = False
        changed, self._changed = self._changed, {}
        if changed:
            self._hosts.update_health(changed)

    # HealthCheckHostMonitor

    def set_unhealthy(self, host: Host) -> None:
        """A response said that its host wants no more requests. As in Envoy it counts a moment later."""
        host.health_flag_set(EXCLUDED_VIA_IMMEDIATE_HC_FAIL)
        self.dispatcher.post(lambda: self._set_unhealthy_now(host))

    def _set_unhealthy_now(self, host: Host) -> None:
        session = self._sessions.get(host)
        if session is not None:
            session.set_unhealthy()

    # When the next check comes

    def initial_delay(self) -> float:
        """Seconds to a host's first check."""
        jitter = self.settings.initial_jitter
        return self._with_jitter(0, int(jitter * _MS)) if jitter else 0.0

    def interval(self, healthy: bool, transition: HealthTransition) -> float:
        """Seconds to a host's next check, after one that it passed or not."""
        settings = self.settings
        pending = transition is HealthTransition.CHANGE_PENDING
        if not self._was_used():
            base = settings.no_traffic_healthy_interval if healthy and not pending else settings.no_traffic_interval
        elif healthy:
            base = settings.healthy_edge_interval if pending else settings.interval
        else:
            base = settings.unhealthy_edge_interval if pending else settings.unhealthy_interval
        return self._with_jitter(int(base * _MS + 0.5), int(settings.interval_jitter * _MS + 0.5))

    def _was_used(self) -> bool:
        stats = self.info.stats
        if not self.has_traffic:
            self.has_traffic = (
                stats.upstream_cx_total.used
                or stats.upstream_cx_tx_bytes_total.used
                or stats.upstream_cx_rx_bytes_total.used
            )
        return self.has_traffic

    def _with_jitter(self, milliseconds: int, jitter: int) -> float:
        of_percent = self.settings.interval_jitter_percent * milliseconds // 100
        if of_percent > 0:
            milliseconds += int(self.random() * of_percent)
        if jitter > 0:
            milliseconds += int(self.random() * jitter)
        milliseconds = min(milliseconds, self._max_interval.value)
        return max(1, milliseconds, self._min_interval.value) / _MS

    def hosts(self) -> Collection[Host]:
        """Those that are checked now."""
        return self._sessions
