"""Messages of matchers, one field at a time."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import FilterState, TextState
from envoymesh.matching.config import (
    read_cidr,
    read_filter_state_matcher,
    read_header_matcher,
    read_metadata_matcher,
    read_string_matcher,
    read_uri_template,
)

TYPE = "envoy.type.matcher.v3."


def reader(type_name: str, **fields: Any) -> Reader:
    return Reader(json_format.ParseDict(fields, message_class(type_name)()), "it")


@pytest.mark.parametrize("kind", ["envoy.config.core.v3.CidrRange", "xds.core.v3.CidrRange"])
def test_ranges(kind: str) -> None:
    def read(prefix: str, length: int) -> str:
        return str(read_cidr(reader(kind, address_prefix=prefix, prefix_len=length)))

    assert (read("10.1.2.3", 8), read("1.2.3.4", 60), read("fe80::1", 10)) == ("10.0.0.0/8", "1.2.3.4/32", "fe80::/10")
    with pytest.raises(ConfigError, match=r"invalid ip/mask combo '1\.2\.3/8' \(format is <ip>/<# mask bits>\)"):
        read("1.2.3", 8)


def test_filter_state() -> None:
    kind = TYPE + "FilterStateMatcher"
    states: dict[str, FilterState] = {"k": TextState("10.1.1.1")}
    inside = {"ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}
    assert read_filter_state_matcher(reader(kind, key="k", string_match={"prefix": "10"})).matches(states)
    assert read_filter_state_matcher(reader(kind, key="k", address_match=inside)).matches(states)
    assert not read_filter_state_matcher(reader(kind, key="k", address_match={"ranges": []})).matches(states)


def test_metadata() -> None:
    fields = {"filter": "f", "path": [{"key": "a"}], "value": {"string_match": {"exact": "b"}}}
    read = read_metadata_matcher(reader(TYPE + "MetadataMatcher", **fields))
    assert (read.matches({"f": {"a": "b"}}), read.matches({"f": {}})) == (True, False)
    assert read_metadata_matcher(reader(TYPE + "MetadataMatcher", **fields, invert=True)).matches({"f": {}})


def test_uri_templates() -> None:
    kind = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
    assert read_uri_template(reader(kind, path_template="/{a}")).variables == ["a"]
    with pytest.raises(ConfigError, match=r'path_match_policy.path_template a is invalid: Invalid pattern: "a"'):
        read_uri_template(reader(kind, path_template="a"))


@pytest.mark.parametrize("kind", [TYPE + "StringMatcher", "xds.type.matcher.v3.StringMatcher"])
def test_strings_of_both_families(kind: str) -> None:
    assert read_string_matcher(reader(kind, contains="B", ignore_case=True)).matches(b"abc")
    assert read_string_matcher(reader(kind, safe_regex={"google_re2": {}, "regex": "a+"})).matches(b"aa")
    with pytest.raises(ConfigError, match="string matcher is not supported by envoymesh"):
        read_string_matcher(reader(kind, custom={"name": "x"}))


@pytest.mark.parametrize(
    ("fields", "value", "fits"),
    [
        ({"exact_match": ""}, "any", True),  # as in Envoy
        ({"exact_match": "a"}, "b", False),
        ({"prefix_match": "a"}, "ab", True),
        ({"suffix_match": "b"}, "ab", True),
        ({"contains_match": "c"}, "ab", False),
        ({"safe_regex_match": {"regex": "a."}}, "ab", True),
        ({"range_match": {"start": 1, "end": 3}}, "2", True),
        ({"range_match": {"start": 1, "end": 3}}, "3", False),
        ({"present_match": False}, "", False),
        ({"string_match": {"exact": "a"}, "invert_match": True}, "b", True),
    ],
)
def test_headers(fields: dict[str, Any], value: str, fits: bool) -> None:
    matcher = read_header_matcher(reader("envoy.config.route.v3.HeaderMatcher", name="X-A", **fields))
    assert matcher.matches(RequestHeaders(b"GET", b"/", b"a", fields=[(b"x-a", value.encode())])) is fits


def test_a_missing_header_may_count_as_empty() -> None:
    fields = {"name": "x-a", "string_match": {"exact": ""}}
    none = RequestHeaders(b"GET", b"/", b"a")
    kind = "envoy.config.route.v3.HeaderMatcher"
    assert not read_header_matcher(reader(kind, **fields)).matches(none)
    assert read_header_matcher(reader(kind, **fields, treat_missing_header_as_empty=True)).matches(none)
