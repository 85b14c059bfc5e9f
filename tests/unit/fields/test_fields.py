"""Every field that the readers read has a test that notices it, by name, or a reason why it changes nothing.

`python -m tests.unit.fields` proves the table: it runs each named test while readers do not see the field.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.fields.masking import masked, run
from tests.unit.fields.table import ROOT, places, readable, rows, without_effect

METHODS = {
    "string", "bytes_", "boolean", "integer", "number", "enum", "duration", "percent", "fractional", "message_",
    "required", "repeated", "message_map", "any_", "repeated_any", "any_map", "strings", "integers", "enums",
    "struct", "variable", "data_source", "socket_address", "ipv4_compat", "accept",
}  # fmt: skip
"""Of a `Reader`: those that ask for a field."""


def test_every_field_that_is_read_has_a_test_or_a_reason() -> None:
    assert readable() == rows().keys() | without_effect().keys()
    assert not rows().keys() & without_effect().keys()


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_is_there() -> None:
    named = {test.partition("[")[0].partition("::")[::2] for test in rows().values()}
    files = {file: functions(ROOT / file) for file, _ in named}
    assert {f"{file}::{name}" for file, name in named if name not in files[file]} == set()


def reading_calls(file: Path) -> Iterator[tuple[int, int, str]]:
    """First and last line of each call that reads a field which is named there, and the field's name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            for argument in node.args[:1]:
                # A name with dots is a runtime key.
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and "." not in argument.value:
                    yield node.lineno, node.end_lineno or node.lineno, argument.value


def test_everything_that_reads_a_field_was_reached() -> None:
    """Else the bootstrap of everything lacks a message, and the table may lack fields."""
    missed = []
    for file in sorted((ROOT / "envoymesh").rglob("config.py")):
        reached = {line for where, line in places() if where == str(file)}
        for first, last, field in reading_calls(file):
            if reached.isdisjoint(range(first, last + 1)):
                missed.append(f"{file.relative_to(ROOT)}:{first} {field}")
    assert missed == []


@pytest.mark.parametrize("field", ["envoy.config.route.v3.RedirectAction.strip_query"])
def test_a_test_fails_without_its_field(field: str) -> None:
    """The proof in small: the whole is run on demand."""
    test = rows()[field]
    assert (run([test]).failed, run([test]).ran) == ([], 1)
    with masked(field):
        assert run([test]).failed == [test]
