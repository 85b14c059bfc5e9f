"""Tries that go on beside the next one (`hedge_on_per_try_timeout`)."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.headers import ResponseHeaders
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.api import PoolFailureReason
from tests.support.router import FakeUpstreamStream, RouterBench


def hedged(*retry_on: str, retries: int = 1, timeout: float = 10.0, hedges: bool = True) -> ClusterAction:
    policy = RetryPolicy(frozenset(retry_on or {"5xx"}), retries, 0.2)
    return ClusterAction("c", timeout=timeout, retry=policy, hedges=hedges)


def two_tries(bench: RouterBench, **fields: str) -> tuple[FakeUpstreamStream, FakeUpstreamStream]:
    """The first has been too slow, the second is under way."""
    bench.send(**fields)
    first = bench.cluster.ready()
    bench.dispatcher.advance(0.25)
    return first, bench.cluster.ready()


def test_the_first_good_answer_wins() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    assert first.fields[b"x-envoy-expected-rq-timeout-ms"] == b"10000"
    assert second.fields[b"x-envoy-expected-rq-timeout-ms"] == b"9788"  # 200 ms and half of the back-off
    assert first.reset is None
    first_host = bench.cluster.waits[0].host
    first.answer(200, b"late")
    assert (bench.client.status, bench.client.body) == (200, b"late")
    assert (first.reset, second.reset) == (None, StreamResetReason.LOCAL_RESET)
    assert bench.info.upstream_host == first_host.address
    assert bench.info.upstream_connection is first.connection
    assert set(map(id, bench.info.upstream_meters)) == {id(first), id(second)}
    assert len(bench.info.upstream_meters) == 2
    # Nothing of it counts as a timeout; the try that gave the answer was not tried again with success.
    counts = bench.cluster.counts()
    assert counts["upstream_rq_retry"] == 1
    assert not {"upstream_rq_per_try_timeout", "upstream_rq_timeout", "upstream_rq_retry_success"} & counts.keys()
    assert bench.info.flag_names() == "-"
    bench.check_ended()


def test_the_later_try_may_win_too() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    second.answer(200)
    assert (bench.client.status, first.reset, second.reset) == (200, StreamResetReason.LOCAL_RESET, None)
    assert bench.info.upstream_connection is second.connection
    assert bench.cluster.counts()["upstream_rq_retry_success"] == 1
    bench.check_ended()


def test_an_answer_during_the_back_off_ends_the_plan() -> None:
    bench = RouterBench(hedged())
    bench.send()
    first = bench.cluster.ready()
    bench.dispatcher.advance(0.205)
    assert bench.cluster.resource_manager().retries.count == 1
    first.answer(200)
    assert (bench.client.status, len(bench.cluster.waits)) == (200, 1)
    bench.check_ended()


def test_a_bad_answer_waits_for_the_others() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    first.answer(503, b"no")
    assert bench.client.status is None
    second.answer(200, b"yes")
    assert (bench.client.status, bench.client.body) == (200, b"yes")
    assert bench.host == {"error": 1} or bench.host == {"success": 1}
    bench.check_ended()


def test_the_last_bad_answer_is_the_answer() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    second.answer(503)
    assert bench.client.status is None
    assert bench.info.flag_names() == "URX"
    first.answer(502)
    assert (bench.client.status, bench.client.details) == (502, "via_upstream")
    bench.check_ended()


def test_a_fresh_try_that_fails_is_tried_again_beside_the_slow_one() -> None:
    bench = RouterBench(hedged(retries=2), hosts=3)
    first, second = two_tries(bench)
    second.answer(503)
    bench.dispatcher.advance(0.1)
    third = bench.cluster.ready()
    assert bench.info.attempt_count == 3
    first.answer(200)
    assert (bench.client.status, third.reset) == (200, StreamResetReason.LOCAL_RESET)
    bench.check_ended()


def test_each_slow_try_is_hedged_once() -> None:
    bench = RouterBench(hedged(retries=5))
    two_tries(bench)
    bench.dispatcher.advance(0.5)
    assert len(bench.cluster.waits) == 3
    bench.cluster.ready().answer(204)
    assert bench.client.status == 204
    bench.check_ended()


@pytest.mark.parametrize("reason", [StreamResetReason.REMOTE_RESET, StreamResetReason.CONNECTION_TERMINATION])
def test_resets_wait_for_the_others(reason: StreamResetReason) -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    first.fail(reason)
    assert bench.client.status is None
    assert bench.cluster.counts()["upstream_rq_503"] == 1  # as in Envoy, though nobody is told
    second.fail(reason)
    assert bench.client.status == 503
    assert bench.client.details == f"upstream_reset_before_response_started{{{reason.value}}}".replace(" ", "_")
    assert bench.cluster.counts()["upstream_rq_503"] == 2
    bench.check_ended()


def test_the_newest_reset_leaves_the_slow_one() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    second.fail(StreamResetReason.REMOTE_RESET)
    first.begin(200)
    first.decoder.decode_data(b"a", False)
    bench.filter.on_above_write_buffer_high_watermark()
    assert first.read_disabled == 1
    bench.filter.on_below_write_buffer_low_watermark()
    first.decoder.decode_data(b"b", True)
    assert bench.client.body == b"ab"
    bench.check_ended()


def test_the_whole_timeout_ends_and_counts_all() -> None:
    bench = RouterBench(hedged(timeout=1.0), hosts=2)
    first, second = two_tries(bench)
    bench.dispatcher.advance(1.0)
    assert (bench.client.status, bench.client.details) == (504, "response_timeout")
    assert first.reset is second.reset is StreamResetReason.LOCAL_RESET
    counts = bench.cluster.counts()
    assert (counts["upstream_rq_timeout"], counts["upstream_rq_504"]) == (2, 2)
    bench.check_ended()


def test_a_client_that_leaves_ends_all() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    bench.destroy()
    assert first.reset is second.reset is StreamResetReason.LOCAL_RESET
    bench.check_ended()


def test_no_host_for_the_next_try_ends_all() -> None:
    bench = RouterBench(hedged())
    bench.send()
    first = bench.cluster.ready()
    bench.cluster.update_hosts([])
    bench.dispatcher.advance(0.25)
    assert (bench.client.status, bench.client.details) == (503, "no_healthy_upstream")
    assert first.reset is StreamResetReason.LOCAL_RESET
    bench.check_ended()


def test_a_pool_that_refuses_the_next_try_leaves_the_slow_one() -> None:
    bench = RouterBench(hedged(), hosts=2)
    bench.send()
    first = bench.cluster.ready()
    bench.cluster.prepared.append(PoolFailureReason.OVERFLOW)
    bench.dispatcher.advance(0.25)
    assert bench.client.status is None
    first.answer(200)
    assert bench.client.status == 200
    bench.check_ended()


def test_without_retries_left_the_slow_try_has_the_whole_time() -> None:
    bench = RouterBench(hedged(retries=0))
    bench.send()
    first = bench.cluster.ready()
    bench.dispatcher.advance(5.0)
    assert bench.info.flag_names() == "URX"
    first.answer(200)
    assert bench.client.status == 200
    assert bench.cluster.counts()["upstream_rq_retry_limit_exceeded"] == 1
    bench.check_ended()


def test_too_many_retries_at_once() -> None:
    bench = RouterBench(hedged(), max_retries=0)
    bench.send()
    first = bench.cluster.ready()
    bench.dispatcher.advance(0.3)
    assert (bench.info.flag_names(), len(bench.cluster.waits)) == ("UO", 1)
    first.answer(503)
    assert bench.client.status == 503
    bench.check_ended()


def test_an_interim_response_decides() -> None:
    bench = RouterBench(hedged(), hosts=2)
    first, second = two_tries(bench)
    first.decoder.decode_1xx_headers(ResponseHeaders(103, []))
    assert (bench.client.interim, second.reset) == ([103], StreamResetReason.LOCAL_RESET)
    first.answer(503)
    assert bench.client.status == 503
    bench.check_ended()


@pytest.mark.parametrize(
    ("configured", "wish", "tries"),
    [(False, "true", 2), (True, "false", 1), (True, "x", 2), (False, "x", 1), (True, None, 2)],
)
def test_a_request_may_wish(configured: bool, wish: str | None, tries: int) -> None:
    bench = RouterBench(hedged("connect-failure", hedges=configured), hosts=2)
    fields: dict[str, Any] = {} if wish is None else {"x_envoy_hedge_on_per_try_timeout": wish}
    headers = bench.send(**fields)
    bench.cluster.ready()
    bench.dispatcher.advance(0.25)
    assert len(bench.cluster.waits) == tries
    assert b"x-envoy-hedge-on-per-try-timeout" not in headers
    bench.destroy()
    bench.check_ended()


def test_the_body_is_sent_again_and_pauses_are_taken_back() -> None:
    bench = RouterBench(hedged(), hosts=2)
    bench.cluster.protocol = HttpProtocol.HTTP2
    bench.send(end_stream=False, method=b"POST")
    first = bench.cluster.ready()
    bench.data(b"body", end_stream=True)
    first.callbacks.on_above_write_buffer_high_watermark()
    assert bench.client.paused == 1
    bench.dispatcher.advance(0.25)
    second = bench.cluster.ready()
    assert (first.body, second.body, second.ended) == (b"body", b"body", True)
    second.answer(200)
    assert bench.client.paused == 0
    assert bench.cluster.counts()["upstream_rq_tx_reset"] == 1
    bench.check_ended()
