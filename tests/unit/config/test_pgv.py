"""Tests of envoymesh.config.pgv: each kind of rule on one value, and that no rule of Envoy's is unknown."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from envoymesh.config.pgv import CHECKS, violations

validate: Any = importlib.import_module("validate.validate_pb2")
STRUCTURAL = {
    "ignore_empty", "strict", "required", "defined_only", "skip", "items", "keys", "values", "well_known_regex",
    "gt", "gte", "lt", "lte",
}  # fmt: skip
"""The rules that are handled elsewhere than in `CHECKS`."""


def problems(value: Any, kind: str, **rules: Any) -> list[str]:
    return list(violations(value, getattr(validate, kind)(**rules)))


@pytest.mark.parametrize(
    ("value", "kind", "rules"),
    [
        ("a", "StringRules", {"min_len": 1, "max_len": 1, "len": 1, "min_bytes": 1}),
        ("", "StringRules", {"min_len": 1, "ignore_empty": True}),
        ("abc", "StringRules", {"prefix": "a", "suffix": "c", "contains": "b", "not_contains": "d", "const": "abc"}),
        ("a.b", "StringRules", {"pattern": "^[a-z.]+$", "not_in": ["x"]}),
        ("::1", "StringRules", {"ip": True, "ipv6": True}),
        ("x-a", "StringRules", {"well_known_regex": 1}),
        ("a b\t", "StringRules", {"well_known_regex": 2}),
        ("a b\x01", "StringRules", {"well_known_regex": 1, "strict": False}),
        (5, "UInt32Rules", {"gte": 5, "lt": 6, "in": [5]}),
        (1, "UInt32Rules", {"gt": 5, "lt": 3}),
        (9, "UInt32Rules", {"gt": 5, "lt": 3}),
        ([1], "RepeatedRules", {"min_items": 1, "max_items": 1, "unique": True}),
        ({1: 2}, "MapRules", {"min_pairs": 1}),
        (True, "BoolRules", {"const": True}),
        (b"ab", "BytesRules", {"max_len": 2}),
    ],
)
def test_values_that_keep_the_rules(value: Any, kind: str, rules: dict[str, Any]) -> None:
    assert problems(value, kind, **rules) == []


@pytest.mark.parametrize(
    ("value", "kind", "rules", "message"),
    [
        ("", "StringRules", {"min_len": 1}, "value length must be at least 1 characters"),
        ("\u00e9", "StringRules", {"max_bytes": 1}, "value length must be at most 1 bytes"),
        ("ab", "StringRules", {"len_bytes": 1}, "value length must be 1 bytes"),
        ("a\n", "StringRules", {"pattern": "^a$"}, "value does not match regex pattern '^a$'"),
        ("b", "StringRules", {"prefix": "a"}, "value does not have prefix 'a'"),
        ("b", "StringRules", {"in": ["a"]}, "value must be in list ['a']"),
        ("1.2.3", "StringRules", {"ipv4": True}, "value must be a valid IPv4 address"),
        ("a b", "StringRules", {"well_known_regex": 1}, "value is not a valid HTTP header name"),
        ("a\rb", "StringRules", {"well_known_regex": 1, "strict": False}, "value is not a valid HTTP header name"),
        ("a\x01", "StringRules", {"well_known_regex": 2}, "value is not a valid HTTP header value"),
        (70000, "UInt32Rules", {"lte": 65535}, "value must be less than or equal to 65535"),
        (
            4,
            "UInt32Rules",
            {"gt": 5, "lt": 3},
            "value must be greater than 5 and less than 3",
        ),
        (0, "DurationRules", {"gt": {}}, "value must be greater than 0s"),
        (float("nan"), "DoubleRules", {"gte": 0.0}, "value must be greater than or equal to 0"),
        ([], "RepeatedRules", {"min_items": 1}, "value must contain at least 1 item(s)"),
        ([1, 1], "RepeatedRules", {"unique": True}, "repeated value must contain unique items"),
        (False, "BoolRules", {"const": True}, "value must equal True"),
    ],
)
def test_values_that_break_them(value: Any, kind: str, rules: dict[str, Any], message: str) -> None:
    assert problems(value, kind, **rules) == [message]


def _rule_names(rules: Any) -> set[str]:
    found: set[str] = set()
    for field, value in rules.ListFields():
        below = field.message_type is not None and field.message_type.full_name.startswith("validate.")
        found |= ({field.name} if field.name in STRUCTURAL else set()) | _rule_names(value) if below else {field.name}
    return found


def test_every_rule_of_envoys_core_messages_is_known() -> None:
    root = Path(importlib.import_module("envoy").__path__[0])
    used = set()
    for file in root.glob("config/*/v3/*_pb2.py"):
        module: Any = importlib.import_module(".".join(("envoy", *file.relative_to(root).with_suffix("").parts)))
        for message in module.DESCRIPTOR.message_types_by_name.values():
            for field in message.fields:
                used |= _rule_names(field.GetOptions().Extensions[validate.rules])
    assert len(used) > 10
    assert used - set(CHECKS) - STRUCTURAL == set()
