"""Static metadata in formats: text as it is, all else as JSON, nothing as a dash or null."""

from typing import Any

import pytest

from envoymesh.formatter import Formatter, JsonFormatter
from tests.support.logged import bare, full

SPACES: dict[str, Any] = {
    "a": {"text": 'caf\u00e9 "x"', "number": 1.5, "flag": False, "none": None, "deep": {"b": [1]}}
}


@pytest.mark.parametrize(
    ("path", "text", "json"),
    [
        ("a:text", 'caf\u00e9 "x"', '"caf\u00e9 \\"x\\""'),
        ("a:number", "1.5", "1.5"),
        ("a:flag", "false", "false"),
        ("a:none", "-", "null"),
        ("a:deep", '{"b":[1]}', '{"b":[1]}'),
        ("a:deep:b", "[1]", "[1]"),
        ("a:deep:b:c", "-", "null"),
        ("a:no", "-", "null"),
        ("b", "-", "null"),
    ],
)
def test_values(path: str, text: str, json: str) -> None:
    context = full(route_metadata={"ROUTE": SPACES})
    assert Formatter(f"%METADATA(ROUTE:{path})%").format(context).decode() == text
    assert JsonFormatter({"x": f"%METADATA(ROUTE:{path})%"}).format(context).decode() == f'{{"x":{json}}}\n'
    assert Formatter(f"%METADATA(VIRTUAL_HOST:{path})%").format(context) == b"-"


def test_json_within_text_is_escaped() -> None:
    context = full(cluster_metadata={"CLUSTER": SPACES})
    assert JsonFormatter({"x": "<%CLUSTER_METADATA(a:deep)%>"}).format(context) == b'{"x":"<{\\"b\\":[1]}>"}\n'


def test_of_what_was_not_reached_there_is_none() -> None:
    kinds = ("LISTENER", "LISTENER_FILTER_CHAIN", "VIRTUAL_HOST", "ROUTE", "CLUSTER", "UPSTREAM_HOST", "DYNAMIC")
    for kind in kinds:
        assert Formatter(f"%METADATA({kind}:a:text)%").format(bare()) == b"-"
    with pytest.raises(ValueError, match="PLANET is not supported type of metadata"):
        Formatter("%METADATA(PLANET:a)%")
