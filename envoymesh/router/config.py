"""envoy.config.route.v3.RouteConfiguration -> RouteTable.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from dataclasses import replace

from envoymesh.config.reader import Reader
from envoymesh.matching.config import read_header_matcher, read_query_parameter, read_regex
from envoymesh.router.actions.config import read_action, read_mirror_policies, read_rate_limits, read_retry_policy
from envoymesh.router.levels.config import (
    MAX_DIRECT_RESPONSE_BODY,
    RouteContext,
    read_cors,
    read_cors_policy,
    read_filter_configs,
    read_header_parsers,
)
from envoymesh.router.paths import ExactPath, PathMatcher, PrefixPath, RegexPath
from envoymesh.router.table import Route, RouteTable, VirtualHost

__all__ = ["RouteContext", "read_cors_policy", "read_route", "read_route_table", "read_virtual_host"]


def read_route_table(reader: Reader, context: RouteContext) -> RouteTable:
    """Read a RouteConfiguration. Errors: ConfigError with the field's path."""
    max_body = reader.integer("max_direct_response_body_size_bytes", MAX_DIRECT_RESPONSE_BODY)
    context = replace(context, max_body=max_body)
    hosts = reader.each("virtual_hosts", lambda host: read_virtual_host(host, context))
    try:
        return RouteTable(
            reader.string("name"),
            hosts,
            ignore_port=reader.boolean("ignore_port_in_host_matching"),
            internal_only=[name.lower().encode() for name in reader.strings("internal_only_headers")],
            header_parsers=read_header_parsers(reader),
            mirrors=read_mirror_policies(reader, context),
            most_specific_wins=reader.boolean("most_specific_header_mutations_wins"),
            filter_configs=read_filter_configs(reader, context),
            validate_clusters=reader.boolean("validate_clusters", True),
        )
    except ValueError as error:
        raise reader.error("virtual_hosts", str(error)) from None


def read_virtual_host(reader: Reader, context: RouteContext) -> VirtualHost:
    """Read one virtual host."""
    return VirtualHost(
        name=reader.string("name"),
        domains=[domain.encode() for domain in reader.strings("domains")],
        routes=reader.each("routes", lambda route: read_route(route, context)),
        require_tls=reader.enum("require_tls"),
        retry=read_retry_policy(reader),
        include_request_attempt_count=reader.boolean("include_request_attempt_count"),
        include_is_timeout_retry_header=reader.boolean("include_is_timeout_retry_header"),
        include_attempt_count_in_response=reader.boolean("include_attempt_count_in_response"),
        header_parsers=read_header_parsers(reader),
        own_filter_configs=read_filter_configs(reader, context),
        metadata=reader.metadata("VIRTUAL_HOST"),
        own_mirrors=read_mirror_policies(reader, context),
        own_cors=read_cors(reader, context),
        rate_limits=read_rate_limits(reader, context),
    )


def read_route(reader: Reader, context: RouteContext) -> Route:
    """Read one route."""
    match = reader.required("match")
    headers = [read_header_matcher(header) for header in match.repeated("headers")]
    parameters = [read_query_parameter(parameter) for parameter in match.repeated("query_parameters")]
    grpc = match.message_("grpc") is not None
    return Route(
        name=reader.string("name"),
        path=_read_path(match),
        action=read_action(reader, context),
        headers=headers,
        query_parameters=parameters,
        grpc=grpc,
        header_parsers=read_header_parsers(reader),
        own_filter_configs=read_filter_configs(reader, context),
        metadata=reader.metadata("ROUTE"),
    )


def _read_path(match: Reader) -> PathMatcher:
    ignore_case = not match.boolean("case_sensitive", True)
    kind = match.which("path_specifier")
    if kind == "prefix":
        return PrefixPath(match.string("prefix").encode(), ignore_case)
    if kind == "path":
        return ExactPath(match.string("path").encode(), ignore_case)
    if kind == "path_separated_prefix":
        return PrefixPath(match.string("path_separated_prefix").encode(), ignore_case, separated=True)
    if kind == "safe_regex":
        return RegexPath(read_regex(match, "safe_regex"))
    raise match.error(kind or "path_specifier", "path specifier is not supported by envoymesh")
