"""One try of a request at one host (Envoy's `UpstreamRequest`).

It waits for a pooled stream, sends what the router gives it (keeping body bytes until the stream is there),
and hands the response to the router as long as it is the router's current try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoymesh.http.codec import HttpProtocol, RequestEncoder, StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.network.api import Connection, Timer
from envoymesh.upstream.api import Cancellable, PoolFailureReason

if TYPE_CHECKING:
    from envoymesh.filters.router.filter import RouterFilter
    from envoymesh.upstream.host import Host

_FAILURE_REASONS = {
    PoolFailureReason.OVERFLOW: StreamResetReason.OVERFLOW,
    PoolFailureReason.TIMEOUT: StreamResetReason.CONNECTION_TIMEOUT,
    PoolFailureReason.LOCAL_CONNECTION_FAILURE: StreamResetReason.LOCAL_CONNECTION_FAILURE,
    PoolFailureReason.REMOTE_CONNECTION_FAILURE: StreamResetReason.REMOTE_CONNECTION_FAILURE,
}


class UpstreamRequest:
    """Implements PoolCallbacks, ResponseDecoder and StreamCallbacks for one try."""

    __slots__ = (
        "_body",
        "_cancellable",
        "_encoder",
        "_end_stream",
        "_headers",
        "_per_try_timer",
        "_read_disabled",
        "_request_paused",
        "_router",
        "_trailers",
        "done",
        "host",
        "response_started",
        "sent_at",
    )

    def __init__(self, router: RouterFilter, host: Host, headers: RequestHeaders, end_stream: bool) -> None:
        self._router = router
        self.host = host
        self._headers = headers
        self._end_stream = end_stream
        self._body: list[bytes] = []
        self._trailers: HeaderMap | None = None
        self._encoder: RequestEncoder | None = None
        self._cancellable: Cancellable | None = None
        self._per_try_timer: Timer | None = None
        self._read_disabled = 0
        self._request_paused = 0
        self.done = False
        self.response_started = False
        self.sent_at = 0.0

    def __repr__(self) -> str:
        return f"<UpstreamRequest {self.host!r} done={self.done}>"

    def start(self, downstream_protocol: HttpProtocol) -> None:
        """Ask the pool for a stream; it may come before this returns."""
        self._cancellable = self._router.cluster.new_stream(self.host, self, self, downstream_protocol)

    def start_per_try_timer(self, seconds: float) -> None:
        """Limit this try."""
        self._per_try_timer = self._router.dispatcher.create_timer(self._on_per_try_timeout)
        self._per_try_timer.enable(seconds)

    # The request, from the router

    def send_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body; kept until there is a stream."""
        self._end_stream = end_stream
        if self._encoder is None:
            self._body.append(data)
            return
        self._router.info.last_upstream_tx = self._router.dispatcher.now()
        self._encoder.encode_data(data, end_stream)

    def send_trailers(self, trailers: HeaderMap) -> None:
        """The request's trailers."""
        if self._encoder is None:
            self._trailers = trailers
            return
        self._encoder.encode_trailers(trailers)

    @property
    def awaits_stream(self) -> bool:
        """Whether nothing has been sent yet."""
        return self._encoder is None

    # PoolCallbacks

    def on_pool_ready(
        self, encoder: RequestEncoder, host: Host, connection: Connection, protocol: HttpProtocol
    ) -> None:
        """There is a stream: send what there is."""
        router = self._router
        self._cancellable = None
        self._encoder = encoder
        self.host = host
        encoder.set_callbacks(self)
        for _ in range(self._read_disabled):
            encoder.read_disable(True)
        info = router.info
        info.upstream_host = host.address
        info.upstream_connection = connection
        info.upstream_protocol = protocol
        self.sent_at = info.first_upstream_tx = info.last_upstream_tx = router.dispatcher.now()
        body, trailers = self._body, self._trailers
        encoder.encode_headers(self._headers, self._end_stream and not body and trailers is None)
        if body and not self.done:
            self._body = []
            encoder.encode_data(b"".join(body), self._end_stream and trailers is None)
        if trailers is not None and not self.done:
            encoder.encode_trailers(trailers)

    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host) -> None:
        """There will be no stream."""
        self._cancellable = None
        info = self._router.info
        info.upstream_host = host.address
        info.upstream_failure_reason = transport_failure_reason
        self._finish()
        self._router.on_upstream_reset(self, _FAILURE_REASONS[reason], transport_failure_reason, request_started=False)

    # ResponseDecoder

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response."""
        self._router.on_upstream_1xx_headers(headers)

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins."""
        if self.done:
            return
        self.response_started = True
        self._router.info.first_upstream_rx = self._router.dispatcher.now()
        if self._per_try_timer is not None:
            self._per_try_timer.disable()
        if end_stream:
            self._finish()
        self._router.on_upstream_headers(self, headers, end_stream)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        if self.done:
            return
        if end_stream:
            self._finish()
        self._router.on_upstream_data(data, end_stream)

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers."""
        if self.done:
            return
        self._finish()
        self._router.on_upstream_trailers(trailers)

    # StreamCallbacks of the upstream stream

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The upstream stream is gone."""
        if self.done:
            return
        self._encoder = None
        self._finish()
        self._router.on_upstream_reset(self, reason, details, request_started=True)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The upstream is slower than the client: stop reading the request."""
        self._request_paused += 1
        self._router.pause_request()

    def on_below_write_buffer_low_watermark(self) -> None:
        """The upstream caught up."""
        self._request_paused -= 1
        self._router.resume_request()

    # Back-pressure from downstream

    def read_disable(self, disable: bool) -> None:
        """The client is slower than the upstream: stop (or go on) reading the response."""
        self._read_disabled += 1 if disable else -1
        if self._encoder is not None and not self.done:
            self._encoder.read_disable(disable)

    # The end

    def reset(self) -> None:
        """Give the try up: cancel the wait, or reset the stream."""
        if self.done:
            return
        self._finish()
        if self._cancellable is not None:
            self._cancellable.cancel()
            self._cancellable = None
        elif self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.set_callbacks(None)
            encoder.reset_stream(StreamResetReason.LOCAL_RESET)

    def abandon_if_unfinished(self) -> None:
        """The response is complete but the request is not: the upstream needs no more of it (RFC 9113 section 8.1)."""
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.set_callbacks(None)
            encoder.reset_stream(StreamResetReason.LOCAL_RESET)

    def _finish(self) -> None:
        self.done = True
        if self._encoder is not None:
            self._encoder.set_callbacks(None)
        if self._per_try_timer is not None:
            self._per_try_timer.disable()
        while self._request_paused:
            self._request_paused -= 1
            self._router.resume_request()

    def _on_per_try_timeout(self) -> None:
        self.reset()
        self._router.on_per_try_timeout(self)
