"""Requests from inside: every way one can end, as its owner sees it, and what the cluster counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.stats import Store
from envoymesh.upstream import client as client_module
from envoymesh.upstream import failures
from envoymesh.upstream.api import LoadBalancerContext, PoolFailureReason
from envoymesh.upstream.client import (
    AsyncClient,
    AsyncRequest,
    AsyncRequestListener,
    AsyncStream,
    AsyncStreamListener,
    RequestMessage,
    ResponseMessage,
    StreamOptions,
)
from envoymesh.upstream.failures import UpstreamFailure
from envoymesh.upstream.host import Host
from envoymesh.upstream.stats import AsyncClientStats
from tests.support.fakes import FakeDispatcher, FakeRuntime
from tests.support.router import BenchCluster, FakeUpstreamStream
from tests.support.stand_ins import stands_for

OWN_ADDRESS = b"192.0.2.9"


class Owner(AsyncStreamListener):
    """Records what it hears; `on_event` may act on it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.pauses = 0
        self.on_event: Any = None

    def _note(self, *event: Any) -> None:
        self.heard.append(event)
        if self.on_event is not None:
            self.on_event(*event)

    def on_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        self._note("headers", headers.status, end_stream)

    def on_data(self, data: bytes, end_stream: bool) -> None:
        self._note("data", data, end_stream)

    def on_trailers(self, trailers: HeaderMap) -> None:
        self._note("trailers", trailers.fields)

    def on_reset(self, failure: UpstreamFailure) -> None:
        self._note("reset", failure)

    def on_above_write_buffer_high_watermark(self) -> None:
        self.pauses += 1

    def on_below_write_buffer_low_watermark(self) -> None:
        self.pauses -= 1


class Asker(AsyncRequestListener):
    """Records the one answer."""

    def __init__(self) -> None:
        self.answers: list[ResponseMessage] = []
        self.failures: list[UpstreamFailure] = []

    def on_success(self, request: AsyncRequest, response: ResponseMessage) -> None:
        self.answers.append(response)

    def on_failure(self, request: AsyncRequest, failure: UpstreamFailure) -> None:
        self.failures.append(failure)


class Bench:
    """A client among fakes."""

    def __init__(self) -> None:
        self.dispatcher = FakeDispatcher()
        self.runtime = FakeRuntime()
        self.cluster = BenchCluster(self.dispatcher, 1, 3, self.runtime)
        self.stats = AsyncClientStats.create(Store().scope("http.async-client."))
        self.client = AsyncClient(self.dispatcher, self.stats, lambda: 0.0, OWN_ADDRESS)
        self.owner = Owner()
        self.asker = Asker()

    def start(self, **options: Any) -> AsyncStream:
        return self.client.start(self.cluster.real, self.owner, StreamOptions(**options))

    def begin(self, end_stream: bool = True, **options: Any) -> AsyncStream:
        """A stream with its headers sent, as far as there is a stream upstream."""
        stream = self.start(**options)
        stream.send_headers(request(), end_stream)
        return stream

    def send(self, message: RequestMessage, limit: int = 100) -> AsyncRequest | None:
        return self.client.send(self.cluster.real, message, self.asker, response_buffer_limit=limit)

    @property
    def failure(self) -> UpstreamFailure:
        """The one event that the owner heard of is a failure."""
        ((kind, failure),) = self.owner.heard
        assert kind == "reset"
        assert isinstance(failure, UpstreamFailure)
        return failure


def request(*fields: tuple[bytes, bytes]) -> RequestHeaders:
    return RequestHeaders(b"POST", b"/p", b"a", b"http", list(fields))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    assert not made.dispatcher.timers
    assert all(wait.over for wait in made.cluster.waits)
    assert made.owner.pauses == 0


def test_a_whole_exchange(bench: Bench) -> None:
    sent = bench.begin(end_stream=False)
    upstream = bench.cluster.ready()
    sent.send_data(b"ab", False)
    sent.send_trailers(HeaderMap([(b"t", b"1")]))
    assert (upstream.body, upstream.trailers.fields, upstream.ended) == (b"ab", [(b"t", b"1")], True)  # type: ignore[union-attr]
    upstream.begin(200)
    upstream.decoder.decode_data(b"cd", False)
    upstream.decoder.decode_trailers(HeaderMap([(b"u", b"2")]))
    assert bench.owner.heard == [("headers", 200, False), ("data", b"cd", False), ("trailers", [(b"u", b"2")])]
    assert sent.ended
    assert upstream.reset is None


def test_what_is_counted(bench: Bench) -> None:
    bench.begin()
    bench.cluster.ready().answer(200)
    names = ("upstream_rq_completed", "upstream_rq_2xx", "upstream_rq_200")
    assert bench.cluster.counts() == {scope + name: 1 for scope in ("", "internal.") for name in names}
    assert bench.cluster.first_hosts[0].stats.rq_success.value == 1
    assert bench.stats.rq_total.value == 1
    assert "cluster.c.internal.upstream_rq_time" in bench.cluster.store.histograms.by_name


def test_what_the_upstream_is_told(bench: Bench) -> None:
    stream = bench.start(timeout=2.5)
    stream.send_headers(request((b"x-forwarded-for", b"1.1.1.1")), True)
    upstream = bench.cluster.ready()
    assert upstream.headers is not None
    assert upstream.headers.fields == [
        (b"x-forwarded-for", b"1.1.1.1," + OWN_ADDRESS),
        (b"x-envoy-internal", b"true"),
        (b"x-envoy-expected-rq-timeout-ms", b"2500"),
    ]
    upstream.answer(204)


def test_what_the_upstream_is_not_told(bench: Bench) -> None:
    bench.begin(timeout=2.5, send_xff=False, send_internal=False, suppress_envoy_headers=True, dynamic_stats=False)
    upstream = bench.cluster.ready()
    assert upstream.headers is not None
    assert upstream.headers.fields == []
    upstream.answer(500)
    assert bench.cluster.counts() == {}


def test_a_request_from_outside_counts_as_one(bench: Bench) -> None:
    bench.begin(send_internal=False)
    bench.cluster.ready().answer(200)
    assert bench.cluster.counts()["external.upstream_rq_200"] == 1


def test_an_error_of_the_upstream_is_an_answer(bench: Bench) -> None:
    bench.begin()
    bench.cluster.ready().answer(503, b"x")
    assert bench.owner.heard == [("headers", 503, False), ("data", b"x", True)]
    assert bench.cluster.first_hosts[0].stats.rq_error.value == 1


def test_a_body_waits_for_a_stream(bench: Bench) -> None:
    sent = bench.begin(end_stream=False, buffer_limit=3)
    sent.send_data(b"abcd", False)
    assert bench.owner.pauses == 1
    upstream = bench.cluster.ready()
    assert (bench.owner.pauses, upstream.body) == (0, b"abcd")
    sent.send_data(b"e", True)
    upstream.answer(200)
    counts = bench.cluster.counts()
    assert counts["upstream_flow_control_backed_up_total"] == counts["upstream_flow_control_drained_total"] == 1


def test_interim_responses_are_dropped(bench: Bench) -> None:
    bench.begin()
    upstream = bench.cluster.ready()
    upstream.decoder.decode_1xx_headers(ResponseHeaders(103))
    upstream.answer(200)
    assert bench.owner.heard == [("headers", 200, True)]


def test_an_early_answer_ends_the_request(bench: Bench) -> None:
    sent = bench.begin(end_stream=False)
    upstream = bench.cluster.ready()
    upstream.answer(413)
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    sent.send_data(b"more", True)
    sent.send_trailers(HeaderMap())
    sent.read_disable(True)
    assert bench.owner.heard == [("headers", 413, True)]


def test_a_slow_owner_stops_the_upstream(bench: Bench) -> None:
    sent = bench.begin()
    upstream = bench.cluster.ready()
    upstream.begin(200)
    sent.read_disable(True)
    assert upstream.read_disabled == 1
    sent.read_disable(False)
    upstream.decoder.decode_data(b"", True)
    assert upstream.read_disabled == 0


# Failures


@pytest.mark.parametrize(
    ("reason", "flag"),
    [
        (PoolFailureReason.OVERFLOW, ResponseFlag.UPSTREAM_OVERFLOW),
        (PoolFailureReason.TIMEOUT, ResponseFlag.UPSTREAM_CONNECTION_FAILURE),
        (PoolFailureReason.REMOTE_CONNECTION_FAILURE, ResponseFlag.UPSTREAM_CONNECTION_FAILURE),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_no_connection(bench: Bench, reason: PoolFailureReason, flag: int, at_once: bool) -> None:
    if at_once:
        bench.cluster.prepared = [reason]
    sent = bench.begin()
    if not at_once:
        bench.cluster.refuse(reason)
    assert (bench.failure.status, bench.failure.flag) == (503, flag)
    assert not bench.failure.after_response_started
    assert sent.ended
    assert bench.cluster.counts()["internal.upstream_rq_503"] == 1


def test_no_host(bench: Bench) -> None:
    bench.cluster.update_hosts([])
    bench.begin()
    assert bench.failure is failures.NO_HEALTHY_UPSTREAM
    assert bench.cluster.counts()["upstream_rq_503"] == 1


def test_maintenance_mode(bench: Bench) -> None:
    bench.runtime.change("upstream.maintenance_mode.c", 100)
    bench.begin()
    assert bench.failure is failures.MAINTENANCE_MODE
    assert bench.cluster.counts()["upstream_rq_maintenance_mode"] == 1


def test_a_reset_before_the_response(bench: Bench) -> None:
    bench.begin()
    bench.cluster.ready().fail(StreamResetReason.REMOTE_RESET)
    assert (bench.failure.status, bench.failure.flag) == (503, ResponseFlag.UPSTREAM_REMOTE_RESET)
    assert bench.failure.details == "upstream_reset_before_response_started{remote_reset}"


def test_a_reset_amid_the_response(bench: Bench) -> None:
    bench.begin()
    upstream = bench.cluster.ready()
    upstream.begin(200)
    upstream.fail(StreamResetReason.CONNECTION_TERMINATION)
    kind, failure = bench.owner.heard[-1]
    assert (kind, failure.after_response_started) == ("reset", True)
    assert bench.cluster.counts()["upstream_rq_completed"] == 1


def test_a_grpc_response_that_breaks_off_is_an_error(bench: Bench) -> None:
    sent = bench.start()
    sent.send_headers(request((b"content-type", b"application/grpc")), True)
    upstream = bench.cluster.ready()
    upstream.begin(200)
    upstream.fail(StreamResetReason.CONNECTION_TERMINATION)
    assert bench.stats.rq_reset_after_downstream_response_started.value == 1
    assert bench.cluster.first_hosts[0].stats.rq_error.value == 1


def test_a_timeout(bench: Bench) -> None:
    sent = bench.begin(end_stream=False, timeout=1.0)
    upstream = bench.cluster.ready()
    bench.dispatcher.advance(5)
    assert bench.owner.heard == []
    sent.send_data(b"", True)
    bench.dispatcher.advance(1)
    assert bench.failure is failures.RESPONSE_TIMEOUT
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    assert bench.cluster.counts()["upstream_rq_timeout"] == 1
    assert bench.cluster.first_hosts[0].stats.rq_timeout.value == 1


def test_a_timeout_that_includes_the_request(bench: Bench) -> None:
    bench.begin(end_stream=False, timeout=1.0, timeout_includes_request=True)
    bench.cluster.ready().begin(200)
    bench.dispatcher.advance(1)
    assert bench.owner.heard == [("headers", 200, False), ("reset", failures.RESPONSE_TIMEOUT)]


def test_a_timeout_while_there_is_no_connection(bench: Bench) -> None:
    bench.begin(timeout=1.0)
    bench.dispatcher.advance(1)
    assert bench.failure is failures.RESPONSE_TIMEOUT
    assert bench.cluster.waits[-1].cancelled


# The owner gives it up


def test_nothing_calls_back_after_a_reset(bench: Bench) -> None:
    sent = bench.begin(timeout=1.0)
    upstream = bench.cluster.ready()
    sent.reset()
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    bench.dispatcher.advance(2)
    upstream.decoder.decode_headers(ResponseHeaders(200), True)
    assert bench.owner.heard == []
    sent.reset()


def test_a_reset_while_waiting(bench: Bench) -> None:
    sent = bench.begin(end_stream=False, buffer_limit=1)
    sent.send_data(b"ab", False)
    sent.reset()
    bench.owner.pauses = 0  # nothing calls back, so that nothing takes the pause back either
    assert bench.cluster.waits[-1].cancelled


def test_a_reset_from_within_a_callback(bench: Bench) -> None:
    sent = bench.begin()
    bench.owner.on_event = lambda *event: sent.reset()
    upstream = bench.cluster.ready()
    upstream.begin(200)
    upstream.decoder.decode_data(b"x", True)
    assert bench.owner.heard == [("headers", 200, False)]


def test_http2_resets_are_counted(bench: Bench) -> None:
    bench.cluster.protocol = HttpProtocol.HTTP2
    sent = bench.begin()
    bench.cluster.ready()
    sent.reset()
    assert bench.cluster.counts() == {"upstream_rq_tx_reset": 1}


def test_an_owner_that_raises_pays_for_it(bench: Bench) -> None:
    bench.dispatcher.expects_errors = True
    bench.begin()
    upstream = bench.cluster.ready()

    def fail(*event: Any) -> None:
        raise RuntimeError(event[0])

    bench.owner.on_event = fail
    upstream.begin(200)
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    assert [str(error) for _, error in bench.dispatcher.reported] == ["headers", "reset"]
    assert bench.owner.heard[-1] == ("reset", client_module.CALLBACK_RAISED)


def test_an_owner_that_raises_at_the_end_is_reported(bench: Bench) -> None:
    bench.dispatcher.expects_errors = True
    bench.begin(timeout=1.0)
    bench.owner.on_event = lambda *event: 1 / 0
    bench.dispatcher.advance(1)
    assert len(bench.dispatcher.reported) == 1
    assert bench.cluster.waits[-1].cancelled


class Elsewhere(stands_for(LoadBalancerContext)):
    """Wants any host but one."""

    def __init__(self, avoided: Host) -> None:
        self._avoided = avoided

    def is_retry(self) -> bool:
        return True

    def hash_key(self) -> int | None:
        return None

    def should_select_another_host(self, host: Host) -> bool:
        return host is self._avoided

    def host_selection_attempts(self) -> int:
        return 5


def test_the_balancer_may_ask(bench: Bench) -> None:
    bench.cluster = BenchCluster(bench.dispatcher, 2, 3, bench.runtime)
    for _ in range(2):
        bench.begin(context=Elsewhere(bench.cluster.first_hosts[0]))
        assert bench.cluster.waits[-1].host is bench.cluster.first_hosts[1]
        bench.cluster.ready().answer(200)


# Whole requests and responses


def test_send_and_answer(bench: Bench) -> None:
    sent = bench.send(RequestMessage(request(), b"body", HeaderMap([(b"t", b"1")])))
    assert sent is not None
    upstream = bench.cluster.ready()
    assert (upstream.body, upstream.ended) == (b"body", True)
    assert upstream.trailers is not None
    upstream.begin(200, a="b")
    upstream.decoder.decode_data(b"an", False)
    upstream.decoder.decode_data(b"swer", True)
    (answer,) = bench.asker.answers
    assert (answer.headers.status, answer.body, answer.trailers) == (200, b"answer", None)
    assert sent.ended


@pytest.mark.parametrize("body", [b"", b"x"])
def test_send_without_trailers(bench: Bench, body: bytes) -> None:
    bench.send(RequestMessage(request(), body))
    upstream = bench.cluster.ready()
    assert (upstream.body, upstream.ended, upstream.ended_with_headers) == (body, True, not body)
    upstream.answer(204)
    assert bench.asker.answers[0].headers.status == 204


def test_an_answer_with_trailers(bench: Bench) -> None:
    bench.send(RequestMessage(request()))
    upstream = bench.cluster.ready()
    upstream.begin(200)
    upstream.decoder.decode_trailers(HeaderMap([(b"t", b"1")]))
    trailers = bench.asker.answers[0].trailers
    assert trailers is not None
    assert trailers.fields == [(b"t", b"1")]


def test_an_answer_that_is_too_large(bench: Bench) -> None:
    bench.send(RequestMessage(request()), limit=3)
    upstream = bench.cluster.ready()
    upstream.begin(200)
    upstream.decoder.decode_data(b"abc", False)
    upstream.decoder.decode_data(b"d", False)
    assert bench.asker.failures == [client_module.RESPONSE_TOO_LARGE]
    assert upstream.reset is StreamResetReason.LOCAL_RESET


def test_a_request_that_fails_at_once(bench: Bench) -> None:
    bench.cluster.prepared = [PoolFailureReason.OVERFLOW]
    assert bench.send(RequestMessage(request(), b"x", HeaderMap())) is None
    assert [each.flag for each in bench.asker.failures] == [ResponseFlag.UPSTREAM_OVERFLOW]


def test_a_request_that_fails_later(bench: Bench) -> None:
    bench.send(RequestMessage(request()))
    bench.cluster.ready().fail(StreamResetReason.REMOTE_RESET)
    assert [each.status for each in bench.asker.failures] == [503]


def test_a_cancelled_request(bench: Bench) -> None:
    sent = bench.send(RequestMessage(request()))
    assert sent is not None
    upstream = bench.cluster.ready()
    sent.cancel()
    assert upstream.reset is StreamResetReason.LOCAL_RESET
    upstream.decoder.decode_headers(ResponseHeaders(200), True)
    assert not bench.asker.answers
    assert not bench.asker.failures
    sent.cancel()


def test_a_stream_that_is_ready_at_once(bench: Bench) -> None:
    prepared = FakeUpstreamStream(None)
    bench.cluster.prepared = [prepared]
    bench.begin()
    assert prepared.ended
    prepared.answer(200)
    assert bench.owner.heard == [("headers", 200, True)]
