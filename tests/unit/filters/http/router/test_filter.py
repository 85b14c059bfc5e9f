"""The router filter: every way a request can end, seen by client, log, counters and upstream.

Statuses, bodies, details, flags and counts are those of the real Envoy 1.40 in the same situations.
"""

from __future__ import annotations

import pytest

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.router.header_parser import HeaderParser, HeaderParsers
from envoymesh.router.retry import HostPredicates, RetryPolicy
from envoymesh.router.table import ClusterAction, DirectResponseAction, RedirectAction
from envoymesh.upstream.api import PoolFailureReason
from envoymesh.upstream.pool.options import HIGH_PRIORITY, PoolOptions, separator_for
from envoymesh.upstream.settings import ClusterSettings
from tests.support.router import FakeUpstreamStream, RouterBench

BEFORE = b"upstream connect error or disconnect/reset before headers. reset reason: "


def to_cluster(timeout: float = 15.0, *retry_on: str, retries: int = 1, per_try: float = 0.0) -> ClusterAction:
    policy = RetryPolicy(frozenset(retry_on), retries, per_try) if retry_on else None
    return ClusterAction("c", timeout, retry=policy)


def codes(status: int, prefix: str = "external.") -> dict[str, int]:
    """What a response with this status counts."""
    names = ["upstream_rq_completed", f"upstream_rq_{status // 100}xx", f"upstream_rq_{status}"]
    return {scope + name: 1 for scope in ("", prefix) for name in names}


def retried(status: int, times: int = 1) -> dict[str, int]:
    return {
        f"retry.{name}": times
        for name in ("upstream_rq_completed", f"upstream_rq_{status // 100}xx", f"upstream_rq_{status}")
    }


def retries(times: int) -> dict[str, int]:
    return {"upstream_rq_retry": times, "upstream_rq_retry_backoff_exponential": times}


# What needs no upstream


def test_no_route() -> None:
    bench = RouterBench(None)
    bench.send()
    assert (bench.client.status, bench.client.details, bench.info.flag_names()) == (404, "route_not_found", "NR")
    assert (bench.stats.rq_total.value, bench.stats.no_route.value) == (1, 1)
    bench.check_ended()


def test_no_cluster() -> None:
    bench = RouterBench(ClusterAction("gone", cluster_not_found_status=404))
    bench.send()
    assert (bench.client.status, bench.client.details, bench.info.flag_names()) == (404, "cluster_not_found", "NC")
    assert bench.stats.no_cluster.value == 1
    bench.check_ended()


def test_direct_response_and_redirect() -> None:
    bench = RouterBench(DirectResponseAction(418, b"tea"))
    bench.send()
    assert (bench.client.status, bench.client.body, bench.stats.rq_direct_response.value) == (418, b"tea", 1)
    bench = RouterBench(RedirectAction(302, host=b"x.org"))
    bench.send()
    assert bench.client.headers is not None
    assert (bench.client.status, bench.client.headers.get(b"location")) == (302, b"http://x.org/")
    assert (bench.stats.rq_direct_response.value, bench.stats.unused.rq_redirect.value) == (1, 0)


def test_no_host() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"), hosts=0, include_attempt_count_in_response=True)
    bench.send()
    client = bench.client
    assert (client.status, client.body, client.details) == (503, b"no healthy upstream", "no_healthy_upstream")
    assert client.headers is not None
    assert client.headers.get(b"x-envoy-attempt-count") == b"1"
    assert bench.info.flag_names() == "UH"
    assert bench.cluster.counts() == codes(503) | {"upstream_cx_none_healthy": 1, "lb_healthy_panic": 1}
    bench.check_ended()


# A request and its answer


def test_an_answer() -> None:
    bench = RouterBench(to_cluster(), include_request_attempt_count=True, include_attempt_count_in_response=True)
    bench.send()
    bench.dispatcher.advance(0.25)
    stream = bench.cluster.ready()
    assert stream.ended
    assert stream.fields == {b"x-envoy-expected-rq-timeout-ms": b"15000", b"x-envoy-attempt-count": b"1"}
    bench.dispatcher.advance(0.5)
    stream.answer(200, b"hi")
    client = bench.client
    assert (client.status, client.body, client.ended, client.details) == (200, b"hi", True, "via_upstream")
    assert client.headers is not None
    assert client.headers.fields == [(b"x-envoy-upstream-service-time", b"750"), (b"x-envoy-attempt-count", b"1")]
    assert bench.cluster.counts() == codes(200)
    assert bench.host == {"success": 1}
    assert stream.reset is None
    bench.check_ended()
    bench.cluster.store.flush()
    times = bench.cluster.store.histograms.by_name
    for name in ("cluster.c.upstream_rq_time", "cluster.c.external.upstream_rq_time"):
        assert times[name].unit == "ms"
        assert times[name].cumulative.detailed() == [(750, 10, 1)]


def test_an_internal_request_counts_as_internal() -> None:
    bench = RouterBench(to_cluster())
    bench.send(x_envoy_internal="true")
    bench.cluster.ready().answer(404)
    assert bench.cluster.counts() == codes(404, "internal.")
    assert bench.host == {"success": 1}


def test_body_and_trailers_both_ways() -> None:
    bench = RouterBench(to_cluster())
    bench.send(end_stream=False)
    bench.data(b"early ")
    stream = bench.cluster.ready()
    bench.data(b"late")
    bench.filter.decode_trailers(HeaderMap([(b"t", b"1")]))
    assert (stream.body, stream.ended) == (b"early late", True)
    assert stream.trailers is not None
    stream.begin(200)
    stream.decoder.decode_data(b"x", False)
    stream.decoder.decode_trailers(HeaderMap([(b"u", b"2")]))
    assert bench.client.body == b"x"
    assert bench.client.trailers is not None
    assert stream.reset is None
    bench.check_ended()


def test_all_of_a_request_may_wait_for_a_stream() -> None:
    bench = RouterBench(to_cluster())
    bench.send(end_stream=False)
    bench.data(b"a")
    bench.data(b"b")
    bench.filter.decode_trailers(HeaderMap([(b"t", b"1")]))
    stream = bench.cluster.ready()
    assert (stream.body, stream.ended) == (b"ab", True)
    stream.answer(200)
    bench.check_ended()


def test_an_empty_end_may_wait_for_a_stream() -> None:
    bench = RouterBench(to_cluster())
    bench.send(end_stream=False)
    bench.data(b"", end_stream=True)
    stream = bench.cluster.ready()
    # As in Envoy a body that turns out to be empty is one all the same: an HTTP/1 upstream gets it in chunks.
    assert (stream.body, stream.ended, stream.ended_with_headers) == (b"", True, False)


def test_an_answer_before_the_requests_end_ends_the_upstream_stream() -> None:
    bench = RouterBench(to_cluster())
    bench.send(end_stream=False)
    stream = bench.cluster.ready()
    bench.data(b"some")
    stream.answer(200, b"enough")
    assert bench.client.headers is not None
    assert bench.client.headers.get(b"x-envoy-upstream-service-time") is None
    assert stream.reset is StreamResetReason.LOCAL_RESET
    bench.check_ended()


def test_interim_responses_pass_and_end_retries() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send()
    stream = bench.cluster.ready()
    stream.decoder.decode_1xx_headers(ResponseHeaders(100))
    stream.answer(503)
    assert (bench.client.interim, bench.client.status) == ([100], 503)
    assert bench.cluster.counts()["upstream_rq_1xx"] == 1
    bench.check_ended()


def test_idle_timeout_of_the_route() -> None:
    bench = RouterBench(ClusterAction("c", idle_timeout=7.0))
    bench.send()
    assert bench.client.idle_timeout == 7.0


# Failures without retries


@pytest.mark.parametrize(
    ("reason", "told", "words", "flag"),
    [
        (PoolFailureReason.REMOTE_CONNECTION_FAILURE, True, "remote connection failure", "UF"),
        (PoolFailureReason.LOCAL_CONNECTION_FAILURE, True, "local connection failure", "UF"),
        (PoolFailureReason.TIMEOUT, True, "connection timeout", "UF"),
        (PoolFailureReason.OVERFLOW, True, "overflow", "UO"),
        (PoolFailureReason.OVERFLOW, False, "overflow", "UO"),
    ],
)
def test_no_stream(reason: PoolFailureReason, told: bool, words: str, flag: str) -> None:
    bench = RouterBench(to_cluster())
    bench.send()
    bench.cluster.refuse(reason, "why not", told)
    client = bench.client
    assert (client.status, client.body) == (503, BEFORE + words.encode())
    assert client.details == f"upstream_reset_before_response_started{{{words}|why not}}".replace(" ", "_")
    assert bench.info.flag_names() == flag
    assert bench.info.upstream_failure_reason == "why not"
    assert bench.host == ({"error": 1} if told else {})
    assert (bench.info.upstream_host is not None) == told
    assert client.headers is not None
    assert client.headers.get(b"x-envoy-overloaded") == (b"true" if flag == "UO" else None)
    assert bench.cluster.counts() == codes(503)
    bench.check_ended()


@pytest.mark.parametrize(
    ("reason", "status", "flag"),
    [
        (StreamResetReason.CONNECTION_TERMINATION, 503, "UC"),
        (StreamResetReason.REMOTE_RESET, 503, "UR"),
        (StreamResetReason.PROTOCOL_ERROR, 502, "UPE"),
    ],
)
def test_a_reset_before_the_response(reason: StreamResetReason, status: int, flag: str) -> None:
    bench = RouterBench(to_cluster(), include_attempt_count_in_response=True)
    bench.send()
    bench.cluster.ready().fail(reason)
    client = bench.client
    assert (client.status, client.body) == (status, BEFORE + reason.value.encode())
    assert client.details == f"upstream_reset_before_response_started{{{reason.value}}}".replace(" ", "_")
    assert bench.info.flag_names() == flag
    assert client.headers is not None
    assert client.headers.fields == [(b"x-envoy-attempt-count", b"1")]
    assert bench.cluster.counts() == codes(status)
    assert bench.host == {"error": 1}
    bench.check_ended()


def test_a_route_cannot_take_out_the_attempt_count() -> None:
    parsers = HeaderParsers(response=HeaderParser(to_remove=[b"x-envoy-attempt-count"]))
    bench = RouterBench(to_cluster(), include_attempt_count_in_response=True, header_parsers=parsers)
    bench.send()
    bench.cluster.ready().answer(200, b"")
    assert bench.client.headers is not None
    assert bench.client.headers.get(b"x-envoy-attempt-count") == b"1"


def test_a_connection_that_says_why_it_ended() -> None:
    bench = RouterBench(to_cluster())
    bench.send()
    bench.cluster.ready().fail(StreamResetReason.CONNECTION_TERMINATION, "TLS alert")
    assert bench.client.details == "upstream_reset_before_response_started{connection_termination|TLS_alert}"


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        (StreamResetReason.REMOTE_RESET, "upstream_rq_rx_reset"),
        (StreamResetReason.PROTOCOL_ERROR, "upstream_rq_tx_reset"),
        (StreamResetReason.REMOTE_REFUSED_STREAM_RESET, ""),
        (StreamResetReason.CONNECTION_TERMINATION, ""),
    ],
)
def test_resets_of_http2_streams_are_counted(reason: StreamResetReason, counted: str) -> None:
    for protocol in HttpProtocol:
        bench = RouterBench(to_cluster())
        bench.cluster.protocol = protocol
        bench.send()
        bench.cluster.ready().fail(reason)
        resets = {name for name in bench.cluster.counts() if name.endswith("_reset")}
        assert resets == ({counted} if counted and protocol is HttpProtocol.HTTP2 else set())


def test_our_own_reset_of_an_http2_stream_is_counted() -> None:
    bench = RouterBench(to_cluster())
    bench.cluster.protocol = HttpProtocol.HTTP2
    bench.send()
    bench.cluster.ready()
    bench.destroy()
    assert bench.cluster.counts() == {"upstream_rq_tx_reset": 1}


def test_a_reset_after_the_response_began() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send()
    stream = bench.cluster.ready()
    stream.begin(200)
    stream.decoder.decode_data(b"par", False)
    stream.fail(StreamResetReason.PROTOCOL_ERROR)
    client = bench.client
    assert (client.status, client.body, client.reset) == (200, b"par", StreamResetReason.LOCAL_RESET)
    assert client.details == "upstream_reset_after_response_started{protocol_error}"
    assert bench.info.flag_names() == "UPE"
    assert bench.cluster.counts() == codes(200)
    assert (bench.host, bench.stats.rq_reset_after_downstream_response_started.value) == ({"success": 1}, 0)
    bench.check_ended()


def test_a_stream_that_fails_while_it_is_asked_for() -> None:
    bench = RouterBench(to_cluster())
    stream = FakeUpstreamStream(None)
    stream.reset_on_headers = StreamResetReason.CONNECTION_TERMINATION
    bench.cluster.prepared = [stream]
    bench.send(end_stream=False)
    bench.data(b"more", end_stream=True)
    assert bench.client.status == 503
    bench.check_ended()


# Timeouts


def test_response_timeout() -> None:
    bench = RouterBench(to_cluster(2.0))
    bench.send()
    stream = bench.cluster.ready()
    bench.dispatcher.advance(1.9)
    assert bench.client.status is None
    bench.dispatcher.advance(0.2)
    client = bench.client
    assert (client.status, client.body, client.details) == (504, b"upstream request timeout", "response_timeout")
    assert bench.info.flag_names() == "UT"
    assert stream.reset is StreamResetReason.LOCAL_RESET
    assert bench.cluster.counts() == codes(504) | {"upstream_rq_timeout": 1}
    assert bench.host == {"error": 1, "timeout": 1}
    bench.check_ended()


def test_response_timeout_while_waiting_for_a_stream() -> None:
    bench = RouterBench(to_cluster(2.0))
    bench.send()
    bench.dispatcher.advance(2.0)
    assert bench.client.status == 504
    assert bench.cluster.waits[0].cancelled
    bench.check_ended()


def test_response_timeout_after_the_response_began() -> None:
    bench = RouterBench(to_cluster(2.0))
    bench.send()
    stream = bench.cluster.ready()
    stream.begin(200)
    bench.dispatcher.advance(2.0)
    client = bench.client
    assert (client.reset, client.details) == (StreamResetReason.LOCAL_RESET, "response_timeout")
    assert stream.reset is StreamResetReason.LOCAL_RESET
    assert bench.info.flag_names() == "UT"
    assert bench.cluster.counts() == codes(200) | {"upstream_rq_timeout": 1}
    assert bench.host == {"success": 1, "timeout": 1}
    bench.check_ended()


def test_the_timeout_begins_with_the_requests_end() -> None:
    bench = RouterBench(to_cluster(2.0))
    bench.send(end_stream=False)
    bench.cluster.ready()
    bench.dispatcher.advance(60.0)
    assert bench.client.status is None
    bench.data(b"x", end_stream=True)
    bench.dispatcher.advance(2.0)
    assert bench.client.status == 504


def test_no_timeout() -> None:
    bench = RouterBench(to_cluster(0.0))
    headers = bench.send()
    bench.cluster.ready()
    bench.dispatcher.advance(3600.0)
    assert bench.client.status is None
    assert headers.get(b"x-envoy-expected-rq-timeout-ms") is None


def test_per_try_timeout_without_a_retry() -> None:
    bench = RouterBench(to_cluster(3.0, "connect-failure", per_try=0.2))
    bench.send()
    stream = bench.cluster.ready()
    bench.dispatcher.advance(0.2)
    client = bench.client
    assert (client.status, client.details, bench.info.flag_names()) == (504, "upstream_per_try_timeout", "UT")
    assert stream.reset is StreamResetReason.LOCAL_RESET
    assert bench.cluster.counts() == codes(504) | {"upstream_rq_per_try_timeout": 1}
    assert bench.host == {"error": 1, "timeout": 1}
    bench.check_ended()


def test_per_try_timeout_begins_with_the_stream() -> None:
    bench = RouterBench(to_cluster(3.0, "5xx", per_try=0.2))
    bench.send(end_stream=False)
    bench.dispatcher.advance(1.0)
    bench.cluster.ready()
    bench.dispatcher.advance(1.0)
    assert not bench.cluster.counts()
    bench.data(b"", end_stream=True)
    bench.dispatcher.advance(0.2)
    assert bench.cluster.counts()["upstream_rq_per_try_timeout"] == 1


def test_per_try_timeout_ends_with_the_responses_beginning() -> None:
    bench = RouterBench(to_cluster(3.0, "5xx", per_try=0.2))
    bench.send()
    stream = bench.cluster.ready()
    stream.begin(200)
    bench.dispatcher.advance(1.0)
    stream.decoder.decode_data(b"slow", True)
    assert (bench.client.status, bench.client.body) == (200, b"slow")
    bench.check_ended()


# Retries


def test_retries_wait_as_the_runtime_says_where_the_policy_does_not() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"), random=lambda: 0.5)
    bench.runtime.change("upstream.base_retry_backoff_ms", 400)
    bench.send()
    bench.cluster.ready().begin(503)
    bench.dispatcher.advance(0.19)
    assert len(bench.cluster.waits) == 1  # the first try
    bench.dispatcher.advance(0.02)
    bench.cluster.ready().answer(200, b"ok")
    assert bench.client.status == 200


def test_some_retries_can_be_turned_off() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"), random=lambda: 0.5)
    bench.runtime.change("upstream.use_retry", 0.5)
    bench.send()
    bench.cluster.ready().answer(503, b"no")
    assert (bench.client.status, bench.client.body) == (503, b"no")
    assert bench.cluster.resource_manager().retries.count == 0
    bench.check_ended()


def test_a_retry_that_succeeds() -> None:
    bench = RouterBench(
        to_cluster(15.0, "5xx"), include_request_attempt_count=True, include_attempt_count_in_response=True
    )
    bench.send()
    first = bench.cluster.ready()
    first.begin(503)
    assert first.reset is StreamResetReason.LOCAL_RESET  # its body is not read
    assert bench.cluster.resource_manager().retries.count == 1
    bench.dispatcher.advance(0.1)
    second = bench.cluster.ready()
    assert second.fields[b"x-envoy-attempt-count"] == b"2"
    assert second.fields[b"x-envoy-expected-rq-timeout-ms"] == b"14988"
    second.answer(200, b"ok")
    assert (bench.client.status, bench.client.body) == (200, b"ok")
    assert bench.client.headers is not None
    assert bench.client.headers.get(b"x-envoy-attempt-count") == b"2"
    assert bench.info.flag_names() == "-"
    assert bench.cluster.counts() == codes(200) | retried(503) | retries(1) | {"upstream_rq_retry_success": 1}
    assert bench.host == {"success": 1, "error": 1}
    bench.check_ended()


def test_a_complete_response_that_is_retried_needs_no_reset() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send()
    first = bench.cluster.ready()
    first.answer(503)
    assert first.reset is None
    bench.destroy()
    bench.check_ended()


def test_a_complete_response_to_half_a_request_is_reset_and_the_body_sent_again() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send(end_stream=False)
    first = bench.cluster.ready()
    bench.data(b"one ")
    first.answer(503)
    assert first.reset is StreamResetReason.LOCAL_RESET
    bench.data(b"two ")  # during the back-off
    bench.dispatcher.advance(0.1)
    bench.data(b"three ")  # while it waits
    second = bench.cluster.ready()
    bench.data(b"four", end_stream=True)
    assert (second.body, second.ended) == (b"one two three four", True)
    second.answer(200)
    bench.check_ended()


def test_trailers_are_sent_again() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send(end_stream=False)
    bench.data(b"body")
    bench.filter.decode_trailers(HeaderMap([(b"t", b"1")]))
    bench.cluster.ready().answer(500)
    bench.dispatcher.advance(0.1)
    second = bench.cluster.ready()
    assert (second.body, second.trailers is not None, second.ended) == (b"body", True, True)


def test_retries_run_out() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx", retries=2))
    bench.send()
    for _ in range(3):
        bench.cluster.ready().answer(503, b"bad")
        bench.dispatcher.advance(0.1)
    assert (bench.client.status, bench.client.body, bench.client.details) == (503, b"bad", "via_upstream")
    assert bench.info.flag_names() == "URX"
    exhausted = {"upstream_rq_retry_limit_exceeded": 1}
    assert bench.cluster.counts() == codes(503) | retried(503, 2) | retries(2) | exhausted
    assert bench.host == {"error": 3}
    bench.check_ended()


def test_retries_of_resets_run_out() -> None:
    bench = RouterBench(to_cluster(15.0, "connect-failure", retries=2))
    bench.send()
    for _ in range(3):
        bench.cluster.refuse(PoolFailureReason.REMOTE_CONNECTION_FAILURE)
        bench.dispatcher.advance(0.1)
    assert bench.client.body == BEFORE.replace(b"reset reason", b"retried and the latest reset reason") + (
        b"remote connection failure"
    )
    assert set(bench.info.flag_names().split(",")) == {"URX", "UF"}
    assert bench.cluster.counts() == codes(503) | retries(2) | {"upstream_rq_retry_limit_exceeded": 1}
    assert bench.host == {"error": 3}
    bench.check_ended()


def test_per_try_timeouts_are_retried() -> None:
    bench = RouterBench(to_cluster(3.0, "5xx", per_try=0.2))
    bench.send()
    for _ in range(2):
        assert bench.cluster.ready().fields[b"x-envoy-expected-rq-timeout-ms"] == b"200"
        bench.dispatcher.advance(0.3)
    assert (bench.client.status, bench.client.details) == (504, "upstream_per_try_timeout")
    assert set(bench.info.flag_names().split(",")) == {"URX", "UT"}
    counts = {"upstream_rq_per_try_timeout": 2, "upstream_rq_retry_limit_exceeded": 1}
    assert bench.cluster.counts() == codes(504) | retries(1) | counts
    assert bench.host == {"error": 2, "timeout": 2}
    bench.check_ended()


def test_the_breaker_of_retries() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"), max_retries=0)
    bench.send()
    bench.cluster.ready().answer(503)
    assert (bench.client.status, bench.info.flag_names()) == (503, "UO")
    assert bench.cluster.counts() == codes(503) | {"upstream_rq_retry_overflow": 1}
    bench.check_ended()


def test_an_overflow_is_not_retried() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send()
    bench.cluster.refuse(PoolFailureReason.OVERFLOW)
    assert (bench.client.status, bench.info.flag_names()) == (503, "UO")
    bench.check_ended()


def test_a_rate_limited_response_is_not_retried() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send()
    bench.cluster.ready().answer(503, x_envoy_ratelimited="true")
    assert (bench.client.status, bench.info.flag_names()) == (503, "-")


def test_a_body_too_large_to_keep_ends_retries() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"), limit=10)
    bench.send(end_stream=False)
    stream = bench.cluster.ready()
    bench.data(b"x" * 11, end_stream=True)
    stream.answer(503)
    assert (bench.client.status, bench.client.details, bench.info.flag_names()) == (503, "via_upstream", "-")
    assert bench.cluster.counts() == codes(503) | {"retry_or_shadow_abandoned": 1}
    bench.check_ended()


def test_a_body_that_grows_too_large_between_tries() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"), limit=10)
    bench.send(end_stream=False)
    bench.cluster.ready().answer(503)
    bench.data(b"x" * 11)
    client = bench.client
    assert (client.status, client.details) == (507, "request_payload_exceeded_retry_buffer_limit")
    assert client.body == b"exceeded request buffer limit while retrying upstream"
    bench.check_ended()


def test_the_response_timeout_holds_between_tries() -> None:
    bench = RouterBench(to_cluster(0.2, "5xx", retries=1), random=lambda: 0.999)
    bench.send(end_stream=False)
    bench.cluster.ready().answer(503)
    bench.data(b"", end_stream=True)  # during the back-off
    bench.dispatcher.advance(0.1)
    bench.cluster.ready()
    bench.dispatcher.advance(0.1)
    assert (bench.client.status, bench.client.details) == (504, "response_timeout")
    bench.check_ended()


def test_a_timeout_between_tries_counts_for_no_host() -> None:
    bench = RouterBench(to_cluster(0.02, "5xx"), random=lambda: 0.999)
    bench.send()
    bench.cluster.ready().answer(503)
    bench.dispatcher.advance(0.02)
    assert bench.client.status == 504
    counts = bench.cluster.counts()
    assert "upstream_rq_504" not in counts
    assert counts["upstream_rq_timeout"] == 1
    bench.check_ended()


def test_previous_hosts_are_avoided() -> None:
    policy = RetryPolicy(
        frozenset({"5xx"}), 2, host_predicates=HostPredicates(previous_hosts=True), host_selection_attempts=5
    )
    bench = RouterBench(ClusterAction("c", retry=policy), hosts=3)
    bench.send()
    for _ in range(3):
        bench.cluster.ready().answer(500)
        bench.dispatcher.advance(0.1)
    assert len({wait.host for wait in bench.cluster.waits}) == 3


def test_the_hosts_may_all_have_left_at_the_retry() -> None:
    bench = RouterBench(to_cluster(15.0, "5xx"))
    bench.send()
    bench.cluster.ready().answer(500)
    bench.cluster.update_hosts([])
    bench.dispatcher.advance(0.1)
    assert (bench.client.status, bench.client.details) == (503, "no_healthy_upstream")
    bench.check_ended()


def test_wishes_of_the_request() -> None:
    bench = RouterBench(to_cluster())
    headers = bench.send(x_envoy_retry_on="retriable-4xx", x_envoy_max_retries="2")
    bench.cluster.ready().answer(409)
    bench.dispatcher.advance(0.1)
    bench.cluster.ready().answer(200)
    assert bench.client.status == 200
    assert [name for name, _ in headers.fields] == [b"x-envoy-expected-rq-timeout-ms"]
    bench.check_ended()


# The client leaves


@pytest.mark.parametrize("when", ["waiting", "sent", "answering", "between"])
def test_the_client_leaves(when: str) -> None:
    bench = RouterBench(to_cluster(15.0, "5xx", per_try=1.0))
    bench.send()
    stream = None if when == "waiting" else bench.cluster.ready()
    if stream is not None and when != "sent":
        stream.begin(200 if when == "answering" else 503)
    bench.destroy()
    assert bench.client.status == (200 if when == "answering" else None)
    if stream is not None:
        assert stream.reset is StreamResetReason.LOCAL_RESET
    bench.check_ended()


# Back-pressure


def test_a_slow_upstream_pauses_the_client() -> None:
    bench = RouterBench(to_cluster())
    bench.send(end_stream=False)
    stream = bench.cluster.ready()
    stream.callbacks.on_above_write_buffer_high_watermark()
    stream.callbacks.on_above_write_buffer_high_watermark()
    assert bench.client.paused == 2
    stream.callbacks.on_below_write_buffer_low_watermark()
    assert bench.client.paused == 1
    stream.fail(StreamResetReason.CONNECTION_TERMINATION)
    bench.check_ended()


def test_a_connection_that_is_full_already() -> None:
    bench = RouterBench(to_cluster())
    stream = FakeUpstreamStream(None)
    stream.above_high_watermark = True
    bench.cluster.prepared = [stream]
    bench.send(end_stream=False)
    assert bench.client.paused == 1
    stream.callbacks.on_below_write_buffer_low_watermark()
    assert bench.client.paused == 0


def test_a_body_that_waits_for_a_stream_pauses_the_client() -> None:
    bench = RouterBench(to_cluster(), limit=10)
    bench.send(end_stream=False)
    bench.data(b"x" * 10)
    assert bench.client.paused == 0
    bench.data(b"x")
    bench.data(b"x" * 5)
    assert bench.client.paused == 1
    stream = bench.cluster.ready()
    assert (bench.client.paused, len(stream.body)) == (0, 16)
    bench.destroy()
    bench.check_ended()


def test_a_wait_that_fails_resumes_the_client() -> None:
    bench = RouterBench(to_cluster(), limit=10)
    bench.send(end_stream=False)
    bench.data(b"x" * 11)
    bench.cluster.refuse(PoolFailureReason.TIMEOUT)
    bench.check_ended()


def test_a_slow_client_pauses_the_upstream() -> None:
    bench = RouterBench(to_cluster())
    bench.send()
    stream = bench.cluster.ready()
    stream.begin(200)
    (callbacks,) = bench.client.watermarks
    callbacks.on_above_write_buffer_high_watermark()
    assert stream.read_disabled == 1
    callbacks.on_below_write_buffer_low_watermark()
    assert stream.read_disabled == 0
    stream.decoder.decode_data(b"", True)
    stats = bench.cluster.stats
    assert stats.upstream_flow_control_paused_reading_total.value == 1
    assert stats.upstream_flow_control_resumed_reading_total.value == 1
    bench.check_ended()


# gRPC counts by its own status


@pytest.mark.parametrize(
    ("status", "counted"),
    [("0", "success"), ("5", "success"), ("14", "error"), ("2", "error"), ("x", "error"), ("", "error")],
)
def test_grpc_status_in_trailers(status: str, counted: str) -> None:
    bench = RouterBench(to_cluster())
    bench.send(content_type="application/grpc")
    stream = bench.cluster.ready()
    stream.begin(200)
    assert bench.host == {}
    stream.decoder.decode_trailers(HeaderMap([(b"grpc-status", status.encode())] if status else []))
    assert bench.host == {counted: 1}


def test_grpc_status_in_headers_or_nowhere() -> None:
    for fields, counted in (({"grpc_status": "0"}, "success"), ({}, "error")):
        bench = RouterBench(to_cluster())
        bench.send(content_type="application/grpc+proto")
        bench.cluster.ready().answer(200, **fields)
        assert bench.host == {counted: 1}
    bench = RouterBench(to_cluster())
    bench.send(content_type="application/grpc")
    bench.cluster.ready().answer(200, b"data")
    assert bench.host == {"error": 1}


def test_grpc_that_is_cut() -> None:
    bench = RouterBench(to_cluster())
    bench.send(content_type="application/grpc")
    stream = bench.cluster.ready()
    stream.begin(200)
    stream.fail(StreamResetReason.REMOTE_RESET)
    assert bench.host == {"error": 1}
    assert bench.stats.rq_reset_after_downstream_response_started.value == 1
    bench.check_ended()


# Requests that are dropped on purpose (`policy.drop_overloads`)


@pytest.mark.parametrize(
    ("share", "body", "details", "header", "flag"),
    [
        (1.0, b"unconditional drop overload", "unconditional_drop_overload", b"x-envoy-unconditional-drop-overload",
         ResponseFlag.UNCONDITIONAL_DROP_OVERLOAD),
        (0.6, b"drop overload", "drop_overload", b"x-envoy-drop-overload", ResponseFlag.DROP_OVERLOAD),
    ],
)  # fmt: skip
def test_a_share_of_requests_is_dropped(share: float, body: bytes, details: str, header: bytes, flag: int) -> None:
    bench = RouterBench(to_cluster(), random=lambda: 0.5)
    bench.cluster.real.drop_overload = share
    bench.send()
    client = bench.client
    assert (client.status, client.body, client.details) == (503, body, details)
    assert client.headers is not None
    assert client.headers.get(header) == b"true"
    assert bench.info.flags == flag
    assert bench.cluster.counts() == codes(503)
    bench.check_ended()


def test_the_other_share_is_not_dropped() -> None:
    bench = RouterBench(to_cluster(), random=lambda: 0.5)
    bench.cluster.real.drop_overload = 0.5
    bench.send()
    bench.cluster.ready().answer(200)
    assert bench.client.status == 200
    bench.check_ended()


def test_headers_that_say_why_can_be_suppressed() -> None:
    bench = RouterBench(to_cluster(), config={"suppress_envoy_headers": True})
    bench.cluster.real.drop_overload = 1.0
    bench.send()
    assert bench.client.headers is not None
    assert bench.client.headers.get(b"x-envoy-unconditional-drop-overload") is None
    bench.check_ended()


# How long a stream may take, and with whom connections are shared


def test_a_stream_that_takes_longer_than_its_cluster_allows() -> None:
    bench = RouterBench(ClusterAction("c", timeout=0.0))
    bench.cluster.real.max_stream_duration = 2.0
    bench.send()
    stream = bench.cluster.ready()
    bench.dispatcher.advance(2.1)
    assert stream.reset is StreamResetReason.LOCAL_RESET
    client = bench.client
    assert (client.status, client.body) == (504, b"upstream max stream duration reached")
    assert client.details == "upstream_max_stream_duration_reached"
    assert bench.info.flags == ResponseFlag.UPSTREAM_MAX_STREAM_DURATION_REACHED
    assert bench.cluster.stats.upstream_rq_max_duration_reached.value == 1
    bench.check_ended()


def test_a_stream_that_is_fast_enough() -> None:
    bench = RouterBench(ClusterAction("c", timeout=0.0))
    bench.cluster.real.max_stream_duration = 2.0
    bench.send()
    bench.cluster.ready().answer(200)
    bench.dispatcher.advance(3.0)
    assert bench.cluster.stats.upstream_rq_max_duration_reached.value == 0
    bench.check_ended()


def test_a_request_that_goes_on_for_too_long() -> None:
    bench = RouterBench(ClusterAction("c", timeout=0.0))
    bench.cluster.real.max_stream_duration = 2.0
    bench.send(end_stream=False)
    bench.cluster.ready()
    bench.dispatcher.advance(2.1)
    assert bench.client.status == 408


def test_a_stream_that_took_too_long_is_tried_again() -> None:
    bench = RouterBench(ClusterAction("c", timeout=0.0, retry=RetryPolicy(retry_on=frozenset({"reset"}))))
    bench.cluster.real.max_stream_duration = 2.0
    bench.send()
    bench.cluster.ready()
    bench.dispatcher.advance(2.5)
    bench.cluster.ready().answer(200)
    assert bench.info.attempt_count == 2
    bench.check_ended()


def test_the_high_priority_has_connections_of_its_own() -> None:
    bench = RouterBench(ClusterAction("c", high_priority=True))
    bench.send()
    assert bench.cluster.options == HIGH_PRIORITY
    bench = RouterBench(ClusterAction("c"))
    bench.send()
    assert bench.cluster.options is None


def test_a_cluster_may_separate_requests() -> None:
    bench = RouterBench(ClusterAction("c"))
    bench.cluster.real.separator = separator_for(ClusterSettings("c", pool_per_downstream_connection=True))
    bench.send()
    assert bench.cluster.options == PoolOptions(downstream=bench.info.downstream.id)
