"""Dynamic metadata and filter state in formats and log filters; the texts are what the real Envoy 1.40 writes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.access_loggers.config import AccessLogFactoryContext, read_filter
from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.formatter import Formatter, FormatterContext, JsonFormatter
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.stream_info import FilterState, StreamInfo, TextState
from tests.support.fakes import FakeConnection, FakeRuntime

VALUES: dict[str, Any] = {
    "s": 'te xt"q', "n": 1.0, "f": 1.5, "big": 1e20, "b": True, "z": None, "l": [1.0, "a", {"x": False}],
    "o": {"k2": "v", "k1": {"deep": 3.0}}, "e": "", "empty": {}, "u": "ü",
}  # fmt: skip
WHOLE = (
    '{"b":true,"big":1e+20,"e":"","empty":{},"f":1.5,"l":[1,"a",{"x":false}],"n":1,'
    '"o":{"k1":{"deep":3},"k2":"v"},"s":"te xt\\"q","u":"ü","z":null}'
)


class Fields(FilterState):
    def field(self, name: str) -> str | int | None:
        return {"text": "value", "number": 7}.get(name)


def context() -> FormatterContext:
    info = StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, 1)
    info.set_dynamic_metadata("ns", VALUES)
    info.set_filter_state("my.key", TextState('va"l'))
    info.set_filter_state("fields", Fields())
    return FormatterContext(info, None, None, None, 0.0)


@pytest.mark.parametrize(
    ("command", "text", "json"),
    [
        ("DYNAMIC_METADATA(ns)", WHOLE, WHOLE),
        ("DYNAMIC_METADATA(ns:s)", 'te xt"q', '"te xt\\"q"'),
        ("DYNAMIC_METADATA(ns:s):3", "te ", '"te "'),
        ("DYNAMIC_METADATA(ns:u)", "ü", '"ü"'),
        ("DYNAMIC_METADATA(ns:n)", "1", "1"),
        ("DYNAMIC_METADATA(ns:f)", "1.5", "1.5"),
        ("DYNAMIC_METADATA(ns:big)", "1e+20", "1e+20"),
        ("DYNAMIC_METADATA(ns:b)", "true", "true"),
        ("DYNAMIC_METADATA(ns:z)", "-", "null"),
        ("DYNAMIC_METADATA(ns:l)", '[1,"a",{"x":false}]', '[1,"a",{"x":false}]'),
        ("DYNAMIC_METADATA(ns:o)", '{"k1":{"deep":3},"k2":"v"}', '{"k1":{"deep":3},"k2":"v"}'),
        ("DYNAMIC_METADATA(ns:o):4", '{"k1', '{"k1":{"deep":3},"k2":"v"}'),
        ("DYNAMIC_METADATA(ns:o:k1:deep)", "3", "3"),
        ("DYNAMIC_METADATA(ns:e)", "", '""'),
        ("DYNAMIC_METADATA(ns:empty)", "{}", "{}"),
        ("DYNAMIC_METADATA(ns:none)", "-", "null"),
        ("DYNAMIC_METADATA(nons:x)", "-", "null"),
        ("DYNAMIC_METADATA(ns:s:x)", "-", "null"),
        ("METADATA(DYNAMIC:ns:s)", 'te xt"q', '"te xt\\"q"'),
        ("METADATA(ROUTE:ns:s)", "-", "null"),
        ("FILTER_STATE(my.key)", '"va\\"l"', '"va\\"l"'),
        ("FILTER_STATE(my.key:PLAIN)", 'va"l', '"va\\"l"'),
        ("FILTER_STATE(my.key:PLAIN):2", "va", '"va"'),
        ("FILTER_STATE(my.key:TYPED):2", '"v', '"va\\"l"'),
        ("FILTER_STATE(my.key:FIELD:x)", "-", "null"),
        ("FILTER_STATE(none:PLAIN)", "-", "null"),
        ("FILTER_STATE(fields:FIELD:text)", "value", '"value"'),
        ("FILTER_STATE(fields:FIELD:number)", "7", "7"),
        ("FILTER_STATE(fields)", "-", "null"),
    ],
)
def test_a_command_in_text_and_in_json(command: str, text: str, json: str) -> None:
    assert Formatter(f"%{command}%").format(context()).decode() == text
    assert JsonFormatter({"k": f"%{command}%"}).format(context()).decode() == f'{{"k":{json}}}\n'


def test_json_within_a_text() -> None:
    made = JsonFormatter({"k": "a %DYNAMIC_METADATA(ns:o)% %DYNAMIC_METADATA(ns:s)%"}).format(context())
    assert made.decode() == '{"k":"a {\\"k1\\":{\\"deep\\":3},\\"k2\\":\\"v\\"} te xt\\"q"}\n'


def test_nothing_is_there_until_somebody_writes() -> None:
    info = context().info
    fresh = StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, 1)
    assert (fresh.dynamic_metadata, fresh.filter_state) == (None, None)
    info.set_dynamic_metadata("ns", {"s": "new", "o": {"k2": "w", "k3": 1}})
    assert info.dynamic_metadata is not None
    assert info.dynamic_metadata["ns"]["o"] == {"k1": {"deep": 3.0}, "k2": "w", "k3": 1}
    assert info.dynamic_metadata["ns"]["s"] == "new"
    with pytest.raises(ValueError, match=r"my\.key is set already"):
        info.set_filter_state("my.key", TextState("other"))


def logged(path: list[str], value: dict[str, Any], **more: Any) -> bool:
    matcher = {"filter": "ns", "path": [{"key": key} for key in path], "value": value, **more.pop("matcher", {})}
    settings = {"metadata_filter": {"matcher": matcher, **more}}
    message = json_format.ParseDict(settings, message_class("envoy.config.accesslog.v3.AccessLogFilter")())
    reader = Reader(message, "filter")
    wanted = read_filter(reader, AccessLogFactoryContext(lambda path: None, FakeRuntime(), lambda: 0.5))  # type: ignore[arg-type, return-value]
    reader.finish()
    return wanted(context())


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["s"], {"string_match": {"prefix": "te"}}, True),
        (["s"], {"string_match": {"prefix": "no"}}, False),
        (["n"], {"string_match": {"exact": "1"}}, False),
        (["n"], {"double_match": {"exact": 1}}, True),
        (["b"], {"double_match": {"exact": 1}}, False),
        (["f"], {"double_match": {"range": {"start": 1, "end": 2}}}, True),
        (["f"], {"double_match": {"range": {"start": 1, "end": 1.5}}}, False),
        (["b"], {"bool_match": True}, True),
        (["n"], {"bool_match": True}, False),
        (["z"], {"null_match": {}}, True),
        (["s"], {"null_match": {}}, False),
        (["l"], {"list_match": {"one_of": {"string_match": {"exact": "a"}}}}, True),
        (["s"], {"list_match": {"one_of": {"string_match": {"exact": "t"}}}}, False),
        (["s"], {"or_match": {"value_matchers": [{"bool_match": True}, {"string_match": {"contains": "xt"}}]}}, True),
        (["s"], {"present_match": True}, True),
        (["s"], {"present_match": False}, False),
        (["o", "k1", "deep"], {"double_match": {"exact": 3}}, True),
    ],
)
def test_a_log_filter_on_a_value_that_is_there(path: list[str], value: dict[str, Any], expected: bool) -> None:
    assert logged(path, value) is expected
    assert logged(path, value, match_if_key_not_found=not expected) is expected
    assert logged(path, value, matcher={"invert": True}) is expected


def test_a_log_filter_on_a_value_that_is_not_there() -> None:
    assert logged(["none"], {"present_match": True}) is True
    assert logged(["none"], {"null_match": {}}, match_if_key_not_found=False) is False
