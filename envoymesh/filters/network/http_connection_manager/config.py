"""envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager -> settings.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envoymesh.access_loggers.config import AccessLogFactoryContext, read_access_log, read_filter
from envoymesh.config.reader import Reader
from envoymesh.filters.http.health_check.stats import TracingStats
from envoymesh.filters.network.http_connection_manager.factory import ConnectionManagerFactory
from envoymesh.filters.network.http_connection_manager.local_reply_mapping import (
    DEFAULT_FORMAT,
    LocalReplyMapping,
    ResponseMapper,
)
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings, Network
from envoymesh.filters.network.http_connection_manager.stats import UnusedTracingStats
from envoymesh.filters.network.http_connection_manager.upgrades import UpgradeKind
from envoymesh.formatter.config import read_body_format
from envoymesh.http.config import read_http1_options, read_http2_options
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory, NamedFilter
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.matching.config import read_string_matcher
from envoymesh.router.config import RouteFactoryContext, read_route_table, read_scoped_routes
from envoymesh.router.header_parser import HeaderParser
from envoymesh.router.levels.config import read_headers_to_add
from envoymesh.router.table import ClusterAction, RouteTable
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import sanitize
from envoymesh.upstream.cluster_manager import ClusterManager

if TYPE_CHECKING:
    from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext

_log = logging.getLogger("envoymesh.config")


@dataclass(frozen=True, slots=True)
class ConnectionManagerFactoryContext:
    """What settings need from the server.

    Args:
        read_filters: reads `http_filters`, given the `stat_prefix`; the terminal filter is the last.
        access_logs: what access logs need.
        routes: what routes need.
        local_address: shown for loopback peers in x-forwarded-for.
        service_cluster, service_node: the node's, for `add_user_agent`.
        runtime: where defaults come from that a runtime key may change at load.
    """

    read_filters: Callable[[Sequence[Reader], str], Sequence[NamedFilter]]
    access_logs: AccessLogFactoryContext
    routes: RouteFactoryContext
    local_address: str
    service_cluster: str
    service_node: str
    runtime: RuntimeReader
    random: Callable[[], float]


def http_connection_manager_factory(reader: Reader, context: NetworkFilterFactoryContext) -> ConnectionManagerFactory:
    """Read one connection manager filter. Errors: ConfigError with the field's path."""
    settings = read_connection_manager(reader, context.http_config)
    # A cluster whose own settings were refused is missing here, and must not be reported as unknown.
    for table in () if reader.has_refused else settings.route_table.tables():
        if table.validate_clusters:
            check_routes(table, context.clusters, reader)
    warn_of_unknown_filters(settings)
    check_routes_of_filters(settings, reader)
    tracing = context.store.scope(f"http.{sanitize(settings.stat_prefix)}.tracing.")
    UnusedTracingStats.create(tracing)
    TracingStats.create(tracing)
    made = context.http.make(settings, context.listener_scope, context.drain_close)
    return ConnectionManagerFactory(made, context.buffer_limit)


def warn_of_unknown_filters(settings: HttpConnectionManagerSettings) -> None:
    """Settings in routes for a filter that is not there have no effect, here as in Envoy, which says nothing."""
    table = settings.route_table
    for name in sorted(table.configured_filters - {each.name for each in settings.filters.filters}):
        _log.warning("route table %s: typed_per_filter_config of %s, which is not in http_filters", table.name, name)


def check_routes_of_filters(settings: HttpConnectionManagerSettings, reader: Reader) -> None:
    """Let factories that must see what routes say of their filters look at it (`check_routes`). Errors: ConfigError."""
    for each in settings.filters.filters:
        check = getattr(each.factory, "check_routes", None)
        if check is not None:
            for table in settings.route_table.tables():
                check(table.settings_of_filter(each.name), reader)


def check_routes(table: RouteTable, clusters: ClusterManager, reader: Reader) -> None:
    """Check that every cluster a route names exists. Errors: ConfigError naming the cluster."""
    for i, host in enumerate(table.virtual_hosts):
        for j, route in enumerate(host.routes):
            field = f"{table.place}.virtual_hosts[{i}].routes[{j}].route"
            action = route.action
            for name, what in action.named_clusters if isinstance(action, ClusterAction) else ():
                if clusters.get(name) is None:
                    at = f"{field}.cluster" if what == "cluster" else field
                    raise reader.error(at, f"route: unknown {what} '{name}'")
            for mirror in route.mirrors:
                if mirror.cluster and clusters.get(mirror.cluster) is None:
                    raise reader.error(field, f"route: unknown shadow cluster '{mirror.cluster}'")


def read_connection_manager(reader: Reader, context: ConnectionManagerFactoryContext) -> HttpConnectionManagerSettings:
    """Read one connection manager filter. Errors: ConfigError with the field's path."""
    common = reader.message_("common_http_protocol_options")
    flushing = _read_flushing(reader)
    forwarding = _read_forwarding(reader)
    routes = _read_routes(reader, context)
    limits = _read_header_limits(reader, common, context.runtime)
    return HttpConnectionManagerSettings(
        stat_prefix=reader.string("stat_prefix"),
        route_table=routes,
        filters=FilterChainFactory(_read_filters(reader, context), routes.chooses_filters),
        codec_type=_read_codec_type(reader),
        server_name=(reader.string("server_name") or "envoy").encode(),
        server_header_transformation=reader.enum("server_header_transformation"),
        via=reader.string("via").encode(),
        use_remote_address=forwarding.use_remote_address,
        xff_num_trusted_hops=forwarding.trusted_hops,
        skip_xff_append=reader.boolean("skip_xff_append"),
        append_x_forwarded_port=reader.boolean("append_x_forwarded_port"),
        internal_networks=forwarding.internal_networks,
        local_address=context.local_address,
        generate_request_id=reader.boolean("generate_request_id", True),
        preserve_external_request_id=reader.boolean("preserve_external_request_id"),
        always_set_request_id_in_response=reader.boolean("always_set_request_id_in_response"),
        user_agent=context.service_cluster.encode() if reader.boolean("add_user_agent") else b"",
        node_id=context.service_node.encode(),
        proxy_100_continue=reader.boolean("proxy_100_continue"),
        normalize_path=_read_normalize_path(reader, context),
        merge_slashes=reader.boolean("merge_slashes"),
        path_with_escaped_slashes_action=_read_escaped_slashes(reader, context),
        strip_port=_read_strip_port(reader),
        strip_trailing_host_dot=reader.boolean("strip_trailing_host_dot"),
        stream_idle_timeout=_seconds(reader, "stream_idle_timeout", 300.0),
        stream_flush_timeout=reader.duration("stream_flush_timeout"),
        request_timeout=_seconds(reader, "request_timeout", 0.0),
        request_headers_timeout=_seconds(reader, "request_headers_timeout", 0.0),
        idle_timeout=_seconds(common, "idle_timeout", 3600.0),
        max_connection_duration=_seconds(common, "max_connection_duration", 0.0),
        max_stream_duration=_seconds(common, "max_stream_duration", 0.0),
        max_requests_per_connection=common.integer("max_requests_per_connection") if common else 0,
        drain_timeout=_seconds(reader, "drain_timeout", 5.0),
        delayed_close_timeout=_seconds(reader, "delayed_close_timeout", 1.0),
        access_logs=tuple(reader.each("access_log", lambda log: read_access_log(log, context.access_logs))),
        access_log_flush_interval=flushing.interval,
        flush_access_log_on_new_request=flushing.on_new_request,
        flush_access_log_on_tunnel=flushing.on_tunnel,
        upgrades=_read_upgrades(reader, context, routes.chooses_filters),
        local_reply=_read_local_reply(reader, context),
        http1=_read_http1(reader, common, limits),
        http2=_read_http2(reader, common, limits),
    )


def _read_filters(reader: Reader, context: ConnectionManagerFactoryContext) -> Sequence[NamedFilter]:
    filters = reader.repeated("http_filters")
    if not filters:
        # Envoy starts without a terminal filter, and then answers no request at all.
        raise reader.error("http_filters", "missing terminal filter: the last must be envoy.filters.http.router")
    return context.read_filters(filters, reader.string("stat_prefix"))


def _read_upgrades(
    reader: Reader, context: ConnectionManagerFactoryContext, routes_choose: bool
) -> dict[bytes, UpgradeKind]:
    kinds: dict[bytes, UpgradeKind] = {}
    for each in reader.repeated("upgrade_configs"):
        name = each.string("upgrade_type")
        if name.lower().encode() in kinds:
            raise each.error("upgrade_type", f"Error: multiple upgrade configs with the same name: '{name}'")
        filters = each.repeated("filters")
        own = context.read_filters(filters, reader.string("stat_prefix")) if filters else None
        factory = None if own is None else FilterChainFactory(own, routes_choose)
        kinds[name.lower().encode()] = UpgradeKind(each.boolean("enabled", True), factory)
    return kinds


@dataclass(frozen=True, slots=True)
class _Flushing:
    interval: float
    on_new_request: bool
    on_tunnel: bool = False


def _read_flushing(reader: Reader) -> _Flushing:
    """HcmAccessLogOptions, or the two deprecated fields in its place."""
    old = _Flushing(
        _seconds(reader, "access_log_flush_interval", 0.0), reader.boolean("flush_access_log_on_new_request")
    )
    options = reader.message_("access_log_options")
    if options is None:
        return old
    if old.on_new_request or old.interval:
        field = "flush_access_log_on_new_request" if old.on_new_request else "access_log_flush_interval"
        raise reader.error(field, f"Only one of {field} or access_log_options can be specified.")
    return _Flushing(
        _seconds(options, "access_log_flush_interval", 0.0),
        options.boolean("flush_access_log_on_new_request"),
        options.boolean("flush_log_on_tunnel_successfully_established"),
    )


def _read_local_reply(parent: Reader, context: ConnectionManagerFactoryContext) -> LocalReplyMapping | None:
    reader = parent.message_("local_reply_config")
    if reader is None:
        return None
    mappers = reader.each("mappers", lambda each: _read_response_mapper(each, context))
    body_format = reader.message_("body_format")
    return LocalReplyMapping(mappers, DEFAULT_FORMAT if body_format is None else read_body_format(body_format))


def _read_response_mapper(reader: Reader, context: ConnectionManagerFactoryContext) -> ResponseMapper:
    body_format = reader.message_("body_format_override")
    return ResponseMapper(
        wanted=read_filter(reader.required("filter"), context.access_logs),
        status=reader.integer("status_code") if reader.has("status_code") else None,
        body=reader.data_source("body") if reader.has("body") else None,
        body_format=None if body_format is None else read_body_format(body_format),
        headers=HeaderParser(read_headers_to_add(reader, "headers_to_add")),
    )


def _seconds(reader: Reader | None, field: str, default: float) -> float:
    value = None if reader is None else reader.duration(field)
    return default if value is None else value


def _read_routes(reader: Reader, context: ConnectionManagerFactoryContext) -> RouteTable:
    if reader.which("route_specifier") == "scoped_routes":
        return read_scoped_routes(reader.required("scoped_routes"), context.routes)
    if reader.which("route_specifier") != "route_config":
        field = reader.which("route_specifier") or "route_config"
        raise reader.error(field, "only inline route_config and scoped_routes are supported by envoymesh")
    return read_route_table(reader.required("route_config"), context.routes)


@dataclass(frozen=True, slots=True)
class _HeaderLimits:
    kb: int
    count: int


def _read_header_limits(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> _HeaderLimits:
    kb = runtime.number("envoy.reloadable_features.max_request_headers_size_kb", 60).value
    count = runtime.number("envoy.reloadable_features.max_request_headers_count", 100).value
    return _HeaderLimits(
        reader.integer("max_request_headers_kb", kb),
        common.integer("max_headers_count", count) if common is not None else count,
    )


def _read_normalize_path(reader: Reader, context: ConnectionManagerFactoryContext) -> bool:
    key = context.runtime.share("http_connection_manager.normalize_path", 0.0)
    return reader.boolean("normalize_path", key.holds(context.random))


ESCAPED_SLASHES_ACTIONS = {2: "REJECT_REQUEST", 3: "UNESCAPE_AND_REDIRECT", 4: "UNESCAPE_AND_FORWARD"}


def _read_escaped_slashes(reader: Reader, context: ConnectionManagerFactoryContext) -> str:
    """`path_with_escaped_slashes_action`; as in Envoy the share is asked once, at load, and of any action."""
    action = reader.enum("path_with_escaped_slashes_action")
    default = context.runtime.number("http_connection_manager.path_with_escaped_slashes_action", 1).value
    enabled = context.runtime.share("http_connection_manager.path_with_escaped_slashes_action_enabled", 1.0)
    if action == "IMPLEMENTATION_SPECIFIC_DEFAULT":
        action = ESCAPED_SLASHES_ACTIONS.get(default, "KEEP_UNCHANGED")
    return action if enabled.holds(context.random) else "KEEP_UNCHANGED"


def _read_codec_type(reader: Reader) -> str:
    kind = reader.enum("codec_type")
    if kind == "HTTP3":
        raise reader.error("codec_type", "HTTP/3 is not supported by envoymesh")
    return kind


def _read_strip_port(reader: Reader) -> str:
    matching = reader.boolean("strip_matching_host_port")
    if not reader.boolean("strip_any_host_port"):
        return "matching" if matching else ""
    if matching:
        text = "Error: Only one of `strip_matching_host_port` or `strip_any_host_port` can be set."
        raise reader.error("strip_any_host_port", text)
    return "any"


@dataclass(frozen=True, slots=True)
class _Forwarding:
    use_remote_address: bool
    trusted_hops: int
    internal_networks: Sequence[Network]


def _read_forwarding(reader: Reader) -> _Forwarding:
    networks: list[Network] = []
    internal = reader.message_("internal_address_config")
    if internal is not None:
        internal.refuse("unix_sockets")
        networks = [_read_cidr(cidr) for cidr in internal.repeated("cidr_ranges")]
    return _Forwarding(reader.boolean("use_remote_address"), reader.integer("xff_num_trusted_hops"), networks)


def _read_cidr(reader: Reader) -> Network:
    text = f"{reader.string('address_prefix')}/{reader.integer('prefix_len')}"
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise reader.error("address_prefix", f"invalid ip/mask combo '{text}': {error}") from None


def _read_http1(reader: Reader, common: Reader | None, limits: _HeaderLimits) -> Http1Settings:
    options = reader.message_("http_protocol_options")
    settings = read_http1_options(options, common, max_headers_kb=limits.kb, max_headers_count=limits.count)
    ignored = () if options is None else options.each("ignore_http_11_upgrade", read_string_matcher)
    if not ignored:
        return settings
    return replace(settings, ignores_upgrade=lambda name: any(each.matches(name) for each in ignored))


def _read_http2(reader: Reader, common: Reader | None, limits: _HeaderLimits) -> Http2Settings:
    settings = read_http2_options(
        reader.message_("http2_protocol_options"), max_headers_kb=limits.kb, max_headers_count=limits.count
    )
    underscores = common.enum("headers_with_underscores_action") if common else "ALLOW"
    return replace(settings, headers_with_underscores_action=underscores)
