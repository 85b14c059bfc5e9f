"""YAML and JSON text to plain values, with Envoy's scalar rules and the line of every path.

Envoy types only null, bool and int64; every other plain scalar, ``1.5`` and
``2026-01-01`` among them, stays text. Integers that don't fit 32 bits become
text too. A map's last duplicate wins, with a warning; ``!ignore`` drops an
entry, and there are no merge keys (``<<``). A second document, which Envoy
passes over, is an error. This module must not know any message.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from envoymesh.config.source import Key
from envoymesh.errors import ConfigError

MAX_DEPTH = 100
"""The nesting that protobuf's JSON reader allows, and so Envoy."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INT = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))")
_TRUE = frozenset(form for word in ("y", "yes", "true", "on") for form in (word, word.upper(), word.capitalize()))
_FALSE = frozenset(form for word in ("n", "no", "false", "off") for form in (word, word.upper(), word.capitalize()))
_IGNORE = "!ignore"
_DUPLICATE = "duplicate key, the last one counts"


@dataclass
class Document:
    """What a text held.

    Attributes:
        value: the root: a dict, list, str, int, float, bool or None.
        lines: 1-based line numbers by path.
        aliases: for the path of each alias that of its anchor, below which its lines are.
        warnings: what is suspicious but taken, such as a duplicate key; a line of text each.
    """

    value: Any = None
    lines: dict[Key, int] = field(default_factory=dict)
    aliases: dict[Key, Key] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def load_yaml(text: str, file: str = "") -> Document:
    """Parse a text that is one YAML document.

    Args:
        text: the YAML; a leading byte order mark is skipped.
        file: its name, for errors and warnings.

    Raises:
        ConfigError: it isn't YAML, holds no document or more than one, or is nested too deeply.
    """
    try:
        loader = _PARSER(text.removeprefix("\ufeff"))
    except UnicodeEncodeError:
        # A command line that isn't UTF-8 has surrogates in its text, which cannot be encoded.
        raise ConfigError("not YAML: not valid Unicode", "", file) from None
    try:
        return _Composer(loader, file).document()
    except yaml.YAMLError as error:
        raise _yaml_error(error, text, file) from error
    finally:
        loader.dispose()


def load_json(text: str, file: str = "") -> Document:
    """Parse JSON text, strictly.

    Raises:
        ConfigError: it isn't JSON, or is nested too deeply.
    """
    found = Document()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                found.warnings.append(f"{file}: {_DUPLICATE} (value: {key})")
            seen[key] = value
        return seen

    try:
        found.value = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", "", file, error.lineno) from error
    except ValueError as error:
        raise ConfigError(f"not JSON: {error}", "", file) from error
    except RecursionError:
        raise ConfigError(f"nested more than {MAX_DEPTH} deep", "", file) from None
    try:
        as_yaml = load_yaml(text, file)
        found.lines, found.warnings = as_yaml.lines, as_yaml.warnings  # JSON has no aliases
    except ConfigError:
        # JSON that isn't YAML (a tab, a surrogate pair): its errors come without lines.
        found.lines = {}
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _yaml_error(error: yaml.YAMLError, text: str, file: str) -> ConfigError:
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position]
        return ConfigError(f"not YAML: {error.reason}", "", file, before.count(b"\n") + 1)
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return ConfigError(f"not YAML: {problem}", "", file, mark.line + 1 if mark is not None else None)


class _Composer:
    """Turns one document's events into values; an alias is its anchor's value again."""

    def __init__(self, loader: Any, file: str) -> None:
        self._next = loader.get_event
        self._file = file
        self._anchors: dict[str, Any] = {}
        self._places: dict[str, Key] = {}
        self._found = Document()

    def document(self) -> Document:
        self._next()
        if not isinstance(self._next(), yaml.DocumentStartEvent):
            raise ConfigError("holds no document", "", self._file)
        self._found.value = self._value(self._next(), ())
        self._next()
        self._refuse_more()
        return self._found

    def _refuse_more(self) -> None:
        """Refuse what follows the document, except a separator at the end, which some tools write."""
        while isinstance(start := self._next(), yaml.DocumentStartEvent):
            event = self._next()
            if not isinstance(event, yaml.ScalarEvent) or event.value or event.style:
                raise self._error("a second YAML document begins here, and only one counts", start)
            self._next()

    def _value(self, event: Any, key: Key) -> Any:
        if len(key) > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep", event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error(f"the anchor is not defined (value: *{event.anchor})", event)
            self._found.aliases[key] = self._places[event.anchor]
            return self._anchors[event.anchor]
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = scalar(event.value, event.tag, event.style)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(key)
        else:
            value = self._mapping(key)
        if event.anchor is not None:
            self._anchors[event.anchor], self._places[event.anchor] = value, key
        return value

    def _sequence(self, key: Key) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            at = (*key, len(values))
            self._found.lines[at] = event.start_mark.line + 1
            values.append(self._value(event, at))
        return values

    def _mapping(self, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            name = self._name(event)
            at = (*key, name)
            if getattr(event, "tag", None) == _IGNORE:
                self._value(self._next(), at)
                continue
            if name in values:
                first = self._found.lines[at]
                self._warn(f"{_DUPLICATE}, not that of line {first} (value: {name})", event)
            self._found.lines[at] = event.start_mark.line + 1
            values[name] = self._value(self._next(), at)
        return values

    def _name(self, event: Any) -> str:
        if isinstance(event, yaml.ScalarEvent):
            if event.anchor is not None:
                self._anchors[event.anchor], self._places[event.anchor] = (
                    scalar(event.value, event.tag, event.style),
                    (),
                )
            return str(event.value)
        name = self._anchors.get(event.anchor or "") if isinstance(event, yaml.AliasEvent) else None
        if isinstance(name, str):
            return name
        raise self._error("a key must be text", event)

    def _error(self, message: str, event: Any) -> ConfigError:
        return ConfigError(message, "", self._file, event.start_mark.line + 1)

    def _warn(self, message: str, event: Any) -> None:
        self._found.warnings.append(str(self._error(message, event)))


def scalar(text: str, tag: str | None = None, style: str | None = None) -> str | int | bool | None:
    """Type one YAML scalar as Envoy does.

    Args:
        text: the scalar.
        tag: its explicit tag, or None.
        style: None or an empty string for a plain scalar, else its quote or block mark.
    """
    plain = not style
    if tag == "!" or (tag is None and not plain):
        return text
    if tag is None and text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    number = _integer(text)
    if number is None:
        return text
    return number if -(2**31) <= number < 2**31 else str(number)


def _integer(text: str) -> int | None:
    """Read an int64 as C does: decimal, 0x hexadecimal, 0 octal; None if it isn't one."""
    match = _INT.fullmatch(text) if len(text) < 70 else None
    if match is None:
        return None
    sign, hexadecimal, octal, decimal = match.groups()
    digits, base = (hexadecimal, 16) if hexadecimal else (decimal, 10) if decimal else (octal or "0", 8)
    number = int(digits, base) * (-1 if sign == "-" else 1)
    return number if -(2**63) <= number < 2**63 else None
