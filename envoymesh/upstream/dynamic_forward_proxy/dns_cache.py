"""A cache of names that are resolved as requests ask for them (Envoy's `DnsCacheImpl`).

The rules:
- A name has its port with it: ``example.com:443`` and ``example.com:80`` are two entries, as in Envoy.
- A name is resolved again before what is known of it is stale, as long as somebody uses it; a failure, or an answer
  without addresses, leaves the addresses that there were.
- The number of names is bounded (`max_hosts`), and so is that of requests that wait (`max_pending_requests`).

Each worker has its own. This module must not know requests.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable

from mypy_extensions import trait

from envoymesh.errors import ConfigError
from envoymesh.network.api import Address, Dispatcher, DnsQuery, DnsResolver, DnsResponse, DnsStatus
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope, sanitize
from envoymesh.upstream.authority import host_of, port_of
from envoymesh.upstream.resource_manager import Resource
from envoymesh.upstream.settings import DnsCacheSettings, DnsSettings
from envoymesh.upstream.stats import DnsCacheStats

OnLoaded = Callable[["CachedHost"], None]
"""Hears that a name's first resolution is over."""


class LoadStatus(enum.Enum):
    """How a look-up ended."""

    IN_CACHE = "in cache"
    LOADING = "loading"
    OVERFLOW = "overflow"


@trait
class DnsCacheObserver:
    """A cluster whose hosts are a cache's names."""

    __slots__ = ()

    @abstractmethod
    def on_host_changed(self, host: CachedHost) -> None:
        """A name has addresses, or others than before."""

    @abstractmethod
    def on_host_removed(self, host: CachedHost) -> None:
        """A name that had addresses is in the cache no more."""


class CachedHost:
    """One name.

    Attributes:
        name: host and port.
        addresses: the last that were found; empty before there were any.
        resolved: whether the first attempt is over.
        details: why there is no address.
        last_used: monotonic seconds.
    """

    __slots__ = (
        "_cache",
        "_failures",
        "_query",
        "_refresh",
        "_timeout",
        "_waiting",
        "addresses",
        "details",
        "failed",
        "last_used",
        "name",
        "port",
        "resolved",
    )

    def __init__(self, cache: DnsCache, name: str, port: int) -> None:
        self._cache = cache
        self.name = name
        self.port = port
        self.addresses: tuple[Address, ...] = ()
        self.resolved = False
        self.failed = False
        self.details = "not_resolved"
        self.last_used = cache.dispatcher.now()
        self._failures = 0
        self._query: DnsQuery | None = None
        self._waiting: dict[HostLoad, None] = {}
        self._refresh = cache.dispatcher.create_timer(self._on_refresh)
        self._timeout = cache.dispatcher.create_timer(self._on_timeout)

    def __repr__(self) -> str:
        return f"<CachedHost {self.name} {[str(each) for each in self.addresses]}>"

    def touch(self) -> None:
        """Somebody uses it."""
        self.last_used = self._cache.dispatcher.now()

    def wait(self, load: HostLoad) -> None:
        """Tell somebody when the first attempt is over."""
        self._waiting[load] = None

    def stop_waiting(self, load: HostLoad) -> None:
        """Tell it no more."""
        self._waiting.pop(load, None)

    def resolve(self) -> None:
        """Ask once; the timer asks again."""
        cache = self._cache
        cache.stats.dns_query_attempt.inc()
        if cache.settings.dns_query_timeout:
            self._timeout.enable(cache.settings.dns_query_timeout)
        self._query = cache.resolver.resolve(host_of(self.name), cache.settings.dns_lookup_family, self._on_response)

    def _on_response(self, status: DnsStatus, responses: list[DnsResponse]) -> None:
        self._finish(status, responses, "" if self._query is None else self._query.details)

    def _on_timeout(self) -> None:
        self._cache.stats.dns_query_timeout.inc()
        if self._query is not None:
            self._query.cancel()
        self._finish(DnsStatus.FAILURE, [], "resolve_timeout")

    def _finish(self, status: DnsStatus, responses: list[DnsResponse], details: str) -> None:
        stats, self._query = self._cache.stats, None
        self._timeout.disable()
        self.failed = status is DnsStatus.FAILURE
        (stats.dns_query_failure if self.failed else stats.dns_query_success).inc()
        found = tuple(dict.fromkeys(Address(each.host, self.port) for each in responses))
        if found and found != self.addresses:
            self.addresses = found
            stats.host_address_changed.inc()
            self._cache.tell_changed(self)
        elif not self.addresses:
            self.details = f"dns_resolution_failure{{{'_'.join(details.split())}}}"
        self.resolved = True
        self._enable_refresh(responses)
        self._tell_waiting()

    def _enable_refresh(self, responses: list[DnsResponse]) -> None:
        settings = self._cache.settings
        if self.failed:
            self._failures += 1
            if not settings.disable_dns_refresh_on_failure:
                self._refresh.enable(self._failure_delay())
            return
        self._failures = 0
        delay = max(settings.dns_min_refresh_rate, responses[0].ttl) if responses else settings.dns_refresh_rate
        self._refresh.enable(delay)

    def _failure_delay(self) -> float:
        settings = self._cache.settings
        if settings.dns_failure_refresh_rate is None:
            return settings.dns_refresh_rate
        base, longest = settings.dns_failure_refresh_rate
        ceiling: float = min(base * 2 ** min(self._failures - 1, 32), longest)
        return max(0.001, self._cache.random() * ceiling)

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for load in waiting:
            load.finish(self)

    def _on_refresh(self) -> None:
        """Resolve again, or leave the cache where nobody has asked for long."""
        if self._cache.dispatcher.now() - self.last_used > self._cache.settings.host_ttl:
            self._tell_waiting()
            self._cache.remove(self)
        else:
            self.resolve()

    def stop(self) -> None:
        """Ask no more, and call nobody back."""
        self._refresh.disable()
        self._timeout.disable()
        self._waiting = {}
        query, self._query = self._query, None
        if query is not None:
            query.cancel()


class HostLoad:
    """Somebody's wait for a name."""

    __slots__ = ("_host", "_on_loaded")

    def __init__(self, host: CachedHost, on_loaded: OnLoaded) -> None:
        self._host = host
        self._on_loaded: OnLoaded | None = on_loaded
        host.wait(self)

    def cancel(self) -> None:
        """Stop waiting; no call follows."""
        self._on_loaded = None
        self._host.stop_waiting(self)

    def finish(self, host: CachedHost) -> None:
        """The name's first resolution is over."""
        on_loaded, self._on_loaded = self._on_loaded, None
        if on_loaded is not None:
            on_loaded(host)


class DnsCache:
    """One cache, for all clusters and filters that name it.

    Attributes:
        pending_requests: the breaker of requests that wait.
    """

    __slots__ = ("_hosts", "_observers", "dispatcher", "pending_requests", "random", "resolver", "settings", "stats")

    def __init__(
        self,
        settings: DnsCacheSettings,
        scope: Scope,
        resolver: DnsResolver,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        runtime: RuntimeReader,
    ) -> None:
        self.settings = settings
        self.resolver = resolver
        self.dispatcher = dispatcher
        self.random = random
        own = scope.scope(f"dns_cache.{sanitize(settings.name)}.")
        self.stats = DnsCacheStats.create(own)
        breakers = self.stats.breakers
        self.pending_requests = Resource(
            settings.max_pending_requests, breakers.rq_pending_open, breakers.rq_pending_remaining
        )
        key = f"dns_cache.{settings.name}.circuit_breakers"
        limit = runtime.number(key, settings.max_pending_requests, self.pending_requests.set_maximum)
        if limit.value != settings.max_pending_requests:
            self.pending_requests.set_maximum(limit.value)
        self._hosts: dict[str, CachedHost] = {}
        self._observers: list[DnsCacheObserver] = []

    def __repr__(self) -> str:
        return f"<DnsCache {self.settings.name} hosts={len(self._hosts)}>"

    def start(self) -> None:
        """Resolve the names that are to be known from the start."""
        for host, port in self.settings.preresolve:
            name = normalize_host(host, port)
            if name not in self._hosts:
                self._add(name, port)

    def can_create_request(self) -> bool:
        """Whether one more request may wait; if so it counts as one until `end_request`."""
        if not self.pending_requests.can_create():
            self.stats.dns_rq_pending_overflow.inc()
            return False
        self.pending_requests.inc()
        return True

    def end_request(self) -> None:
        """A request waits no more."""
        self.pending_requests.dec()

    def load(
        self, raw_host: str, default_port: int, on_loaded: OnLoaded
    ) -> tuple[LoadStatus, CachedHost | None, HostLoad | None]:
        """Look a name up: it is there, or is being resolved (and then `on_loaded` comes, later), or has no room.

        Args:
            raw_host: a request's authority.
            default_port: where that says none.
        """
        name = normalize_host(raw_host, default_port)
        host = self._hosts.get(name)
        if host is not None and host.resolved and not (self.settings.disable_dns_refresh_on_failure and host.failed):
            return LoadStatus.IN_CACHE, host, None
        # As in Envoy a full cache has no room for who waits for one of its names either.
        if len(self._hosts) >= self.settings.max_hosts:
            self.stats.host_overflow.inc()
            return LoadStatus.OVERFLOW, None, None
        if host is not None and host.resolved:
            self.remove(host)
            host = None
        if host is None:
            host = self._add(name, default_port)
        return LoadStatus.LOADING, host, HostLoad(host, on_loaded)

    def _add(self, name: str, default_port: int) -> CachedHost:
        port = port_of(name)
        host = self._hosts[name] = CachedHost(self, name, default_port if port is None else port)
        self.stats.host_added.inc()
        self.stats.num_hosts.inc()
        host.resolve()
        return host

    def get(self, name: str) -> CachedHost | None:
        """What is known of a name, its port with it."""
        return self._hosts.get(name)

    def remove(self, host: CachedHost) -> None:
        """Forget a name."""
        host.stop()
        del self._hosts[host.name]
        self.stats.host_removed.inc()
        self.stats.num_hosts.dec()
        if host.addresses:
            for observer in self._observers:
                observer.on_host_removed(host)

    def observe(self, observer: DnsCacheObserver) -> None:
        """Tell a cluster of the names that have addresses, now and from now on."""
        self._observers.append(observer)
        for host in self._hosts.values():
            if host.addresses:
                observer.on_host_changed(host)

    def forget(self, observer: DnsCacheObserver) -> None:
        """Tell it no more."""
        if observer in self._observers:
            self._observers.remove(observer)

    def stop(self) -> None:
        """Ask no more, and call nobody back."""
        for host in self._hosts.values():
            host.stop()

    def tell_changed(self, host: CachedHost) -> None:
        """A name has other addresses."""
        for observer in self._observers:
            observer.on_host_changed(host)


def normalize_host(raw_host: str, default_port: int) -> str:
    """Host and port of an authority, the default port where it says none; empty for an empty one."""
    if not raw_host or port_of(raw_host) is not None:
        return raw_host
    return f"{raw_host}:{default_port}"


class DnsCaches:
    """All caches of a process, by name (Envoy's `DnsCacheManager`)."""

    __slots__ = ("_caches", "_dispatcher", "_make_resolver", "_random", "_runtime", "_scope")

    def __init__(
        self,
        scope: Scope,
        make_resolver: Callable[[DnsSettings], DnsResolver],
        dispatcher: Dispatcher,
        random: Callable[[], float],
        runtime: RuntimeReader,
    ) -> None:
        self._scope = scope
        self._make_resolver = make_resolver
        self._dispatcher = dispatcher
        self._random = random
        self._runtime = runtime
        self._caches: dict[str, DnsCache] = {}

    def get(self, settings: DnsCacheSettings) -> DnsCache:
        """The cache of these settings. Errors: ConfigError, where one of this name has others."""
        cache = self._caches.get(settings.name)
        if cache is None:
            resolver = self._make_resolver(settings.dns)
            cache = DnsCache(settings, self._scope, resolver, self._dispatcher, self._random, self._runtime)
            self._caches[settings.name] = cache
        elif cache.settings != settings:
            raise ConfigError(f"config specified DNS cache '{settings.name}' with different settings")
        return cache

    def start(self) -> None:
        """Resolve what is to be known from the start."""
        for cache in self._caches.values():
            cache.start()

    def stop(self) -> None:
        """Ask no more, and call nobody back."""
        for cache in self._caches.values():
            cache.stop()
