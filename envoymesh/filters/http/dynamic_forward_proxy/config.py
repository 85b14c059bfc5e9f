"""envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig -> factory of its filters; PerRouteConfig."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.http.dynamic_forward_proxy.filter import (
    DynamicForwardProxyFilter,
    DynamicForwardProxySettings,
    HostRewrite,
)
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory
from envoymesh.router.config import RouteFactoryContext
from envoymesh.upstream.dynamic_forward_proxy.config import read_dns_cache


def dynamic_forward_proxy_filter_factory(reader: Reader, context: HttpFilterFactoryContext) -> FilterFactory:
    """Read a FilterConfig. Errors: ConfigError."""
    reader.refuse("sub_cluster_config", "is not supported by envoymesh")
    if reader.boolean("allow_dynamic_host_from_filter_state"):
        raise reader.error("allow_dynamic_host_from_filter_state", "is not supported by envoymesh (value: true)")
    cache = read_dns_cache(reader.required("dns_cache_config"))
    try:
        found = context.clusters.dns_caches.get(cache)
    except ConfigError as error:
        raise reader.error("dns_cache_config", error.message) from error
    settings = DynamicForwardProxySettings(found, context.clusters, reader.boolean("save_upstream_address"))

    def add(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_decoder_filter(DynamicForwardProxyFilter(settings))

    return add


def read_dynamic_forward_proxy_route(reader: Reader, context: RouteFactoryContext) -> HostRewrite:
    """Read a PerRouteConfig. Errors: ConfigError."""
    if reader.which("host_rewrite_specifier") == "host_rewrite_header":
        return HostRewrite(header=reader.string("host_rewrite_header").lower().encode())
    return HostRewrite(literal=reader.string("host_rewrite_literal").encode())
