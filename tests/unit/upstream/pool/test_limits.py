"""How many pools and how many connections of one host there may be (`max_connection_pools`, `per_host_thresholds`)."""

from __future__ import annotations

import pytest

from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Address
from envoymesh.stats import Store
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.pools import ConnectionPools, PoolOptions
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, ThresholdSettings
from tests.support.fakes import FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.upstream import Asker

HTTP1, HTTP2 = HttpProtocol.HTTP11, HttpProtocol.HTTP2


class World:
    """The pools of a cluster that speaks what its clients do, for two hosts."""

    def __init__(self, **thresholds: int | bool) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        self.store = Store()
        settings = ClusterSettings(
            "c", protocol="DOWNSTREAM", idle_timeout=1.0, default_thresholds=ThresholdSettings(**thresholds)
        )
        self.info = ClusterInfo(settings, self.store.scope(""), FakeRuntime())
        self.pools = ConnectionPools(self.info, self.connector, self.dispatcher, lambda: 0.5)
        self.hosts = [Host(Address(f"10.0.0.{n}", 80), EndpointSettings(f"10.0.0.{n}", 80)) for n in (1, 2)]

    def ask(self, host: int = 0, protocol: HttpProtocol = HTTP1, options: PoolOptions | None = None) -> Asker:
        asker = Asker()
        asker.wait = self.pools.new_stream(self.hosts[host], asker, asker, protocol, options)  # type: ignore[assignment]
        return asker

    def gauge(self, name: str) -> int:
        return self.store.gauges.by_name[f"circuit_breakers.default.{name}"].value


def test_one_pool_more_than_there_may_be() -> None:
    world = World(max_connection_pools=1)
    world.ask()
    assert world.gauge("cx_pool_open") == 1
    assert world.ask(1).outcome == "NO_POOL"
    assert world.info.stats.upstream_cx_pool_overflow.value == 1
    assert world.ask().outcome == "waiting"


def test_a_pool_of_the_same_host_that_nobody_uses_makes_room() -> None:
    world = World(max_connection_pools=1)
    first = world.ask()
    world.connector.last.established()
    assert first.ready is not None
    assert world.ask(protocol=HTTP2).outcome == "NO_POOL"
    first.ready.encode_headers(RequestHeaders(b"GET", b"/", b"a", b"http", []), True)
    world.connector.last.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert world.ask(protocol=HTTP2).outcome == "waiting"
    assert world.connector.connections[0].closed
    assert world.info.stats.upstream_cx_pool_overflow.value == 1
    assert world.gauge("cx_pool_open") == 1


def test_a_pool_without_connections_is_no_pool() -> None:
    world = World(max_connection_pools=1)
    world.ask()
    world.connector.last.remote_close()
    assert world.gauge("cx_pool_open") == 0
    assert world.ask(1).outcome == "waiting"


def test_priorities_have_limits_of_their_own() -> None:
    world = World(max_connection_pools=1)
    world.ask()
    assert world.ask(options=PoolOptions("HIGH")).outcome == "waiting"


def test_what_is_left_is_shown() -> None:
    world = World(max_connection_pools=3, track_remaining=True)
    assert world.gauge("remaining_cx_pools") == 3
    world.ask()
    world.ask(1)
    assert world.gauge("remaining_cx_pools") == 1
    for connection in world.connector.connections:
        connection.remote_close()
    assert world.gauge("remaining_cx_pools") == 3


def test_a_host_that_leaves_gives_its_pools_back() -> None:
    world = World(max_connection_pools=1)
    world.ask()
    world.connector.last.established()
    world.pools.drain_host(world.hosts[0])
    assert world.ask(1).outcome == "NO_POOL"
    world.connector.connections[0].remote_close()
    assert world.ask(1).outcome == "waiting"


@pytest.mark.parametrize(("limit", "connections"), [(1, 1), (2, 2), (9, 3), (0, 1)])
def test_connections_to_one_host(limit: int, connections: int) -> None:
    world = World(max_connections_per_host=limit)
    for _ in range(3):
        world.ask()
    world.ask(1)
    assert len(world.connector.connections) == connections + 1
    assert world.info.stats.upstream_cx_overflow.value == (3 - connections if limit else 4 - connections + 1)
