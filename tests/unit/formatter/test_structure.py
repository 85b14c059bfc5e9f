"""JSON formats: types, missing values, and escapes as the real Envoy writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.formatter import JsonFormatter
from envoymesh.formatter.structure import escaped
from tests.support.logged import full

LAYOUT: dict[str, Any] = {
    "z": "%RESPONSE_CODE%",
    "a": "%PROTOCOL%",
    "none": "%REQ(no)%",
    "mixed": "%RESPONSE_CODE% %REQ(no)%x",
    "fixed": "100%%",
    "number": 5,
    "true": True,
    "null": None,
    "inner": {"none": "%REQ(no)%"},
    "list": ["%REQ(no)%", ["%BYTES_SENT%", 7]],
}


def test_values_keep_their_types_and_keys_are_sorted() -> None:
    assert JsonFormatter(LAYOUT).format(full()) == (
        b'{"a":"HTTP/1.1","fixed":"100%","inner":{"none":null},"list":[null,[4,7]],"mixed":"200 -x","none":null,'
        b'"null":null,"number":5,"true":true,"z":200}\n'
    )


def test_empty_values_are_left_out() -> None:
    assert JsonFormatter(LAYOUT, omit_empty_values=True).format(full()) == (
        b'{"a":"HTTP/1.1","fixed":"100%","list":[[4,7]],"mixed":"200 x","number":5,"true":true,"z":200}\n'
    )


def test_empty_containers_as_in_envoy() -> None:
    layout: dict[str, Any] = {"l": ["%REQ(no)%"], "o": {"n": {"a": "%REQ(no)%"}}}
    assert JsonFormatter(layout, omit_empty_values=True).format(full()) == b'{"l":[]}\n'
    assert JsonFormatter({"o": {}}, omit_empty_values=True).format(full()) == b"{}\n"
    assert JsonFormatter({"o": {}, "l": []}).format(full()) == b'{"l":[],"o":{}}\n'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'a"b\\c\td', r"a\"b\\c\td"),
        ("\u00e9 \u2028 \U0001f600 /".encode(), "\u00e9 \u2028 \U0001f600 /"),
        (b'q"\\\t\xc3\xa9\xff<', r"q\u0022\u005c\u0009\u00c3\u00a9\u00ff<"),
    ],
)
def test_escapes(raw: bytes, expected: str) -> None:
    assert escaped(raw.decode("latin-1")) == expected


@given(st.binary())
def test_every_header_makes_valid_json(raw: bytes) -> None:
    context = full()
    assert context.request is not None
    context.request.set(b"x", raw)
    line = json.loads(JsonFormatter({"x": "%REQ(x)%", "y": "a%REQ(x)%b"}).format(context))
    assert line["y"] == f"a{line['x']}b"


def test_a_bad_format_is_refused() -> None:
    with pytest.raises(ValueError, match="Not supported field in StreamInfo: FOO"):
        JsonFormatter({"a": {"b": ["%FOO%"]}})
