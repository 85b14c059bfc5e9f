"""What ROUND_ROBIN and LEAST_REQUEST share: a schedule where weights differ, and slow start (Envoy's
`EdfLoadBalancerBase`).

A schedule is made when its hosts are first picked of, so that sources nobody asks cost nothing. This module must not
know how hosts of equal weights are picked.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from envoymesh.upstream.host import DEGRADED_FLAGS, UNHEALTHY_FLAGS, Host
from envoymesh.upstream.host_set import HostSet
from envoymesh.upstream.lb.api import LbParams
from envoymesh.upstream.lb.edf import EdfScheduler
from envoymesh.upstream.lb.settings import LocalitySettings, SlowStartSettings
from envoymesh.upstream.lb.zone_aware import HostsSource, ZoneAwareLoadBalancer

_MILLISECONDS: Final = 1000.0


class SlowStart:
    """Hosts that became healthy a short while ago take less at first.

    Args:
        now: monotonic seconds.
    """

    __slots__ = ("_latest_added", "_now", "_settings", "_window")

    def __init__(self, settings: SlowStartSettings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._window = int(settings.window * _MILLISECONDS)
        self._now = now
        self._latest_added = now()

    def note(self, hosts: Sequence[Host]) -> None:
        """Begin the window of the healthy hosts among these that have none yet (`recalculateHostsInSlowStart`)."""
        now = self._now()
        for host in hosts:
            if host.health_flags & (UNHEALTHY_FLAGS | DEGRADED_FLAGS):
                continue
            since = host.last_hc_pass_time
            if since is None:
                since = host.last_hc_pass_time = now
            if since > self._latest_added and int((now - since) * _MILLISECONDS) <= self._window:
                self._latest_added = since

    def nobody_is_in(self) -> bool:
        """Whether every host's window is over."""
        return int((self._now() - self._latest_added) * _MILLISECONDS) > self._window

    def weight(self, weight: float, host: Host) -> float:
        """A host's weight, less what it must not take yet (`applySlowStartFactor`)."""
        since = host.last_hc_pass_time
        if since is None or host.health_flags & (UNHEALTHY_FLAGS | DEGRADED_FLAGS):
            return weight
        passed = int((self._now() - since) * _MILLISECONDS)
        if passed >= self._window:
            return weight
        factor = max(1, passed) / self._window
        aggression = self._settings.aggression.value if self._settings.aggression is not None else 1.0
        if aggression <= 0.0 or math.isnan(aggression):
            aggression = 1.0
        if aggression != 1.0 and factor != 1.0:
            factor = math.pow(factor, 1.0 / aggression)
        return weight * max(factor, self._settings.min_weight_percent)


class EdfLoadBalancer(ZoneAwareLoadBalancer):
    """Picks by a schedule where weights differ, or while a host is in slow start; else as the policy does.

    Attributes:
        slow_start: None where none is configured.
    """

    __slots__ = ("slow_start",)

    def __init__(self, params: LbParams, locality: LocalitySettings, slow_start: SlowStartSettings) -> None:
        super().__init__(params, locality)
        self.slow_start: SlowStart | None = SlowStart(slow_start, params.now) if slow_start.window > 0.0 else None

    def on_refreshed(self, host_set: HostSet) -> None:
        """Begin the windows of hosts that are new."""
        if self.slow_start is not None:
            self.slow_start.note(host_set.hosts)

    def pick(self, source: HostsSource, hash_value: int) -> Host | None:
        """The host that is due, which is put back at once; where weights are equal the policy's own pick."""
        if source.stale:
            self._prepare(source)
        schedule = source.schedule
        if schedule is None:
            return self.pick_unweighted(source) if source.hosts else None
        if source.prepicked:
            return source.prepicked.pop(0)
        host = schedule.due()
        schedule.put_back(self.host_weight(host), host)
        return host

    def peek(self, source: HostsSource, hash_value: int) -> Host | None:
        """The host that is due after those that were peeked at; it is put back, and kept for the pick to come."""
        if source.stale:
            self._prepare(source)
        schedule = source.schedule
        if schedule is None:
            return self.peek_unweighted(source) if source.hosts else None
        host = schedule.due()
        schedule.put_back(self.host_weight(host), host)
        source.prepicked.append(host)
        return host

    def _prepare(self, source: HostsSource) -> None:
        source.stale = False
        hosts = source.hosts
        if len(hosts) < 2:
            return
        if (self.slow_start is None or self.slow_start.nobody_is_in()) and _equal_weights(hosts):
            return
        schedule: EdfScheduler[Host] = EdfScheduler()
        schedule.start(hosts, [self.host_weight(host) for host in hosts], self.seed)
        source.schedule = schedule

    @abstractmethod
    def host_weight(self, host: Host) -> float:
        """A host's weight in the schedule, now."""

    @abstractmethod
    def pick_unweighted(self, source: HostsSource) -> Host:
        """Pick of at least one host, all of the same weight."""

    @abstractmethod
    def peek_unweighted(self, source: HostsSource) -> Host | None:
        """What `pick_unweighted` will give after those that were peeked at, or None where it cannot be known."""


def _equal_weights(hosts: Sequence[Host]) -> bool:
    weight = hosts[0].weight
    return all(host.weight == weight for host in hosts)
