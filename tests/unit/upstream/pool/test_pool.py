"""The pool with fake connections and codecs: who gets which connection, who waits, what is counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import booleans, data, sampled_from

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.http2 import Http2Settings
from envoymesh.network.api import SOCKET_OPTION_FAILED, Address, CloseType
from envoymesh.stats import Store
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.pool.pool import ConnectionPool, PoolLoad
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats, ClusterStats
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.upstream import Asker, FakeCodec

HTTP1, HTTP2 = HttpProtocol.HTTP11, HttpProtocol.HTTP2


class World:
    """A pool, and the hands that move its surroundings."""

    def __init__(
        self,
        protocol: HttpProtocol | None = HTTP1,
        *,
        negotiated: HttpProtocol = HTTP1,
        streams: int = 100,
        thresholds: ThresholdSettings | None = None,
        forget_when_idle: bool = False,
        **settings: Any,
    ) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        scope = Store().scope("cluster.c.")
        self.stats = ClusterStats.create(scope)
        breakers = CircuitBreakerStats.create(scope.scope("circuit_breakers.default."))
        self.resources = ResourceManager(thresholds or ThresholdSettings(), breakers, FakeRuntime(), "")
        self.host = Host(Address("10.0.0.1", 80), EndpointSettings("10.0.0.1", 80))
        self.codecs: list[FakeCodec] = []
        self.idle: list[ConnectionPool] = []
        self.streams = streams
        spoken = protocol or negotiated

        def make_codec(client: Any) -> tuple[Any, HttpProtocol]:
            codec = FakeCodec(client, spoken, 1 if spoken is HTTP1 else self.streams)
            self.codecs.append(codec)
            return codec, spoken

        self.pool = ConnectionPool(
            self.host,
            settings=ClusterSettings(name="c", **settings),
            stats=self.stats,
            resources=self.resources,
            connector=self.connector,
            tls=None,
            dispatcher=self.dispatcher,
            codec_factory=make_codec,
            protocol=protocol,
            on_idle=self.idle.append,
            forget_when_idle=forget_when_idle,
        )

    def ask(self) -> Asker:
        asker = Asker()
        asker.wait = self.pool.new_stream(asker, asker)
        return asker

    @property
    def connections(self) -> list[FakeConnection]:
        return self.connector.connections

    def connected(self) -> Asker:
        """An asker with a stream on a new connection."""
        asker = self.ask()
        self.connector.last.established()
        return asker

    def count(self, *names: str) -> dict[str, int]:
        return {name: getattr(self.stats, f"upstream_{name}").value for name in names}


def test_the_first_request_waits_for_a_connection() -> None:
    world = World()
    asker = world.ask()
    assert asker.outcome == "waiting"
    assert asker.wait is not None
    assert world.count("rq_pending_active", "rq_pending_total", "cx_total", "cx_active", "cx_http1_total") == {
        "rq_pending_active": 1, "rq_pending_total": 1, "cx_total": 1, "cx_active": 1, "cx_http1_total": 1,
    }  # fmt: skip
    world.connector.last.established()
    assert (asker.outcome, asker.protocol, asker.connection) == ("ready", HTTP1, world.connector.last)
    assert world.count("rq_pending_active", "rq_active", "rq_total") == {
        "rq_pending_active": 0, "rq_active": 1, "rq_total": 1,
    }  # fmt: skip
    assert (world.host.stats.rq_active.value, world.host.stats.cx_active.value) == (1, 1)


def test_a_ready_connection_is_used_at_once() -> None:
    world = World()
    first = world.connected()
    first.ready.complete()
    second = world.ask()
    assert second.wait is None
    assert second.connection is first.connection
    assert world.count("cx_total", "rq_total", "rq_pending_total") == {
        "cx_total": 1,
        "rq_total": 2,
        "rq_pending_total": 1,
    }


def test_http1_carries_one_stream_at_a_time() -> None:
    world = World()
    askers = [world.ask() for _ in range(3)]
    assert len(world.connections) == 3
    for connection in world.connections:
        connection.established()
    assert [asker.outcome for asker in askers] == ["ready"] * 3
    assert [codec.most for codec in world.codecs] == [1, 1, 1]


def test_the_connection_used_last_is_taken_first() -> None:
    world = World()
    first, second = world.ask(), world.ask()
    for connection in world.connections:
        connection.established()
    second.ready.complete()
    first.ready.complete()
    assert world.ask().connection is first.connection


def test_who_waits_gets_the_next_free_connection_in_order() -> None:
    world = World(thresholds=ThresholdSettings(max_connections=1))
    first = world.connected()
    second, third = world.ask(), world.ask()
    assert world.count("cx_overflow", "cx_total") == {"cx_overflow": 2, "cx_total": 1}
    first.ready.complete()
    assert (second.outcome, third.outcome) == ("ready", "waiting")
    second.ready.complete()
    assert third.outcome == "ready"


def test_http2_carries_many() -> None:
    world = World(HTTP2)
    askers = [world.ask() for _ in range(50)]
    assert len(world.connections) == 1
    world.connector.last.established()
    assert {asker.outcome for asker in askers} == {"ready"}
    assert askers[0].protocol is HTTP2
    assert world.count("cx_http2_total", "cx_http1_total", "rq_active") == {
        "cx_http2_total": 1, "cx_http1_total": 0, "rq_active": 50,
    }  # fmt: skip


def test_more_than_a_connection_takes_begins_another() -> None:
    world = World(HTTP2, streams=2, http2=Http2Settings(max_concurrent_streams=2))
    askers = [world.ask() for _ in range(5)]
    assert len(world.connections) == 3
    for connection in list(world.connections):
        connection.established()
    assert {asker.outcome for asker in askers} == {"ready"}
    assert [codec.most for codec in world.codecs] == [2, 2, 1]


def test_a_lowered_limit_stops_new_streams_until_there_is_room() -> None:
    world = World(HTTP2)
    first, second, third = (world.ask() for _ in range(3))
    world.connector.last.established()
    world.codecs[0].settings(1)
    fourth = world.ask()
    assert fourth.outcome == "waiting"
    for asker in (first, second):
        asker.ready.complete()
    assert fourth.outcome == "waiting"
    third.ready.complete()
    assert (fourth.outcome, fourth.connection) == ("ready", world.connections[0])


def test_a_raised_limit_serves_who_waits() -> None:
    world = World(HTTP2, streams=1, thresholds=ThresholdSettings(max_connections=1))
    world.connected()
    second = world.ask()
    assert second.outcome == "waiting"
    world.codecs[0].settings(10)
    assert second.outcome == "ready"


def test_a_limit_that_is_known_holds_for_the_next_connection_from_its_start() -> None:
    world = World(HTTP2)
    world.connected()
    world.codecs[0].settings(2)
    askers = [world.ask() for _ in range(4)]
    assert len(world.connections) == 3
    world.connections[1].established()
    assert [asker.outcome for asker in askers] == ["ready", "ready", "ready", "waiting"]
    world.codecs[1].settings(10)
    assert askers[3].outcome == "ready"
    assert [codec.most for codec in world.codecs] == [2, 3]


def test_a_limit_of_none_at_all_keeps_the_connection() -> None:
    world = World(HTTP2)
    first = world.connected()
    world.codecs[0].settings(0)
    first.ready.complete()
    assert not world.connections[0].closed


# Circuit breakers


def test_too_many_waiting() -> None:
    world = World(thresholds=ThresholdSettings(max_pending_requests=1))
    world.ask()
    second = world.ask()
    assert (second.outcome, second.wait) == ("OVERFLOW", None)
    assert world.count("rq_pending_overflow", "rq_pending_total") == {"rq_pending_overflow": 1, "rq_pending_total": 1}


def test_too_many_requests() -> None:
    world = World(thresholds=ThresholdSettings(max_requests=1))
    world.connected()
    second = world.connected()
    assert second.outcome == "OVERFLOW"
    assert world.count("rq_active_overflow", "rq_pending_overflow", "rq_total") == {
        "rq_active_overflow": 1, "rq_pending_overflow": 0, "rq_total": 1,
    }  # fmt: skip


def test_a_pool_without_connections_may_begin_one_beyond_the_limit() -> None:
    world = World(thresholds=ThresholdSettings(max_connections=1))
    world.resources.connections.inc()  # another host's
    asker = world.connected()
    assert asker.outcome == "ready"
    assert world.count("cx_overflow") == {"cx_overflow": 1}


# Failures


@pytest.mark.parametrize(
    ("end", "outcome", "counted"),
    [
        (lambda c: c.remote_close("delayed connect error: Connection refused"), "REMOTE_CONNECTION_FAILURE", "remote"),
        (lambda c: c.time_out(), "TIMEOUT", "local"),
        (lambda c: c.fail_here("socket creation failure"), "LOCAL_CONNECTION_FAILURE", "local"),
    ],
)
def test_a_failed_connect_fails_all_who_wait(end: Any, outcome: str, counted: str) -> None:
    world = World(HTTP2)
    askers = [world.ask() for _ in range(3)]
    end(world.connector.last)
    assert {asker.outcome for asker in askers} == {outcome}
    assert askers[0].failure_text == world.connector.last.failure_reason
    assert world.count(
        "cx_connect_fail", "cx_connect_timeout", "cx_active", "cx_destroy", f"cx_destroy_{counted}",
        "rq_pending_failure_eject", "rq_pending_active", "rq_total",
    ) == {
        "cx_connect_fail": 1, "cx_connect_timeout": int(outcome == "TIMEOUT"), "cx_active": 0, "cx_destroy": 1,
        f"cx_destroy_{counted}": 1, "rq_pending_failure_eject": 3, "rq_pending_active": 0, "rq_total": 0,
    }  # fmt: skip
    assert world.host.stats.cx_connect_fail.value == 1


def test_the_connect_timeout_is_the_clusters() -> None:
    world = World(connect_timeout=0.25)
    asker = world.ask()
    world.dispatcher.advance(0.25)
    assert asker.outcome == "TIMEOUT"


def test_a_retry_from_within_a_failure_waits_for_the_next_connection() -> None:
    world = World()
    first = world.ask()
    retries: list[Asker] = []
    first.then = lambda: retries.append(world.ask())
    world.connector.last.remote_close()
    assert retries[0].outcome == "waiting"
    assert len(world.connections) == 2
    world.connector.last.established()
    assert retries[0].outcome == "ready"


def test_a_cancel_from_within_a_failure_holds() -> None:
    world = World(HTTP2)
    first, second = world.ask(), world.ask()
    first.then = second.wait.cancel
    world.connector.last.remote_close()
    assert (first.outcome, second.outcome) == ("REMOTE_CONNECTION_FAILURE", "waiting")
    assert world.count("rq_cancelled", "rq_pending_failure_eject", "rq_pending_active") == {
        "rq_cancelled": 1, "rq_pending_failure_eject": 1, "rq_pending_active": 0,
    }  # fmt: skip


def test_cancelled_requests_get_nothing() -> None:
    world = World()
    asker = world.ask()
    asker.wait.cancel()
    asker.wait.cancel()
    world.connector.last.established()
    assert asker.outcome == "waiting"
    assert world.count("rq_cancelled", "rq_pending_active", "rq_active") == {
        "rq_cancelled": 1, "rq_pending_active": 0, "rq_active": 0,
    }  # fmt: skip
    assert world.ask().outcome == "ready"


def test_streams_of_a_lost_connection_are_reset() -> None:
    world = World(HTTP2)
    first, second = world.ask(), world.ask()
    world.connector.last.established()
    world.connector.last.remote_close()
    assert first.reset is second.reset is StreamResetReason.CONNECTION_TERMINATION
    assert world.count(
        "rq_active", "cx_active", "cx_destroy_with_active_rq", "cx_destroy_remote_with_active_rq",
        "rq_pending_failure_eject",
    ) == {
        "rq_active": 0, "cx_active": 0, "cx_destroy_with_active_rq": 1, "cx_destroy_remote_with_active_rq": 1,
        "rq_pending_failure_eject": 2,
    }  # fmt: skip
    assert world.ask().outcome == "waiting"


def test_who_waited_for_a_lost_connection_gets_another() -> None:
    world = World(thresholds=ThresholdSettings(max_connections=1))
    world.connected()
    second = world.ask()
    world.connections[0].remote_close()
    assert len(world.connections) == 2
    world.connector.last.established()
    assert second.outcome == "ready"


@pytest.mark.parametrize(("protocol", "cut"), [(HTTP1, 1), (HTTP2, 0)])
def test_a_protocol_error_resets_and_closes(protocol: HttpProtocol, cut: int) -> None:
    world = World(protocol)
    first = world.connected()
    world.connector.last.receive(b"garbage")
    assert first.reset is StreamResetReason.PROTOCOL_ERROR
    assert world.connector.last.close_types == [CloseType.NO_FLUSH]
    assert world.count("cx_protocol_error", "cx_destroy_local_with_active_rq", "rq_pending_failure_eject") == {
        "cx_protocol_error": 1, "cx_destroy_local_with_active_rq": cut, "rq_pending_failure_eject": 0,
    }  # fmt: skip


def test_nobody_is_put_on_a_connection_that_broke_the_protocol() -> None:
    world = World(HTTP2, streams=1, thresholds=ThresholdSettings(max_connections=1))
    first, second = world.connected(), world.ask()
    world.connections[0].receive(b"garbage")
    assert first.reset is StreamResetReason.PROTOCOL_ERROR
    assert second.outcome == "waiting"
    assert len(world.connections) == 2


def test_a_response_cut_short_is_a_protocol_error_of_the_peer() -> None:
    world = World()
    first = world.connected()
    world.codecs[0].eof_error = True
    world.connector.last.receive_eof()
    assert first.reset is StreamResetReason.PROTOCOL_ERROR
    assert world.count("cx_protocol_error", "cx_destroy_remote_with_active_rq", "cx_destroy_local") == {
        "cx_protocol_error": 1, "cx_destroy_remote_with_active_rq": 1, "cx_destroy_local": 0,
    }  # fmt: skip


def test_an_idle_connection_that_the_peer_closes_is_not_used_again() -> None:
    world = World()
    world.connected().ready.complete()
    world.connector.last.receive_eof()
    assert world.ask().outcome == "waiting"
    assert world.count("cx_destroy_remote", "cx_destroy_with_active_rq") == {
        "cx_destroy_remote": 1, "cx_destroy_with_active_rq": 0,
    }  # fmt: skip


def test_a_cut_exchange_takes_its_connection_with_it() -> None:
    world = World()
    asker = world.connected()
    asker.ready.reset_stream(StreamResetReason.LOCAL_RESET)
    assert world.connector.last.closed
    assert world.count("rq_active", "cx_active", "cx_destroy_local_with_active_rq") == {
        "rq_active": 0, "cx_active": 0, "cx_destroy_local_with_active_rq": 1,
    }  # fmt: skip


# The end of connections


def test_a_reset_amid_a_response_is_a_protocol_error() -> None:
    for amid, errors in ((True, 1), (False, 0)):
        world = World()
        asker = world.connected()
        world.codecs[0].is_amid_message = amid
        world.connections[0].remote_close()
        reason = StreamResetReason.PROTOCOL_ERROR if amid else StreamResetReason.CONNECTION_TERMINATION
        assert asker.reset == reason
        assert world.count("cx_protocol_error") == {"cx_protocol_error": errors}


def test_connection_close_is_noted_and_obeyed() -> None:
    world = World()
    asker = world.connected()
    world.codecs[0].usable = False
    world.codecs[0].callbacks.on_close_notify()
    asker.ready.complete()
    assert world.connector.last.closed
    assert world.count("cx_close_notify", "cx_destroy_local", "cx_destroy_with_active_rq") == {
        "cx_close_notify": 1, "cx_destroy_local": 1, "cx_destroy_with_active_rq": 0,
    }  # fmt: skip


def test_bytes_behind_a_response_are_an_error_and_no_close_notify() -> None:
    world = World()
    asker = world.connected()
    codec = world.codecs[0]

    def respond() -> None:
        codec.usable = False
        asker.ready.complete()

    codec.on_dispatch = respond
    world.connector.last.receive(b"garbage")
    assert asker.reset is None
    assert world.count("cx_close_notify", "cx_protocol_error", "cx_destroy_with_active_rq") == {
        "cx_close_notify": 0, "cx_protocol_error": 1, "cx_destroy_with_active_rq": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("resets", "errors"), [(False, 1), (True, 0)])
def test_http2_closing_as_a_response_ends_counts_as_in_envoy(resets: bool, errors: int) -> None:
    world = World(HTTP2)
    asker = world.connected()
    codec = world.codecs[0]

    def respond() -> None:
        codec.callbacks.on_go_away(0)
        if resets:
            asker.ready.reset_stream(StreamResetReason.REMOTE_RESET)
        else:
            asker.ready.complete()

    codec.on_dispatch = respond
    world.connector.last.receive(b"frames")
    assert world.count("cx_protocol_error", "cx_destroy_local") == {"cx_protocol_error": errors, "cx_destroy_local": 1}


def test_going_away_lets_streams_finish() -> None:
    world = World(HTTP2)
    first = world.connected()
    world.codecs[0].callbacks.on_go_away(0)
    second = world.ask()
    assert second.outcome == "waiting"
    assert not world.connections[0].closed
    first.ready.complete()
    assert world.connections[0].closed
    assert world.count("cx_close_notify") == {"cx_close_notify": 1}


def test_going_away_without_streams_closes() -> None:
    world = World(HTTP2)
    world.connected().ready.complete()
    world.codecs[0].callbacks.on_go_away(0)
    assert world.connector.last.closed


@pytest.mark.parametrize("protocol", [HTTP1, HTTP2])
def test_max_requests_per_connection(protocol: HttpProtocol) -> None:
    world = World(protocol, max_requests_per_connection=2)
    world.connected().ready.complete()
    second = world.ask()
    assert second.connection is world.connections[0]
    assert world.count("cx_max_requests") == {"cx_max_requests": 1}
    third = world.connected()
    assert third.connection is world.connections[1]
    second.ready.complete()
    assert world.connections[0].closed
    assert world.count("cx_close_notify") == {"cx_close_notify": 0}


def test_the_idle_timeout_counts_from_the_last_request() -> None:
    world = World(idle_timeout=10.0)
    asker = world.connected()
    world.dispatcher.advance(100.0)
    assert not world.connector.last.closed
    asker.ready.complete()
    world.dispatcher.advance(9.0)
    again = world.ask()
    again.ready.complete()
    world.dispatcher.advance(9.9)
    assert not world.connector.last.closed
    world.dispatcher.advance(0.2)
    assert world.connector.last.closed
    assert world.count("cx_idle_timeout", "cx_destroy_local") == {"cx_idle_timeout": 1, "cx_destroy_local": 1}


def test_no_idle_timeout() -> None:
    world = World(idle_timeout=0.0)
    world.connected().ready.complete()
    world.dispatcher.advance(1e6)
    assert not world.connector.last.closed


def test_the_longest_life_of_a_connection() -> None:
    world = World(max_connection_duration=60.0)
    first = world.connected()
    world.dispatcher.advance(60.0)
    assert not world.connections[0].closed
    second = world.ask()
    assert second.outcome == "waiting"
    first.ready.complete()
    assert world.connections[0].closed
    assert world.count("cx_max_duration_reached") == {"cx_max_duration_reached": 1}


def test_bytes_and_times_are_counted() -> None:
    world = World()
    asker = world.ask()
    world.dispatcher.advance(0.25)
    world.connector.last.established()
    world.codecs[0].connection.write(b"12345")
    world.connector.last.receive(b"123")
    asker.ready.complete()
    world.dispatcher.advance(0.75)
    world.connector.last.remote_close()
    assert world.connector.last.take_written() == b"12345"
    assert world.count("cx_tx_bytes_total", "cx_rx_bytes_total") == {"cx_tx_bytes_total": 5, "cx_rx_bytes_total": 3}
    for histogram, value in (("connect_ms", 250), ("length_ms", 1000)):
        recorded = getattr(world.stats, f"upstream_cx_{histogram}")
        recorded.flush()
        [(bucket, _, count)] = recorded.cumulative.detailed()
        assert (bucket, count) == (value, 1)
    world.stats.upstream_rq_per_cx.flush()
    assert world.stats.upstream_rq_per_cx.cumulative.detailed()[0][0] == 1


def test_watermarks_go_to_the_codec() -> None:
    world = World()
    world.connected()
    world.connector.last.above_high_watermark()
    world.connector.last.below_low_watermark()
    assert world.codecs[0].dispatched == [b"<above>", b"<below>"]


# ALPN


@pytest.mark.parametrize("negotiated", [HTTP1, HTTP2])
def test_the_protocol_is_what_was_agreed_on(negotiated: HttpProtocol) -> None:
    world = World(None, negotiated=negotiated)
    askers = [world.ask() for _ in range(3)]
    assert len(world.connections) == 1
    assert world.count("cx_http1_total", "cx_http2_total") == {"cx_http1_total": 0, "cx_http2_total": 0}
    for connection in world.connections:  # grows while the pool finds out that it needs more
        connection.established()
    assert {(asker.outcome, asker.protocol) for asker in askers} == {("ready", negotiated)}
    assert len(world.connections) == (3 if negotiated is HTTP1 else 1)


# Draining and closing


def test_draining_lets_requests_finish() -> None:
    world = World(HTTP2)
    active = world.connected()
    world.pool.drain()
    assert not world.idle
    active.ready.complete()
    assert world.connections[0].closed
    assert world.idle == [world.pool]


def test_draining_closes_idle_connections_and_those_that_nobody_waits_for() -> None:
    world = World()
    world.connected().ready.complete()
    served, abandoned = world.ask(), world.ask()
    abandoned.wait.cancel()
    served.ready.complete()
    world.pool.drain()
    assert all(connection.closed for connection in world.connections)
    assert world.idle == [world.pool]


def test_draining_serves_who_waits() -> None:
    world = World()
    asker = world.ask()
    world.pool.drain()
    assert not world.connector.last.closed
    world.connector.last.established()
    assert asker.outcome == "ready"
    asker.ready.complete()
    assert world.connector.last.closed
    assert world.idle == [world.pool]


def test_a_cancel_ends_a_draining_pool() -> None:
    world = World()
    asker = world.ask()
    world.pool.drain()
    asker.wait.cancel()
    assert world.connector.last.closed
    assert world.idle == [world.pool]


def test_closing_fails_who_waits_and_begins_nothing() -> None:
    world = World(thresholds=ThresholdSettings(max_connections=1))
    active, waiting = world.connected(), world.ask()
    world.pool.close()
    assert waiting.outcome == "LOCAL_CONNECTION_FAILURE"
    assert active.reset is StreamResetReason.CONNECTION_TERMINATION
    assert len(world.connections) == 1
    assert world.idle == [world.pool]


def test_repr_tells_the_state() -> None:
    world = World(HTTP2)
    world.connected()
    assert repr(world.pool) == "<ConnectionPool 10.0.0.1:80 HTTP/2 connections=1 ready=1 pending=0>"
    assert repr(world.codecs[0].connection) == "<UpstreamConnection 10.0.0.1:80 ready streams=1>"


PEER_ACTS = ["eof", "reset", "garbage", "go_away", "settings"]


class PoolMachine(RuleBasedStateMachine):
    """Anything may happen in any order: the promises hold at every step, and all counts return to zero."""

    @initialize(
        protocol=sampled_from([HTTP1, HTTP2, None]),
        negotiated=sampled_from([HTTP1, HTTP2]),
        connections=sampled_from([1, 2, 1024]),
        pending=sampled_from([1, 3, 1024]),
        requests=sampled_from([1, 4, 1024]),
        per_connection=sampled_from([0, 1, 3]),
        duration=sampled_from([0.0, 20.0]),
    )
    def begin(
        self,
        protocol: HttpProtocol | None,
        negotiated: HttpProtocol,
        connections: int,
        pending: int,
        requests: int,
        per_connection: int,
        duration: float,
    ) -> None:
        self.world = World(
            protocol,
            negotiated=negotiated,
            streams=2,
            thresholds=ThresholdSettings(connections, pending, requests),
            max_requests_per_connection=per_connection,
            max_connection_duration=duration,
            idle_timeout=5.0,
        )
        self.askers: list[Asker] = []
        self.cancelled: list[Asker] = []

    def alive(self) -> list[FakeConnection]:
        return [connection for connection in self.world.connections if not connection.closed]

    def streams(self) -> list[Any]:
        return [stream for codec in self.world.codecs for stream in codec.streams]

    @rule()
    def ask(self) -> None:
        self.askers.append(self.world.ask())

    @rule()
    def ask_again_when_told(self) -> None:
        asker = self.world.ask()
        if asker.outcome == "waiting":
            asker.then = self.ask
        self.askers.append(asker)

    @precondition(lambda self: any(a.outcome == "waiting" and a not in self.cancelled for a in self.askers))
    @rule(data=data())
    def cancel(self, data: Any) -> None:
        waiting = [a for a in self.askers if a.outcome == "waiting" and a not in self.cancelled]
        asker = data.draw(sampled_from(waiting))
        self.cancelled.append(asker)
        asker.wait.cancel()

    @precondition(lambda self: any(not c.connected for c in self.alive()))
    @rule(data=data(), succeed=booleans())
    def finish_connecting(self, data: Any, succeed: bool) -> None:
        connection = data.draw(sampled_from([c for c in self.alive() if not c.connected]))
        if succeed:
            connection.established()
        else:
            connection.remote_close("refused")

    @precondition(lambda self: self.streams())
    @rule(data=data(), how=sampled_from(["complete", "close", "reset"]))
    def end_stream(self, data: Any, how: str) -> None:
        stream = data.draw(sampled_from(self.streams()))
        if how == "reset":
            stream.reset_stream(StreamResetReason.LOCAL_RESET)
            return
        if how == "close" and stream.codec.protocol is HTTP1:
            stream.codec.usable = False
        stream.complete()

    @precondition(lambda self: any(c.connected for c in self.alive()))
    @rule(
        data=data(), how=sampled_from(["eof", "reset", "garbage", "go_away", "settings"]), limit=sampled_from([0, 1, 3])
    )
    def peer_acts(self, data: Any, how: str, limit: int) -> None:
        connection = data.draw(sampled_from([c for c in self.alive() if c.connected]))
        codec = next(codec for codec in self.world.codecs if codec.connection.connection is connection)
        if how == "eof":
            connection.receive_eof()
        elif how == "reset":
            connection.remote_close()
        elif how == "garbage":
            connection.receive(b"garbage")
        elif codec.protocol is HTTP2 and how == "go_away":
            codec.callbacks.on_go_away(0)
        elif codec.protocol is HTTP2:
            codec.settings(limit)

    @rule(seconds=sampled_from([0.5, 6.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.world.dispatcher.advance(seconds)

    @rule()
    def drain(self) -> None:
        self.world.pool.drain()

    @invariant()
    def promises(self) -> None:
        if not hasattr(self, "world"):
            return
        stats, resources = self.world.stats, self.world.resources
        waiting = [a for a in self.askers if a.outcome == "waiting" and a not in self.cancelled]
        assert stats.upstream_rq_pending_active.value == resources.pending_requests.count == len(waiting)
        assert self.world.host.stats.rq_pending_active.value == len(waiting)
        assert self.world.host.stats.rq_active.value == len(self.streams())
        assert self.world.host.stats.cx_active.value == len(self.alive())
        assert stats.upstream_rq_active.value == resources.requests.count == len(self.streams())
        assert stats.upstream_cx_active.value == resources.connections.count == len(self.alive())
        assert resources.requests.count <= resources.requests.maximum
        assert resources.pending_requests.count <= resources.pending_requests.maximum
        assert not waiting or self.alive(), "somebody waits for nothing"
        assert all(codec.protocol is HTTP2 or codec.most <= 1 for codec in self.world.codecs)
        assert all(a.outcome == "waiting" for a in self.cancelled)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for asker in self.askers:
            asker.then = None
        self.world.pool.close()
        self.promises()
        assert not self.alive()
        assert self.world.pool.is_idle
        # A connection that agrees on its protocol counts once more then.
        twice = len(self.world.codecs) if self.world.pool.protocol is None else 0
        assert self.world.stats.upstream_cx_total.value == self.world.stats.upstream_cx_destroy.value + twice
        assert self.world.count("rq_active", "cx_active", "rq_pending_active") == {
            "rq_active": 0, "cx_active": 0, "rq_pending_active": 0,
        }  # fmt: skip


PoolMachine.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPoolInvariants = PoolMachine.TestCase


# Preconnecting


def test_without_preconnecting_a_stream_in_use_makes_no_connection() -> None:
    world = World()
    world.connected()
    assert len(world.connections) == 1


def test_preconnecting_keeps_room_for_the_next_stream() -> None:
    world = World(preconnect_ratio=1.5)
    world.ask()
    assert len(world.connections) == 2
    for connection in world.connections:
        connection.established()
    world.ask()
    # Two streams, and room for a third.
    assert len(world.connections) == 3


def test_preconnecting_counts_what_is_free() -> None:
    world = World(preconnect_ratio=3.0)
    world.ask()
    assert len(world.connections) == 3
    for connection in list(world.connections):
        connection.established()
    assert len(world.connections) == 3


def test_no_preconnecting_to_an_unhealthy_host() -> None:
    world = World(preconnect_ratio=3.0)
    world.host.health_flag_set(FAILED_ACTIVE_HC)
    world.connected()
    assert len(world.connections) == 1


def test_all_connections_can_be_drained_and_the_pool_goes_on() -> None:
    world = World()
    busy, idle = world.connected(), world.connected()
    assert busy.ready is not None
    assert idle.ready is not None
    idle.ready.complete()
    world.pool.drain_connections()
    assert [connection.closed for connection in world.connections] == [False, True]
    busy.ready.complete()
    assert world.connections[0].closed
    world.ask()
    assert len(world.connections) == 3
    assert world.idle == []


def test_an_option_that_cannot_be_set_is_no_timeout() -> None:
    world = World()
    asker = world.ask()
    world.connector.last.close_details = SOCKET_OPTION_FAILED
    world.connector.last.fail_here("")
    assert (asker.outcome, world.stats.upstream_cx_connect_timeout.value) == ("LOCAL_CONNECTION_FAILURE", 0)


def test_a_connection_for_a_stream_that_is_yet_to_come() -> None:
    world = World()
    assert world.pool.preconnect(1.5)
    assert not world.pool.preconnect(1.0), "one is enough"
    assert world.pool.preconnect(1.5), "one and a half is not"
    assert not world.pool.preconnect(1.5)
    assert (len(world.connections), world.pool.load) == (2, PoolLoad(0, 0, 2))
    world.host.health_flag_set(FAILED_ACTIVE_HC)
    assert not world.pool.preconnect(100.0), "nobody is sent to a host that is ill"


def test_no_connection_in_advance_beyond_the_limit() -> None:
    world = World(thresholds=ThresholdSettings(max_connections=1))
    assert world.pool.preconnect(5.0)
    assert not world.pool.preconnect(5.0)
    assert world.count("cx_overflow") == {"cx_overflow": 1}


def test_a_pool_of_few_is_forgotten_when_nothing_is_left() -> None:
    world = World(forget_when_idle=True)
    asker = world.connected()
    asker.ready.complete()
    assert world.idle == []
    world.connections[0].remote_close()
    assert world.idle == [world.pool]
