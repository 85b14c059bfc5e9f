"""A cluster over fake connections: real HTTP/1 and HTTP/2 codecs, hosts that come and go."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import UpstreamOverrideHost
from envoymesh.network.api import Address, SocketOption
from envoymesh.stats import Store
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.lb.settings import ROUND_ROBIN, LbSettings, MaglevSettings
from envoymesh.upstream.pool.options import PoolOptions
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats
from tests.support.balancing import Context, number_of
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.upstream import Asker

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HTTP11, HTTP2 = HttpProtocol.HTTP11, HttpProtocol.HTTP2


class Client(Asker):
    """Sends a request as soon as it can, and keeps the response."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.body = b""
        self.ended = False

    def on_pool_ready(self, encoder: Any, host: Any, connection: Any, protocol: HttpProtocol) -> None:
        super().on_pool_ready(encoder, host, connection, protocol)
        encoder.set_callbacks(self)
        encoder.encode_headers(RequestHeaders(b"GET", b"/", b"example.com", b"http"), True)

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        self.status, self.ended = headers.status, end_stream

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        self.body += data
        self.ended = end_stream

    def on_reset_stream(self, reason: Any, details: str) -> None:
        self.reset = reason


class Tls:
    """Facts of a handshake, as far as the cluster asks."""

    sni = ""

    def __init__(self, alpn: str) -> None:
        self.alpn = alpn


class World:
    """A cluster, its network and its stats."""

    def __init__(self, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        self.store = Store()
        self.randoms = [0.0]
        self.runtime = FakeRuntime()
        info = ClusterInfo(ClusterSettings(name="c", **settings), self.store.scope("cluster.c."), self.runtime)
        self.cluster = Cluster(info, self.connector, self.dispatcher, lambda: self.randoms[0], self.runtime)

    def hosts(self, *numbers: int, **endpoint: Any) -> list[Host]:
        return [
            Host(Address(f"10.0.0.{number}", 80), EndpointSettings(f"10.0.0.{number}", 80, **endpoint))
            for number in numbers
        ]

    def ask(self, host: Host, downstream: HttpProtocol = HTTP11) -> Client:
        client = Client()
        client.wait = self.cluster.new_stream(host, client, client, downstream)
        return client

    def value(self, name: str) -> int:
        full = f"cluster.c.{name}"
        return (self.store.counters.by_name.get(full) or self.store.gauges.by_name[full]).value

    def picked(self, count: int) -> list[int]:
        return [int(host.address.host[-1]) for _ in range(count) if (host := self.cluster.choose_host(None))]


@pytest.fixture
def world() -> World:
    return World()


def test_requests_alternate_over_hosts(world: World) -> None:
    world.cluster.update_hosts(world.hosts(1, 2, 3))
    assert world.picked(9) == world.picked(3) * 3


def test_a_request_and_its_response_over_http1(world: World) -> None:
    [host] = world.hosts(1)
    world.cluster.update_hosts([host])
    client = world.ask(host)
    connection = world.connector.last
    connection.established()
    assert connection.take_written().startswith(b"GET / HTTP/1.1\r\nhost: example.com\r\n")
    connection.receive(OK)
    assert (client.status, client.body, client.ended) == (200, b"ok", True)
    again = world.ask(host)
    assert again.wait is None
    connection.receive(OK)
    assert again.ended
    assert [world.value(f"upstream_{name}") for name in ("cx_total", "rq_total", "rq_active", "cx_http1_total")] == [
        1, 2, 0, 1,
    ]  # fmt: skip
    assert world.value("upstream_cx_rx_bytes_total") == 2 * len(OK)


def test_connection_close_ends_the_connection_after_the_response(world: World) -> None:
    [host] = world.hosts(1)
    client = world.ask(host)
    world.connector.last.established()
    world.connector.last.receive(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    assert client.ended
    assert world.connector.last.closed
    assert world.value("upstream_cx_close_notify") == 1


def test_a_body_that_ends_with_the_connection(world: World) -> None:
    [host] = world.hosts(1)
    client = world.ask(host)
    connection = world.connector.last
    connection.established()
    connection.receive(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not client.ended
    connection.receive_eof()
    assert (client.body, client.ended, client.reset) == (b"abc", True, None)
    assert [world.value(f"upstream_cx_{name}") for name in ("destroy_remote", "destroy_with_active_rq")] == [1, 0]


def test_bytes_behind_a_response_break_the_connection_but_not_the_response(world: World) -> None:
    [host] = world.hosts(1)
    client = world.ask(host)
    world.connector.last.established()
    world.connector.last.receive(OK + b"XXXX")
    assert (client.body, client.ended, client.reset) == (b"ok", True, None)
    assert [world.value(f"upstream_cx_{name}") for name in ("protocol_error", "destroy_local", "close_notify")] == [
        1, 1, 0,
    ]  # fmt: skip


def test_http2_says_so(world: World) -> None:
    world = World(protocol="HTTP2")
    [host] = world.hosts(1)
    first, second = world.ask(host), world.ask(host)
    world.connector.last.established()
    assert world.connector.last.take_written().startswith(PREFACE)
    assert (first.protocol, second.protocol) == (HTTP2, HTTP2)
    assert [world.value(f"upstream_{name}") for name in ("cx_http2_total", "rq_active")] == [1, 2]


def test_the_downstreams_protocol_is_used_where_asked_for() -> None:
    world = World(protocol="DOWNSTREAM")
    [host] = world.hosts(1)
    clients = [world.ask(host, HTTP11), world.ask(host, HTTP2)]
    for connection in world.connector.connections:
        connection.established()
    assert [client.protocol for client in clients] == [HTTP11, HTTP2]


@pytest.mark.parametrize(("alpn", "protocol"), [("h2", HTTP2), ("http/1.1", HTTP11), ("", HTTP11)])
def test_alpn_decides_where_asked_for(alpn: str, protocol: HttpProtocol) -> None:
    world = World(protocol="ALPN")
    [host] = world.hosts(1)
    client = world.ask(host)
    world.connector.last.established(Tls(alpn))  # type: ignore[arg-type]
    assert client.protocol is protocol


# Hosts


def test_membership_is_counted(world: World) -> None:
    world.cluster.update_hosts([*world.hosts(1, 2), *world.hosts(3, health_status="DEGRADED")])
    world.cluster.update_hosts([*world.hosts(1), *world.hosts(4, health_status="DRAINING")])
    names = ("change", "total", "healthy", "degraded", "excluded")
    assert [world.value(f"membership_{name}") for name in names] == [2, 2, 1, 0, 1]


def test_no_hosts_no_stream(world: World) -> None:
    assert world.cluster.choose_host(None) is None
    assert [world.value(name) for name in ("upstream_cx_none_healthy", "lb_healthy_panic")] == [1, 1]


def test_unhealthy_hosts_are_left_out_until_there_are_too_many(world: World) -> None:
    world.cluster.update_hosts([*world.hosts(1, 2), *world.hosts(3, health_status="UNHEALTHY")])
    assert set(world.picked(4)) == {1, 2}
    world.cluster.update_hosts([*world.hosts(1), *world.hosts(2, 3, health_status="UNHEALTHY")])
    assert sorted(world.picked(3)) == [1, 2, 3]
    assert world.value("lb_healthy_panic") == 3


def test_the_panic_threshold_may_change_at_any_time(world: World) -> None:
    world.cluster.update_hosts([*world.hosts(1), *world.hosts(2, 3, health_status="UNHEALTHY")])
    world.runtime.change("upstream.healthy_panic_threshold", 33)
    assert set(world.picked(3)) == {1}
    world.runtime.change("upstream.healthy_panic_threshold", 34)
    assert sorted(world.picked(3)) == [1, 2, 3]
    world.runtime.change("upstream.healthy_panic_threshold", None)
    assert sorted(world.picked(3)) == [1, 2, 3]


def test_limits_may_change_at_any_time(world: World) -> None:
    requests = world.cluster.resource_manager().requests
    requests.inc()
    world.runtime.change("circuit_breakers.c.default.max_requests", 1)
    assert not requests.can_create()
    assert world.value("circuit_breakers.default.rq_open") == 1
    assert world.cluster.resource_manager("HIGH").requests.maximum == 1024
    world.runtime.change("circuit_breakers.c.default.max_requests", None)
    assert requests.can_create()
    assert world.value("circuit_breakers.default.rq_open") == 0


def test_limits_that_the_runtime_has_from_the_start() -> None:
    scope = Store().scope("c.")
    limits = FakeRuntime({"p.max_connections": 1, "p.max_pending_requests": 2, "p.max_requests": 3, "p.max_retries": 4})
    manager = ResourceManager(ThresholdSettings(), CircuitBreakerStats.create(scope), limits, "p.")
    resources = (manager.connections, manager.pending_requests, manager.requests, manager.retries)
    assert [resource.maximum for resource in resources] == [1, 2, 3, 4]


def test_degraded_hosts_take_what_the_healthy_cannot(world: World) -> None:
    world.cluster.update_hosts([*world.hosts(1), *world.hosts(2, health_status="DEGRADED")])
    world.randoms[0] = 69 / 2**53
    assert world.picked(1) == [1]
    world.randoms[0] = 70 / 2**53
    assert world.picked(1) == [2]


def test_a_retry_goes_to_another_host(world: World) -> None:
    hosts = world.hosts(1, 2)
    world.cluster.update_hosts(hosts)
    # The same one again and again: round robin alone would come to it every other time.
    for _ in range(4):
        assert world.cluster.choose_host(Context(refused=[hosts[0]], attempts=5)) is hosts[1]


def test_a_retry_that_finds_no_other_host_takes_any(world: World) -> None:
    hosts = world.hosts(1)
    world.cluster.update_hosts(hosts)
    assert world.cluster.choose_host(Context(refused=hosts, attempts=3)) is hosts[0]


@pytest.mark.parametrize(
    ("address", "strict", "expected"),
    [("10.0.0.2:80", False, [2, 2]), ("10.0.0.9:80", False, [1, 2]), ("10.0.0.9:80", True, [0, 0])],
)
def test_a_host_that_a_filter_has_set(world: World, address: str, strict: bool, expected: list[int]) -> None:
    world.cluster.update_hosts(world.hosts(1, 2))
    context = Context(override=UpstreamOverrideHost(address, strict))
    assert [number_of(world.cluster.choose_host(context)) for _ in range(2)] == expected
    assert world.value("upstream_cx_none_healthy") == expected.count(0)


@pytest.mark.parametrize(("policy", "wants"), [(ROUND_ROBIN, False), (MaglevSettings(), True)])
def test_some_policies_want_to_know_the_request(policy: LbSettings, wants: bool) -> None:
    assert World(lb=policy).cluster.wants_request is wants


def test_a_host_that_leaves_finishes_what_it_has(world: World) -> None:
    leaving, staying = world.hosts(1, 2)
    world.cluster.update_hosts([leaving, staying])
    client = world.ask(leaving)
    connection = world.connector.last
    connection.established()
    world.cluster.update_hosts([staying])
    assert not connection.closed
    connection.receive(OK)
    assert client.ended
    assert connection.closed


def test_a_host_that_leaves_loses_idle_connections_at_once(world: World) -> None:
    leaving, staying = world.hosts(1, 2)
    world.cluster.update_hosts([leaving, staying])
    world.ask(leaving)
    world.connector.last.established()
    world.connector.last.receive(OK)
    world.cluster.update_hosts([staying])
    assert world.connector.last.closed


def test_a_host_that_stays_keeps_its_connection(world: World) -> None:
    staying, leaving = world.hosts(1, 2)
    world.cluster.update_hosts([staying, leaving])
    world.ask(staying)
    world.connector.last.established()
    world.connector.last.receive(OK)
    world.cluster.update_hosts([staying])
    assert world.ask(staying).wait is None
    assert staying.stats.rq_total.value == 2


def test_circuit_breakers_are_the_clusters() -> None:
    thresholds = ThresholdSettings(max_pending_requests=1, track_remaining=True)
    world = World(default_thresholds=thresholds)
    first, second = world.hosts(1, 2)
    world.ask(first)
    assert world.ask(second).outcome == "OVERFLOW"
    assert world.value("circuit_breakers.default.rq_pending_open") == 1
    assert world.value("circuit_breakers.default.remaining_pending") == 0
    assert world.value("circuit_breakers.high.rq_pending_open") == 0
    assert world.cluster.resource_manager("HIGH") is not world.cluster.resource_manager()


class EndlessDiscovery:
    """Never finds anything."""

    stopped = False

    def start(self, on_update: Any, on_initialised: Any) -> None:
        """Nothing to tell."""

    def stop(self) -> None:
        self.stopped = True


def test_shutdown_stops_discovery_and_closes_everything(world: World) -> None:
    discovery = EndlessDiscovery()
    world.cluster.start(discovery, lambda: None)
    leaving, staying = world.hosts(1, 2)
    world.cluster.update_hosts([leaving, staying])
    world.ask(leaving)
    world.connector.last.established()
    world.ask(staying)
    world.cluster.update_hosts([staying])
    world.cluster.shutdown()
    assert discovery.stopped
    assert all(connection.closed for connection in world.connector.connections)
    assert world.value("upstream_cx_active") == 0


def test_every_stat_of_envoys_is_there_by_name(world: World) -> None:
    names = {stat.name for family in (world.store.counters, world.store.gauges) for stat in family.ordered()}
    for name in ("upstream_rq_completed", "lb_zone_routing_sampled", "upstream_cx_http3_total", "version"):
        assert f"cluster.c.{name}" in names
    assert not any(".http1." in name or ".http2." in name for name in names)
    world.ask(world.hosts(1)[0])
    world.connector.last.established()
    assert "cluster.c.http1.dropped_headers_with_underscores" in world.store.counters.by_name


# Its parts together


def test_membership_counts_all_priorities(world: World) -> None:
    hosts = world.cluster.priority_set
    hosts.update_hosts(0, world.hosts(1, 2))
    hosts.update_hosts(1, [*world.hosts(3, health_status="DEGRADED", priority=1), *world.hosts(4, priority=1)])
    hosts.update_hosts(2, world.hosts(5, health_status="DRAINING", priority=2))
    hosts.update_hosts(2, hosts.host_sets[2].hosts)
    names = ("change", "total", "healthy", "degraded", "excluded")
    assert [world.value(f"membership_{name}") for name in names] == [3, 5, 3, 1, 1]


def test_a_change_of_health_changes_no_member(world: World) -> None:
    first, second = world.hosts(1, 2)
    world.cluster.update_hosts([first, second])
    first.health_flag_set(FAILED_ACTIVE_HC)
    world.cluster.priority_set.update_health([first])
    assert (world.value("membership_healthy"), world.value("membership_change")) == (1, 1)


def connected(world: World, host: Host) -> FakeConnection:
    """An idle connection to a host."""
    world.ask(host)
    connection = world.connector.last
    connection.established()
    connection.receive(OK)
    return connection


def test_hosts_that_stay_keep_their_connections(world: World) -> None:
    staying, leaving = world.hosts(1, 2)
    world.cluster.update_hosts([staying, leaving])
    connection = connected(world, staying)
    world.cluster.update_hosts([staying])
    assert not connection.closed


def test_or_they_do_not_where_a_change_closes_all() -> None:
    world = World(close_connections_on_host_set_change=True)
    staying, leaving = world.hosts(1, 2)
    world.cluster.update_hosts([staying, leaving])
    connection = connected(world, staying)
    world.cluster.update_hosts([staying])
    assert connection.closed
    assert not connected(world, staying).closed


def test_a_host_that_fails_gets_new_connections(world: World) -> None:
    [host] = world.hosts(1)
    world.cluster.update_hosts([host])
    connection = connected(world, host)
    world.cluster.on_host_health_failure(host)
    assert connection.closed
    assert not connected(world, host).closed


def test_requests_that_differ_have_connections_of_their_own(world: World) -> None:
    [host] = world.hosts(1)
    world.cluster.update_hosts([host])
    connected(world, host)
    high = PoolOptions(priority="HIGH")
    client = Client()
    client.wait = world.cluster.new_stream(host, client, client, HTTP11, high)
    world.connector.last.established()
    assert len(world.connector.connections) == 2
    assert world.cluster.resource_manager("HIGH").connections.count == 1
    option = SocketOption(1, 2, 3)
    client.wait = world.cluster.new_stream(host, Client(), Client(), HTTP11, PoolOptions(socket_options=(option,)))
    assert world.connector.calls[-1]["socket"].options == (option,)


def test_several_addresses_are_tried(world: World) -> None:
    more = (Address("::1", 80),)
    [host] = world.hosts(1, additional_addresses=more)
    world.ask(host)
    assert world.connector.calls[-1]["additional_addresses"] == more


def test_hosts_that_stay_may_get_new_connections_too() -> None:
    world = World(close_connections_on_host_set_change=True)
    busy, idle, coming = world.hosts(1, 2, 3)
    world.cluster.update_hosts([busy, idle])
    client = world.ask(busy)
    first = world.connector.last
    first.established()
    world.ask(idle)
    second = world.connector.last
    second.established()
    second.receive(OK)
    world.cluster.update_hosts([busy, idle, coming])
    assert (first.closed, second.closed) == (False, True)
    world.ask(busy)
    assert world.connector.last not in (first, second)
    first.receive(OK)
    assert (client.ended, first.closed) == (True, True)
