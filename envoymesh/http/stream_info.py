"""Facts about one request, for access logs, stats and filters (Envoy's `StreamInfo`).

A plain record: whoever learns a fact writes it here. It must not act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from envoymesh.http.codec import BytesMeter, HttpProtocol
    from envoymesh.metadata import Metadata
    from envoymesh.network.api import Address, Connection


class ResponseFlag:
    """Response flags (%RESPONSE_FLAGS%) as bits of `StreamInfo.flags`."""

    NO_HEALTHY_UPSTREAM: Final = 1 << 0
    UPSTREAM_CONNECTION_FAILURE: Final = 1 << 1
    UPSTREAM_OVERFLOW: Final = 1 << 2
    NO_ROUTE_FOUND: Final = 1 << 3
    UPSTREAM_RETRY_LIMIT_EXCEEDED: Final = 1 << 4
    NO_CLUSTER_FOUND: Final = 1 << 5
    DURATION_TIMEOUT: Final = 1 << 6
    DOWNSTREAM_CONNECTION_TERMINATION: Final = 1 << 7
    FAILED_LOCAL_HEALTH_CHECK: Final = 1 << 8
    UPSTREAM_REQUEST_TIMEOUT: Final = 1 << 9
    LOCAL_RESET: Final = 1 << 10
    UPSTREAM_REMOTE_RESET: Final = 1 << 11
    UPSTREAM_CONNECTION_TERMINATION: Final = 1 << 12
    STREAM_IDLE_TIMEOUT: Final = 1 << 13
    DOWNSTREAM_PROTOCOL_ERROR: Final = 1 << 14
    UPSTREAM_PROTOCOL_ERROR: Final = 1 << 15
    UPSTREAM_MAX_STREAM_DURATION_REACHED: Final = 1 << 16
    DOWNSTREAM_REMOTE_RESET: Final = 1 << 17
    UPSTREAM_CONNECT_ATTEMPTS_EXCEEDED: Final = 1 << 18  # URX as well, of a connection: as in Envoy it is set after UF
    DROP_OVERLOAD: Final = 1 << 19
    UNCONDITIONAL_DROP_OVERLOAD: Final = 1 << 20
    DNS_RESOLUTION_FAILED: Final = 1 << 21


FLAG_NAMES: Final = (
    (ResponseFlag.UPSTREAM_RETRY_LIMIT_EXCEEDED, "URX", "UpstreamRetryLimitExceeded"),
    (ResponseFlag.NO_HEALTHY_UPSTREAM, "UH", "NoHealthyUpstream"),
    (ResponseFlag.UPSTREAM_CONNECTION_FAILURE, "UF", "UpstreamConnectionFailure"),
    (ResponseFlag.UPSTREAM_OVERFLOW, "UO", "UpstreamOverflow"),
    (ResponseFlag.NO_ROUTE_FOUND, "NR", "NoRouteFound"),
    (ResponseFlag.NO_CLUSTER_FOUND, "NC", "NoClusterFound"),
    (ResponseFlag.DURATION_TIMEOUT, "DT", "DurationTimeout"),
    (ResponseFlag.DOWNSTREAM_CONNECTION_TERMINATION, "DC", "DownstreamConnectionTermination"),
    (ResponseFlag.FAILED_LOCAL_HEALTH_CHECK, "LH", "FailedLocalHealthCheck"),
    (ResponseFlag.UPSTREAM_REQUEST_TIMEOUT, "UT", "UpstreamRequestTimeout"),
    (ResponseFlag.LOCAL_RESET, "LR", "LocalReset"),
    (ResponseFlag.UPSTREAM_REMOTE_RESET, "UR", "UpstreamRemoteReset"),
    (ResponseFlag.UPSTREAM_CONNECTION_TERMINATION, "UC", "UpstreamConnectionTermination"),
    (ResponseFlag.STREAM_IDLE_TIMEOUT, "SI", "StreamIdleTimeout"),
    (ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR, "DPE", "DownstreamProtocolError"),
    (ResponseFlag.UPSTREAM_PROTOCOL_ERROR, "UPE", "UpstreamProtocolError"),
    (ResponseFlag.UPSTREAM_MAX_STREAM_DURATION_REACHED, "UMSDR", "UpstreamMaxStreamDurationReached"),
    (ResponseFlag.DNS_RESOLUTION_FAILED, "DF", "DnsResolutionFailed"),
    (ResponseFlag.DROP_OVERLOAD, "DO", "DropOverload"),
    (ResponseFlag.DOWNSTREAM_REMOTE_RESET, "DR", "DownstreamRemoteReset"),
    (ResponseFlag.UPSTREAM_CONNECT_ATTEMPTS_EXCEEDED, "URX", "UpstreamRetryLimitExceeded"),
    (ResponseFlag.UNCONDITIONAL_DROP_OVERLOAD, "UDO", "UnconditionalDropOverload"),
)
"""Bit, short name, long name, in the order in which logs print them."""


@mypyc_attr(allow_interpreted_subclasses=True)
class FilterState:
    """Something that a filter leaves for others (Envoy's `FilterState::Object`); a form that it lacks is None."""

    __slots__ = ()

    def lives_with_request(self) -> bool:
        """Whether it stays when the proxy follows a redirect; else it ends with the filters that saw the request."""
        return False

    def hashed(self) -> str | None:
        """What a `hash_policy` of a route hashes."""
        return None

    def as_text(self) -> str | None:
        """For ``%FILTER_STATE(key:PLAIN)%``."""
        return None

    def as_json(self) -> Any:
        """For ``%FILTER_STATE(key)%``: what `json.dumps` takes."""
        return None

    def field(self, name: str) -> str | int | None:
        """For ``%FILTER_STATE(key:FIELD:name)%``."""
        return None


class TextState(FilterState):
    """A text (Envoy's `StringAccessor`)."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def as_text(self) -> str | None:
        """The text."""
        return self.text

    def as_json(self) -> Any:
        """The text."""
        return self.text


class UpstreamOverrideHost:
    """The upstream host that a filter has set for a request (Envoy's `LoadBalancerContext::OverrideHost`).

    Args:
        address: ``ip:port``.
        strict: fail rather than go to another host.
    """

    __slots__ = ("address", "strict")

    def __init__(self, address: str, strict: bool) -> None:
        self.address = address
        self.strict = strict


class UpstreamInfo:
    """What one request learns of its upstream (Envoy's `UpstreamInfo`); times as in `StreamInfo`."""

    __slots__ = (
        "first_upstream_rx",
        "first_upstream_tx",
        "last_upstream_rx",
        "last_upstream_tx",
        "upstream_connection",
        "upstream_failure_reason",
        "upstream_host",
        "upstream_host_name",
        "upstream_meter",
        "upstream_protocol",
    )

    def __init__(self) -> None:
        self.upstream_host: Address | None = None
        self.upstream_host_name = ""
        self.upstream_connection: Connection | None = None
        self.upstream_protocol: HttpProtocol | None = None
        self.upstream_failure_reason = ""
        self.upstream_meter: BytesMeter | None = None
        self.first_upstream_tx = 0.0
        self.last_upstream_tx = 0.0
        self.first_upstream_rx = 0.0
        self.last_upstream_rx = 0.0

    def take_upstream(self, other: UpstreamInfo) -> None:
        """Take over all that another one has learnt."""
        self.upstream_host = other.upstream_host
        self.upstream_host_name = other.upstream_host_name
        self.upstream_connection = other.upstream_connection
        self.upstream_protocol = other.upstream_protocol
        self.upstream_failure_reason = other.upstream_failure_reason
        self.upstream_meter = other.upstream_meter
        self.first_upstream_tx = other.first_upstream_tx
        self.last_upstream_tx = other.last_upstream_tx
        self.first_upstream_rx = other.first_upstream_rx
        self.last_upstream_rx = other.last_upstream_rx


class StreamInfo(UpstreamInfo):
    """One request's facts, or a connection's, whose protocol may be unknown.

    Times are monotonic seconds of the dispatcher, 0.0 where it has not happened.

    Attributes:
        dynamic_metadata: values as JSON knows them by key, by namespace; None until somebody writes.
        filter_state: None until somebody writes.
        health_check: the request is a check of this proxy, which responses are not counted of.
        connections_tried: each host that a connection was to go to, and the connection's id (0 where there came none);
            None of a request, which shows its last try.
        local_close_reason: why the proxy closed a connection, for the log; empty for reasons that it does not show.
        upstream_override_host: what a filter has set before the router filter.
    """

    __slots__ = (
        "attempt_count",
        "bytes_received",
        "bytes_sent",
        "cluster_metadata",
        "connections_tried",
        "downstream",
        "downstream_meter",
        "dynamic_metadata",
        "earlier_tries",
        "end_time",
        "filter_state",
        "first_downstream_tx",
        "flags",
        "health_check",
        "host_metadata",
        "interim_code",
        "last_downstream_rx",
        "last_downstream_tx",
        "local_close_reason",
        "protocol",
        "response_code",
        "response_code_details",
        "route_metadata",
        "route_name",
        "start_time",
        "start_wall_time",
        "stream_id",
        "termination_details",
        "trusted_remote",
        "upstream_cluster",
        "upstream_override_host",
        "virtual_cluster_name",
    )

    def __init__(
        self,
        downstream: Connection,
        protocol: HttpProtocol | None,
        start_time: float,
        start_wall_time: float,
        stream_id: int,
    ) -> None:
        super().__init__()
        self.downstream = downstream
        self.downstream_meter: BytesMeter | None = None
        self.dynamic_metadata: dict[str, dict[str, Any]] | None = None
        self.filter_state: dict[str, FilterState] | None = None
        self.protocol = protocol
        self.start_time = start_time
        self.start_wall_time = start_wall_time
        self.stream_id = stream_id
        self.trusted_remote: Address | None = downstream.remote_address
        self.response_code: int | None = None
        self.interim_code = 0
        self.response_code_details = ""
        self.termination_details = ""
        self.flags = 0
        self.health_check = False
        self.bytes_received = 0
        self.bytes_sent = 0
        self.attempt_count = 0
        self.connections_tried: list[tuple[Address, str, int]] | None = None
        self.local_close_reason = ""
        self.route_name = ""
        self.route_metadata: Metadata | None = None
        self.cluster_metadata: Metadata | None = None
        self.host_metadata: Metadata | None = None
        self.upstream_cluster = ""
        self.upstream_override_host: UpstreamOverrideHost | None = None
        self.virtual_cluster_name = ""
        self.earlier_tries: list[BytesMeter] | None = None
        self.last_downstream_rx = 0.0
        self.first_downstream_tx = 0.0
        self.last_downstream_tx = 0.0
        self.end_time = 0.0

    def set_dynamic_metadata(self, namespace: str, values: dict[str, Any]) -> None:
        """Add values to a namespace (usually the filter's name); objects in them are merged, all else is replaced."""
        if self.dynamic_metadata is None:
            self.dynamic_metadata = {}
        _merge(self.dynamic_metadata.setdefault(namespace, {}), values)

    def set_filter_state(self, key: str, value: FilterState) -> None:
        """Leave an object for others; it may change later. Errors: ValueError where the key is taken."""
        if self.filter_state is None:
            self.filter_state = {}
        if key in self.filter_state:
            raise ValueError(f"filter state {key} is set already")
        self.filter_state[key] = value

    def begin_another_try(self) -> None:
        """The upstream's facts are the last try's; only bytes on the wire add up (as in Envoy)."""
        if self.upstream_meter is not None:
            self.earlier_tries = [*(self.earlier_tries or ()), self.upstream_meter]
        self.upstream_meter = None
        self.upstream_connection = None
        self.upstream_protocol = None
        self.upstream_failure_reason = ""

    def return_to_try(self, own: UpstreamInfo) -> None:
        """The upstream's facts are those of an earlier try again; bytes of both count."""
        meters = [each for each in self.upstream_meters if each is not own.upstream_meter]
        self.take_upstream(own)
        self.earlier_tries = meters or None

    @property
    def upstream_meters(self) -> list[BytesMeter]:
        """The meters of all tries that had a stream."""
        last = self.upstream_meter
        return [*(self.earlier_tries or ()), *(() if last is None else (last,))]

    @property
    def logged_code(self) -> int:
        """The response's status; before there is one, the interim response's, or 0."""
        return self.response_code or self.interim_code

    def flag_names(self) -> str:
        """Short names of the set flags joined with commas, or ``-``."""
        if not self.flags:
            return "-"
        return ",".join(short for bit, short, _ in FLAG_NAMES if self.flags & bit)


def connection_info(connection: Connection, wall_time: float, now: float, started: float = 0.0) -> StreamInfo:
    """A connection's own facts, made when first asked for: its filters and all of its logs share them.

    Args:
        wall_time, now: of the dispatcher.
        started: when the connection was accepted, where that is not the connection's `start_time`.
    """
    info: StreamInfo | None = connection.stream_info
    if info is None:
        started = started or connection.start_time or now
        info = StreamInfo(connection, None, started, wall_time - (now - started), 0)
        info.dynamic_metadata = connection.listener_metadata
        connection.stream_info = info
    return info


def _merge(target: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        present = target.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge(present, value)
        else:
            target[key] = value
