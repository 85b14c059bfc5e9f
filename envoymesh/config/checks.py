"""The checks of a whole message tree, walking into every Any: its types' own rules, durations, deprecated fields.

This module must not know what a field means beyond what the message types
themselves declare.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from envoymesh.config import pgv, wellknown
from envoymesh.config.messages import unpack_any
from envoymesh.config.parse import show
from envoymesh.config.source import Source
from envoymesh.config.values import MAX_DURATION_SECONDS
from envoymesh.errors import ConfigError

_OPAQUE = frozenset((wellknown.STRUCT, wellknown.VALUE, wellknown.LIST_VALUE, wellknown.TIMESTAMP))
_TIMES = frozenset((wellknown.DURATION, wellknown.TIMESTAMP))


@dataclass
class Findings:
    """What the checks found, in the order of the fields."""

    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _Plan(NamedTuple):
    """What the options of one message type ask for.

    Attributes:
        rules: its fields with rules, and those rules (validate.FieldRules).
        oneofs: the oneofs of which one member must be set.
        deprecated: by field name: whether it is refused (True) or only warned of.
    """

    rules: tuple[tuple[Any, Any], ...]
    oneofs: tuple[str, ...]
    deprecated: dict[str, bool]


def check(message: Message, source: Source, path: str = "") -> Findings:
    """Check a message and everything in it.

    Args:
        message: the message.
        source: the file and lines for errors and warnings.
        path: where the message stands.
    """
    walker = _Walker(source)
    walker.message(message, path)
    return walker.found


@functools.cache
def _options() -> tuple[Any, Any]:
    """Give the modules of the option extensions, validate.proto's and Envoy's deprecations."""
    return (
        importlib.import_module("validate.validate_pb2"),
        importlib.import_module("envoy.annotations.deprecation_pb2"),
    )


@functools.cache
def _plan(descriptor: Any) -> _Plan:
    validate, annotations = _options()
    rules = []
    deprecated = {}
    for member in descriptor.fields:
        options = member.GetOptions()
        if options.HasExtension(validate.rules):
            rules.append((member, options.Extensions[validate.rules]))
        refused = bool(options.Extensions[annotations.disallowed_by_default])
        if refused or options.deprecated:
            deprecated[member.name] = refused
    oneofs = [oneof.name for oneof in descriptor.oneofs if oneof.GetOptions().Extensions[validate.required]]
    return _Plan(tuple(rules), tuple(oneofs), deprecated)


class _Walker:
    """Goes over a message tree once, depth first."""

    def __init__(self, source: Source) -> None:
        self.found = Findings()
        self._source = source
        self._failed: set[str] = set()

    def message(self, message: Any, path: str) -> None:
        name = message.DESCRIPTOR.full_name
        if name == wellknown.DURATION:
            self._duration(message, path)
        elif name == wellknown.ANY:
            self._any(message, path)
        elif name not in _OPAQUE:
            plan = _plan(message.DESCRIPTOR)
            self._oneofs(message, plan, path)
            skipped = {member.name for member, rules in plan.rules if self._field(message, member, rules, path)}
            self._below(message, plan, skipped, path)

    def _fail(self, path: str, message: str) -> None:
        """Add an error; only the first of a field is of use."""
        if path in self._failed:
            return
        self._failed.add(path)
        file, line = self._source.locate(path)
        self.found.errors.append(ConfigError(message, path, file, line))

    def _oneofs(self, message: Any, plan: _Plan, path: str) -> None:
        for name in plan.oneofs:
            if message.WhichOneof(name) is None:
                members = ", ".join(member.name for member in message.DESCRIPTOR.oneofs_by_name[name].fields)
                self._fail(_at(path, name), f"one of these fields is required: {members}")

    def _below(self, message: Any, plan: _Plan, skipped: set[str], path: str) -> None:
        for member, value in message.ListFields():
            at = _at(path, member.name)
            if member.name in plan.deprecated:
                self._deprecated(member, at, plan.deprecated[member.name])
            if member.message_type is not None and member.name not in skipped:
                for where, inner in _messages(member, value, at):
                    self.message(inner, where)

    def _deprecated(self, member: Any, path: str, refused: bool) -> None:
        if refused:
            self._fail(path, f"{member.full_name} is deprecated, and Envoy no longer takes it")
            return
        file, line = self._source.locate(path)
        text = f"{member.full_name} is deprecated and will be removed from Envoy"
        self.found.warnings.append(str(ConfigError(text, path, file, line)))

    def _duration(self, message: Any, path: str) -> None:
        """Refuse what no timer of Envoy takes. Envoy checks every duration of a configuration, whatever it is for."""
        seconds, nanos = message.seconds, message.nanos
        if seconds < 0 or nanos < 0:
            self._fail(path, f"expected a duration that isn't negative (value: {seconds + nanos / 1e9:g}s)")
        elif seconds > MAX_DURATION_SECONDS or nanos > 999_999_999:
            self._fail(path, f"expected a duration in range (value: {seconds}s and {nanos}ns)")

    def _any(self, message: Any, path: str) -> None:
        if not message.type_url:
            return
        try:
            inner = unpack_any(message, path, self._source)
        except ConfigError as error:
            self.found.errors.append(error)
            return
        self.message(inner, path)

    def _field(self, message: Any, member: Any, rules: Any, path: str) -> bool:
        """Check one field by its rules; tell whether its message must not be walked into."""
        at = _at(path, member.name)
        kind = rules.WhichOneof("type")
        own = getattr(rules, kind) if kind is not None else None
        is_message = member.message_type is not None and not member.is_repeated
        if (member.has_presence or is_message) and not message.HasField(member.name):
            # Of an unset field only the rule that it be set counts; in a oneof another member may be set instead.
            required = rules.message.required or getattr(own, "required", False)
            if required and member.containing_oneof is None:
                self._fail(at, "value is required")
            return False
        value = getattr(message, member.name)
        if kind == "repeated":
            self._report(at, value, own)
            self._elements(member, value, own, at)
        elif kind == "map":
            self._report(at, value, own)
            self._pairs(value, own, at)
        elif own is not None:
            self._value(member, value, kind, own, at)
        return bool(rules.message.skip)

    def _report(self, path: str, value: Any, rules: Any, shown: Any = None) -> None:
        for problem in pgv.violations(value, rules):
            self._fail(path, problem if shown is None else f"{problem} (value: {show(shown)})")

    def _value(self, member: Any, value: Any, kind: str, rules: Any, path: str) -> None:
        """Check one scalar, wrapper, time or Any; a message has no rules but those of its own fields."""
        if kind in ("message", "any"):
            if kind == "any" and (rules.ListFields()):
                self._report(path, value.type_url, rules, value.type_url)
            return
        if member.message_type is not None:
            is_time = member.message_type.full_name in _TIMES
            plain = pgv.nanoseconds(value) if is_time else value.value
            self._report(path, plain, rules, f"{plain / 1e9:g}s" if is_time else plain)
            return
        if kind == "enum" and rules.defined_only and value not in member.enum_type.values_by_number:
            self._fail(path, f"value must be one of the defined enum values (value: {value})")
        self._report(path, value, rules, value)

    def _elements(self, member: Any, elements: Any, rules: Any, path: str) -> None:
        kind = rules.items.WhichOneof("type")
        if kind is None:
            return
        own = getattr(rules.items, kind)
        for index, element in enumerate(elements):
            self._value(member, element, kind, own, f"{path}[{index}]")

    def _pairs(self, pairs: Any, rules: Any, path: str) -> None:
        for name in ("keys", "values"):
            part = getattr(rules, name)
            kind = part.WhichOneof("type")
            if kind in (None, "message", "any"):
                continue
            for key in pairs:
                value = key if name == "keys" else pairs[key]
                self._report(f"{path}[{key}]", value, getattr(part, kind), value)


def _messages(member: Any, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give the messages of a set message field, each with its path."""
    if not member.is_repeated:
        yield path, value
    elif not member.message_type.GetOptions().map_entry:
        for index, element in enumerate(value):
            yield f"{path}[{index}]", element
    elif member.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE:
        for key in sorted(value):
            yield f"{path}[{key}]", value[key]


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
