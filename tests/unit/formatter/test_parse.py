"""The grammar of formats, and what is refused in Envoy's words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.formatter import Formatter
from envoymesh.formatter.operators import UNSUPPORTED
from envoymesh.formatter.parse import Command, parse


def test_parts() -> None:
    found = parse("a%%%REQ(A?B):3%b%START_TIME(%Y)%%PROTOCOL%")
    assert found == ["a%", Command("REQ", "A?B", 3), "b", Command("START_TIME", "%Y"), Command("PROTOCOL")]


@given(st.text())
def test_doubled_percents_are_text(text: str) -> None:
    assert parse(text.replace("%", "%%")) == ([text] if text else [])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("%NONSENSE%", "Not supported field in StreamInfo: NONSENSE"),
        ("%PROTOCOL(x)%", "PROTOCOL does not take any parameters or length"),
        ("%PROTOCOL:3%", "PROTOCOL does not take any parameters or length"),
        ("%REQ%", "REQ requires parameters"),
        ("%REQ()%", "REQ requires parameters"),
        ("%REQ(A?B?C)%", "More than 1 alternative header specified in token: A?B?C"),
        ("%REQ(A\n)%", "contains newline"),
        ("%START_TIME:3%", "START_TIME does not allow length to be specified."),
        ("%START_TIME(%n)%", "Format string contains newline."),
        ("100% sure", "Incorrect configuration: 100% sure. Couldn't find valid command at position 3"),
        ("%START_TIME", "Couldn't find valid command at position 0"),
        ("%REQ(A):x%", "Couldn't find valid command at position 0"),
        ("%GRPC_STATUS(X)%", "only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: X"),
        ("%COMMON_DURATION(A)%", "Invalid common duration configuration: A."),
        ("%COMMON_DURATION(A:B:m)%", "Invalid common duration precision: m."),
        ("%COMMON_DURATION(US_CX_BEG:DS_TX_END)%", "US_CX_BEG is not supported by envoymesh"),
        ("%METADATA(X:a)%", "X is not supported type of metadata"),
        ("%FILTER_STATE()%", "key cannot be empty"),
        ("%FILTER_STATE(a:b)%", "only support PLAIN/TYPED/FIELD"),
        ("%FILTER_STATE(a:FIELD)%", "FIELD should be used with the field name"),
        ("%PATH(X)%", "Invalid PATH option: 'X', only 'WQ'/'NQ' are allowed"),
        ("%PATH(NQ:X)%", "Invalid PATH option: 'X', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed"),
        ("%QUERY_PARAMS(X)%", "Invalid QUERY_PARAMS option: 'X'"),
        ("%QUERY_PARAMS(DECODED)%", "is not supported by envoymesh"),
        ("%REQUESTED_SERVER_NAME(X)%", "Invalid REQUESTED_SERVER_NAME option: 'X'"),
        ("%REQUESTED_SERVER_NAME(SNI_ONLY:X)%", "Invalid REQUESTED_SERVER_NAME option: 'X'"),
    ],
)
def test_refused(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=re.escape(cause)):
        Formatter(text)


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_what_has_no_true_answer_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is not supported by envoymesh$"):
        Formatter(f"%{name}%")
