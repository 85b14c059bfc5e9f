"""Requests from inside: one way to send a request over a cluster (Envoy's `Http::AsyncClient`).

Whatever in the proxy asks a service itself (a mirror, and later authorization, keys, tracing, control planes) does it
here. `AsyncClient.send` is for a whole request and a whole answer, `AsyncClient.start` for a stream both ways.

Rules of this module:
- All is synchronous, as the rest of the data path: no task and no future for a request. A callback may come before the
  call that caused it returns, and may end the stream, or the owner.
- A stream ends exactly once: with the response (which ends the request, too, whatever is left of it), with `on_reset`,
  or by the owner's `reset`, after which nothing calls back.
- Failures are values: an `UpstreamFailure` says what a client would be told, and which response flag stands for it.
- There is one try. It must not know routes, filters or retry policies.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr, trait

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.http.stream_info import ResponseFlag, UpstreamInfo
from envoymesh.network.api import Dispatcher, Timer
from envoymesh.upstream import failures
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.failures import UpstreamFailure
from envoymesh.upstream.host import Host
from envoymesh.upstream.stats import AsyncClientStats
from envoymesh.upstream.timeouts import Timeouts, set_expected_timeout
from envoymesh.upstream.upstream_request import UpstreamRequest, UpstreamRequestOwner

BUFFER_LIMIT: Final = 1024 * 1024
"""Bytes of a request that are kept while there is no connection before its owner is told, unless it says otherwise."""

RESPONSE_BUFFER_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a response body that `AsyncClient.send` collects (Envoy's `http.async_response_buffer_limit`)."""

RESPONSE_TOO_LARGE: Final = UpstreamFailure(502, b"response too large", 0, "response_payload_too_large")
"""The response's body was over the limit of `AsyncClient.send`."""

CALLBACK_RAISED: Final = UpstreamFailure(500, b"", ResponseFlag.LOCAL_RESET, "unexpected_exception")
"""What the stream's owner did with an event raised."""


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class AsyncStreamCallbacks:
    """Hears of one stream's response."""

    __slots__ = ()

    @abstractmethod
    def on_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins, whatever its status."""

    @abstractmethod
    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""

    @abstractmethod
    def on_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers; it ends with them."""

    @abstractmethod
    def on_reset(self, failure: UpstreamFailure) -> None:
        """There is no response, or no end of it."""

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """Counted: what was sent piles up (there is no connection yet, or the upstream is slow). Send less."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """One for each call of the above, also when the stream ends."""


@mypyc_attr(allow_interpreted_subclasses=True)
class AsyncStreamListener(AsyncStreamCallbacks):
    """AsyncStreamCallbacks that do nothing: a base for code that is not compiled, which cannot derive from a trait."""

    __slots__ = ()

    def on_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins, whatever its status."""

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""

    def on_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers; it ends with them."""

    def on_reset(self, failure: UpstreamFailure) -> None:
        """There is no response, or no end of it."""

    def on_above_write_buffer_high_watermark(self) -> None:
        """What was sent waits: send less."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """It waits no more."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to send a request (Envoy's `AsyncClient::StreamOptions`).

    Args:
        timeout: seconds for the whole response, from the request's end; 0 is no limit. The upstream is told of it.
        timeout_includes_request: `timeout` counts from the request's beginning.
        buffer_limit: body bytes kept while there is no connection, before the high watermark; 0 for any number.
        context: what the balancer may ask.
        send_xff: append the proxy's own address to x-forwarded-for.
        send_internal: mark the request as one from inside (x-envoy-internal), and count it so.
        suppress_envoy_headers: do not tell the upstream of the timeout.
        dynamic_stats: count responses by code, and their times, for the cluster.
    """

    timeout: float = 0.0
    timeout_includes_request: bool = False
    buffer_limit: int = BUFFER_LIMIT
    context: LoadBalancerContext | None = None
    send_xff: bool = True
    send_internal: bool = True
    suppress_envoy_headers: bool = False
    dynamic_stats: bool = True


DEFAULT_OPTIONS: Final = StreamOptions()


class AsyncClient:
    """Sends requests over any cluster.

    Args:
        stats: ``http.async-client.``.
        random: uniform in [0, 1).
        local_address: the proxy's own, for x-forwarded-for.
    """

    __slots__ = ("dispatcher", "local_address", "random", "stats")

    def __init__(
        self, dispatcher: Dispatcher, stats: AsyncClientStats, random: Callable[[], float], local_address: bytes
    ) -> None:
        self.dispatcher = dispatcher
        self.stats = stats
        self.random = random
        self.local_address = local_address

    def start(
        self, cluster: Cluster, callbacks: AsyncStreamCallbacks, options: StreamOptions = DEFAULT_OPTIONS
    ) -> AsyncStream:
        """A stream on which nothing has been sent yet. The owner sends headers first, once."""
        return AsyncStream(self, cluster, callbacks, options)

    def send(
        self,
        cluster: Cluster,
        request: RequestMessage,
        callbacks: AsyncRequestCallbacks,
        options: StreamOptions = DEFAULT_OPTIONS,
        response_buffer_limit: int = RESPONSE_BUFFER_LIMIT,
    ) -> AsyncRequest | None:
        """Send a whole request; its headers are changed in place. None where it has ended before this returns."""
        sent = AsyncRequest(callbacks, response_buffer_limit)
        sent.begin(self.start(cluster, sent, options), request)
        return None if sent.ended else sent


class AsyncStream(UpstreamRequestOwner):
    """One request from inside, and its response.

    Attributes:
        info: what is known of the upstream.
        ended: nothing will call back any more, and what is sent goes nowhere.
        request_complete: all of the request has been sent.
    """

    __slots__ = (
        "_callbacks",
        "_client",
        "_cluster",
        "_complete_at",
        "_is_grpc",
        "_is_internal",
        "_options",
        "_request",
        "_response_started",
        "_timer",
        "buffer_limit",
        "ended",
        "info",
        "request_complete",
    )

    def __init__(
        self, client: AsyncClient, cluster: Cluster, callbacks: AsyncStreamCallbacks, options: StreamOptions
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._callbacks: AsyncStreamCallbacks | None = callbacks
        self._options = options
        self.info = UpstreamInfo()
        self.buffer_limit = options.buffer_limit
        self.request_complete = False
        self.ended = False
        self._request: UpstreamRequest | None = None
        self._timer: Timer | None = None
        self._complete_at = 0.0
        self._is_grpc = False
        self._is_internal = False
        self._response_started = False

    def __repr__(self) -> str:
        return f"<AsyncStream {self._cluster.name} {self._request!r} ended={self.ended}>"

    # The request, from the owner

    def send_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """Begin the request. The headers are changed in place, and belong to the stream from then on."""
        client, cluster, options = self._client, self._cluster, self._options
        client.stats.rq_total.inc()
        self._prepare(headers)
        if cluster.maintenance_mode.share and cluster.maintenance_mode.holds(client.random):
            cluster.stats.upstream_rq_maintenance_mode.inc()
            self._fail(failures.MAINTENANCE_MODE, None)
            return
        host = cluster.choose_host(options.context)
        if host is None:
            self._fail(failures.NO_HEALTHY_UPSTREAM, None)
            return
        self.info.upstream_host = host.address
        request = self._request = UpstreamRequest(
            self, cluster, host, self.info, client.dispatcher, headers, end_stream, 0.0
        )
        if options.timeout_includes_request:
            self._start_timer()
        separator = cluster.separator
        request.start(host, None, None if separator is None else separator.options(headers, None, "DEFAULT"))
        if end_stream:
            self._on_request_complete()

    def _prepare(self, headers: RequestHeaders) -> None:
        options = self._options
        self._is_grpc = is_grpc(headers)
        if options.send_internal:
            headers.set(b"x-envoy-internal", b"true")
        self._is_internal = headers.get(b"x-envoy-internal") == b"true"
        if options.send_xff:
            headers.append(b"x-forwarded-for", self._client.local_address, b",")
        if not options.suppress_envoy_headers:
            set_expected_timeout(headers, Timeouts(options.timeout, 0.0))

    def send_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body, after the headers."""
        if self._request is None:
            return
        self._request.send_data(data, end_stream)
        if end_stream:
            self._on_request_complete()

    def send_trailers(self, trailers: HeaderMap) -> None:
        """Trailers; the request ends with them."""
        if self._request is None:
            return
        self._request.send_trailers(trailers)
        self._on_request_complete()

    def read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading the response."""
        if self._request is not None:
            self._request.read_disable(disable)

    def reset(self) -> None:
        """The owner wants no more of it: nothing calls back from now on."""
        self._callbacks = None
        request = self._end()
        if request is not None:
            request.reset()

    def _on_request_complete(self) -> None:
        self.request_complete = True
        self._complete_at = self._client.dispatcher.now()
        if self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        seconds = self._options.timeout
        if seconds and not self.ended:
            self._timer = self._client.dispatcher.create_timer(self._on_timeout, self)
            self._timer.enable(seconds)

    # UpstreamRequestOwner: what comes back

    def on_stream_ready(self) -> None:
        """Nobody else counts it."""

    def on_upstream_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response is of no use here."""
        self._charge(headers.status, None)

    def on_upstream_headers(self, request: UpstreamRequest, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins."""
        self._charge(headers.status, request.host)
        request.count_headers(headers, end_stream, self._is_grpc)
        self._response_started = True
        callbacks = self._callbacks
        if end_stream:
            self._on_response_complete(request)
        if callbacks is not None:
            callbacks.on_headers(headers, end_stream)

    def on_upstream_data(self, request: UpstreamRequest, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        callbacks = self._callbacks
        if end_stream:
            request.count_end(None)
            self._on_response_complete(request)
        if callbacks is not None:
            callbacks.on_data(data, end_stream)

    def on_upstream_trailers(self, request: UpstreamRequest, trailers: HeaderMap) -> None:
        """The response's trailers."""
        callbacks = self._callbacks
        request.count_end(trailers)
        self._on_response_complete(request)
        if callbacks is not None:
            callbacks.on_trailers(trailers)

    def _on_response_complete(self, request: UpstreamRequest) -> None:
        self.info.last_upstream_rx = now = self._client.dispatcher.now()
        if self.request_complete and self._options.dynamic_stats:
            took = int((now - self._complete_at) * 1000)
            self._cluster.record_response_time(took, self._is_internal, request.host)
        self._end()
        request.reset()  # where the request is not complete yet: the upstream needs no more of it

    def on_upstream_reset(
        self, request: UpstreamRequest, reason: StreamResetReason, transport_reason: str, request_started: bool
    ) -> None:
        """There was only this try."""
        failure = failures.failure_of_reset(reason, transport_reason, started=self._response_started, retried=False)
        self._fail(failure, request)

    def on_no_pool(self, request: UpstreamRequest) -> None:
        """As if there were no host."""
        self._fail(failures.NO_HEALTHY_UPSTREAM, None)

    def on_per_try_timeout(self, request: UpstreamRequest) -> None:
        """Nobody asks for one."""

    def on_per_try_idle_timeout(self, request: UpstreamRequest) -> None:
        """Nobody asks for one."""

    def on_max_stream_duration(self, request: UpstreamRequest) -> None:
        """The cluster lets no try take so long."""
        self._fail(failures.MAX_STREAM_DURATION, None)

    def pause_request(self) -> None:
        """The upstream is slower than the owner."""
        self._cluster.stats.upstream_flow_control_backed_up_total.inc()
        if self._callbacks is not None:
            self._callbacks.on_above_write_buffer_high_watermark()

    def resume_request(self) -> None:
        """The upstream caught up."""
        self._cluster.stats.upstream_flow_control_drained_total.inc()
        if self._callbacks is not None:
            self._callbacks.on_below_write_buffer_low_watermark()

    def on_exception(self, where: str, error: Exception) -> None:
        """The owner's code raised: its stream ends, and it is told so."""
        dispatcher = self._client.dispatcher
        dispatcher.report(f"{where} of {self!r}", error)
        if self.ended:
            return
        callbacks = self._callbacks
        self.reset()
        try:
            if callbacks is not None:
                callbacks.on_reset(CALLBACK_RAISED)
        except Exception as again:  # noqa: BLE001 there is nobody left to tell
            dispatcher.report(f"the reset of {self!r}", again)

    # Failures

    def _on_timeout(self) -> None:
        self._cluster.stats.upstream_rq_timeout.inc()
        request = self._request
        if request is None:
            return
        request.count_timeout()
        request.reset()
        self._fail(failures.RESPONSE_TIMEOUT, request)

    def _fail(self, failure: UpstreamFailure, request: UpstreamRequest | None) -> None:
        """End without a response, which counts as one of the failure's status, or without the response's end."""
        if not self._response_started:
            self._charge(failure.status, None if request is None else request.host)
        elif request is not None and request.awaits_grpc_status:
            request.count_error()
            self._client.stats.rq_reset_after_downstream_response_started.inc()
        callbacks = self._callbacks
        self._end()
        if callbacks is not None:
            callbacks.on_reset(failure)

    def _charge(self, status: int, host: Host | None) -> None:
        if self._options.dynamic_stats:
            self._cluster.charge_response(status, self._is_internal, host)

    def _end(self) -> UpstreamRequest | None:
        """Nothing calls back from here on; gives the try that there was."""
        self.ended = True
        self._callbacks = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.disable()
        request, self._request = self._request, None
        return request


# Whole requests and responses


class RequestMessage:
    """A whole request."""

    __slots__ = ("body", "headers", "trailers")

    def __init__(self, headers: RequestHeaders, body: bytes = b"", trailers: HeaderMap | None = None) -> None:
        self.headers = headers
        self.body = body
        self.trailers = trailers


class ResponseMessage:
    """A whole response."""

    __slots__ = ("body", "headers", "trailers")

    def __init__(self, headers: ResponseHeaders, body: bytes, trailers: HeaderMap | None) -> None:
        self.headers = headers
        self.body = body
        self.trailers = trailers


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class AsyncRequestCallbacks:
    """Hears of one request's answer: exactly one of these is called, unless the request is cancelled."""

    __slots__ = ()

    @abstractmethod
    def on_success(self, request: AsyncRequest, response: ResponseMessage) -> None:
        """The whole response, whatever its status."""

    @abstractmethod
    def on_failure(self, request: AsyncRequest, failure: UpstreamFailure) -> None:
        """There is none, or not all of it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class AsyncRequestListener(AsyncRequestCallbacks):
    """AsyncRequestCallbacks that do nothing: a base for code that is not compiled, which cannot derive from a trait."""

    __slots__ = ()

    def on_success(self, request: AsyncRequest, response: ResponseMessage) -> None:
        """The whole response, whatever its status."""

    def on_failure(self, request: AsyncRequest, failure: UpstreamFailure) -> None:
        """There is none, or not all of it."""


class AsyncRequest(AsyncStreamCallbacks):
    """One whole request under way.

    Attributes:
        ended: its callback was called, or it was cancelled.
    """

    __slots__ = ("_body", "_callbacks", "_headers", "_limit", "_stream", "ended")

    def __init__(self, callbacks: AsyncRequestCallbacks, response_buffer_limit: int) -> None:
        self._callbacks: AsyncRequestCallbacks | None = callbacks
        self._limit = response_buffer_limit
        self._stream: AsyncStream | None = None
        self._headers: ResponseHeaders | None = None
        self._body = bytearray()
        self.ended = False

    def begin(self, stream: AsyncStream, request: RequestMessage) -> None:
        """Called once, by `AsyncClient.send`; any step may end the request."""
        self._stream = stream
        body, trailers = request.body, request.trailers
        stream.send_headers(request.headers, not body and trailers is None)
        if body:
            stream.send_data(body, trailers is None)
        if trailers is not None:
            stream.send_trailers(trailers)

    def cancel(self) -> None:
        """Nobody wants the answer any more; nothing calls back."""
        stream = self._stream
        self._end()
        if stream is not None:
            stream.reset()

    def on_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins."""
        self._headers = headers
        if end_stream:
            self._succeed(None)

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        if len(self._body) + len(data) > self._limit:
            stream = self._stream
            if stream is not None:
                stream.reset()
            self.on_reset(RESPONSE_TOO_LARGE)
            return
        self._body += data
        if end_stream:
            self._succeed(None)

    def on_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers."""
        self._succeed(trailers)

    def _succeed(self, trailers: HeaderMap | None) -> None:
        headers = self._headers
        callbacks = self._end()
        if callbacks is not None and headers is not None:
            callbacks.on_success(self, ResponseMessage(headers, bytes(self._body), trailers))

    def on_reset(self, failure: UpstreamFailure) -> None:
        """There is no response, or no end of it."""
        callbacks = self._end()
        if callbacks is not None:
            callbacks.on_failure(self, failure)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The whole request was given at once."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """The whole request was given at once."""

    def _end(self) -> AsyncRequestCallbacks | None:
        self.ended = True
        self._stream = None
        callbacks, self._callbacks = self._callbacks, None
        return callbacks
