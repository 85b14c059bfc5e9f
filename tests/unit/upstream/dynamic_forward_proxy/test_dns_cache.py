"""The DNS cache and the cluster over it: who waits, what is asked when, what is forgotten, and what is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.errors import ConfigError
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Address
from envoymesh.stats import Store
from envoymesh.upstream.authority import host_of, port_of
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.dynamic_forward_proxy.cluster import DynamicForwardProxy
from envoymesh.upstream.dynamic_forward_proxy.dns_cache import CachedHost, DnsCaches, LoadStatus, normalize_host
from envoymesh.upstream.host import FAILED_ACTIVE_HC
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import ClusterSettings, DnsCacheSettings
from tests.support.balancing import Context
from tests.support.fakes import FakeDispatcher, FakeResolver, FakeRuntime


def request(host: str) -> Context:
    """A request for a host."""
    return Context(headers=RequestHeaders(b"GET", b"/", host.encode(), b"http"))


class World:
    """A cache with a cluster over it."""

    def __init__(self, random: float = 0.5, runtime: dict[str, Any] | None = None, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.resolver = FakeResolver()
        self.store = Store()
        self.runtime = FakeRuntime(runtime)
        self.caches = DnsCaches(
            self.store.scope(""), lambda dns: self.resolver, self.dispatcher, lambda: random, self.runtime
        )
        self.cache = self.caches.get(DnsCacheSettings("c", **settings))
        cluster = ClusterSettings("p", discovery_type="DYNAMIC_FORWARD_PROXY", dns_cache=self.cache.settings)
        self.hosts = PrioritySet()
        self.proxy = DynamicForwardProxy(ClusterInfo(cluster, self.store.scope("cluster.p."), self.runtime), self.cache)
        self.proxy.start(self.hosts, lambda: None)
        self.loaded: list[CachedHost] = []

    def load(self, host: str) -> tuple[LoadStatus, CachedHost | None, Any]:
        return self.cache.load(host, 80, self.loaded.append)

    def known(self, host: str = "a", *addresses: str, ttl: float = 60.0) -> CachedHost:
        """A name that has been resolved."""
        self.load(host)
        self.resolver.last.answer(*(addresses or ("10.0.0.1",)), ttl=ttl)
        return self.loaded[-1]

    def stats(self) -> dict[str, int]:
        found = {
            **{each.name: each.value for each in self.store.counters.ordered()},
            "num": self.cache.stats.num_hosts.value,
        }
        return {
            name.removeprefix("dns_cache.c."): value
            for name, value in found.items()
            if value and "cluster." not in name
        }


def test_who_asks_first_waits_and_who_asks_later_does_not() -> None:
    world = World()
    status, _, _ = world.load("a")
    assert (status, world.loaded, world.resolver.last.name) == (LoadStatus.LOADING, [], "a")
    world.load("a:80")
    assert len(world.resolver.queries) == 1, "the default port is the same name"
    world.resolver.last.answer("10.0.0.1", "10.0.0.2")
    assert [each.name for each in world.loaded] == ["a:80", "a:80"]
    status, host, _ = world.load("a")
    assert status is LoadStatus.IN_CACHE
    assert host is not None
    assert host.addresses == (Address("10.0.0.1", 80), Address("10.0.0.2", 80))
    assert world.stats() == {
        "dns_query_attempt": 1, "dns_query_success": 1, "host_added": 1, "host_address_changed": 1, "num": 1,
    }  # fmt: skip


def test_who_has_gone_is_not_told() -> None:
    world = World()
    _, _, wait = world.load("a")
    wait.cancel()
    world.resolver.last.answer("10.0.0.1")
    assert world.loaded == []


def test_a_failure_is_told_and_kept_until_the_next_refresh() -> None:
    world = World()
    world.load("a")
    world.resolver.last.details = "cares_norecords:Domain name not found"
    world.resolver.last.answer()
    assert world.loaded[0].details == "dns_resolution_failure{cares_norecords:Domain_name_not_found}"
    assert world.load("a")[0] is LoadStatus.IN_CACHE
    assert world.hosts.hosts() == ()
    world.dispatcher.advance(60.0)
    assert len(world.resolver.queries) == 2
    world.resolver.last.answer("10.0.0.1")
    assert [host.hostname for host in world.hosts.hosts()] == ["a:80"]


def test_a_name_is_resolved_again_by_its_ttl_but_not_too_often() -> None:
    world = World(dns_min_refresh_rate=5.0)
    world.known(ttl=20.0)
    world.dispatcher.advance(19.9)
    assert len(world.resolver.queries) == 1
    world.dispatcher.advance(0.2)
    world.resolver.last.answer("10.0.0.1", ttl=1.0)
    world.dispatcher.advance(4.9)
    assert len(world.resolver.queries) == 2
    world.dispatcher.advance(0.2)
    assert len(world.resolver.queries) == 3


def test_a_failure_leaves_the_addresses_and_backs_off() -> None:
    world = World(random=1.0, dns_failure_refresh_rate=(1.0, 3.0))
    host = world.known()
    world.dispatcher.advance(60.0)
    for delay in (1.0, 2.0, 3.0, 3.0):
        world.resolver.last.fail()
        asked = len(world.resolver.queries)
        world.dispatcher.advance(delay - 0.1)
        assert len(world.resolver.queries) == asked
        world.dispatcher.advance(0.2)
        assert len(world.resolver.queries) == asked + 1
    assert host.addresses == (Address("10.0.0.1", 80),)


def test_a_query_that_takes_too_long() -> None:
    world = World(dns_query_timeout=2.0)
    world.load("a")
    world.dispatcher.advance(2.1)
    assert world.resolver.last.cancelled
    assert world.loaded[0].details == "dns_resolution_failure{resolve_timeout}"
    assert world.cache.stats.dns_query_timeout.value == 1
    endless = World(dns_query_timeout=0.0)
    endless.load("a")
    endless.dispatcher.advance(1000.0)
    assert endless.loaded == []


def test_a_name_that_nobody_uses_is_forgotten() -> None:
    world = World(host_ttl=100.0)
    world.known(ttl=60.0)
    world.dispatcher.advance(60.0)
    world.resolver.last.answer("10.0.0.1", ttl=60.0)
    world.dispatcher.advance(61.0)
    assert (world.cache.get("a:80"), world.hosts.hosts()) == (None, ())
    assert world.cache.stats.host_removed.value == 1
    world.known(ttl=60.0)
    for _ in range(3):
        world.dispatcher.advance(60.0)
        assert world.proxy.choose_host(request("a")) is not None, "this is a use"
        if not world.resolver.last.done:
            world.resolver.last.answer("10.0.0.1", ttl=60.0)


def test_the_number_of_names_is_bounded() -> None:
    world = World(max_hosts=1)
    world.known()
    assert world.load("b")[0] is LoadStatus.OVERFLOW
    assert world.load("a")[0] is LoadStatus.IN_CACHE
    assert world.cache.stats.host_overflow.value == 1


def test_the_number_of_requests_that_wait_is_bounded() -> None:
    world = World(max_pending_requests=1)
    assert world.cache.can_create_request()
    assert not world.cache.can_create_request()
    assert world.cache.stats.dns_rq_pending_overflow.value == 1
    assert world.cache.stats.breakers.rq_pending_open.value == 1
    world.cache.end_request()
    assert world.cache.can_create_request()
    assert World(runtime={"dns_cache.c.circuit_breakers": 0}).cache.can_create_request() is False


def test_a_failure_may_be_asked_about_with_each_request() -> None:
    world = World(disable_dns_refresh_on_failure=True)
    world.load("a")
    world.resolver.last.fail()
    world.dispatcher.advance(1000.0)
    assert len(world.resolver.queries) == 1
    assert world.load("a")[0] is LoadStatus.LOADING
    assert len(world.resolver.queries) == 2
    world.resolver.last.answer("10.0.0.1")
    assert world.load("a")[0] is LoadStatus.IN_CACHE


def test_names_that_are_known_from_the_start() -> None:
    world = World(preresolve=(("a", 81), ("b", 82)))
    world.caches.start()
    assert [each.name for each in world.resolver.queries] == ["a", "b"]
    assert world.cache.get("a:81") is not None
    world.caches.stop()
    assert all(each.cancelled for each in world.resolver.queries)


def test_two_caches_of_a_name_are_one_and_must_agree() -> None:
    world = World()
    assert world.caches.get(DnsCacheSettings("c")) is world.cache
    with pytest.raises(ConfigError, match="config specified DNS cache 'c' with different settings"):
        world.caches.get(DnsCacheSettings("c", max_hosts=7))


def test_a_host_stays_when_its_addresses_change() -> None:
    world = World()
    world.known()
    host = world.proxy.choose_host(request("a"))
    assert host is not None
    assert (host.address, host.hostname) == (Address("10.0.0.1", 80), "a:80")
    world.dispatcher.advance(60.0)
    world.resolver.last.answer("10.0.0.2", "10.0.0.3")
    assert world.proxy.choose_host(request("a:80")) is host
    assert (host.address, host.additional_addresses) == (Address("10.0.0.2", 80), (Address("10.0.0.3", 80),))


def test_a_host_that_nobody_knows_or_that_is_ill() -> None:
    world = World()
    world.known()
    assert world.proxy.choose_host(request("b")) is None
    assert world.proxy.choose_host(request("")) is None
    assert world.proxy.choose_host(None) is None
    host = world.proxy.choose_host(request("a"))
    assert host is not None
    host.health_flag_set(FAILED_ACTIVE_HC)
    assert world.proxy.choose_host(request("a")) is None


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("a", "a", None), ("a:80", "a", 80), ("[::1]:443", "::1", 443), ("[::1]", "::1", None), ("::1", "::1", None),
        ("a:99999", "a:99999", None), ("a:", "a:", None), ("a:b", "a:b", None), ("", "", None),
    ],
)  # fmt: skip
def test_authorities(authority: str, host: str, port: int | None) -> None:
    assert (host_of(authority), port_of(authority)) == (host, port)


def test_normal_names() -> None:
    assert [normalize_host(each, 443) for each in ("a", "a:80", "[::1]", "")] == ["a:443", "a:80", "[::1]:443", ""]
