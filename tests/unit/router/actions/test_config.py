"""What routes do, read: each field makes a setting, and what cannot be is refused in Envoy's words."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.formatter import FormatterContext
from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.queries import QueryParameterMatcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.router.actions.cluster import ConnectConfig
from envoymesh.router.actions.durations import GrpcTimeout, StreamDuration
from envoymesh.router.actions.hash_policy import (
    CookieHash,
    FilterStateHash,
    HashMethod,
    HashStep,
    HeaderHash,
    QueryParameterHash,
    SourceIpHash,
)
from envoymesh.router.actions.internal_redirects import InternalRedirectPolicy
from envoymesh.router.actions.rewrites import (
    FormatHost,
    FormatPathRewrite,
    HeaderHost,
    LiteralHost,
    PathRegexHost,
    PrefixRewrite,
    RegexRewrite,
    RegexSubstitution,
    Rewrites,
    TemplateRewrite,
)
from envoymesh.router.config import RouteFactoryContext, read_route_table
from envoymesh.router.rate_limits import descriptors as rate_limits
from envoymesh.router.retry import RateLimitedBackOff, ResetHeader, RetryPolicy
from envoymesh.router.table import ClusterAction, DirectResponseAction, RedirectAction, Route
from tests.support.fakes import FakeRuntime
from tests.support.logged import full

Json = dict[str, Any]
SUBSTITUTION = {"pattern": {"regex": "a+"}, "substitution": "b"}
SPECIFIERS = {"weighted_clusters", "cluster_header", "cluster_specifier_plugin", "inline_cluster_specifier_plugin"}
REWRITE = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig"
REDIRECTS = "envoy.extensions.internal_redirect."


def read(route: Json, runtime: FakeRuntime | None = None, **host: Any) -> Route:
    context = RouteFactoryContext(lambda name, message, optional: "settings", runtime or FakeRuntime(), lambda: 0.5)
    whole = {"match": {"prefix": "/"}, "name": "r", **route}
    settings = {"name": "t", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [whole], **host}]}
    message = json_format.ParseDict(settings, message_class("envoy.config.route.v3.RouteConfiguration")())
    reader = Reader(message, "", None)
    (made,) = read_route_table(reader, context).routes()
    reader.finish()
    return made


def action(**fields: Any) -> ClusterAction:
    made = read({"route": fields if fields.keys() & SPECIFIERS else {"cluster": "c", **fields}}).action
    assert isinstance(made, ClusterAction)
    return made


def test_upgrades() -> None:
    made = action(
        upgrade_configs=[
            {"upgrade_type": "WebSocket"},
            {"upgrade_type": "foo", "enabled": False},
            {"upgrade_type": "connect", "connect_config": {"allow_post": True}},
        ]
    )
    assert made.upgrades == {b"websocket": True, b"foo": False, b"connect": True}
    assert made.connect == ConnectConfig(allow_post=True)
    assert (action().upgrades, action().connect) == ({}, None)


@pytest.mark.parametrize(
    ("upgrades", "message"),
    [
        ([{"upgrade_type": "a"}, {"upgrade_type": "A"}], "Duplicate upgrade A"),
        ([{"upgrade_type": "a", "connect_config": {}}], "Non-CONNECT upgrade type a has ConnectConfig"),
        ([{"upgrade_type": "CONNECT-UDP", "connect_config": {}}], "datagrams in tunnels are not supported"),
        (
            [{"upgrade_type": "CONNECT", "connect_config": {"proxy_protocol_config": {}}}],
            "proxy_protocol_config: field",
        ),
    ],
)
def test_upgrades_that_cannot_be(upgrades: list[Json], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        action(upgrade_configs=upgrades)


def typed(kind: str, **fields: Any) -> Json:
    message_class(kind)
    return {"name": "any", "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prefix_rewrite": "/n"}, Rewrites(PrefixRewrite(b"/n"))),
        ({"regex_rewrite": SUBSTITUTION}, Rewrites(RegexRewrite(RegexSubstitution("a+", "b")))),
        ({"host_rewrite_literal": "h"}, Rewrites(host=LiteralHost(b"h"))),
        ({"host_rewrite_header": "X-H"}, Rewrites(host=HeaderHost(b"x-h"))),
        ({"host_rewrite_path_regex": SUBSTITUTION}, Rewrites(host=PathRegexHost(RegexSubstitution("a+", "b")))),
        ({"auto_host_rewrite": True, "append_x_forwarded_host": True}, Rewrites(None, None, True, True)),
        ({"auto_host_rewrite": False, "append_x_forwarded_host": True}, None),
        ({"host_rewrite_literal": ""}, None),
        ({"host_rewrite_header": ""}, None),
        ({}, None),
    ],
)
def test_rewrites(fields: Json, expected: Rewrites | None) -> None:
    assert action(**fields).rewrites == expected


def test_rewrites_by_formats() -> None:
    made = action(path_rewrite="/%REQ(x-none)%.", host_rewrite="%REQ(x-none)%.").rewrites
    assert made is not None
    assert isinstance(made.path, FormatPathRewrite)
    assert isinstance(made.host, FormatHost)
    context: FormatterContext = full()
    assert made.path.rewritten(b"", None, context) == b"/."
    assert made.host.rewritten(RequestHeaders(b"GET", b"/"), context) == b"-."


def by_header(name: str, action_type: str = "ClusterAction") -> Json:
    """A ClusterSpecifierPlugin: x-to's value is the cluster's name for two values of it."""
    kind = "envoy.extensions.router.cluster_specifiers.matcher.v3."
    to = {each: {"action": typed(kind + action_type, cluster=each)} for each in ("one", "two")}
    source = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name="x-to")
    tree = {"matcher_tree": {"input": source, "exact_match_map": {"map": to}}}
    return {
        "extension": {**typed(kind + "MatcherClusterSpecifier", cluster_matcher=tree), "name": name},
        "is_optional": True,
    }


@pytest.mark.parametrize("named", [False, True])
def test_clusters_by_a_matcher(named: bool) -> None:
    chosen = {"cluster_specifier_plugin": "p"} if named else {"inline_cluster_specifier_plugin": by_header("x")}
    route = {"match": {"prefix": "/"}, "route": chosen, NEWER: 7}
    settings = {
        "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}],
        "cluster_specifier_plugins": [by_header("p")],
    }
    reader = Reader(json_format.ParseDict(settings, message_class("envoy.config.route.v3.RouteConfiguration")()))
    made = read_route_table(reader, RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5))
    reader.finish()
    assert made.routes()[0].chooses_cluster
    for value, cluster in ((b"one", "one"), (b"two", "two"), (b"three", "")):
        headers = RequestHeaders(b"GET", b"/", b"a", fields=[(b"x-to", value)])
        found = made.route(headers)
        assert found is not None
        variant = found.with_cluster(headers, full().info)
        assert variant is not None
        assert isinstance(variant.action, ClusterAction)
        assert (variant.action.cluster, variant.body_limit) == (cluster, 7)


def test_a_matcher_leads_to_clusters_only() -> None:
    plugin = by_header("x")
    tree = plugin["extension"]["typed_config"]["cluster_matcher"]
    tree["matcher_tree"]["exact_match_map"]["map"]["one"] = {"action": typed("google.protobuf.Empty")}
    with pytest.raises(ConfigError, match="Action in cluster matcher should be ClusterAction, not google"):
        action(inline_cluster_specifier_plugin=plugin)


ON = {"hedge_policy": {"hedge_on_per_try_timeout": True}}
OFF = {"hedge_policy": {"hedge_on_per_try_timeout": False}}


@pytest.mark.parametrize(
    ("route", "host", "hedges"),
    [
        ({}, {}, False),
        (ON, {}, True),
        ({}, ON, True),
        (OFF, ON, False),
        (ON, OFF, True),
        ({"hedge_policy": {}}, ON, False),
    ],
)
def test_hedging_is_the_routes_before_the_virtual_hosts(route: Json, host: Json, hedges: bool) -> None:
    made = read({"route": {"cluster": "c", **route}}, **host).action
    assert isinstance(made, ClusterAction)
    assert made.hedges == hedges


def test_what_envoy_does_not_look_at_is_taken() -> None:
    policy = {"initial_requests": 2, "additional_request_chance": {"numerator": 50}}
    assert action(hedge_policy=policy) == action(
        retry_policy_typed_config=typed("google.protobuf.Empty")["typed_config"]
    )
    early = typed("envoy.extensions.early_data.v3.DefaultEarlyDataPolicy")
    assert action(early_data_policy=early) == action()
    traces = {"decorator": {"operation": "o"}, "tracing": {"client_sampling": {"numerator": 1}}}
    table = {"virtual_hosts": [], "metadata": {"filter_metadata": {"a": {"b": "c"}}}}
    reader = Reader(json_format.ParseDict(table, message_class("envoy.config.route.v3.RouteConfiguration")()))
    read_route_table(reader, RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5))
    reader.finish()
    host = {"retry_policy_typed_config": typed("google.protobuf.Empty")["typed_config"]}
    assert read({"route": {"cluster": "c"}, **traces}, **host) == read({"route": {"cluster": "c"}})


NEWER, OLDER = "request_body_buffer_limit", "per_request_buffer_limit_bytes"


@pytest.mark.parametrize(
    ("route", "host", "limit"),
    [
        ({}, {}, None),
        ({NEWER: 0}, {NEWER: 1, OLDER: 2}, 0),
        ({OLDER: 3}, {OLDER: 4}, 3),
        ({OLDER: 3}, {NEWER: 4}, 4),
        ({}, {OLDER: 0}, 0),
        ({NEWER: 5, OLDER: 6}, {}, 5),
    ],
)
def test_limits_of_bodies(route: Json, host: Json, limit: int | None) -> None:
    assert read({"route": {"cluster": "c"}, **route}, **host).body_limit == limit


def test_the_time_for_a_flush() -> None:
    assert (action(flush_timeout="2s").flush_timeout, action().flush_timeout) == (2.0, None)


TEMPLATE = typed("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", path_template="/a/{b}/{c=**}")


def rewritten(template: str) -> Route:
    policy = typed(REWRITE, path_template_rewrite=template)
    return read({"match": {"path_match_policy": TEMPLATE}, "route": {"cluster": "c", "path_rewrite_policy": policy}})


@pytest.mark.parametrize(
    ("template", "path"),
    [("/{c}/{b}", b"/y/z/x"), ("/l/{b}-{b}", b"/l/x-x"), ("/", b"/"), ("/(*)", b"/(*)"), ("/.{c}", b"/.y/z")],
)
def test_a_path_by_a_template(template: str, path: bytes) -> None:
    made = rewritten(template).action
    assert isinstance(made, ClusterAction)
    assert made.rewrites is not None
    assert isinstance(made.rewrites.path, TemplateRewrite)
    assert made.rewrites.path.rewritten(b"/a/x/y/z", None, full()) == path
    assert made.rewrites.path.rewritten(b"/other", None, full()) == b""


@pytest.mark.parametrize(
    ("template", "cause"),
    [
        ("/{d}", r"mismatch between variables in path_match_policy /a/\{b\}/\{c=\*\*\} and path_rewrite_policy /\{d\}"),
        *(
            (text, "path_template_rewrite .* is invalid")
            for text in ("b", "//", "/{b", "/b}", "/{1}", "/{}", "/#", "/{b=*}")
        ),
    ],
)
def test_templates_that_are_refused(template: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        rewritten(template)


def test_a_retry_condition_that_nobody_knows_asks_for_nothing() -> None:
    retry = action(retry_policy={"retry_on": "5xx, foo,, connect-failure ,5XX"}).retry
    assert retry is not None
    assert retry.retry_on == {"5xx", "connect-failure"}


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"prefix_rewrite": "/a", "regex_rewrite": SUBSTITUTION}, "Specify only one of prefix_rewrite"),
        ({"prefix_rewrite": "/a", "path_rewrite": "/b"}, "Specify only one of prefix_rewrite"),
        ({"path_rewrite": "%FOO%"}, "Not supported field"),
        ({"regex_rewrite": {"pattern": {"regex": "("}, "substitution": ""}}, "regex_rewrite.pattern.regex"),
        ({"path_rewrite_policy": typed("google.protobuf.Empty")}, "path rewrite policy is not supported"),
        ({"path_rewrite_policy": typed(REWRITE, path_template_rewrite="/a")}, "unable to use .* extension without"),
        (
            {"inline_cluster_specifier_plugin": {"extension": typed("google.protobuf.Empty")}},
            "specifier plugin google.prot",
        ),
        ({"cluster_specifier_plugin": "x"}, "Unknown cluster specifier plugin name: x is used in the route"),
        ({"weighted_clusters": {"clusters": [{"name": "a", "cluster_header": "b", "weight": 1}]}}, "Only one of name"),
        ({"weighted_clusters": {"clusters": [{"weight": 1}]}}, "At least one of name or cluster_header"),
        ({"weighted_clusters": {"clusters": [{"name": "a"}]}}, "'weight' is missing"),
        ({"weighted_clusters": {"clusters": [{"name": "a", "weight": 0}]}}, "must be greater than 0"),
        (
            {"weighted_clusters": {"clusters": [{"name": "a", "weight": 2**32 - 1}] * 2}},
            "of route r exceeds 4294967295",
        ),
        ({"internal_redirect_policy": {"response_headers_to_copy": ["Host"]}}, "Hosts may not be specified here"),
        ({"internal_redirect_policy": {"predicates": [typed("google.protobuf.Empty")]}}, "predicate google.protobuf"),
        ({"rate_limits": [{"actions": [{"extension": typed("google.protobuf.Empty")}]}]}, "action extension is not"),
    ],
)
def test_refused(fields: Json, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        action(**fields)


def test_weighted_clusters() -> None:
    first = {
        "name": "one", "weight": 3, "host_rewrite_literal": "h",
        "typed_per_filter_config": {"f": {"@type": "type.googleapis.com/google.protobuf.Empty"}},
        "request_headers_to_add": [{"header": {"key": "a", "value": "b"}}], "request_headers_to_remove": ["c"],
        "response_headers_to_add": [{"header": {"key": "d", "value": "e"}}], "response_headers_to_remove": ["f"],
    }  # fmt: skip
    second = {"cluster_header": "X-C", "weight": 4}
    clusters = {"clusters": [first, second], "header_name": "X-N", "total_weight": 9}
    made = action(weighted_clusters=clusters).weighted
    assert made is not None
    one, two = made.entries
    assert (one.cluster, one.weight.value, one.host_rewrite) == ("one", 3, b"h")
    assert one.filter_configs["f"].settings == "settings"
    assert [each.name for each in one.header_parsers.request.to_add] == [b"a"]
    assert [each.name for each in one.header_parsers.response.to_add] == [b"d"]
    assert (one.header_parsers.request.to_remove, one.header_parsers.response.to_remove) == ([b"c"], [b"f"])
    assert (two.cluster, two.cluster_header, two.weight.value) == ("", b"x-c", 4)
    assert (made.header_name, made.hash_policy) == (b"x-n", None)


def test_weights_by_runtime_and_by_hash() -> None:
    runtime = FakeRuntime({"p.one": 7})
    hashes = [{"connection_properties": {"source_ip": True}}]
    weighted = {"clusters": [{"name": "one", "weight": 3}], "runtime_key_prefix": "p", "use_hash_policy": True}
    made = read({"route": {"weighted_clusters": weighted, "hash_policy": hashes}}, runtime).action
    assert isinstance(made, ClusterAction)
    assert made.weighted is not None
    assert made.weighted.entries[0].weight.value == 7
    assert made.weighted.hash_policy is made.hash_policy is not None


def test_a_cluster_by_a_header() -> None:
    assert action(cluster_header="X-C").cluster_header == b"x-c"


@pytest.mark.parametrize("kind", ["non_forwarding_action", "filter_action"])
def test_actions_for_others_have_no_cluster(kind: str) -> None:
    assert read({kind: {}}).action == ClusterAction("")


def test_the_high_priority() -> None:
    assert action(priority="HIGH").high_priority
    assert not action().high_priority


def test_durations() -> None:
    duration = {
        "max_stream_duration": "1s", "grpc_timeout_header_max": "2s", "grpc_timeout_header_offset": "3s",
    }  # fmt: skip
    assert action(max_stream_duration=duration).stream_duration == StreamDuration(1.0, 2.0, 3.0)
    assert action(max_stream_duration={}).stream_duration == StreamDuration()
    assert action(max_grpc_timeout="1s", grpc_timeout_offset="0.5s").grpc_timeout == GrpcTimeout(1.0, 0.5)
    assert action(grpc_timeout_offset="0.5s").grpc_timeout is None


def test_retries() -> None:
    made = action(
        retry_policy={
            "retry_on": "retriable-headers,unavailable", "per_try_idle_timeout": "2s",
            "retriable_headers": [{"name": "A"}], "retriable_request_headers": [{"name": "B"}],
            "rate_limited_retry_back_off": {
                "reset_headers": [{"name": "C"}, {"name": "D", "format": "UNIX_TIMESTAMP"}], "max_interval": "9s",
            },
        }
    ).retry  # fmt: skip
    assert made == RetryPolicy(
        frozenset({"retriable-headers", "unavailable"}),
        per_try_idle_timeout=2.0,
        retriable_headers=[HeaderMatcher(b"a")],
        retriable_request_headers=[HeaderMatcher(b"b")],
        rate_limited_back_off=RateLimitedBackOff([ResetHeader(b"c"), ResetHeader(b"d", True)], 9.0),
    )
    unlimited = action(retry_policy={"rate_limited_retry_back_off": {"reset_headers": [{"name": "c"}]}}).retry
    assert unlimited is not None
    assert unlimited.rate_limited_back_off == RateLimitedBackOff([ResetHeader(b"c")], 300.0)


def test_internal_redirects() -> None:
    predicates = [
        typed(REDIRECTS + "previous_routes.v3.PreviousRoutesConfig"),
        typed(REDIRECTS + "safe_cross_scheme.v3.SafeCrossSchemeConfig"),
        typed(REDIRECTS + "allow_listed_routes.v3.AllowListedRoutesConfig", allowed_route_names=["a", "b"]),
        typed(REDIRECTS + "allow_listed_routes.v3.AllowListedRoutesConfig", allowed_route_names=["b", "c"]),
    ]
    policy = {
        "max_internal_redirects": 5, "redirect_response_codes": [301, 299], "predicates": predicates,
        "allow_cross_scheme_redirect": True, "response_headers_to_copy": ["X-A"],
    }  # fmt: skip
    assert action(internal_redirect_policy=policy).internal_redirect == InternalRedirectPolicy(
        "r", 5, frozenset({301}), True, [b"x-a"], True, frozenset({"b"}), True
    )
    assert action(internal_redirect_policy={}).internal_redirect == InternalRedirectPolicy("r", headers_to_copy=[])


def test_internal_redirects_as_they_were_written_once() -> None:
    made = action(internal_redirect_action="HANDLE_INTERNAL_REDIRECT", max_internal_redirects=3)
    assert made.internal_redirect == InternalRedirectPolicy("r", 3)
    assert action(internal_redirect_action="PASS_THROUGH_INTERNAL_REDIRECT").internal_redirect is None


def test_a_direct_response_with_a_format() -> None:
    body_format = {"json_format": {"a": "%LOCAL_REPLY_BODY%"}}
    made = read({"direct_response": {"status": 200, "body": {"inline_string": "b"}, "body_format": body_format}}).action
    assert isinstance(made, DirectResponseAction)
    assert made.body_format is not None
    assert made.body_format.format(full(), made.body) == b'{"a":"b"}\n'
    assert made.content_type == b"application/json"
    text = {"text_format_source": {"inline_string": "x"}, "content_type": "a/b"}
    typed_one = read({"direct_response": {"status": 200, "body_format": text}}).action
    assert isinstance(typed_one, DirectResponseAction)
    assert typed_one.content_type == b"a/b"


def test_a_redirect_by_regex() -> None:
    made = read({"redirect": {"regex_rewrite": SUBSTITUTION}}).action
    assert made == RedirectAction(regex_rewrite=RegexSubstitution("a+", "b"))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"header": {"header_name": "X-H"}}, HeaderHash(b"x-h")),
        (
            {"header": {"header_name": "h", "regex_rewrite": SUBSTITUTION}, "terminal": True},
            HeaderHash(b"h", RegexSubstitution("a+", "b")),
        ),
        ({"cookie": {"name": "k"}}, CookieHash(b"k", attributes=[])),
        (
            {"cookie": {"name": "k", "ttl": "2.5s", "path": "/p", "attributes": [{"name": "n", "value": "v"}]}},
            CookieHash(b"k", 2, b"/p", [(b"n", b"v")]),
        ),
        ({"query_parameter": {"name": "q"}, "terminal": True}, QueryParameterHash(b"q")),
        ({"filter_state": {"key": "k"}}, FilterStateHash("k")),
        ({"connection_properties": {"source_ip": True}}, SourceIpHash()),
    ],
)
def test_hash_policies(policy: Json, expected: HashMethod) -> None:
    made = action(hash_policy=[policy]).hash_policy
    assert made is not None
    assert made.steps == [HashStep(expected, bool(policy.get("terminal")))]


def test_a_hash_policy_of_nothing() -> None:
    assert action(hash_policy=[{"connection_properties": {}}]).hash_policy is None
    assert action().hash_policy is None


KEY = {"key": "space", "path": [{"key": "a"}, {"key": "b"}]}
STRING = {"string_match": {"exact": "v"}}
EXACT = StringMatcher("exact", b"v")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"source_cluster": {}}, rate_limits.SourceCluster()),
        ({"destination_cluster": {}}, rate_limits.DestinationCluster()),
        (
            {"request_headers": {"header_name": "X-H", "descriptor_key": "k", "skip_if_absent": True}},
            rate_limits.RequestHeader(b"x-h", b"k", True),
        ),
        (
            {"query_parameters": {"query_parameter_name": "q", "descriptor_key": "k", "skip_if_absent": True}},
            rate_limits.QueryParameter(b"q", b"k", True),
        ),
        ({"remote_address": {}}, rate_limits.RemoteAddress()),
        ({"masked_remote_address": {}}, rate_limits.MaskedRemoteAddress()),
        (
            {"masked_remote_address": {"v4_prefix_mask_len": 16, "v6_prefix_mask_len": 64}},
            rate_limits.MaskedRemoteAddress(16, 64),
        ),
        ({"generic_key": {"descriptor_value": "v"}}, rate_limits.GenericKey(b"v")),
        ({"generic_key": {"descriptor_value": "v", "descriptor_key": "k"}}, rate_limits.GenericKey(b"v", b"k")),
        (
            {"header_value_match": {"descriptor_value": "v", "headers": [{"name": "H"}]}},
            rate_limits.HeaderValueMatch(b"v", [HeaderMatcher(b"h")]),
        ),
        (
            {
                "header_value_match": {
                    "descriptor_value": "v", "descriptor_key": "k", "expect_match": False, "headers": [{"name": "h"}],
                }
            },
            rate_limits.HeaderValueMatch(b"v", [HeaderMatcher(b"h")], b"k", False),
        ),
        (
            {"query_parameter_value_match": {"descriptor_value": "v", "query_parameters": [{"name": "q", **STRING}]}},
            rate_limits.QueryParameterValueMatch(b"v", [QueryParameterMatcher(b"q", EXACT)]),
        ),
        (
            {
                "query_parameter_value_match": {
                    "descriptor_value": "v", "descriptor_key": "k", "expect_match": False,
                    "query_parameters": [{"name": "q", **STRING}],
                }
            },
            rate_limits.QueryParameterValueMatch(b"v", [QueryParameterMatcher(b"q", EXACT)], b"k", False),
        ),
        (
            {
                "metadata": {
                    "descriptor_key": "k", "metadata_key": KEY, "default_value": "d", "source": "ROUTE_ENTRY",
                    "skip_if_absent": True,
                }
            },
            rate_limits.MetadataValue(b"k", "space", ["a", "b"], b"d", True, True),
        ),
        (
            {"metadata": {"descriptor_key": "k", "metadata_key": KEY}},
            rate_limits.MetadataValue(b"k", "space", ["a", "b"]),
        ),
    ],
)  # fmt: skip
def test_rate_limit_actions(settings: Json, expected: rate_limits.Action) -> None:
    (limit,) = action(rate_limits=[{"actions": [settings]}]).rate_limits
    assert limit.actions == [expected]


def test_rate_limits() -> None:
    limit = {
        "stage": 3, "actions": [{"remote_address": {}}], "apply_on_stream_done": True, "disable_key": "off",
        "limit": {"dynamic_metadata": {"metadata_key": KEY}}, "hits_addend": {"number": 0},
    }  # fmt: skip
    runtime = FakeRuntime({"ratelimit.off.http_filter_enabled": 0.0})
    route = {"route": {"cluster": "c", "rate_limits": [limit], "include_vh_rate_limits": True}}
    made = read(route, runtime, rate_limits=[{"actions": [{"source_cluster": {}}]}])
    assert isinstance(made.action, ClusterAction)
    (one,) = made.action.rate_limits
    assert (one.stage, one.apply_on_stream_done, one.hits, one.hits_format) == (3, True, 0, None)
    assert one.limit == rate_limits.LimitOverride("space", ["a", "b"])
    assert one.enabled is not None
    assert not one.enabled()
    assert made.action.include_virtual_host_rate_limits
    (of_host,) = made.virtual_host.rate_limits
    assert (of_host.actions, of_host.enabled, of_host.limit) == ([rate_limits.SourceCluster()], None, None)


def test_hits_by_a_format() -> None:
    limit = {"actions": [{"remote_address": {}}], "hits_addend": {"format": "%RESPONSE_CODE%"}}
    (made,) = action(rate_limits=[limit]).rate_limits
    assert made.hits_format is not None
    assert made.hits_format.format(full()) == b"200"


def test_whether_a_try_has_timed_out_is_told() -> None:
    host = read({"route": {"cluster": "c"}}, include_is_timeout_retry_header=True).virtual_host
    assert host.include_is_timeout_retry_header
