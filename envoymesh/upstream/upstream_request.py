"""One try of a request at one host (Envoy's `UpstreamRequest`), for whoever owns the request: the router filter, or a
request from inside (`client.py`).

It waits for a pooled stream, sends what its owner gives it (keeping body bytes until the stream is there, and pausing
the owner when they are many), hands the response to the owner, and counts how the try ended for its host. It must not
decide about retries or answers, and knows nothing of its owner but the trait below.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.http.codec import HttpProtocol, RequestEncoder, ResponseDecoder, StreamCallbacks, StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_grpc
from envoymesh.http.inline_headers import INLINE_RESPONSE_HEADERS, join_inline
from envoymesh.http.stream_info import UpstreamInfo
from envoymesh.network.api import Connection, Dispatcher, ExceptionHandler, Timer
from envoymesh.upstream.api import Cancellable, PoolCallbacks, PoolFailureReason
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.options import PoolOptions

_FAILURE_REASONS: Final = {
    PoolFailureReason.OVERFLOW: StreamResetReason.OVERFLOW,
    PoolFailureReason.TIMEOUT: StreamResetReason.CONNECTION_TIMEOUT,
    PoolFailureReason.LOCAL_CONNECTION_FAILURE: StreamResetReason.LOCAL_CONNECTION_FAILURE,
    PoolFailureReason.REMOTE_CONNECTION_FAILURE: StreamResetReason.REMOTE_CONNECTION_FAILURE,
}

_IMMEDIATE_FAIL: Final = b"x-envoy-immediate-health-check-fail"
"""With this a response takes its host out, where that is checked."""

_SERVER_ERRORS: Final = {b"2": 500, b"4": 504, b"12": 501, b"13": 500, b"14": 503, b"15": 500}
"""Values of grpc-status that stand for a 5xx, and which (Grpc::Utility::grpcToHttpStatus): UNKNOWN, DEADLINE_EXCEEDED,
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS."""


@trait
class UpstreamRequestOwner(ExceptionHandler):
    """Whoever sends a request, one try at a time, and takes what comes back. What it raises ends its request only.

    Attributes:
        request_complete: all of the request has been sent to the current try, or kept for it.
        buffer_limit: body bytes kept while there is no stream before the owner is paused, 0 for any number.
    """

    __slots__ = ()

    request_complete: bool
    buffer_limit: int

    @abstractmethod
    def on_stream_ready(self) -> None:
        """The try has a stream."""

    @abstractmethod
    def on_upstream_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response."""

    @abstractmethod
    def on_upstream_headers(self, request: UpstreamRequest, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins."""

    @abstractmethod
    def on_upstream_data(self, request: UpstreamRequest, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""

    @abstractmethod
    def on_upstream_trailers(self, request: UpstreamRequest, trailers: HeaderMap) -> None:
        """The response's trailers."""

    @abstractmethod
    def on_upstream_reset(
        self, request: UpstreamRequest, reason: StreamResetReason, transport_reason: str, request_started: bool
    ) -> None:
        """The try failed. `transport_reason` is the connection's, or empty; `request_started` says whether there was
        a stream."""

    @abstractmethod
    def on_no_pool(self, request: UpstreamRequest) -> None:
        """There may be no pool of connections for the try (`max_connection_pools`): as if there were no host."""

    @abstractmethod
    def on_per_try_timeout(self, request: UpstreamRequest) -> None:
        """The try took too long, and was reset."""

    @abstractmethod
    def on_per_try_idle_timeout(self, request: UpstreamRequest) -> None:
        """Nothing came for the try's idle timeout; it has been reset."""

    @abstractmethod
    def on_max_stream_duration(self, request: UpstreamRequest) -> None:
        """The try took longer than its cluster allows (`max_stream_duration`); it has been reset."""

    @abstractmethod
    def pause_request(self) -> None:
        """Counted: the upstream's write buffer, or what waits for a stream, is full. Send no more of the request."""

    @abstractmethod
    def resume_request(self) -> None:
        """One for each call of the above: there is room again."""


class UpstreamRequest(PoolCallbacks, ResponseDecoder, StreamCallbacks):
    """Implements PoolCallbacks, ResponseDecoder and StreamCallbacks for one try.

    Attributes:
        host: where the try goes; None once a pool refused without asking it.
        done: nothing more comes of it: the response has ended, or the try was reset.
        response_started: response headers are here.
        awaits_grpc_status: whether the host did well is known only from the trailers.

    Args:
        info: takes what is learnt of the upstream.
        per_try_timeout: seconds from the request's end (or the stream, where it comes later) to response headers; 0
            is no limit.
    """

    __slots__ = (
        "_body",
        "_body_paused",
        "_cancellable",
        "_cluster",
        "_dispatcher",
        "_duration_timer",
        "_encoder",
        "_end_stream",
        "_headers",
        "_idle_timer",
        "_info",
        "_is_http2",
        "_owner",
        "_per_try_idle_timeout",
        "_per_try_timeout",
        "_per_try_timer",
        "_request_ended",
        "_request_paused",
        "_response_ended",
        "_timeout_told",
        "_trailers",
        "awaits_grpc_status",
        "done",
        "host",
        "response_started",
    )

    def __init__(
        self,
        owner: UpstreamRequestOwner,
        cluster: Cluster,
        host: Host,
        info: UpstreamInfo,
        dispatcher: Dispatcher,
        headers: RequestHeaders,
        end_stream: bool,
        per_try_timeout: float,
        per_try_idle_timeout: float = 0.0,
    ) -> None:
        self._owner = owner
        self._cluster = cluster
        self._info = info
        self._dispatcher = dispatcher
        self._per_try_timeout = per_try_timeout
        self._per_try_idle_timeout = per_try_idle_timeout
        self.host: Host | None = host
        self._headers = headers
        self._end_stream = end_stream
        self._body: bytearray | None = None  # what came before there was a stream
        self._body_paused = False
        self._trailers: HeaderMap | None = None
        self._encoder: RequestEncoder | None = None
        self._is_http2 = False
        self._cancellable: Cancellable | None = None
        self._per_try_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._duration_timer: Timer | None = None
        self._request_paused = 0
        self._request_ended = False
        self._response_ended = False
        self._timeout_told = False
        self.done = False
        self.response_started = False
        self.awaits_grpc_status = False

    def __repr__(self) -> str:
        return f"<UpstreamRequest {self.host!r} done={self.done}>"

    def start(self, host: Host, downstream_protocol: HttpProtocol | None, options: PoolOptions | None = None) -> None:
        """Ask the pool for a stream; it may come, or fail, before this returns."""
        self._cancellable = self._cluster.new_stream(host, self, self, downstream_protocol, options)

    def start_per_try_timer(self) -> None:
        """Limit this try (`RetryPolicy.per_try_timeout`), once there is a stream and the whole request."""
        if self._encoder is not None:
            self._start_timers()

    def _start_timers(self) -> None:
        seconds = self._per_try_timeout
        if seconds and not self.response_started and self._per_try_timer is None:
            self._per_try_timer = self._dispatcher.create_timer(self._on_per_try_timeout, self._owner)
            self._per_try_timer.enable(seconds)
        idle = self._per_try_idle_timeout
        if idle and self._idle_timer is None:
            self._idle_timer = self._dispatcher.create_timer(self._on_per_try_idle_timeout, self._owner)
            self._idle_timer.enable(idle)

    # The request, from the owner

    def send_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body; kept until there is a stream."""
        if self.done:
            return
        self._end_stream = end_stream
        if self._encoder is None:
            self._keep(data)
            return
        if end_stream:
            self._end_request()
        self._encoder.encode_data(data, end_stream)

    def _keep(self, data: bytes) -> None:
        body = self._body
        if body is None:
            body = self._body = bytearray()
        body += data
        if 0 < self._owner.buffer_limit < len(body) and not self._body_paused:
            self._body_paused = True
            self.on_above_write_buffer_high_watermark()

    def send_trailers(self, trailers: HeaderMap) -> None:
        """The request's trailers."""
        if self.done:
            return
        if self._encoder is None:
            self._trailers = trailers
            return
        self._end_request()
        self._encoder.encode_trailers(trailers)

    # PoolCallbacks

    def on_pool_ready(
        self, encoder: RequestEncoder, host: Host, connection: Connection, protocol: HttpProtocol | None
    ) -> None:
        """There is a stream: send what there is."""
        try:
            self._begin(encoder, host, connection, protocol)
        except Exception as error:  # noqa: BLE001 see _fault
            self._fault("an upstream request", error)

    def _begin(
        self, encoder: RequestEncoder, host: Host, connection: Connection, protocol: HttpProtocol | None
    ) -> None:
        self._cancellable = None
        self._encoder = encoder
        self._is_http2 = protocol is HttpProtocol.HTTP2
        self.host = host
        if host.outlier_detector is not None:
            host.outlier_detector.put_connect_success()
        info = self._info
        info.upstream_host = host.address
        info.upstream_host_name = host.hostname
        info.upstream_connection = connection
        info.upstream_meter = encoder
        info.upstream_protocol = protocol
        info.first_upstream_tx = self._dispatcher.now()
        encoder.set_callbacks(self)
        seconds = self._cluster.max_stream_duration
        if seconds:
            self._duration_timer = self._dispatcher.create_timer(self._on_duration_timeout, self._owner)
            self._duration_timer.enable(seconds)
        self._owner.on_stream_ready()
        if self._owner.request_complete:
            self.start_per_try_timer()
        if self._body is not None or self._trailers is not None:
            self._send_kept(encoder)
        else:
            if self._end_stream:
                self._request_ended = True
                info.last_upstream_tx = info.first_upstream_tx
            encoder.encode_headers(self._headers, self._end_stream)

    def _end_request(self) -> None:
        self._request_ended = True
        self._info.last_upstream_tx = self._dispatcher.now()

    def _send_kept(self, encoder: RequestEncoder) -> None:
        """Headers and what came while there was no stream; any call may end the try."""
        encoder.encode_headers(self._headers, False)
        self._send_rest(encoder)

    def _send_rest(self, encoder: RequestEncoder) -> None:
        body, trailers = bytes(self._body or b""), self._trailers
        ends_with_body = self._end_stream and trailers is None
        self._body = None
        if not self.done and (body or ends_with_body):
            if ends_with_body:
                self._end_request()
            encoder.encode_data(body, ends_with_body)
        if not self.done and trailers is not None:
            self._end_request()
            encoder.encode_trailers(trailers)
        if not self.done and self._body_paused:
            self._body_paused = False
            self.on_below_write_buffer_low_watermark()

    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """There will be no stream."""
        self._cancellable = None
        self.host = host
        info = self._info
        info.upstream_host = None if host is None else host.address
        info.upstream_host_name = "" if host is None else host.hostname
        info.upstream_failure_reason = transport_failure_reason
        self._finish()
        try:
            if reason is PoolFailureReason.NO_POOL:
                self._owner.on_no_pool(self)
                return
            reset = _FAILURE_REASONS[reason]
            self._tell_failure(reset)
            self._owner.on_upstream_reset(self, reset, transport_failure_reason, request_started=False)
        except Exception as error:  # noqa: BLE001 see _fault
            self._fault("a pool's failure", error)

    # ResponseDecoder

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response."""
        if not self.done:
            try:
                self._owner.on_upstream_1xx_headers(headers)
            except Exception as error:  # noqa: BLE001 see _fault
                self._fault("an interim response", error)

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins."""
        if self.done:
            return
        self.response_started = True
        if len(headers.index) != len(headers.fields):
            join_inline(headers, INLINE_RESPONSE_HEADERS)
        self._info.first_upstream_rx = self._dispatcher.now()
        if self._per_try_timer is not None:
            self._per_try_timer.disable()
        if self._idle_timer is not None:
            self._idle_timer.enable(self._per_try_idle_timeout)
        if end_stream:
            self._end_response()
        host = self.host
        if host is not None:
            if host.outlier_detector is not None:
                host.outlier_detector.put_http_response_code(self._outlier_code(headers))
            if host.health_checker is not None and _IMMEDIATE_FAIL in headers:
                host.health_checker.set_unhealthy(host)
        try:
            self._owner.on_upstream_headers(self, headers, end_stream)
        except Exception as error:  # noqa: BLE001 see _fault
            self._fault("a response's headers", error)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        if self.done:
            return
        if self._idle_timer is not None:
            self._idle_timer.enable(self._per_try_idle_timeout)
        if end_stream:
            self._end_response()
        try:
            self._owner.on_upstream_data(self, data, end_stream)
        except Exception as error:  # noqa: BLE001 see _fault
            self._fault("a response's data", error)

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers."""
        if self.done:
            return
        self._end_response()
        try:
            self._owner.on_upstream_trailers(self, trailers)
        except Exception as error:  # noqa: BLE001 see _fault
            self._fault("a response's trailers", error)

    def _end_response(self) -> None:
        self._response_ended = True
        self._finish()

    # StreamCallbacks of the upstream stream

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The upstream stream is gone. `details` are the codec's; a client is told those of the connection."""
        if self.done:
            return
        self._finish()
        self._encoder = None
        self._tell_failure(reason)
        if self._is_http2:
            stats = self._cluster.stats
            if reason is StreamResetReason.REMOTE_RESET:
                stats.upstream_rq_rx_reset.inc()
            elif reason is StreamResetReason.PROTOCOL_ERROR:
                stats.upstream_rq_tx_reset.inc()
        connection = self._info.upstream_connection
        transport_reason = "" if connection is None else connection.failure_reason
        try:
            self._owner.on_upstream_reset(self, reason, transport_reason, request_started=True)
        except Exception as error:  # noqa: BLE001 see _fault
            self._fault("an upstream reset", error)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The upstream is slower than the client: stop reading the request."""
        self._request_paused += 1
        self._owner.pause_request()

    def on_below_write_buffer_low_watermark(self) -> None:
        """The upstream caught up."""
        self._request_paused -= 1
        self._owner.resume_request()

    def on_response_held(self) -> None:
        """A server's."""

    def on_response_sent(self) -> None:
        """A server's."""

    # Back-pressure from downstream

    def read_disable(self, disable: bool) -> None:
        """The client is slower than the upstream: stop (or go on) reading the response."""
        if self._encoder is not None and not self.done:
            self._encoder.read_disable(disable)

    # How the try ended for its host: rq_success, rq_error and rq_timeout of `/clusters`

    def count_headers(self, headers: ResponseHeaders, end_stream: bool, is_grpc: bool) -> None:
        """A response begins. A 5xx has been counted with its code; a gRPC response counts by its grpc-status, for its
        HTTP status is 200 even of failures (`Filter::handleNon5xxResponseHeaders`)."""
        host = self.host
        if host is None or headers.status >= 500:
            return
        if not is_grpc:
            host.stats.rq_success.inc()
        else:
            self.awaits_grpc_status = True
            if end_stream:
                self.count_end(headers)

    def count_end(self, fields: HeaderMap | None) -> None:
        """A response ends; `fields` are its last headers or trailers. gRPC without a grpc-status is an error."""
        host = self.host
        if host is None or not self.awaits_grpc_status:
            return
        self.awaits_grpc_status = False
        status = None if fields is None else fields.get(b"grpc-status")
        if status is None or not status.isdigit() or status in _SERVER_ERRORS:
            host.stats.rq_error.inc()
        else:
            host.stats.rq_success.inc()

    def count_error(self) -> None:
        """The try failed."""
        if self.host is not None:
            self.host.stats.rq_error.inc()

    def count_timeout(self) -> None:
        """The try took too long."""
        if self.host is not None:
            self.host.stats.rq_timeout.inc()
        if not self.response_started:
            self.tell_timeout()

    # How it ended, for the detector of outliers (`Filter::updateOutlierDetection`)

    def _outlier_code(self, headers: ResponseHeaders) -> int:
        """The status that counts: a gRPC response that is one head counts by its grpc-status."""
        status = headers.get(b"grpc-status")
        if status is None or not is_grpc(self._headers):
            return headers.status
        return _SERVER_ERRORS.get(status, 200 if status.isdigit() else 500)

    def _tell_failure(self, reason: StreamResetReason) -> None:
        # An open circuit breaker is no fault of the host's.
        host = self.host
        if host is not None and host.outlier_detector is not None and reason is not StreamResetReason.OVERFLOW:
            host.outlier_detector.put_connect_failure()

    def tell_timeout(self) -> None:
        """The host took too long; told once, also where a try goes on beyond its own time (hedging)."""
        host = self.host
        if host is not None and host.outlier_detector is not None and not self._timeout_told:
            self._timeout_told = True
            host.outlier_detector.put_timeout()

    # The end

    def reset(self) -> None:
        """Nothing more is wanted of the try: cancel the wait, or reset a stream of which not all is over.

        After a complete response the upstream needs no more of the request (RFC 9113 section 8.1).
        """
        self._finish()
        cancellable, self._cancellable = self._cancellable, None
        encoder, self._encoder = self._encoder, None
        if cancellable is not None:
            cancellable.cancel()
        elif encoder is not None and not (self._request_ended and self._response_ended):
            if self._is_http2:
                self._cluster.stats.upstream_rq_tx_reset.inc()
            encoder.reset_stream(StreamResetReason.LOCAL_RESET)

    def _finish(self) -> None:
        self.done = True
        self._body = None
        if self._encoder is not None:
            self._encoder.set_callbacks(None)
        if self._per_try_timer is not None:
            self._per_try_timer.disable()
        if self._idle_timer is not None:
            self._idle_timer.disable()
        if self._duration_timer is not None:
            self._duration_timer.disable()
        while self._request_paused:
            self._request_paused -= 1
            self._owner.resume_request()

    def _fault(self, where: str, error: Exception) -> None:
        """What a stream raises must not reach the upstream's connection or pool, which serve other streams too."""
        self._owner.on_exception(where, error)

    def _on_per_try_timeout(self) -> None:
        self.reset()
        self.tell_timeout()
        self._owner.on_per_try_timeout(self)

    def _on_per_try_idle_timeout(self) -> None:
        self.reset()
        self.tell_timeout()
        self._owner.on_per_try_idle_timeout(self)

    def _on_duration_timeout(self) -> None:
        self._cluster.stats.upstream_rq_max_duration_reached.inc()
        self.reset()
        self._owner.on_max_stream_duration(self)
