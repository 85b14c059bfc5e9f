"""HTTP checks: what is sent, which answers are good, and when a connection is used again."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.network.settings import CommonTlsSettings, UpstreamTlsSettings
from envoymesh.upstream.health.http import has_all
from envoymesh.upstream.health.settings import EndpointHealthCheck, HttpHealthCheckSettings
from envoymesh.upstream.host import EXCLUDED_VIA_IMMEDIATE_HC_FAIL, FAILED_ACTIVE_HC
from tests.parity import frames
from tests.support.health import OK, WRONG, Checks


def http(**settings: Any) -> HttpHealthCheckSettings:
    return HttpHealthCheckSettings(b"/hc", **settings)


TAKES_OUT = b"x-envoy-immediate-health-check-fail: true"
TAKEN_OUT = FAILED_ACTIVE_HC | EXCLUDED_VIA_IMMEDIATE_HC_FAIL


def response(status: int = 200, body: bytes = b"", *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *headers, b"", body])


def test_the_request() -> None:
    checks = Checks()
    checks.begin()
    assert checks.connected().take_written() == b"GET /hc HTTP/1.1\r\nhost: c\r\nuser-agent: Envoy/HC\r\n\r\n"


def test_the_request_as_configured() -> None:
    def mutate(headers: Any, address: Any, is_http2: bool) -> None:
        headers.add(b"x-to", f"{address} {is_http2}".encode())

    checks = Checks(http(host=b"h", method=b"POST", send=b"hello", mutate_headers=mutate))
    checks.begin()
    assert checks.connected().take_written() == (
        b"POST /hc HTTP/1.1\r\nhost: h\r\nuser-agent: Envoy/HC\r\nx-to: 10.0.0.1:80 False\r\n"
        b"content-length: 5\r\n\r\nhello"
    )


def test_the_endpoint_has_a_name_of_its_own() -> None:
    checks = Checks(http(host=b"h"))
    checks.begin(checks.host(1, hostname="not-this", health_check=EndpointHealthCheck(hostname="own")))
    assert b"host: own\r\n" in checks.connected().take_written()


@pytest.mark.parametrize(
    ("settings", "answer", "flags"),
    [
        ({}, response(200), 0),
        ({}, response(201), FAILED_ACTIVE_HC),
        ({"expected_statuses": ((200, 300), (418, 419))}, response(418), 0),
        ({"expected_statuses": ((200, 300), (418, 419))}, response(300), FAILED_ACTIVE_HC),
        ({"receive": (b"a", b"c")}, response(200, b"abc"), 0),
        ({"receive": (b"c", b"a")}, response(200, b"abc"), FAILED_ACTIVE_HC),
        ({"receive": (b"abc",), "response_buffer_size": 2}, response(200, b"abc"), FAILED_ACTIVE_HC),
        ({"receive": (b"z",), "response_buffer_size": 0}, response(200, b"a" * 5000 + b"z"), 0),
        ({"receive": (b"a",)}, response(503, b"a"), FAILED_ACTIVE_HC),
        ({}, response(503, b"", TAKES_OUT), TAKEN_OUT),
        ({"receive": (b"a",)}, response(200, b"", TAKES_OUT), TAKEN_OUT),
        ({}, response(200, b"", TAKES_OUT), 0),
        ({}, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-t: 1\r\n\r\n", 0),
        ({}, b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, 0),
    ],
)
def test_an_answer_decides(settings: dict[str, Any], answer: bytes, flags: int) -> None:
    checks = Checks(http(**settings))
    [host] = checks.begin()
    checks.answer(answer)
    assert host.health_flags == flags


def test_a_retriable_status_counts_up_to_the_threshold() -> None:
    checks = Checks(http(retriable_statuses=((500, 600),)))
    [host] = checks.begin()
    checks.answer()
    checks.check(WRONG)
    assert host.health_flags == 0
    checks.check(WRONG)
    assert host.health_flags == FAILED_ACTIVE_HC
    assert checks.counts() == {"attempt": 3, "success": 1, "failure": 2}, "but is none of the network"
    assert checks.lines[-1]["eject_unhealthy_event"] == {"failure_type": "ACTIVE", "http_status_code": 503}


def test_the_service_is_to_be_the_right_one() -> None:
    checks = Checks(http(service_name_matcher=lambda name: name.startswith(b"shop")))
    [host] = checks.begin()
    checks.answer(response(200, b"", b"x-envoy-upstream-healthchecked-cluster: shop-1"))
    assert host.health_flags == 0
    checks.check(response(200))
    assert host.health_flags == FAILED_ACTIVE_HC
    assert checks.value("health_check.verify_cluster") == 2
    checks.runtime.change("health_check.verify_cluster", 0.0)
    checks.check(response(200))
    checks.check(response(200))
    assert host.health_flags == 0
    assert checks.value("health_check.verify_cluster") == 2


def test_a_connection_is_used_again() -> None:
    checks = Checks()
    checks.begin()
    checks.answer()
    checks.check(OK)
    assert len(checks.connector.connections) == 1
    assert checks.value("upstream_cx_total") == 0, "which is of requests"


@pytest.mark.parametrize(
    "answer", [response(200, b"", b"connection: close"), b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"]
)
def test_a_connection_that_ends_is_not(answer: bytes) -> None:
    checks = Checks()
    checks.begin()
    checks.answer(answer)
    assert checks.wire.closed
    checks.check(OK)
    assert len(checks.connector.connections) == 2
    assert checks.counts() == {"attempt": 2, "success": 2, "healthy": 1}


def test_connections_are_not_to_be_used_again() -> None:
    checks = Checks(reuse_connection=False)
    checks.begin()
    checks.answer()
    assert checks.wire.closed
    checks.dispatcher.advance(5.0)
    checks.wire.remote_close("refused")
    assert checks.counts()["network_failure"] == 1


def test_a_connection_that_the_host_closes_between_checks() -> None:
    checks = Checks()
    checks.begin()
    checks.answer()
    checks.wire.receive_eof()
    assert checks.wire.closed
    checks.check(OK)
    assert checks.counts() == {"attempt": 2, "success": 2, "healthy": 1}


def test_the_idle_timeout_of_the_cluster() -> None:
    checks = Checks(cluster={"idle_timeout": 3.0})
    checks.begin()
    checks.answer()
    checks.dispatcher.advance(3.0)
    assert checks.wire.closed
    assert checks.value("upstream_cx_idle_timeout") == 1


@pytest.mark.parametrize(
    ("data", "protocol_errors"),
    [(b"garbage\r\n\r\n", 1), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", 1), (b"", 0)],
)
def test_what_is_no_answer(data: bytes, protocol_errors: int) -> None:
    checks = Checks()
    checks.begin()
    wire = checks.connected()
    if data:
        wire.receive(data)
    if not wire.closed:
        wire.receive_eof()
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}
    assert checks.value("upstream_cx_protocol_error") == protocol_errors
    assert wire.closed


def test_a_body_to_the_end_of_the_connection() -> None:
    checks = Checks(http(receive=(b"ok",)))
    [host] = checks.begin()
    checks.answer(b"HTTP/1.1 200 OK\r\n\r\nok")
    assert host.health_flags == FAILED_ACTIVE_HC
    checks.wire.receive_eof()
    assert host.health_flags == 0


def test_tls_of_the_cluster_and_the_checks_own_protocols() -> None:
    tls = UpstreamTlsSettings(CommonTlsSettings(alpn_protocols=("h2",)), sni="s")
    checks = Checks(alpn_protocols=("check",), cluster={"tcp_tls": tls})
    checks.begin()
    made = checks.connector.calls[-1]["tls"]
    assert (made.common.alpn_protocols, made.sni) == (("check",), "s")
    checks.answer()
    checks.dispatcher.advance(5.0)
    assert len(checks.connector.connections) == 1


# HTTP/2


def stream_of(checks: Checks) -> list[str]:
    found, _ = frames.split(checks.wire.take_written().removeprefix(frames.PREFACE))
    return [type(each).__name__ for each in found]


def test_http2() -> None:
    checks = Checks(http(http2=True))
    [host] = checks.begin()
    checks.connected()
    assert stream_of(checks) == ["SettingsFrame", "WindowUpdateFrame", "HeadersFrame"]
    checks.answer(frames.settings() + frames.headers([(":status", "200")]))
    assert host.health_flags == 0
    checks.check(frames.headers([(":status", "503")], 3))
    assert host.health_flags == FAILED_ACTIVE_HC
    assert len(checks.connector.connections) == 1


def test_http2_a_peer_that_leaves_may_finish() -> None:
    checks = Checks(http(http2=True))
    [host] = checks.begin()
    checks.answer(frames.settings() + frames.goaway(1, 0))
    assert not checks.wire.closed
    checks.answer(frames.headers([(":status", "200")]))
    assert host.health_flags == 0
    assert checks.wire.closed
    checks.check(frames.settings() + frames.headers([(":status", "200")]))
    assert len(checks.connector.connections) == 2


@pytest.mark.parametrize("frame", [frames.goaway(1, 2), frames.rst(2), frames.goaway(0, 0)])
def test_http2_a_peer_that_fails(frame: bytes) -> None:
    checks = Checks(http(http2=True))
    checks.begin()
    checks.answer(frames.settings() + frame)
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}
    checks.check(
        frames.settings() + frames.headers([(":status", "200")], 3 if len(checks.connector.connections) == 1 else 1)
    )


def test_http2_a_peer_that_leaves_between_checks() -> None:
    checks = Checks(http(http2=True))
    checks.begin()
    checks.answer(frames.settings() + frames.headers([(":status", "200")]))
    checks.answer(frames.goaway(1, 0))
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1, "success": 1, "healthy": 1}


def test_has_all() -> None:
    assert has_all((), b"")
    assert has_all((b"ab", b"bc"), b"abbc")
    assert not has_all((b"ab", b"bc"), b"abc"), "parts do not share bytes"
