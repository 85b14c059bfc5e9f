"""envoy.config.core.v3.HealthCheck -> HealthCheckSettings, and what endpoints say of their checks.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from envoymesh.config.reader import Reader
from envoymesh.network.api import Address
from envoymesh.network.config import read_pipe
from envoymesh.network.connection.sockets import ip_literal
from envoymesh.upstream.health.settings import (
    EndpointHealthCheck,
    GrpcHealthCheckSettings,
    HealthCheckSettings,
    HttpHealthCheckSettings,
    MutateHeaders,
    StatusRange,
    TcpHealthCheckSettings,
)

FILE_SINK: Final = "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink"
_BODILESS: Final = ("GET", "HEAD", "DELETE", "TRACE")
_UNCHECKED_TYPES: Final = ("ORIGINAL_DST", "DYNAMIC_FORWARD_PROXY")


@dataclass(frozen=True, slots=True)
class HealthCheckFactoryContext:
    """What health checks need from other rooms.

    Args:
        open_log: gives what writes to the file of a path. Errors: ConfigError where it cannot be opened.
        read_headers: reads the header mutations of two fields of a message, or of one where the other is empty; None
            where there are none.
        read_matcher: reads a StringMatcher.
    """

    open_log: Callable[[str], Callable[[bytes], None]]
    read_headers: Callable[[Reader, str, str], MutateHeaders | None]
    read_matcher: Callable[[Reader], Callable[[bytes], bool]]


def read_health_checks(
    reader: Reader, protocol: str, discovery_type: str, context: HealthCheckFactoryContext
) -> HealthCheckSettings | None:
    """Read a cluster's `health_checks`; None where there are none. Errors: ConfigError.

    Args:
        protocol: of `ClusterSettings`.
    """
    checks = reader.repeated("health_checks")
    if not checks:
        return None
    if len(checks) > 1:
        # The API's Python messages do not have the field `name` yet.
        raise reader.error(
            "health_checks",
            "health check at index 0 is missing a name; all health checks must have a name when multiple health "
            "checks are configured",
        )
    if discovery_type in _UNCHECKED_TYPES:
        raise reader.error("health_checks", f"hosts of a {discovery_type} cluster are not checked by envoymesh")
    return read_health_check(checks[0], protocol, reader.string("name"), context)


def read_health_check(
    reader: Reader, protocol: str, cluster: str, context: HealthCheckFactoryContext
) -> HealthCheckSettings:
    """Read one HealthCheck. Errors: ConfigError."""
    # As in Envoy of no effect.
    reader.accept("alt_port")
    interval = reader.duration("interval") or 0.0
    no_traffic = reader.duration("no_traffic_interval", 60.0) or 0.0
    unhealthy = reader.duration("unhealthy_interval", interval) or 0.0
    tls = reader.message_("tls_options")
    criteria = reader.struct("transport_socket_match_criteria")
    return HealthCheckSettings(
        check=_read_check(reader, protocol, cluster, context),
        timeout=reader.duration("timeout") or 0.0,
        interval=interval,
        unhealthy_threshold=reader.integer("unhealthy_threshold"),
        healthy_threshold=reader.integer("healthy_threshold"),
        no_traffic_interval=no_traffic,
        no_traffic_healthy_interval=reader.duration("no_traffic_healthy_interval", no_traffic) or 0.0,
        unhealthy_interval=unhealthy,
        unhealthy_edge_interval=reader.duration("unhealthy_edge_interval", unhealthy) or 0.0,
        healthy_edge_interval=reader.duration("healthy_edge_interval", interval) or 0.0,
        initial_jitter=reader.duration("initial_jitter") or 0.0,
        interval_jitter=reader.duration("interval_jitter") or 0.0,
        interval_jitter_percent=reader.integer("interval_jitter_percent"),
        reuse_connection=reader.boolean("reuse_connection", default=True),
        alpn_protocols=None if tls is None else tuple(tls.strings("alpn_protocols")),
        transport_socket_match_criteria=criteria if reader.has("transport_socket_match_criteria") else None,
        always_log_health_check_failures=reader.boolean("always_log_health_check_failures"),
        always_log_health_check_success=reader.boolean("always_log_health_check_success"),
        log_event=_read_event_log(reader, context),
    )


def _read_check(
    reader: Reader, protocol: str, cluster: str, context: HealthCheckFactoryContext
) -> HttpHealthCheckSettings | TcpHealthCheckSettings | GrpcHealthCheckSettings:
    kind = reader.which("health_checker")
    if kind == "http_health_check":
        return _read_http(reader.required(kind), context)
    if kind == "tcp_health_check":
        return _read_tcp(reader.required(kind))
    if kind != "grpc_health_check":
        raise reader.error(kind or "health_checker", "is not supported by envoymesh")
    if protocol == "HTTP1":
        raise reader.error(kind, f"{cluster} cluster must support HTTP/2 for gRPC healthchecking")
    grpc = reader.required(kind)
    return GrpcHealthCheckSettings(
        service_name=grpc.string("service_name").encode(),
        authority=grpc.string("authority").encode(),
        mutate_headers=context.read_headers(grpc, "initial_metadata", ""),
    )


def _read_http(reader: Reader, context: HealthCheckFactoryContext) -> HttpHealthCheckSettings:
    method = reader.enum("method")
    codec = reader.enum("codec_client_type")
    if codec == "HTTP3":
        raise reader.error("codec_client_type", "HTTP3 is not supported by envoymesh")
    matcher = reader.message_("service_name_matcher")
    settings = HttpHealthCheckSettings(
        path=reader.string("path").encode(),
        host=reader.string("host").encode(),
        method=b"GET" if method == "METHOD_UNSPECIFIED" else method.encode(),
        send=_read_send(reader, "GET" if method == "METHOD_UNSPECIFIED" else method),
        receive=_read_receive(reader),
        response_buffer_size=reader.integer("response_buffer_size", 1024),
        retriable_statuses=_read_ranges(reader, "retriable_statuses", "retriable"),
        http2=codec == "HTTP2",
        service_name_matcher=None if matcher is None else context.read_matcher(matcher),
        mutate_headers=context.read_headers(reader, "request_headers_to_add", "request_headers_to_remove"),
    )
    expected = _read_ranges(reader, "expected_statuses", "expected")
    _check_receive(reader, settings)
    return replace(settings, expected_statuses=expected) if expected else settings


def _read_send(reader: Reader, method: str) -> bytes:
    send = reader.message_("send")
    if send is None:
        return b""
    if method in _BODILESS:
        raise reader.error(
            "send",
            f"HTTP health check cannot specify a request payload with method '{method}'. Only methods that support a "
            "request body (POST, PUT, PATCH, OPTIONS) can be used with payload.",
        )
    return _read_payload(send)


def _check_receive(reader: Reader, settings: HttpHealthCheckSettings) -> None:
    total, limit = sum(map(len, settings.receive)), settings.response_buffer_size
    if limit and total > limit:
        raise reader.error(
            "receive",
            f"The expected response length '{total}' is over than http health response buffer size '{limit}'",
        )


def _read_ranges(reader: Reader, field: str, word: str) -> tuple[StatusRange, ...]:
    ranges = []
    for each in reader.repeated(field):
        start, end = each.integer("start"), each.integer("end")
        problem = f"Invalid http {word} status range: expecting"
        if start >= end:
            raise each.error("start", f"{problem} start < end, but found start={start} and end={end}")
        if start < 100:
            raise each.error("start", f"{problem} start >= 100, but found start={start}")
        if end > 600:
            raise each.error("end", f"{problem} end <= 600, but found end={end}")
        ranges.append((start, end))
    return tuple(ranges)


def _read_tcp(reader: Reader) -> TcpHealthCheckSettings:
    send = reader.message_("send")
    # As in Envoy, which sends what is text (hexadecimal digits), and of `binary` nothing.
    payload = b"" if send is None else _read_payload(send)
    is_text = send is not None and send.which("payload") == "text"
    return TcpHealthCheckSettings(payload if is_text else b"", _read_receive(reader))


def _read_receive(reader: Reader) -> tuple[bytes, ...]:
    return tuple(_read_payload(each) for each in reader.repeated("receive"))


def _read_payload(reader: Reader) -> bytes:
    if reader.which("payload") == "binary":
        return reader.bytes_("binary")
    text = reader.string("text")
    try:
        if any(each.isspace() for each in text):
            raise ValueError(text)  # which Python's parser would pass over
        return bytes.fromhex(text)
    except ValueError:
        raise reader.error("text", f"invalid hex string '{text}'") from None


def _read_event_log(reader: Reader, context: HealthCheckFactoryContext) -> Callable[[bytes], None] | None:
    """Read `event_logger` and the older `event_log_path`, which are both written to."""
    paths = []
    for sink in reader.repeated_any("event_logger"):
        if sink.type_name != FILE_SINK:
            raise sink.error("", f"health check event sink {sink.type_name} is not supported by envoymesh")
        paths.append(sink.string("event_log_path"))
    older = reader.string("event_log_path")
    writers = [context.open_log(path) for path in [*paths, *filter(None, [older])]]
    if not writers:
        return None
    if len(writers) == 1:
        return writers[0]

    def write(line: bytes) -> None:
        for each in writers:
            each(line)

    return write


def read_endpoint_health_check(endpoint: Reader) -> EndpointHealthCheck | None:
    """Read an Endpoint's `health_check_config`; None where it says nothing. Errors: ConfigError."""
    reader = endpoint.message_("health_check_config")
    if reader is None:
        return None
    found = EndpointHealthCheck(
        port=reader.integer("port_value"),
        hostname=reader.string("hostname"),
        address=_read_address(reader),
        disabled=reader.boolean("disable_active_health_check"),
    )
    return None if found == EndpointHealthCheck() else found


def _read_address(reader: Reader) -> Address | None:
    address = reader.message_("address")
    if address is None:
        return None
    pipe = read_pipe(address)
    if pipe is not None:
        return pipe
    host, port = address.socket_address()
    try:
        return Address(ip_literal(host), port)
    except (ValueError, OSError):
        raise address.error("", f"malformed IP address: {host}") from None
