"""envoy.config.route.v3.RouteConfiguration -> RouteTable.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from envoymesh.config.reader import Reader
from envoymesh.formatter import Formatter
from envoymesh.matching.config import read_header_matcher, read_query_parameter, read_regex, read_string_matcher
from envoymesh.router.cors import CorsPolicy
from envoymesh.router.filter_configs import FilterConfig, FilterConfigs
from envoymesh.router.header_parser import HeaderParser, HeaderParsers, HeaderToAdd
from envoymesh.router.mirror import MirrorPolicy, RemoveOnMatch
from envoymesh.router.paths import ExactPath, PathMatcher, PrefixPath, RegexPath
from envoymesh.router.retry import KNOWN_CONDITIONS, RetryPolicy
from envoymesh.router.table import (
    Action,
    ClusterAction,
    DirectResponseAction,
    RedirectAction,
    Route,
    RouteTable,
    VirtualHost,
)
from envoymesh.runtime import RuntimeReader, RuntimeShare

REDIRECT_STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
CLUSTER_NOT_FOUND_STATUS = {"SERVICE_UNAVAILABLE": 503, "NOT_FOUND": 404, "INTERNAL_SERVER_ERROR": 500}


MAX_DIRECT_RESPONSE_BODY = 4096
"""Bytes, where `max_direct_response_body_size_bytes` is unset."""


@dataclass(frozen=True, slots=True)
class RouteContext:
    """What routes need from above.

    Args:
        read_filter_config: reads a filter's message in `typed_per_filter_config`, given the filter's name, the message
            and whether the filter is optional (then None stands for a message that nobody knows).
        runtime: gives routes the keys that they name.
        random: from 0 to 1.
        max_body: bytes of a direct response.
    """

    read_filter_config: Callable[[str, Reader, bool], Any]
    runtime: RuntimeReader
    random: Callable[[], float]
    max_body: int = MAX_DIRECT_RESPONSE_BODY


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
        include_attempt_count_in_response=reader.boolean("include_attempt_count_in_response"),
        header_parsers=read_header_parsers(reader),
        own_filter_configs=read_filter_configs(reader, context),
        metadata=reader.metadata("VIRTUAL_HOST"),
        own_cors=_read_cors(reader, context),
        own_mirrors=read_mirror_policies(reader, context),
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
        action=_read_action(reader, context),
        headers=headers,
        query_parameters=parameters,
        grpc=grpc,
        header_parsers=read_header_parsers(reader),
        own_filter_configs=read_filter_configs(reader, context),
        metadata=reader.metadata("ROUTE"),
    )


def read_filter_configs(reader: Reader, context: RouteContext) -> FilterConfigs:
    """Read `typed_per_filter_config` of one level. Errors: ConfigError, in Envoy's words."""
    messages = reader.any_map("typed_per_filter_config")
    read = {name: message.attempt(partial(_read_filter_config, name, context)) for name, message in messages.items()}
    return {name: config for name, config in read.items() if config is not None}


def _read_filter_config(name: str, context: RouteContext, reader: Reader) -> FilterConfig:
    if reader.type_name != FILTER_CONFIG:
        return FilterConfig(context.read_filter_config(name, reader, False))
    optional = reader.boolean("is_optional")
    if reader.boolean("disabled"):
        # As in Envoy nobody looks at the settings of a filter that takes no part.
        reader.accept("config")
        return FilterConfig(disabled=True)
    if not reader.has("config"):
        raise reader.error("config", f"Empty route/virtual host per filter configuration for {name} filter")
    if not reader.message.config.type_url:  # type: ignore[attr-defined]  # a FilterConfig
        # Nothing but that the filter takes part.
        reader.accept("config")
        return FilterConfig()
    message = reader.any_("config")
    return FilterConfig(None if message is None else context.read_filter_config(name, message, optional))


def read_cors_policy(reader: Reader, context: RouteContext) -> CorsPolicy:
    """Read a CorsPolicy: the CORS filter's, or envoy.config.route.v3's, whose fields are named the same."""
    return CorsPolicy(
        allow_origins=[read_string_matcher(each) for each in reader.repeated("allow_origin_string_match")],
        allow_methods=reader.string("allow_methods").encode(),
        allow_headers=reader.string("allow_headers").encode(),
        expose_headers=reader.string("expose_headers").encode(),
        max_age=reader.string("max_age").encode(),
        allow_credentials=_optional_boolean(reader, "allow_credentials"),
        allow_private_network_access=_optional_boolean(reader, "allow_private_network_access"),
        forward_not_matching_preflights=_optional_boolean(reader, "forward_not_matching_preflights"),
        filter_enabled=_read_runtime_share(reader, "filter_enabled", context),
        shadow_enabled=_read_runtime_share(reader, "shadow_enabled", context),
    )


def _optional_boolean(reader: Reader, field: str) -> bool | None:
    return reader.boolean(field) if reader.has(field) else None


def _read_cors(parent: Reader, context: RouteContext) -> CorsPolicy | None:
    """The deprecated `cors` of a route action or a virtual host."""
    reader = parent.message_("cors")
    return None if reader is None else read_cors_policy(reader, context)


def _read_runtime_share(parent: Reader, field: str, context: RouteContext) -> Callable[[], bool] | None:
    """Read an envoy.config.core.v3.RuntimeFractionalPercent: asked anew for each request; None where it is unset."""
    reader = parent.message_(field)
    if reader is None:
        return None
    default, key = reader.fractional("default_value") or 0.0, reader.string("runtime_key")
    share = context.runtime.share(key, default) if key else RuntimeShare(key, default)
    return lambda: share.holds(context.random)


def read_header_parsers(reader: Reader) -> HeaderParsers:
    """Read the header mutations of a route, virtual host or route configuration. Errors: ConfigError."""
    return HeaderParsers(_read_header_parser(reader, "request"), _read_header_parser(reader, "response"))


def _read_header_parser(reader: Reader, direction: str) -> HeaderParser:
    to_remove = f"{direction}_headers_to_remove"
    names = [name.lower() for name in reader.strings(to_remove)]
    if any(_is_protected(name) for name in names):
        raise reader.error(to_remove, ":-prefixed or host headers may not be removed")
    additions = [_read_header_to_add(each) for each in reader.repeated(f"{direction}_headers_to_add")]
    return HeaderParser(additions, [name.encode() for name in names])


def _is_protected(name: str) -> bool:
    return name.startswith(":") or name == "host"


def _read_header_to_add(reader: Reader) -> HeaderToAdd:
    header = reader.required("header")
    name = header.string("key").lower()
    if _is_protected(name):
        raise header.error("key", ":-prefixed or host headers may not be modified")
    action = reader.enum("append_action")
    if reader.has("append"):
        if action != "APPEND_IF_EXISTS_OR_ADD":
            raise reader.error("append", "Both append and append_action are set and it's not allowed")
        action = action if reader.boolean("append") else "OVERWRITE_IF_EXISTS_OR_ADD"
    return HeaderToAdd(name.encode(), _read_header_text(header), action, reader.boolean("keep_empty_value"))


def _read_header_text(header: Reader) -> bytes | Formatter:
    # As in Envoy, which adds the header of a raw_value alone without one.
    header.accept("raw_value")
    text = header.string("value")
    try:
        formatter = Formatter(text, omit_empty_values=True)
    except ValueError as error:
        raise header.error("value", str(error)) from None
    return formatter if formatter.constant is None else formatter.constant


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


def _read_action(reader: Reader, context: RouteContext) -> Action:
    kind = reader.which("action")
    if kind == "route":
        return _read_cluster_action(reader.required("route"), context)
    if kind == "redirect":
        return _read_redirect(reader.required("redirect"))
    if kind == "direct_response":
        return _read_direct_response(reader.required("direct_response"), context.max_body)
    raise reader.error(kind or "action", "route action is not supported by envoymesh")


def _read_cluster_action(reader: Reader, context: RouteContext) -> ClusterAction:
    if reader.which("cluster_specifier") != "cluster":
        raise reader.error(reader.which("cluster_specifier") or "cluster", "only `cluster` is supported by envoymesh")
    return ClusterAction(
        cluster=reader.string("cluster"),
        timeout=reader.duration("timeout", 15.0) or 0.0,
        idle_timeout=reader.duration("idle_timeout"),
        cluster_not_found_status=CLUSTER_NOT_FOUND_STATUS[reader.enum("cluster_not_found_response_code")],
        retry=read_retry_policy(reader),
        cors=_read_cors(reader, context),
        mirrors=read_mirror_policies(reader, context),
    )


def read_mirror_policies(reader: Reader, context: RouteContext) -> tuple[MirrorPolicy, ...]:
    """Read `request_mirror_policies` of one level. Errors: ConfigError, in Envoy's words."""
    return tuple(_read_mirror_policy(each, context) for each in reader.repeated("request_mirror_policies"))


def _read_mirror_policy(reader: Reader, context: RouteContext) -> MirrorPolicy:
    cluster, header = reader.string("cluster"), reader.string("cluster_header").lower()
    if cluster and header:
        text = f"Only one of cluster '{cluster}' or cluster_header '{header}' in request mirror policy can be specified"
        raise reader.error("cluster", text)
    if not cluster and not header:
        text = "Exactly one of cluster or cluster_header in request mirror policy need to be specified"
        raise reader.error("cluster", text)
    # It chooses among spans, and there is no tracing here.
    reader.accept("trace_sampled")
    return MirrorPolicy(
        cluster=cluster,
        cluster_header=header.encode(),
        chance=_read_runtime_share(reader, "runtime_fraction", context),
        host_rewrite=reader.string("host_rewrite_literal").encode(),
        mutations=[_read_header_mutation(each) for each in reader.repeated("request_headers_mutations")],
        add_suffix=not reader.boolean("disable_shadow_host_suffix_append"),
    )


def _read_header_mutation(reader: Reader) -> HeaderParser | RemoveOnMatch:
    """Read an envoy.config.common.mutation_rules.v3.HeaderMutation. Errors: ConfigError."""
    kind = reader.which("action")
    if kind == "append":
        return HeaderParser([_read_header_to_add(reader.required("append"))])
    if kind == "remove_on_match":
        return RemoveOnMatch(read_string_matcher(reader.required("remove_on_match").required("key_matcher")))
    name = reader.string("remove").lower()
    if _is_protected(name):
        # Envoy takes it, and loses the request.
        raise reader.error("remove", ":-prefixed or host headers may not be removed")
    return HeaderParser((), [name.encode()])


def read_retry_policy(parent: Reader) -> RetryPolicy | None:
    """Read `retry_policy` of a route action or a virtual host. Errors: ConfigError, unknown conditions included."""
    reader = parent.message_("retry_policy")
    if reader is None:
        return None
    conditions = frozenset(item.strip() for item in reader.string("retry_on").split(",") if item.strip())
    unknown = sorted(conditions - KNOWN_CONDITIONS)
    if unknown:
        raise reader.error("retry_on", f"retry condition is not supported by envoymesh: {unknown[0]}")
    base, longest = _read_back_off(reader)
    return RetryPolicy(
        retry_on=conditions,
        num_retries=reader.integer("num_retries", 1),
        per_try_timeout=reader.duration("per_try_timeout", 0.0) or 0.0,
        retriable_status_codes=frozenset(int(code) for code in reader.strings("retriable_status_codes")),
        base_interval=base,
        max_interval=longest,
        avoid_previous_hosts=_read_host_predicates(reader),
        host_selection_attempts=reader.integer("host_selection_retry_max_attempts", 1) or 1,
    )


def _read_back_off(reader: Reader) -> tuple[float, float]:
    """Base and longest interval; 0 is what the runtime says, and ten times the base."""
    back_off = reader.message_("retry_back_off")
    if back_off is None:
        return 0.0, 0.0
    # Envoy's timers have milliseconds, of which it takes one at least.
    base = max(back_off.duration("base_interval", 0.0) or 0.0, 0.001)
    longest = back_off.duration("max_interval", 0.0) or 0.0
    if longest and longest < base:
        raise back_off.error(
            "max_interval", "retry_policy.max_interval must greater than or equal to the base_interval"
        )
    return base, longest


def _read_host_predicates(reader: Reader) -> bool:
    for predicate in reader.repeated("retry_host_predicate"):
        config = predicate.any_("typed_config")
        name = predicate.string("name")
        kind = name if config is None else config.type_name
        if "previous_hosts" not in kind:
            raise predicate.error("name", "only the previous_hosts predicate is supported by envoymesh")
        return True
    return False


def _read_direct_response(reader: Reader, max_body: int) -> DirectResponseAction:
    body = reader.data_source("body")
    if len(body) > max_body:
        raise reader.error("body", f"response body size is {len(body)} bytes; maximum is {max_body}")
    return DirectResponseAction(reader.integer("status"), body)


def _read_redirect(reader: Reader) -> RedirectAction:
    scheme = b"https" if reader.boolean("https_redirect") else reader.string("scheme_redirect").encode()
    rewrite = (
        reader.string("prefix_rewrite").encode() if reader.which("path_rewrite_specifier") == "prefix_rewrite" else None
    )
    return RedirectAction(
        status=REDIRECT_STATUS[reader.enum("response_code")],
        scheme=scheme,
        host=reader.string("host_redirect").encode(),
        port=reader.integer("port_redirect"),
        path=reader.string("path_redirect").encode(),
        prefix_rewrite=rewrite,
        strip_query=reader.boolean("strip_query"),
    )
