"""DnsCacheConfig and the dynamic forward proxy's ClusterConfig -> settings."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.upstream.discovery.config import read_failure_rate, read_resolver
from envoymesh.upstream.settings import DnsCacheSettings


def read_dns_cache(reader: Reader) -> DnsCacheSettings:
    """Read a DnsCacheConfig. Errors: ConfigError with the field's path."""
    family = reader.enum("dns_lookup_family")
    breaker = reader.message_("dns_cache_circuit_breaker")
    settings = DnsCacheSettings(
        name=reader.string("name"),
        dns_lookup_family="AUTO" if family == "UNSPECIFIED" else family,
        dns_refresh_rate=reader.duration("dns_refresh_rate", 60.0) or 60.0,
        dns_min_refresh_rate=reader.duration("dns_min_refresh_rate", 5.0) or 5.0,
        dns_failure_refresh_rate=read_failure_rate(reader),
        host_ttl=reader.duration("host_ttl", 300.0) or 300.0,
        max_hosts=reader.integer("max_hosts", 1024),
        dns_query_timeout=_or(reader.duration("dns_query_timeout"), 5.0),
        disable_dns_refresh_on_failure=reader.boolean("disable_dns_refresh_on_failure"),
        max_pending_requests=1024 if breaker is None else breaker.integer("max_pending_requests", 1024),
        dns=read_resolver(reader),
        preresolve=tuple(_read_name(each) for each in reader.repeated("preresolve_hostnames")),
    )
    if len(settings.preresolve) > settings.max_hosts:
        raise reader.error(
            "preresolve_hostnames",
            f"DNS Cache [{settings.name}] configured with preresolve_hostnames={len(settings.preresolve)} larger than "
            f"max_hosts={settings.max_hosts}",
        )
    return settings


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _read_name(reader: Reader) -> tuple[str, int]:
    if reader.enum("protocol") != "TCP":
        raise reader.error("protocol", "only TCP is supported (value: UDP)")
    reader.refuse("named_port")
    reader.refuse("resolver_name")
    return reader.string("address"), reader.integer("port_value")


def read_dynamic_forward_proxy(reader: Reader) -> tuple[DnsCacheSettings, bool]:
    """Read a ClusterConfig: its cache, and whether TLS may go without the names of requests. Errors: ConfigError."""
    reader.refuse("sub_clusters_config", "is not supported by envoymesh")
    if reader.boolean("allow_coalesced_connections"):
        raise reader.error("allow_coalesced_connections", "is not supported by envoymesh (value: true)")
    insecure = reader.boolean("allow_insecure_cluster_options")
    return read_dns_cache(reader.required("dns_cache_config")), insecure
