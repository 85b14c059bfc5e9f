"""Tests of envoymesh.config.yaml_loader: Envoy's scalar rules, lines, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.config.yaml_loader import MAX_DEPTH, load_json, load_yaml, scalar
from envoymesh.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("YES", True),
        ("On", True),
        ("y", True),
        ("off", False),
        ("N", False),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("5", 5),
        ("-7", -7),
        ("+5", 5),
        ("0x1F", 31),
        ("010", 8),
        ("0", 0),
        ("08", "08"),
        ("0o10", "0o10"),
        ("1_000", "1_000"),
        ("2147483647", 2147483647),
        ("2147483648", "2147483648"),
        ("0xFFFFFFFF", "4294967295"),
        ("9223372036854775808", "9223372036854775808"),
        ("1.0", "1.0"),
        ("1e3", "1e3"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
    ],
)
def test_plain_scalars_are_typed_as_envoy_does(text: str, value: Any) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_quoted_scalars_are_text_unless_a_tag_says_otherwise() -> None:
    text = 'a: "5"\nb: \'true\'\nc: |\n  5\nd: ! 5\ne: !!str 5\nf: !!str "5"\ng: ""\n'
    assert load_yaml(text).value == {"a": "5", "b": "true", "c": "5\n", "d": "5", "e": 5, "f": 5, "g": ""}


def test_lines_of_every_path() -> None:
    document = load_yaml("a:\n  b:\n  - c: 1\n  - d\n")
    assert document.lines == {("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 0, "c"): 3, ("a", "b", 1): 4}


def test_aliases_and_ignored_entries() -> None:
    document = load_yaml("!ignore x: &t 1s\na: *t\nb: &m {c: d}\ne: *m\n&k f: g\n*k : h\n")
    assert document.value == {"a": "1s", "b": {"c": "d"}, "e": {"c": "d"}, "f": "h"}


def test_merge_keys_are_ordinary_keys() -> None:
    assert load_yaml("a: &x {b: 1}\nc:\n  <<: *x\n").value == {"a": {"b": 1}, "c": {"<<": {"b": 1}}}


def test_a_duplicate_key_is_taken_with_a_warning() -> None:
    document = load_yaml("a: 1\na: 2\n", "f.yaml")
    assert document.value == {"a": 2}
    assert document.warnings == ["f.yaml: duplicate key, the last one counts, not that of line 1 (value: a) (line 2)"]


@pytest.mark.parametrize("text", ["a: 1\n---\n", "---\na: 1\n...\n", "a: 1\n---\n---\n# the end\n"])
def test_separators_without_a_document_are_passed_over(text: str) -> None:
    assert load_yaml(text).value == {"a": 1}


def test_a_byte_order_mark_is_skipped() -> None:
    assert load_yaml("\ufeffa: 1").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "holds no document", None),
        ("# only a comment\n", "holds no document", None),
        ("a:\n\tb: 1\n", "not YAML: found character that cannot start any token", 2),
        ("a: *b\n", "the anchor is not defined", 1),
        ("a: &b [*b]\n", "the anchor is not defined", 1),
        ("? [a]\n: b\n", "a key must be text", 1),
        ("a: [1\n", "not YAML", 2),
        ("a: 1\n\u00e9: \x00", "not YAML: control characters are not allowed", 2),
        ("a: \udce1", "not YAML: not valid Unicode", None),
        ("a: 1\n---\nb: 2\n", "a second YAML document begins here", 2),
        ("a: 1\n---\n---\n''\n", "a second YAML document begins here", 3),
        ("a: 1\n---\n\tb: 1\n", "not YAML: found character that cannot start any token", 3),
        ("[" * (MAX_DEPTH + 2), "nested more than 100 deep", 1),
    ],
)
def test_what_is_not_taken(text: str, message: str, line: int | None) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_yaml(text, "f.yaml")
    assert (caught.value.source, caught.value.line) == ("f.yaml", line)
    assert "\n" not in str(caught.value)


def test_json_keeps_its_own_types_and_has_lines() -> None:
    document = load_json('{\n"a": 5000000000,\n"b": "yes", "c": 1.5}', "f.json")
    assert document.value == {"a": 5000000000, "b": "yes", "c": 1.5}
    assert document.lines[("b",)] == 3


def test_json_that_is_not_yaml_has_no_lines() -> None:
    document = load_json('{"a": "\\ud83d\\ude00"}')
    assert document.value == {"a": "\N{GRINNING FACE}"}
    assert document.lines == {}


def test_json_duplicates_are_warned_of() -> None:
    assert load_json('{"a": 1,\n"a": 2}', "f").warnings == [
        "f: duplicate key, the last one counts, not that of line 1 (value: a) (line 2)"
    ]
    # JSON that is not YAML has no lines, and the warning all the same.
    assert load_json('{"a": "\\ud83d\\ude00", "a": 2}', "f").warnings == [
        "f: duplicate key, the last one counts (value: a)"
    ]


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", '{"a": NaN}', "a: b", '{"a": 1} {}', "[" * 100_000])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not JSON|nested more"):
        load_json(text)


def _outcome(text: str) -> str:
    try:
        return repr(load_yaml(text).value)
    except ConfigError as error:
        return error.message


@given(st.text(alphabet="ab:-[]{}&*!\"'#\n \t|>?,~1", max_size=40))
def test_any_text_is_a_document_or_a_config_error(text: str) -> None:
    assert _outcome(text) != ""
