"""What a pool, a balancer and who asks them know of each other."""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import TYPE_CHECKING

from mypy_extensions import trait

from envoymesh.http.codec import HttpProtocol, RequestEncoder
from envoymesh.network.api import Connection, ConnectionEvent

if TYPE_CHECKING:
    from envoymesh.upstream.host import Host
    from envoymesh.upstream.pool.tcp import TcpUpstreamConnection


class PoolFailureReason(enum.Enum):
    """Why a pool gave no stream (Envoy's `ConnectionPool::PoolFailureReason`)."""

    OVERFLOW = "overflow"  # a circuit breaker
    TIMEOUT = "timeout"  # connect timeout
    LOCAL_CONNECTION_FAILURE = "local"
    REMOTE_CONNECTION_FAILURE = "remote"


@trait
class PoolCallbacks:
    """Whoever asked a pool for a stream; exactly one of these is called, unless the wait is cancelled."""

    __slots__ = ()

    @abstractmethod
    def on_pool_ready(
        self, encoder: RequestEncoder, host: Host, connection: Connection, protocol: HttpProtocol
    ) -> None:
        """A stream on a connected upstream connection."""

    @abstractmethod
    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """There will be none; `transport_failure_reason` is the connection's, or empty. No host where none was
        asked (the breaker of pending requests)."""


@trait
class TcpPoolCallbacks:
    """Whoever asked for an upstream connection of its own: the first two answer, as of `PoolCallbacks`; the others are
    its `ConnectionHandler`, after on_pool_ready."""

    __slots__ = ()

    @abstractmethod
    def on_pool_ready(self, upstream: TcpUpstreamConnection, host: Host) -> None:
        """A connection is usable: TCP connected and TLS handshake done."""

    @abstractmethod
    def on_pool_failure(self, reason: PoolFailureReason, transport_failure_reason: str, host: Host | None) -> None:
        """There will be none; `transport_failure_reason` is the connection's, or empty. No host where none was
        asked (the breaker of pending requests)."""

    @abstractmethod
    def on_upstream_data(self, data: bytes) -> int:
        """Bytes from the host; returns how many were taken."""

    @abstractmethod
    def on_upstream_eof(self) -> None:
        """The host has ended its side."""

    @abstractmethod
    def on_upstream_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""

    @abstractmethod
    def on_upstream_above_write_buffer_high_watermark(self) -> None:
        """The connection's write buffer is full."""

    @abstractmethod
    def on_upstream_below_write_buffer_low_watermark(self) -> None:
        """The connection's write buffer has room."""


@trait
class Cancellable:
    """A wait for a stream."""

    __slots__ = ()

    @abstractmethod
    def cancel(self) -> None:
        """Stop waiting; no callback follows."""


@trait
class LoadBalancerContext:
    """What a balancer may ask about the request."""

    __slots__ = ()

    @abstractmethod
    def hash_key(self) -> int | None:
        """The hash policies' value, or None."""

    @abstractmethod
    def should_select_another_host(self, host: Host) -> bool:
        """Whether the balancer should look further than this host."""

    @abstractmethod
    def host_selection_attempts(self) -> int:
        """How often the balancer may look further."""
