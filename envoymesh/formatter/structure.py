"""`json_format`: a Struct whose strings are formats, written as one line of JSON (Envoy's `JsonFormatterImpl`).

A string that is one command keeps its type: a number stays a number, and what is not known is ``null``. Everything
that does not depend on the request is made into JSON once. It must not know what operators mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from envoymesh.formatter.context import FormatterContext, JsonText, Operator
from envoymesh.formatter.operators import make_operator
from envoymesh.formatter.parse import parse

_Node = Callable[[FormatterContext], str | None]
"""JSON of a value, or None where it is to be left out."""


class _Options(NamedTuple):
    omit: bool
    extensions: Sequence[str]


class JsonFormatter:
    """A compiled `json_format`.

    Args:
        layout: keys to formats, numbers, booleans, None, lists and further layouts.
        omit_empty_values: leave keys out whose value is not known.
        extensions: as `Formatter`'s.
    Errors: ValueError, in Envoy's words, for an unknown or malformed command.
    """

    __slots__ = ("_node",)

    def __init__(
        self, layout: Mapping[str, Any], omit_empty_values: bool = False, extensions: Sequence[str] = ()
    ) -> None:
        self._node = _mapping(layout, _Options(omit_empty_values, extensions))

    def format(self, context: FormatterContext) -> bytes:
        """The line of one request, with its line feed."""
        return ((self._node(context) or "{}") + "\n").encode()


def _node(value: Any, options: _Options) -> _Node:
    if isinstance(value, Mapping):
        return _mapping(value, options)
    if isinstance(value, str):
        return _string(value, options)
    if isinstance(value, Sequence):
        return _sequence(value, options)
    fixed = None if value is None and options.omit else json.dumps(value)
    return lambda context: fixed


def _mapping(layout: Mapping[str, Any], options: _Options) -> _Node:
    members = [(f"{_quoted(key)}:", _node(layout[key], options)) for key in sorted(layout)]

    def write(context: FormatterContext) -> str | None:
        written = [key + text for key, node in members if (text := node(context)) is not None]
        return "{" + ",".join(written) + "}" if written or not options.omit else None

    return write


def _sequence(values: Sequence[Any], options: _Options) -> _Node:
    nodes = [_node(value, options) for value in values]

    def write(context: FormatterContext) -> str:
        written = [text for node in nodes if (text := node(context)) is not None]
        # As in Envoy a list of which everything is left out stays, as an empty one; an object would be left out, too.
        return "[" + ",".join(written) + "]"

    return write


def _string(text: str, options: _Options) -> _Node:
    parts = [
        _escaped_text(part) if isinstance(part, str) else make_operator(part, options.extensions)
        for part in parse(text)
    ]
    if len(parts) == 1 and not isinstance(parts[0], str):
        return _single(parts[0], None if options.omit else "null")
    if all(isinstance(part, str) for part in parts):
        fixed = '"' + "".join(map(str, parts)) + '"'
        return lambda context: fixed
    return _mixed(parts, "" if options.omit else "-")


def _single(operator: Operator, missing: str | None) -> _Node:
    def write(context: FormatterContext) -> str | None:
        value = operator(context)
        if value is None:
            return missing
        if isinstance(value, JsonText):
            return value.whole.encode("latin-1").decode()
        return f'"{escaped(value)}"' if isinstance(value, str) else str(value)

    return write


def _mixed(parts: Sequence[str | Operator], missing: str) -> _Node:
    def text_of(operator: Operator, context: FormatterContext) -> str:
        value = operator(context)
        return missing if value is None else escaped(value) if isinstance(value, str) else str(value)

    def write(context: FormatterContext) -> str:
        return '"' + "".join([part if isinstance(part, str) else text_of(part, context) for part in parts]) + '"'

    return write


_quoted = encode_basestring


def _escaped_text(text: str) -> str:
    return _quoted(text)[1:-1]


def escaped(latin1: str) -> str:
    r"""Bytes (as Latin-1) for a place between JSON's quotes.

    UTF-8 stays; in what is not UTF-8 every byte beyond ASCII, and what JSON must escape, is ``\u00XX``
    (Envoy's `Json::sanitize`).
    """
    if latin1.isascii():
        return _escaped_text(latin1)
    try:
        return _escaped_text(latin1.encode("latin-1").decode())
    except UnicodeDecodeError:
        return "".join([char if " " <= char <= "~" and char not in '"\\' else f"\\u{ord(char):04x}" for char in latin1])
