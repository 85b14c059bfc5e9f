"""envoy.config.route.v3.RouteConfiguration -> RouteTable.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.formatter import Formatter
from envoymesh.router.header_parser import HeaderParser, HeaderParsers, HeaderToAdd
from envoymesh.router.matchers import (
    BytesMatcher,
    HeaderMatcher,
    QueryParameterMatcher,
    RangeMatcher,
    RegexMatcher,
    StringMatcher,
)
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

REDIRECT_STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
CLUSTER_NOT_FOUND_STATUS = {"SERVICE_UNAVAILABLE": 503, "NOT_FOUND": 404, "INTERNAL_SERVER_ERROR": 500}


MAX_DIRECT_RESPONSE_BODY = 4096
"""Bytes, where `max_direct_response_body_size_bytes` is unset."""


def read_route_table(reader: Reader) -> RouteTable:
    """Read a RouteConfiguration. Errors: ConfigError with the field's path."""
    max_body = reader.integer("max_direct_response_body_size_bytes", MAX_DIRECT_RESPONSE_BODY)
    hosts = [read_virtual_host(host, max_body) for host in reader.repeated("virtual_hosts")]
    try:
        return RouteTable(
            reader.string("name"),
            hosts,
            ignore_port=reader.boolean("ignore_port_in_host_matching"),
            internal_only=[name.lower().encode() for name in reader.strings("internal_only_headers")],
            header_parsers=read_header_parsers(reader),
            most_specific_wins=reader.boolean("most_specific_header_mutations_wins"),
            validate_clusters=reader.boolean("validate_clusters", True),
        )
    except ValueError as error:
        raise reader.error("virtual_hosts", str(error)) from None


def read_virtual_host(reader: Reader, max_body: int = MAX_DIRECT_RESPONSE_BODY) -> VirtualHost:
    """Read one virtual host. `max_body`: bytes of a direct response."""
    return VirtualHost(
        name=reader.string("name"),
        domains=[domain.encode() for domain in reader.strings("domains")],
        routes=[read_route(route, max_body) for route in reader.repeated("routes")],
        require_tls=reader.enum("require_tls"),
        retry=read_retry_policy(reader),
        include_request_attempt_count=reader.boolean("include_request_attempt_count"),
        include_attempt_count_in_response=reader.boolean("include_attempt_count_in_response"),
        header_parsers=read_header_parsers(reader),
        metadata=reader.metadata("VIRTUAL_HOST"),
    )


def read_route(reader: Reader, max_body: int = MAX_DIRECT_RESPONSE_BODY) -> Route:
    """Read one route."""
    match = reader.required("match")
    headers = [read_header_matcher(header) for header in match.repeated("headers")]
    parameters = [_read_query_parameter(parameter) for parameter in match.repeated("query_parameters")]
    grpc = match.message_("grpc") is not None
    return Route(
        name=reader.string("name"),
        path=_read_path(match),
        action=_read_action(reader, max_body),
        headers=headers,
        query_parameters=parameters,
        grpc=grpc,
        header_parsers=read_header_parsers(reader),
        metadata=reader.metadata("ROUTE"),
    )


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


def _read_action(reader: Reader, max_body: int) -> Action:
    kind = reader.which("action")
    if kind == "route":
        return _read_cluster_action(reader.required("route"))
    if kind == "redirect":
        return _read_redirect(reader.required("redirect"))
    if kind == "direct_response":
        return _read_direct_response(reader.required("direct_response"), max_body)
    raise reader.error(kind or "action", "route action is not supported by envoymesh")


def _read_cluster_action(reader: Reader) -> ClusterAction:
    if reader.which("cluster_specifier") != "cluster":
        raise reader.error(reader.which("cluster_specifier") or "cluster", "only `cluster` is supported by envoymesh")
    return ClusterAction(
        cluster=reader.string("cluster"),
        timeout=reader.duration("timeout", 15.0) or 0.0,
        idle_timeout=reader.duration("idle_timeout"),
        cluster_not_found_status=CLUSTER_NOT_FOUND_STATUS[reader.enum("cluster_not_found_response_code")],
        retry=read_retry_policy(reader),
    )


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


def read_regex(reader: Reader, field: str) -> RegexMatcher:
    """Read an envoy.type.matcher.v3.RegexMatcher field. Errors: ConfigError with RE2's reason."""
    regex = reader.required(field)
    # RE2 is the only engine there is; max_program_size is deprecated in Envoy and of no effect there either.
    regex.accept("google_re2")
    try:
        return RegexMatcher(regex.string("regex"))
    except ValueError as error:
        raise regex.error("regex", f"invalid regex: {error}") from None


def read_string_matcher(reader: Reader) -> BytesMatcher:
    """Read an envoy.type.matcher.v3.StringMatcher."""
    kind = reader.which("match_pattern")
    if kind == "safe_regex":
        return read_regex(reader, "safe_regex")
    if kind not in ("exact", "prefix", "suffix", "contains"):
        raise reader.error(kind or "match_pattern", "string matcher is not supported by envoymesh")
    pattern = reader.string(kind).encode()
    ignore_case = reader.boolean("ignore_case")
    return StringMatcher(kind, pattern.lower() if ignore_case else pattern, ignore_case)


def read_header_matcher(reader: Reader) -> HeaderMatcher:
    """Read an envoy.config.route.v3.HeaderMatcher."""
    value, present = _read_header_value(reader)
    return HeaderMatcher(
        name=reader.string("name").lower().encode(),
        value=value,
        present=present,
        invert=reader.boolean("invert_match"),
        missing_as_empty=reader.boolean("treat_missing_header_as_empty"),
    )


def _read_header_value(reader: Reader) -> tuple[BytesMatcher | None, bool]:
    kind = reader.which("header_match_specifier")
    if kind is None:
        return None, True
    if kind == "present_match":
        return None, reader.boolean("present_match")
    if kind == "string_match":
        return read_string_matcher(reader.required("string_match")), True
    if kind == "range_match":
        limits = reader.required("range_match")
        return RangeMatcher(limits.integer("start"), limits.integer("end")), True
    if kind == "safe_regex_match":
        return read_regex(reader, "safe_regex_match"), True
    pattern = reader.string(kind).encode()
    return StringMatcher(kind.removesuffix("_match"), pattern), True


def _read_query_parameter(reader: Reader) -> QueryParameterMatcher:
    name = reader.string("name").encode()
    kind = reader.which("query_parameter_match_specifier")
    if kind == "string_match":
        return QueryParameterMatcher(name, read_string_matcher(reader.required("string_match")))
    if kind == "present_match":
        return QueryParameterMatcher(name, present=reader.boolean("present_match"))
    return QueryParameterMatcher(name)
