"""STRICT_DNS and LOGICAL_DNS clusters: names resolved again and again (Envoy's `StrictDnsClusterImpl` and
`LogicalDnsCluster`).

A resolver that fails changes nothing: the last good set stays. An answer without addresses is an answer to STRICT_DNS,
and a failure to LOGICAL_DNS.
"""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.network.api import Address, Dispatcher, DnsQuery, DnsResolver, DnsResponse, DnsStatus
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import make_host, merge_hosts, set_priority
from envoymesh.upstream.host import ACTIVE_HC_FLAGS, Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import EndpointSettings


class ResolveTarget:
    """One name of a cluster, resolved on its own timer.

    Args:
        on_answer: gets the target and the addresses of each successful answer.
        on_attempt: gets the target after every attempt, answered or not.
    """

    def __init__(
        self,
        endpoint: EndpointSettings,
        info: ClusterInfo,
        resolver: DnsResolver,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        on_answer: Callable[[ResolveTarget, list[DnsResponse]], None],
        on_attempt: Callable[[ResolveTarget], None],
    ) -> None:
        self.endpoint = endpoint
        self.hosts: list[Host] = []
        self._settings = info.settings
        self._is_logical = info.settings.discovery_type == "LOGICAL_DNS"
        self._stats = info.stats
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
        if status is DnsStatus.COMPLETED and (responses or not self._is_logical):
            self._failures = 0
            self._stats.update_success.inc()
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
            ttl = responses[0].ttl if self._is_logical else min(response.ttl for response in responses)
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

    A STRICT_DNS cluster has every address of every name; a LOGICAL_DNS cluster has one host, whose addresses are those
    of the newest answer: where these change, another host takes its place, and what the old one has is finished.
    """

    def __init__(
        self,
        info: ClusterInfo,
        resolver: DnsResolver,
        dispatcher: Dispatcher,
        random: Callable[[], float],
    ) -> None:
        self._info = info
        settings = info.settings
        on_answer = self._on_logical if settings.discovery_type == "LOGICAL_DNS" else self._on_strict
        self._targets = [
            ResolveTarget(endpoint, info, resolver, dispatcher, random, on_answer, self._on_attempt)
            for endpoint in settings.endpoints
        ]
        self._hosts = PrioritySet()
        self._on_initialised: Callable[[], None] | None = None
        self._untried = set(self._targets)

    def start(self, hosts: PrioritySet, on_initialised: Callable[[], None]) -> None:
        """Resolve every name; initialised when each has been tried, or at once without `wait_for_warm_on_init`."""
        self._hosts = hosts
        self._on_initialised = on_initialised
        if not self._info.settings.wait_for_warm_on_init:
            self._untried.clear()
        for target in self._targets:
            target.resolve()
        self._initialise_when_tried()

    def _initialise_when_tried(self) -> None:
        if not self._untried and self._on_initialised is not None:
            on_initialised, self._on_initialised = self._on_initialised, None
            on_initialised()

    def _on_attempt(self, target: ResolveTarget) -> None:
        self._untried.discard(target)
        self._initialise_when_tried()

    def _on_strict(self, target: ResolveTarget, responses: list[DnsResponse]) -> None:
        endpoint, stats = target.endpoint, self._info.stats
        # Envoy looks at weights here only, so other discovery types leave the gauge alone.
        stats.max_host_weight.set(max(endpoint.weight, stats.max_host_weight.value))
        addresses = dict.fromkeys(Address(response.host, endpoint.port) for response in responses)
        found = [make_host(self._info, address, endpoint) for address in addresses]
        hosts = merge_hosts(target.hosts, found, self._info.stabilises_hosts)
        if set(hosts) == set(target.hosts):
            stats.update_no_rebuild.inc()
            return
        target.hosts = hosts
        self._tell(endpoint.priority)

    def _on_logical(self, target: ResolveTarget, responses: list[DnsResponse]) -> None:
        endpoint = target.endpoint
        addresses = dict.fromkeys(Address(response.host, endpoint.port) for response in responses)
        host = make_host(self._info, next(iter(addresses)), endpoint)
        host.additional_addresses = tuple(addresses)[1:]
        if target.hosts and _addresses(target.hosts[0]) == _addresses(host):
            self._info.stats.update_no_rebuild.inc()
            return
        if target.hosts:
            # In Envoy it is still the same host.
            host.health_flag_set(target.hosts[0].health_flags & ACTIVE_HC_FLAGS)
        target.hosts = [host]
        self._tell(endpoint.priority)

    def _tell(self, priority: int) -> None:
        # An address that two names have is two hosts, as in Envoy.
        members = [host for target in self._targets if target.endpoint.priority == priority for host in target.hosts]
        set_priority(self._info, self._hosts, priority, members)

    def stop(self) -> None:
        """Ask no more."""
        for target in self._targets:
            target.stop()


def _addresses(host: Host) -> tuple[Address, ...]:
    return (host.address, *host.additional_addresses)
