"""Active health as another process tells it: with several workers the parent checks hosts, and its workers pick.

A host is told of by where it is and what it is called, since each process has its own objects. This module must not
know how processes speak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from envoymesh.network.api import Dispatcher
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.health.api import ClusterHealth
from envoymesh.upstream.host import (
    ACTIVE_HC_FLAGS,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    HealthCheckHostMonitor,
    Host,
)
from envoymesh.upstream.host_set import PrioritySet, PrioritySetObserver

SPARE: Final = 1024
"""Hosts remembered beyond twice those that there are: what has been told may be of hosts that are yet to come."""


class HostKey(NamedTuple):
    """What two processes know a host of a cluster by.

    Args:
        address: empty for a logical DNS host, which has whichever address each process was answered with.
    """

    priority: int
    address: str
    hostname: str


class HostHealth(NamedTuple):
    """What is told of a host.

    Args:
        flags: those of ACTIVE_HC_FLAGS.
        passed: seconds since it became healthy, or -1.0 where that is unknown.
    """

    flags: int
    passed: float


def key_of(host: Host, info: ClusterInfo) -> HostKey:
    """The key of a host of a cluster."""
    is_logical = info.settings.discovery_type == "LOGICAL_DNS"
    return HostKey(host.priority, "" if is_logical else str(host.address), host.hostname)


def health_of(host: Host, now: float) -> HostHealth:
    """What there is to tell of a host; `now` is monotonic seconds."""
    passed = host.last_hc_pass_time
    return HostHealth(host.health_flags & ACTIVE_HC_FLAGS, -1.0 if passed is None else now - passed)


class ToldHealth(PrioritySetObserver, ClusterHealth, HealthCheckHostMonitor):
    """Keeps the flags of one cluster's hosts as they are told, also where a host comes later than the word of it.

    Args:
        on_host_failure: hears of each host that was healthy and is told to be unhealthy.
        on_host_success: hears of each host that is told of and healthy.
        report: takes what a response has said against a host, for whoever checks it.
    """

    __slots__ = (
        "_by_key",
        "_dispatcher",
        "_hosts",
        "_info",
        "_on_host_failure",
        "_on_host_success",
        "_report",
        "_told",
        "_used_told",
    )

    def __init__(
        self,
        info: ClusterInfo,
        hosts: PrioritySet,
        dispatcher: Dispatcher,
        on_host_failure: Callable[[Host], None],
        on_host_success: Callable[[Host], None],
        report: Callable[[str, HostKey], None],
    ) -> None:
        self._info = info
        self._hosts = hosts
        self._dispatcher = dispatcher
        self._on_host_failure = on_host_failure
        self._on_host_success = on_host_success
        self._report = report
        self._told: dict[HostKey, HostHealth] = {}
        self._by_key: dict[HostKey, list[Host]] = {}
        self._used_told = False
        hosts.add_observer(self)

    def __repr__(self) -> str:
        return f"<ToldHealth {self._info.name} hosts={len(self._by_key)}>"

    def take(self, told: Mapping[HostKey, HostHealth]) -> None:
        """Take what is told of hosts, whether they are there yet or not."""
        changed: list[Host] = []
        for key, health in told.items():
            self._told[key] = health
            changed += [host for host in self._by_key.get(key, ()) if self._apply(host, health)]
        self._show(changed)
        for key, health in told.items():
            if not health.flags & FAILED_ACTIVE_HC:
                for host in self._by_key.get(key, ()):
                    self._on_host_success(host)
        self._forget()

    def _apply(self, host: Host, health: HostHealth) -> bool:
        """Whether that changed the host."""
        if host.health_flags & ACTIVE_HC_FLAGS == health.flags:
            return False
        failed = not host.health_flag_get(FAILED_ACTIVE_HC) and health.flags & FAILED_ACTIVE_HC
        host.health_flags = host.health_flags & ~ACTIVE_HC_FLAGS | health.flags
        host.last_hc_pass_time = self._dispatcher.now() - health.passed if health.passed >= 0.0 else None
        if failed:
            self._on_host_failure(host)
        return True

    def _show(self, changed: Sequence[Host]) -> None:
        if changed:
            self._hosts.update_health(changed)

    def _forget(self) -> None:
        if len(self._told) > 2 * len(self._by_key) + SPARE:
            self._told = {key: health for key, health in self._told.items() if key in self._by_key}

    def is_newly_used(self) -> bool:
        """Whether the cluster has been used for the first time; asked again, it says no."""
        if self._used_told or not self._info.stats.upstream_cx_total.used:
            return False
        self._used_told = True
        return True

    # PrioritySetObserver

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Those that came get what was told of them."""
        for host in removed:
            key = key_of(host, self._info)
            left = [each for each in self._by_key.get(key, ()) if each is not host]
            if left:
                self._by_key[key] = left
            else:
                self._by_key.pop(key, None)
        changed: list[Host] = []
        for host in added:
            settings = host.endpoint.health_check
            if settings is None or not settings.disabled:
                key = key_of(host, self._info)
                host.health_checker = self
                self._by_key.setdefault(key, []).append(host)
                if key in self._told and self._apply(host, self._told[key]):
                    changed.append(host)
        self._show(changed)

    def on_health_changed(self, priority: int) -> None:
        """Nothing to do: it is from here."""

    # ClusterHealth

    def on_discovered(self, done: Callable[[], None]) -> None:
        """Whoever checks has waited for the first checks."""
        done()

    def stop(self) -> None:
        """Keep nothing up any more."""
        self._hosts.remove_observer(self)

    # HealthCheckHostMonitor

    def set_unhealthy(self, host: Host) -> None:
        """A response said that its host wants no more requests; whoever checks it decides, and hears it once."""
        if not host.health_flag_get(EXCLUDED_VIA_IMMEDIATE_HC_FAIL):
            host.health_flag_set(EXCLUDED_VIA_IMMEDIATE_HC_FAIL)
            self._report(self._info.name, key_of(host, self._info))
