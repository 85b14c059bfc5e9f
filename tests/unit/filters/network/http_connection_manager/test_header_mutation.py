"""Headers at the edge: tables of settings, what came in, what goes on."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from envoymesh.filters.network.http_connection_manager.header_mutation import (
    Peer,
    mutate_request_headers,
    mutate_response_headers,
    set_server,
)
from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_upgrade
from envoymesh.network.api import PipeAddress
from envoymesh.router.table import RouteTable
from tests.support.fakes import FakeConnection

ID = b"00000000-0000-4000-8000-000000000000"
REMOTE = "5.5.5.5"
INTERNAL_NETWORKS = (ipaddress.ip_network("10.0.0.0/8"),)

Fields = list[tuple[bytes, bytes]]


def settings(**options: Any) -> HttpConnectionManagerSettings:
    return HttpConnectionManagerSettings(
        "t", RouteTable("r", []), FilterChainFactory([]), local_address="192.168.1.9", **options
    )


def mutate(
    fields: Fields, *, remote: str = REMOTE, scheme: bytes = b"http", upgrade: bool = False, **options: Any
) -> tuple[Fields, str]:
    """What the request has afterwards, and the trusted address."""
    headers = RequestHeaders(b"GET", b"/", b"a", fields=list(fields))
    peer = Peer(remote, scheme, b"8080")
    trusted = mutate_request_headers(headers, settings(**options), peer, RequestIdGenerator(bytes), is_upgrade=upgrade)
    assert headers.index == dict(reversed(headers.fields))
    return headers.fields, trusted


def fields_of(*pairs: tuple[str, str]) -> Fields:
    return [(name.encode(), value.encode()) for name, value in pairs]


PROTO, REQUEST_ID = (b"x-forwarded-proto", b"http"), (b"x-request-id", ID)


def test_a_plain_request_gets_two_headers() -> None:
    assert mutate([(b"accept", b"*/*")]) == ([(b"accept", b"*/*"), PROTO, REQUEST_ID], REMOTE)


def test_tls_shows_in_the_forwarded_proto() -> None:
    assert (b"x-forwarded-proto", b"https") in mutate([], scheme=b"https")[0]


@pytest.mark.parametrize(
    ("forwarded", "scheme", "expected"),
    [(None, b"", b"http"), (b"https", b"", b"https"), (b"gopher", b"", b"http"), (b"http", b"https", b"https")],
)
def test_the_scheme_follows_the_forwarded_proto(forwarded: bytes | None, scheme: bytes, expected: bytes) -> None:
    fields = [] if forwarded is None else [(b"x-forwarded-proto", forwarded)]
    headers = RequestHeaders(b"GET", b"/", b"a", scheme, fields)
    peer = Peer(REMOTE, b"http", b"80")
    mutate_request_headers(headers, settings(), peer, RequestIdGenerator(bytes), is_upgrade=False)
    assert headers.scheme == expected


@pytest.mark.parametrize(
    ("xff", "options", "expected", "trusted"),
    [
        (None, {}, REMOTE, REMOTE),
        ("1.1.1.1", {}, f"1.1.1.1,{REMOTE}", REMOTE),
        ("1.1.1.1, 2.2.2.2", {"xff_num_trusted_hops": 1}, f"1.1.1.1, 2.2.2.2,{REMOTE}", "2.2.2.2"),
        ("1.1.1.1, 2.2.2.2", {"xff_num_trusted_hops": 2}, f"1.1.1.1, 2.2.2.2,{REMOTE}", "1.1.1.1"),
        ("1.1.1.1", {"xff_num_trusted_hops": 3}, f"1.1.1.1,{REMOTE}", REMOTE),
        ("1.1.1.1", {"skip_xff_append": True}, "1.1.1.1", REMOTE),
        ("nobody", {"xff_num_trusted_hops": 1}, f"nobody,{REMOTE}", REMOTE),
    ],
)
def test_forwarded_for_at_the_edge(xff: str | None, options: dict[str, Any], expected: str, trusted: str) -> None:
    fields, found = mutate(fields_of(*([("x-forwarded-for", xff)] if xff else [])), use_remote_address=True, **options)
    assert HeaderMap(fields).get(b"x-forwarded-for") == expected.encode()
    assert found == trusted
    assert HeaderMap(fields).get(b"x-envoy-external-address") == trusted.encode()


@pytest.mark.parametrize("remote", ["127.0.0.1", "::1"])
def test_a_loopback_peer_is_shown_as_the_machine(remote: str) -> None:
    fields, _ = mutate([], remote=remote, use_remote_address=True)
    assert HeaderMap(fields).get(b"x-forwarded-for") == b"192.168.1.9"


@pytest.mark.parametrize(
    ("xff", "hops", "trusted"),
    [("1.1.1.1", 0, "1.1.1.1"), ("1.1.1.1,2.2.2.2", 0, "2.2.2.2"), ("1.1.1.1,2.2.2.2", 1, "1.1.1.1")],
)
def test_the_trusted_address_inside(xff: str, hops: int, trusted: str) -> None:
    fields, found = mutate(fields_of(("x-forwarded-for", xff)), xff_num_trusted_hops=hops)
    assert found == trusted
    assert HeaderMap(fields).get(b"x-forwarded-for") == xff.encode()


def test_the_last_of_several_forwarded_for_lines_is_trusted() -> None:
    lines = fields_of(("x-forwarded-for", "10.1.1.1"), ("x-forwarded-for", "2.2.2.2"))
    assert mutate(lines)[1] == "2.2.2.2"
    assert mutate(lines, use_remote_address=True, xff_num_trusted_hops=1)[1] == "2.2.2.2"


def test_a_client_at_the_edge_does_not_say_by_what_it_came() -> None:
    fields, _ = mutate(fields_of(("x-forwarded-proto", "https")), use_remote_address=True)
    assert HeaderMap(fields).get_all(b"x-forwarded-proto") == [b"http"]
    behind, _ = mutate(fields_of(("x-forwarded-proto", "https")), use_remote_address=True, xff_num_trusted_hops=1)
    assert HeaderMap(behind).get_all(b"x-forwarded-proto") == [b"https"]


@pytest.mark.parametrize(
    ("xff", "internal"), [("10.1.1.1", True), ("5.5.5.5,10.1.1.1", False), ("10.1.1.1,10.1.1.2", False)]
)
def test_what_came_through_a_proxy_is_not_internal(xff: str, internal: bool) -> None:
    fields, _ = mutate(fields_of(("x-forwarded-for", xff)), internal_networks=INTERNAL_NETWORKS)
    assert (HeaderMap(fields).get(b"x-envoy-internal") == b"true") is internal


def test_the_forwarded_port() -> None:
    fields, _ = mutate([], use_remote_address=True, append_x_forwarded_port=True)
    assert (b"x-forwarded-port", b"8080") in fields


@pytest.mark.parametrize(
    ("options", "given_id", "expected"),
    [
        ({}, None, ID),
        ({}, b"abc", b"abc"),
        ({"use_remote_address": True}, b"abc", ID),
        ({"use_remote_address": True, "preserve_external_request_id": True}, b"abc", b"abc"),
        ({"generate_request_id": False}, None, None),
        ({"generate_request_id": False, "use_remote_address": True}, b"abc", b"abc"),
    ],
)
def test_request_ids(options: dict[str, Any], given_id: bytes | None, expected: bytes | None) -> None:
    fields, _ = mutate([] if given_id is None else [(b"x-request-id", given_id)], **options)
    assert HeaderMap(fields).get(b"x-request-id") == expected


@pytest.mark.parametrize("options", [{}, {"use_remote_address": True, "internal_networks": INTERNAL_NETWORKS}])
def test_nobody_is_believed_to_have_seen_a_certificate(options: dict[str, Any]) -> None:
    fields, _ = mutate([(b"x-forwarded-client-cert", b"Hash=1"), (b"a", b"b")], remote="10.1.1.1", **options)
    assert HeaderMap(fields).get(b"x-forwarded-client-cert") is None
    assert (b"a", b"b") in fields


ENVOYS_OWN = frozenset(
    f"x-envoy-{name}".encode()
    for name in (
        "expected-rq-timeout-ms", "force-trace", "hedge-on-per-try-timeout", "internal", "ip-tags", "max-retries",
        "original-url", "retriable-header-names", "retriable-status-codes", "retry-grpc-on", "retry-on",
        "upstream-alt-stat-name", "upstream-rq-per-try-timeout-ms", "upstream-rq-timeout-alt-response",
        "upstream-rq-timeout-ms",
    )
)  # fmt: skip
"""What no client from outside may set (ConnectionManagerUtility::cleanInternalHeaders)."""

EDGE = (b"x-envoy-decorator-operation", b"x-envoy-original-path", b"x-envoy-downstream-service-node")


@pytest.mark.parametrize(
    ("options", "remote", "kept"),
    [
        ({}, REMOTE, set(EDGE)),
        ({"use_remote_address": True}, REMOTE, set()),
        ({"use_remote_address": True, "internal_networks": INTERNAL_NETWORKS}, "10.1.1.1",
         {*EDGE, *ENVOYS_OWN}),
        ({"use_remote_address": True, "internal_networks": INTERNAL_NETWORKS}, REMOTE, set()),
    ],
)  # fmt: skip
def test_envoy_headers_from_outside(options: dict[str, Any], remote: str, kept: set[bytes]) -> None:
    given_fields = [(name, b"1") for name in (*sorted(ENVOYS_OWN), *EDGE)]
    fields, _ = mutate(given_fields, remote=remote, **options)
    left = {name for name, _ in fields if name.startswith(b"x-envoy-")} - {b"x-envoy-external-address"}
    assert left == kept
    if b"x-envoy-internal" in kept:
        assert HeaderMap(fields).get_all(b"x-envoy-internal") == [b"true"]


@pytest.mark.parametrize(
    ("given_fields", "expected"),
    [
        ([("connection", "keep-alive"), ("keep-alive", "5"), ("proxy-connection", "a"), ("a", "b")], [("a", "b")]),
        ([("connection", "foo, Bar"), ("foo", "1"), ("bar", "2"), ("baz", "3")], [("baz", "3")]),
        ([("connection", "foo"), ("connection", "bar"), ("foo", "1"), ("bar", "2")], []),
        ([("connection", "content-length"), ("content-length", "3")], []),
        ([("connection", "te"), ("te", "trailers")], [("te", "trailers")]),
        ([("te", "trailers")], [("te", "trailers")]),
        ([("te", "gzip, trailers")], [("te", "trailers")]),
        ([("te", "trailers;q=1")], []),
        ([("te", "gzip")], []),
        ([("upgrade", "websocket")], []),
    ],
)
def test_hop_by_hop(given_fields: list[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    fields, _ = mutate(fields_of(*given_fields))
    assert fields == [*fields_of(*expected), PROTO, REQUEST_ID]


def test_an_upgrade_keeps_its_headers() -> None:
    given_fields = fields_of(("connection", "upgrade"), ("upgrade", "websocket"))
    assert mutate(given_fields, upgrade=True)[0][:2] == given_fields


def test_via_and_user_agent() -> None:
    fields, _ = mutate(fields_of(("via", "1.1 me")), via=b"mesh", user_agent=b"cluster", node_id=b"node")
    headers = HeaderMap(fields)
    assert headers.get(b"via") == b"1.1 me, mesh"
    assert headers.get(b"user-agent") == b"cluster"
    assert headers.get(b"x-envoy-downstream-service-cluster") == b"cluster"
    assert headers.get(b"x-envoy-downstream-service-node") == b"node"
    assert HeaderMap(mutate(fields_of(("user-agent", "c")), user_agent=b"u")[0]).get(b"user-agent") == b"c"


def test_internal_only_headers_go_at_the_edge() -> None:
    table = RouteTable("r", [], internal_only=[b"x-secret"])
    headers = RequestHeaders(b"GET", b"/", b"a", fields=[(b"x-secret", b"1")])
    edge = HttpConnectionManagerSettings("t", table, FilterChainFactory([]), use_remote_address=True)
    mutate_request_headers(headers, edge, Peer(REMOTE, b"http", b"1"), RequestIdGenerator(bytes), is_upgrade=False)
    assert b"x-secret" not in headers


def response(fields: Fields, request: Fields, **options: Any) -> Fields:
    headers = ResponseHeaders(200, list(fields))
    of = RequestHeaders(b"GET", b"/", b"a", fields=list(request))
    mutate_response_headers(headers, settings(**options), of, is_upgrade=False)
    return headers.fields


def test_responses() -> None:
    hop = fields_of(("connection", "close"), ("keep-alive", "5"), ("upgrade", "h2c"), ("transfer-encoding", "chunked"))
    assert response([*hop, (b"a", b"b")], []) == [(b"a", b"b")]
    request = [(b"x-request-id", b"1")]
    assert response([], request) == []
    assert response([(b"x-request-id", b"9")], request, always_set_request_id_in_response=True) == request
    assert response([], [*request, (b"x-envoy-force-trace", b"1")]) == request
    assert response([(b"via", b"a")], [], via=b"b") == [(b"via", b"a, b")]


@pytest.mark.parametrize(
    ("how", "given_server", "expected"),
    [
        ("OVERWRITE", b"up", b"front"),
        ("OVERWRITE", None, b"front"),
        ("APPEND_IF_ABSENT", b"up", b"up"),
        ("APPEND_IF_ABSENT", None, b"front"),
        ("PASS_THROUGH", b"up", b"up"),
        ("PASS_THROUGH", None, None),
    ],
)
def test_the_server_header(how: str, given_server: bytes | None, expected: bytes | None) -> None:
    headers = ResponseHeaders(200, [] if given_server is None else [(b"server", given_server)])
    set_server(headers, settings(server_name=b"front", server_header_transformation=how))
    assert headers.get(b"server") == expected


def test_append_joins_what_is_there() -> None:
    headers = HeaderMap([(b"a", b"1"), (b"b", b"x"), (b"a", b"2")])
    headers.append(b"a", b"3")
    assert headers.fields == [(b"a", b"1,2,3"), (b"b", b"x")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("connection", "Upgrade"), ("upgrade", "a")], True),
        ([("connection", "a, upgrade"), ("upgrade", "a")], True),
        ([("connection", "upgrade")], False),
        ([("upgrade", "a")], False),
        ([("connection", "close"), ("upgrade", "a")], False),
    ],
)
def test_what_an_upgrade_is(fields: list[tuple[str, str]], expected: bool) -> None:
    assert is_upgrade(HeaderMap(fields_of(*fields))) is expected


@pytest.mark.parametrize("given", [(), ((b"x-forwarded-for", b"192.0.2.7"),)])
def test_a_peer_without_an_ip_adds_none(given: Fields) -> None:
    fields, trusted = mutate(
        list(given), remote="", use_remote_address=True, append_x_forwarded_port=True,
        internal_networks=(ipaddress.ip_network("0.0.0.0/0"),),
    )  # fmt: skip
    names = {name for name, _ in fields}
    assert [pair for pair in fields if pair[0] == b"x-forwarded-for"] == list(given)
    assert trusted == ""
    assert names.isdisjoint((b"x-envoy-external-address", b"x-envoy-internal"))


def test_what_a_pipe_says_of_its_peer() -> None:
    connection = FakeConnection()
    connection.local_address = connection.remote_address = PipeAddress("/run/a.sock")
    assert Peer.of(connection) == Peer("", b"http", b"")
    headers = RequestHeaders(b"GET", b"/", b"a")
    edge = settings(use_remote_address=True, append_x_forwarded_port=True)
    mutate_request_headers(headers, edge, Peer.of(connection), RequestIdGenerator(bytes), is_upgrade=False)
    assert headers.get(b"x-forwarded-port") is None
