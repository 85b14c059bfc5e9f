"""Hosts that a request names: `OverrideHost`, a policy that asks headers and dynamic metadata for addresses, and
`select_override_host`, which every cluster asks for what a filter has set on the request (Envoy's
`LoadBalancerContext::overrideHostToSelect`). They must not pick among hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from envoymesh.http.stream_info import FilterState, StreamInfo
from envoymesh.metadata import found
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import DEGRADED_FLAGS, FAILED_ACTIVE_HC, FAILED_OUTLIER_CHECK, Host
from envoymesh.upstream.host_set import PrioritySet, PrioritySetObserver
from envoymesh.upstream.lb.api import LoadBalancer
from envoymesh.upstream.lb.settings import OverrideHostSettings, OverrideHostSource

FILTER_STATE: Final = "envoy.load_balancing_policies.override_host.filter_state"
"""Where a request keeps the addresses that are still to be tried."""


class _Named(FilterState):
    """The addresses that are still to be tried."""

    __slots__ = ("addresses",)

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses


class HostsByAddress(PrioritySetObserver):
    """A cluster's hosts by the text of their addresses; made when it is asked for, once for each change."""

    __slots__ = ("_hosts", "_priority_set")

    def __init__(self, priority_set: PrioritySet) -> None:
        self._priority_set = priority_set
        self._hosts: dict[str, Host] | None = None
        priority_set.add_observer(self)

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Make it anew when it is next asked for."""
        self._hosts = None

    def on_health_changed(self, priority: int) -> None:
        """The addresses are the same."""

    def get(self, address: str) -> Host | None:
        """The host of ``ip:port``, or None."""
        if self._hosts is None:
            self._hosts = {str(host.address): host for host in self._priority_set.hosts()}
        return self._hosts.get(address)

    def stop(self) -> None:
        """Hear of no change any more."""
        self._priority_set.remove_observer(self)


class OverrideHost(LoadBalancer):
    """The hosts that a request names, one for each try; the fallback's pick where it names none that is known."""

    __slots__ = ("_fallback", "_hosts", "_sources")

    def __init__(self, priority_set: PrioritySet, settings: OverrideHostSettings, fallback: LoadBalancer) -> None:
        self._sources: Sequence[OverrideHostSource] = settings.sources
        self._fallback: LoadBalancer = fallback
        self._hosts = HostsByAddress(priority_set)

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The next host that the request names."""
        info = context.request_stream_info() if context is not None else None
        if context is not None and info is not None:
            named = self._named(context, info)
            while named:
                host = self._hosts.get(named.pop(0))
                if host is not None:
                    return host
        return self._fallback.choose_host(context)

    def _named(self, context: LoadBalancerContext, info: StreamInfo) -> list[str]:
        """The addresses that are left to be tried; kept with the request, since a retry goes on with the next."""
        kept = info.filter_state.get(FILTER_STATE) if info.filter_state is not None else None
        if isinstance(kept, _Named):
            return kept.addresses
        named = [name for source in self._sources for name in _addresses(source, context, info)]
        info.set_filter_state(FILTER_STATE, _Named(named))
        return named

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The fallback's."""
        return self._fallback.peek_another_host(context)

    def set_panic_threshold(self, percent: int) -> None:
        """The fallback's."""
        self._fallback.set_panic_threshold(percent)

    def stop(self) -> None:
        """Hear of no change any more."""
        self._hosts.stop()
        self._fallback.stop()


def _addresses(source: OverrideHostSource, context: LoadBalancerContext, info: StreamInfo) -> list[str]:
    """The addresses of one source, which are separated by commas."""
    if source.header:
        headers = context.downstream_headers()
        value = headers.get(source.header) if headers is not None else None
        text = value.decode("latin-1") if value is not None else ""
    else:
        metadata: Mapping[str, Any] | None = info.dynamic_metadata
        given = found({"": metadata}, "", source.metadata) if metadata else None
        text = given if isinstance(given, str) else ""
    return [part.strip() for part in text.split(",") if part.strip()]


def select_override_host(hosts: HostsByAddress, address: str, statuses: frozenset[str]) -> Host | None:
    """The host that a filter has set, if the cluster has it in one of these states (`override_host_status`)."""
    host = hosts.get(address)
    return host if host is not None and health_status(host) in statuses else None


def health_status(host: Host) -> str:
    """A host's state as the name of an envoy.config.core.v3.HealthStatus."""
    if host.health_flags & (FAILED_ACTIVE_HC | FAILED_OUTLIER_CHECK):
        return "UNHEALTHY"
    configured = host.endpoint.health_status
    if configured in ("UNHEALTHY", "DRAINING", "TIMEOUT"):
        return configured
    return "DEGRADED" if host.health_flags & DEGRADED_FLAGS else configured
