"""Clusters read from Envoy's messages: what is taken over, its defaults, and what is refused where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.network.api import Address
from envoymesh.upstream.config import HTTP_OPTIONS, PROXY_PROTOCOL, read_cluster
from envoymesh.upstream.discovery.config import DYNAMIC_FORWARD_PROXY as FORWARD_PROXY
from envoymesh.upstream.lb.settings import ROUND_ROBIN, RandomSettings
from envoymesh.upstream.settings import (
    ClusterSettings,
    DnsCacheSettings,
    DnsSettings,
    ProxyProtocolSettings,
    RetryBudgetSettings,
    ThresholdSettings,
)
from tests.support.fakes import FakeRuntime

PATH = "static_resources.clusters[0]"
TLS = {
    "name": "envoy.transport_sockets.tls",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "example.com",
    },
}


def read(*, runtime: Mapping[str, int] | None = None, **fields: Any) -> ClusterSettings:
    """A cluster named `c`; nothing may be left unread."""
    message_class("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")
    message_class(HTTP_OPTIONS)
    message = json_format.ParseDict({"name": "c", **fields}, message_class("envoy.config.cluster.v3.Cluster")())
    reader = Reader(message, PATH)
    settings = read_cluster(reader, FakeRuntime(runtime))
    reader.finish()
    return settings


def refused(**fields: Any) -> tuple[str, str]:
    """Where below the cluster, and why."""
    with pytest.raises(ConfigError) as caught:
        read(**fields)
    return caught.value.path.removeprefix(PATH + "."), caught.value.message


def endpoints(*addresses: tuple[str, int], locality: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    listed = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}, **more}
        for host, port in addresses
    ]
    return {"cluster_name": "c", "endpoints": [{"lb_endpoints": listed, **(locality or {})}]}


def http(**options: Any) -> dict[str, Any]:
    return {HTTP_OPTIONS: {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", **options}}


def test_defaults_are_envoys() -> None:
    settings = read()
    assert settings == ClusterSettings(name="c", stat_name="c", endpoints=[])
    assert (settings.discovery_type, settings.lb, settings.protocol) == ("STATIC", ROUND_ROBIN, "HTTP1")
    assert (settings.connect_timeout, settings.dns_refresh_rate, settings.idle_timeout) == (5.0, 5.0, 3600.0)
    assert settings.default_thresholds == ThresholdSettings(1024, 1024, 1024, 3)


def test_plain_fields() -> None:
    settings = read(
        alt_stat_name="other",
        type="STRICT_DNS",
        lb_policy="RANDOM",
        connect_timeout="0.25s",
        per_connection_buffer_limit_bytes=32768,
        dns_refresh_rate="1s",
        dns_jitter="0.5s",
        dns_lookup_family="V4_ONLY",
        respect_dns_ttl=True,
        common_lb_config={"healthy_panic_threshold": {"value": 20}},
        wait_for_warm_on_init=False,
        cleanup_interval="5s",
    )
    assert (settings.name, settings.stat_name, settings.lb) == ("c", "other", RandomSettings())
    assert (settings.connect_timeout, settings.per_connection_buffer_limit_bytes) == (0.25, 32768)
    assert (settings.dns_refresh_rate, settings.dns_jitter, settings.dns_lookup_family) == (1.0, 0.5, "V4_ONLY")
    assert settings.respect_dns_ttl
    assert settings.healthy_panic_percent == 20


@pytest.mark.parametrize(
    ("config", "panics", "closes"),
    [
        ({}, 50, False),
        ({"close_connections_on_host_set_change": True, "healthy_panic_threshold": {"value": 0.5}}, 1, True),
        ({"update_merge_window": "5s", "ignore_new_hosts_until_first_hc": True}, 50, False),
    ],
)
def test_common_lb_config(config: dict[str, Any], panics: int, closes: bool) -> None:
    settings = read(common_lb_config=config)
    assert (settings.healthy_panic_percent, settings.close_connections_on_host_set_change) == (panics, closes)


SERVER = {"socket_address": {"address": "127.0.0.1", "port_value": 5353}}
OTHER = {"socket_address": {"address": "::1", "port_value": 0}}
CARES = {
    "name": "envoy.network.dns_resolver.cares",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        "resolvers": [OTHER],
        "dns_resolver_options": {"no_default_search_domain": True},
    },
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dns_resolvers": [SERVER, OTHER]}, DnsSettings((Address("127.0.0.1", 5353), Address("::1", 53)))),
        ({"use_tcp_for_dns_lookups": True}, DnsSettings(use_tcp_for_dns_lookups=True)),
        ({"dns_resolution_config": {"resolvers": [SERVER]}, "use_tcp_for_dns_lookups": True},
         DnsSettings((Address("127.0.0.1", 5353),))),
        ({"dns_resolution_config": {"dns_resolver_options": {"use_tcp_for_dns_lookups": True}}},
         DnsSettings(use_tcp_for_dns_lookups=True)),
        ({"typed_dns_resolver_config": CARES, "dns_resolution_config": {"resolvers": [SERVER]}},
         DnsSettings((Address("::1", 53),), no_default_search_domain=True)),
    ],
)  # fmt: skip
def test_who_is_asked_for_names(fields: dict[str, Any], expected: DnsSettings) -> None:
    message_class(CARES["typed_config"]["@type"].rpartition("/")[2])
    assert read(type="STRICT_DNS", **fields).dns == expected


def test_another_resolver_is_refused() -> None:
    kind = "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig"
    message_class(kind)
    typed = {"name": "x", "typed_config": {"@type": f"type.googleapis.com/{kind}"}}
    assert refused(typed_dns_resolver_config=typed) == (
        "typed_dns_resolver_config.typed_config", f"DNS resolver {kind} is not supported by envoymesh",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ({"base_interval": "2s", "max_interval": "10s"}, (2.0, 10.0)),
        ({"base_interval": "2s"}, (2.0, 20.0)),
    ],
)
def test_back_off_after_dns_failures(rate: dict[str, str], expected: tuple[float, float]) -> None:
    assert read(type="STRICT_DNS", dns_failure_refresh_rate=rate).dns_failure_refresh_rate == expected


def test_circuit_breakers_by_priority_first_one_wins() -> None:
    settings = read(
        circuit_breakers={
            "thresholds": [
                {"max_connections": 1, "max_pending_requests": 2, "max_requests": 3, "max_retries": 4},
                {"priority": "HIGH", "max_retries": 9, "track_remaining": True},
                {"max_connections": 7},
            ]
        }
    )
    assert settings.default_thresholds == ThresholdSettings(1, 2, 3, 4)
    assert settings.high_thresholds == ThresholdSettings(max_retries=9, track_remaining=True)


def test_a_limit_that_is_set_leaves_the_others_as_they_are() -> None:
    settings = read(circuit_breakers={"thresholds": [{"max_connections": 7}]})
    assert settings.default_thresholds == ThresholdSettings(7, 1024, 1024, 3)


def test_the_window_of_changes_of_health() -> None:
    assert read(common_lb_config={"update_merge_window": "0s"}).update_merge_window == 0.0
    assert read(common_lb_config={"update_merge_window": "3s"}).update_merge_window == 3.0
    assert read(common_lb_config={}).update_merge_window == read().update_merge_window == 1.0


def test_a_budget_of_retries() -> None:
    def budget(**fields: Any) -> RetryBudgetSettings | None:
        return read(circuit_breakers={"thresholds": [{"retry_budget": fields}]}).default_thresholds.retry_budget

    assert budget() == RetryBudgetSettings(20.0, 3)
    assert budget(budget_percent={"value": 12.5}, min_retry_concurrency=1) == RetryBudgetSettings(12.5, 1)
    assert read().default_thresholds.retry_budget is None


def test_limits_of_pools_and_of_each_host() -> None:
    limits = read(
        circuit_breakers={
            "thresholds": [{"max_connection_pools": 2, "max_requests": 9}],
            "per_host_thresholds": [
                {"max_connections": 4, "track_remaining": True},
                {"max_connections": 5},
                {"priority": "HIGH"},
            ],
        }
    )
    assert limits.default_thresholds == ThresholdSettings(
        max_requests=9, max_connection_pools=2, max_connections_per_host=4
    )
    assert limits.high_thresholds == ThresholdSettings()


# Endpoints


def test_endpoints_with_locality_weight_and_health() -> None:
    locality = {"locality": {"region": "r", "zone": "z", "sub_zone": "s"}, "load_balancing_weight": 5}
    assignment = endpoints(
        ("10.0.0.1", 80), ("::1", 81), locality=locality, load_balancing_weight=3, health_status="DRAINING"
    )
    first, second = read(load_assignment=assignment).endpoints
    assert (first.host, first.port, first.weight, first.health_status) == ("10.0.0.1", 80, 3, "DRAINING")
    assert (second.host, second.locality) == ("::1", ("r", "z", "s"))


def test_a_host_at_a_pipe() -> None:
    assignment = endpoints(("x", 1))
    assignment["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = {"pipe": {"path": "/run/x.sock"}}
    (endpoint,) = read(load_assignment=assignment).endpoints
    assert (endpoint.host, endpoint.port, endpoint.is_pipe, endpoint.hostname) == ("/run/x.sock", 0, True, "")
    where, why = refused(type="STRICT_DNS", load_assignment=assignment)
    assert where == "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address"
    assert why == "a STRICT_DNS cluster has names to resolve: a pipe needs the type STATIC"


def test_the_host_name_is_the_dns_name_or_what_is_set() -> None:
    assert read(load_assignment=endpoints(("10.0.0.1", 80))).endpoints[0].hostname == ""
    assert read(type="STRICT_DNS", load_assignment=endpoints(("name", 80))).endpoints[0].hostname == "name"
    assignment = endpoints(("name", 80))
    assignment["endpoints"][0]["lb_endpoints"][0]["endpoint"]["hostname"] = "set"
    assert read(type="STRICT_DNS", load_assignment=assignment).endpoints[0].hostname == "set"


def test_a_static_cluster_has_no_names() -> None:
    where, why = refused(load_assignment=endpoints(("10.0.0.1", 80), ("name", 80)))
    assert where == "load_assignment.endpoints[0].lb_endpoints[1].endpoint.address"
    assert why.startswith("malformed IP address: name.")


@pytest.mark.parametrize("addresses", [[], [("a", 80), ("b", 80)]])
def test_a_logical_cluster_has_one_endpoint(addresses: list[tuple[str, int]]) -> None:
    assert refused(type="LOGICAL_DNS", load_assignment=endpoints(*addresses))[0] == "load_assignment"


# Protocols


def test_http2_explicitly() -> None:
    options = http(
        common_http_protocol_options={
            "idle_timeout": "10s",
            "max_connection_duration": "60s",
            "max_requests_per_connection": 7,
            "max_headers_count": 50,
        },
        explicit_http_config={"http2_protocol_options": {"max_concurrent_streams": 9}},
    )
    settings = read(typed_extension_protocol_options=options)
    assert settings.protocol == "HTTP2"
    assert (settings.http2.max_concurrent_streams, settings.http2.max_headers_count) == (9, 50)
    assert (settings.idle_timeout, settings.max_connection_duration, settings.max_requests_per_connection) == (
        10.0, 60.0, 7,
    )  # fmt: skip


def test_an_idle_timeout_of_zero_is_none() -> None:
    options = http(
        common_http_protocol_options={"idle_timeout": "0s"}, explicit_http_config={"http_protocol_options": {}}
    )
    assert read(typed_extension_protocol_options=options).idle_timeout == 0.0


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"explicit_http_config": {"http_protocol_options": {}}}, "HTTP1"),
        ({"use_downstream_protocol_config": {}}, "DOWNSTREAM"),
        ({"use_downstream_protocol_config": {"http2_protocol_options": {}}}, "DOWNSTREAM"),
        ({"auto_config": {}}, "ALPN"),
    ],
)
def test_other_protocol_choices(options: dict[str, Any], kind: str) -> None:
    settings = read(typed_extension_protocol_options=http(**options), transport_socket=TLS)
    assert settings.protocol == kind


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"protocol_selection": "USE_DOWNSTREAM_PROTOCOL"}, "DOWNSTREAM"),
        ({"protocol_selection": "USE_DOWNSTREAM_PROTOCOL", "http2_protocol_options": {}, "http_protocol_options": {}},
         "DOWNSTREAM"),
        ({"protocol_selection": "USE_CONFIGURED_PROTOCOL", "http2_protocol_options": {}}, "HTTP2"),
        ({"http_protocol_options": {"use_balsa_parser": False}}, "HTTP1"),
        ({"http2_protocol_options": {"use_oghttp2_codec": True}}, "HTTP2"),
        ({"http_protocol_options": {}, "http2_protocol_options": {}, "typed_extension_protocol_options":
          http(explicit_http_config={"http_protocol_options": {}})}, "HTTP1"),
    ],
)  # fmt: skip
def test_the_older_choice_of_a_protocol(fields: dict[str, Any], kind: str) -> None:
    assert read(**fields).protocol == kind


def test_the_older_protocols_exclude_each_other() -> None:
    where, why = refused(http_protocol_options={}, http2_protocol_options={})
    assert where == "http_protocol_options"
    assert why.startswith("cluster: Both HTTP1 and HTTP2 options may only be configured with non-default")


def test_requests_of_a_connection_are_limited_in_one_place() -> None:
    common = {"max_requests_per_connection": 3}
    assert read(typed_extension_protocol_options=http(auto_config={}), max_requests_per_connection=2,
                transport_socket=TLS).max_requests_per_connection == 2  # fmt: skip
    for fields in (
        {"common_http_protocol_options": common},
        {"typed_extension_protocol_options": http(common_http_protocol_options=common, explicit_http_config=
                                                  {"http_protocol_options": {}})},
    ):  # fmt: skip
        assert refused(max_requests_per_connection=2, **fields)[1].startswith("Only one of max_requests_per_connection")


NAMES = {"auto_sni": True, "auto_san_validation": True, "override_auto_sni_header": "X-Name"}


def test_names_from_requests_mean_nothing_without_tls() -> None:
    assert read(upstream_http_protocol_options=NAMES).protocol == "HTTP1"
    assert read(
        typed_extension_protocol_options=http(upstream_http_protocol_options=NAMES, explicit_http_config=
                                              {"http_protocol_options": {}})
    ).protocol == "HTTP1"  # fmt: skip


def test_names_from_requests() -> None:
    names = {"auto_sni": True, "auto_san_validation": True, "override_auto_sni_header": "X-Name"}
    plain = {"explicit_http_config": {"http_protocol_options": {}}}
    for fields in (
        {"upstream_http_protocol_options": names},
        {"typed_extension_protocol_options": http(upstream_http_protocol_options=names, **plain)},
    ):
        settings = read(transport_socket=TLS, **fields)
        assert (settings.auto_sni, settings.auto_san_validation, settings.auto_sni_header) == (True, True, b"x-name")
    assert not read(transport_socket=TLS).auto_sni


def test_who_shares_connections_and_how_long_a_try_may_take() -> None:
    assert read(connection_pool_per_downstream_connection=True).pool_per_downstream_connection
    assert read(common_http_protocol_options={"max_stream_duration": "7s"}).max_stream_duration == 7.0
    assert (read().pool_per_downstream_connection, read().max_stream_duration) == (False, 0.0)


def proxied(**fields: Any) -> dict[str, Any]:
    """A transport socket with a PROXY protocol header before TLS."""
    message_class(PROXY_PROTOCOL)
    typed = {"@type": f"type.googleapis.com/{PROXY_PROTOCOL}", "transport_socket": TLS, **fields}
    return {"name": "p", "typed_config": typed}


def test_the_proxy_protocol() -> None:
    settings = read(transport_socket=proxied())
    assert settings.proxy_protocol == ProxyProtocolSettings(version=1)
    assert settings.tls["HTTP1"].sni == "example.com"
    passed = {"match_type": "INCLUDE", "tlv_type": [5, 262]}
    config = {"version": "V2", "pass_through_tlvs": passed, "added_tlvs": [{"type": 7, "value": "YQ=="}]}
    settings = read(transport_socket=proxied(config=config, tlv_as_pool_key=True))
    assert settings.proxy_protocol == ProxyProtocolSettings(2, False, frozenset({5, 6}), ((7, b"a"),), True)
    match = {"name": "m", "transport_socket": proxied(config={"pass_through_tlvs": {"match_type": "INCLUDE_ALL"}})}
    (matched,) = read(transport_socket_matches=[match]).tls_matches
    assert matched.proxy_protocol == ProxyProtocolSettings(passes_all=True)
    added = [{"type": 7, "format_string": {"text_format_source": {"inline_string": "x"}}}]
    where, why = refused(transport_socket=proxied(config={"added_tlvs": added}))
    assert where == "transport_socket.typed_config.config.added_tlvs[0].format_string"
    assert "not supported" in why


def forward_proxy(cache: Any = None, **fields: Any) -> dict[str, Any]:
    message_class(FORWARD_PROXY)
    kind = f"type.googleapis.com/{FORWARD_PROXY}"
    if "sub_clusters_config" not in fields:
        fields["dns_cache_config"] = cache or {"name": "c"}
    typed = {"@type": kind, **fields}
    named = {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": typed}
    return {"cluster_type": named, "lb_policy": "CLUSTER_PROVIDED"}


def test_a_dynamic_forward_proxy() -> None:
    settings = read(**forward_proxy())
    assert (settings.discovery_type, settings.dns_cache) == ("DYNAMIC_FORWARD_PROXY", DnsCacheSettings("c"))
    assert (settings.auto_sni, settings.auto_san_validation) == (True, True)
    cache = {
        "name": "d", "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "2s", "dns_min_refresh_rate": "3s",
        "dns_failure_refresh_rate": {"base_interval": "4s", "max_interval": "5s"}, "host_ttl": "6s", "max_hosts": 7,
        "dns_query_timeout": "0s", "disable_dns_refresh_on_failure": True, "use_tcp_for_dns_lookups": True,
        "dns_cache_circuit_breaker": {"max_pending_requests": 8},
        "preresolve_hostnames": [{"address": "a", "port_value": 9}],
    }  # fmt: skip
    assert read(**forward_proxy(cache)).dns_cache == DnsCacheSettings(
        "d", "V4_ONLY", 2.0, 3.0, (4.0, 5.0), 6.0, 7, 0.0, True, 8, DnsSettings((), True), (("a", 9),)
    )


def test_who_answers_a_dynamic_forward_proxy() -> None:
    resolvers = {"resolvers": [{"socket_address": {"address": "10.0.0.1", "port_value": 53}}]}
    kind = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
    message_class(kind)
    typed = {"name": "cares", "typed_config": {"@type": f"type.googleapis.com/{kind}", **resolvers}}
    for cache in ({"dns_resolution_config": resolvers}, {"typed_dns_resolver_config": typed}):
        settings = read(**forward_proxy({"name": "c", **cache}))
        assert settings.dns_cache is not None
        assert settings.dns_cache.dns == DnsSettings((Address("10.0.0.1", 53),))


def test_what_a_dynamic_forward_proxy_must_have() -> None:
    insecure = http(explicit_http_config={"http_protocol_options": {}})
    where, why = refused(**forward_proxy(), typed_extension_protocol_options=insecure)
    assert (where, "must have auto_sni and auto_san_validation true" in why) == ("cluster_type", True)
    assert read(**forward_proxy(allow_insecure_cluster_options=True), typed_extension_protocol_options=insecure)
    for fields, path in (
        ({"sub_clusters_config": {}}, "sub_clusters_config"),
        ({"allow_coalesced_connections": True}, "allow_coalesced_connections"),
        ({"cache": {"name": "c", "max_hosts": 1, "preresolve_hostnames": [{"address": "a", "port_value": 1}] * 2}},
         "dns_cache_config.preresolve_hostnames"),
        ({"cache": {"name": "c", "preresolve_hostnames": [{"address": "a", "port_value": 1, "protocol": "UDP"}]}},
         "dns_cache_config.preresolve_hostnames[0].protocol"),
    ):  # fmt: skip
        where, _ = refused(**forward_proxy(**fields))
        assert where == f"cluster_type.typed_config.{path}"


def test_the_clusters_own_deprecated_fields() -> None:
    settings = read(
        http2_protocol_options={"max_concurrent_streams": 9},
        common_http_protocol_options={"idle_timeout": "10s"},
        max_requests_per_connection=3,
    )
    assert (settings.protocol, settings.http2.max_concurrent_streams) == ("HTTP2", 9)
    assert (settings.idle_timeout, settings.max_requests_per_connection) == (10.0, 3)


@pytest.mark.parametrize(
    ("options", "alpn"),
    [
        ({"explicit_http_config": {"http_protocol_options": {}}}, {"HTTP1": ("http/1.1",)}),
        ({"explicit_http_config": {"http2_protocol_options": {}}}, {"HTTP2": ("h2",)}),
        ({"auto_config": {}}, {"ALPN": ("h2", "http/1.1")}),
        ({"use_downstream_protocol_config": {}}, {"HTTP1": ("http/1.1",), "HTTP2": ("h2",)}),
    ],
)
def test_what_tls_offers_is_what_the_pool_speaks(options: dict[str, Any], alpn: dict[str, tuple[str, ...]]) -> None:
    settings = read(typed_extension_protocol_options=http(**options), transport_socket=TLS)
    assert {kind: tls.common.alpn_protocols for kind, tls in settings.tls.items()} == alpn
    assert {tls.sni for tls in settings.tls.values()} == {"example.com"}


def test_alpn_that_is_set_stays() -> None:
    socket = {**TLS, "typed_config": {**TLS["typed_config"], "common_tls_context": {"alpn_protocols": ["x"]}}}  # type: ignore[dict-item]
    settings = read(transport_socket=socket)
    assert settings.tls["HTTP1"].common.alpn_protocols == ("x",)


# Refused


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"type": "EDS"}, "type"),
        ({"transport_socket_matches": [{"name": "m"}]}, "transport_socket_matches[0].transport_socket"),
        ({"lb_policy": "LOAD_BALANCING_POLICY_CONFIG"}, "lb_policy"),
        ({"health_checks": [{"timeout": "1s"}]}, "health_checks"),
        ({"outlier_detection": {"monitors": [{"name": "m"}]}}, "outlier_detection.monitors"),
        (
            {"lb_subset_config": {"subset_selectors": [{"keys": ["a"], "fallback_keys_subset": ["a"]}]}},
            "lb_subset_config.subset_selectors[0].fallback_keys_subset",
        ),
        (
            {"circuit_breakers": {"per_host_thresholds": [{"max_retries": 1}]}},
            "circuit_breakers.per_host_thresholds[0].max_retries",
        ),
        (
            {"typed_extension_protocol_options": http(auto_config={})},
            "typed_extension_protocol_options",
        ),
        (
            {"typed_extension_protocol_options": http(explicit_http_config={"http3_protocol_options": {}})},
            f"typed_extension_protocol_options[{HTTP_OPTIONS}].explicit_http_config.http3_protocol_options",
        ),
        (
            {"typed_extension_protocol_options": {"other": {"@type": f"type.googleapis.com/{HTTP_OPTIONS}"}}},
            "typed_extension_protocol_options",
        ),
        ({"type": "LOGICAL_DNS"}, "load_assignment"),
        (
            {"dns_failure_refresh_rate": {"base_interval": "5s", "max_interval": "1s"}},
            "dns_failure_refresh_rate.max_interval",
        ),
        (
            {
                "typed_extension_protocol_options": {
                    "x": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}
                }
            },
            "typed_extension_protocol_options",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_its_path(fields: dict[str, Any], where: str) -> None:
    assert refused(**fields)[0] == where


# Transport sockets, connections


def test_transport_sockets_by_metadata() -> None:
    raw = {"name": "envoy.transport_sockets.raw_buffer"}
    matches = [
        {"name": "secure", "match": {"a": "b"}, "transport_socket": TLS},
        {"name": "plain", "transport_socket": raw},
    ]
    secure, plain = read(transport_socket_matches=matches).tls_matches
    assert (secure.name, secure.match, secure.tls["HTTP1"].sni) == ("secure", {"a": "b"}, "example.com")
    assert (plain.name, plain.match, plain.tls) == ("plain", {}, {})


def test_connections_in_advance() -> None:
    assert read(preconnect_policy={"per_upstream_preconnect_ratio": 1.5}).preconnect_ratio == 1.5
    assert read(preconnect_policy={"predictive_preconnect_ratio": 2}).predictive_preconnect_ratio == 2.0
    assert (read().preconnect_ratio, read().predictive_preconnect_ratio) == (1.0, 1.0)


def test_connections_to_hosts_that_stay() -> None:
    settings = read(common_lb_config={"close_connections_on_host_set_change": True})
    assert settings.close_connections_on_host_set_change
