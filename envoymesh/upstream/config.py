"""envoy.config.cluster.v3.Cluster -> ClusterSettings.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from envoymesh.config.reader import Reader
from envoymesh.http.config import read_http1_options, read_http2_options
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.network.config import read_upstream_socket
from envoymesh.network.connection.config import BindSettings, read_upstream_sockets
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.runtime import NO_LIMIT, RuntimeReader
from envoymesh.upstream.discovery.config import read_discovery
from envoymesh.upstream.dynamic_forward_proxy.config import read_dynamic_forward_proxy
from envoymesh.upstream.health.config import HealthCheckFactoryContext, read_health_checks
from envoymesh.upstream.lb.config import check_hashing, read_load_balancing, read_override_host_status
from envoymesh.upstream.outlier.config import read_outlier_detection
from envoymesh.upstream.settings import (
    ClusterSettings,
    ProxyProtocolSettings,
    RetryBudgetSettings,
    ThresholdSettings,
    TransportSocketMatchSettings,
)

PROXY_PROTOCOL = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
OPTIONS = "typed_extension_protocol_options"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

ALPN = {"HTTP1": ("http/1.1",), "HTTP2": ("h2",), "ALPN": ("h2", "http/1.1")}
"""Offered where `alpn_protocols` is unset, by what a pool speaks."""


RESPONSE_HEADERS_COUNT = "envoy.reloadable_features.max_response_headers_count"
RESPONSE_HEADERS_SIZE = "envoy.reloadable_features.max_response_headers_size_kb"
"""Runtime keys of limits where the configuration has none."""


@dataclass(frozen=True, slots=True)
class _HeaderLimits:
    """Where the fields are unset: fields of a response's head, and its KiB (0: the codec's own default)."""

    count: int
    kb: int


@dataclass(frozen=True, slots=True)
class _Names:
    """`UpstreamHttpProtocolOptions`: whether TLS is to know the hosts of requests."""

    auto_sni: bool = False
    auto_san_validation: bool = False
    header: bytes = b""


@dataclass(slots=True)
class _Protocol:
    kind: str = "HTTP1"
    http1: Http1Settings = field(default_factory=Http1Settings)
    http2: Http2Settings = field(default_factory=Http2Settings)
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_requests_per_connection: int | None = None
    max_stream_duration: float = 0.0
    names: _Names = field(default_factory=_Names)


def read_cluster(
    reader: Reader,
    runtime: RuntimeReader,
    bind: BindSettings | None = None,
    health_checks: HealthCheckFactoryContext | None = None,
) -> ClusterSettings:
    """Read one cluster. Errors: ConfigError with the field's path.

    Args:
        health_checks: what those need; without any a cluster may have none.
        bind: the bootstrap's `cluster_manager.upstream_bind_config`.
    """
    protocol = _read_protocol(reader, runtime)
    tls, proxy_protocol = _read_own_socket(reader, protocol.kind)
    matches = tuple(_read_socket_match(each, protocol.kind) for each in reader.repeated("transport_socket_matches"))
    ratios = reader.message_("preconnect_policy")
    balancing = _read_common_lb(reader)
    thresholds = _read_thresholds(reader)
    name = reader.string("name")
    # Names of figures for a load reporting service. The service itself (`lrs_server`) is refused.
    reader.accept("lrs_report_endpoint_metrics")
    settings = ClusterSettings(
        name=name,
        stat_name=reader.string("alt_stat_name") or name,
        lb=read_load_balancing(reader, runtime),
        override_host_status=read_override_host_status(reader.message_("common_lb_config")),
        connect_timeout=reader.duration("connect_timeout", 5.0) or 5.0,
        per_connection_buffer_limit_bytes=reader.integer("per_connection_buffer_limit_bytes", 1024 * 1024),
        protocol=protocol.kind,
        http1=protocol.http1,
        http2=protocol.http2,
        tls={} if tls is None else _by_pool(tls, protocol.kind),
        tcp_tls=tls,
        idle_timeout=protocol.idle_timeout,
        max_connection_duration=protocol.max_connection_duration,
        max_requests_per_connection=protocol.max_requests_per_connection or 0,
        max_stream_duration=protocol.max_stream_duration,
        auto_sni=protocol.names.auto_sni,
        auto_san_validation=protocol.names.auto_san_validation,
        auto_sni_header=protocol.names.header,
        pool_per_downstream_connection=reader.boolean("connection_pool_per_downstream_connection"),
        proxy_protocol=proxy_protocol,
        tls_matches=matches,
        socket=read_upstream_sockets(reader, bind),
        preconnect_ratio=1.0 if ratios is None else ratios.number("per_upstream_preconnect_ratio", 1.0),
        predictive_preconnect_ratio=1.0 if ratios is None else ratios.number("predictive_preconnect_ratio", 1.0),
        healthy_panic_percent=balancing.healthy_panic_percent,
        close_connections_on_host_set_change=balancing.close_connections_on_host_set_change,
        update_merge_window=balancing.update_merge_window,
        close_connections_on_host_health_failure=reader.boolean("close_connections_on_host_health_failure"),
        ignore_new_hosts_until_first_hc=balancing.ignore_new_hosts_until_first_hc,
        default_thresholds=thresholds.get("DEFAULT", ThresholdSettings()),
        high_thresholds=thresholds.get("HIGH", ThresholdSettings()),
        outlier_detection=read_outlier_detection(reader.message_("outlier_detection")),
        metadata=reader.metadata("CLUSTER"),
    )
    settings = _read_hosts(reader, settings, health_checks)
    check_hashing(reader, settings)
    return settings


def _read_hosts(
    reader: Reader, settings: ClusterSettings, health_checks: HealthCheckFactoryContext | None
) -> ClusterSettings:
    """Read where a cluster's hosts come from, and how they are checked."""
    settings = read_discovery(reader, settings)
    if health_checks is not None:
        checks = read_health_checks(reader, settings.protocol, settings.discovery_type, health_checks)
        settings = replace(settings, health_check=checks)
    if settings.discovery_type == "DYNAMIC_FORWARD_PROXY":
        settings = _read_dynamic_forward_proxy(reader, settings)
    return settings


def _read_own_socket(reader: Reader, kind: str) -> tuple[UpstreamTlsSettings | None, ProxyProtocolSettings | None]:
    """Read a cluster's `transport_socket`."""
    tls, proxy_protocol = _read_socket(reader.message_("transport_socket"))
    if kind == "ALPN" and tls is None:
        raise reader.error(
            "typed_extension_protocol_options", "auto_config needs a TLS transport_socket, which agrees on a protocol"
        )
    return tls, proxy_protocol


def _read_socket(socket: Reader | None) -> tuple[UpstreamTlsSettings | None, ProxyProtocolSettings | None]:
    """Read a transport socket: TLS or None, and the PROXY protocol around it or None."""
    config = None if socket is None else socket.any_("typed_config")
    if socket is None or config is None or config.type_name != PROXY_PROTOCOL:
        return read_upstream_socket(socket), None
    socket.string("name")
    return read_upstream_socket(config.required("transport_socket")), config.attempt(_read_proxy_protocol)


def _read_proxy_protocol(reader: Reader) -> ProxyProtocolSettings:
    # Who has no IP address is no error here.
    reader.accept("allow_unspecified_address")
    by_tlvs = reader.boolean("tlv_as_pool_key")
    config = reader.message_("config")
    if config is None:
        return ProxyProtocolSettings(tlv_as_pool_key=by_tlvs)
    passed = config.message_("pass_through_tlvs")
    passes_all = passed is not None and passed.enum("match_type") == "INCLUDE_ALL"
    types = () if passed is None else passed.integers("tlv_type")
    return ProxyProtocolSettings(
        version=1 if config.enum("version") == "V1" else 2,
        passes_all=passes_all,
        passes=frozenset(each & 0xFF for each in types),
        added=tuple(_read_tlv(each) for each in config.repeated("added_tlvs")),
        tlv_as_pool_key=by_tlvs,
    )


def _read_tlv(reader: Reader) -> tuple[int, bytes]:
    reader.refuse("format_string", "is not supported by envoymesh")
    if not reader.has("value"):
        raise reader.error("", "Invalid TLV configuration: one of 'value' or 'format_string' must be set.")
    return reader.integer("type") & 0xFF, reader.bytes_("value")


def _read_socket_match(reader: Reader, kind: str) -> TransportSocketMatchSettings:
    if not reader.has("transport_socket"):
        raise reader.error("transport_socket", "Didn't find a registered implementation for '' with type URL: ''")
    tls, proxy_protocol = _read_socket(reader.message_("transport_socket"))
    match = reader.struct("match") if reader.has("match") else {}
    by_pool = {} if tls is None else _by_pool(tls, kind)
    return TransportSocketMatchSettings(reader.string("name"), match, by_pool, tls, proxy_protocol)


def _by_pool(tls: UpstreamTlsSettings, kind: str) -> dict[str, UpstreamTlsSettings]:
    # As in Envoy each pool offers its own protocol: a server would choose one that the pool does not speak.
    kinds = ("HTTP1", "HTTP2") if kind == "DOWNSTREAM" else (kind,)
    return {
        each: replace(tls, common=replace(tls.common, alpn_protocols=tls.common.alpn_protocols or ALPN[each]))
        for each in kinds
    }


def _read_dynamic_forward_proxy(reader: Reader, settings: ClusterSettings) -> ClusterSettings:
    """Read where its hosts come from, and ask that TLS knows their names, which by default it does."""
    extension = reader.required("cluster_type")
    config = extension.any_("typed_config")
    if config is None:
        raise extension.error("typed_config", "field is required")
    cache, insecure = read_dynamic_forward_proxy(config)
    settings = replace(settings, dns_cache=cache)
    if not reader.has("upstream_http_protocol_options") and HTTP_OPTIONS not in reader.any_map(OPTIONS):
        settings = replace(settings, auto_sni=True, auto_san_validation=True)
    if not (insecure or (settings.auto_sni and settings.auto_san_validation)):
        raise reader.error(
            "cluster_type",
            "dynamic_forward_proxy cluster must have auto_sni and auto_san_validation true unless "
            "allow_insecure_cluster_options is set.",
        )
    return settings


@dataclass(frozen=True, slots=True)
class _CommonLb:
    """What is read here of `common_lb_config`; `lb/config.py` reads the rest."""

    healthy_panic_percent: int = 50
    close_connections_on_host_set_change: bool = False
    update_merge_window: float = 1.0
    ignore_new_hosts_until_first_hc: bool = False


def _read_common_lb(reader: Reader) -> _CommonLb:
    config = reader.message_("common_lb_config")
    if config is None:
        return _CommonLb()
    window = config.duration("update_merge_window", 1.0)
    threshold = config.percent("healthy_panic_threshold")
    return _CommonLb(
        # Rounded, as in Envoy, halves upwards.
        healthy_panic_percent=50 if threshold is None else int(threshold * 100 + 0.5),
        close_connections_on_host_set_change=config.boolean("close_connections_on_host_set_change"),
        update_merge_window=1.0 if window is None else window,
        ignore_new_hosts_until_first_hc=config.boolean("ignore_new_hosts_until_first_hc"),
    )


def _read_thresholds(reader: Reader) -> dict[str, ThresholdSettings]:
    breakers = reader.message_("circuit_breakers")
    if breakers is None:
        return {}
    read: dict[str, ThresholdSettings] = {}
    for threshold in breakers.repeated("thresholds"):
        read.setdefault(threshold.enum("priority"), _read_threshold(threshold))
    of_hosts: dict[str, int] = {}
    for threshold in breakers.repeated("per_host_thresholds"):
        of_hosts.setdefault(threshold.enum("priority"), _read_per_host(threshold))
    for priority, connections in of_hosts.items():
        of_cluster = read.get(priority, ThresholdSettings())
        read[priority] = replace(of_cluster, max_connections_per_host=connections)
    return read


def _read_threshold(reader: Reader) -> ThresholdSettings:
    return ThresholdSettings(
        max_connections=reader.integer("max_connections", 1024),
        max_pending_requests=reader.integer("max_pending_requests", 1024),
        max_requests=reader.integer("max_requests", 1024),
        max_retries=reader.integer("max_retries", 3),
        track_remaining=reader.boolean("track_remaining"),
        retry_budget=_read_retry_budget(reader.message_("retry_budget")),
        max_connection_pools=reader.integer("max_connection_pools", NO_LIMIT),
    )


def _read_retry_budget(reader: Reader | None) -> RetryBudgetSettings | None:
    if reader is None:
        return None
    share = reader.percent("budget_percent")
    percent = 20.0 if share is None else share * 100
    return RetryBudgetSettings(percent, reader.integer("min_retry_concurrency", 3))


def _read_per_host(reader: Reader) -> int:
    """Read one of `per_host_thresholds`, which limits connections only; the limit."""
    for name in ("max_pending_requests", "max_requests", "max_retries", "max_connection_pools", "retry_budget"):
        if reader.has(name):
            raise reader.error(name, "Unsupported field in per_host_thresholds")
    reader.accept("track_remaining")  # of no effect in Envoy either
    return reader.integer("max_connections", NO_LIMIT)


# Protocols


def _read_protocol(reader: Reader, runtime: RuntimeReader) -> _Protocol:
    options = reader.any_map("typed_extension_protocol_options")
    found = None
    for name, extension in options.items():
        if name == extension.type_name == HTTP_OPTIONS:
            found = extension
        else:
            extension.attempt(partial(_refuse_options, reader, name))
    limits = _HeaderLimits(
        runtime.number(RESPONSE_HEADERS_COUNT, 100).value, runtime.number(RESPONSE_HEADERS_SIZE, 0).value
    )
    legacy = _read_legacy(reader, limits, found is not None)
    protocol = legacy if found is None else _read_http_options(found, limits)
    own = reader.integer("max_requests_per_connection")
    if reader.has("max_requests_per_connection"):
        if protocol.max_requests_per_connection is not None:
            raise reader.error(
                "max_requests_per_connection",
                "Only one of max_requests_per_connection from Cluster or HttpProtocolOptions can be specified",
            )
        protocol.max_requests_per_connection = own
    return protocol


def _refuse_options(reader: Reader, name: str, extension: Reader) -> None:
    raise reader.error("typed_extension_protocol_options", f"{name} is not supported by envoymesh")


def _read_legacy(reader: Reader, limits: _HeaderLimits, is_replaced: bool) -> _Protocol:
    """The cluster's own, deprecated fields; `is_replaced`: HttpProtocolOptions stand in their place."""
    common = reader.message_("common_http_protocol_options")
    protocol = _read_common(common)
    protocol.http1 = _http1(reader.message_("http_protocol_options"), common, limits)
    http2 = reader.message_("http2_protocol_options")
    protocol.http2 = _http2(http2, common, limits)
    protocol.names = _read_names(reader)
    if reader.enum("protocol_selection") == "USE_DOWNSTREAM_PROTOCOL":
        protocol.kind = "DOWNSTREAM"
    elif http2 is not None:
        protocol.kind = "HTTP2"
        if reader.has("http_protocol_options") and not is_replaced:
            raise reader.error(
                "http_protocol_options",
                "cluster: Both HTTP1 and HTTP2 options may only be configured with non-default 'protocol_selection' "
                "values",
            )
    return protocol


def _read_names(reader: Reader) -> _Names:
    options = reader.message_("upstream_http_protocol_options")
    if options is None:
        return _Names()
    header = options.string("override_auto_sni_header").lower().encode()
    return _Names(options.boolean("auto_sni"), options.boolean("auto_san_validation"), header)


def _read_common(common: Reader | None) -> _Protocol:
    protocol = _Protocol()
    if common is not None:
        idle = common.duration("idle_timeout")
        protocol.idle_timeout = 3600.0 if idle is None else idle
        protocol.max_connection_duration = common.duration("max_connection_duration", 0.0) or 0.0
        limit = common.integer("max_requests_per_connection")
        protocol.max_stream_duration = common.duration("max_stream_duration", 0.0) or 0.0
        protocol.max_requests_per_connection = limit if common.has("max_requests_per_connection") else None
    return protocol


def _read_http_options(reader: Reader, limits: _HeaderLimits) -> _Protocol:
    common = reader.message_("common_http_protocol_options")
    protocol = _read_common(common)
    protocol.names = _read_names(reader)
    kind = reader.which("upstream_protocol_options")
    if kind == "explicit_http_config":
        _read_explicit(reader.required(kind), common, protocol, limits)
    elif kind == "use_downstream_protocol_config":
        _read_both(reader.required(kind), common, protocol, limits)
        protocol.kind = "DOWNSTREAM"
    elif kind == "auto_config":
        _read_both(reader.required(kind), common, protocol, limits)
        protocol.kind = "ALPN"
    return protocol


def _read_explicit(config: Reader, common: Reader | None, protocol: _Protocol, limits: _HeaderLimits) -> None:
    kind = config.which("protocol_config")
    if kind == "http2_protocol_options":
        protocol.kind = "HTTP2"
        protocol.http2 = _http2(config.required(kind), common, limits)
    elif kind == "http_protocol_options":
        protocol.http1 = _http1(config.required(kind), common, limits)
    else:
        raise config.error(kind or "protocol_config", "only HTTP/1 and HTTP/2 are supported by envoymesh")


def _read_both(config: Reader, common: Reader | None, protocol: _Protocol, limits: _HeaderLimits) -> None:
    protocol.http1 = _http1(config.message_("http_protocol_options"), common, limits)
    protocol.http2 = _http2(config.message_("http2_protocol_options"), common, limits)


def _http1(options: Reader | None, common: Reader | None, limits: _HeaderLimits) -> Http1Settings:
    settings = read_http1_options(options, common, max_headers_kb=60, max_headers_count=limits.count)
    limit = _response_headers_kb(common, limits)
    return replace(settings, max_response_headers_kb=limit) if limit else settings


def _http2(options: Reader | None, common: Reader | None, limits: _HeaderLimits) -> Http2Settings:
    count = common.integer("max_headers_count", limits.count) if common is not None else limits.count
    kb = _response_headers_kb(common, limits) or 60
    return read_http2_options(options, max_headers_kb=kb, max_headers_count=count)


def _response_headers_kb(common: Reader | None, limits: _HeaderLimits) -> int:
    return common.integer("max_response_headers_kb", limits.kb) if common is not None else limits.kb
