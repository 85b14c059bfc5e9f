"""A connection of bytes as a stream of HTTP: what a CONNECT that ends here is sent on (Envoy's `TcpUpstream`).

The request's body is what is written, and what comes is the body of an answer of 200 that this makes itself. It must
not know what the bytes are, nor who asked for them.
"""

from __future__ import annotations

from envoymesh.http.codec import RequestEncoder, ResponseDecoder, StreamCallbacks, StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.network.api import CloseType, ConnectionEvent
from envoymesh.upstream.api import Cancellable, PoolCallbacks, PoolFailureReason
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.options import PoolOptions
from envoymesh.upstream.pool.tcp import TcpPoolCallbacks, TcpUpstreamConnection


class TcpStream(RequestEncoder, TcpPoolCallbacks):
    """One connection. Implements RequestEncoder and TcpPoolCallbacks.

    Args:
        decoder: takes the answer.
        pool_callbacks: is told when the connection is there, or that there will be none.
    """

    __slots__ = ("_answered", "_asked", "_callbacks", "_decoder", "_pool_callbacks", "_received", "_sent", "_upstream")

    def __init__(self, decoder: ResponseDecoder, pool_callbacks: PoolCallbacks) -> None:
        self._decoder: ResponseDecoder | None = decoder
        self._pool_callbacks: PoolCallbacks | None = pool_callbacks
        self._callbacks: StreamCallbacks | None = None
        self._upstream: TcpUpstreamConnection | None = None
        self._asked = False  # all of the request is written
        self._answered = False
        self._received = 0
        self._sent = 0

    def __repr__(self) -> str:
        return f"<TcpStream {self._upstream!r}>"

    def connect(self, cluster: Cluster, host: Host, options: PoolOptions) -> Cancellable | None:
        """Begin to connect; None where that has failed already, which the callbacks have been told."""
        return cluster.new_tcp_connection(host, self, options)

    # TcpPoolCallbacks

    def on_pool_ready(self, upstream: TcpUpstreamConnection, host: Host) -> None:
        """The connection is there."""
        self._upstream = upstream
        upstream.connection.enable_half_close()
        callbacks, self._pool_callbacks = self._pool_callbacks, None
        if callbacks is not None:
            callbacks.on_pool_ready(self, host, upstream.connection, None)

    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """There will be none."""
        callbacks, self._pool_callbacks = self._pool_callbacks, None
        if callbacks is not None:
            callbacks.on_pool_failure(reason, transport_failure_reason, host)

    def on_upstream_data(self, data: bytes) -> int:
        """Bytes from the host."""
        self._received += len(data)
        if self._decoder is not None:
            self._decoder.decode_data(data, False)
        return len(data)

    def on_upstream_eof(self) -> None:
        """The host has ended its side: that is the end of the answer."""
        self._answered = True
        decoder = self._decoder
        self._release_if_done()
        if decoder is not None:
            decoder.decode_data(b"", True)

    def _release_if_done(self) -> None:
        upstream = self._upstream
        if self._asked and self._answered and upstream is not None:
            self._upstream = None
            self._let_go()
            upstream.release()

    def on_upstream_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""
        callbacks, self._upstream = self._callbacks, None
        self._let_go()
        if callbacks is not None:
            callbacks.on_reset_stream(StreamResetReason.CONNECTION_TERMINATION, "")

    def on_upstream_above_write_buffer_high_watermark(self) -> None:
        """The host does not take what is written."""
        if self._callbacks is not None:
            self._callbacks.on_above_write_buffer_high_watermark()

    def on_upstream_below_write_buffer_low_watermark(self) -> None:
        """It does again."""
        if self._callbacks is not None:
            self._callbacks.on_below_write_buffer_low_watermark()

    # RequestEncoder

    def encode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """Nothing is sent of them; the answer to them is made here."""
        if end_stream:
            self._end()
        if self._decoder is not None:
            self._decoder.decode_headers(ResponseHeaders(200), False)

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Bytes for the host."""
        if self._upstream is None:
            return
        if data:
            self._sent += len(data)
            self._upstream.write(data)
        if end_stream:
            self._end()

    def encode_trailers(self, trailers: HeaderMap) -> None:
        """There is no place for them but the end."""
        self._end()

    def _end(self) -> None:
        upstream = self._upstream
        if upstream is not None and not self._asked:
            self._asked = True
            self._release_if_done()
            upstream.connection.write_end_stream()

    def reset_stream(self, reason: StreamResetReason) -> None:
        """Close the connection at once."""
        upstream, self._upstream = self._upstream, None
        callbacks = self._callbacks
        self._let_go()
        if upstream is not None:
            upstream.close(CloseType.NO_FLUSH)
        if callbacks is not None:
            callbacks.on_reset_stream(reason, "")

    def _let_go(self) -> None:
        # Who is told of the stream knows it: a reference cycle.
        self._decoder = self._callbacks = None

    def read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading from the host."""
        if self._upstream is not None and not self._upstream.connection.closed:
            self._upstream.connection.read_disable(disable)

    def set_callbacks(self, callbacks: StreamCallbacks | None) -> None:
        """Who hears of resets and watermarks."""
        self._callbacks = callbacks

    # BytesMeter: all bytes are content

    @property
    def wire_bytes_received(self) -> int:
        """All bytes that came."""
        return self._received

    @property
    def wire_bytes_sent(self) -> int:
        """All bytes that were written."""
        return self._sent

    @property
    def header_bytes_received(self) -> int:
        """There are no headers."""
        return 0

    @property
    def header_bytes_sent(self) -> int:
        """There are no headers."""
        return 0

    @property
    def decompressed_header_bytes_received(self) -> int:
        """There are no headers."""
        return 0

    @property
    def decompressed_header_bytes_sent(self) -> int:
        """There are no headers."""
        return 0
