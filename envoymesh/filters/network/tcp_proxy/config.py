"""envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy -> factory of TCP proxy filters.

What only balancers that are not here ask for (`hash_policy`, `metadata_match`), tunnels (`tunneling_config`), clusters
on demand (`on_demand`) and PROXY protocol (`proxy_protocol_tlvs`) are not read, and so refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from envoymesh.access_loggers.config import AccessLogFactoryContext, read_access_log
from envoymesh.config.reader import Reader
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext
from envoymesh.filters.network.tcp_proxy.factory import TcpProxyFilterFactory
from envoymesh.filters.network.tcp_proxy.proxy_config import TcpProxyConfig
from envoymesh.filters.network.tcp_proxy.settings import TcpProxySettings
from envoymesh.filters.network.tcp_proxy.stats import TcpProxyStats
from envoymesh.stats import sanitize


def tcp_proxy_filter_factory(reader: Reader, context: NetworkFilterFactoryContext) -> TcpProxyFilterFactory:
    """Read one TCP proxy filter. Errors: ConfigError with the field's path."""
    scope = context.store.scope(f"tcp.{sanitize(reader.string('stat_prefix'))}.")
    return TcpProxyFilterFactory(
        TcpProxyConfig(
            settings=read_tcp_proxy(reader, context.access_logs),
            stats=TcpProxyStats.create(scope),
            clusters=context.clusters,
            dispatcher=context.dispatcher,
            random=context.random,
        )
    )


def read_tcp_proxy(reader: Reader, access_logs: AccessLogFactoryContext) -> TcpProxySettings:
    """Read the settings. Errors: ConfigError with the field's path."""
    # Of no effect in Envoy either.
    reader.accept("downstream_idle_timeout", "upstream_idle_timeout")
    mode = reader.enum("upstream_connect_mode")
    early = reader.integer("max_early_data_bytes") if reader.has("max_early_data_bytes") else None
    if early is None and mode != "IMMEDIATE":
        raise reader.error(
            "max_early_data_bytes", "max_early_data_bytes must be set when upstream_connect_mode is not IMMEDIATE"
        )
    idle_timeout = reader.duration("idle_timeout", 3600.0)
    flushing = _read_flushing(reader)
    return TcpProxySettings(
        clusters=_read_clusters(reader),
        idle_timeout=0.0 if idle_timeout is None else idle_timeout,
        max_connect_attempts=reader.integer("max_connect_attempts", 1),
        backoff=_read_backoff(reader.message_("backoff_options")),
        connect_on_data=mode == "ON_DOWNSTREAM_DATA",
        max_early_data_bytes=early,
        max_downstream_connection_duration=reader.duration("max_downstream_connection_duration") or 0.0,
        max_downstream_connection_duration_jitter=(
            reader.percent("max_downstream_connection_duration_jitter_percentage") or 0.0
        ),
        access_logs=tuple(read_access_log(each, access_logs) for each in reader.repeated("access_log")),
        access_log_flush_interval=flushing.interval,
        flush_access_log_on_connected=flushing.on_connected,
    )


def _read_clusters(reader: Reader) -> tuple[tuple[str, int], ...]:
    weighted = reader.message_("weighted_clusters")
    if weighted is None:
        return ((reader.string("cluster"), 1),)
    return tuple((each.string("name"), each.integer("weight")) for each in weighted.repeated("clusters"))


def _read_backoff(reader: Reader | None) -> tuple[float, float] | None:
    if reader is None:
        return None
    base = reader.duration("base_interval") or 0.0
    longest = reader.duration("max_interval", base * 10) or 0.0
    if longest < base:
        raise reader.error("max_interval", "max_backoff_interval must be greater or equal to base_backoff_interval")
    return base, longest


@dataclass(frozen=True, slots=True)
class _Flushing:
    interval: float
    on_connected: bool


def _read_flushing(reader: Reader) -> _Flushing:
    """TcpAccessLogOptions, or the two deprecated fields in its place."""
    old = _Flushing(
        reader.duration("access_log_flush_interval") or 0.0, reader.boolean("flush_access_log_on_connected")
    )
    options = reader.message_("access_log_options")
    if options is None:
        return old
    if old.on_connected or old.interval:
        field = "flush_access_log_on_connected" if old.on_connected else "access_log_flush_interval"
        raise reader.error(field, f"Only one of {field} or access_log_options can be specified.")
    return _Flushing(
        options.duration("access_log_flush_interval") or 0.0, options.boolean("flush_access_log_on_connected")
    )
