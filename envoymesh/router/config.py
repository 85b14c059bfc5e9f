"""envoy.config.route.v3.RouteConfiguration -> RouteTable.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envoymesh.config.reader import Reader
from envoymesh.matching.config import read_header_matcher
from envoymesh.matching.tree.config import (
    ENVIRONMENT_VARIABLE,
    FILTER_STATE,
    REQUEST_HEADER,
    MatchTreeFactoryContext,
    read_match_tree,
)
from envoymesh.matching.tree.match_tree import MatchTree
from envoymesh.router.actions.config import (
    read_action,
    read_cluster_specifiers,
    read_hedge_policy,
    read_mirror_policies,
    read_rate_limits,
    read_retry_policy,
)
from envoymesh.router.levels.config import (
    MAX_DIRECT_RESPONSE_BODY,
    RouteFactoryContext,
    read_body_limits,
    read_cors,
    read_cors_policy,
    read_filter_configs,
    read_header_parsers,
)
from envoymesh.router.match.config import read_route_match
from envoymesh.router.request_counts import VirtualCluster
from envoymesh.router.route_list import RouteList
from envoymesh.router.scoped import FragmentBuilder, HeaderElement, HeaderIndex, ScopedRouteTable, ScopeKey
from envoymesh.router.table import Route, RouteTable, VirtualHost

if TYPE_CHECKING:
    from envoymesh.matching.tree.match_tree import MatchTree

SCOPES = "scoped_routes.scoped_route_configurations_list.scoped_route_configurations"
ROUTE = "envoy.config.route.v3.Route"
ROUTE_LIST = "envoy.config.route.v3.RouteList"

__all__ = [
    "RouteFactoryContext",
    "read_cors_policy",
    "read_route",
    "read_route_table",
    "read_scoped_routes",
    "read_virtual_host",
]


def read_route_table(reader: Reader, context: RouteFactoryContext, place: str = "route_config") -> RouteTable:
    """Read a RouteConfiguration; `place` is its field in the connection manager. Errors: ConfigError."""
    reader.accept("metadata")  # nothing that is built into Envoy asks for a table's
    max_body = reader.integer("max_direct_response_body_size_bytes", MAX_DIRECT_RESPONSE_BODY)
    specifiers = read_cluster_specifiers(reader)
    context = replace(context, max_body=max_body, chance=context.random(), cluster_specifiers=specifiers)
    hosts = reader.each("virtual_hosts", lambda host: read_virtual_host(host, context))
    try:
        return RouteTable(
            reader.string("name"),
            hosts,
            ignore_port=reader.boolean("ignore_port_in_host_matching"),
            internal_only=[name.lower().encode() for name in reader.strings("internal_only_headers")],
            header_parsers=read_header_parsers(reader),
            most_specific_wins=reader.boolean("most_specific_header_mutations_wins"),
            filter_configs=read_filter_configs(reader, context),
            mirrors=read_mirror_policies(reader, context),
            validate_clusters=reader.boolean("validate_clusters", True),
            host_header=reader.string("vhost_header").lower().encode(),
            ignore_path_parameters=reader.boolean("ignore_path_parameters_in_path_matching"),
            place=place,
        )
    except ValueError as error:
        raise reader.error("virtual_hosts", str(error)) from None


def read_scoped_routes(reader: Reader, context: RouteFactoryContext) -> ScopedRouteTable:
    """Read an envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes whose scopes are inline.

    Errors: ConfigError, in Envoy's words; scopes that would be asked for elsewhere are refused.
    """
    if reader.which("config_specifier") != "scoped_route_configurations_list":
        raise reader.error("scoped_rds", "only inline scoped routes are supported by envoymesh")
    reader.accept("rds_config_source")  # where to fetch tables that scopes name; inline scopes have theirs
    scopes = reader.required("scoped_route_configurations_list").repeated("scoped_route_configurations")
    builders = reader.required("scope_key_builder").repeated("fragments")
    found = [_read_scope(scope, f"{SCOPES}[{i}].route_configuration", context) for i, scope in enumerate(scopes)]
    return ScopedRouteTable(reader.string("name"), found, [_read_fragment(each) for each in builders])


def _read_scope(reader: Reader, place: str, context: RouteFactoryContext) -> tuple[str, ScopeKey, RouteTable]:
    reader.accept("on_demand")  # when to fetch a table that is named; inline scopes have theirs
    if reader.has("route_configuration_name"):
        text = "Fetching routes via RDS (route_configuration_name) is not supported with inline scoped routes."
        raise reader.error("route_configuration_name", text)
    table = reader.message_("route_configuration")
    if table is None:
        text = "You must specify a route_configuration with inline scoped routes."
        raise reader.error("route_configuration", text)
    fragments = reader.required("key").repeated("fragments")
    key = tuple(fragment.string("string_key").encode() for fragment in fragments)
    return reader.string("name"), key, read_route_table(table, context, place)


def _read_fragment(parent: Reader) -> FragmentBuilder:
    reader = parent.required("header_value_extractor")
    name, separator = reader.string("name").lower().encode(), reader.string("element_separator").encode()
    kind = reader.which("extract_type")
    if kind == "element":
        element = reader.required(kind)
        return HeaderElement(name, separator, element.string("key").encode(), element.string("separator").encode())
    if kind is None:
        raise reader.error("extract_type", "HeaderValueExtractor extract_type not set.")
    index = reader.integer("index")
    if index and not separator:
        raise reader.error("index", "Index > 0 for empty string element separator.")
    return HeaderIndex(name, separator, index)


def read_virtual_host(reader: Reader, context: RouteFactoryContext) -> VirtualHost:
    """Read one virtual host."""
    name = reader.string("name")
    context = replace(context, stats_prefix=f"vhost.{name}.", hedges=read_hedge_policy(reader, False))
    context = replace(context, body_limits=read_body_limits(reader))
    reader.accept("retry_policy_typed_config")  # as in a route
    tree = _read_matcher(reader, context)
    return VirtualHost(
        name=name,
        domains=[domain.encode() for domain in reader.strings("domains")],
        routes=reader.each("routes", lambda route: read_route(route, context)),
        require_tls=reader.enum("require_tls"),
        retry=read_retry_policy(reader),
        include_is_timeout_retry_header=reader.boolean("include_is_timeout_retry_header"),
        own_mirrors=read_mirror_policies(reader, context),
        rate_limits=read_rate_limits(reader, context),
        include_request_attempt_count=reader.boolean("include_request_attempt_count"),
        include_attempt_count_in_response=reader.boolean("include_attempt_count_in_response"),
        header_parsers=read_header_parsers(reader),
        own_filter_configs=read_filter_configs(reader, context),
        metadata=reader.metadata("VIRTUAL_HOST"),
        own_cors=read_cors(reader, context),
        matcher=tree.tree,
        matched_routes=tree.routes,
        virtual_clusters=_read_virtual_clusters(reader, context),
    )


@dataclass(frozen=True, slots=True)
class _Matcher:
    """A virtual host's `matcher` and all routes that it may lead to."""

    tree: MatchTree | None
    routes: Sequence[Route]


def _read_matcher(parent: Reader, context: RouteFactoryContext) -> _Matcher:
    """Read `VirtualHost.matcher`. Errors: ConfigError, in Envoy's words, for what has no place in route tables."""
    reader = parent.message_("matcher")
    if reader is None:
        return _Matcher(None, ())
    if parent.has("routes"):
        raise parent.error("matcher", "cannot set both matcher and routes on virtual host")
    # Not at the top: most configurations have no matcher trees.

    routes: list[Route] = []

    def read_action(action: Reader) -> RouteList:
        if action.type_name == ROUTE:
            found = [read_route(action, context)]
        elif action.type_name == ROUTE_LIST:
            found = action.each("routes", lambda route: read_route(route, context))
        else:
            raise action.error("", f"Action in router matcher should be Route or RouteList, not {action.type_name}")
        routes.extend(found)
        return RouteList(found)

    tree = read_match_tree(reader, MatchTreeFactoryContext(read_action, _refuse_input, False, context.scope.counter))
    return _Matcher(tree, routes)


def _refuse_input(type_name: str) -> str:

    if type_name in (REQUEST_HEADER, FILTER_STATE, ENVIRONMENT_VARIABLE):
        return ""
    return f"Route table can only match on request headers, saw type.googleapis.com/{type_name}"


def _read_virtual_clusters(reader: Reader, context: RouteFactoryContext) -> Sequence[VirtualCluster]:
    """Read `virtual_clusters`; ``other`` is all that belongs to none of them. Errors: ConfigError."""
    found = reader.each("virtual_clusters", lambda each: _read_virtual_cluster(each, context))
    return (*found, VirtualCluster("other", (), context.counts("vcluster.other."))) if found else ()


def _read_virtual_cluster(reader: Reader, context: RouteFactoryContext) -> VirtualCluster:
    name = reader.string("name")
    headers = [read_header_matcher(header) for header in reader.repeated("headers")]
    if not headers:
        raise reader.error("headers", "virtual clusters must define 'headers'")
    return VirtualCluster(name, headers, context.counts(f"vcluster.{name}."))


def read_route(reader: Reader, context: RouteFactoryContext) -> Route:
    """Read one route."""
    # Of traces, which a connection manager without `tracing` does not make; that is refused.
    reader.accept("decorator")
    reader.accept("tracing")
    match = read_route_match(reader.required("match"), context.runtime, context.chance)
    prefix = reader.string("stat_prefix")
    return Route(
        name=reader.string("name"),
        path=match.path,
        action=read_action(reader, context, match.path),
        headers=match.headers,
        query_parameters=match.query_parameters,
        grpc=match.grpc,
        conditions=match.conditions,
        counts=context.counts(f"route.{prefix}.") if prefix else None,
        header_parsers=read_header_parsers(reader),
        own_filter_configs=read_filter_configs(reader, context),
        metadata=reader.metadata("ROUTE"),
        body_limit=read_body_limits(reader, context.body_limits).limit,
    )
