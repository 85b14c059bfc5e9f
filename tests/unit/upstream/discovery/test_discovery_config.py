"""Where a cluster's hosts come from, as read: types, endpoints by priority and locality, what Envoy refuses."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.network.api import Address
from envoymesh.upstream.discovery.config import AGGREGATE, DNS_CLUSTER, read_discovery
from envoymesh.upstream.settings import ClusterSettings, Locality, OriginalDstSettings

TYPE = "type.googleapis.com/"
PROVIDED = {"lb_policy": "CLUSTER_PROVIDED"}


def read(**fields: Any) -> ClusterSettings:
    """A cluster named `c`; nothing may be left unread."""
    for name in (DNS_CLUSTER, AGGREGATE):
        message_class(name)
    message = json_format.ParseDict({"name": "c", **fields}, message_class("envoy.config.cluster.v3.Cluster")())
    reader = Reader(message, "")
    settings = read_discovery(reader, ClusterSettings(name="c"))
    # Read with the rest of the cluster.
    reader.accept("name", "lb_policy")
    reader.finish()
    return settings


def at(host: str, port: int = 80, **more: Any) -> dict[str, Any]:
    endpoint = {"address": {"socket_address": {"address": host, "port_value": port}}, **more.pop("endpoint", {})}
    return {"endpoint": endpoint, **more}


def assigned(*localities: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"cluster_name": "c", "endpoints": list(localities), **more}


ONE_NAME = assigned({"lb_endpoints": [at("name")]})
TWO_NAMES = assigned({"lb_endpoints": [at("one"), at("two")]})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("envoy.cluster.static", "STATIC"),
        ("envoy.cluster.strict_dns", "STRICT_DNS"),
        ("envoy.cluster.logical_dns", "LOGICAL_DNS"),
        ("envoy.cluster.dns", "STRICT_DNS"),
    ],
)
def test_types_as_extensions(name: str, kind: str) -> None:
    assignment = assigned({"lb_endpoints": [at("10.0.0.1")]})
    assert read(cluster_type={"name": name}, load_assignment=assignment).discovery_type == kind


@pytest.mark.parametrize(("single", "kind"), [(False, "STRICT_DNS"), (True, "LOGICAL_DNS")])
def test_a_dns_cluster_has_settings_of_its_own(single: bool, kind: str) -> None:
    config = {
        "@type": TYPE + DNS_CLUSTER,
        "dns_refresh_rate": "3s",
        "dns_failure_refresh_rate": {"base_interval": "2s", "max_interval": "9s"},
        "dns_jitter": "1s",
        "dns_lookup_family": "V4_PREFERRED",
        "respect_dns_ttl": True,
        "all_addresses_in_single_endpoint": single,
    }
    settings = read(
        cluster_type={"name": "any", "typed_config": config}, load_assignment=ONE_NAME, dns_refresh_rate="9s"
    )
    assert (settings.discovery_type, settings.dns_refresh_rate, settings.dns_jitter) == (kind, 3.0, 1.0)
    assert (settings.dns_lookup_family, settings.respect_dns_ttl) == ("V4_PREFERRED", True)
    assert settings.dns_failure_refresh_rate == (2.0, 9.0)


def test_a_dns_cluster_without_a_family_leaves_it_to_the_names() -> None:
    config = {"@type": TYPE + DNS_CLUSTER}
    settings = read(cluster_type={"name": "any", "typed_config": config}, load_assignment=ONE_NAME)
    assert settings.dns_lookup_family == "AUTO"


def test_an_aggregate_names_its_clusters() -> None:
    config = {"@type": TYPE + AGGREGATE, "clusters": ["a", "b"]}
    settings = read(cluster_type={"name": "x", "typed_config": config}, **PROVIDED)
    assert (settings.discovery_type, settings.aggregated) == ("AGGREGATE", ("a", "b"))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, OriginalDstSettings()),
        ({"use_http_header": True}, OriginalDstSettings(http_header=b"x-envoy-original-dst-host")),
        ({"use_http_header": True, "http_header_name": "X-To"}, OriginalDstSettings(http_header=b"x-to")),
        ({"upstream_port_override": 81}, OriginalDstSettings(port_override=81)),
        (
            {"metadata_key": {"key": "space", "path": [{"key": "a"}, {"key": "b"}]}},
            OriginalDstSettings(metadata_key=("space", "a", "b")),
        ),
    ],
)
def test_original_destinations(config: dict[str, Any], expected: OriginalDstSettings) -> None:
    assert read(type="ORIGINAL_DST", original_dst_lb_config=config, **PROVIDED).original_dst == expected


def test_the_interval_of_cleaning_up() -> None:
    assert read(type="ORIGINAL_DST", cleanup_interval="60s", **PROVIDED).original_dst.cleanup_interval == 60.0


def test_waiting_and_removal() -> None:
    settings = read(wait_for_warm_on_init=False, ignore_health_on_host_removal=True)
    assert (settings.wait_for_warm_on_init, settings.ignore_health_on_host_removal) == (False, True)
    assert (read().wait_for_warm_on_init, read().ignore_health_on_host_removal) == (True, False)


# Endpoints


def test_endpoints_by_priority_and_locality() -> None:
    near = {"locality": {"region": "r", "zone": "z", "sub_zone": "s"}, "load_balancing_weight": 5}
    far = {"locality": {"region": "r"}, "load_balancing_weight": 7, "priority": 2}
    settings = read(
        load_assignment=assigned(
            {**near, "lb_endpoints": [at("10.0.0.1", load_balancing_weight=2**32 - 1, health_status="DEGRADED")]},
            {**far, "lb_endpoints": [at("10.0.0.2"), at("10.0.0.3")]},
            {"load_balancing_weight": 9, "lb_endpoints": [at("10.0.0.4")]},
        )
    )
    assert [(each.host, each.priority, each.locality) for each in settings.endpoints] == [
        ("10.0.0.1", 0, ("r", "z", "s")), ("10.0.0.2", 2, ("r", "", "")), ("10.0.0.3", 2, ("r", "", "")),
        ("10.0.0.4", 0, ("", "", "")),
    ]  # fmt: skip
    assert (settings.endpoints[0].weight, settings.endpoints[0].health_status) == (2**32 - 1, "DEGRADED")
    # A weight without a locality counts for nothing, as in Envoy.
    assert settings.locality_weights == {0: {Locality("r", "z", "s"): 5}, 2: {Locality("r"): 7}}


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [("STATIC", "", ""), ("STATIC", "h", "h"), ("STRICT_DNS", "", "10.0.0.1"), ("STRICT_DNS", "h", "h")],
)
def test_what_a_host_is_called(kind: str, given: str, expected: str) -> None:
    endpoint = at("10.0.0.1", endpoint={"hostname": given})
    assert read(type=kind, load_assignment=assigned({"lb_endpoints": [endpoint]})).endpoints[0].hostname == expected


def test_additional_addresses() -> None:
    more = [{"address": {"socket_address": {"address": host, "port_value": 81}}} for host in ("::1", "10.0.0.2")]
    assignment = assigned({"lb_endpoints": [at("10.0.0.1", endpoint={"additional_addresses": more})]})
    addresses = read(load_assignment=assignment).endpoints[0].additional_addresses
    assert addresses == (Address("::1", 81), Address("10.0.0.2", 81))


def test_metadata_of_endpoints_and_of_their_locality() -> None:
    def of(value: str) -> dict[str, Any]:
        return {"filter_metadata": {"envoy.transport_socket_match": {"a": value}}}

    endpoint = read(
        load_assignment=assigned({"metadata": of("all"), "lb_endpoints": [at("10.0.0.1", metadata=of("one"))]})
    ).endpoints[0]
    assert endpoint.metadata == {"UPSTREAM_HOST": {"envoy.transport_socket_match": {"a": "one"}}}
    assert endpoint.locality_metadata == {"LOCALITY": {"envoy.transport_socket_match": {"a": "all"}}}


def test_the_policy_of_an_assignment() -> None:
    policy = {
        "overprovisioning_factor": 200,
        "weighted_priority_health": True,
        "endpoint_stale_after": "3s",
        "drop_overloads": [{"category": "x", "drop_percentage": {"numerator": 5, "denominator": "TEN_THOUSAND"}}],
    }
    settings = read(load_assignment=assigned(policy=policy))
    assert (settings.overprovisioning_factor, settings.weighted_priority_health) == (200, True)
    assert settings.drop_overload == 0.0005
    assert (read().overprovisioning_factor, read().drop_overload) == (140, 0.0)


def test_a_logical_host_is_of_priority_zero() -> None:
    settings = read(type="LOGICAL_DNS", load_assignment=assigned({"priority": 1, "lb_endpoints": [at("name")]}))
    assert settings.endpoints[0].priority == 0


# Refused


def drops(*numerators: int) -> dict[str, Any]:
    each = [{"category": "x", "drop_percentage": {"numerator": numerator}} for numerator in numerators]
    return {"load_assignment": assigned(policy={"drop_overloads": each})}


@pytest.mark.parametrize(
    ("fields", "where", "why"),
    [
        ({"type": "EDS"}, "type", "EDS is not supported by envoymesh"),
        ({"cluster_type": {"name": "x"}}, "cluster_type.name", "Didn't find a registered cluster factory"),
        ({"type": "ORIGINAL_DST"}, "lb_policy", "cluster: LB policy ROUND_ROBIN is not valid for Cluster type ORIG"),
        (PROVIDED, "lb_policy", "cluster manager: cluster provided LB specified but cluster 'c' did not provide one."),
        (
            {"cluster_type": {"name": "x", "typed_config": {"@type": TYPE + AGGREGATE, "clusters": ["a"]}}},
            "lb_policy",
            "cluster manager: cluster provided LB not specified but cluster 'c' provided one.",
        ),
        (
            {"type": "ORIGINAL_DST", "load_assignment": ONE_NAME, **PROVIDED},
            "load_assignment",
            "ORIGINAL_DST clusters must have no load assignment configured",
        ),
        (
            {"type": "ORIGINAL_DST", "original_dst_lb_config": {"http_header_name": "X-Foo"}, **PROVIDED},
            "original_dst_lb_config.http_header_name",
            "ORIGINAL_DST cluster: invalid config http_header_name=X-Foo and use_http_header is false.",
        ),
        ({"type": "LOGICAL_DNS"}, "load_assignment", "LOGICAL_DNS clusters must have a single host"),
        (
            {"type": "LOGICAL_DNS", "load_assignment": TWO_NAMES},
            "load_assignment",
            "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
        ),
        ({"load_assignment": ONE_NAME}, "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address", "malformed"),
        (
            {"load_assignment": {"cluster_name": "c", "named_endpoints": {"x": at("10.0.0.1")["endpoint"]}}},
            "load_assignment.named_endpoints",
            "field is not supported by envoymesh",
        ),
        (
            drops(1, 2),
            "load_assignment.policy.drop_overloads",
            "Cluster drop_overloads config has 2 categories. Envoy only support one.",
        ),
        (
            drops(101),
            "load_assignment.policy.drop_overloads[0].drop_percentage.numerator",
            "Cluster drop_overloads config is invalid. drop_ratio=1.01(Numerator 101 / Denominator 100). The valid",
        ),
    ],
)
def test_refused(fields: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**fields)
    assert caught.value.path == where
    assert caught.value.message.startswith(why)


def test_a_dns_cluster_may_name_its_servers() -> None:
    cares = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
    message_class(cares)
    servers = [{"socket_address": {"address": "10.0.0.53", "port_value": 5353}}]
    resolver = {"name": "r", "typed_config": {"@type": TYPE + cares, "resolvers": servers}}
    config = {"@type": TYPE + DNS_CLUSTER, "typed_dns_resolver_config": resolver}
    settings = read(cluster_type={"name": "any", "typed_config": config}, load_assignment=ONE_NAME)
    assert settings.dns.resolvers == (Address("10.0.0.53", 5353),)
