"""The router filter: the last of the chain, and the bridge between `router` and `upstream`.

It decides with the route's settings, sends through `UpstreamRequest`, one try at a time, and passes the
response on. Retry decisions are `router.retry`'s, their bookkeeping is in `retry_state.py`.

Rules of this module:
- `_request` is the current try, as long as something is to come of it; events of any other are not for us. Where tries
  are hedged it is the newest, `_hedge` has all of them, and the first good answer makes its try the only one (`_win`).
- A call into the pool, the chain or the codec may destroy this stream: what belongs together is done before it.
- Every end (answer, failure, destruction) goes through `_clean_up`: no timer and no retry outlives it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from envoymesh.filters.http.router.balancer_context import BalancedRequest, RequestContext
from envoymesh.filters.http.router.direct import answer_directly, answer_no_route
from envoymesh.filters.http.router.headers import finalize_request_headers, finalize_response_headers
from envoymesh.filters.http.router.hedging import Hedge, HedgedTry, HedgingOwner
from envoymesh.filters.http.router.redirect_follower import RedirectFollower
from envoymesh.filters.http.router.retry_state import RetryState
from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.filters.http.router.shadow_writer import ShadowStream, start_shadows
from envoymesh.filters.http.router.timeouts import final_timeouts, tell_grpc_timeout
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilterCallbacks,
    StreamFilter,
    WatermarkCallbacks,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from envoymesh.metadata import MatchCriteria
from envoymesh.network.api import Dispatcher, Timer
from envoymesh.router.actions.hash_policy import CookieHash, new_cookie_value
from envoymesh.router.request_counts import NO_COUNTS, Counts, charge_all, record_time_of_all
from envoymesh.router.retry import effective_policy
from envoymesh.router.table import ClusterAction, Route, counts_of
from envoymesh.upstream import failures
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.failures import UpstreamFailure
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.options import HIGH_PRIORITY, PoolOptions
from envoymesh.upstream.timeouts import Timeouts, set_expected_timeout
from envoymesh.upstream.tunnel_request import NOTHING, TunnelOwner, TunnelRequest, awaited
from envoymesh.upstream.upstream_request import UpstreamRequest

_OF_BODIES: Final = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


class RouterFilter(StreamFilter, WatermarkCallbacks, HedgingOwner, TunnelOwner, BalancedRequest):
    """One request on its way to an upstream.

    Attributes:
        request_complete: all of the request is here.
        buffer_limit: body bytes kept while there is no stream, 0 for any number.
        counts: who counts the request beside its cluster.
    """

    __slots__ = (
        "_action",
        "_context",
        "_downstream_complete_at",
        "_end_stream",
        "_follower",
        "_headers",
        "_hedge",
        "_is_grpc",
        "_pool_options",
        "_request",
        "_response_started",
        "_response_timer",
        "_retry",
        "_route",
        "_set_cookies",
        "_shadows",
        "_timed_out",
        "_trailers",
        "buffer_limit",
        "cluster",
        "config",
        "counts",
        "dispatcher",
        "info",
        "request_complete",
        "timeouts",
    )

    cluster: Cluster
    timeouts: Timeouts

    def __init__(self, config: RouterFilterConfig) -> None:
        self.config = config
        self._request: UpstreamRequest | None = None
        self._hedge: Hedge | None = None
        self._retry: RetryState | None = None
        self._context: RequestContext | None = None
        self._follower: RedirectFollower | None = None
        self._set_cookies: list[bytes] | None = None
        self._response_timer: Timer | None = None
        self._response_started = False
        self._shadows: list[ShadowStream] | None = None  # those that take the rest of the request, too
        self._timed_out = False
        self._pool_options: PoolOptions | None = None
        self.counts: Counts = NO_COUNTS
        self._end_stream = False
        self._trailers: HeaderMap | None = None
        self._downstream_complete_at = 0.0
        self.request_complete = False

    def __repr__(self) -> str:
        return f"<RouterFilter {self._request!r} {self._retry!r}>"

    def set_decoder_filter_callbacks(self, callbacks: StreamDecoderFilterCallbacks) -> None:
        """Called once, first."""
        self.decoder_callbacks = callbacks
        self.dispatcher: Dispatcher = callbacks.dispatcher
        self.info = callbacks.stream_info

    @property
    def retry(self) -> RetryState | None:
        """The retries, where there may be any."""
        return self._retry

    @property
    def request_headers(self) -> RequestHeaders:
        """The request's, as they are sent."""
        return self._headers

    # The request

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Take the route's action."""
        config = self.config
        config.stats.rq_total.inc()
        self._headers = headers
        self.buffer_limit = self.decoder_callbacks.decoder_buffer_limit
        route: Route | None = self.decoder_callbacks.route
        if route is None:
            answer_no_route(config, self.decoder_callbacks)
        elif isinstance(route.action, ClusterAction):
            self._forward(route, route.action, end_stream)
        else:
            answer_directly(config, self.decoder_callbacks, route, route.action, headers)
        return FilterHeadersStatus.STOP

    def _forward(self, route: Route, action: ClusterAction, end_stream: bool) -> None:
        self._route = route
        self._action = action
        cluster = self.config.clusters.get(action.cluster)
        if cluster is None:
            self.config.stats.no_cluster.inc()
            self.info.flags |= ResponseFlag.NO_CLUSTER_FOUND
            self.info.upstream_cluster = ""  # logs name clusters that there are
            self.decoder_callbacks.send_local_reply(action.cluster_not_found_status, b"", "cluster_not_found")
            return
        self.cluster = cluster
        if route.counts is not None or route.virtual_host.virtual_clusters:
            self.counts = counts_of(route, self._headers, self.info)
        self.info.cluster_metadata = cluster.metadata
        if cluster.maintenance_mode.share and cluster.maintenance_mode.holds(self.config.random):
            cluster.stats.upstream_rq_maintenance_mode.inc()
            self._fail(failures.MAINTENANCE_MODE, None)
            return
        if cluster.drop_overload and self._drops(cluster.drop_overload):
            return
        headers = self._headers
        self._is_grpc = is_grpc(headers)
        if action.stream_duration is not None:
            callbacks = self.decoder_callbacks
            callbacks.set_max_stream_duration(action.stream_duration.limit(headers, callbacks.max_stream_duration))
        configured = action.retry or route.virtual_host.retry
        self.timeouts = final_timeouts(action, configured, headers, self.config.respect_expected_rq_timeout)
        policy = effective_policy(configured, headers)
        if action.idle_timeout is not None:
            self.decoder_callbacks.set_idle_timeout(action.idle_timeout)
        if policy is not None:
            self._retry = RetryState(
                policy,
                self.config,
                cluster,
                self.decoder_callbacks,
                self._body_limit(route),
                self.counts,
                cluster.resource_manager("HIGH" if action.high_priority else "DEFAULT").retries,
            )
        if policy is not None or cluster.wants_request or self.info.upstream_override_host is not None:
            self._context = RequestContext(self)
        if action.internal_redirect is not None:
            limit = self._body_limit(route)
            self._follower = RedirectFollower(action.internal_redirect, limit, self.config, self.decoder_callbacks)
        self._end_stream = end_stream
        self._try()
        if route.mirrors:
            self._mirror(route, end_stream)
        if end_stream:
            self._on_request_complete()

    def _separate(self) -> None:
        """Find out with which requests this one may share connections; that holds for all of its tries."""
        separator, action = self.cluster.separator, self._action
        if separator is not None:
            priority = "HIGH" if action.high_priority else "DEFAULT"
            self._pool_options = separator.options(self._headers, self.info.downstream, priority)
        elif action.high_priority:
            self._pool_options = HIGH_PRIORITY

    def _body_limit(self, route: Route) -> int:
        """Bytes of the body that are kept for another try or a redirect: 0 is any number, less is none."""
        limit = route.body_limit
        if limit is None:
            return self.buffer_limit
        if self.buffer_limit:
            self.buffer_limit = max(self.buffer_limit, limit)
        return limit or -1

    def _drops(self, share: float) -> bool:
        """Refuse a share of the requests (`policy.drop_overloads`), and say whether this was one of them."""
        if share < 1.0 and self.config.random() >= share:
            return False
        self._fail(failures.DROP_OVERLOAD if share < 1.0 else failures.UNCONDITIONAL_DROP_OVERLOAD, None)
        return True

    def _try(self) -> None:
        """Pick a host and send what there is of the request."""
        info, headers = self.info, self._headers
        info.attempt_count += 1
        if self._hedge is not None:
            self._hedge.step_aside()
        self._prepare_headers(info, headers)
        host = self.cluster.choose_host(self._context)
        if host is None:
            self._fail(failures.NO_HEALTHY_UPSTREAM, None)
            return
        if info.attempt_count > 1:
            info.begin_another_try()
            if self._route.virtual_host.include_is_timeout_retry_header:
                headers.set(b"x-envoy-is-timeout-retry", b"true" if self._timed_out else b"false")
        # Logged even if no connection to it comes about in time.
        info.upstream_host = host.address
        info.host_metadata = host.endpoint.metadata
        if self._route.changes_requests:
            self._rewrite_host_to(host)
        timeouts = self.timeouts
        per_try, idle = timeouts.per_try, timeouts.per_try_idle
        cluster, dispatcher, ends = self.cluster, self.dispatcher, self._end_stream
        tunnel = None
        if b"upgrade" in headers.index or headers.method == b"CONNECT" or self._action.connect is not None:
            tunnel = self._tunnel_request(host)
        if tunnel is not None:
            request: UpstreamRequest = tunnel
        elif timeouts.hedges:
            hedged = HedgedTry(self, cluster, host, info, dispatcher, headers, ends, per_try, idle)
            hedge = self._hedge = self._hedge or Hedge()
            hedge.tries.append(hedged)
            request = hedged
        else:
            request = UpstreamRequest(self, cluster, host, info, dispatcher, headers, ends, per_try, idle)
        self._request = request
        if self._retry is not None:
            self._retry.replay(request, host, self._end_stream, self._trailers)
        request.start(host, info.protocol, self._pool_options)

    def _prepare_headers(self, info: StreamInfo, headers: RequestHeaders) -> None:
        """What each try's host is told; before the first also what the route changes."""
        if not self.config.suppress_envoy_headers:
            set_expected_timeout(headers, self.timeouts, self._elapsed())
        if self.timeouts.tells_grpc:
            tell_grpc_timeout(headers, self.timeouts, self._elapsed())
        if self._route.virtual_host.include_request_attempt_count:
            headers.set(b"x-envoy-attempt-count", b"%d" % info.attempt_count)
        if info.attempt_count == 1:
            if self._route.changes_requests:
                keep_original = not self.config.suppress_envoy_headers
                finalize_request_headers(self._route, headers, info, self.dispatcher.now(), keep_original)
            self._separate()

    def _tunnel_request(self, host: Host) -> UpstreamRequest | None:
        """A try of what becomes a tunnel; None for any other request."""
        headers, connect = self._headers, self._action.connect
        over_tcp = connect is not None and (
            headers.method == b"CONNECT" or (connect.allow_post and headers.method == b"POST")
        )
        waits_for = awaited(headers, self._end_stream)
        if waits_for == NOTHING and not over_tcp:
            return None
        return TunnelRequest(
            self,
            self.cluster,
            host,
            self.info,
            self.dispatcher,
            headers,
            self._end_stream,
            self.timeouts,
            waits_for=waits_for,
            over_tcp=over_tcp,
        )

    def _mirror(self, route: Route, end_stream: bool) -> None:
        """Send copies of the request to the clusters of `request_mirror_policies`, unless it has failed already."""
        if self._request is None and (self._retry is None or not self._retry.is_waiting):
            return
        shadows = start_shadows(
            route.mirrors, self.config, self.cluster, self._headers, self.info, self.timeouts, end_stream
        )
        if shadows and not end_stream:
            self._shadows = shadows

    def _rewrite_host_to(self, host: Host) -> None:
        """`auto_host_rewrite`: the request is for the host that it is sent to."""
        rewrites = self._action.rewrites
        if rewrites is not None and rewrites.auto_host and host.hostname:
            keep_original = not self.config.suppress_envoy_headers
            rewrites.set_host(self._headers, host.hostname.encode(), keep_original)

    @property
    def metadata_match(self) -> MatchCriteria | None:
        """The route's `metadata_match`."""
        return self._action.metadata_match

    def hash_key(self) -> int | None:
        """The route's `hash_policy`, for a balancer that wants it; may give the client a cookie."""
        policy = self._action.hash_policy
        return None if policy is None else policy.generate_hash(self._headers, self.info, self._add_cookie)

    def _add_cookie(self, cookie: CookieHash) -> bytes:
        value = new_cookie_value(self.info)
        self._set_cookies = [*(self._set_cookies or ()), cookie.set_cookie(value)]
        return value

    def _elapsed(self) -> float:
        """Seconds since the request was complete."""
        return self.dispatcher.now() - self._downstream_complete_at if self.request_complete else 0.0

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Part of the request body."""
        self._end_stream = end_stream
        fits = self._retry is None or self._retry.keep(data)
        if self._follower is not None and not self._follower.keep(data):
            fits = False
        if not fits:
            self._abandon_retries()
        if self._request is not None:
            self._request.send_data(data, end_stream)
        if self._shadows is not None:
            for shadow in self._shadows:
                shadow.send_data(data, end_stream)
        if end_stream:
            self._on_request_complete()
        return FilterDataStatus.STOP_NO_BUFFER

    def _abandon_retries(self) -> None:
        """The body is too large to keep: this try is the last, or there is none any more."""
        self.cluster.stats.retry_or_shadow_abandoned.inc()
        self._cancel_retry()
        if self._request is None:
            self._clean_up()
            failure = failures.RETRY_BUFFER_EXCEEDED
            self.decoder_callbacks.send_local_reply(failure.status, failure.body, failure.details, self._mark_reply)

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The request's trailers."""
        self._end_stream = True
        self._trailers = trailers
        if self._request is not None:
            self._request.send_trailers(trailers)
        if self._shadows is not None:
            for shadow in self._shadows:
                shadow.send_trailers(HeaderMap(list(trailers.fields)))
        self._on_request_complete()
        return FilterTrailersStatus.STOP

    def _on_request_complete(self) -> None:
        """All of the request is here: its response timeout begins (`RouteAction.timeout`)."""
        self.request_complete = True
        self._shadows = None  # from here on they end by themselves
        self._downstream_complete_at = self.dispatcher.now()
        request = self._request
        if request is None and (self._retry is None or not self._retry.is_waiting):
            return
        self._start_response_timer()
        if request is not None:
            request.start_per_try_timer()

    def _start_response_timer(self) -> None:
        if self.timeouts.overall and self._response_timer is None:
            self._response_timer = self.decoder_callbacks.create_timer(self._on_response_timeout)
            self._response_timer.enable(self.timeouts.overall)

    # TunnelOwner

    def on_websocket_begins(self) -> None:
        """Its request has no end, so the response timeout begins here."""
        self._start_response_timer()

    def on_websocket_established(self) -> None:
        """From here on it lasts as long as it is used; only the end of the client's side begins that timeout anew."""
        self._stop_response_timer()

    def on_handshake_failed(self, headers: ResponseHeaders) -> None:
        """As in Envoy the client gets the answer's headers alone, and nothing of it is counted."""
        fields = headers.fields

        def add(local: ResponseHeaders) -> None:
            for name, value in fields:
                if name not in _OF_BODIES:
                    local.add(name, value)

        self.decoder_callbacks.send_local_reply(headers.status, b"", "websocket_handshake_unsuccessful", add)

    def pause_request(self) -> None:
        """The upstream's write buffer, or what waits for a stream, is full."""
        self.cluster.stats.upstream_flow_control_backed_up_total.inc()
        self.decoder_callbacks.on_decoder_filter_above_write_buffer_high_watermark()

    def resume_request(self) -> None:
        """There is room again."""
        self.cluster.stats.upstream_flow_control_drained_total.inc()
        self.decoder_callbacks.on_decoder_filter_below_write_buffer_low_watermark()

    def on_exception(self, where: str, error: Exception) -> None:
        """The stream pays for it."""
        self.decoder_callbacks.on_exception(where, error)

    # The response

    def on_stream_ready(self) -> None:
        """A try has a stream. As in Envoy it is this that virtual clusters and routes count."""
        for each in self.counts:
            each.stats.upstream_rq_total.inc()

    def on_upstream_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response; after one that the client may have seen, there is no other try."""
        self._charge(headers.status, None)
        self._cancel_retry()
        self.decoder_callbacks.encode_1xx_headers(headers)

    def on_upstream_headers(self, request: UpstreamRequest, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins: retry it, or pass it on."""
        retry = self._retry
        if self._hedge is not None:
            if self._passes_over(request, headers):
                return
        elif retry is not None and retry.wants_response(headers):
            self._retry_instead_of(request, headers.status, retry)
            return
        follower = self._follower
        if follower is not None and follower.wants(headers) and self._follow(follower, headers):
            return
        self._charge(headers.status, request.host)
        request.count_headers(headers, end_stream, self._is_grpc)
        if not self.request_complete:
            self._cancel_retry()  # there is no other try: what else comes of the request is not kept for one
        elif not self.config.suppress_envoy_headers:
            headers.set(b"x-envoy-upstream-service-time", b"%d" % (self._elapsed() * 1000))
        if self._route.response_parsers:
            finalize_response_headers(self._route, self._headers, headers, self.info, self.dispatcher.now())
        self._mark_reply(headers)
        if self._set_cookies is not None:
            for cookie in self._set_cookies:
                headers.add(b"set-cookie", cookie)
        self._response_started = True
        if end_stream:
            self._on_upstream_complete(request)
        else:
            self.decoder_callbacks.add_downstream_watermark_callbacks(self)
        self.decoder_callbacks.encode_headers(headers, end_stream, "via_upstream")

    def _retry_instead_of(self, request: UpstreamRequest, status: int, retry: RetryState) -> None:
        """Drop a response; the connection goes with it where it cannot be read to its end (HTTP/1)."""
        self._timed_out = False
        self.cluster.code_stats.charge_retried(status)
        request.count_error()
        self._forget(request)
        retry.schedule(self._try)
        request.reset()

    def _follow(self, follower: RedirectFollower, headers: ResponseHeaders) -> bool:
        """Send the request to where the response says, as another stream; this one is over then."""
        stats = self.cluster.stats
        followed = self.request_complete and follower.prepare(self._headers, headers)
        if not followed:
            stats.upstream_internal_redirect_failed_total.inc()
            return False
        stats.upstream_internal_redirect_succeeded_total.inc()
        self.decoder_callbacks.recreate_stream(headers, follower.body)
        return True

    def _charge(self, status: int, host: Host | None) -> None:
        """Count a response by its code; as in Envoy a host's errors are among what `dynamic_stats` leaves out, and
        checks of this proxy that are passed through count as no responses."""
        if self.config.dynamic_stats and not self.info.health_check:
            self.cluster.charge_response(status, self._is_internal(), host)
            if self.counts:
                charge_all(self.counts, status)

    def _is_internal(self) -> bool:
        return self._headers.get(b"x-envoy-internal") == b"true"

    def on_upstream_data(self, request: UpstreamRequest, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        if end_stream:
            request.count_end(None)
            self._on_upstream_complete(request)
        self.decoder_callbacks.encode_data(data, end_stream)

    def on_upstream_trailers(self, request: UpstreamRequest, trailers: HeaderMap) -> None:
        """The response's trailers."""
        request.count_end(trailers)
        self._on_upstream_complete(request)
        self.decoder_callbacks.encode_trailers(trailers)

    def _on_upstream_complete(self, request: UpstreamRequest) -> None:
        self.info.last_upstream_rx = now = self.dispatcher.now()
        if self.request_complete and self.config.dynamic_stats and not self.info.health_check:
            took = int((now - self._downstream_complete_at) * 1000)
            self.cluster.record_response_time(took, self._is_internal(), request.host)
            if self.counts:
                record_time_of_all(self.counts, took)
        self._request = None
        self._clean_up()
        request.reset()

    # Hedging: several tries under way

    def on_soft_timeout(self, request: HedgedTry) -> None:
        """Try again beside a try that takes too long, if the policy has any left; that one goes on in any case."""
        retry = self._retry
        if retry is not None and not self._response_started and retry.wants_hedge():
            request.retried = self._timed_out = True
            retry.schedule(self._try)

    def on_hedge_wins(self, request: HedgedTry) -> None:
        """An interim response: the client has seen something of this try."""
        self._win(request)

    def _passes_over(self, request: UpstreamRequest, headers: ResponseHeaders) -> bool:
        """Whether a response is dropped: it is tried again, or it is one that would be, and others may do better."""
        retry, unwanted = self._retry, False
        if retry is not None:
            if isinstance(request, HedgedTry) and request.retried:
                unwanted = retry.would_retry(headers)
            elif retry.wants_response(headers):
                self._retry_instead_of(request, headers.status, retry)
                return True
            else:
                unwanted = retry.refused
        if unwanted and self._awaits_another(request):
            request.count_error()
            self._forget(request)
            request.reset()
            return True
        self._win(request)
        return False

    def _awaits_another(self, request: UpstreamRequest | None) -> bool:
        """Whether a response may come of another try than this one."""
        if self._retry is not None and self._retry.is_waiting:
            return True
        return self._hedge is not None and any(each is not request for each in self._hedge.tries)

    def _win(self, request: UpstreamRequest) -> None:
        """The answer is this try's: the others are reset, and none is begun."""
        self._cancel_retry()
        self._request = request
        if self._hedge is not None and isinstance(request, HedgedTry):
            others = self._hedge.take_others(request)
            request.come_back(self.info)
            if request.host is not None:
                self.info.host_metadata = request.host.endpoint.metadata
            for other in others:
                other.reset()

    def _forget(self, request: UpstreamRequest) -> None:
        """Nothing comes of this try any more."""
        self._request = None if self._hedge is None else self._hedge.forget(request)

    # Failures

    def on_upstream_reset(
        self, request: UpstreamRequest, reason: StreamResetReason, transport_reason: str, request_started: bool
    ) -> None:
        """The try failed: retry it, or tell the client."""
        self._timed_out = False
        self._forget(request)
        started = self._response_started
        if not started and self._retry_after(request, reason, request_started):
            return
        retried = self.info.attempt_count > 1
        failure = failures.failure_of_reset(reason, transport_reason, started=started, retried=retried)
        if started:
            self._cut(failure, request)
        elif self._hedge is not None and self._awaits_another(None):
            self._charge(failure.status, request.host)
        else:
            self._fail(failure, request.host)

    def on_no_pool(self, request: UpstreamRequest) -> None:
        """As if there were no host."""
        self._forget(request)
        if not self._awaits_another(None):
            self._fail(failures.NO_HEALTHY_UPSTREAM, None)

    def _retry_after(self, request: UpstreamRequest, reason: StreamResetReason, request_started: bool) -> bool:
        """Schedule the next try after one without a response, if the policy has any left."""
        retry = self._retry
        if retry is None or (isinstance(request, HedgedTry) and request.retried):
            return False
        if not retry.wants_reset(reason, request_started):
            return False
        request.count_error()
        retry.schedule(self._try)
        return True

    def _fail(self, failure: UpstreamFailure, host: Host | None, charge: bool = True) -> None:
        """Answer with a failure, counted as the host's where there is one."""
        self.info.flags |= failure.flag
        self._clean_up()
        if charge:
            self._charge(failure.status, host)
        mark = self._mark_reply
        if failure.header and not self.config.suppress_envoy_headers:
            mark = partial(self._mark_failure, failure.header)
        self.decoder_callbacks.send_local_reply(failure.status, failure.body, failure.details, mark)

    def _cut(self, failure: UpstreamFailure, request: UpstreamRequest) -> None:
        """The response has begun and cannot end: reset it."""
        self.info.flags |= failure.flag
        self._clean_up()
        if request.awaits_grpc_status:
            request.count_error()
            self.config.stats.rq_reset_after_downstream_response_started.inc()
        self.decoder_callbacks.reset_stream(StreamResetReason.LOCAL_RESET, failure.details)

    def _mark_reply(self, headers: ResponseHeaders) -> None:
        """After what the route changes, as in Envoy: no route takes this header out."""
        if self._route.virtual_host.include_attempt_count_in_response:
            headers.set(b"x-envoy-attempt-count", b"%d" % self.info.attempt_count)

    def _mark_failure(self, header: bytes, headers: ResponseHeaders) -> None:
        headers.set(header, b"true")
        self._mark_reply(headers)

    # Timeouts

    def _on_response_timeout(self) -> None:
        """The whole took too long; between two tries there is no upstream that it could be counted against."""
        self.cluster.stats.upstream_rq_timeout.inc()
        for each in self.counts:
            each.stats.upstream_rq_timeout.inc()
        request, self._request = self._request, None
        if request is None:
            self._fail(failures.RESPONSE_TIMEOUT, None, charge=False)
            return
        if self._hedge is not None:
            self._time_out_others(self._hedge, request)
        request.count_timeout()
        request.reset()
        if self._response_started:
            self._cut(failures.RESPONSE_TIMEOUT, request)
        else:
            self._fail(failures.RESPONSE_TIMEOUT, request.host)

    def _time_out_others(self, hedge: Hedge, request: UpstreamRequest) -> None:
        """As in Envoy each try that is under way counts."""
        for other in hedge.take_others(request):
            self.cluster.stats.upstream_rq_timeout.inc()
            for each in self.counts:
                each.stats.upstream_rq_timeout.inc()
            other.count_timeout()
            other.reset()
            self._charge(failures.RESPONSE_TIMEOUT.status, other.host)

    def on_per_try_timeout(self, request: UpstreamRequest) -> None:
        """A try took too long: the next one, if the policy has any left."""
        self._timed_out = True
        self.cluster.stats.upstream_rq_per_try_timeout.inc()
        request.count_timeout()
        self._request = None
        if not self._retry_after(request, StreamResetReason.LOCAL_RESET, request_started=True):
            self._fail(failures.PER_TRY_TIMEOUT, request.host)

    def on_per_try_idle_timeout(self, request: UpstreamRequest) -> None:
        """A try went on too slowly: the next one, if the response has not begun and the policy has any left."""
        self._timed_out = True
        self.cluster.stats.upstream_rq_per_try_idle_timeout.inc()
        request.count_timeout()
        self._request = None
        if self._response_started:
            self._cut(failures.PER_TRY_IDLE_TIMEOUT, request)
        elif not self._retry_after(request, StreamResetReason.LOCAL_RESET, request_started=True):
            self._fail(failures.PER_TRY_IDLE_TIMEOUT, request.host)

    def on_max_stream_duration(self, request: UpstreamRequest) -> None:
        """A try took longer than its cluster allows: the next one, or the end."""
        self._timed_out = False
        self._forget(request)
        if not self._response_started and self._retry_after(
            request, StreamResetReason.LOCAL_RESET, request_started=True
        ):
            return
        failure = failures.MAX_STREAM_DURATION if self.request_complete else failures.MAX_STREAM_DURATION_OF_REQUEST
        if self._response_started:
            self._cut(failure, request)
        else:
            self._fail(failure, request.host, charge=False)

    # WatermarkCallbacks: the client is slower than the upstream

    def on_above_write_buffer_high_watermark(self) -> None:
        """Stop reading the response."""
        self.cluster.stats.upstream_flow_control_paused_reading_total.inc()
        if self._request is not None:
            self._request.read_disable(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """Go on reading the response."""
        self.cluster.stats.upstream_flow_control_resumed_reading_total.inc()
        if self._request is not None:
            self._request.read_disable(False)

    # The end

    def on_destroy(self) -> None:
        """The downstream stream is gone: stop everything."""
        self._clean_up()
        request, self._request = self._request, None
        if request is not None:
            request.reset()
        if self._hedge is not None:
            for other in self._hedge.take_others(request):
                other.reset()
        shadows, self._shadows = self._shadows, None
        if shadows is not None:
            for shadow in shadows:
                shadow.reset()

    def _clean_up(self) -> None:
        self._stop_response_timer()
        self._cancel_retry()

    def _stop_response_timer(self) -> None:
        timer, self._response_timer = self._response_timer, None
        if timer is not None:
            timer.disable()

    def _cancel_retry(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()
