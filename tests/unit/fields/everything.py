"""A bootstrap with every message that the readers know, so that reading it asks for every field they can read.

Most fields are left unset: a reader asks for them all the same. It must not decide what a field means.
"""

from __future__ import annotations

from typing import Any

from envoymesh.http.config import HTTP2_INTEGERS
from tests.support.python_files import PASSING
from tests.unit.fields.everything_hosts import bind_config, host_clusters
from tests.unit.fields.routing import cluster_specifier, match_routes, matched_hosts, scoped_routes, virtual_clusters

EXT = "type.googleapis.com/envoy.extensions."
TLS = EXT + "transport_sockets.tls.v3."
FILE_LOG = EXT + "access_loggers.file.v3.FileAccessLog"
STRING = {"exact": "a"}
REGEX = {"google_re2": {}, "regex": "a"}
NUMBER = {"op": "GE", "value": {"default_value": 1, "runtime_key": "k"}}
EMPTY: dict[str, Any] = {}
APPEND = {"append": True}
METADATA = {"filter_metadata": {"a": {"b": "c"}}}
ALIVE = {
    "connection_keepalive": {"timeout": "1s", "interval_jitter": {"value": 1}},
    "custom_settings_parameters": [{"identifier": 77, "value": 1}],
}
HTTP2 = {"initial_stream_window_size": 65535, "initial_connection_window_size": 65535}


def bootstrap(certificate: str, key: str, ca_file: str) -> dict[str, Any]:
    """The bootstrap; certificate and key are PEM, and `ca_file` holds a certificate."""
    admin = {"address": _address("127.0.0.1", 0), "access_log": [_log()], "allow_paths": [STRING]}
    layers = [{"name": "s", "static_layer": EMPTY}, {"name": "a", "admin_layer": EMPTY}]
    return {
        "node": {"id": "n"},
        "admin": admin,
        "cluster_manager": {
            "local_cluster_name": "c",
            "upstream_bind_config": bind_config(),
            "outlier_detection": {"event_log_path": "/dev/stdout"},
        },
        "layered_runtime": {"layers": layers},
        "watchdogs": {"main_thread_watchdog": EMPTY, "worker_watchdog": {"multikill_threshold": EMPTY}},
        "static_resources": {
            "listeners": [_listener(certificate, key, ca_file), _network_listener(*_network_filters())],
            "clusters": _clusters(certificate, key, ca_file),
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _certificate(certificate: str, key: str) -> dict[str, Any]:
    return {"certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}


def _tls(kind: str, certificate: str, key: str, ca_file: str) -> dict[str, Any]:
    matchers = [{"san_type": "DNS", "matcher": matcher} for matcher in (STRING, {"safe_regex": REGEX})]
    validation = {"trusted_ca": {"filename": ca_file}, "match_typed_subject_alt_names": matchers}
    common = {
        "tls_certificates": [_certificate(certificate, key)],
        "validation_context": validation,
        "tls_params": EMPTY,
    }
    return {"name": "tls", "typed_config": {"@type": TLS + kind, "common_tls_context": common}}


def _listener(certificate: str, key: str, ca_file: str) -> dict[str, Any]:
    ranges = [{"address_prefix": "10.0.0.0", "prefix_len": 8}]
    match = {"destination_port": 1, "prefix_ranges": ranges, "server_names": ["a"], "source_ports": [1]}
    chain = {"filter_chain_match": match, "filters": [_manager(True)]}
    plain = {"name": "raw_buffer", "typed_config": {"@type": EXT + "transport_sockets.raw_buffer.v3.RawBuffer"}}
    inspector = {"name": "i", "typed_config": {"@type": EXT + "filters.listener.tls_inspector.v3.TlsInspector"}}
    return {
        "name": "l",
        "address": _address("127.0.0.1", 0),
        "additional_addresses": [{"address": _address("::1", 0)}, {"address": {"pipe": {"path": "/tmp/no.sock"}}}],
        "deprecated_v1": EMPTY,
        "listener_filters": [inspector, _proxy_protocol()],
        "metadata": METADATA,
        "access_log": [_log()],
        "filter_chains": [{**chain, "transport_socket": _tls("DownstreamTlsContext", certificate, key, ca_file)}],
        "default_filter_chain": {"filters": [_manager(False)], "transport_socket": plain},
    }


def _proxy_protocol() -> dict[str, Any]:
    typed = {"@type": EXT + "filters.listener.proxy_protocol.v3.ProxyProtocol", "pass_through_tlvs": EMPTY}
    return {"name": "p", "typed_config": {**typed, "rules": [{"tlv_type": 5, "on_tlv_present": {"key": "a"}}]}}


def _dns_cache() -> dict[str, Any]:
    failures = {"base_interval": "1s", "max_interval": "2s"}
    names = [{"address": "a", "port_value": 1}]
    cache = {"name": "d", "dns_failure_refresh_rate": failures, "dns_cache_circuit_breaker": EMPTY}
    return {**cache, "preresolve_hostnames": names}


def _forward_proxy() -> list[dict[str, Any]]:
    """A dynamic forward proxy's cluster, and one behind the PROXY protocol."""
    typed = {"@type": EXT + "clusters.dynamic_forward_proxy.v3.ClusterConfig", "dns_cache_config": _dns_cache()}
    kind = {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": typed}
    raw = {"name": "raw", "typed_config": {"@type": EXT + "transport_sockets.raw_buffer.v3.RawBuffer"}}
    config = {"pass_through_tlvs": EMPTY, "added_tlvs": [{"type": 5, "value": "YQ=="}]}
    around = {"@type": EXT + "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport", "config": config}
    socket = {"name": "p", "typed_config": {**around, "transport_socket": raw}}
    return [
        {"name": "f", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": kind},
        {"name": "p", "transport_socket": socket, "preconnect_policy": EMPTY},
    ]


def _network_listener(*filters: dict[str, Any]) -> dict[str, Any]:
    """A listener whose chains end with each of these."""
    port = iter(range(1, 100))
    chains = [{"filter_chain_match": {"destination_port": next(port)}, "filters": [each]} for each in filters]
    return {"name": "n", "address": _address("127.0.0.1", 0), "filter_chains": chains}


def _network_filters() -> list[dict[str, Any]]:
    tcp = {"@type": EXT + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "access_log": [_log()]}
    backoff = {"base_interval": "1s", "max_interval": "2s"}
    logging = {"access_log_options": {"access_log_flush_interval": "1s"}}
    weights = {"weighted_clusters": {"clusters": [{"name": "c", "weight": 1}]}}
    direct = {"@type": EXT + "filters.network.direct_response.v3.Config", "response": {"inline_string": "a"}}
    early = {"upstream_connect_mode": "ON_DOWNSTREAM_DATA", "max_early_data_bytes": 1}
    configs = [{**tcp, "cluster": "c", "backoff_options": backoff, **early}, {**tcp, **weights, **logging}, direct]
    return [{"name": "f", "typed_config": each} for each in configs]


def _manager(newer: bool) -> dict[str, Any]:
    """A connection manager; of two ways to say a thing, the newer one or the older."""
    logging = {"access_log_options": {"access_log_flush_interval": "1s"}} if newer else EMPTY
    router = {"name": "r", "typed_config": {"@type": EXT + "filters.http.router.v3.Router"}}
    dynamic = {"@type": EXT + "filters.http.dynamic_forward_proxy.v3.FilterConfig"}
    manager = {
        "@type": EXT + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "m",
        "local_reply_config": _local_replies(),
        "common_http_protocol_options": EMPTY,
        "http_protocol_options": {
            "header_key_format": {"proper_case_words": EMPTY},
            "ignore_http_11_upgrade": [{"exact": "a"}],
        },
        "upgrade_configs": [{"upgrade_type": "a", "filters": [router]}],
        "http2_protocol_options": ALIVE
        | HTTP2
        | dict.fromkeys(HTTP2_INTEGERS[4:], 1)
        | dict.fromkeys(HTTP2_INTEGERS[:2], 1),
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
        "access_log": [_log(each) for each in _formats()] + [_log(filter=each) for each in _filters()] + _streams(),
        "http_filters": [
            {"name": "c", "typed_config": {"@type": EXT + "filters.http.cors.v3.Cors"}},
            {"name": "b", "typed_config": {"@type": EXT + "filters.http.buffer.v3.Buffer", "max_request_bytes": 1}},
            {"name": "h", "typed_config": _health_check()},
            {"name": "d", "typed_config": {**dynamic, "dns_cache_config": _dns_cache()}},
            {"name": "p", "typed_config": _python_filter()},
            router,
        ],
        **({"route_config": _routes()} if newer else {"scoped_routes": scoped_routes(_routes())}),
        **logging,
    }
    return {"name": "m", "typed_config": manager}


def _health_check() -> dict[str, Any]:
    config = {"pass_through_mode": True, "cache_time": "1s", "headers": [{"name": "a", "present_match": True}]}
    percentages = {"cluster_min_healthy_percentages": {"c": {"value": 1}}}
    return {"@type": EXT + "filters.http.health_check.v3.HealthCheck", **config, **percentages}


def _formats() -> list[dict[str, Any]]:
    extension = {"name": "f", "typed_config": {"@type": EXT + "formatter.req_without_query.v3.ReqWithoutQuery"}}
    texts = [{"text_format": "a"}, {"json_format": {"a": "b"}}, {"text_format_source": {"inline_string": "a"}}]
    return [
        {"format": "a"},
        {"typed_json_format": {"a": "b"}},
        {"log_format": {"formatters": [extension], **texts[0]}},
        *({"log_format": text} for text in texts[1:]),
    ]


def _filters() -> list[dict[str, Any]]:
    status = {"status_code_filter": {"comparison": NUMBER}}
    return [
        status,
        {"duration_filter": {"comparison": NUMBER}},
        {"not_health_check_filter": EMPTY},
        {"runtime_filter": {"runtime_key": "k", "percent_sampled": {"numerator": 1}}},
        {"and_filter": {"filters": [status, status]}},
        {"or_filter": {"filters": [status, status]}},
        {"header_filter": {"header": {"name": "a"}}},
        {"response_flag_filter": {"flags": ["NR"]}},
        {"grpc_status_filter": {"statuses": ["OK"]}},
        *({"metadata_filter": {"matcher": _matcher(value)}} for value in _values()),
        {"log_type_filter": {"types": ["DownstreamEnd"]}},
    ]


def _matcher(value: dict[str, Any]) -> dict[str, Any]:
    return {"filter": "f", "path": [{"key": "k"}], "value": value}


def _values() -> list[dict[str, Any]]:
    one = {"bool_match": True}
    return [
        {"null_match": EMPTY},
        one,
        {"present_match": True},
        {"string_match": STRING},
        {"list_match": {"one_of": one}},
        {"or_match": {"value_matchers": [one, one]}},
        {"double_match": {"exact": 1}},
        {"double_match": {"range": {"start": 1, "end": 2}}},
    ]


def _python_filter() -> dict[str, Any]:
    kind = "type.googleapis.com/envoymesh.http.PythonFilter"
    value = {"file": PASSING, "class": "Plain"}
    return {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": kind, "value": value}


def _streams() -> list[dict[str, Any]]:
    kinds = ("StdoutAccessLog", "StderrAccessLog")
    return [{"name": kind, "typed_config": {"@type": f"{EXT}access_loggers.stream.v3.{kind}"}} for kind in kinds]


def _log(fields: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    config = {"@type": FILE_LOG, "path": "/dev/stdout", **(fields or {})}
    return {"name": "file", "typed_config": config, **more}


def _routes() -> dict[str, Any]:
    changes = {
        f"{direction}_headers_to_add": [
            {"header": {"key": "a", "value": "b"}, **more} for more in (EMPTY, {"append": True})
        ]
        for direction in ("request", "response")
    }
    retry = {
        "retry_back_off": {"base_interval": "1s"},
        "retry_host_predicate": [_previous_hosts(), _omitted_hosts()],
        "retry_priority": _previous_priorities(),
        "retriable_headers": [{"name": "a"}],
        "retriable_request_headers": [{"name": "a"}],
        "rate_limited_retry_back_off": {"reset_headers": [{"name": "a"}]},
    }
    paths: list[dict[str, Any]] = [
        {"prefix": "/a"}, {"path": "/b"}, {"path_separated_prefix": "/c"}, {"safe_regex": REGEX},
        {"path": "/d"}, {"path": "/e"}, *({"path": f"/{number}"} for number in range(len(_actions()))),
    ]  # fmt: skip
    bodies = ({"inline_bytes": "YQ=="}, {"filename": __file__}, {"environment_variable": "PATH"})
    actions: list[dict[str, Any]] = [
        {"route": {"cluster": "c", "retry_policy": retry}},
        {"redirect": {"prefix_rewrite": "/"}},
        {"redirect": {"path_redirect": "/"}},
        *({"direct_response": {"status": 200, "body": body}} for body in bodies),
        *_actions(),
    ]
    routes = [{"match": path, **action} for path, action in zip(paths, actions, strict=True)]
    routes[0]["match"].update(grpc=EMPTY, headers=_header_matchers(), query_parameters=_query_parameters())
    flags = ("allow_credentials", "allow_private_network_access", "forward_not_matching_preflights")
    shares = ("filter_enabled", "shadow_enabled")
    policy = dict.fromkeys(flags, True) | {name: {"default_value": EMPTY} for name in shares}
    actions[0]["route"]["cors"] = policy
    actions[0]["route"]["request_mirror_policies"] = _mirrors()
    config = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig"}
    per_route = {"@type": EXT + "filters.http.buffer.v3.BufferPerRoute"}
    whole = {**per_route, "buffer": {"max_request_bytes": 1}}
    routes[0]["typed_per_filter_config"] = {
        "b": {**config, "config": whole},
        "c": {"@type": EXT + "filters.http.cors.v3.CorsPolicy", **policy},
    }
    proxied = {"@type": EXT + "filters.http.dynamic_forward_proxy.v3.PerRouteConfig"}
    routes[4]["typed_per_filter_config"] = {"d": {**proxied, "host_rewrite_literal": "a"}}
    routes[5]["typed_per_filter_config"] = {"d": {**proxied, "host_rewrite_header": "a"}}
    routes[1]["typed_per_filter_config"] = {"b": {**config, "disabled": True}}
    routes[3]["typed_per_filter_config"] = {"b": {**config, "config": EMPTY}}
    routes[2]["typed_per_filter_config"] = {"b": {**per_route, "disabled": True}}
    routes += match_routes()
    host = {"name": "v", "domains": ["*"], "routes": routes, "retry_policy": retry, "cors": policy, **changes}
    host["virtual_clusters"] = virtual_clusters()
    plugins = {"cluster_specifier_plugins": [cluster_specifier()]}
    hosts = [host, *matched_hosts()]
    return {"name": "r", "virtual_hosts": hosts, "max_direct_response_body_size_bytes": 100_000, **plugins}


def _mirrors() -> list[dict[str, Any]]:
    changes = [
        {"append": {"header": {"key": "a", "value": "b"}}}, {"remove": "a"},
        {"remove_on_match": {"key_matcher": {"prefix": "a"}}},
    ]  # fmt: skip
    whole = {"cluster": "c", "runtime_fraction": {"default_value": EMPTY}, "request_headers_mutations": changes}
    return [whole, {"cluster_header": "a"}]


def _local_replies() -> dict[str, Any]:
    code = {"status_code_filter": {"comparison": NUMBER}}
    added = [{"header": {"key": "a", "value": "b"}}]
    text = {"text_format": "a"}
    mapper = {"filter": code, "headers_to_add": added, "body": {"inline_string": "a"}, "body_format_override": text}
    mapper["status_code"] = 200
    return {"mappers": [mapper], "body_format": text}


def _actions() -> list[dict[str, Any]]:
    """What routes may do besides the plain things."""
    substitution = {"pattern": REGEX, "substitution": "b"}
    weighted = {"clusters": [{"name": "c", "weight": 1}, {"cluster_header": "a", "weight": 1}]}
    kinds: list[dict[str, Any]] = [
        {"prefix_rewrite": "/", "host_rewrite_literal": "a", "max_stream_duration": EMPTY, "max_grpc_timeout": "1s"},
        {"regex_rewrite": substitution, "host_rewrite_header": "a"},
        {"path_rewrite": "/", "host_rewrite": "a"},
        {"auto_host_rewrite": True},
        {"host_rewrite_path_regex": substitution, "internal_redirect_policy": {"predicates": _predicates()}},
        {"hash_policy": _hash_policies(), "rate_limits": _rate_limits()},
        {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": EMPTY}]},
    ]
    return [
        *({"route": {"cluster": "c", **kind}} for kind in kinds),
        {"route": {"weighted_clusters": weighted}},
        {"route": {"weighted_clusters": {**weighted, "header_name": "a"}}},
        {"route": {"weighted_clusters": {**weighted, "use_hash_policy": True}}},
        {"route": {"cluster_header": "a"}},
        {"redirect": {"regex_rewrite": substitution}},
        {"direct_response": {"status": 200, "body_format": {"text_format": "a"}}},
        {"non_forwarding_action": EMPTY},
        {"filter_action": EMPTY},
    ]


def _predicates() -> list[dict[str, Any]]:
    kinds = (
        "allow_listed_routes.v3.AllowListedRoutesConfig", "previous_routes.v3.PreviousRoutesConfig",
        "safe_cross_scheme.v3.SafeCrossSchemeConfig",
    )  # fmt: skip
    return [{"name": kind, "typed_config": {"@type": EXT + "internal_redirect." + kind}} for kind in kinds]


def _hash_policies() -> list[dict[str, Any]]:
    return [
        {"header": {"header_name": "a", "regex_rewrite": {"pattern": REGEX, "substitution": "b"}}},
        {"cookie": {"name": "a", "attributes": [{"name": "a"}]}},
        {"connection_properties": {"source_ip": True}},
        {"query_parameter": {"name": "a"}},
        {"filter_state": {"key": "a"}},
    ]


def _rate_limits() -> list[dict[str, Any]]:
    key = {"key": "a", "path": [{"key": "b"}]}
    metadata = {"descriptor_key": "a", "metadata_key": key}
    actions: list[dict[str, Any]] = [
        {"source_cluster": EMPTY},
        {"destination_cluster": EMPTY},
        {"request_headers": {"header_name": "a", "descriptor_key": "b"}},
        {"query_parameters": {"query_parameter_name": "a", "descriptor_key": "b"}},
        {"remote_address": EMPTY},
        {"masked_remote_address": EMPTY},
        {"generic_key": {"descriptor_value": "a"}},
        {"header_value_match": {"descriptor_value": "a", "headers": [{"name": "a"}]}},
        {"query_parameter_value_match": {"descriptor_value": "a", "query_parameters": [{"name": "a"}]}},
        {"metadata": metadata},
    ]
    limit = {"dynamic_metadata": {"metadata_key": key}}
    return [{"actions": actions, "limit": limit, "hits_addend": {"number": 1}}, {"actions": actions[:1]}]


def _previous_hosts() -> dict[str, Any]:
    config = {"@type": EXT + "retry.host.previous_hosts.v3.PreviousHostsPredicate"}
    return {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": config}


def _omitted_hosts() -> dict[str, Any]:
    config = {"@type": EXT + "retry.host.omit_host_metadata.v3.OmitHostMetadataConfig"}
    return {"name": "envoy.retry_host_predicates.omit_host_metadata", "typed_config": config}


def _previous_priorities() -> dict[str, Any]:
    config = {"@type": EXT + "retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", "update_frequency": 1}
    return {"name": "envoy.retry_priorities.previous_priorities", "typed_config": config}


def _header_matchers() -> list[dict[str, Any]]:
    strings = [STRING, {"prefix": "a"}, {"suffix": "a"}, {"contains": "a"}, {"safe_regex": REGEX}]
    kinds: list[dict[str, Any]] = [
        {"present_match": True},
        {"range_match": {"start": 1, "end": 2}},
        {"safe_regex_match": REGEX},
        *({f"{kind}_match": "a"} for kind in ("exact", "prefix", "suffix", "contains")),
        *({"string_match": string} for string in strings),
    ]
    return [{"name": "a", **kind} for kind in kinds]


def _query_parameters() -> list[dict[str, Any]]:
    return [{"name": "a", **kind} for kind in ({"string_match": STRING}, {"present_match": True})]


def _clusters(certificate: str, key: str, ca_file: str) -> list[dict[str, Any]]:
    http = {"http_protocol_options": EMPTY, "http2_protocol_options": EMPTY}
    options: list[dict[str, Any]] = [
        {"explicit_http_config": {"http_protocol_options": EMPTY}},
        {"explicit_http_config": {"http2_protocol_options": EMPTY}},
        {"use_downstream_protocol_config": http},
        {"auto_config": http},
    ]
    clusters = [_cluster(f"c{number}", each) for number, each in enumerate(options)]
    clusters[0]["round_robin_lb_config"] = EMPTY
    clusters[3]["transport_socket"] = _tls("UpstreamTlsContext", certificate, key, ca_file)
    legacy = {**_cluster("c", None), **http, "common_http_protocol_options": EMPTY}
    legacy["protocol_selection"] = "USE_DOWNSTREAM_PROTOCOL"
    legacy["upstream_http_protocol_options"] = EMPTY
    dns = {"resolvers": [_address("127.0.0.1", 53)], "dns_resolver_options": {"use_tcp_for_dns_lookups": True}}
    legacy["dns_resolvers"], legacy["dns_resolution_config"] = dns["resolvers"], dns
    typed = {"@type": EXT + "network.dns_resolver.cares.v3.CaresDnsResolverConfig", **dns}
    legacy["typed_dns_resolver_config"] = {"name": "envoy.network.dns_resolver.cares", "typed_config": typed}
    legacy.update(
        least_request_lb_config=EMPTY,
        common_lb_config={"healthy_panic_threshold": {"value": 50}, "zone_aware_lb_config": EMPTY},
        dns_failure_refresh_rate={"base_interval": "1s"},
        circuit_breakers={"thresholds": [{"retry_budget": EMPTY}], "per_host_thresholds": [EMPTY]},
        outlier_detection=EMPTY,
    )
    return [*clusters, legacy, *host_clusters(), *_balancing(), *_forward_proxy()]


def _balancing() -> list[dict[str, Any]]:
    """How clusters balance."""
    double = {"runtime_key": "a", "default_value": 1.0}
    slow = {"slow_start_config": {"slow_start_window": "1s", "aggression": double}}
    hashing = {"consistent_hashing_lb_config": EMPTY}
    zone = {"locality_lb_config": {"zone_aware_lb_config": {"force_local_zone": EMPTY}}}
    subsets = {
        "subset_selectors": [{"keys": ["a", "b"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["a"]}]
    }
    key = {"key": "a", "path": [{"key": "b"}]}
    plain = _policies("random", locality_lb_config={"locality_weighted_lb_config": EMPTY})
    named = {"override_host_sources": [{"header": "a"}, {"metadata": key}], "fallback_policy": plain}
    extensions = [
        _policies("round_robin", **slow, **zone), _policies("least_request", active_request_bias=double), plain,
        _policies("ring_hash", locality_weighted_lb_config=EMPTY, **hashing), _policies("maglev", **hashing),
        _policies("subset", subset_lb_policy=plain, **subsets), _policies("override_host", **named),
    ]  # fmt: skip
    legacy: list[dict[str, Any]] = [
        {"common_lb_config": {"zone_aware_lb_config": EMPTY, "override_host_status": EMPTY}},
        {"common_lb_config": {"locality_weighted_lb_config": EMPTY}},
        {"round_robin_lb_config": slow, "lb_subset_config": subsets},
        {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"active_request_bias": double}},
        {"lb_policy": "RANDOM"},
        {"lb_policy": "RING_HASH", "ring_hash_lb_config": EMPTY, "common_lb_config": hashing},
        {"lb_policy": "MAGLEV", "maglev_lb_config": EMPTY, "common_lb_config": hashing},
    ]
    several = {"policies": 2 * plain["policies"]}
    kinds = [*legacy, *({"load_balancing_policy": each} for each in extensions)]
    kinds.append({"load_balancing_policy": several, "common_lb_config": EMPTY})
    return [{**_cluster(f"b{number}", None), **each} for number, each in enumerate(kinds)]


def _policies(kind: str, **fields: Any) -> dict[str, Any]:
    message = "".join(part.title() for part in kind.split("_"))
    typed = {"@type": f"{EXT}load_balancing_policies.{kind}.v3.{message}", **fields}
    return {"policies": [{"typed_extension_config": {"name": kind, "typed_config": typed}}]}


def _cluster(name: str, options: dict[str, Any] | None) -> dict[str, Any]:
    endpoints = [{"locality": {"region": "r"}, "lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1", 1)}}]}]
    cluster: dict[str, Any] = {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
    if options is not None:
        kind = EXT.rpartition("/")[2] + "upstreams.http.v3.HttpProtocolOptions"
        typed = {"@type": f"type.googleapis.com/{kind}", "common_http_protocol_options": EMPTY, **options}
        cluster["typed_extension_protocol_options"] = {kind: typed}
    return cluster
