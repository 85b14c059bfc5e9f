"""STRICT_DNS and LOGICAL_DNS clusters: names resolved again and again (Envoy's `StrictDnsClusterImpl` and
`LogicalDnsCluster`).

A resolver that fails changes nothing: the last good set stays. An answer without addresses is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envoymesh.network.api import Address, Dispatcher, DnsQuery, DnsResolver, DnsResponse, DnsStatus
from envoymesh.upstream.discovery.api import OnUpdate, merge_hosts
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from envoymesh.upstream.stats import ClusterStats


class ResolveTarget:
    """One name of a cluster, resolved on its own timer.

    Args:
        on_answer: gets the target and the addresses of each successful answer.
        on_attempt: gets the target after every attempt, answered or not.
    """

    def __init__(
        self,
        endpoint: EndpointSettings,
        settings: ClusterSettings,
        stats: ClusterStats,
        resolver: DnsResolver,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        on_answer: Callable[[ResolveTarget, list[DnsResponse]], None],
        on_attempt: Callable[[ResolveTarget], None],
    ) -> None:
        self.endpoint = endpoint
        self.hosts: list[Host] = []
        self._settings = settings
        self._stats = stats
        self._resolver = resolver
        self._random = random
        self._on_answer = on_answer
        self._on_attempt = on_attempt
        self._timer = dispatcher.create_timer(self.resolve)
        self._query: DnsQuery | None = None
        self._failures = 0

    def resolve(self) -> None:
        """Ask once; the timer asks again."""
        self._stats.update_attempt.inc()
        self._query = self._resolver.resolve(self.endpoint.host, self._settings.dns_lookup_family, self._on_response)

    def _on_response(self, status: DnsStatus, responses: list[DnsResponse]) -> None:
        self._query = None
        if status is DnsStatus.COMPLETED:
            self._failures = 0
            self._stats.update_success.inc()
            # One for each host that the answer makes, before known ones are found again (transport socket matching).
            self._stats.total_match_count.add(len(responses))
            self._on_answer(self, responses)
            self._timer.enable(self._refresh_after(responses))
        else:
            self._stats.update_failure.inc()
            self._failures += 1
            self._timer.enable(self._failure_delay())
        self._on_attempt(self)

    def _refresh_after(self, responses: list[DnsResponse]) -> float:
        settings = self._settings
        delay = settings.dns_refresh_rate
        if settings.respect_dns_ttl and responses:
            ttl = min(response.ttl for response in responses)
            delay = ttl if ttl > 0 else delay
        return delay + self._random() * settings.dns_jitter

    def _failure_delay(self) -> float:
        """Envoy's JitteredExponentialBackOff when `dns_failure_refresh_rate` is set, else the refresh rate."""
        if self._settings.dns_failure_refresh_rate is None:
            return self._settings.dns_refresh_rate
        base, longest = self._settings.dns_failure_refresh_rate
        # The exponent stops long before it could overflow; by then any sensible ceiling is reached.
        ceiling: float = min(base * 2 ** min(self._failures - 1, 32), longest)
        return max(0.001, self._random() * ceiling)

    def stop(self) -> None:
        """Ask no more."""
        self._timer.disable()
        if self._query is not None:
            self._query.cancel()


class DnsDiscovery:
    """All names of a cluster.

    A STRICT_DNS cluster has every address of every name; a LOGICAL_DNS cluster has one logical host, whose
    address is the first of the newest answer (connections to an older one stay in use).
    """

    def __init__(
        self,
        settings: ClusterSettings,
        stats: ClusterStats,
        resolver: DnsResolver,
        dispatcher: Dispatcher,
        random: Callable[[], float],
    ) -> None:
        self._stats = stats
        on_answer = self._on_logical if settings.discovery_type == "LOGICAL_DNS" else self._on_strict
        self._targets = [
            ResolveTarget(endpoint, settings, stats, resolver, dispatcher, random, on_answer, self._on_attempt)
            for endpoint in settings.endpoints
        ]
        self._untried = set(self._targets)
        self._on_update: OnUpdate = _ignore
        self._on_initialised: Callable[[], None] = _ignore_end

    def start(self, on_update: OnUpdate, on_initialised: Callable[[], None]) -> None:
        """Resolve every name; initialised when each has been tried."""
        self._on_update = on_update
        self._on_initialised = on_initialised
        if not self._targets:
            on_initialised()
        for target in self._targets:
            target.resolve()

    def _on_attempt(self, target: ResolveTarget) -> None:
        if target in self._untried:
            self._untried.remove(target)
            if not self._untried:
                self._on_initialised()

    def _on_strict(self, target: ResolveTarget, responses: list[DnsResponse]) -> None:
        endpoint = target.endpoint
        # Envoy looks at weights here only, so other discovery types leave the gauge alone.
        self._stats.max_host_weight.set(max(endpoint.weight, self._stats.max_host_weight.value))
        wanted = [(Address(response.host, endpoint.port), endpoint) for response in responses]
        hosts = merge_hosts(target.hosts, wanted)
        if set(hosts) == set(target.hosts):
            self._stats.update_no_rebuild.inc()
            return
        target.hosts = hosts
        self._tell()

    def _on_logical(self, target: ResolveTarget, responses: list[DnsResponse]) -> None:
        if not responses:
            return
        address = Address(responses[0].host, target.endpoint.port)
        if target.hosts:
            if target.hosts[0].address == address:
                self._stats.update_no_rebuild.inc()
            target.hosts[0].address = address
            return
        target.hosts = [Host(address, target.endpoint)]
        self._tell()

    def _tell(self) -> None:
        unique: dict[Address, Host] = {}
        for target in self._targets:
            for host in target.hosts:
                unique.setdefault(host.address, host)
        self._on_update(list(unique.values()))

    def stop(self) -> None:
        """Ask no more."""
        for target in self._targets:
            target.stop()


def _ignore(hosts: Sequence[Host]) -> None:
    """Before the start nobody listens."""


def _ignore_end() -> None:
    """Before the start nobody waits."""
