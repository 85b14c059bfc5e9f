"""gRPC checks: the two messages, and what a call can end with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.upstream.health.grpc import check_request, serving_status
from envoymesh.upstream.health.settings import GrpcHealthCheckSettings
from envoymesh.upstream.host import FAILED_ACTIVE_HC
from tests.parity import frames
from tests.support.health import Checks

TYPE = ("content-type", "application/grpc")


def message(body: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


def call(*messages: bytes, status: str = "0", stream: int = 1) -> bytes:
    head = frames.headers([(":status", "200"), TYPE], stream, end=False)
    body = frames.data(b"".join(message(each) for each in messages), stream, end=False)
    return head + body + frames.headers([("grpc-status", status)], stream)


def head(*more: frames.Field, status: str = "200", end: bool = False) -> bytes:
    return frames.headers([(":status", status), *more], end=end)


SERVING = b"\x08\x01"


def test_the_call() -> None:
    checks = Checks(GrpcHealthCheckSettings(b"shop", b"authority"))
    checks.begin()
    found, _ = frames.split(checks.connected().take_written().removeprefix(frames.PREFACE))
    transcript = frames.Transcript()
    for each in found:
        transcript.add(each)
    assert [transcript.value(1, name) for name in (b":method", b":path", b":authority", b"te", b"user-agent")] == [
        b"POST", b"/grpc.health.v1.Health/Check", b"authority", b"trailers", b"Envoy/HC",
    ]  # fmt: skip
    assert transcript.value(1, b"grpc-timeout") == b"1000m"
    assert "DATA \x00\x00\x00\x00\x06\n\x04shop" in transcript.text()


@pytest.mark.parametrize(
    ("answer", "serves", "resets"),
    [
        (call(SERVING), True, False),
        (call(b"\x08\x02"), False, False),
        (call(b""), False, False),
        (call(b"", SERVING), True, False),
        (call(), False, False),
        (call(SERVING, status="14"), False, False),
        (call(SERVING, SERVING), False, True),
        (call(b"\xff"), False, True),
        (head(TYPE, ("grpc-status", "12"), end=True), False, False),
        (head(TYPE, end=True), False, False),
        (head(status="503", end=True), False, False),
        (head(("grpc-status", "0"), status="503", end=True), False, False),
        (head(status="503"), False, True),
        (head(("content-type", "text/html")), False, True),
        (head(TYPE) + frames.data(message(SERVING)), False, False),
        (head(TYPE) + frames.data(message(SERVING, 1), end=False), False, True),
        (head(TYPE) + frames.data(message(SERVING), end=False) + frames.headers([("x-t", "1")]), False, False),
    ],
)
def test_what_a_call_ends_with(answer: bytes, serves: bool, resets: bool) -> None:
    checks = Checks(GrpcHealthCheckSettings())
    [host] = checks.begin()
    checks.connected().take_written()
    checks.answer(frames.settings() + answer)
    assert host.health_flags == (0 if serves else FAILED_ACTIVE_HC)
    found, _ = frames.split(checks.wire.take_written())
    assert ("RstStreamFrame" in {type(each).__name__ for each in found}) == resets
    checks.check(call(SERVING, stream=3))
    checks.check(call(SERVING, stream=5))
    assert host.health_flags == 0, "the connection is used again"
    assert len(checks.connector.connections) == 1
    assert checks.value("health_check.network_failure") == 0


def test_time_is_up_for_the_call_alone() -> None:
    checks = Checks(GrpcHealthCheckSettings())
    [host] = checks.begin()
    checks.answer(frames.settings())
    checks.dispatcher.advance(1.0)
    assert not checks.wire.closed
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}
    for stream in (3, 5):
        checks.check(call(SERVING, stream=stream))
    assert host.health_flags == 0


@pytest.mark.parametrize("leaves", [True, False])
def test_time_is_up_and_the_connection_is_not_to_be_used_again(leaves: bool) -> None:
    checks = Checks(GrpcHealthCheckSettings(), reuse_connection=leaves)
    checks.begin()
    checks.answer(frames.settings() + (frames.goaway(1, 0) if leaves else b""))
    checks.dispatcher.advance(1.0)
    assert checks.wire.closed
    checks.check(frames.settings() + call(SERVING))
    assert checks.counts()["success"] == 1


def test_a_peer_that_leaves_may_finish() -> None:
    checks = Checks(GrpcHealthCheckSettings())
    [host] = checks.begin()
    checks.answer(frames.settings() + frames.goaway(1, 0) + call(SERVING))
    assert host.health_flags == 0
    assert checks.wire.closed


@pytest.mark.parametrize("frame", [frames.goaway(1, 2), frames.rst(2), frames.goaway(0, 0)])
def test_a_peer_that_fails(frame: bytes) -> None:
    checks = Checks(GrpcHealthCheckSettings())
    checks.begin()
    checks.answer(frames.settings() + frame)
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}


def test_a_peer_that_leaves_between_checks() -> None:
    checks = Checks(GrpcHealthCheckSettings())
    checks.begin()
    checks.answer(frames.settings() + call(SERVING))
    checks.answer(frames.goaway(1, 0))
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1, "success": 1, "healthy": 1}


def test_a_host_that_leaves_in_the_middle_of_a_call() -> None:
    checks = Checks(GrpcHealthCheckSettings())
    checks.begin()
    checks.connected()
    checks.cluster.update_hosts([])
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 0),
        (b"\x08\x01", 1),
        (b"\x08\x80\x01", 128),
        (b"\x08\x02\x08\x01", 1),
        (b"\x12\x02ab\x08\x01", 1),
        (b"\x11" + b"x" * 8 + b"\x08\x01", 1),
        (b"\x15" + b"x" * 4 + b"\x08\x01", 1),
        (b"\x08", -1),
        (b"\x08\xff", -1),
        (b"\x12\x05ab", -1),
        (b"\x11x", -1),
        (b"\x00\x01", -1),
        (b"\x0b", -1),
        (b"\x08" + b"\xff" * 11, -1),
    ],
)
def test_a_response_message(data: bytes, status: int) -> None:
    assert serving_status(data) == status


@given(st.binary(max_size=40))
def test_any_bytes_are_some_status(data: bytes) -> None:
    assert serving_status(data) >= -1


def test_a_request_message() -> None:
    assert check_request(b"") == b""
    assert check_request(b"a" * 300) == b"\x0a\xac\x02" + b"a" * 300
