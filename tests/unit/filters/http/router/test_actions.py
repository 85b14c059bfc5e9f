"""What a route's action asks of the router filter: rewrites, hashes, redirects to follow, times, answers.

Statuses, details, flags and counts are those of the real Envoy 1.40 in the same situations.
"""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.formatter import Formatter
from envoymesh.formatter.body import BodyFormat
from envoymesh.router.actions.durations import GrpcTimeout, StreamDuration
from envoymesh.router.actions.hash_policy import CookieHash, HashPolicy, HashStep, HeaderHash, hash_bytes
from envoymesh.router.actions.internal_redirects import InternalRedirectPolicy
from envoymesh.router.actions.rewrites import LiteralHost, PrefixRewrite, Rewrites
from envoymesh.router.retry import RateLimitedBackOff, ResetHeader, RetryPolicy
from envoymesh.router.table import ClusterAction, DirectResponseAction, RouteTable, VirtualHost
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LoadBalancer
from tests.support.router import RouterBench
from tests.support.stand_ins import stands_for


def bench_of(action: ClusterAction, **options: Any) -> RouterBench:
    """A bench whose route is part of a table, which orders what it changes."""
    bench = RouterBench(action, **options)
    route = bench.client.route
    assert route is not None
    RouteTable("t", [VirtualHost("v", [b"*"], [route])])
    return bench


# Rewrites


@pytest.mark.parametrize("suppressed", [False, True])
def test_path_and_host_are_rewritten_once(suppressed: bool) -> None:
    policy = RetryPolicy(frozenset({"5xx"}))
    action = ClusterAction("c", retry=policy, rewrites=Rewrites(PrefixRewrite(b"/n"), LiteralHost(b"h")))
    bench = bench_of(action, config={"suppress_envoy_headers": suppressed})
    headers = bench.send()
    bench.cluster.ready().answer(500)
    bench.dispatcher.advance(1)
    stream = bench.cluster.ready()
    assert (headers.path, headers.authority) == (b"/n", b"h")
    assert stream.fields.get(b"x-envoy-original-path") == (None if suppressed else b"/")
    assert stream.fields.get(b"x-envoy-original-host") == (None if suppressed else b"a")
    stream.answer(200)
    bench.check_ended()


def test_the_host_of_the_upstream() -> None:
    bench = bench_of(ClusterAction("c", rewrites=Rewrites(auto_host=True, append_x_forwarded_host=True)))
    bench.cluster.first_hosts[0].hostname = "named.example.com"
    headers = bench.send()
    stream = bench.cluster.ready()
    assert headers.authority == b"named.example.com"
    assert stream.fields[b"x-forwarded-host"] == stream.fields[b"x-envoy-original-host"] == b"a"
    stream.answer(200)
    bench.check_ended()


def test_an_upstream_without_a_name() -> None:
    bench = bench_of(ClusterAction("c", rewrites=Rewrites(auto_host=True)))
    headers = bench.send()
    bench.cluster.ready().answer(200)
    assert (headers.authority, b"x-envoy-original-host" in headers) == (b"a", False)
    bench.check_ended()


def test_a_cluster_that_is_not_there_is_not_logged() -> None:
    bench = RouterBench(ClusterAction("gone"))
    bench.info.upstream_cluster = "gone"
    bench.send()
    assert (bench.client.status, bench.info.upstream_cluster) == (503, "")
    bench.check_ended()


# Hashes


class Asking(stands_for(LoadBalancer)):
    """A balancer that asks what it may ask, and gives the first host."""

    def __init__(self, bench: RouterBench) -> None:
        self.hashes: list[int | None] = []
        self._bench = bench
        bench.cluster.real.wants_request = True
        bench.cluster.real.balancer = self

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        host = self._bench.cluster.first_hosts[0]
        assert context is not None
        assert not context.should_select_another_host(host)
        self.hashes.append(context.hash_key())
        return host


@pytest.mark.parametrize("retry", [None, RetryPolicy(frozenset({"5xx"}))])
def test_a_balancer_may_ask_for_the_hash(retry: RetryPolicy | None) -> None:
    policy = HashPolicy([HashStep(HeaderHash(b"x-k"))])
    bench = bench_of(ClusterAction("c", hash_policy=policy, retry=retry))
    asking = Asking(bench)
    bench.send(x_k="a")
    bench.cluster.ready().answer(200)
    assert asking.hashes == [hash_bytes(b"a")]
    bench.check_ended()


def test_a_cookie_goes_out_with_the_response() -> None:
    bench = bench_of(ClusterAction("c", hash_policy=HashPolicy([HashStep(CookieHash(b"k", 60))])))
    asking = Asking(bench)
    bench.send()
    bench.cluster.ready().answer(200, set_cookie="mine=1")
    assert bench.client.headers is not None
    mine, given = bench.client.headers.get_all(b"set-cookie")
    assert (mine, given[:3], given[19:]) == (b"mine=1", b'k="', b'"; Max-Age=60; HttpOnly')
    assert asking.hashes == [hash_bytes(given[3:19])]
    bench.check_ended()


def test_nobody_asks_and_nobody_gets_a_cookie() -> None:
    bench = bench_of(ClusterAction("c", hash_policy=HashPolicy([HashStep(CookieHash(b"k", 60))])))
    bench.send()
    bench.cluster.ready().answer(200)
    assert bench.client.headers is not None
    assert b"set-cookie" not in bench.client.headers
    bench.check_ended()


# Redirects that are followed

TO = "http://b.org/new?q#f"


def following(limit: int = 0, retry: RetryPolicy | None = None, **policy: Any) -> RouterBench:
    action = ClusterAction("c", internal_redirect=InternalRedirectPolicy("r", **policy), retry=retry)
    return bench_of(action, limit=limit)


def counts(bench: RouterBench) -> tuple[int, int]:
    stats = bench.cluster.stats
    return stats.upstream_internal_redirect_succeeded_total.value, stats.upstream_internal_redirect_failed_total.value


def test_a_redirect_is_followed() -> None:
    bench = following(headers_to_copy=[b"x-copied", b"x-absent"])
    headers = bench.send(x_absent="1", x_copied="request")
    stream = bench.cluster.ready()
    stream.begin(302, location=TO, x_copied="response")
    assert bench.client.recreated == (302, b"")
    assert (headers.scheme, headers.authority, headers.path) == (b"http", b"b.org", b"/new?q")
    assert headers.get(b"x-envoy-original-url") == b"http://a/"
    assert (headers.get_all(b"x-copied"), b"x-absent" in headers) == ([b"response"], False)
    assert counts(bench) == (1, 0)
    assert stream.reset is not None, "nobody reads its body"
    assert bench.client.status is None
    bench.check_ended()


@pytest.mark.parametrize(
    ("status", "method", "left", "body"),
    [(303, b"POST", b"GET", b""), (307, b"POST", b"POST", b"abc"), (303, b"HEAD", b"HEAD", b"abc")],
)
def test_the_body_goes_with_it(status: int, method: bytes, left: bytes, body: bytes) -> None:
    bench = following(codes=frozenset({303, 307}))
    headers = bench.send(False, method, content_length="3")
    bench.data(b"ab")
    bench.data(b"c", True)
    bench.cluster.ready().begin(status, location=TO)
    assert bench.client.recreated == (status, body)
    assert (headers.method, b"content-length" in headers) == (left, bool(body))
    bench.check_ended()


@pytest.mark.parametrize(
    ("policy", "response", "reason"),
    [
        ({}, {}, ""),
        ({}, {"location": "/relative"}, "bad_location"),
        ({}, {"location": "https://b.org/"}, "unsafe_scheme"),
        ({"allow_cross_scheme": True}, {"location": "ftp://b.org/"}, "unsafe_scheme"),
        ({"max_redirects": 0}, {"location": TO}, "too_many_redirects"),
        ({"allowed_routes": frozenset({"other"})}, {"location": TO}, "predicate"),
        ({"allow_cross_scheme": True, "safe_cross_scheme": True}, {"location": "https://b.org/"}, "predicate"),
    ],
)
def test_what_is_not_followed_goes_to_the_client(policy: dict[str, Any], response: dict[str, str], reason: str) -> None:
    bench = following(**policy)
    headers = bench.send(x_a="1")
    before = list(headers.fields)
    bench.cluster.ready().answer(302, **response)
    assert (bench.client.status, bench.client.recreated) == (302, None)
    assert (headers.scheme, headers.authority, headers.path) == (b"http", b"a", b"/")
    assert [field for field in headers.fields if field in before] == before
    assert counts(bench) == (0, 1)
    found = bench.store.counters.by_name
    prefix = "http.p.passthrough_internal_redirect_"
    assert [name.removeprefix(prefix) for name in found if name.startswith(prefix) and found[name].value] == (
        [reason] if reason else []
    )
    bench.check_ended()


def test_no_route_to_follow_to() -> None:
    bench = following()
    bench.route_of = lambda headers: None
    bench.send()
    bench.cluster.ready().answer(302, location=TO)
    assert bench.stats.passthrough_internal_redirect_no_route.value == 1
    assert bench.client.status == 302
    bench.check_ended()


def test_a_request_that_is_not_complete_is_not_redirected() -> None:
    bench = following()
    bench.send(False, b"POST")
    bench.cluster.ready().answer(302, location=TO)
    assert (bench.client.status, counts(bench)) == (302, (0, 1))
    bench.check_ended()


@pytest.mark.parametrize("retry", [None, RetryPolicy(frozenset({"5xx"}))])
def test_a_large_body_is_not_kept(retry: RetryPolicy | None) -> None:
    bench = following(4, retry)
    bench.send(False, b"POST")
    stream = bench.cluster.ready()
    for _ in range(3):
        bench.data(b"abc")
    bench.data(b"", True)
    stream.answer(302, location=TO)
    assert (bench.client.status, counts(bench)) == (302, (0, 1))
    assert bench.cluster.stats.retry_or_shadow_abandoned.value == 1
    bench.check_ended()


def test_other_codes_are_not_looked_at() -> None:
    bench = following()
    bench.send()
    bench.cluster.ready().answer(301, location=TO)
    assert (bench.client.status, counts(bench)) == (301, (0, 0))
    bench.check_ended()


def test_redirects_are_counted_for_the_whole_request() -> None:
    bench = following(max_redirects=1)
    bench.send()
    bench.cluster.ready().begin(302, location=TO)
    again = following(max_redirects=1)
    again.info.filter_state = bench.info.filter_state
    again.send()
    again.cluster.ready().answer(302, location=TO)
    assert again.stats.passthrough_internal_redirect_too_many_redirects.value == 1


# Times


@pytest.mark.parametrize(("longest", "told"), [(0.2, [0.2]), (0.0, [None])])
def test_a_stream_has_its_duration(longest: float, told: list[float | None]) -> None:
    bench = bench_of(ClusterAction("c", stream_duration=StreamDuration(longest)))
    headers = bench.send()
    assert bench.client.stream_duration == told
    assert b"x-envoy-expected-rq-timeout-ms" not in headers, "as in Envoy there is no other timeout then"
    bench.cluster.ready().answer(200)
    bench.check_ended()


@pytest.mark.parametrize("suppressed", [False, True])
def test_the_deprecated_grpc_timeout(suppressed: bool) -> None:
    action = ClusterAction("c", grpc_timeout=GrpcTimeout(0.3))
    bench = bench_of(action, config={"suppress_envoy_headers": suppressed})
    headers = bench.send(content_type="application/grpc", grpc_timeout="5S")
    assert headers.get(b"grpc-timeout") == b"300m"
    assert headers.get(b"x-envoy-expected-rq-timeout-ms") == (None if suppressed else b"300")
    bench.cluster.ready()
    bench.dispatcher.advance(0.3)
    assert (bench.client.status, bench.client.details) == (504, "response_timeout")
    bench.check_ended()


def idle(*retry_on: str) -> RouterBench:
    return bench_of(ClusterAction("c", retry=RetryPolicy(frozenset(retry_on), per_try_idle_timeout=0.1)))


def test_a_try_without_progress() -> None:
    bench = idle()
    bench.send()
    stream = bench.cluster.ready()
    bench.dispatcher.advance(0.1)
    assert (bench.client.status, bench.client.details) == (504, "upstream_per_try_idle_timeout")
    assert (bench.client.body, bench.info.flag_names()) == (b"upstream request timeout", "UT")
    assert bench.cluster.counts()["upstream_rq_per_try_idle_timeout"] == 1
    assert (bench.host["timeout"], stream.reset is not None) == (1, True)
    bench.check_ended()


def test_another_try_after_one_without_progress() -> None:
    bench = idle("reset")
    bench.send()
    bench.cluster.ready()
    bench.dispatcher.advance(0.15)
    bench.cluster.ready().answer(200)
    assert (bench.client.status, bench.info.attempt_count) == (200, 2)
    bench.check_ended()


def test_each_piece_is_progress() -> None:
    bench = idle()
    bench.send()
    stream = bench.cluster.ready()
    for act in (lambda: stream.begin(200), lambda: stream.decoder.decode_data(b"a", False)):
        bench.dispatcher.advance(0.09)
        act()
    bench.dispatcher.advance(0.09)
    assert bench.client.reset is None
    bench.dispatcher.advance(0.01)
    assert (bench.client.status, bench.client.details) == (200, "upstream_per_try_idle_timeout")
    assert bench.client.reset is not None
    bench.check_ended()


def test_no_try_is_idle_before_the_request_is_complete() -> None:
    bench = idle()
    bench.send(False, b"POST")
    stream = bench.cluster.ready()
    bench.dispatcher.advance(1)
    bench.data(b"a", True)
    bench.dispatcher.advance(0.09)
    stream.answer(200)
    assert bench.client.status == 200
    bench.check_ended()


# Retries


def test_a_response_says_when_to_come_back() -> None:
    back_off = RateLimitedBackOff([ResetHeader(b"retry-after")])
    bench = bench_of(ClusterAction("c", retry=RetryPolicy(frozenset({"5xx"}), rate_limited_back_off=back_off)))
    bench.send()
    bench.cluster.ready().answer(503, retry_after="2")
    bench.dispatcher.advance(2.4)
    assert len(bench.cluster.waits) == 1, "two seconds, and up to half as much"
    bench.dispatcher.advance(0.2)
    bench.cluster.ready().answer(200)
    found = bench.cluster.counts()
    assert found["upstream_rq_retry_backoff_ratelimited"] == 1
    assert "upstream_rq_retry_backoff_exponential" not in found
    bench.check_ended()


def test_a_response_that_does_not_say_when() -> None:
    back_off = RateLimitedBackOff([ResetHeader(b"retry-after")])
    bench = bench_of(ClusterAction("c", retry=RetryPolicy(frozenset({"5xx"}), rate_limited_back_off=back_off)))
    bench.send()
    bench.cluster.ready().answer(503)
    bench.dispatcher.advance(0.1)
    bench.cluster.ready().answer(200)
    assert bench.cluster.counts()["upstream_rq_retry_backoff_exponential"] == 1
    bench.check_ended()


# Answers


def test_a_formatted_answer() -> None:
    body_format = BodyFormat(Formatter("<%LOCAL_REPLY_BODY% %REQ(:METHOD)%>"))
    bench = RouterBench(DirectResponseAction(200, b"body", body_format))
    bench.send()
    assert (bench.client.status, bench.client.body) == (200, b"<body GET>")
    assert bench.client.headers is not None
    assert b"location" not in bench.client.headers


@pytest.mark.parametrize(("status", "located"), [(201, True), (300, True), (304, True), (399, True), (400, False)])
def test_answers_that_have_a_location(status: int, located: bool) -> None:
    bench = RouterBench(DirectResponseAction(status, b"x"))
    bench.send()
    assert bench.client.headers is not None
    assert bench.client.headers.get(b"location") == (b"http://a/" if located else None)


@pytest.mark.parametrize("told", [False, True])
def test_an_upstream_hears_whether_a_try_has_timed_out(told: bool) -> None:
    policy = RetryPolicy(frozenset({"5xx"}), 2, per_try_timeout=0.1)
    bench = RouterBench(ClusterAction("c", retry=policy), include_is_timeout_retry_header=told)
    headers = bench.send()
    seen = [headers.get(b"x-envoy-is-timeout-retry")]
    bench.cluster.ready()
    bench.dispatcher.advance(0.2)
    stream = bench.cluster.ready()
    seen.append(headers.get(b"x-envoy-is-timeout-retry"))
    stream.answer(503)
    bench.dispatcher.advance(0.09)
    bench.cluster.ready().answer(200)
    seen.append(headers.get(b"x-envoy-is-timeout-retry"))
    assert seen == ([None, b"true", b"false"] if told else [None] * 3)
    bench.check_ended()
