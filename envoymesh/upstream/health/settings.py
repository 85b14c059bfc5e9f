"""Settings of active health checks: plain values, made once by `config.py`. Field names are Envoy's, times seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Address

MutateHeaders = Callable[[RequestHeaders, Address, bool], None]
"""Changes a check's request headers, given the host's address and whether the request goes by HTTP/2."""


@dataclass(frozen=True, slots=True)
class EndpointHealthCheck:
    """One envoy.config.endpoint.v3.Endpoint.HealthCheckConfig.

    Args:
        port: 0 is the host's own.
        address: where checks go in the place of the host's address; None is the host's.
        disabled: the host is not checked, and counts as healthy.
    """

    port: int = 0
    hostname: str = ""
    address: Address | None = None
    disabled: bool = False


StatusRange = tuple[int, int]
"""HTTP statuses from the first to before the second."""


@dataclass(frozen=True, slots=True)
class HttpHealthCheckSettings:
    """HealthCheck.HttpHealthCheck.

    Args:
        host: empty is the cluster's name.
        send: the request's body.
        receive: what the response's body must have, in this order.
        response_buffer_size: bytes of the body that are looked at; 0 is all of it.
        service_name_matcher: of x-envoy-upstream-healthchecked-cluster; None asks for nothing.
        mutate_headers: None changes nothing.
    """

    path: bytes
    host: bytes = b""
    method: bytes = b"GET"
    send: bytes = b""
    receive: tuple[bytes, ...] = ()
    response_buffer_size: int = 1024
    expected_statuses: tuple[StatusRange, ...] = ((200, 201),)
    retriable_statuses: tuple[StatusRange, ...] = ()
    http2: bool = False
    service_name_matcher: Callable[[bytes], bool] | None = None
    mutate_headers: MutateHeaders | None = None


@dataclass(frozen=True, slots=True)
class TcpHealthCheckSettings:
    """HealthCheck.TcpHealthCheck; without `receive` a connection is enough."""

    send: bytes = b""
    receive: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcHealthCheckSettings:
    """HealthCheck.GrpcHealthCheck; no `authority` is the cluster's name."""

    service_name: bytes = b""
    authority: bytes = b""
    mutate_headers: MutateHeaders | None = None


@dataclass(frozen=True, slots=True)
class HealthCheckSettings:
    """One envoy.config.core.v3.HealthCheck.

    Args:
        check: what is asked, and which answer is good.
        unhealthy_interval, ...: filled in where the configuration leaves them to others.
        interval_jitter_percent: of the interval.
        alpn_protocols: offered in the place of the transport socket's own; None leaves them.
        transport_socket_match_criteria: chooses among `transport_socket_matches` as a host's metadata does; None leaves
            that to the host's.
        log_event: writes a line of the event log; None writes none.
    """

    check: HttpHealthCheckSettings | TcpHealthCheckSettings | GrpcHealthCheckSettings
    timeout: float
    interval: float
    unhealthy_threshold: int
    healthy_threshold: int
    no_traffic_interval: float = 60.0
    no_traffic_healthy_interval: float = 60.0
    unhealthy_interval: float = 0.0
    unhealthy_edge_interval: float = 0.0
    healthy_edge_interval: float = 0.0
    initial_jitter: float = 0.0
    interval_jitter: float = 0.0
    interval_jitter_percent: int = 0
    reuse_connection: bool = True
    alpn_protocols: tuple[str, ...] | None = None
    transport_socket_match_criteria: Mapping[str, Any] | None = None
    always_log_health_check_failures: bool = False
    always_log_health_check_success: bool = False
    log_event: Callable[[bytes], None] | None = None
