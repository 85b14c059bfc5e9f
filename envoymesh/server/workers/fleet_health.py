"""The parent's health checks, told to its workers: each cluster is checked once, and every worker picks by the result.

It must not know how workers are told, nor check anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from envoymesh.network.api import Dispatcher
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.health.checker import HealthChecker, HealthTransition
from envoymesh.upstream.health.told import SPARE, HostHealth, HostKey, health_of, key_of
from envoymesh.upstream.host import ACTIVE_HC_FLAGS, Host

Told = Mapping[HostKey, HostHealth]


class FleetHealth:
    """Watches the checkers of a parent's clusters.

    Args:
        tell: gives all workers what has changed of a cluster's hosts; called once a turn of the loop at most for each.
    """

    def __init__(
        self, clusters: Mapping[str, Cluster], dispatcher: Dispatcher, tell: Callable[[str, Told], None]
    ) -> None:
        self._dispatcher = dispatcher
        self._tell = tell
        self._checkers: dict[str, HealthChecker] = {}
        self._last: dict[str, dict[HostKey, int]] = {}
        self._changed: dict[str, dict[HostKey, HostHealth]] = {}
        for name, cluster in clusters.items():
            if isinstance(cluster.health, HealthChecker):
                self._checkers[name] = cluster.health
                self._last[name] = {}
                cluster.health.callbacks.append(partial(self._on_checked, name))

    def _on_checked(self, cluster: str, host: Host, _transition: HealthTransition, healthy: bool) -> None:
        checker, last = self._checkers[cluster], self._last[cluster]
        key, flags = key_of(host, checker.info), host.health_flags & ACTIVE_HC_FLAGS
        if last.get(key) == flags and not (healthy and checker.info.settings.checks_uneject):
            return
        if len(last) > 2 * len(checker.hosts()) + SPARE:
            last.clear()  # most are of hosts that are no more; what is told twice does no harm
        last[key] = flags
        if not self._changed:
            self._dispatcher.post(self._flush)
        self._changed.setdefault(cluster, {})[key] = health_of(host, self._dispatcher.now())

    def _flush(self) -> None:
        changed, self._changed = self._changed, {}
        for cluster, told in changed.items():
            self._tell(cluster, told)

    def everything(self) -> Iterator[tuple[str, Told]]:
        """What a worker that starts now needs to know, by cluster."""
        now = self._dispatcher.now()
        for name, checker in self._checkers.items():
            yield name, {key_of(host, checker.info): health_of(host, now) for host in checker.hosts()}

    def on_failed(self, cluster: str, key: HostKey) -> None:
        """A worker saw a response that takes its host out."""
        self.on_used(cluster)
        checker = self._checkers[cluster]
        for host in tuple(checker.hosts()):
            if key_of(host, checker.info) == key:
                checker.set_unhealthy(host)

    def on_used(self, cluster: str) -> None:
        """A worker has sent the cluster its first request: checks come at their usual interval from now on."""
        self._checkers[cluster].has_traffic = True
