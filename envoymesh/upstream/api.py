"""What those who ask a cluster for a host and a stream tell it, and are told. It must not know clusters."""

from __future__ import annotations

import enum
from abc import abstractmethod

from mypy_extensions import trait

from envoymesh.http.codec import HttpProtocol, RequestEncoder
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, UpstreamOverrideHost
from envoymesh.metadata import MatchCriteria
from envoymesh.network.api import Connection
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.priorities import PriorityLoad


class PoolFailureReason(enum.Enum):
    """Why a pool gave no stream (Envoy's `ConnectionPool::PoolFailureReason`)."""

    OVERFLOW = "overflow"  # a circuit breaker
    TIMEOUT = "timeout"  # connect timeout
    LOCAL_CONNECTION_FAILURE = "local"
    REMOTE_CONNECTION_FAILURE = "remote"
    NO_POOL = "no pool"  # the circuit breaker of pools: as if there were no host


@trait
class PoolCallbacks:
    """Whoever asked a pool for a stream; exactly one of these is called, unless the wait is cancelled."""

    __slots__ = ()

    @abstractmethod
    def on_pool_ready(
        self, encoder: RequestEncoder, host: Host, connection: Connection, protocol: HttpProtocol | None
    ) -> None:
        """A stream on a connected upstream connection; None is one of bytes (`tcp_stream.py`)."""

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
    """What a balancer may ask about the request. Policies that need nothing of it ask `is_retry` alone."""

    __slots__ = ()

    def is_retry(self) -> bool:
        """Whether this is not the first try: only then may the three methods that follow change a pick."""
        return False

    @abstractmethod
    def should_select_another_host(self, host: Host) -> bool:
        """Whether the balancer should look further than this host (`retry_host_predicate`)."""

    @abstractmethod
    def host_selection_attempts(self) -> int:
        """How often the balancer may look further (`host_selection_retry_max_attempts`)."""

    def determine_priority_load(self, priority_set: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        """The load of the priorities for this request (`retry_priority`)."""
        return original

    @abstractmethod
    def hash_key(self) -> int | None:
        """The hash policies' value (64 bits), or None."""

    def metadata_match_criteria(self) -> MatchCriteria | None:
        """What a host's metadata should have (`metadata_match`), or None where that is of no interest."""
        return None

    def override_host_to_select(self) -> UpstreamOverrideHost | None:
        """The host that a filter has set for the request, or None."""
        return None

    def downstream_headers(self) -> RequestHeaders | None:
        """The request's headers."""
        return None

    def request_stream_info(self) -> StreamInfo | None:
        """The request's facts."""
        return None
