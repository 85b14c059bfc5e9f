"""The load balancing policies: ROUND_ROBIN, RANDOM, LEAST_REQUEST (envoy.config.cluster.v3.Cluster.LbPolicy)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from mypy_extensions import trait

from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.edf import EdfScheduler
from envoymesh.upstream.settings import ClusterSettings

Random = Callable[[], float]
"""Uniform in [0, 1)."""


@trait
class LoadBalancer:
    """Picks hosts."""

    __slots__ = ()

    @abstractmethod
    def update(self, hosts: Sequence[Host]) -> None:
        """These are the hosts to pick from now."""

    @abstractmethod
    def choose(self) -> Host | None:
        """The next host, or None without hosts."""


class RoundRobin(LoadBalancer):
    """Each host in turn; by weight where weights differ.

    It begins at a random host, so that proxies do not march in step.
    """

    __slots__ = ("_hosts", "_next", "_random", "_schedule")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._hosts: Sequence[Host] = ()
        self._schedule: EdfScheduler[Host] | None = None
        self._next = int(random() * 2**32)

    def update(self, hosts: Sequence[Host]) -> None:
        """These are the hosts to pick from now."""
        self._hosts = hosts
        self._schedule = None
        if len({host.weight for host in hosts}) > 1:
            schedule: EdfScheduler[Host] = EdfScheduler()
            self._schedule = schedule
            for host in hosts:
                schedule.add(host.weight, host)
            for _ in range(int(self._random() * len(hosts))):
                schedule.pick()

    def choose(self) -> Host | None:
        """The next host in turn."""
        if not self._hosts:
            return None
        if self._schedule is not None:
            return self._schedule.pick()
        self._next += 1
        return self._hosts[self._next % len(self._hosts)]


class RandomChoice(LoadBalancer):
    """Any host, by weight."""

    __slots__ = ("_hosts", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._hosts: list[Host] = []

    def update(self, hosts: Sequence[Host]) -> None:
        """These are the hosts to pick from now."""
        self._hosts = [host for host in hosts for _ in range(host.weight)]

    def choose(self) -> Host | None:
        """Any host."""
        return self._hosts[int(self._random() * len(self._hosts))] if self._hosts else None


class LeastRequest(LoadBalancer):
    """The least loaded of `choice_count` random hosts (power of two choices); weights divide the load."""

    __slots__ = ("_choices", "_hosts", "_random")

    def __init__(self, random: Random, choice_count: int) -> None:
        self._random = random
        self._choices = choice_count
        self._hosts: Sequence[Host] = ()

    def update(self, hosts: Sequence[Host]) -> None:
        """These are the hosts to pick from now."""
        self._hosts = hosts

    def choose(self) -> Host | None:
        """The least loaded of a few."""
        hosts = self._hosts
        if not hosts:
            return None
        picked = [hosts[int(self._random() * len(hosts))] for _ in range(self._choices)]
        return min(picked, key=lambda host: (host.stats.rq_active.value + 1) / host.weight)


def make_load_balancer(settings: ClusterSettings, random: Random) -> LoadBalancer:
    """The balancer of a cluster's policy."""
    if settings.lb_policy == "RANDOM":
        return RandomChoice(random)
    if settings.lb_policy == "LEAST_REQUEST":
        return LeastRequest(random, settings.choice_count)
    return RoundRobin(random)
