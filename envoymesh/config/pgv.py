"""The rules that Envoy's messages carry for their own fields (PGV, validate.proto), checked on one value.

Each check gives what is wrong, in the words of Envoy's validation errors, or
nothing. This module must not walk into messages (see `checks`) nor know paths.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

_HEADER_NAME = re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_LOOSE = re.compile(r"[^\x00\n\r]*")
_HTTP_HEADER_NAME = 1

Check = Callable[[Any, Any], str | None]
"""(the value, the rule's operand) to what is wrong with the value, or None."""


def _length(value: Any) -> int:
    return len(value)


def _octets(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _unless(holds: bool, message: str) -> str | None:
    return None if holds else message


def _is_ip(value: Any, version: int | None = None) -> bool:
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return False
    return version is None or found.version == version


CHECKS: dict[str, Check] = {
    "const": lambda v, rule: _unless(v == rule, f"value must equal {rule}"),
    "in": lambda v, rule: _unless(v in rule, f"value must be in list {list(rule)}"),
    "not_in": lambda v, rule: _unless(v not in rule, f"value must not be in list {list(rule)}"),
    "len": lambda v, rule: _unless(_length(v) == rule, f"value length must be {rule} characters"),
    "min_len": lambda v, rule: _unless(_length(v) >= rule, f"value length must be at least {rule} characters"),
    "max_len": lambda v, rule: _unless(_length(v) <= rule, f"value length must be at most {rule} characters"),
    "len_bytes": lambda v, rule: _unless(_octets(v) == rule, f"value length must be {rule} bytes"),
    "min_bytes": lambda v, rule: _unless(_octets(v) >= rule, f"value length must be at least {rule} bytes"),
    "max_bytes": lambda v, rule: _unless(_octets(v) <= rule, f"value length must be at most {rule} bytes"),
    "pattern": lambda v, rule: _unless(
        re.fullmatch(rule, _text(v)) is not None, f"value does not match regex pattern {rule!r}"
    ),
    "prefix": lambda v, rule: _unless(v.startswith(rule), f"value does not have prefix {rule!r}"),
    "suffix": lambda v, rule: _unless(v.endswith(rule), f"value does not have suffix {rule!r}"),
    "contains": lambda v, rule: _unless(rule in v, f"value does not contain substring {rule!r}"),
    "not_contains": lambda v, rule: _unless(rule not in v, f"value contains substring {rule!r}"),
    "ip": lambda v, rule: _unless(not rule or _is_ip(v), "value must be a valid IP address"),
    "ipv4": lambda v, rule: _unless(not rule or _is_ip(v, 4), "value must be a valid IPv4 address"),
    "ipv6": lambda v, rule: _unless(not rule or _is_ip(v, 6), "value must be a valid IPv6 address"),
    "min_items": lambda v, rule: _unless(len(v) >= rule, f"value must contain at least {rule} item(s)"),
    "max_items": lambda v, rule: _unless(len(v) <= rule, f"value must contain no more than {rule} item(s)"),
    "min_pairs": lambda v, rule: _unless(len(v) >= rule, f"value must contain at least {rule} pair(s)"),
    "max_pairs": lambda v, rule: _unless(len(v) <= rule, f"value must contain no more than {rule} pair(s)"),
    "unique": lambda v, rule: _unless(not rule or len(set(v)) == len(v), "repeated value must contain unique items"),
}
"""The rules that look at one value and one operand, by name."""

BOUNDS = ("gt", "gte", "lt", "lte")


def violations(value: Any, rules: Any) -> Iterator[str]:
    """Say what of one value breaks its rules.

    Args:
        value: a scalar, a list or a map; a Duration or Timestamp as its number
            of nanoseconds.
        rules: the rules of its type, such as a validate.StringRules.
    """
    if getattr(rules, "ignore_empty", False) and not value:
        return
    set_rules = {field.name: operand for field, operand in rules.ListFields()}
    for name, operand in set_rules.items():
        check = CHECKS.get(name)
        problem = check(value, _operand(operand)) if check is not None else None
        if problem is not None:
            yield problem
    bounds = {name: _operand(set_rules[name]) for name in BOUNDS if name in set_rules}
    if bounds and not _within(value, bounds):
        yield f"value must be {_shown(bounds, hasattr(set_rules[next(iter(bounds))], 'seconds'))}"
    if "well_known_regex" in set_rules and not _is_header(value, rules):
        yield "value is not a valid HTTP header " + ("name" if rules.well_known_regex == _HTTP_HEADER_NAME else "value")


def _operand(operand: Any) -> Any:
    return nanoseconds(operand) if hasattr(operand, "seconds") else operand


def nanoseconds(value: Any) -> int:
    """Give a google.protobuf.Duration or Timestamp in nanoseconds."""
    return int(value.seconds) * 1_000_000_000 + int(value.nanos)


def _within(value: Any, bounds: dict[str, Any]) -> bool:
    """Tell whether a value is within its bounds; bounds that cross leave out the range between them."""
    low = value > bounds["gt"] if "gt" in bounds else value >= bounds["gte"] if "gte" in bounds else None
    high = value < bounds["lt"] if "lt" in bounds else value <= bounds["lte"] if "lte" in bounds else None
    if low is None or high is None:
        return bool(low if high is None else high)
    bottom = bounds["gt"] if "gt" in bounds else bounds["gte"]
    top = bounds["lt"] if "lt" in bounds else bounds["lte"]
    return bool(low or high) if bottom > top else bool(low and high)


_WORDS = {
    "gt": "greater than",
    "gte": "greater than or equal to",
    "lt": "less than",
    "lte": "less than or equal to",
}


def _shown(bounds: dict[str, Any], is_duration: bool) -> str:
    def one(operand: Any) -> str:
        if is_duration:
            return f"{operand / 1_000_000_000:g}s"
        return f"{operand:g}" if isinstance(operand, float) else str(operand)

    return " and ".join(f"{_WORDS[name]} {one(operand)}" for name, operand in bounds.items())


def _is_header(value: str, rules: Any) -> bool:
    """Apply well_known_regex; when not strict, it only bars NUL, CR and LF."""
    if not rules.strict:
        return _LOOSE.fullmatch(value) is not None
    pattern = _HEADER_NAME if rules.well_known_regex == _HTTP_HEADER_NAME else _HEADER_VALUE
    return pattern.fullmatch(value) is not None
