"""One try of a request that becomes a tunnel: an upgrade, or CONNECT (Envoy's `UpstreamRequest` and its codec filter).

What the client sends behind its request is kept until the host has agreed, for until then it may be anything to the
host, also another request. Whether the host has agreed is decided here; what the client is told is the owner's.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from mypy_extensions import trait

from envoymesh.http.codec import HttpProtocol, RequestEncoder
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_upgrade
from envoymesh.http.stream_info import UpstreamInfo
from envoymesh.network.api import Connection, Dispatcher
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.options import DEFAULT_OPTIONS, PoolOptions
from envoymesh.upstream.tcp_stream import TcpStream
from envoymesh.upstream.timeouts import Timeouts
from envoymesh.upstream.upstream_request import UpstreamRequest, UpstreamRequestOwner

NOTHING: Final = 0
CONNECT: Final = 1
WEBSOCKET: Final = 2
ANOTHER: Final = 3
"""What a request waits for before its body is sent: an answer that agrees to it, each kind in its own way."""


def awaited(headers: RequestHeaders, end_stream: bool) -> int:
    """What a request waits for, one of the above."""
    if headers.method == b"CONNECT":
        return CONNECT
    if b"upgrade" not in headers.index or not is_upgrade(headers):
        return NOTHING
    if (headers.get(b"upgrade") or b"").lower() == b"websocket":
        return WEBSOCKET
    return NOTHING if end_stream else ANOTHER


@trait
class TunnelOwner(UpstreamRequestOwner):
    """Whoever sends requests for tunnels."""

    __slots__ = ()

    @abstractmethod
    def on_websocket_begins(self) -> None:
        """A try of a WebSocket has begun: as its request has no end, the route's timeout begins here."""

    @abstractmethod
    def on_websocket_established(self) -> None:
        """The host has agreed: no timeout of requests counts any more."""

    @abstractmethod
    def on_handshake_failed(self, headers: ResponseHeaders) -> None:
        """The host has answered with neither a switch nor an error: only these headers are of interest."""


class TunnelRequest(UpstreamRequest):
    """An UpstreamRequest whose body waits for the answer, or goes to a connection of bytes.

    Args:
        waits_for: what `awaited` says.
        over_tcp: the tunnel ends here (`connect_config`), and the host gets its bytes alone.
    """

    __slots__ = ("_over_tcp", "_protocol", "_tunnel_owner", "_waits_for")

    def __init__(
        self,
        owner: TunnelOwner,
        cluster: Cluster,
        host: Host,
        info: UpstreamInfo,
        dispatcher: Dispatcher,
        headers: RequestHeaders,
        end_stream: bool,
        timeouts: Timeouts,
        *,
        waits_for: int,
        over_tcp: bool,
    ) -> None:
        super().__init__(
            owner, cluster, host, info, dispatcher, headers, end_stream, timeouts.per_try, timeouts.per_try_idle
        )
        self._tunnel_owner = owner
        self._waits_for = waits_for
        self._over_tcp = over_tcp
        self._protocol: HttpProtocol | None = None

    def start(self, host: Host, downstream_protocol: HttpProtocol | None, options: PoolOptions | None = None) -> None:
        """Ask for a stream, or for a connection."""
        if self._waits_for == WEBSOCKET:
            self._start_timers()
            self._tunnel_owner.on_websocket_begins()
        if self._over_tcp:
            self._cancellable = TcpStream(self, self).connect(self._cluster, host, options or DEFAULT_OPTIONS)
        else:
            super().start(host, downstream_protocol, options)

    def send_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body: kept while the host has not agreed."""
        if self.done or not self._waits_for or self._encoder is None:
            super().send_data(data, end_stream)
        else:
            self._end_stream = end_stream
            self._keep(data)

    def send_trailers(self, trailers: HeaderMap) -> None:
        """The request's trailers, too."""
        if self.done or not self._waits_for or self._encoder is None:
            super().send_trailers(trailers)
        else:
            self._trailers = trailers

    def _begin(
        self, encoder: RequestEncoder, host: Host, connection: Connection, protocol: HttpProtocol | None
    ) -> None:
        self._protocol = protocol
        if protocol is None:
            self._waits_for = NOTHING
        body, trailers, ends = self._body, self._trailers, self._end_stream
        if not self._waits_for or (body is None and trailers is None):
            super()._begin(encoder, host, connection, protocol)
            return
        self._body = self._trailers = None
        self._end_stream = False
        super()._begin(encoder, host, connection, protocol)
        if not self.done:
            self._body, self._trailers, self._end_stream = body, trailers, ends

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The answer: it may let the body go."""
        if self.done:
            return
        waits_for, status = self._waits_for, headers.status
        if waits_for == WEBSOCKET and status < 400 and not self._agrees(status):
            self._tunnel_owner.on_handshake_failed(headers)
            return
        if waits_for and self._agrees(status):
            if waits_for == WEBSOCKET:
                self._stop_timers()
                self._tunnel_owner.on_websocket_established()
            self._go_on()
        super().decode_headers(headers, end_stream)

    def _agrees(self, status: int) -> bool:
        """Whether an answer lets the body go. In HTTP/2 it harms nobody, whatever the answer to a WebSocket is."""
        if self._waits_for == CONNECT:
            return 200 <= status < 300
        if self._protocol is HttpProtocol.HTTP11:
            return status == 101
        return self._waits_for == WEBSOCKET or status < 300

    def _stop_timers(self) -> None:
        for timer in (self._per_try_timer, self._idle_timer):
            if timer is not None:
                timer.disable()
        self._per_try_timer = self._idle_timer = None

    def _go_on(self) -> None:
        self._waits_for = NOTHING
        encoder = self._encoder
        if encoder is not None and (self._body is not None or self._trailers is not None):
            self._send_rest(encoder)
