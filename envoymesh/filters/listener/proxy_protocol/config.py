"""envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol -> factory of its filters."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.listener.factory_context import ListenerFilterFactoryContext
from envoymesh.filters.listener.proxy_protocol.filter import (
    NAMESPACE,
    ProxyProtocolFilter,
    ProxyProtocolFilterSettings,
)
from envoymesh.filters.listener.proxy_protocol.stats import ProxyProtocolErrorStats, ProxyProtocolPrefixStats
from envoymesh.network.listener.filter import ListenerFilterFactory
from envoymesh.stats import sanitize


def proxy_protocol_filter_factory(reader: Reader, context: ListenerFilterFactoryContext) -> ListenerFilterFactory:
    """Read a ProxyProtocol. Errors: ConfigError."""
    if reader.enum("tlv_location") != "DYNAMIC_METADATA":
        raise reader.error("tlv_location", "only DYNAMIC_METADATA is supported by envoymesh")
    disallowed = reader.enums("disallowed_versions")
    if {"V1", "V2"} <= set(disallowed):
        raise reader.error(
            "disallowed_versions",
            "Proxy Protocol filter is misconfigured: all proxy protocol versions are disallowed.",
        )
    passed = reader.message_("pass_through_tlvs")
    prefix = reader.string("stat_prefix")
    scope = context.scope.scope(f"proxy_proto.{sanitize(prefix)}." if prefix else "proxy_proto.")
    settings = ProxyProtocolFilterSettings(
        stats=ProxyProtocolPrefixStats.create(scope),
        errors=ProxyProtocolErrorStats.create(context.scope),
        allow_requests_without_proxy_protocol=reader.boolean("allow_requests_without_proxy_protocol"),
        allow_v1="V1" not in disallowed,
        allow_v2="V2" not in disallowed,
        rules=dict(_read_rule(each) for each in reader.repeated("rules")),
        passes_all=passed is not None and passed.enum("match_type") == "INCLUDE_ALL",
        passes=frozenset(() if passed is None else (each & 0xFF for each in passed.integers("tlv_type"))),
    )
    return lambda: ProxyProtocolFilter(settings)


def default_proxy_protocol_filter(context: ListenerFilterFactoryContext) -> ListenerFilterFactory:
    """What the deprecated `FilterChain.use_proxy_proto` stands for."""
    stats = ProxyProtocolPrefixStats.create(context.scope.scope("proxy_proto."))
    settings = ProxyProtocolFilterSettings(stats, ProxyProtocolErrorStats.create(context.scope))
    return lambda: ProxyProtocolFilter(settings)


def _read_rule(reader: Reader) -> tuple[int, tuple[str, str]]:
    place = reader.message_("on_tlv_present")
    kind = reader.integer("tlv_type") & 0xFF
    if place is None:
        return kind, (NAMESPACE, "")
    return kind, (place.string("metadata_namespace") or NAMESPACE, place.string("key"))
