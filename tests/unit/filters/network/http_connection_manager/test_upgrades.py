"""Upgrades at the edge: which are taken, what is kept of their headers, and what a drain leaves alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from envoymesh.filters.network.http_connection_manager.upgrades import UpgradeKind, upgrade_filters
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory
from envoymesh.http.headers import ResponseHeaders
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import Flag, FrameType, frame
from envoymesh.http.http2.hpack import Encoder
from envoymesh.router.actions.cluster import ClusterAction
from envoymesh.router.match.conditions import IsConnect
from envoymesh.router.paths import ConnectPath, PrefixPath
from envoymesh.router.table import Route, RouteTable, VirtualHost
from tests.unit.filters.network.http_connection_manager.test_connection_manager import GOAWAY, HTTP2_START, Edge

OTHERS, OWN = FilterChainFactory([]), FilterChainFactory([])
WEBSOCKET = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


@pytest.mark.parametrize(
    ("kinds", "of_route", "expected"),
    [
        ({}, {}, None),
        ({b"a": UpgradeKind(True, None)}, {}, OTHERS),
        ({b"a": UpgradeKind(True, OWN)}, {}, OWN),
        ({b"a": UpgradeKind(False, OWN)}, {}, None),
        ({b"a": UpgradeKind(False, OWN)}, {b"a": True}, OWN),
        ({b"a": UpgradeKind(True, OWN)}, {b"a": False}, None),
        ({b"b": UpgradeKind(True, OWN)}, {b"b": True}, None),
        ({}, {b"a": True}, OTHERS),
    ],
)
def test_who_takes_an_upgrade(
    kinds: Mapping[bytes, UpgradeKind], of_route: Mapping[bytes, bool], expected: FilterChainFactory | None
) -> None:
    assert upgrade_filters(kinds, b"a", of_route, OTHERS) is expected


def edge(*names: str, **upgrades: bool) -> Edge:
    """A connection manager that takes these kinds, with a route that says this of them."""
    action = ClusterAction("c", upgrades={name.encode(): taken for name, taken in upgrades.items()})
    table = RouteTable("r", [VirtualHost("v", [b"*"], [Route("", PrefixPath(b"/"), action)])])
    return Edge(routes=table, upgrades={name.encode(): UpgradeKind(True, None) for name in names})


def gauge(made: Edge) -> tuple[int, int]:
    return made.stats.downstream_cx_upgrades_total.value, made.stats.downstream_cx_upgrades_active.value


def test_a_switch_and_what_follows() -> None:
    made = edge("websocket")
    assert made.receive(WEBSOCKET + b"in") == b""
    assert made.upstream.seen.headers.fields[:2] == SWITCH
    assert gauge(made) == (1, 1)
    made.upstream.decoder_callbacks.encode_headers(ResponseHeaders(101, list(SWITCH)), False, "via_upstream")
    written = made.written
    assert written.startswith(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n")
    assert b"close" not in written
    assert made.receive(b"more") == b""
    made.upstream.decoder_callbacks.encode_data(b"out", False)
    assert made.written == b"out"
    assert made.upstream.seen.data == b"inmore"
    made.connection.remote_close()
    assert gauge(made) == (1, 0)
    assert made.lines == [b"/x 101 DC downstream_remote_disconnect 6 3 0\n"]


def test_a_drain_leaves_a_switch_as_it_is() -> None:
    made = edge("websocket")
    made.drain_close = True
    made.receive(WEBSOCKET)
    made.upstream.decoder_callbacks.encode_headers(ResponseHeaders(101, list(SWITCH)), False, "via_upstream")
    assert b"connection: Upgrade\r\n" in made.written
    assert not made.connection.closed


def test_a_refused_upgrade_says_so_and_takes_nothing_more() -> None:
    made = edge()
    answer = made.receive(WEBSOCKET + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"connection: close\r\n" in answer
    assert (made.upstreams, made.stats.downstream_rq_ws_on_non_ws_route.value, gauge(made)) == ([], 1, (0, 0))


def test_an_upgrade_without_a_route_is_answered_as_any_request() -> None:
    made = Edge(routes=RouteTable("r", []))
    made.receive(WEBSOCKET)
    assert len(made.upstreams) == 1
    assert made.stats.downstream_rq_ws_on_non_ws_route.value == 0


def test_connect_counts_as_an_upgrade() -> None:
    action = ClusterAction("c", upgrades={b"connect": True})
    route = Route("", ConnectPath(), action, conditions=[IsConnect()])
    made = Edge(routes=RouteTable("r", [VirtualHost("v", [b"*"], [route])]))
    made.receive(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nin")
    assert gauge(made) == (1, 1)
    made.upstream.decoder_callbacks.encode_headers(ResponseHeaders(200), False, "via_upstream")
    assert b"connection" not in made.written
    assert made.upstream.seen.data == b"in"


@pytest.mark.parametrize(("status", "more"), [(101, b"\r\n"), (200, b"content-length: 0\r\n\r\n")])
def test_an_answer_with_the_fields_of_an_upgrade_keeps_them(status: int, more: bytes) -> None:
    made = edge("websocket")
    made.receive(WEBSOCKET)
    headers = ResponseHeaders(status, [*SWITCH, (b"keep-alive", b"5")])
    made.upstream.decoder_callbacks.encode_headers(headers, False, "via_upstream")
    written = made.written.partition(b"\r\n")[2]
    assert written.startswith(b"connection: Upgrade\r\nupgrade: websocket\r\ndate: ")
    assert written.endswith(b"server: envoy\r\n" + more)


def test_request_timeout_is_over_with_the_switch() -> None:
    table = edge("websocket").manager.route_table
    made = Edge(routes=table, upgrades={b"websocket": UpgradeKind(True, None)}, request_timeout=1.0)
    made.receive(WEBSOCKET)
    made.upstream.decoder_callbacks.encode_headers(ResponseHeaders(101, list(SWITCH)), False, "via_upstream")
    made.dispatcher.advance(2.0)
    assert not made.connection.closed


def test_a_refused_upgrade_by_http2_says_goodbye() -> None:
    made = Edge(routes=edge().manager.route_table, http2=Http2Settings(allow_connect=True))
    fields = [(b":method", b"CONNECT"), (b":protocol", b"foo"), (b":scheme", b"http"), (b":path", b"/")]
    block = Encoder().encode([*fields, (b":authority", b"a")])
    head = frame(FrameType.HEADERS, Flag.END_HEADERS, 1, block)
    written = made.receive(HTTP2_START + head)
    assert GOAWAY in written
    assert made.stats.downstream_rq_4xx.value == 1
