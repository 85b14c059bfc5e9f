"""Tests of envoymesh.config.values: one plain value to one protobuf scalar, as Envoy reads it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from envoymesh.config import values

LEVELS = {name: SimpleNamespace(number=number) for number, name in enumerate(("STATIC", "STRICT_DNS"))}


def uint32(value: Any) -> int:
    return values.to_integer(value, 0, 2**32 - 1)


def level(value: Any) -> int:
    return values.to_enum(value, LEVELS)


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (values.to_bool, True, True),
        (values.to_bool, "yes", True),
        (values.to_bool, "F", False),
        (values.to_bool, "0", False),
        (uint32, 5, 5),
        (uint32, 5.0, 5),
        (uint32, "5", 5),
        (uint32, "05", 5),
        (uint32, "+5", 5),
        (uint32, "5.", 5),
        (uint32, "5.0", 5),
        (uint32, "1e3", 1000),
        (uint32, "4294967295", 4294967295),
        (values.to_double, "1.5", 1.5),
        (values.to_double, 2, 2.0),
        (values.to_double, "-Infinity", -math.inf),
        (values.to_float, 1.5, 1.5),
        (values.to_string, "a", "a"),
        (values.to_bytes, "AP8=", b"\0\xff"),
        (values.to_bytes, "_-8", b"\xff\xef"),
        (level, "STRICT_DNS", 1),
        (level, "strict_dns", 1),
        (level, "1", 1),
        (level, 7, 7),
        (values.to_duration, "1s", (1, 0)),
        (values.to_duration, "0.25s", (0, 250_000_000)),
        (values.to_duration, "-1.5s", (-1, -500_000_000)),
    ],
)
def test_taken(convert: Callable[[Any], Any], value: Any, expected: Any) -> None:
    assert convert(value) == expected


def test_nan() -> None:
    assert math.isnan(values.to_double("NaN"))


@pytest.mark.parametrize(
    ("convert", "value"),
    [
        (values.to_bool, 1),
        (values.to_bool, "maybe"),
        (values.to_bool, "on"),
        (uint32, -1),
        (uint32, 2**32),
        (uint32, 5.5),
        (uint32, "5.5"),
        (uint32, " 5"),
        (uint32, ""),
        (uint32, "."),
        (uint32, "0x10"),
        (uint32, "1_0"),
        (uint32, "\u0665"),
        (uint32, True),
        (uint32, [5]),
        (uint32, math.inf),
        (uint32, "1e999999999"),
        (uint32, "9" * 200),
        (values.to_double, "abc"),
        (values.to_double, True),
        (values.to_double, "1e999"),
        (values.to_double, 10**400),
        (values.to_double, None),
        (values.to_float, 1e300),
        (values.to_string, 5),
        (values.to_string, True),
        (values.to_string, "\ud800"),
        (values.to_bytes, "*"),
        (values.to_bytes, "A"),
        (values.to_bytes, "\xe9"),
        (values.to_bytes, 5),
        (level, "strict-dns"),
        (level, True),
        (level, 2**31),
        (values.to_duration, "1"),
        (values.to_duration, 1),
        (values.to_duration, "1m"),
        (values.to_duration, "250ms"),
        (values.to_duration, ".5s"),
        (values.to_duration, "0.1234567891s"),
        (values.to_duration, "315576000001s"),
    ],
)
def test_refused_with_what_was_expected(convert: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        convert(value)
