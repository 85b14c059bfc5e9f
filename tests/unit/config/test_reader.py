"""Tests of envoymesh.config.reader: what is read, and that what nobody read is refused by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.errors import MultipleConfigError
from envoymesh.config.messages import message_class
from envoymesh.config.reader import UNREAD, Reader
from envoymesh.config.source import Source
from envoymesh.errors import ConfigError

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def read(type_name: str, settings: dict[str, Any], path: str = "", source: Source | None = None) -> Reader:
    message_class("envoy.extensions.filters.http.router.v3.Router")
    return Reader(json_format.ParseDict(settings, message_class(type_name)()), path, source)


def cluster(**settings: Any) -> Reader:
    return read("envoy.config.cluster.v3.Cluster", settings, "static_resources.clusters[0]")


def address(**settings: Any) -> Reader:
    return read("envoy.config.endpoint.v3.Endpoint", {"address": settings})


def test_scalars_and_their_defaults() -> None:
    reader = cluster(name="a", type="STRICT_DNS", connect_timeout="0.25s", per_connection_buffer_limit_bytes=7)
    assert reader.string("name") == "a"
    assert reader.string("alt_stat_name", "none") == "none"
    assert reader.enum("type") == "STRICT_DNS"
    assert reader.duration("connect_timeout") == 0.25
    assert reader.duration("dns_refresh_rate") is None
    assert reader.duration("dns_refresh_rate", 5.0) == 5.0
    assert reader.integer("per_connection_buffer_limit_bytes", 1) == 7
    assert reader.integer("max_requests_per_connection", 9) == 9
    assert reader.boolean("respect_dns_ttl") is False
    assert reader.which("cluster_discovery_type") == "type"
    assert reader.which("lb_config") is None
    reader.finish()


def test_a_wrapper_that_is_set_to_its_zero_is_set() -> None:
    reader = read(HCM, {"generate_request_id": False})
    assert reader.has("generate_request_id")
    assert reader.boolean("generate_request_id", True) is False


def test_fractions() -> None:
    assert read("envoy.type.v3.FractionalPercent", {}).type_name == "envoy.type.v3.FractionalPercent"
    fraction = read("envoy.config.core.v3.RuntimeFractionalPercent", {"default_value": {"numerator": 25}})
    assert fraction.fractional("default_value") == 0.25
    million = {"default_value": {"numerator": 5, "denominator": "MILLION"}}
    assert read("envoy.config.core.v3.RuntimeFractionalPercent", million).fractional("default_value") == 5e-6
    lb = read("envoy.config.cluster.v3.Cluster.CommonLbConfig", {"healthy_panic_threshold": {"value": 50}})
    assert lb.percent("healthy_panic_threshold") == 0.5
    assert cluster().message_("common_lb_config") is None


def test_an_unread_field_is_named_with_its_path_and_line() -> None:
    clusters = ("static_resources", "clusters")
    lines = {clusters[:1]: 2, clusters: 3, (*clusters, 0): 11, (*clusters, 0, "altStatName"): 12}
    source = Source("envoy.yaml", lines)
    settings = {"name": "a", "alt_stat_name": "b"}
    reader = read("envoy.config.cluster.v3.Cluster", settings, "static_resources.clusters[0]", source)
    reader.string("name")
    with pytest.raises(ConfigError) as caught:
        reader.finish()
    assert caught.value.path == "static_resources.clusters[0].alt_stat_name"
    assert (caught.value.message, caught.value.source, caught.value.line) == (UNREAD, "envoy.yaml", 12)


def test_every_unread_field_is_reported_also_below_children_and_for_empty_messages() -> None:
    reader = cluster(
        load_assignment={"cluster_name": "a", "endpoints": [{"priority": 1, "lb_endpoints": [{"endpoint": {}}]}]},
        http_protocol_options={},
    )
    assignment = reader.required("load_assignment")
    assignment.string("cluster_name")
    assignment.repeated("endpoints")[0].repeated("lb_endpoints")
    with pytest.raises(MultipleConfigError) as caught:
        reader.finish()
    assert [error.path.removeprefix("static_resources.clusters[0].") for error in caught.value.errors] == [
        "http_protocol_options",
        "load_assignment.endpoints[0].lb_endpoints[0].endpoint",
        "load_assignment.endpoints[0].priority",
    ]
    assert len(str(caught.value).splitlines()) == 3


def test_asking_for_presence_reads_nothing() -> None:
    reader = cluster(name="a", type="STATIC")
    assert reader.has("name")
    assert not reader.has("load_assignment")
    assert not reader.has("health_checks")
    assert reader.which("cluster_discovery_type") == "type"
    assert len(reader.unread()) == 2


def test_the_same_child_is_given_twice() -> None:
    reader = cluster(load_assignment={"cluster_name": "a"})
    reader.required("load_assignment").string("cluster_name")
    assert reader.message_("load_assignment") is reader.required("load_assignment")
    reader.finish()


def test_a_field_the_type_does_not_have_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        cluster().string("nme")
    with pytest.raises(KeyError):
        cluster().which("nme")


def test_required_raises() -> None:
    with pytest.raises(ConfigError, match=r"static_resources.clusters\[0\].load_assignment: field is required"):
        cluster().required("load_assignment")


def test_accept_covers_everything_below_even_after_reading() -> None:
    reader = cluster(load_assignment={"cluster_name": "a"}, name="a")
    reader.required("load_assignment")
    reader.accept("load_assignment", "name")
    reader.finish()


def test_refuse() -> None:
    reader = cluster(name="a")
    reader.refuse("alt_stat_name")
    with pytest.raises(ConfigError, match="name: field is not for us"):
        reader.refuse("name", "is not for us")


def test_any_is_unpacked_with_its_path() -> None:
    reader = read(HCM, {"http_filters": [{"name": "r", "typed_config": {"@type": ROUTER, "start_child_span": True}}]})
    http_filter = reader.repeated("http_filters")[0]
    assert http_filter.string("name") == "r"
    router = http_filter.any_()
    assert router is not None
    assert router.path == "http_filters[0].typed_config"
    assert router.type_name == "envoy.extensions.filters.http.router.v3.Router"
    with pytest.raises(ConfigError, match=r"http_filters\[0\].typed_config.start_child_span: field is set"):
        reader.finish()
    assert router.boolean("start_child_span")
    reader.finish()


def test_an_any_of_an_unknown_type_names_path_and_type() -> None:
    reader = read(HCM, {"http_filters": [{"name": "r", "typed_config": {"@type": ROUTER}}]})
    reader.message.http_filters[0].typed_config.type_url = "type.googleapis.com/envoy.no.Such"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"http_filters\[0\].typed_config: unknown type .*envoy.no.Such"):
        reader.repeated("http_filters")[0].any_()


def test_any_of_a_typed_extension_config_and_maps_of_any() -> None:
    extension = {"name": "x", "typed_config": {"@type": ROUTER}}
    reader = cluster(
        load_balancing_policy={"policies": [{"typed_extension_config": extension}]},
        typed_extension_protocol_options={"b": {"@type": ROUTER}, "a.b": {"@type": ROUTER, "start_child_span": True}},
    )
    policy = reader.required("load_balancing_policy").repeated("policies")[0].any_("typed_extension_config")
    assert policy is not None
    assert policy.path.endswith("policies[0].typed_extension_config.typed_config")
    options = reader.any_map("typed_extension_protocol_options")
    assert list(options) == ["a.b", "b"]
    with pytest.raises(ConfigError) as caught:
        reader.finish()
    assert caught.value.path == ("static_resources.clusters[0].typed_extension_protocol_options[a.b].start_child_span")


def test_repeated_any_needs_the_config() -> None:
    loggers = [{"name": "x", "typed_config": {"@type": ROUTER}}, {"name": "y"}]
    options = {"original_ip_detection_extensions": loggers}
    with pytest.raises(ConfigError, match=r"extensions\[1\].typed_config: field is required"):
        read(HCM, options).repeated_any("original_ip_detection_extensions")
    del loggers[1]
    found = read(HCM, options).repeated_any("original_ip_detection_extensions")
    assert [one.path for one in found] == ["original_ip_detection_extensions[0].typed_config"]


def test_lists_maps_and_structs() -> None:
    endpoint = read(
        "envoy.config.core.v3.Node",
        {"id": "a", "metadata": {"a": 1, "b": [True, None, {"c": "d"}], "e": 1.5}, "client_features": ["x", "y"]},
    )
    assert endpoint.struct("metadata") == {"a": 1, "b": [True, None, {"c": "d"}], "e": 1.5}
    assert endpoint.strings("client_features") == ["x", "y"]
    policy = read("envoy.config.route.v3.RetryPolicy", {"retriable_status_codes": [503, 504]})
    assert policy.integers("retriable_status_codes") == [503, 504]
    metadata = {"metadata": {"filter_metadata": {"envoy.lb": {"canary": True}}}}
    reader = read("envoy.config.cluster.v3.Cluster", metadata)
    assert reader.struct("metadata") == {"envoy.lb": {"canary": True}}
    reader.finish()


def test_json_reads_everything_below() -> None:
    reader = cluster(load_assignment={"cluster_name": "a"})
    assert reader.required("load_assignment").json() == {"cluster_name": "a"}
    reader.finish()


def test_data_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"k\xff")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CERT_OF_TEST", "pem")

    def source(**settings: str) -> Reader:
        return read("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", {"private_key": settings})

    assert source(filename="key").data_source("private_key") == b"k\xff"
    assert source(environment_variable="CERT_OF_TEST").data_source("private_key") == b"pem"
    assert source(inline_string="é").data_source("private_key") == "é".encode()
    assert source(inline_bytes="AAE=").data_source("private_key") == b"\0\1"
    with pytest.raises(ConfigError, match=r"private_key.filename: cannot read the file: No such file .*value: no"):
        source(filename="no").data_source("private_key")
    with pytest.raises(ConfigError, match=r"private_key.environment_variable: .*not set \(value: NO_SUCH_VAR"):
        source(environment_variable="NO_SUCH_VAR").data_source("private_key")


def test_a_data_source_is_read_once_and_known_to_whoever_has_the_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"first")
    monkeypatch.setenv("CERT_OF_TEST", "pem")
    files = {"private_key": {"filename": str(path)}, "certificate_chain": {"environment_variable": "CERT_OF_TEST"}}

    def values(source: Source) -> tuple[bytes, bytes]:
        reader = read("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", files, "tls", source)
        return reader.data_source("private_key"), reader.data_source("certificate_chain")

    source = Source()
    assert values(source) == (b"first", b"pem")
    path.unlink()
    monkeypatch.delenv("CERT_OF_TEST")
    assert values(source) == values(Source(contents=source.contents)) == (b"first", b"pem")
    with pytest.raises(ConfigError, match="cannot read the file"):
        values(Source())


def test_socket_address() -> None:
    reader = address(socket_address={"address": "::", "port_value": 80, "ipv4_compat": True})
    assert reader.required("address").socket_address() == ("::", 80)
    assert len(reader.unread()) == 1
    assert reader.ipv4_compat("address") is True
    reader.finish()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"pipe": {"path": "/a"}}, "address.pipe"),
        ({"socket_address": {"address": "a", "port_value": 1, "protocol": "UDP"}}, "address.socket_address.protocol"),
        ({"socket_address": {"address": "a", "named_port": "http"}}, "address.socket_address.named_port"),
    ],
)
def test_addresses_that_are_refused(settings: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address(**settings).required("address").socket_address()
    assert caught.value.path == path


def name_of(reader: Reader) -> str:
    """Read a cluster of which only the type STATIC is taken."""
    if reader.enum("type") != "STATIC":
        raise reader.error("type", "is not STATIC")
    return reader.string("name")


def resources(*clusters: dict[str, Any]) -> Reader:
    return read("envoy.config.bootstrap.v3.Bootstrap.StaticResources", {"clusters": clusters}, "static_resources")


def messages(reader: Reader) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        reader.finish()
    errors = caught.value.errors if isinstance(caught.value, MultipleConfigError) else (caught.value,)
    return [f"{error.path}: {error.message}" for error in errors]


def test_problems_are_told_together_where_they_are_gathered() -> None:
    reader = resources({"name": "a", "type": "EDS", "lb_policy": "MAGLEV"}, {"name": "b"}, {"type": "LOGICAL_DNS"})
    reader.gather()
    assert reader.each("clusters", name_of) == ["b"]
    assert reader.has_refused
    # Of a message that was refused nobody knows what else would have been read.
    assert messages(reader) == [
        "static_resources.clusters[0].type: is not STATIC",
        "static_resources.clusters[2].type: is not STATIC",
    ]


def test_what_is_unread_elsewhere_is_told_with_them() -> None:
    reader = resources({"type": "EDS"}, {"name": "b", "lb_policy": "MAGLEV"})
    reader.gather()
    reader.each("clusters", name_of)
    assert messages(reader) == [
        "static_resources.clusters[0].type: is not STATIC",
        f"static_resources.clusters[1].lb_policy: {UNREAD}",
    ]


def test_what_may_come_of_a_problem_is_not_told() -> None:
    def whole(reader: Reader) -> None:
        if not reader.each("clusters", name_of):
            raise reader.error("clusters", "there must be one")

    reader = resources({"type": "EDS"})
    reader.gather()
    assert reader.attempt(whole) is None
    assert messages(reader) == ["static_resources.clusters[0].type: is not STATIC"]


def test_without_gathering_the_first_problem_ends_the_reading() -> None:
    with pytest.raises(ConfigError, match=r"clusters\[0\]\.type: is not STATIC"):
        resources({"type": "EDS"}).each("clusters", name_of)
    with pytest.raises(ConfigError, match="field is not supported"):
        cluster(lb_policy="MAGLEV").refuse("lb_policy")


def test_a_refused_field_is_noted_and_reading_goes_on() -> None:
    reader = cluster(name="a", lb_policy="MAGLEV")
    reader.gather()
    reader.refuse("lb_policy", "is not for us")
    reader.refuse("alt_stat_name")
    assert reader.string("name") == "a"
    assert messages(reader) == ["static_resources.clusters[0].lb_policy: field is not for us"]


def test_problems_are_in_the_order_of_the_file() -> None:
    lines = {("clusters",): 1, ("clusters", 0): 8, ("clusters", 0, "type"): 9, ("clusters", 1): 2}
    clusters = {"clusters": [{"type": "EDS"}, {"lb_policy": "MAGLEV"}]}
    kind = "envoy.config.bootstrap.v3.Bootstrap.StaticResources"
    reader = read(kind, clusters, "", Source("f", lines))
    reader.gather()
    reader.each("clusters", name_of)
    assert messages(reader) == [f"clusters[1].lb_policy: {UNREAD}", "clusters[0].type: is not STATIC"]
