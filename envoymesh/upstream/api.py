"""What the router filter may know of the upstream room."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from mypy_extensions import trait

from envoymesh.http.codec import HttpProtocol, RequestEncoder
from envoymesh.network.api import Connection

if TYPE_CHECKING:
    from envoymesh.upstream.cluster import Cluster
    from envoymesh.upstream.host import Host


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


class ClusterManager(Protocol):
    """All clusters by name."""

    def get(self, name: str) -> Cluster | None:
        """A cluster, or None."""

    def clusters(self) -> Mapping[str, Cluster]:
        """All of them."""

    def initialise(self, done: Callable[[], None]) -> None:
        """Start discovery; `done` is called when every cluster has had its first answer."""

    def shutdown(self) -> None:
        """Stop discovery and close every connection."""
