"""Requests for tunnels at the router: what waits for the host's word, which timeouts count, and CONNECT that ends here.

Statuses, details, flags and counts are those of the real Envoy 1.40 in the same situations.
"""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.headers import HeaderMap
from envoymesh.network.api import CloseType
from envoymesh.router.actions.cluster import ConnectConfig
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from tests.support.fakes import FakeConnection
from tests.support.router import RouterBench

PLAIN = ClusterAction("c", 1.0)
RETRIED = ClusterAction("c", 1.0, retry=RetryPolicy(frozenset({"5xx", "reset"}), 1, 0.2))
RAW = ClusterAction("c", 1.0, connect=ConnectConfig())


def asked(kind: str = "websocket", action: ClusterAction = PLAIN, method: bytes = b"GET", **bench: Any) -> RouterBench:
    """A request for a tunnel, with bytes behind it."""
    made = RouterBench(action, **bench)
    fields = {} if kind == "connect" else {"connection": "Upgrade", "upgrade": kind}
    made.send(end_stream=False, method=b"CONNECT" if kind == "connect" else method, **fields)
    made.data(b"early ")
    return made


HTTP1, HTTP2 = HttpProtocol.HTTP11, HttpProtocol.HTTP2


@pytest.mark.parametrize(
    ("kind", "protocol", "status", "agreed"),
    [
        ("websocket", HTTP1, 101, True),
        ("websocket", HTTP1, 403, False),
        ("websocket", HTTP2, 101, True),
        ("websocket", HTTP2, 403, True),
        ("foo", HTTP1, 101, True),
        ("foo", HTTP1, 200, False),
        ("foo", HTTP2, 201, True),
        ("foo", HTTP2, 403, False),
        ("connect", HTTP1, 200, True),
        ("connect", HTTP1, 201, True),
        ("connect", HTTP2, 200, True),
        ("connect", HTTP1, 403, False),
    ],
)
def test_bytes_wait_for_the_host_s_word(kind: str, protocol: HttpProtocol, status: int, agreed: bool) -> None:
    bench = asked(kind)
    bench.cluster.protocol = protocol
    stream = bench.cluster.ready()
    bench.data(b"late ")
    assert (stream.headers is not None, stream.body, stream.ended) == (True, b"", False)
    stream.begin(status)
    assert stream.body == (b"early late " if agreed else b"")
    assert bench.client.status == status
    bench.data(b"more")
    assert stream.body == (b"early late more" if agreed else b"")
    bench.destroy()
    bench.check_ended()


def test_what_waits_is_bounded_and_pauses_the_client() -> None:
    bench = asked(limit=8)
    stream = bench.cluster.ready()
    assert bench.client.paused == 0
    bench.data(b"too many")
    assert bench.client.paused == 1
    stream.begin(101)
    assert (bench.client.paused, stream.body) == (0, b"early too many")
    bench.destroy()
    bench.check_ended()


def test_an_end_and_trailers_wait_too() -> None:
    bench = asked("connect")
    stream = bench.cluster.ready()
    bench.filter.decode_trailers(HeaderMap([(b"t", b"1")]))
    assert (stream.body, stream.trailers) == (b"", None)
    stream.begin(200)
    assert (stream.body, stream.ended) == (b"early ", True)
    assert stream.trailers is not None


def test_an_upgrade_with_an_end_has_nothing_to_wait_with() -> None:
    bench = RouterBench(PLAIN)
    bench.send(connection="Upgrade", upgrade="websocket")
    assert bench.cluster.ready().ended_with_headers


@pytest.mark.parametrize("status", [200, 204, 302])
def test_a_websocket_s_handshake_that_is_neither_taken_nor_refused(status: int) -> None:
    bench = asked()
    stream = bench.cluster.ready()
    stream.begin(status, x_a="b", content_length="2")
    client = bench.client
    assert (client.status, client.body, client.ended, client.details) == (
        status, b"", True, "websocket_handshake_unsuccessful",
    )  # fmt: skip
    assert client.headers is not None
    assert client.headers.fields == [(b"x-a", b"b")]
    assert stream.reset is StreamResetReason.LOCAL_RESET
    assert bench.cluster.counts() == {}
    bench.check_ended()


def test_a_websocket_s_timeout_runs_from_its_beginning_to_the_switch() -> None:
    bench = asked()
    stream = bench.cluster.ready()
    bench.dispatcher.advance(1.0)
    assert (bench.client.status, bench.client.details, bench.info.flag_names()) == (504, "response_timeout", "UT")
    assert stream.reset is StreamResetReason.LOCAL_RESET
    bench.check_ended()
    bench = asked()
    stream = bench.cluster.ready()
    stream.begin(101)
    bench.dispatcher.advance(100.0)
    assert (bench.client.status, stream.reset) == (101, None)
    bench.destroy()
    bench.check_ended()


@pytest.mark.parametrize("kind", ["foo", "connect"])
def test_the_timeout_of_others_begins_with_the_client_s_end(kind: str) -> None:
    bench = asked(kind)
    stream = bench.cluster.ready()
    bench.dispatcher.advance(100.0)
    stream.begin(200 if kind == "connect" else 101)
    bench.data(b"", end_stream=True)
    bench.dispatcher.advance(1.0)
    assert (bench.client.reset, bench.client.details) == (StreamResetReason.LOCAL_RESET, "response_timeout")
    bench.check_ended()


def test_a_try_of_a_websocket_has_its_own_timeout() -> None:
    bench = asked(action=RETRIED)
    first = bench.cluster.ready()
    bench.dispatcher.advance(0.2)
    assert first.reset is StreamResetReason.LOCAL_RESET
    bench.dispatcher.advance(0.1)
    second = bench.cluster.ready()
    second.begin(101)
    assert second.body == b"early "
    bench.dispatcher.advance(100.0)
    assert second.reset is None
    second.fail(StreamResetReason.CONNECTION_TERMINATION)
    assert bench.client.details == "upstream_reset_after_response_started{connection_termination}"
    assert bench.info.flag_names() == "UC"
    bench.check_ended()


def test_nothing_is_kept_for_another_try_once_there_is_an_answer() -> None:
    bench = asked(action=RETRIED, limit=16)
    stream = bench.cluster.ready()
    stream.begin(101)
    bench.data(b"x" * 100)
    assert stream.body == b"early " + b"x" * 100
    assert bench.cluster.counts().get("retry_or_shadow_abandoned") is None


# CONNECT that ends here


def raw(action: ClusterAction = RAW, method: bytes = b"CONNECT", end_stream: bool = False) -> RouterBench:
    made = RouterBench(action)
    made.send(end_stream=end_stream, method=method)
    return made


def connection(bench: RouterBench) -> FakeConnection:
    return bench.cluster.connector.last


def test_bytes_go_to_a_connection_of_their_own() -> None:
    bench = raw()
    bench.data(b"early ")
    upstream = connection(bench)
    assert (bench.client.status, upstream.take_written()) == (None, b"")
    upstream.established()
    assert (bench.client.status, bench.client.ended, upstream.take_written()) == (200, False, b"early ")
    bench.data(b"late")
    upstream.receive(b"answer")
    assert (bench.client.body, upstream.take_written()) == (b"answer", b"late")
    assert bench.info.upstream_protocol is None
    assert bench.cluster.stats.upstream_rq_active.value == 1
    meter = bench.info.upstream_meter
    assert meter is not None
    assert (meter.wire_bytes_received, meter.wire_bytes_sent) == (6, 10)
    assert (meter.header_bytes_received, meter.header_bytes_sent) == (0, 0)
    bench.destroy()
    assert upstream.closed
    assert bench.cluster.counts()["upstream_cx_destroy_local_with_active_rq"] == 1
    bench.check_ended()


def test_the_host_s_end_is_the_answer_s() -> None:
    bench = raw()
    upstream = connection(bench)
    upstream.established()
    upstream.receive(b"bye")
    upstream.receive_eof()
    assert (bench.client.body, bench.client.ended) == (b"bye", True)
    assert upstream.closed
    bench.check_ended()


def test_both_ends_leave_a_connection_that_nobody_uses() -> None:
    bench = raw()
    upstream = connection(bench)
    upstream.established()
    bench.data(b"all", end_stream=True)
    assert (upstream.write_ended, upstream.closed) == (True, False)
    upstream.receive_eof()
    assert (bench.client.ended, upstream.closed) == (True, True)
    counts = bench.cluster.counts()
    assert "upstream_cx_destroy_with_active_rq" not in counts
    assert (counts["upstream_cx_destroy"], bench.cluster.stats.upstream_rq_active.value) == (1, 0)
    assert bench.cluster.resource_manager().requests.count == 0
    bench.check_ended()


def test_an_end_at_once_and_trailers_end_this_side() -> None:
    bench = raw(end_stream=True)
    connection(bench).established()
    assert connection(bench).write_ended
    bench = raw()
    connection(bench).established()
    bench.filter.decode_trailers(HeaderMap([(b"t", b"1")]))
    assert connection(bench).write_ended


def test_the_host_resets() -> None:
    bench = raw()
    connection(bench).established()
    connection(bench).reset()
    assert (bench.client.reset, bench.info.flag_names()) == (StreamResetReason.LOCAL_RESET, "UC")
    bench.check_ended()


def test_nobody_is_there() -> None:
    bench = raw()
    connection(bench).remote_close("delayed connect error: Connection refused")
    assert (bench.client.status, bench.info.flag_names()) == (503, "UF")
    assert bench.cluster.counts()["upstream_cx_connect_fail"] == 1
    bench.check_ended()


def test_the_client_goes_while_it_is_connected_to() -> None:
    bench = raw()
    bench.destroy()
    assert connection(bench).closed
    assert bench.cluster.counts()["upstream_rq_cancelled"] == 1
    bench.check_ended()


def test_both_ways_hold_back() -> None:
    bench = raw()
    upstream = connection(bench)
    upstream.established()
    upstream.above_high_watermark()
    assert bench.client.paused == 1
    upstream.below_low_watermark()
    assert bench.client.paused == 0
    bench.filter.on_above_write_buffer_high_watermark()
    assert upstream.read_disable_count == 1
    bench.filter.on_below_write_buffer_low_watermark()
    assert upstream.read_disable_count == 0


@pytest.mark.parametrize(
    ("method", "allow_post", "over_tcp"),
    [(b"CONNECT", False, True), (b"POST", True, True), (b"POST", False, False), (b"GET", True, False)],
)
def test_which_methods_end_here(method: bytes, allow_post: bool, over_tcp: bool) -> None:
    bench = raw(ClusterAction("c", connect=ConnectConfig(allow_post)), method)
    assert (len(bench.cluster.waits), len(bench.cluster.connector.connections)) == ((0, 1) if over_tcp else (1, 0))
    bench.destroy()


def test_a_connection_is_closed_at_once_when_the_client_goes() -> None:
    bench = raw()
    upstream = connection(bench)
    upstream.established()
    bench.data(b"unsent")
    bench.destroy()
    assert upstream.close_types == [CloseType.NO_FLUSH]
