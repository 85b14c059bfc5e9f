"""Header mutations, settings of HTTP filters and CORS, which routes, virtual hosts and whole tables read alike.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from envoymesh.config.reader import Reader
from envoymesh.formatter import Formatter
from envoymesh.matching.config import read_string_matcher
from envoymesh.matching.tree.match_tree import MatchTree
from envoymesh.router.cors import CorsPolicy
from envoymesh.router.filter_configs import NO_FILTER_CONFIGS, FilterConfig, FilterConfigs
from envoymesh.router.header_parser import NO_HEADER_PARSERS, HeaderParser, HeaderParsers, HeaderToAdd
from envoymesh.router.match.config import read_share
from envoymesh.router.request_counts import RequestCounts
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope, Store

FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"

MAX_DIRECT_RESPONSE_BODY = 4096
"""Bytes, where `max_direct_response_body_size_bytes` is unset."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """`request_body_buffer_limit` and `per_request_buffer_limit_bytes` of a level and those above; None is unset."""

    newer: int | None = None
    older: int | None = None

    @property
    def limit(self) -> int | None:
        """The newer one, of whatever level; None leaves it to the listener."""
        return self.older if self.newer is None else self.newer


NO_BODY_LIMITS = BodyLimits()


@dataclass(frozen=True, slots=True)
class RouteFactoryContext:
    """What routes need from above.

    Args:
        read_filter_config: reads a filter's message in `typed_per_filter_config`, given the filter's name, the message
            and whether the filter is optional (then None stands for a message that nobody knows).
        runtime: gives routes the keys that they name.
        random: from 0 to 1.
        max_body: bytes of a direct response.
        scope: where virtual clusters and routes are counted.
        stats_prefix: the virtual host's names there.
        hedges: the virtual host's `hedge_on_per_try_timeout`.
        body_limits: the virtual host's.
        cluster_specifiers: `cluster_specifier_plugins` of the table, by their names.
        chance: where the numbers begin that decide on shares of requests (`RuntimeFraction.start`), from 0 to 1.
    """

    read_filter_config: Callable[[str, Reader, bool], Any]
    runtime: RuntimeReader
    random: Callable[[], float]
    max_body: int = MAX_DIRECT_RESPONSE_BODY
    scope: Scope = field(default_factory=lambda: Store().scope(""))
    stats_prefix: str = ""
    chance: float = 0.0
    hedges: bool = False
    cluster_specifiers: Mapping[str, MatchTree] = field(default_factory=dict)
    body_limits: BodyLimits = NO_BODY_LIMITS

    def counts(self, name: str) -> RequestCounts:
        """What is counted below a name, such as ``vcluster.a.``. As in Envoy colons stay as they are."""
        return RequestCounts(self.scope.scope(self.stats_prefix + name, verbatim=True))


def read_filter_configs(reader: Reader, context: RouteFactoryContext) -> FilterConfigs:
    """Read `typed_per_filter_config` of one level. Errors: ConfigError, in Envoy's words."""
    messages = reader.any_map("typed_per_filter_config")
    read = {name: message.attempt(partial(_read_filter_config, name, context)) for name, message in messages.items()}
    return {name: config for name, config in read.items() if config is not None} or NO_FILTER_CONFIGS


def _read_filter_config(name: str, context: RouteFactoryContext, reader: Reader) -> FilterConfig:
    if reader.type_name != FILTER_CONFIG:
        return FilterConfig(context.read_filter_config(name, reader, False))
    optional = reader.boolean("is_optional")
    if reader.boolean("disabled"):
        # As in Envoy the settings of a filter that takes no part are not looked at.
        reader.accept("config")
        return FilterConfig(disabled=True)
    if not reader.has("config"):
        raise reader.error("config", f"Empty route/virtual host per filter configuration for {name} filter")
    if not reader.message.config.type_url:  # type: ignore[attr-defined]  # a FilterConfig
        # It only says that the filter takes part.
        reader.accept("config")
        return FilterConfig()
    message = reader.any_("config")
    return FilterConfig(None if message is None else context.read_filter_config(name, message, optional))


def read_body_limits(reader: Reader, above: BodyLimits = NO_BODY_LIMITS) -> BodyLimits:
    """Read how many bytes of a request's body a route or a virtual host lets be kept for another try."""
    newer = reader.integer("request_body_buffer_limit")
    older = reader.integer("per_request_buffer_limit_bytes")
    return BodyLimits(
        newer if reader.has("request_body_buffer_limit") else above.newer,
        older if reader.has("per_request_buffer_limit_bytes") else above.older,
    )


def read_cors_policy(reader: Reader, context: RouteFactoryContext) -> CorsPolicy:
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
        filter_enabled=read_runtime_share(reader, "filter_enabled", context),
        shadow_enabled=read_runtime_share(reader, "shadow_enabled", context),
    )


def _optional_boolean(reader: Reader, field: str) -> bool | None:
    return reader.boolean(field) if reader.has(field) else None


def read_cors(parent: Reader, context: RouteFactoryContext) -> CorsPolicy | None:
    """The deprecated `cors` of a route action or a virtual host."""
    reader = parent.message_("cors")
    return None if reader is None else read_cors_policy(reader, context)


def read_runtime_share(parent: Reader, field: str, context: RouteFactoryContext) -> Callable[[], bool] | None:
    """Read an envoy.config.core.v3.RuntimeFractionalPercent: asked anew for each request; None where it is unset."""
    reader = parent.message_(field)
    if reader is None:
        return None
    share = read_share(reader, context.runtime)
    return lambda: share.holds(context.random)


def read_header_parsers(reader: Reader) -> HeaderParsers:
    """Read the header mutations of a route, virtual host or route configuration. Errors: ConfigError."""
    request, response = _read_header_parser(reader, "request"), _read_header_parser(reader, "response")
    return HeaderParsers(request, response) if request or response else NO_HEADER_PARSERS


def _read_header_parser(reader: Reader, direction: str) -> HeaderParser:
    return read_header_parser(reader, f"{direction}_headers_to_add", f"{direction}_headers_to_remove")


def read_header_parser(reader: Reader, to_add: str, to_remove: str) -> HeaderParser:
    """Read the mutations that two fields of a message say; an empty name is no field. Errors: ConfigError."""
    names = [name.lower() for name in reader.strings(to_remove)] if to_remove else []
    if any(is_protected(name) for name in names):
        raise reader.error(to_remove, ":-prefixed or host headers may not be removed")
    return HeaderParser(read_headers_to_add(reader, to_add), [name.encode() for name in names])


def read_headers_to_add(parent: Reader, field: str) -> list[HeaderToAdd]:
    """Read a repeated envoy.config.core.v3.HeaderValueOption. Errors: ConfigError."""
    return [read_header_to_add(each) for each in parent.repeated(field)]


def is_protected(name: str) -> bool:
    """Whether no configuration may change a header of this name (in lower case)."""
    return name.startswith(":") or name == "host"


def read_header_to_add(reader: Reader) -> HeaderToAdd:
    """Read an envoy.config.core.v3.HeaderValueOption. Errors: ConfigError."""
    header = reader.required("header")
    name = header.string("key").lower()
    if is_protected(name):
        raise header.error("key", ":-prefixed or host headers may not be modified")
    action = reader.enum("append_action")
    if reader.has("append"):
        if action != "APPEND_IF_EXISTS_OR_ADD":
            raise reader.error("append", "Both append and append_action are set and it's not allowed")
        action = action if reader.boolean("append") else "OVERWRITE_IF_EXISTS_OR_ADD"
    return HeaderToAdd(name.encode(), _read_header_text(header), action, reader.boolean("keep_empty_value"))


def _read_header_text(header: Reader) -> bytes | Formatter:
    # As in Envoy, which adds a header that has only a raw_value without any value.
    header.accept("raw_value")
    text = header.string("value")
    try:
        formatter = Formatter(text, omit_empty_values=True)
    except ValueError as error:
        raise header.error("value", str(error)) from None
    return formatter if formatter.constant is None else formatter.constant
