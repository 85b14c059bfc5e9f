"""HTTP/2 clients that are asked whether they live, and do not answer."""

from __future__ import annotations

from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.settings import KeepaliveSettings
from tests.parity import frames as f
from tests.unit.filters.network.http_connection_manager.test_connection_manager import Edge


def edge() -> Edge:
    return Edge(codec_type="HTTP2", http2=Http2Settings(keepalive=KeepaliveSettings(1.0, 1.0, 0.0)))


def test_a_client_that_does_not_answer_is_let_go() -> None:
    made = edge()
    made.connection.receive(f.hello())
    made.dispatcher.advance(1.5)
    assert b"\x00\x00\x08\x06" in b"".join(made.connection.written), "a PING"
    assert not made.connection.closed
    made.dispatcher.advance(1.0)
    assert (made.connection.closed, made.connection.close_details) == (True, "http2_ping_timeout")
    assert made.context.http2_stats.keepalive_timeout.value == 1
    assert not made.dispatcher.timers


def test_a_client_that_answers_stays() -> None:
    made = edge()
    made.connection.receive(f.hello())
    for _ in range(3):
        made.dispatcher.advance(1.1)
        made.connection.receive(f.frame(f.PING, f.ACK, 0, b"12345678"))
    assert not made.connection.closed
    assert made.context.http2_stats.keepalive_timeout.value == 0


def test_its_requests_end_as_if_it_had_gone() -> None:
    made = edge()
    made.connection.receive(f.hello(f.headers(f.request())))
    made.dispatcher.advance(2.5)
    assert made.lines == [b"/2/a 0 DC downstream_local_disconnect(http2_ping_timeout) 0 0 2000\n"]
    assert made.stats.downstream_cx_destroy_remote_active_rq.value == 1
