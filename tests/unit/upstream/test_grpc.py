"""gRPC calls among fakes: framing in any pieces, and every way a call can end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.grpc import GrpcStatus
from envoymesh.http.headers import HeaderMap
from envoymesh.stats import Store
from envoymesh.upstream.api import PoolFailureReason
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.grpc import (
    GrpcClient,
    GrpcDecoder,
    GrpcOptions,
    GrpcRequestListener,
    GrpcStream,
    GrpcStreamListener,
    encode_message,
)
from envoymesh.upstream.stats import AsyncClientStats
from tests.support.fakes import FakeDispatcher, FakeRuntime
from tests.support.router import BenchCluster, FakeUpstreamStream

METHOD = b"/p.S/M"


class Owner(GrpcStreamListener):
    """Records what it hears; `on_event` may act on it."""

    def __init__(self) -> None:
        self.initial: HeaderMap | None = None
        self.trailing: HeaderMap | None = None
        self.messages: list[bytes] = []
        self.closed: list[tuple[int, str]] = []
        self.pauses = 0
        self.on_message: Any = None

    def on_receive_initial_metadata(self, metadata: HeaderMap) -> None:
        self.initial = metadata

    def on_receive_message(self, message: bytes) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message()

    def on_receive_trailing_metadata(self, metadata: HeaderMap) -> None:
        self.trailing = metadata

    def on_remote_close(self, status: int, message: str) -> None:
        self.closed.append((status, message))

    def on_above_write_buffer_high_watermark(self) -> None:
        self.pauses += 1

    def on_below_write_buffer_low_watermark(self) -> None:
        self.pauses -= 1


class Asker(GrpcRequestListener):
    """Records the one answer."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.failures: list[tuple[int, str]] = []

    def on_success(self, message: bytes) -> None:
        self.answers.append(message)

    def on_failure(self, status: int, message: str) -> None:
        self.failures.append((status, message))


class Bench:
    """A gRPC client among fakes."""

    def __init__(self) -> None:
        self.dispatcher = FakeDispatcher()
        self.cluster = BenchCluster(self.dispatcher, 1, 3, FakeRuntime())
        stats = AsyncClientStats.create(Store().scope("http.async-client."))
        client = AsyncClient(self.dispatcher, stats, lambda: 0.0, b"192.0.2.9")
        self.grpc = GrpcClient(client, self.cluster.real)
        self.owner = Owner()
        self.asker = Asker()

    def start(self, **options: Any) -> tuple[GrpcStream, FakeUpstreamStream]:
        stream = self.grpc.start(METHOD, self.owner, GrpcOptions(**options))
        assert stream is not None
        return stream, self.cluster.ready()

    def ask(self) -> FakeUpstreamStream:
        self.grpc.send(METHOD, b"question", self.asker)
        return self.cluster.ready()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    assert not made.dispatcher.timers
    assert all(wait.over for wait in made.cluster.waits)
    assert made.owner.pauses == 0


def end(upstream: FakeUpstreamStream, status: int = 0, message: str = "") -> None:
    upstream.decoder.decode_trailers(HeaderMap([(b"grpc-status", b"%d" % status), (b"grpc-message", message.encode())]))


# Frames


@given(st.lists(st.binary(max_size=40)), st.data())
def test_messages_in_any_pieces(messages: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(encode_message, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)))))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    decoder = GrpcDecoder(40)
    assert [message for piece in pieces for message in decoder.decode(piece)] == messages
    assert not decoder.is_amid_message


def test_part_of_a_message() -> None:
    decoder = GrpcDecoder(40)
    assert decoder.decode(encode_message(b"abc")[:-1]) == []
    assert decoder.is_amid_message


@pytest.mark.parametrize(
    ("frame", "status"),
    [(b"\1\0\0\0\0", GrpcStatus.INTERNAL), (b"\0\0\0\0\x29", GrpcStatus.RESOURCE_EXHAUSTED)],
)
def test_frames_that_are_refused(frame: bytes, status: int) -> None:
    decoder = GrpcDecoder(40)
    assert decoder.decode(encode_message(b"good") + frame) == [b"good"]
    assert decoder.failure is not None
    assert decoder.failure.status == status
    assert decoder.decode(encode_message(b"good")) == []


# Calls


def test_what_a_call_looks_like(bench: Bench) -> None:
    stream, upstream = bench.start(timeout=1.5, initial_metadata=[(b"x-a", b"1")])
    assert upstream.headers is not None
    assert (upstream.headers.method, upstream.headers.path, upstream.headers.authority) == (b"POST", METHOD, b"c")
    assert upstream.fields[b"te"] == b"trailers"
    assert upstream.fields[b"content-type"] == b"application/grpc"
    assert upstream.fields[b"grpc-timeout"] == b"1500m"
    assert upstream.fields[b"x-a"] == b"1"
    stream.reset()


def test_an_authority_of_its_own(bench: Bench) -> None:
    stream, upstream = bench.start(authority=b"name")
    assert upstream.headers is not None
    assert upstream.headers.authority == b"name"
    assert b"grpc-timeout" not in upstream.fields
    stream.reset()


def test_both_ways(bench: Bench) -> None:
    stream, upstream = bench.start()
    stream.send_message(b"one")
    stream.send_message(b"")
    stream.close()
    assert upstream.body == b"\0\0\0\0\3one\0\0\0\0\0"
    assert upstream.ended
    upstream.begin(200, x_i="1")
    assert bench.owner.initial is not None
    assert bench.owner.initial.get(b"x-i") == b"1"
    upstream.decoder.decode_data(encode_message(b"a") + encode_message(b"b")[:3], False)
    upstream.decoder.decode_data(encode_message(b"b")[3:], False)
    end(upstream, 0)
    assert bench.owner.messages == [b"a", b"b"]
    assert bench.owner.closed == [(0, "")]
    assert bench.owner.trailing is not None
    assert stream.ended
    assert bench.cluster.first_hosts[0].stats.rq_success.value == 1


def test_an_error_by_trailers(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(200)
    end(upstream, 5, "not%20here")
    assert bench.owner.closed == [(5, "not here")]
    assert upstream.reset is StreamResetReason.LOCAL_RESET  # the request was not over yet
    assert bench.owner.initial is not None


def test_trailers_only(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(200, end_stream=True, grpc_status="12", grpc_message="no")
    assert bench.owner.closed == [(12, "no")]
    assert bench.owner.initial is None


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (503, {}, GrpcStatus.UNAVAILABLE),
        (404, {}, GrpcStatus.UNIMPLEMENTED),
        (503, {"grpc_status": "9"}, 9),
        (200, {}, GrpcStatus.UNKNOWN),
        (200, {"grpc_status": "x"}, GrpcStatus.UNKNOWN),
    ],
)
def test_headers_that_end_a_call(bench: Bench, status: int, fields: dict[str, str], expected: int) -> None:
    _, upstream = bench.start()
    upstream.begin(status, end_stream=True, **fields)
    assert [code for code, _ in bench.owner.closed] == [expected]


def test_an_answer_that_is_no_grpc(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(502)
    assert bench.owner.closed == [(GrpcStatus.UNAVAILABLE, "HTTP status 502")]
    assert upstream.reset is StreamResetReason.LOCAL_RESET


def test_no_trailers(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(200)
    upstream.decoder.decode_data(encode_message(b"a"), True)
    assert bench.owner.messages == [b"a"]
    assert bench.owner.closed == [(GrpcStatus.UNKNOWN, "the response ended without trailers")]


def test_an_end_within_a_message(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(200)
    upstream.decoder.decode_data(b"\0\0", False)
    end(upstream)
    assert bench.owner.closed == [(GrpcStatus.INTERNAL, "the response ended within a message")]


def test_a_message_over_the_limit(bench: Bench) -> None:
    _, upstream = bench.start(max_receive_message=3)
    upstream.begin(200)
    upstream.decoder.decode_data(encode_message(b"abc"), False)
    upstream.decoder.decode_data(b"\0\0\0\0\4", False)
    assert bench.owner.messages == [b"abc"]
    assert bench.owner.closed == [(GrpcStatus.RESOURCE_EXHAUSTED, "received message larger than max (4 vs. 3)")]
    assert upstream.reset is StreamResetReason.LOCAL_RESET


def test_a_compressed_message(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(200)
    upstream.decoder.decode_data(b"\1\0\0\0\0", False)
    assert bench.owner.closed == [(GrpcStatus.INTERNAL, "compressed messages are not supported")]


def test_a_deadline(bench: Bench) -> None:
    _, upstream = bench.start(timeout=1.0)
    upstream.begin(200)
    bench.dispatcher.advance(1)
    assert bench.owner.closed == [(GrpcStatus.DEADLINE_EXCEEDED, "deadline exceeded")]
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    assert bench.cluster.counts()["upstream_rq_timeout"] == 1


def test_a_server_that_dies(bench: Bench) -> None:
    _, upstream = bench.start()
    upstream.begin(200)
    upstream.fail(StreamResetReason.CONNECTION_TERMINATION)
    details = "upstream_reset_after_response_started{connection_termination}"
    assert bench.owner.closed == [(GrpcStatus.INTERNAL, details)]


def test_no_connection(bench: Bench) -> None:
    bench.cluster.prepared = [PoolFailureReason.REMOTE_CONNECTION_FAILURE]
    assert bench.grpc.start(METHOD, bench.owner) is None
    ((status, message),) = bench.owner.closed
    assert status == GrpcStatus.UNAVAILABLE
    assert "remote connection failure" in message


def test_nothing_calls_back_after_a_reset(bench: Bench) -> None:
    stream, upstream = bench.start(timeout=1.0)
    upstream.begin(200)
    stream.reset()
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    bench.dispatcher.advance(1)
    assert bench.owner.closed == []
    stream.send_message(b"x")
    stream.close()
    stream.read_disable(True)


def test_a_reset_from_within_a_message(bench: Bench) -> None:
    stream, upstream = bench.start()
    bench.owner.on_message = stream.reset
    upstream.begin(200)
    upstream.decoder.decode_data(encode_message(b"a") + encode_message(b"b"), True)
    assert bench.owner.messages == [b"a"]
    assert bench.owner.closed == []


def test_back_pressure(bench: Bench) -> None:
    stream = bench.grpc.start(METHOD, bench.owner, GrpcOptions(buffer_limit=3))
    assert stream is not None
    stream.send_message(b"")
    assert bench.owner.pauses == 1
    upstream = bench.cluster.ready()
    assert bench.owner.pauses == 0
    stream.read_disable(True)
    assert upstream.read_disabled == 1
    stream.read_disable(False)
    stream.reset()


# Unary calls


def test_an_answer(bench: Bench) -> None:
    upstream = bench.ask()
    assert (upstream.body, upstream.ended) == (encode_message(b"question"), True)
    upstream.begin(200)
    upstream.decoder.decode_data(encode_message(b"answer"), False)
    end(upstream)
    assert (bench.asker.answers, bench.asker.failures) == ([b"answer"], [])


def test_an_answer_with_an_error(bench: Bench) -> None:
    upstream = bench.ask()
    upstream.begin(200)
    upstream.decoder.decode_data(encode_message(b"answer"), False)
    end(upstream, 10, "no")
    assert (bench.asker.answers, bench.asker.failures) == ([], [(10, "no")])


def test_no_answer(bench: Bench) -> None:
    upstream = bench.ask()
    upstream.begin(200)
    end(upstream)
    assert bench.asker.failures == [(GrpcStatus.INTERNAL, "a unary call was answered without a message")]


def test_two_answers(bench: Bench) -> None:
    upstream = bench.ask()
    upstream.begin(200)
    upstream.decoder.decode_data(encode_message(b"a") * 2, False)
    assert [status for status, _ in bench.asker.failures] == [GrpcStatus.INTERNAL]
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    assert not bench.asker.answers


def test_a_call_that_fails_at_once(bench: Bench) -> None:
    bench.cluster.prepared = [PoolFailureReason.OVERFLOW]
    assert bench.grpc.send(METHOD, b"", bench.asker) is None
    assert [status for status, _ in bench.asker.failures] == [GrpcStatus.UNAVAILABLE]


def test_a_cancelled_call(bench: Bench) -> None:
    request = bench.grpc.send(METHOD, b"", bench.asker)
    assert request is not None
    upstream = bench.cluster.ready()
    request.cancel()
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    assert request.ended
    assert not bench.asker.failures
