"""Every field of the filters' messages, and of what routes say of filters, becomes a setting."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.filters.http.buffer.config import buffer_filter_factory
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.registry import read_route_filter_config
from envoymesh.matching.config import read_value_matcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.router.config import RouteFactoryContext, read_route_table
from envoymesh.router.cors import CorsPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.server.listeners import read_http_filters
from envoymesh.stats import Store
from tests.support.fakes import FakeDispatcher, FakeRuntime
from tests.support.router import async_client

HTTP = "envoy.extensions.filters.http."
CONTEXT = RouteFactoryContext(
    lambda name, reader, optional: read_route_filter_config(name, reader, optional, CONTEXT), FakeRuntime(), lambda: 0.5
)
POLICY: dict[str, Any] = {
    "allow_origin_string_match": [{"exact": "a"}],
    "allow_methods": "GET",
    "allow_headers": "x-a",
    "expose_headers": "x-b",
    "max_age": "7",
    "allow_credentials": True,
    "allow_private_network_access": True,
    "forward_not_matching_preflights": True,
    "filter_enabled": {"default_value": {"numerator": 0}, "runtime_key": "k"},
    "shadow_enabled": {"default_value": {"numerator": 100}},
}


def reader(kind: str, **fields: Any) -> Reader:
    for used in ("buffer.v3.BufferPerRoute", "cors.v3.CorsPolicy"):
        message_class(HTTP + used)
    message_class("envoy.config.route.v3.FilterConfig")
    return Reader(json_format.ParseDict(fields, message_class(kind)()))


def assert_whole(policy: CorsPolicy | None) -> None:
    assert policy is not None
    assert policy.allow_origins == [StringMatcher("exact", b"a")]
    assert (policy.allow_methods, policy.allow_headers, policy.expose_headers) == (b"GET", b"x-a", b"x-b")
    assert policy.max_age == b"7"
    assert policy.allow_credentials is True
    assert policy.allow_private_network_access is True
    assert policy.forward_not_matching_preflights is True
    assert (policy.enabled(), policy.shadowed()) == (False, True)


def test_a_cors_policy() -> None:
    assert_whole(read_route_filter_config("f", reader(HTTP + "cors.v3.CorsPolicy", **POLICY), False, CONTEXT))


def test_the_older_cors_of_routes() -> None:
    older = "envoy.config.route.v3.RouteConfiguration"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "c", "cors": POLICY}}
    host = {"name": "v", "domains": ["*"], "routes": [route], "cors": POLICY}
    table = read_route_table(reader(older, name="r", virtual_hosts=[host]), CONTEXT)
    assert_whole(table.virtual_hosts[0].own_cors)
    action = table.virtual_hosts[0].routes[0].action
    assert isinstance(action, ClusterAction)
    assert_whole(action.cors)


@pytest.mark.parametrize("field", ["buffer", "disabled"])
def test_a_routes_buffer(field: str) -> None:
    value: Any = {"max_request_bytes": 7} if field == "buffer" else True
    settings = read_route_filter_config(
        "f", reader(HTTP + "buffer.v3.BufferPerRoute", **{field: value}), False, CONTEXT
    )
    assert (settings.max_request_bytes, settings.disabled) == ((7, False) if field == "buffer" else (0, True))


def test_a_buffer() -> None:
    made: list[Any] = []
    context: Any = None
    factory: Any = buffer_filter_factory(reader(HTTP + "buffer.v3.Buffer", max_request_bytes=7), context)

    class Callbacks:
        def add_decoder_filter(self, filter_: Any) -> None:
            made.append(filter_)

    factory(Callbacks())
    assert made[0]._settings.max_request_bytes == 7


def test_filters_of_routes() -> None:
    """Each level has a say: one disables its filter, one only lets it take part, one has settings."""
    config = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
    buffer = {"@type": f"type.googleapis.com/{HTTP}buffer.v3.BufferPerRoute", "disabled": True}
    unknown = {"@type": "type.googleapis.com/envoy.config.route.v3.RetryPolicy"}
    off = {"@type": config, "disabled": True}
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "c"},
        "typed_per_filter_config": {"a": {"@type": config, "config": buffer}},
    }
    host = {"name": "v", "domains": ["*"], "routes": [route], "typed_per_filter_config": {"b": off}}
    optional = {"@type": config, "config": unknown, "is_optional": True}
    fields = {"name": "r", "virtual_hosts": [host], "typed_per_filter_config": {"c": off, "d": optional}}
    table = read_route_table(reader("envoy.config.route.v3.RouteConfiguration", **fields), CONTEXT)
    made = table.virtual_hosts[0].routes[0]
    assert made.filter_configs["a"][0].disabled
    assert made.disabled_filters == {"a": False, "b": True, "c": True, "d": False}


def test_a_filter_that_is_disabled_in_the_list() -> None:
    kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
    types = {name: {"@type": f"type.googleapis.com/{HTTP}{name}"} for name in ("buffer.v3.Buffer", "router.v3.Router")}
    for name in types:
        message_class(HTTP + name)
    types["buffer.v3.Buffer"]["max_request_bytes"] = 7  # type: ignore[assignment]
    listed = [
        reader(kind, name="b", disabled=True, typed_config=types["buffer.v3.Buffer"]),
        reader(kind, name="r", typed_config=types["router.v3.Router"]),
    ]
    clusters: Any = None
    dispatcher = FakeDispatcher()
    context = HttpFilterFactoryContext(
        clusters, async_client(dispatcher), dispatcher, Store().scope("http."), lambda: 0.5, FakeRuntime()
    )
    assert [each.disabled for each in read_http_filters(listed, context)] == [True, False]


def test_a_range_of_numbers() -> None:
    fields = {"double_match": {"range": {"start": 2, "end": 3}}}
    matcher = read_value_matcher(reader("envoy.type.matcher.v3.ValueMatcher", **fields))
    assert [matcher.matches(value) for value in (1.0, 2.0, 3.0)] == [False, True, False]
