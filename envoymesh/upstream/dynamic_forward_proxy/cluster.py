"""The dynamic forward proxy's cluster: its hosts are the names of a DNS cache, and each request names its own.

Envoy's `extensions/clusters/dynamic_forward_proxy`. This module must not resolve names: the filter in front of the
router has asked the cache before a request comes here.
"""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import make_host, set_priority
from envoymesh.upstream.dynamic_forward_proxy.dns_cache import CachedHost, DnsCache, DnsCacheObserver, normalize_host
from envoymesh.upstream.host import UNHEALTHY_FLAGS, Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.api import LoadBalancer
from envoymesh.upstream.settings import EndpointSettings


class DynamicForwardProxy(LoadBalancer, DnsCacheObserver):
    """A cluster's hosts by their names; both its discovery and its balancer."""

    __slots__ = ("_cache", "_default_port", "_hosts", "_info", "_known")

    def __init__(self, info: ClusterInfo, cache: DnsCache) -> None:
        self._info = info
        self._cache = cache
        self._default_port = default_port(info)
        self._hosts = PrioritySet()
        self._known: dict[str, tuple[Host, CachedHost]] = {}

    def start(self, hosts: PrioritySet, on_initialised: Callable[[], None]) -> None:
        """Begin with what the cache has."""
        self._hosts = hosts
        self._cache.observe(self)
        on_initialised()

    def stop(self) -> None:
        """Hear of no change any more."""
        self._cache.forget(self)

    def on_host_changed(self, host: CachedHost) -> None:
        """A name has addresses, or others: as of a logical DNS cluster its host stays, and so do its connections."""
        first, *more = host.addresses
        known = self._known.get(host.name)
        if known is None:
            endpoint = EndpointSettings(first.host, first.port, hostname=host.name)
            made = make_host(self._info, first, endpoint)
            made.additional_addresses = tuple(more)
            self._known[host.name] = (made, host)
        else:
            known[0].address = first
            known[0].additional_addresses = tuple(more)
            return
        self._tell()

    def on_host_removed(self, host: CachedHost) -> None:
        """A name is gone."""
        if self._known.pop(host.name, None) is not None:
            self._tell()

    def _tell(self) -> None:
        set_priority(self._info, self._hosts, 0, [host for host, _ in self._known.values()])

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host that the request names, if the cache knows it."""
        name = self._name(context) if context is not None else ""
        known = self._known.get(normalize_host(name, self._default_port))
        if known is None or known[0].health_flag_get(UNHEALTHY_FLAGS):
            return None
        known[1].touch()
        return known[0]

    def _name(self, context: LoadBalancerContext) -> str:
        headers = context.downstream_headers()
        return "" if headers is None else (headers.authority or b"").decode("latin-1")

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """None: nobody knows where the next request goes."""
        return None

    def set_panic_threshold(self, percent: int) -> None:
        """Of no interest here."""


def default_port(info: ClusterInfo) -> int:
    """The port of names without one."""
    return 443 if info.settings.tls else 80
