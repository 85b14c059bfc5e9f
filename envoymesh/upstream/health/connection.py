"""How checks connect, and a check's own HTTP connection: network side and codec without a pool (Envoy's `CodecClient`).

What is counted is what Envoy counts for such connections: the codec's stats, protocol errors, the idle timeout; none
of the `upstream_cx_` stats of connections that carry requests. This module must not know what is asked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mypy_extensions import trait

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import (
    ClientCodec,
    ClientCodecCallbacks,
    CodecConnection,
    RequestEncoder,
    ResponseDecoder,
    StreamResetReason,
)
from envoymesh.http.http1 import Http1ClientCodec
from envoymesh.http.http2 import Http2ClientCodec
from envoymesh.network.api import (
    NO_TIMER,
    Address,
    ClientTls,
    CloseType,
    Connection,
    ConnectionEvent,
    ConnectionHandler,
    Connector,
    Dispatcher,
    Timer,
)
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.health.settings import HealthCheckSettings
from envoymesh.upstream.host import Host
from envoymesh.upstream.transport_sockets import TransportSocketMatch

NO_ERROR: Final = 0
"""GOAWAY's code of a peer that leaves as it should (RFC 9113 section 7)."""

BEYOND_TIMEOUT: Final = 1.0
"""Seconds beyond the check's own timeout after which an attempt to connect would end by itself."""


def health_check_address(host: Host) -> Address:
    """Where a host is checked (envoy.config.endpoint.v3.Endpoint.HealthCheckConfig)."""
    settings = host.endpoint.health_check
    if settings is None:
        return host.address
    address = host.address if settings.address is None else settings.address
    return Address(address.host, settings.port) if settings.port and address.ip else address


def health_check_hostname(host: Host, configured: bytes, cluster: str) -> bytes:
    """What a check calls a host: the endpoint's own name for it, the check's, or else the cluster's."""
    settings = host.endpoint.health_check
    if settings is not None and settings.hostname:
        return settings.hostname.encode()
    return configured or cluster.encode()


class CheckTls:
    """What secures the connections of one cluster's checks: its hosts' own transport sockets, or others by
    `tls_options` and `transport_socket_match_criteria`.

    Args:
        make_tls: makes what the connector wants of settings.
    """

    __slots__ = ("_info", "_made", "_make_tls", "_settings")

    def __init__(
        self,
        info: ClusterInfo,
        settings: HealthCheckSettings,
        make_tls: Callable[[UpstreamTlsSettings], ClientTls],
    ) -> None:
        self._info = info
        self._settings = settings
        self._make_tls = make_tls
        self._made: dict[TransportSocketMatch, ClientTls | None] = {}

    def of(self, host: Host) -> ClientTls | None:
        """What a connection to a host is secured with; None is plain TCP."""
        match = self._match(host)
        if match not in self._made:
            self._made[match] = self._make(match, host)
        return self._made[match]

    def _match(self, host: Host) -> TransportSocketMatch:
        criteria = self._settings.transport_socket_match_criteria
        if criteria is None:
            return self._info.transport_sockets.resolve(host.endpoint)
        metadata = {"UPSTREAM_HOST": {"envoy.transport_socket_match": dict(criteria)}}
        return self._info.transport_sockets.resolve(replace(host.endpoint, metadata=metadata))

    def count(self, host: Host) -> None:
        """A connection is made. As in Envoy, criteria of the check's own count each time that they are asked."""
        if self._settings.transport_socket_match_criteria is not None:
            self._match(host).total_match_count.inc()

    def _make(self, match: TransportSocketMatch, host: Host) -> ClientTls | None:
        sockets, alpn = self._info.transport_sockets, self._settings.alpn_protocols
        if sockets.is_own(match):
            settings = self._info.settings.tcp_tls
            if alpn is None and self._settings.transport_socket_match_criteria is None:
                return self._info.tcp_tls(host.endpoint)
        else:
            settings = self._info.settings.tls_matches[sockets.all().index(match)].tcp_tls
        if settings is None:
            return None
        if alpn is not None:
            settings = replace(settings, common=replace(settings.common, alpn_protocols=alpn))
        return self._make_tls(settings)


class CheckNetwork:
    """How one cluster's checks connect.

    Args:
        timeout: seconds of a check.
        tls: what secures connections.
    """

    __slots__ = ("_connector", "_timeout", "_tls", "dispatcher", "info")

    def __init__(
        self,
        info: ClusterInfo,
        connector: Connector,
        dispatcher: Dispatcher,
        timeout: float,
        tls: CheckTls,
    ) -> None:
        self.info = info
        self.dispatcher = dispatcher
        self._connector = connector
        self._timeout = timeout
        self._tls = tls

    def connect(self, host: Host, handler: ConnectionHandler) -> Connection:
        """Begin to connect to where a host is checked; the session says when that has taken too long."""
        settings = self.info.settings
        self._tls.count(host)
        return self._connector.connect(
            health_check_address(host),
            handler,
            connect_timeout=self._timeout + BEYOND_TIMEOUT,
            buffer_limit=settings.per_connection_buffer_limit_bytes,
            tls=self._tls.of(host),
            socket=settings.socket,
        )

    def is_secure(self, host: Host) -> bool:
        """Whether a host is connected to with TLS."""
        return self._tls.of(host) is not None


@trait
class CheckConnectionOwner:
    """Hears of a connection's life; what becomes of its requests their own callbacks hear."""

    __slots__ = ()

    @abstractmethod
    def on_go_away(self, error_code: int) -> None:
        """The peer sent GOAWAY."""

    @abstractmethod
    def on_connection_closed(self) -> None:
        """The connection is gone; its requests have been reset."""


class CheckConnection(ConnectionHandler, CodecConnection, ClientCodecCallbacks):
    """One connection of a session, which speaks HTTP/1 or HTTP/2 as the check says. Requests can be sent at once: what
    is written waits until it has connected.

    Attributes:
        close_notified: the peer has said that it closes after this response.
    """

    __slots__ = (
        "_codec",
        "_connection",
        "_idle_timer",
        "_info",
        "_is_http2",
        "_owner",
        "_remote_closed",
        "_reset_reason",
        "close_notified",
    )

    def __init__(self, network: CheckNetwork, host: Host, owner: CheckConnectionOwner, is_http2: bool) -> None:
        info = network.info
        self._info = info
        self._owner = owner
        self._is_http2 = is_http2
        self._remote_closed = False
        self._reset_reason = StreamResetReason.CONNECTION_TERMINATION
        self._idle_timer: Timer = NO_TIMER
        self.close_notified = False
        self._connection = network.connect(host, self)
        if is_http2:
            self._codec: ClientCodec = Http2ClientCodec(self, self, info.settings.http2, info.http2_stats)
        else:
            self._codec = Http1ClientCodec(self, self, info.settings.http1, info.http1_stats)
        if info.settings.idle_timeout:
            self._idle_timer = network.dispatcher.create_timer(self._on_idle_timer)

    @property
    def can_take_stream(self) -> bool:
        """Whether a request can be sent."""
        return self._codec.can_take_stream

    def new_stream(self, decoder: ResponseDecoder) -> RequestEncoder:
        """Begin a request, where one can be sent."""
        self._idle_timer.disable()
        return self._codec.new_stream(decoder)

    def close(self) -> None:
        """Close now; a request under way is reset."""
        self._connection.close(CloseType.NO_FLUSH)

    # CodecConnection

    def write(self, data: bytes) -> None:
        """Bytes from the codec."""
        self._connection.write(data)

    def read_disable(self, disable: bool) -> None:
        """The codec stops or resumes reading."""
        self._connection.read_disable(disable)

    def on_codec_reset(self) -> None:
        """An HTTP/1 exchange was cut short: the connection is of no more use."""
        self.close()

    # ClientCodecCallbacks

    def on_go_away(self, error_code: int) -> None:
        """The peer wants no more requests."""
        self._owner.on_go_away(error_code)

    def on_settings(self, max_concurrent_streams: int | None) -> None:
        """There is one request at a time."""

    def on_close_notify(self) -> None:
        """The peer said `connection: close`."""
        self.close_notified = True

    def on_stream_complete(self) -> None:
        """A request is over."""
        self._idle_timer.enable(self._info.settings.idle_timeout)

    def on_stream_reset(self) -> None:
        """A request is over."""
        self._idle_timer.enable(self._info.settings.idle_timeout)

    # ConnectionHandler

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer; returns how many were taken."""
        try:
            return self._codec.dispatch(data)
        except CodecProtocolError:
            self._on_protocol_error()
            return len(data)

    def on_eof(self) -> None:
        """The peer sends no more: a body that ends with the connection is complete, anything else is cut."""
        self._remote_closed = True
        try:
            self._codec.on_eof()
        except CodecProtocolError:
            self._on_protocol_error()
        self.close()

    def _on_protocol_error(self) -> None:
        self._info.stats.upstream_cx_protocol_error.inc()
        self._reset_reason = StreamResetReason.PROTOCOL_ERROR
        self.close()

    def on_event(self, event: ConnectionEvent) -> None:
        """Connected, which nobody waits for, or closed."""
        if event is ConnectionEvent.CONNECTED:
            return
        if event is ConnectionEvent.REMOTE_CLOSE and not self._remote_closed and self._codec.is_amid_message:
            self._info.stats.upstream_cx_protocol_error.inc()  # a reset in the middle is what a FIN would be
        idle, self._idle_timer = self._idle_timer, NO_TIMER
        idle.disable()
        self._codec.reset_all_streams(self._reset_reason, self._connection.failure_reason)
        self._owner.on_connection_closed()

    def on_above_write_buffer_high_watermark(self) -> None:
        """A check is small."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """A check is small."""

    def _on_idle_timer(self) -> None:
        self._info.stats.upstream_cx_idle_timeout.inc()
        self.close()
