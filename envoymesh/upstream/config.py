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
from envoymesh.network.api import Address
from envoymesh.network.config import read_ip_address, read_pipe, read_upstream_socket
from envoymesh.network.connection.sockets import ip_literal
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.runtime import RuntimeReader
from envoymesh.upstream.settings import ClusterSettings, DnsSettings, EndpointSettings, ThresholdSettings

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CARES = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
DNS_PORT = 53
DISCOVERY_TYPES = ("STATIC", "STRICT_DNS", "LOGICAL_DNS")
POLICIES = ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")

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


@dataclass(slots=True)
class _Protocol:
    kind: str = "HTTP1"
    http1: Http1Settings = field(default_factory=Http1Settings)
    http2: Http2Settings = field(default_factory=Http2Settings)
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_requests_per_connection: int | None = None
    names_from_requests: bool = False


def read_cluster(reader: Reader, runtime: RuntimeReader) -> ClusterSettings:
    """Read one cluster. Errors: ConfigError with the field's path."""
    discovery = _read_discovery_type(reader)
    protocol = _read_protocol(reader, runtime)
    tls = read_upstream_socket(reader.message_("transport_socket"))
    if protocol.kind == "ALPN" and tls is None:
        raise reader.error(
            "typed_extension_protocol_options", "auto_config needs a TLS transport_socket, which agrees on a protocol"
        )
    if tls is not None and protocol.names_from_requests:
        reader.note(reader.error("transport_socket", "auto_sni and auto_san_validation are not supported by envoymesh"))
    balancing = _read_common_lb(reader)
    thresholds = _read_thresholds(reader)
    name = reader.string("name")
    # Of no effect here: clusters are always warmed, nothing is cleaned up at intervals, and no health check
    # changes a host's health while it is in use.
    reader.accept("wait_for_warm_on_init", "cleanup_interval")
    reader.accept("close_connections_on_host_health_failure", "ignore_health_on_host_removal")
    # Names of figures for a load reporting service, which lrs_server would name.
    reader.accept("lrs_report_endpoint_metrics")
    return ClusterSettings(
        name=name,
        stat_name=reader.string("alt_stat_name") or name,
        discovery_type=discovery,
        lb_policy=_read_policy(reader),
        endpoints=_read_endpoints(reader, discovery),
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
        dns_refresh_rate=reader.duration("dns_refresh_rate", 5.0) or 5.0,
        dns_failure_refresh_rate=_read_failure_rate(reader),
        dns_jitter=reader.duration("dns_jitter", 0.0) or 0.0,
        dns_lookup_family=reader.enum("dns_lookup_family"),
        dns=_read_dns(reader),
        respect_dns_ttl=reader.boolean("respect_dns_ttl"),
        healthy_panic_percent=balancing.healthy_panic_percent,
        fail_traffic_on_panic=balancing.fail_traffic_on_panic,
        close_connections_on_host_set_change=balancing.close_connections_on_host_set_change,
        choice_count=_read_choice_count(reader),
        default_thresholds=thresholds.get("DEFAULT", ThresholdSettings()),
        high_thresholds=thresholds.get("HIGH", ThresholdSettings()),
        metadata=reader.metadata("CLUSTER"),
    )


def _by_pool(tls: UpstreamTlsSettings, kind: str) -> dict[str, UpstreamTlsSettings]:
    # A pool that offered what it does not speak would be given it (Envoy's fallback ALPN is a pool's own too).
    kinds = ("HTTP1", "HTTP2") if kind == "DOWNSTREAM" else (kind,)
    return {
        each: replace(tls, common=replace(tls.common, alpn_protocols=tls.common.alpn_protocols or ALPN[each]))
        for each in kinds
    }


def _read_discovery_type(reader: Reader) -> str:
    if reader.which("cluster_discovery_type") == "cluster_type":
        raise reader.error("cluster_type", "custom cluster types are not supported by envoymesh")
    kind = reader.enum("type")
    if kind not in DISCOVERY_TYPES:
        known = ", ".join(DISCOVERY_TYPES)
        reader.note(reader.error("type", f"{kind} is not supported by envoymesh, one of {known}"))
    return kind


def _read_policy(reader: Reader) -> str:
    policy = reader.enum("lb_policy")
    if policy not in POLICIES:
        known = ", ".join(POLICIES)
        reader.note(reader.error("lb_policy", f"{policy} is not supported by envoymesh, one of {known}"))
    return policy


def _read_choice_count(reader: Reader) -> int:
    # An empty round_robin_lb_config is the default; what may stand in it (slow start) is refused as unread.
    reader.message_("round_robin_lb_config")
    config = reader.message_("least_request_lb_config")
    return 2 if config is None else config.integer("choice_count", 2)


@dataclass(frozen=True, slots=True)
class _CommonLb:
    """What is read of `common_lb_config`."""

    healthy_panic_percent: int = 50
    fail_traffic_on_panic: bool = False
    close_connections_on_host_set_change: bool = False


def _read_common_lb(reader: Reader) -> _CommonLb:
    config = reader.message_("common_lb_config")
    if config is None:
        return _CommonLb()
    # Of no effect here: no update of a cluster comes that could be merged with another, no host waits for a first
    # health check, and no filter asks for one host rather than another.
    config.accept("update_merge_window", "ignore_new_hosts_until_first_hc", "override_host_status")
    threshold = config.percent("healthy_panic_threshold")
    zones = config.message_("zone_aware_lb_config")
    if zones is not None:
        # They need a local cluster (cluster_manager.local_cluster_name), which is refused.
        zones.accept("routing_enabled", "min_cluster_size")
    return _CommonLb(
        # Rounded, as in Envoy, halves upwards.
        healthy_panic_percent=50 if threshold is None else int(threshold * 100 + 0.5),
        fail_traffic_on_panic=zones is not None and zones.boolean("fail_traffic_on_panic"),
        close_connections_on_host_set_change=config.boolean("close_connections_on_host_set_change"),
    )


def _read_dns(reader: Reader) -> DnsSettings:
    """The newest of three ways to say it counts, as in Envoy."""
    servers = [_read_server(each) for each in reader.repeated("dns_resolvers")]
    found = DnsSettings(tuple(servers), reader.boolean("use_tcp_for_dns_lookups"))
    older = reader.message_("dns_resolution_config")
    if older is not None:
        found = _read_resolvers(older)
    newest = reader.any_("typed_dns_resolver_config")
    if newest is None:
        return found
    if newest.type_name != CARES:
        raise newest.error("", f"DNS resolver {newest.type_name} is not supported by envoymesh")
    return _read_resolvers(newest)


def _read_resolvers(reader: Reader) -> DnsSettings:
    """A DnsResolutionConfig or CaresDnsResolverConfig."""
    options = reader.message_("dns_resolver_options")
    return DnsSettings(
        resolvers=tuple(_read_server(each) for each in reader.repeated("resolvers")),
        use_tcp_for_dns_lookups=options is not None and options.boolean("use_tcp_for_dns_lookups"),
        no_default_search_domain=options is not None and options.boolean("no_default_search_domain"),
    )


def _read_server(reader: Reader) -> Address:
    address = read_ip_address(reader)
    return address if address.port else Address(address.host, DNS_PORT)


def _read_failure_rate(reader: Reader) -> tuple[float, float] | None:
    """`dns_failure_refresh_rate` as (base, longest) interval; None when unset."""
    rate = reader.message_("dns_failure_refresh_rate")
    if rate is None:
        return None
    base = rate.duration("base_interval", 1.0) or 1.0
    longest = rate.duration("max_interval", base * 10) or base * 10
    if longest < base:
        raise rate.error("max_interval", f"must not be shorter than base_interval (value: {longest:g}s)")
    return base, longest


def _read_thresholds(reader: Reader) -> dict[str, ThresholdSettings]:
    breakers = reader.message_("circuit_breakers")
    if breakers is None:
        return {}
    read: dict[str, ThresholdSettings] = {}
    for threshold in breakers.repeated("thresholds"):
        priority = threshold.enum("priority")
        read.setdefault(
            priority,
            ThresholdSettings(
                max_connections=threshold.integer("max_connections", 1024),
                max_pending_requests=threshold.integer("max_pending_requests", 1024),
                max_requests=threshold.integer("max_requests", 1024),
                max_retries=threshold.integer("max_retries", 3),
                track_remaining=threshold.boolean("track_remaining"),
            ),
        )
    return read


# Endpoints


def _read_endpoints(reader: Reader, discovery: str) -> list[EndpointSettings]:
    assignment = reader.message_("load_assignment")
    endpoints: list[EndpointSettings] = []
    if assignment is not None:
        assignment.string("cluster_name")
        for locality in assignment.repeated("endpoints"):
            endpoints.extend(_read_locality(locality, discovery))
    if discovery == "LOGICAL_DNS" and len(endpoints) != 1:
        raise reader.error(
            "load_assignment", "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint"
        )
    return endpoints


def _read_locality(reader: Reader, discovery: str) -> list[EndpointSettings]:
    locality = reader.message_("locality")
    region = zone = sub_zone = ""
    if locality is not None:
        region, zone, sub_zone = locality.string("region"), locality.string("zone"), locality.string("sub_zone")
    if reader.integer("priority"):
        raise reader.error("priority", "endpoint priorities other than 0 are not supported by envoymesh")
    # A locality's weight counts only with locality_weighted_lb_config, which is refused.
    reader.accept("load_balancing_weight")
    return [_read_endpoint(each, discovery, region, zone, sub_zone) for each in reader.repeated("lb_endpoints")]


def _read_endpoint(reader: Reader, discovery: str, region: str, zone: str, sub_zone: str) -> EndpointSettings:
    endpoint = reader.required("endpoint")
    host, port, is_pipe = _read_place(endpoint, discovery)
    return EndpointSettings(
        host=host,
        port=port,
        is_pipe=is_pipe,
        hostname=endpoint.string("hostname") or ("" if discovery == "STATIC" else host),
        weight=reader.integer("load_balancing_weight", 1),
        health_status=reader.enum("health_status"),
        region=region,
        zone=zone,
        sub_zone=sub_zone,
        metadata=reader.metadata("UPSTREAM_HOST"),
    )


def _read_place(endpoint: Reader, discovery: str) -> tuple[str, int, bool]:
    """Host and port, and whether the host is the path of a Unix domain socket."""
    address = endpoint.required("address")
    pipe = read_pipe(address)
    if pipe is None:
        host, port = address.socket_address()
        return _read_literal(endpoint, host) if discovery == "STATIC" else host, port, False
    if discovery != "STATIC":
        # Envoy takes it, and then has a host that it never resolves.
        raise endpoint.error("address", f"a {discovery} cluster has names to resolve: a pipe needs the type STATIC")
    return pipe.host, 0, True


def _read_literal(endpoint: Reader, host: str) -> str:
    try:
        return ip_literal(host)
    except (ValueError, OSError):
        raise endpoint.error(
            "address",
            f"malformed IP address: {host}. Consider setting resolver_name or setting cluster type to "
            "'STRICT_DNS' or 'LOGICAL_DNS'",
        ) from None


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
    protocol.names_from_requests = _takes_names_from_requests(reader)
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


def _takes_names_from_requests(reader: Reader) -> bool:
    """`upstream_http_protocol_options`: whether TLS is to know the hosts of requests."""
    options = reader.message_("upstream_http_protocol_options")
    if options is None:
        return False
    # It says where the name comes from, for the other two.
    options.accept("override_auto_sni_header")
    sni, san = options.boolean("auto_sni"), options.boolean("auto_san_validation")
    return sni or san


def _read_common(common: Reader | None) -> _Protocol:
    protocol = _Protocol()
    if common is not None:
        idle = common.duration("idle_timeout")
        protocol.idle_timeout = 3600.0 if idle is None else idle
        protocol.max_connection_duration = common.duration("max_connection_duration", 0.0) or 0.0
        limit = common.integer("max_requests_per_connection")
        protocol.max_requests_per_connection = limit if common.has("max_requests_per_connection") else None
    return protocol


def _read_http_options(reader: Reader, limits: _HeaderLimits) -> _Protocol:
    common = reader.message_("common_http_protocol_options")
    protocol = _read_common(common)
    protocol.names_from_requests = _takes_names_from_requests(reader)
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
