"""envoy.config.route.v3.RouteMatch -> what a route is found by.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envoymesh.config.reader import Reader
from envoymesh.matching.config import (
    read_filter_state_matcher,
    read_header_matcher,
    read_metadata_matcher,
    read_query_parameter,
    read_regex,
    read_uri_template,
)
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.queries import QueryParameterMatcher
from envoymesh.router.match.conditions import (
    DynamicMetadata,
    FilterStateCondition,
    IsConnect,
    RouteCondition,
    RuntimeFraction,
    TlsContext,
)
from envoymesh.router.paths import ConnectPath, ExactPath, PathMatcher, PrefixPath, RegexPath, TemplatePath
from envoymesh.runtime import RuntimeReader, RuntimeShare

URI_TEMPLATE = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """What a request must be.

    Args:
        conditions: all but path, headers, query parameters and gRPC.
    """

    path: PathMatcher
    headers: Sequence[HeaderMatcher]
    query_parameters: Sequence[QueryParameterMatcher]
    grpc: bool
    conditions: Sequence[RouteCondition]


def read_route_match(reader: Reader, runtime: RuntimeReader, start: float) -> RouteMatch:
    """Read a RouteMatch; `start` is `RuntimeFraction`'s. Errors: ConfigError with the field's path."""
    path = read_path(reader)
    return RouteMatch(
        path=path,
        headers=tuple([read_header_matcher(header) for header in reader.repeated("headers")]),
        query_parameters=tuple([read_query_parameter(each) for each in reader.repeated("query_parameters")]),
        grpc=reader.message_("grpc") is not None,
        conditions=tuple(_read_conditions(reader, path, runtime, start)),
    )


def read_path(reader: Reader) -> PathMatcher:
    """Read the path specifier. Errors: ConfigError."""
    ignore_case = not reader.boolean("case_sensitive", True)
    kind = reader.which("path_specifier")
    if kind == "prefix":
        return PrefixPath(reader.string("prefix").encode(), ignore_case)
    if kind == "path":
        return ExactPath(reader.string("path").encode(), ignore_case)
    if kind == "path_separated_prefix":
        return PrefixPath(reader.string("path_separated_prefix").encode(), ignore_case, separated=True)
    if kind == "safe_regex":
        return RegexPath(read_regex(reader, "safe_regex"))
    if kind == "connect_matcher":
        reader.accept("connect_matcher")  # it has no fields
        return ConnectPath()
    policy = reader.any_("path_match_policy")
    if policy is None or policy.type_name != URI_TEMPLATE:
        raise reader.error("path_match_policy", "path matcher is not supported by envoymesh")
    return TemplatePath(read_uri_template(policy))


def _read_conditions(reader: Reader, path: PathMatcher, runtime: RuntimeReader, start: float) -> list[RouteCondition]:
    found: list[RouteCondition] = [IsConnect()] if isinstance(path, ConnectPath) else []
    fraction = reader.message_("runtime_fraction")
    if fraction is not None:
        found.append(RuntimeFraction(read_share(fraction, runtime), start))
    tls = reader.message_("tls_context")
    if tls is not None:
        found.append(TlsContext(_optional(tls, "presented"), _optional(tls, "validated")))
    found += [DynamicMetadata(read_metadata_matcher(each)) for each in reader.repeated("dynamic_metadata")]
    found += [FilterStateCondition(read_filter_state_matcher(each)) for each in reader.repeated("filter_state")]
    return found


def _optional(reader: Reader, field: str) -> bool | None:
    return reader.boolean(field) if reader.has(field) else None


def read_share(reader: Reader, runtime: RuntimeReader) -> RuntimeShare:
    """Read an envoy.config.core.v3.RuntimeFractionalPercent."""
    default, key = reader.fractional("default_value") or 0.0, reader.string("runtime_key")
    return runtime.share(key, default) if key else RuntimeShare(key, default)
