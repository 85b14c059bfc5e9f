"""Connections of bytes to one host, and who waits for another one's end (`per_host_thresholds`)."""

from __future__ import annotations

from envoymesh.network.api import Address, CloseType, ConnectionEvent
from envoymesh.stats import Store
from envoymesh.upstream.api import PoolFailureReason
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.pools import ConnectionPools
from envoymesh.upstream.pool.tcp import TcpPoolCallbacks, TcpUpstreamConnection
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, ThresholdSettings
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.stand_ins import stands_for


class Owner(stands_for(TcpPoolCallbacks)):
    """Wants a connection."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_pool_ready(self, upstream: TcpUpstreamConnection, host: Host) -> None:
        self.told.append("ready")

    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        self.told.append(reason)

    def on_upstream_data(self, data: bytes) -> int:
        return len(data)

    def on_upstream_eof(self) -> None:
        pass

    def on_upstream_event(self, event: ConnectionEvent) -> None:
        self.told.append(event)

    def on_upstream_above_write_buffer_high_watermark(self) -> None:
        pass

    def on_upstream_below_write_buffer_low_watermark(self) -> None:
        pass


class World:
    """A cluster of two hosts, each of which may have one connection."""

    def __init__(self, limit: int = 1) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        thresholds = ThresholdSettings(max_connections_per_host=limit)
        self.info = ClusterInfo(
            ClusterSettings("c", default_thresholds=thresholds), Store().scope("cluster.c."), FakeRuntime()
        )
        self.pools = ConnectionPools(self.info, self.connector, self.dispatcher, lambda: 0.5)
        self.hosts = [Host(Address(f"10.0.0.{n}", 80), EndpointSettings(f"10.0.0.{n}", 80)) for n in (1, 2)]
        self.waits: list[object] = []

    def ask(self, host: int = 0) -> Owner:
        owner = Owner()
        self.waits.append(self.pools.new_tcp_connection(self.hosts[host], owner))
        return owner

    @property
    def connections(self) -> list[FakeConnection]:
        return self.connector.connections

    def counts(self) -> tuple[int, int, int]:
        """Who waits, who has, and how often one more was too many."""
        stats = self.info.stats
        return (
            stats.upstream_rq_pending_active.value, stats.upstream_cx_active.value, stats.upstream_cx_overflow.value,
        )  # fmt: skip


def test_the_second_connection_waits_for_the_first_ones_end() -> None:
    world = World()
    first = world.ask()
    world.connections[0].established()
    second, third = world.ask(), world.ask()
    assert world.counts() == (2, 1, 2)
    assert world.ask(1).told == []
    assert len(world.connections) == 2, "another host is another matter"
    world.connections[0].remote_close()
    assert first.told == ["ready", ConnectionEvent.REMOTE_CLOSE]
    assert len(world.connections) == 3
    world.connections[2].established()
    assert (second.told, third.told) == (["ready"], [])
    world.connections[2].close(CloseType.NO_FLUSH)
    world.connections[3].established()
    assert third.told == ["ready"]
    assert world.info.stats.upstream_rq_pending_total.value == 4
    assert world.info.default_resources.pending_requests.count == 1, "the other host's"


def test_a_failed_attempt_makes_room_too() -> None:
    world = World()
    first, second = world.ask(), world.ask()
    world.connections[0].remote_close()
    assert first.told == [PoolFailureReason.REMOTE_CONNECTION_FAILURE]
    world.connections[1].established()
    assert second.told == ["ready"]


def test_who_waits_may_leave() -> None:
    world = World()
    world.ask()
    second = world.ask()
    world.waits[1].cancel()  # type: ignore[attr-defined]
    world.connections[0].remote_close()
    assert len(world.connections) == 1
    assert second.told == []
    assert world.counts() == (0, 0, 1)
    assert world.info.stats.upstream_rq_cancelled.value == 1


def test_who_has_waited_may_leave() -> None:
    world = World()
    world.ask()
    second = world.ask()
    world.connections[0].remote_close()
    world.waits[1].cancel()  # type: ignore[attr-defined]
    assert world.connections[1].closed
    assert second.told == []
    assert world.counts() == (0, 0, 1)


def test_a_limit_of_none_leaves_one() -> None:
    world = World(0)
    world.ask()
    assert len(world.connections) == 1


def test_the_end_of_all() -> None:
    world = World()
    first, second = world.ask(), world.ask()
    world.pools.close()
    assert first.told == second.told == [PoolFailureReason.LOCAL_CONNECTION_FAILURE]
    assert len(world.connections) == 1
    assert world.counts()[:2] == (0, 0)
