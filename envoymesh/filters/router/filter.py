"""The router filter: the last of the chain, and the bridge between `router` and `upstream`.

It decides with the route's settings, sends through `UpstreamRequest`, one try at a time, and passes the
response on. Retry decisions are `router.retry`'s, their bookkeeping is in `retry_state.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.filters.router import errors
from envoymesh.filters.router.errors import UpstreamFailure
from envoymesh.filters.router.retry_state import RetryState
from envoymesh.filters.router.stats import RouterStats
from envoymesh.filters.router.timeouts import final_timeouts, set_expected_timeout
from envoymesh.filters.router.upstream_request import UpstreamRequest
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilter,
    StreamDecoderFilterCallbacks,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.network.api import Dispatcher, Timer
from envoymesh.router.retry import effective_policy
from envoymesh.router.table import ClusterAction, DirectResponseAction, RedirectAction, Route
from envoymesh.upstream.api import ClusterManager
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host


@dataclass(frozen=True, slots=True)
class RouterFilterConfig:
    """What all streams of one router filter share (envoy.extensions.filters.http.router.v3.Router).

    Args:
        random: uniform in [0, 1), for back-off.
    """

    clusters: ClusterManager
    stats: RouterStats
    random: Callable[[], float]
    suppress_envoy_headers: bool = False
    respect_expected_rq_timeout: bool = False


class RouterFilter(StreamDecoderFilter):
    """One request on its way to an upstream."""

    __slots__ = (
        "_action",
        "_config",
        "_downstream_complete_at",
        "_end_stream",
        "_headers",
        "_request",
        "_response_started",
        "_response_timer",
        "_retry",
        "_route",
        "_timeouts",
        "_trailers",
        "_upstream_paused",
        "cluster",
        "dispatcher",
        "info",
    )

    cluster: Cluster

    def __init__(self, config: RouterFilterConfig) -> None:
        self._config = config
        self._request: UpstreamRequest | None = None
        self._retry: RetryState | None = None
        self._response_timer: Timer | None = None
        self._response_started = False
        self._end_stream = False
        self._trailers: HeaderMap | None = None
        self._downstream_complete_at = 0.0
        self._upstream_paused = 0

    def set_decoder_filter_callbacks(self, callbacks: StreamDecoderFilterCallbacks) -> None:
        """Called once, first."""
        self.decoder_callbacks = callbacks
        self.dispatcher: Dispatcher = callbacks.dispatcher
        self.info = callbacks.stream_info

    # The request

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Take the route's action."""
        config = self._config
        config.stats.rq_total.inc()
        self._headers = headers
        route: Route | None = self.decoder_callbacks.route
        if route is None:
            config.stats.no_route.inc()
            self.info.flags |= ResponseFlag.NO_ROUTE_FOUND
            self.decoder_callbacks.send_local_reply(404, b"", "route_not_found")
        elif isinstance(route.action, ClusterAction):
            self._forward(route, route.action, end_stream)
        else:
            self._answer(route, route.action)
        return FilterHeadersStatus.STOP

    def _answer(self, route: Route, action: DirectResponseAction | RedirectAction) -> None:
        if isinstance(action, DirectResponseAction):
            self._config.stats.rq_direct_response.inc()
            self.decoder_callbacks.send_local_reply(action.status, action.body, "direct_response")
            return
        self._config.stats.rq_redirect.inc()
        location = action.location(self._headers, route.path)
        self.decoder_callbacks.send_local_reply(
            action.status, b"", "direct_response", lambda headers: headers.set(b"location", location)
        )

    def _forward(self, route: Route, action: ClusterAction, end_stream: bool) -> None:
        self._route = route
        self._action = action
        self.info.upstream_cluster = action.cluster
        cluster = self._config.clusters.get(action.cluster)
        if cluster is None:
            self._config.stats.no_cluster.inc()
            self.info.flags |= ResponseFlag.NO_CLUSTER_FOUND
            self.decoder_callbacks.send_local_reply(action.cluster_not_found_status, b"", "cluster_not_found")
            return
        self.cluster = cluster
        headers = self._headers
        policy = effective_policy(action.retry or route.virtual_host.retry, headers)
        self._timeouts = final_timeouts(action, policy, headers, self._config.respect_expected_rq_timeout)
        if not self._config.suppress_envoy_headers:
            set_expected_timeout(headers, self._timeouts)
        if action.idle_timeout is not None:
            self.decoder_callbacks.set_idle_timeout(action.idle_timeout)
        if policy is not None:
            self._retry = RetryState(policy, self, self._config.random, self.decoder_callbacks.decoder_buffer_limit)
        self._end_stream = end_stream
        self._try()
        if end_stream and self._request is not None:
            self._on_request_complete()

    def _try(self) -> None:
        """Pick a host and send what there is of the request."""
        host = self.cluster.choose_host(self._retry)
        if host is None:
            self._fail(errors.NO_HEALTHY_UPSTREAM, None)
            return
        self.info.attempt_count += 1
        headers = self._headers
        if self._route.virtual_host.include_request_attempt_count:
            headers.set(b"x-envoy-attempt-count", b"%d" % self.info.attempt_count)
        request = self._request = UpstreamRequest(self, host, headers, self._end_stream)
        for _ in range(self._upstream_paused):
            request.read_disable(True)
        if self._retry is not None:
            self._retry.replay(request, host, self._end_stream, self._trailers)
        request.start(self.info.protocol)

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        """Part of the request body."""
        self._end_stream = end_stream
        if self._retry is not None:
            self._retry.keep(data)
        if self._request is not None:
            self._request.send_data(data, end_stream)
        if end_stream:
            self._on_request_complete()
        return FilterDataStatus.STOP_NO_BUFFER

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The request's trailers."""
        self._end_stream = True
        self._trailers = trailers
        if self._request is not None:
            self._request.send_trailers(trailers)
        self._on_request_complete()
        return FilterTrailersStatus.STOP

    def _on_request_complete(self) -> None:
        """All of the request is here: its response timeout begins (`RouteAction.timeout`)."""
        self._downstream_complete_at = self.dispatcher.now()
        if self._request is None or self.info.end_time:
            return
        if self._timeouts.overall:
            self._response_timer = self.dispatcher.create_timer(self._on_response_timeout)
            self._response_timer.enable(self._timeouts.overall)
        if self._timeouts.per_try and not self._request.done:
            self._request.start_per_try_timer(self._timeouts.per_try)

    def pause_request(self) -> None:
        """The upstream's write buffer is full."""
        self.cluster.stats.upstream_flow_control_backed_up_total.inc()
        self.decoder_callbacks.on_decoder_filter_above_write_buffer_high_watermark()

    def resume_request(self) -> None:
        """The upstream's write buffer has room."""
        self.cluster.stats.upstream_flow_control_drained_total.inc()
        self.decoder_callbacks.on_decoder_filter_below_write_buffer_low_watermark()

    # The response

    def on_upstream_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response."""
        self.decoder_callbacks.encode_1xx_headers(headers)

    def on_upstream_headers(self, request: UpstreamRequest, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins: retry it, or pass it on."""
        status = headers.status
        self._count_outcome(request.host, status)
        if self._retry is not None and self._retry.wants_response(headers):
            request.reset()
            self._request = None
            self._retry.schedule(self._retry_now)
            return
        if self._downstream_complete_at and not self._config.suppress_envoy_headers:
            elapsed = self.dispatcher.now() - self._downstream_complete_at
            headers.set(b"x-envoy-upstream-service-time", b"%d" % (elapsed * 1000))
        if self._route.virtual_host.include_attempt_count_in_response:
            headers.set(b"x-envoy-attempt-count", b"%d" % self.info.attempt_count)
        self._response_started = True
        if end_stream:
            self._on_upstream_complete(request)
        else:
            self.decoder_callbacks.add_downstream_watermark_callbacks(self)
        self.decoder_callbacks.encode_headers(headers, end_stream, "via_upstream")

    def _count_outcome(self, host: Host, status: int) -> None:
        internal = self._headers.get(b"x-envoy-internal") == b"true"
        self.cluster.charge_response_code(status, internal)
        (host.stats.rq_error if status >= 500 else host.stats.rq_success).inc()

    def on_upstream_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        if end_stream and self._request is not None:
            self._on_upstream_complete(self._request)
        self.decoder_callbacks.encode_data(data, end_stream)

    def on_upstream_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers."""
        if self._request is not None:
            self._on_upstream_complete(self._request)
        self.decoder_callbacks.encode_trailers(trailers)

    def _on_upstream_complete(self, request: UpstreamRequest) -> None:
        now = self.dispatcher.now()
        self.info.last_upstream_rx = now
        if self._downstream_complete_at:
            elapsed = int((now - self._downstream_complete_at) * 1000)
            self.cluster.record_response_time(elapsed, self._headers.get(b"x-envoy-internal") == b"true")
        if not self._end_stream:
            request.abandon_if_unfinished()
        if self._retry is not None:
            self._retry.succeeded()

    def on_upstream_reset(
        self, request: UpstreamRequest, reason: StreamResetReason, transport_reason: str, request_started: bool
    ) -> None:
        """The try failed: retry it, or tell the client."""
        started = self._response_started
        self._request = None
        if not started and self._retry is not None and self._retry.wants_reset(reason, request_started):
            request.host.stats.rq_error.inc()
            self._retry.schedule(self._retry_now)
            return
        retried = self.info.attempt_count > 1
        failure = errors.failure_of_reset(reason, transport_reason, started=started, retried=retried)
        self._fail(failure, request.host)

    def _retry_now(self) -> None:
        self._try()
        if self._downstream_complete_at and self._request is not None and self._timeouts.per_try:
            self._request.start_per_try_timer(self._timeouts.per_try)

    def _fail(self, failure: UpstreamFailure, host: Host | None) -> None:
        """Answer with a failure, or cut the response that has begun."""
        info = self.info
        info.flags |= failure.flag
        if self._retry is not None and self._retry.exhausted:
            info.flags |= ResponseFlag.UPSTREAM_RETRY_LIMIT_EXCEEDED
        if self._response_started:
            self._config.stats.rq_reset_after_downstream_response_started.inc()
            self.decoder_callbacks.reset_stream(StreamResetReason.LOCAL_RESET, failure.details)
            return
        internal = self._headers.get(b"x-envoy-internal") == b"true"
        self.cluster.charge_response_code(failure.status, internal)
        if host is not None:
            host.stats.rq_error.inc()
        overflow = failure.flag == ResponseFlag.UPSTREAM_OVERFLOW
        self.decoder_callbacks.send_local_reply(
            failure.status, failure.body, failure.details, _mark_overloaded if overflow else None
        )

    # Timeouts

    def _on_response_timeout(self) -> None:
        self.cluster.stats.upstream_rq_timeout.inc()
        self._time_out(errors.RESPONSE_TIMEOUT)

    def on_per_try_timeout(self, request: UpstreamRequest) -> None:
        """A try took too long: the next one, if the policy has any left."""
        self.cluster.stats.upstream_rq_per_try_timeout.inc()
        request.host.stats.rq_timeout.inc()
        self._request = None
        if self._retry is not None and self._retry.wants_reset(StreamResetReason.LOCAL_RESET, True):
            self._retry.schedule(self._retry_now)
            return
        self._fail(errors.PER_TRY_TIMEOUT, request.host)

    def _time_out(self, failure: UpstreamFailure) -> None:
        request, self._request = self._request, None
        host = None
        if request is not None:
            request.host.stats.rq_timeout.inc()
            host = request.host
            request.reset()
        self._fail(failure, host)

    # WatermarkCallbacks: the client is slower than the upstream

    def on_above_write_buffer_high_watermark(self) -> None:
        """Stop reading the response."""
        self._upstream_paused += 1
        self.cluster.stats.upstream_flow_control_paused_reading_total.inc()
        if self._request is not None:
            self._request.read_disable(True)

    def on_below_write_buffer_low_watermark(self) -> None:
        """Go on reading the response."""
        self._upstream_paused -= 1
        self.cluster.stats.upstream_flow_control_resumed_reading_total.inc()
        if self._request is not None:
            self._request.read_disable(False)

    def on_destroy(self) -> None:
        """The downstream stream is gone: stop everything."""
        if self._response_timer is not None:
            self._response_timer.disable()
        if self._retry is not None:
            self._retry.cancel()
        if self._request is not None:
            self._request.reset()


def _mark_overloaded(headers: ResponseHeaders) -> None:
    headers.set(b"x-envoy-overloaded", b"true")
