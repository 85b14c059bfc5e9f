"""Tests of envoymesh.config.parse: plain values to messages, every error with its path."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class, new_bootstrap
from envoymesh.config.parse import MAX_ERRORS, Parser, show
from envoymesh.config.source import Source
from envoymesh.config.yaml_loader import MAX_DEPTH, load_yaml
from tests.unit.config.bootstraps import FRONT

CLUSTER = "envoy.config.cluster.v3.Cluster"
TLS_CERTIFICATE = "envoy.extensions.transport_sockets.tls.v3.TlsCertificate"
STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
OPTIONS = "typed_extension_protocol_options"


def parse(type_name: str, value: Any, allow_unknown: bool = False) -> tuple[Any, Parser]:
    message = message_class(type_name)()
    parser = Parser(Source("f"), allow_unknown)
    parser.fill(message, value)
    return message, parser


def good(type_name: str, value: Any) -> Any:
    message, parser = parse(type_name, value)
    assert parser.errors == []
    return message


def problems(value: Any, type_name: str = CLUSTER) -> list[tuple[str, str]]:
    return [(error.path, error.message) for error in parse(type_name, value)[1].errors]


def test_it_agrees_with_json_format_where_both_take_it() -> None:
    value = load_yaml(FRONT.replace("round_robin", "ROUND_ROBIN")).value
    ours = new_bootstrap()
    parser = Parser(Source())
    parser.fill(ours, value)
    assert parser.errors == []
    assert ours == json_format.ParseDict(value, new_bootstrap())


def test_names_of_both_kinds_and_one_value_for_a_list() -> None:
    message = good(CLUSTER, {"connectTimeout": "1s", "dns_resolvers": {"pipe": {"path": "/a"}}})
    assert message.connect_timeout.seconds == 1
    assert message.dns_resolvers[0].pipe.path == "/a"


def test_null_leaves_a_field_unset() -> None:
    message = good(CLUSTER, {"name": None, "type": None, "load_assignment": None, "connect_timeout": None})
    assert message.ListFields() == []


def test_null_in_a_list_is_an_empty_element() -> None:
    assert list(good("envoy.config.core.v3.Node", {"client_features": [None, "a"]}).client_features) == ["", "a"]
    assert len(good(CLUSTER, {"health_checks": [None]}).health_checks) == 1


def test_an_empty_mapping_sets_a_message() -> None:
    assert good(CLUSTER, {"http2_protocol_options": {}}).HasField("http2_protocol_options")


def test_wrappers_and_durations_also_as_mappings() -> None:
    message = good(CLUSTER, {"connect_timeout": {"seconds": 2}, "per_connection_buffer_limit_bytes": {"value": "5"}})
    assert (message.connect_timeout.seconds, message.per_connection_buffer_limit_bytes.value) == (2, 5)


def test_struct_values() -> None:
    value = {"metadata": {"a": [1, "1.5", None, {"b": True}]}}
    node = good("envoy.config.core.v3.Node", value)
    assert json_format.MessageToDict(node) == {"metadata": {"a": [1.0, "1.5", None, {"b": True}]}}


def test_times_and_masks() -> None:
    assert good("google.protobuf.Timestamp", "2026-01-01T00:00:00Z").seconds == 1767225600
    assert list(good("google.protobuf.FieldMask", "aB,c").paths) == ["a_b", "c"]
    assert problems("soon", "google.protobuf.Timestamp")[0][0] == ""


def test_an_any_holds_its_message() -> None:
    message = good(CLUSTER, {OPTIONS: {"x": {"@type": ROUTER, "start_child_span": "true"}, "y": {}}})
    router: Any = message_class("envoy.extensions.filters.http.router.v3.Router")()
    assert message.typed_extension_protocol_options["x"].Unpack(router)
    assert router.start_child_span
    assert message.typed_extension_protocol_options["y"].type_url == ""


def test_an_any_of_a_well_known_type_has_its_value_under_value() -> None:
    message = good(CLUSTER, {OPTIONS: {"x": {"@type": "a.b/google.protobuf.Duration", "value": "2s"}}})
    duration: Any = message_class("google.protobuf.Duration")()
    duration.ParseFromString(message.typed_extension_protocol_options["x"].value)
    assert duration.seconds == 2


def test_a_typed_struct_becomes_the_message_it_stands_for() -> None:
    inner = {"@type": STRUCT, "type_url": ROUTER, "value": {"start_child_span": True}}
    packed = good(CLUSTER, {OPTIONS: {"x": inner}}).typed_extension_protocol_options["x"]
    assert packed.type_url == ROUTER
    inner["value"] = {"nope": 1}
    assert problems({OPTIONS: {"x": inner}})[0][0] == f"{OPTIONS}[x].value.nope"
    inner["value"] = "text"
    assert problems({OPTIONS: {"x": inner}}) != []


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"foo": 1}, "foo", f"unknown field of {CLUSTER}"),
        ({"load_assignment": {"endpoints": [{}, {"x": 1}]}}, "load_assignment.endpoints[1].x", "unknown field of "),
        ({"load_assignment": [{}]}, "load_assignment", "expected a mapping, the fields of envoy.config.endpoint"),
        ({"load_assignment": ""}, "load_assignment", "expected a mapping"),
        ({"name": 5}, "name", "expected a string (value: 5)"),
        ({"name": ["a"]}, "name", "expected a string (value: ['a'])"),
        ({"respect_dns_ttl": 1}, "respect_dns_ttl", "expected true or false (value: 1)"),
        ({"type": "FOO"}, "type", "unknown enum value, expected one of STATIC, STRICT_DNS, "),
        ({"type": 1.5}, "type", "expected one of STATIC"),
        ({"connect_timeout": "1m"}, "connect_timeout", "expected a duration in seconds"),
        ({"dns_resolvers": ["x"]}, "dns_resolvers[0]", "expected a mapping"),
        ({"type": "STATIC", "cluster_type": {}}, "cluster_type", "only one of the fields of cluster_discovery_type"),
        ({OPTIONS: ["x"]}, OPTIONS, "expected a mapping (value: ['x'])"),
        ({OPTIONS: {"x": {"a": 1}}}, f"{OPTIONS}[x]", "'@type' is missing"),
        ({OPTIONS: {"x": 5}}, f"{OPTIONS}[x]", "expected a mapping with '@type'"),
        ({OPTIONS: {"x": {"@type": "a/b.C"}}}, f"{OPTIONS}[x]", "unknown type in '@type' (value: a/b.C)"),
        ({OPTIONS: {"x": {"@type": ROUTER, "y": 1}}}, f"{OPTIONS}[x].y", "unknown field of envoy.extensions"),
        ({"metadata": {"filter_metadata": {"a": 1}}}, "metadata.filter_metadata[a]", "expected a mapping"),
    ],
)
def test_errors_name_path_and_cause(value: Any, path: str, message: str) -> None:
    found = problems(value)
    assert found[0][0] == path
    assert found[0][1].startswith(message)
    assert len(found) == 1


def test_an_error_does_not_show_a_key() -> None:
    found = problems({"private_key": {"inline_bytes": "-----BEGIN PRIVATE KEY-----"}}, TLS_CERTIFICATE)
    assert found == [("private_key.inline_bytes", "expected a base64 string")]


def test_several_errors_are_collected_but_not_without_end() -> None:
    assert [path for path, _ in problems({"a": 1, "name": 5, "b": 2})] == ["a", "name", "b"]
    assert len(problems({f"x{i}": 1 for i in range(100)})) == MAX_ERRORS


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_has_a_limit_also_for_values_that_share_parts() -> None:
    assert problems({"metadata": {"a": _nested(50)}}, "envoy.config.core.v3.Node") == []
    for depth in (MAX_DEPTH, 100 * MAX_DEPTH):
        found = problems({"metadata": {"a": _nested(depth)}}, "envoy.config.core.v3.Node")
        assert [message for _, message in found] == ["nested more than 100 deep"]
        assert problems({"name": _nested(depth)})[0][1].startswith("expected a string (value: [[")


def test_unknown_fields_may_be_allowed() -> None:
    message, parser = parse(CLUSTER, {"foo": 1, "name": "a", "type": "FOO"}, allow_unknown=True)
    assert parser.errors == []
    assert message.name == "a"
    assert parser.warnings[0] == f"f: foo: unknown field of {CLUSTER}, ignored"
    assert len(parser.warnings) == 2


def test_values_are_shown_on_one_short_line() -> None:
    assert show(True) == "true"
    assert show("a\nb") == r"'a\nb'"
    assert len(show("x" * 1000)) == 80
