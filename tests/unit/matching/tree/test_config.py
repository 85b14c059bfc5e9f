"""Matcher messages of both families -> trees."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo, TextState
from envoymesh.matching.tree.config import INPUTS, MatchTreeFactoryContext, read_match_tree
from envoymesh.matching.tree.data import MatchingData
from envoymesh.matching.tree.inputs import CONNECTION_FACTS
from envoymesh.stats import Store
from tests.support.fakes import FakeConnection

TYPES = "type.googleapis.com/"
NETWORK = "envoy.extensions.matching.common_inputs.network.v3."
STRING = "google.protobuf.StringValue"
MATCHERS = "envoy.extensions.matching.input_matchers."
CONTEXT = MatchTreeFactoryContext(lambda action: action.string("value"))


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    message_class(kind)
    return {"name": kind, "typed_config": {"@type": TYPES + kind, **fields}}


def to(name: str, **more: Any) -> dict[str, Any]:
    return {"action": typed("google.protobuf.StringValue", value=name), **more}


X = typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name="X")


def wants(x: str) -> dict[str, Any]:
    return {"single_predicate": {"input": X, "value_match": {"exact": x}}}


def read(
    fields: dict[str, Any], context: MatchTreeFactoryContext = CONTEXT, kind: str = "xds.type.matcher.v3.Matcher"
) -> Any:
    reader = Reader(json_format.ParseDict(fields, message_class(kind)()), "it")
    tree = read_match_tree(reader, context)
    reader.finish()
    return tree


def data(x: str = "", **more: Any) -> MatchingData:
    headers = RequestHeaders(b"GET", b"/?q=1", b"a", fields=[(b"x", x.encode())])
    info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    return MatchingData(info, headers, **more)


@pytest.mark.parametrize("kind", ["xds.type.matcher.v3.Matcher", "envoy.config.common.matcher.v3.Matcher"])
def test_lists_of_both_families(kind: str) -> None:
    predicates = [
        ({"and_matcher": {"predicate": [wants("a"), {"not_matcher": wants("b")}]}}, to("and")),
        ({"or_matcher": {"predicate": [wants("b"), wants("c")]}}, to("or")),
        (wants("d"), {"matcher": {"on_no_match": to("nested")}}),
        (wants("e"), to("passed", keep_matching=True)),
    ]
    matchers = [{"predicate": predicate, "on_match": on_match} for predicate, on_match in predicates]
    tree = read({"matcher_list": {"matchers": matchers}, "on_no_match": to("none")}, kind=kind)
    assert [tree.match(data(x)) for x in "abcdef"] == ["and", "or", "or", "nested", "none", "none"]


def lookup(source: dict[str, Any] = X, **tree: Any) -> dict[str, Any]:
    return {"matcher_tree": {"input": source, **tree}}


def test_maps() -> None:
    children = {"map": {"a": to("A")}}
    assert read(lookup(exact_match_map=children)).match(data("a")) == "A"
    assert read(lookup(exact_match_map=children)).match(data("ab")) is None
    assert read(lookup(prefix_match_map=children)).match(data("ab")) == "A"
    assert read({}).match(data()) is None


def test_addresses() -> None:
    ranges = [{"address_prefix": "10.0.0.0", "prefix_len": 8}]
    nowhere = {"ranges": [{"address_prefix": "10.1.0.0", "prefix_len": 16}], "on_match": {"matcher": {}}}
    for exclusive, found in ((False, "ten"), (True, None)):
        matchers = [{"ranges": ranges, "on_match": to("ten"), "exclusive": exclusive}, nowhere]
        tree = read(lookup(custom_match=typed("xds.type.matcher.v3.IPMatcher", range_matchers=matchers)))
        assert (tree.match(data("10.2.3.4")), tree.match(data("10.1.3.4"))) == ("ten", found)


def names(*domains: str) -> dict[str, Any]:
    matchers = [{"domains": list(domains), "on_match": to("name")}]
    return lookup(custom_match=typed("xds.type.matcher.v3.ServerNameMatcher", domain_matchers=matchers))


def test_names() -> None:
    assert read(names("*.a.com")).match(data("x.a.com")) == "name"


@pytest.mark.parametrize(
    ("domains", "reason"),
    [
        (["a", "a"], "Duplicate domain in ServerNameMatcher: a"),
        (["a*"], r"Invalid wildcard domain format: a\*\. Only '\*' and '\*\.domain' patterns are supported"),
        (["*."], r"Invalid wildcard domain format: \*\.\. Only"),
        (["*.a*"], r"Invalid wildcard domain format: \*\.a\*\. Multiple wildcards are not supported"),
        ([""], "Empty domain in ServerNameMatcher"),
    ],
)
def test_refused_names(domains: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(names(*domains))


def single(source: dict[str, Any], **match: Any) -> dict[str, Any]:
    predicate = {"single_predicate": {"input": source, **match}}
    return {"matcher_list": {"matchers": [{"predicate": predicate, "on_match": to("yes")}]}}


METADATA = typed(NETWORK + "DynamicMetadataInput", filter="f", path=[{"key": "k"}])


def test_matchers_of_their_own() -> None:
    ranges = [{"address_prefix": "10.0.0.0", "prefix_len": 8}]
    ip = typed(MATCHERS + "ip.v3.Ip", cidr_ranges=ranges, stat_prefix="s")
    tree = read(single(X, custom_match=ip))
    assert (tree.match(data("10.1.1.1")), tree.match(data("11.1.1.1"))) == ("yes", None)
    assert read(single(METADATA, custom_match=ip)).match(data()) is None
    wanted = {"string_match": {"exact": "v"}}
    left = data()
    left.info.set_dynamic_metadata("f", {"k": "v"})  # type: ignore[union-attr]
    for invert, answers in ((False, ("yes", None)), (True, (None, "yes"))):
        metadata = typed(MATCHERS + "metadata.v3.Metadata", value=wanted, invert=invert)
        tree = read(single(METADATA, custom_match=metadata))
        assert (tree.match(left), tree.match(data())) == answers
        assert read(single(X, custom_match=metadata)).match(left) is None


def test_texts_that_are_no_addresses_are_counted() -> None:
    store = Store()
    context = MatchTreeFactoryContext(CONTEXT.read_action, counter=store.scope("").counter)
    ranges = [{"address_prefix": "10.0.0.0", "prefix_len": 8}]
    tree = read(single(X, custom_match=typed(MATCHERS + "ip.v3.Ip", cidr_ranges=ranges, stat_prefix="s")), context)
    for text in ("10.1.1.1", "11.1.1.1", "word", ""):
        tree.match(data(text))
    assert store.counters.by_name["s.ip_parsing_failed"].value == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (typed("envoy.type.matcher.v3.HttpRequestTrailerMatchInput", header_name="t"), "rt"),
        (typed("envoy.type.matcher.v3.HttpResponseHeaderMatchInput", header_name="t"), "sh"),
        (typed("envoy.type.matcher.v3.HttpResponseTrailerMatchInput", header_name="t"), "st"),
        (typed("envoy.type.matcher.v3.HttpRequestQueryParamMatchInput", query_param="q"), "1"),
        (typed("envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"), "204"),
        (typed("envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput"), "2xx"),
        (typed(NETWORK + "FilterStateInput", key="k"), "left"),
        (typed(NETWORK + "DestinationPortInput"), "10000"),
        (typed("envoy.extensions.matching.common_inputs.environment_variable.v3.Config", name="MATCHED"), "variable"),
    ],
)
def test_inputs(source: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHED", "variable")
    answer = ResponseHeaders(204, [(b"t", b"sh")])
    trailers = {"request_trailers": HeaderMap([(b"t", b"rt")]), "response_trailers": HeaderMap([(b"t", b"st")])}
    known = data(response_headers=answer, **trailers)
    known.info.set_filter_state("k", TextState("left"))  # type: ignore[union-attr]
    assert read(single(source, value_match={"exact": expected})).match(known) == "yes"


def test_a_variable_is_what_it_was_when_it_was_first_read(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "envoy.extensions.matching.common_inputs.environment_variable.v3.Config"
    reader = Reader(json_format.ParseDict({"name": "MATCHED"}, message_class(kind)()))
    monkeypatch.delenv("MATCHED", raising=False)
    assert reader.variable("name") is None
    monkeypatch.setenv("MATCHED", "then")
    assert reader.variable("name") == b"then"
    monkeypatch.setenv("MATCHED", "now")
    assert reader.variable("name") == b"then"


def test_every_fact_has_a_message() -> None:
    for name in CONNECTION_FACTS:
        message_class("envoy.extensions.matching.common_inputs." + name)
    for name in INPUTS:
        message_class(name)


@pytest.mark.parametrize(
    ("fields", "path", "reason"),
    [
        (lookup(METADATA, exact_match_map={"map": {"a": to("A")}}), "input", "only a string is supported"),
        (lookup(custom_match=typed(STRING, value="a")), "custom_match", "custom matcher is not supported"),
        (single(METADATA, value_match={"exact": "a"}), "value_match", "value_match needs one"),
        (single(X, custom_match=typed(MATCHERS + "consistent_hashing.v3.ConsistentHashing")), "custom_match",
         "input matcher consistent_hashing.v3.ConsistentHashing is not supported by envoymesh"),
        (single(typed(STRING, value="a"), value_match={"exact": "a"}), "input", "is not supported"),
    ],
)  # fmt: skip
def test_refused(fields: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read(fields)
    assert caught.value.path.endswith(path)


def test_the_user_says_what_has_a_place() -> None:
    narrow = MatchTreeFactoryContext(CONTEXT.read_action, lambda kind: f"no {kind}", keep_matching=False)
    with pytest.raises(ConfigError, match=r"no envoy\.type\.matcher\.v3\.HttpRequestHeaderMatchInput"):
        read(lookup(exact_match_map={"map": {"a": to("A")}}), narrow)
    with pytest.raises(ConfigError, match="keep_matching is not supported in this context"):
        read({"on_no_match": to("none", keep_matching=True)}, narrow)
