"""One plain value to one protobuf scalar, with the leniencies of Envoy's JSON reader.

Every function takes a plain value (str, int, float, bool, list, dict) and
gives what the message holds, or raises ValueError that says what was expected.
Envoy's reader takes numbers and bools as text, enums in any case or by number,
and base64 of both alphabets. This module must not know paths or messages.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
_DURATION = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,9}))?s", re.ASCII)
_TRUE = frozenset(("true", "t", "yes", "y", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "0"))
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

MAX_DURATION_SECONDS = 315_576_000_000
"""google.protobuf.Duration: about 10,000 years."""


def to_bool(value: Any) -> bool:
    """Read a bool, or text such as "true", "yes", "0"."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise ValueError("expected true or false")


def to_integer(value: Any, low: int, high: int) -> int:
    """Read an integer from low to high, from a number or text such as "5", "5.0" or "1e3"."""
    number = _whole(value)
    if not low <= number <= high:
        raise ValueError(f"expected an integer from {low} to {high}")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected an integer")
    if isinstance(value, int):
        return value
    text = repr(value) if isinstance(value, float) else value
    if not _NUMBER.fullmatch(text) or len(text) > 100:
        raise ValueError("expected an integer")
    number = Decimal(text)
    # No integer type reaches 10 to the 30th, and int() of 1e999999999 would not end.
    if number.adjusted() > 30:
        raise ValueError("expected an integer of at most 64 bits")
    if number != number.to_integral_value():
        raise ValueError("expected an integer")
    return int(number)


def to_double(value: Any) -> float:
    """Read a double, from a number or text."""
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        if not _NUMBER.fullmatch(value):
            raise ValueError("expected a number")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise ValueError("expected a number that fits a double")
    return number


def to_float(value: Any) -> float:
    """Read a float of 32 bits, from a number or text."""
    number = to_double(value)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise ValueError("expected a number that fits a float") from None
    return number


def to_string(value: Any) -> str:
    """Read text; a number or bool isn't one."""
    if not isinstance(value, str):
        raise ValueError("expected a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected a string of valid Unicode") from None
    return value


def to_bytes(value: Any) -> bytes:
    """Read base64 text of the standard or the URL alphabet, padded or not."""
    if not isinstance(value, str):
        raise ValueError("expected a base64 string")
    text = value.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected a base64 string") from None


def to_enum(value: Any, names: Mapping[str, Any]) -> int:
    """Read an enum by the name of its value in any case, or by its number.

    Args:
        value: the text or number.
        names: the descriptors of the enum's values by their names.
    """
    if isinstance(value, str):
        found = names.get(value) or names.get(value.upper())
        if found is not None:
            return int(found.number)
    try:
        return to_integer(value, -(2**31), 2**31 - 1)
    except ValueError:
        shown = ", ".join(list(names)[:20])
        raise ValueError(f"expected one of {shown}") from None


def to_duration(value: Any) -> tuple[int, int]:
    """Read text such as "0.25s" as (seconds, nanoseconds)."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a duration in seconds that ends in s, such as "0.25s"')
    sign, seconds, fraction = match.groups()
    if int(seconds) > MAX_DURATION_SECONDS:
        raise ValueError(f"expected a duration of at most {MAX_DURATION_SECONDS}s")
    factor = -1 if sign else 1
    return factor * int(seconds), factor * int((fraction or "").ljust(9, "0"))
