"""Mirrors beside the router filter: what copies get, how they end, and that the request never notices them.

What the copies look like is the real Envoy 1.40's; that a slow one is dropped is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from envoymesh.filters.http.router.shadow_writer import BEHIND_LIMIT
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap
from envoymesh.router.mirror import MirrorPolicy
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.api import PoolFailureReason
from tests.support.router import FakeUpstreamStream, RouterBench

ONE = (MirrorPolicy("m"),)
PIECE = b"x" * (BEHIND_LIMIT // 4)


def bench_of(mirrors: Sequence[MirrorPolicy] = ONE, **fields: Any) -> RouterBench:
    return RouterBench(ClusterAction("c", mirrors=mirrors, **fields))


@pytest.fixture
def bench() -> Iterator[RouterBench]:
    made = bench_of()
    yield made
    made.check_ended()


def streams_of(bench: RouterBench) -> tuple[FakeUpstreamStream, FakeUpstreamStream]:
    """The request's stream and the copy's."""
    return bench.cluster.ready(), bench.mirror.ready()


def test_a_request_without_a_body(bench: RouterBench) -> None:
    sent = bench.send(x_a="1")
    stream, copy = streams_of(bench)
    assert stream.headers is sent
    assert copy.headers is not None
    assert copy.headers is not sent
    assert (copy.headers.method, copy.headers.path, copy.headers.authority) == (b"GET", b"/", b"a-shadow")
    own = [(b"x-envoy-internal", b"true"), (b"x-forwarded-for", b"10.9.9.9")]
    assert copy.headers.fields == [*sent.fields, *own]
    assert copy.ended_with_headers
    stream.answer(200)
    copy.answer(500, b"nobody cares")
    assert (bench.client.status, bench.client.body) == (200, b"")
    assert bench.mirror.counts()["internal.upstream_rq_500"] == 1
    assert bench.async_client.stats.rq_total.value == 1


def test_a_whole_request_is_mirrored_to_its_end(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream, copy = streams_of(bench)
    bench.data(b"ab")
    bench.data(b"cd", end_stream=True)
    assert (copy.body, copy.ended) == (b"abcd", True)
    stream.answer(200)
    assert bench.destroyed
    assert copy.reset is None
    copy.answer(200)
    assert bench.mirror.counts()["upstream_rq_200"] == 1


def test_trailers(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream, copy = streams_of(bench)
    trailers = HeaderMap([(b"t", b"1")])
    bench.filter.decode_trailers(trailers)
    assert copy.trailers is not None
    assert copy.trailers is not trailers
    assert copy.trailers.fields == trailers.fields
    copy.answer(200)
    stream.answer(200)


def test_a_request_that_is_cut_cuts_its_copy(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    _, copy = streams_of(bench)
    bench.destroy()
    assert copy.reset is StreamResetReason.LOCAL_RESET


def test_a_copy_that_fails_is_not_noticed(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream = bench.cluster.ready()
    bench.mirror.refuse(PoolFailureReason.REMOTE_CONNECTION_FAILURE)
    bench.data(b"ab", end_stream=True)
    assert stream.body == b"ab"
    stream.answer(200)
    assert bench.mirror.counts()["upstream_rq_503"] == 1


def test_a_copy_that_fails_at_once_is_not_noticed(bench: RouterBench) -> None:
    bench.mirror.prepared = [PoolFailureReason.OVERFLOW]
    bench.send(end_stream=False)
    bench.data(b"ab", end_stream=True)
    bench.cluster.ready().answer(200)
    assert bench.client.status == 200


def test_an_answer_before_the_end_ends_the_copy(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream, copy = streams_of(bench)
    copy.answer(404, b"x")
    assert copy.reset is StreamResetReason.LOCAL_RESET
    bench.data(b"ab", end_stream=True)
    assert copy.body == b""
    stream.answer(200)


def test_a_mirror_that_is_too_far_behind_is_dropped(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream, copy = streams_of(bench)
    copy.callbacks.on_above_write_buffer_high_watermark()
    for _ in range(4):
        bench.data(PIECE)
    assert copy.reset is None
    bench.data(PIECE)
    assert copy.reset is StreamResetReason.LOCAL_RESET
    assert bench.client.paused == 0
    assert bench.cluster.counts()["retry_or_shadow_abandoned"] == 1
    bench.data(PIECE, end_stream=True)
    assert len(stream.body) == 6 * len(PIECE)
    stream.answer(200)


def test_a_mirror_that_catches_up_is_kept(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream, copy = streams_of(bench)
    for _ in range(3):
        copy.callbacks.on_above_write_buffer_high_watermark()
        bench.data(PIECE * 3)
        copy.callbacks.on_below_write_buffer_low_watermark()
    bench.data(b"", end_stream=True)
    assert len(copy.body) == len(stream.body) == 9 * len(PIECE)
    copy.answer(200)
    stream.answer(200)


def test_a_mirror_without_a_connection_is_bounded(bench: RouterBench) -> None:
    bench.send(end_stream=False)
    stream = bench.cluster.ready()
    for _ in range(10):
        bench.data(PIECE)
    assert bench.mirror.waits[-1].cancelled
    assert bench.client.paused == 0
    bench.data(b"", end_stream=True)
    stream.answer(200)


def test_a_copy_has_the_routes_timeout() -> None:
    bench = bench_of(timeout=2.0)
    bench.send()
    stream, copy = streams_of(bench)
    stream.answer(200)
    bench.dispatcher.advance(2)
    assert copy.reset is StreamResetReason.LOCAL_RESET
    assert bench.mirror.counts()["upstream_rq_timeout"] == 1
    bench.check_ended()


def test_a_copy_is_told_of_the_whole_timeout_and_tried_once() -> None:
    bench = bench_of(timeout=3.0, retry=RetryPolicy(frozenset({"5xx"}), 1, per_try_timeout=1.0))
    bench.send()
    stream, copy = streams_of(bench)
    assert stream.fields[b"x-envoy-expected-rq-timeout-ms"] == b"1000"
    assert copy.fields[b"x-envoy-expected-rq-timeout-ms"] == b"3000"
    copy.answer(503)
    stream.answer(503)
    bench.dispatcher.advance(1)
    bench.cluster.ready().answer(200)
    assert bench.client.status == 200
    assert len(bench.mirror.waits) == 1
    bench.check_ended()


def test_several_mirrors() -> None:
    bench = bench_of((*ONE, MirrorPolicy("m", add_suffix=False), MirrorPolicy("gone")))
    bench.mirror.prepared = [FakeUpstreamStream(None), FakeUpstreamStream(None)]
    first, second = bench.mirror.prepared
    bench.send()
    assert isinstance(first, FakeUpstreamStream)
    assert isinstance(second, FakeUpstreamStream)
    assert first.headers is not None
    assert second.headers is not None
    assert (first.headers.authority, second.headers.authority) == (b"a-shadow", b"a")
    first.answer(200)
    second.answer(200)
    bench.cluster.ready().answer(200)
    bench.check_ended()


def test_no_copy_of_connect(bench: RouterBench) -> None:
    bench.send(method=b"CONNECT")
    assert not bench.mirror.waits
    bench.cluster.ready().answer(200)


def test_no_copy_where_there_is_no_host(bench: RouterBench) -> None:
    bench.cluster.update_hosts([])
    bench.send()
    assert bench.client.status == 503
    assert not bench.mirror.waits


def test_a_copy_where_the_first_try_failed_at_once() -> None:
    bench = bench_of(retry=RetryPolicy(frozenset({"connect-failure"}), 1))
    bench.cluster.prepared = [PoolFailureReason.REMOTE_CONNECTION_FAILURE]
    bench.send()
    bench.mirror.ready().answer(200)
    bench.dispatcher.advance(1)
    bench.cluster.ready().answer(200)
    bench.check_ended()


def test_the_routers_settings_count_for_copies() -> None:
    settings = {"suppress_envoy_headers": True, "dynamic_stats": False}
    bench = RouterBench(ClusterAction("c", mirrors=ONE), config=settings)
    bench.send()
    stream, copy = streams_of(bench)
    assert b"x-envoy-expected-rq-timeout-ms" not in copy.fields
    copy.answer(200)
    stream.answer(200)
    assert bench.mirror.counts() == {}
    bench.check_ended()
