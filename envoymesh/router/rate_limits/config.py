"""envoy.config.route.v3.RateLimit -> what makes its descriptors.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from envoymesh.config.reader import Reader
from envoymesh.formatter.config import compile_text
from envoymesh.matching.config import read_header_matcher, read_query_parameter
from envoymesh.router.levels.config import RouteFactoryContext
from envoymesh.router.rate_limits import descriptors
from envoymesh.router.rate_limits.descriptors import RateLimit


def read_rate_limit(reader: Reader, context: RouteFactoryContext) -> RateLimit:
    """Read one entry of `rate_limits`. Errors: ConfigError with the field's path."""
    key = reader.string("disable_key")
    share = context.runtime.share(f"ratelimit.{key}.http_filter_enabled", 1.0) if key else None
    limit, hits = reader.message_("limit"), reader.message_("hits_addend")
    text = "" if hits is None else hits.string("format")
    return RateLimit(
        stage=reader.integer("stage"),
        actions=[_read_rate_limit_action(each) for each in reader.repeated("actions")],
        enabled=None if share is None else lambda: share.holds(context.random),
        limit=None if limit is None else _read_limit_override(limit),
        hits=hits.integer("number") if hits is not None and hits.has("number") else None,
        hits_format=compile_text(hits, "format", text) if hits is not None and text else None,
        apply_on_stream_done=reader.boolean("apply_on_stream_done"),
    )


def _read_limit_override(reader: Reader) -> descriptors.LimitOverride:
    namespace, path = _read_metadata_key(reader.required("dynamic_metadata"))
    return descriptors.LimitOverride(namespace, path)


def _read_metadata_key(reader: Reader) -> tuple[str, Sequence[str]]:
    key = reader.required("metadata_key")
    return key.string("key"), [segment.string("key") for segment in key.repeated("path")]


def _read_rate_limit_action(reader: Reader) -> descriptors.Action:
    kind = reader.which("action_specifier") or ""
    if kind not in _RATE_LIMIT_ACTIONS:
        raise reader.error(kind or "action_specifier", f"rate limit action {kind} is not supported by envoymesh")
    return _RATE_LIMIT_ACTIONS[kind](reader.required(kind))


def _read_request_header(reader: Reader) -> descriptors.Action:
    name, key = reader.string("header_name").lower().encode(), reader.string("descriptor_key").encode()
    return descriptors.RequestHeader(name, key, reader.boolean("skip_if_absent"))


def _read_rate_limited_parameter(reader: Reader) -> descriptors.Action:
    name, key = reader.string("query_parameter_name").encode(), reader.string("descriptor_key").encode()
    return descriptors.QueryParameter(name, key, reader.boolean("skip_if_absent"))


def _read_masked_address(reader: Reader) -> descriptors.Action:
    return descriptors.MaskedRemoteAddress(
        reader.integer("v4_prefix_mask_len", 32), reader.integer("v6_prefix_mask_len", 128)
    )


def _key(reader: Reader, default: str) -> bytes:
    return (reader.string("descriptor_key") or default).encode()


def _read_generic_key(reader: Reader) -> descriptors.Action:
    return descriptors.GenericKey(reader.string("descriptor_value").encode(), _key(reader, "generic_key"))


def _read_header_value_match(reader: Reader) -> descriptors.Action:
    return descriptors.HeaderValueMatch(
        reader.string("descriptor_value").encode(),
        [read_header_matcher(each) for each in reader.repeated("headers")],
        _key(reader, "header_match"),
        reader.boolean("expect_match", True),
    )


def _read_query_parameter_match(reader: Reader) -> descriptors.Action:
    return descriptors.QueryParameterValueMatch(
        reader.string("descriptor_value").encode(),
        [read_query_parameter(each) for each in reader.repeated("query_parameters")],
        _key(reader, "query_match"),
        reader.boolean("expect_match", True),
    )


def _read_metadata_action(reader: Reader) -> descriptors.Action:
    namespace, path = _read_metadata_key(reader)
    key, default = reader.string("descriptor_key").encode(), reader.string("default_value").encode()
    of_route = reader.enum("source") == "ROUTE_ENTRY"
    return descriptors.MetadataValue(key, namespace, path, default, of_route, reader.boolean("skip_if_absent"))


_RATE_LIMIT_ACTIONS: Mapping[str, Callable[[Reader], descriptors.Action]] = {
    "source_cluster": lambda reader: descriptors.SourceCluster(),
    "destination_cluster": lambda reader: descriptors.DestinationCluster(),
    "request_headers": _read_request_header,
    "query_parameters": _read_rate_limited_parameter,
    "remote_address": lambda reader: descriptors.RemoteAddress(),
    "masked_remote_address": _read_masked_address,
    "generic_key": _read_generic_key,
    "header_value_match": _read_header_value_match,
    "query_parameter_value_match": _read_query_parameter_match,
    "metadata": _read_metadata_action,
}
