"""Where a cluster's hosts come from: its type, how names are resolved, and its endpoints, read from their messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from envoymesh.config.reader import Reader
from envoymesh.network.api import Address
from envoymesh.network.config import read_ip_address, read_pipe
from envoymesh.network.connection.sockets import ip_literal
from envoymesh.upstream.health.config import read_endpoint_health_check
from envoymesh.upstream.lb.settings import ClusterProvidedSettings
from envoymesh.upstream.settings import (
    NO_LOCALITY,
    ClusterSettings,
    DnsSettings,
    EndpointSettings,
    Locality,
    OriginalDstSettings,
)

CARES: Final = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
DNS_PORT: Final = 53
DNS_CLUSTER: Final = "envoy.extensions.clusters.dns.v3.DnsCluster"
FRACTION_DENOMINATORS: Final = {"HUNDRED": 100, "TEN_THOUSAND": 10000, "MILLION": 1000000}
DYNAMIC_FORWARD_PROXY: Final = "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"
AGGREGATE: Final = "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
DISCOVERY_TYPES: Final = ("STATIC", "STRICT_DNS", "LOGICAL_DNS", "ORIGINAL_DST")
ORIGINAL_DST_HEADER: Final = "x-envoy-original-dst-host"

_BY_NAME: Final = {
    "envoy.cluster.static": "STATIC",
    "envoy.cluster.strict_dns": "STRICT_DNS",
    "envoy.cluster.logical_dns": "LOGICAL_DNS",
    "envoy.cluster.original_dst": "ORIGINAL_DST",
}
"""What `cluster_type` calls the types that `type` has as well."""

_WITH_CONFIG: Final = ("envoy.cluster.dns", "envoy.clusters.aggregate", "envoy.clusters.dynamic_forward_proxy")

_PROVIDES_BALANCER: Final = ("ORIGINAL_DST", "AGGREGATE", "DYNAMIC_FORWARD_PROXY")
"""Types that pick hosts themselves, and must be told to (`lb_policy` CLUSTER_PROVIDED)."""


def read_discovery(reader: Reader, settings: ClusterSettings) -> ClusterSettings:
    """Read how a cluster finds its hosts, into its other settings. Errors: ConfigError with the field's path."""
    settings = replace(
        settings,
        wait_for_warm_on_init=reader.boolean("wait_for_warm_on_init", default=True),
        ignore_health_on_host_removal=reader.boolean("ignore_health_on_host_removal"),
    )
    if reader.which("cluster_discovery_type") == "cluster_type":
        settings = _read_extension(reader, reader.required("cluster_type"), settings)
    else:
        settings = _read_names(reader, replace(settings, discovery_type=_read_type(reader)))
    settings = replace(settings, original_dst=_read_original_dst(reader))
    if settings.discovery_type == "ORIGINAL_DST" and reader.has("cluster_type"):
        # As in Envoy, which takes what original_dst_lb_config says for the type alone.
        settings = replace(
            settings, original_dst=OriginalDstSettings(cleanup_interval=settings.original_dst.cleanup_interval)
        )
    _check_policy(reader, settings)
    return _read_assignment(reader, settings)


def _read_type(reader: Reader) -> str:
    kind = reader.enum("type")
    if kind not in DISCOVERY_TYPES:
        raise reader.error("type", f"{kind} is not supported by envoymesh, one of {', '.join(DISCOVERY_TYPES)}")
    return kind


def _read_extension(reader: Reader, extension: Reader, settings: ClusterSettings) -> ClusterSettings:
    """Read `cluster_type`: by the type of its configuration, or by its name, as Envoy finds it."""
    name, config = extension.string("name"), extension.any_("typed_config")
    kind = config.type_name if config is not None else ""
    if kind == AGGREGATE and config is not None:
        _accept_dns(reader)
        return replace(settings, discovery_type="AGGREGATE", aggregated=tuple(config.strings("clusters")))
    if kind == DYNAMIC_FORWARD_PROXY:
        _accept_dns(reader)
        return replace(settings, discovery_type="DYNAMIC_FORWARD_PROXY")
    if kind == DNS_CLUSTER or (name == "envoy.cluster.dns" and config is None):
        _accept_dns(reader)
        return settings_of_dns_cluster(config, settings)
    if name not in _BY_NAME or config is not None:
        raise extension.error(
            "name",
            f"Didn't find a registered cluster factory implementation for name: '{name}'; envoymesh has "
            f"{', '.join(sorted((*_BY_NAME, *_WITH_CONFIG)))}",
        )
    return _read_names(reader, replace(settings, discovery_type=_BY_NAME[name]))


def _read_names(reader: Reader, settings: ClusterSettings) -> ClusterSettings:
    """Read how names are resolved, as a Cluster says it."""
    return replace(_read_dns(reader, settings), dns=_read_servers(reader))


def settings_of_dns_cluster(config: Reader | None, settings: ClusterSettings) -> ClusterSettings:
    """Read a DnsCluster; without any its defaults count."""
    if config is None:
        return replace(settings, discovery_type="STRICT_DNS")
    logical = config.boolean("all_addresses_in_single_endpoint")
    settings = replace(settings, discovery_type="LOGICAL_DNS" if logical else "STRICT_DNS")
    settings = replace(settings, dns=_read_typed(config) or settings.dns)
    return _read_dns(config, settings)


def _read_dns(reader: Reader, settings: ClusterSettings) -> ClusterSettings:
    """Read how names are resolved, which a Cluster and a DnsCluster say with the same fields."""
    family = reader.enum("dns_lookup_family")
    return replace(
        settings,
        dns_refresh_rate=reader.duration("dns_refresh_rate", 5.0) or 5.0,
        dns_failure_refresh_rate=read_failure_rate(reader),
        dns_jitter=reader.duration("dns_jitter", 0.0) or 0.0,
        dns_lookup_family="AUTO" if family == "UNSPECIFIED" else family,
        respect_dns_ttl=reader.boolean("respect_dns_ttl"),
    )


def _read_servers(reader: Reader) -> DnsSettings:
    """The newest of three ways to say it counts, as in Envoy."""
    return read_resolver(reader, tuple(_read_server(each) for each in reader.repeated("dns_resolvers")))


def read_resolver(reader: Reader, servers: tuple[Address, ...] = ()) -> DnsSettings:
    """Read the ways that a DnsCacheConfig has too; `servers` are of the oldest."""
    found = DnsSettings(servers, reader.boolean("use_tcp_for_dns_lookups"))
    older = reader.message_("dns_resolution_config")
    if older is not None:
        found = _read_resolvers(older)
    return _read_typed(reader) or found


def _read_typed(reader: Reader) -> DnsSettings | None:
    newest = reader.any_("typed_dns_resolver_config")
    if newest is None:
        return None
    if newest.type_name != CARES:
        raise newest.error("", f"DNS resolver {newest.type_name} is not supported by envoymesh")
    return _read_resolvers(newest)


def _read_resolvers(reader: Reader) -> DnsSettings:
    """A DnsResolutionConfig or CaresDnsResolverConfig."""
    options = reader.message_("dns_resolver_options")
    return DnsSettings(
        resolvers=tuple(_read_server(each) for each in reader.repeated("resolvers")),
        use_tcp_for_dns_lookups=options is not None and options.boolean("use_tcp_for_dns_lookups"),
        no_default_search_domain=options is not None and options.boolean("no_default_search_domain"),
    )


def _read_server(reader: Reader) -> Address:
    address = read_ip_address(reader)
    return address if address.port else Address(address.host, DNS_PORT)


def _accept_dns(reader: Reader) -> None:
    # As in Envoy of no effect: the type's own message has what counts.
    reader.accept("dns_refresh_rate", "dns_failure_refresh_rate", "dns_jitter", "dns_lookup_family", "respect_dns_ttl")
    reader.accept("dns_resolvers", "use_tcp_for_dns_lookups", "dns_resolution_config", "typed_dns_resolver_config")


def read_failure_rate(reader: Reader) -> tuple[float, float] | None:
    """`dns_failure_refresh_rate` as (base, longest) interval; None when unset."""
    rate = reader.message_("dns_failure_refresh_rate")
    if rate is None:
        return None
    base = rate.duration("base_interval", 1.0) or 1.0
    longest = rate.duration("max_interval", base * 10) or base * 10
    if longest < base:
        raise rate.error("max_interval", f"must not be shorter than base_interval (value: {longest:g}s)")
    return base, longest


def _read_original_dst(reader: Reader) -> OriginalDstSettings:
    """Read `original_dst_lb_config`, which of other types is without effect, as in Envoy."""
    interval = reader.duration("cleanup_interval", 5.0) or 5.0
    config = reader.message_("original_dst_lb_config")
    if config is None:
        return OriginalDstSettings(cleanup_interval=interval)
    name = config.string("http_header_name")
    uses_header = config.boolean("use_http_header")
    if name and not uses_header:
        raise config.error(
            "http_header_name",
            f"ORIGINAL_DST cluster: invalid config http_header_name={name} and use_http_header is false. Set "
            "use_http_header to true if http_header_name is desired.",
        )
    return OriginalDstSettings(
        http_header=(name or ORIGINAL_DST_HEADER).lower().encode() if uses_header else b"",
        port_override=config.integer("upstream_port_override"),
        metadata_key=_read_key(config.message_("metadata_key")),
        cleanup_interval=interval,
    )


def _read_key(reader: Reader | None) -> tuple[str, ...]:
    return () if reader is None else (reader.string("key"), *(each.string("key") for each in reader.repeated("path")))


def _check_policy(reader: Reader, settings: ClusterSettings) -> None:
    policy, kind, name = reader.enum("lb_policy"), settings.discovery_type, settings.name
    if kind == "ORIGINAL_DST" and policy != "CLUSTER_PROVIDED":
        raise reader.error(
            "lb_policy",
            f"cluster: LB policy {policy} is not valid for Cluster type ORIGINAL_DST. Only 'CLUSTER_PROVIDED' is "
            "allowed with cluster type 'ORIGINAL_DST'",
        )
    provides, wants = kind in _PROVIDES_BALANCER, policy == "CLUSTER_PROVIDED"
    if reader.has("load_balancing_policy"):
        wants = isinstance(settings.lb, ClusterProvidedSettings)
    if provides != wants:
        text = f"specified but cluster '{name}' did not provide one"
        if provides:
            text = f"not specified but cluster '{name}' provided one"
        raise reader.error("lb_policy", f"cluster manager: cluster provided LB {text}. Check cluster documentation.")


# Endpoints


def _read_assignment(reader: Reader, settings: ClusterSettings) -> ClusterSettings:
    """Read `load_assignment`: endpoints by priority and locality, and its policy."""
    kind = settings.discovery_type
    assignment = reader.message_("load_assignment")
    endpoints: list[EndpointSettings] = []
    weights: dict[int, dict[Locality, int]] = {}
    if assignment is not None:
        if kind == "ORIGINAL_DST":
            raise reader.error("load_assignment", "ORIGINAL_DST clusters must have no load assignment configured")
        assignment.string("cluster_name")
        assignment.refuse("named_endpoints", "is not supported by envoymesh")
        for locality in assignment.repeated("endpoints"):
            endpoints.extend(_read_locality(locality, kind, weights))
        settings = _read_policy(assignment.message_("policy"), settings)
    if kind == "LOGICAL_DNS":
        _check_logical(reader, assignment, endpoints)
    return replace(settings, endpoints=endpoints, locality_weights=weights)


def _check_logical(reader: Reader, assignment: Reader | None, endpoints: list[EndpointSettings]) -> None:
    if assignment is None:
        raise reader.error("load_assignment", "LOGICAL_DNS clusters must have a single host")
    if len(assignment.repeated("endpoints")) != 1 or len(endpoints) != 1:
        raise reader.error(
            "load_assignment", "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint"
        )


def _read_policy(policy: Reader | None, settings: ClusterSettings) -> ClusterSettings:
    if policy is None:
        return settings
    # Only for EDS: what is in the configuration does not become stale.
    policy.accept("endpoint_stale_after")
    return replace(
        settings,
        overprovisioning_factor=policy.integer("overprovisioning_factor", settings.overprovisioning_factor),
        weighted_priority_health=policy.boolean("weighted_priority_health"),
        drop_overload=_read_drop_overload(policy),
    )


def _read_drop_overload(policy: Reader) -> float:
    drops = policy.repeated("drop_overloads")
    if len(drops) > 1:
        raise policy.error(
            "drop_overloads",
            f"Cluster drop_overloads config has {len(drops)} categories. Envoy only support one.",
        )
    for drop in drops:
        # Only load reports show the category.
        drop.accept("category")
        percentage = drop.message_("drop_percentage")
        return 0.0 if percentage is None else _read_ratio(percentage)
    return 0.0


def _read_ratio(percentage: Reader) -> float:
    numerator, denominator = percentage.integer("numerator"), FRACTION_DENOMINATORS[percentage.enum("denominator")]
    if numerator > denominator:
        raise percentage.error(
            "numerator",
            f"Cluster drop_overloads config is invalid. drop_ratio={numerator / denominator:g}(Numerator {numerator} / "
            f"Denominator {denominator}). The valid range is 0~1.",
        )
    return numerator / denominator


def _read_locality(reader: Reader, kind: str, weights: dict[int, dict[Locality, int]]) -> list[EndpointSettings]:
    """Read one LocalityLbEndpoints; its weight goes to `weights`, by priority."""
    where = reader.message_("locality")
    # As in Envoy a logical host is always of priority 0.
    priority = reader.integer("priority") if kind != "LOGICAL_DNS" else 0
    if kind == "LOGICAL_DNS":
        reader.accept("priority")
    common = EndpointSettings(
        "",
        0,
        locality=NO_LOCALITY
        if where is None
        else Locality(where.string("region"), where.string("zone"), where.string("sub_zone")),
        priority=priority,
        locality_metadata=reader.metadata("LOCALITY"),
    )
    weight = reader.integer("load_balancing_weight")
    if weight and where is not None:
        weights.setdefault(priority, {})[common.locality] = weight
    return [_read_endpoint(each, kind, common) for each in reader.repeated("lb_endpoints")]


def _read_endpoint(reader: Reader, kind: str, common: EndpointSettings) -> EndpointSettings:
    endpoint = reader.required("endpoint")
    host, port, is_pipe = _read_place(endpoint, kind)
    return replace(
        common,
        host=host,
        port=port,
        is_pipe=is_pipe,
        hostname=endpoint.string("hostname") or ("" if kind == "STATIC" else host),
        weight=reader.integer("load_balancing_weight", 1),
        health_status=reader.enum("health_status"),
        metadata=reader.metadata("UPSTREAM_HOST"),
        additional_addresses=tuple(_read_additional(each) for each in endpoint.repeated("additional_addresses")),
        health_check=read_endpoint_health_check(endpoint),
    )


def _read_additional(reader: Reader) -> Address:
    host, port = reader.required("address").socket_address()
    return Address(_read_literal(reader, host), port)


def _read_place(endpoint: Reader, kind: str) -> tuple[str, int, bool]:
    """Host and port, and whether the host is the path of a Unix domain socket."""
    address = endpoint.required("address")
    pipe = read_pipe(address)
    if pipe is None:
        host, port = address.socket_address()
        return _read_literal(endpoint, host) if kind == "STATIC" else host, port, False
    if kind != "STATIC":
        # Envoy takes it, and then has a host that it never resolves.
        raise endpoint.error("address", f"a {kind} cluster has names to resolve: a pipe needs the type STATIC")
    return pipe.host, 0, True


def _read_literal(endpoint: Reader, host: str) -> str:
    try:
        return ip_literal(host)
    except (ValueError, OSError):
        raise endpoint.error(
            "address",
            f"malformed IP address: {host}. Consider setting resolver_name or setting cluster type to "
            "'STRICT_DNS' or 'LOGICAL_DNS'",
        ) from None
