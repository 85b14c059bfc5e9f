"""Tests of envoymesh.config.checks: the rules of a whole tree, walked into every Any."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.config.checks import Findings, check
from envoymesh.config.messages import message_class
from envoymesh.config.parse import Parser
from envoymesh.config.source import Source

CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def findings(value: dict[str, Any], type_name: str = CLUSTER) -> Findings:
    message = message_class(type_name)()
    parser = Parser(Source())
    parser.fill(message, value)
    assert parser.errors == []
    return check(message, Source("f"), "it")


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({}, "name", "value length must be at least 1 characters (value: '')"),
        ({"connect_timeout": "0s"}, "connect_timeout", "value must be greater than 0s (value: '0s')"),
        ({"cleanup_interval": "-1s"}, "cleanup_interval", "value must be greater than 0s (value: '-1s')"),
        (
            {"dns_refresh_rate": "0s"},
            "dns_refresh_rate",
            "value must be greater than 0.001s (value: '0s')",
        ),
        ({"type": 77}, "type", "value must be one of the defined enum values (value: 77)"),
        ({"load_assignment": {}}, "load_assignment.cluster_name", "value length must be at least 1 characters"),
        (
            {"common_lb_config": {"healthy_panic_threshold": {"value": 101}}},
            None,
            "value must be greater than or equal",
        ),
        ({"dns_resolvers": [{}]}, "dns_resolvers[0].address", "one of these fields is required: socket_address"),
        ({"wait_for_warm_on_init": True, "health_checks": [{}]}, "health_checks[0].health_checker", "one of these"),
        (
            {"dns_resolvers": [{"socket_address": {"address": "a", "port_value": 70000}}]},
            "dns_resolvers[0].socket_address.port_value",
            "value must be less than or equal to 65535 (value: 70000)",
        ),
    ],
)
def test_errors_have_the_path_and_the_words_of_the_rule(value: dict[str, Any], path: str | None, message: str) -> None:
    errors = findings({"name": "a", **value} if value else {}).errors
    assert errors[0].message.startswith(message)
    assert path is None or errors[0].path == f"it.{path}"


def test_a_negative_duration_without_rules_is_refused_too() -> None:
    errors = findings({"address": {"pipe": {"path": "/a"}}, "listener_filters_timeout": "-1s"}, LISTENER).errors
    assert [error.path for error in errors] == ["it.listener_filters_timeout"]
    assert errors[0].message == "expected a duration that isn't negative (value: -1s)"


def test_a_duration_out_of_range_is_refused() -> None:
    errors = findings({"listener_filters_timeout": {"seconds": 10**15}}, LISTENER).errors
    assert errors[-1].message == f"expected a duration in range (value: {10**15}s and 0ns)"


def test_a_rule_of_an_unset_oneof_member_does_not_fire() -> None:
    value = {"match": {"prefix": "/"}, "route": {"cluster": "a"}}
    assert findings(value, "envoy.config.route.v3.Route").errors == []


def test_required_messages_and_elements() -> None:
    errors = findings(
        {"route_config": {"virtual_hosts": [{"name": "a", "domains": []}]}, "stat_prefix": "a"}, HCM
    ).errors
    assert [(error.path, error.message) for error in errors] == [
        ("it.route_config.virtual_hosts[0].domains", "value must contain at least 1 item(s)")
    ]
    errors = findings({}, "envoy.config.core.v3.HeaderValueOption").errors
    assert [(error.path, error.message) for error in errors] == [("it.header", "value is required")]


def test_elements_and_map_keys_are_checked() -> None:
    domains = {"name": "a", "domains": ["a\nb"]}
    assert findings(domains, "envoy.config.route.v3.VirtualHost").errors[0].path == "it.domains[0]"
    found = findings({"name": "a", "metadata": {"filter_metadata": {"": {}}}}).errors
    assert found[0].path == "it.metadata.filter_metadata[]"


def test_an_any_is_walked_into() -> None:
    url = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    errors = findings({"name": "a", "typed_extension_protocol_options": {"x": {"@type": url}}}).errors
    assert [error.path for error in errors] == ["it.typed_extension_protocol_options[x].upstream_protocol_options"]


def test_an_any_of_an_unknown_type_is_an_error() -> None:
    message: Any = message_class(CLUSTER)()
    message.name = "a"
    message.typed_extension_protocol_options["x"].type_url = "a/b.C"
    assert "unknown type" in check(message, Source()).errors[0].message


def test_deprecated_fields_are_warned_of_or_refused() -> None:
    found = findings({"name": "a", "http2_protocol_options": {}})
    assert found.errors == []
    field = "envoy.config.cluster.v3.Cluster.http2_protocol_options"
    assert found.warnings == [f"f: it.http2_protocol_options: {field} is deprecated and will be removed from Envoy"]
    action = {"dynamic_metadata": {"descriptor_key": "a", "metadata_key": {"key": "k", "path": [{"key": "p"}]}}}
    refused = findings(action, "envoy.config.route.v3.RateLimit.Action").errors
    assert [error.path for error in refused] == ["it.dynamic_metadata"]
