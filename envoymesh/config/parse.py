"""Plain values to one protobuf message: the JSON mapping of proto3 as Envoy reads it.

It takes the place of protobuf's json_format, which is stricter than Envoy in
some ways (enum case, a single value for a list) and laxer in others (a list
for a message), and which can't report more than one error or a path in full.
This module must not check rules (see `pgv`) nor read files.
"""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from envoymesh.config import values, wellknown
from envoymesh.config.messages import class_of_url
from envoymesh.config.source import Source
from envoymesh.config.yaml_loader import MAX_DEPTH
from envoymesh.errors import ConfigError

MAX_ERRORS = 20
"""Parsing goes on after an error, to report more of them at once, but not after so many."""

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_SCALARS: dict[int, Callable[[Any], Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: values.to_bool,
    FieldDescriptor.CPPTYPE_DOUBLE: values.to_double,
    FieldDescriptor.CPPTYPE_FLOAT: values.to_float,
}


class _TooManyError(Exception):
    """Ends the parsing after `MAX_ERRORS`."""


class Parser:
    """Fills messages from plain values and collects what is wrong.

    Args:
        source: the file and lines for errors.
        allow_unknown: warn of unknown fields and enum values rather than refuse
            them (``--allow-unknown-static-fields``).

    Attributes:
        errors: what was wrong so far; a message with errors must not be used.
        warnings: the unknown fields that were passed over.
    """

    def __init__(self, source: Source, allow_unknown: bool = False) -> None:
        self.errors: list[ConfigError] = []
        self.warnings: list[str] = []
        self._source = source
        self._allow_unknown = allow_unknown
        self._depth = 0
        self._special: dict[str, Callable[[Any, Any, str], None]] = {
            wellknown.ANY: self._any,
            wellknown.DURATION: self._duration,
            wellknown.TIMESTAMP: self._from_json_string,
            wellknown.FIELD_MASK: self._from_json_string,
            wellknown.STRUCT: self._struct,
            wellknown.VALUE: self._plain,
            wellknown.LIST_VALUE: self._list_value,
            **dict.fromkeys(wellknown.WRAPPERS, self._wrapper),
        }

    def fill(self, message: Message, value: Any, path: str = "") -> None:
        """Set the fields of an empty message from a plain value; errors are collected."""
        try:
            self._message(message, value, path)
        except _TooManyError:
            return

    def _fail(self, path: str, message: str, value: Any = None) -> None:
        file, line = self._source.locate(path)
        shown = "" if value is None else f" (value: {show(value)})"
        self.errors.append(ConfigError(message + shown, path, file, line))
        if len(self.errors) >= MAX_ERRORS:
            raise _TooManyError

    def _unknown(self, path: str, message: str, value: Any = None) -> None:
        if not self._allow_unknown:
            self._fail(path, message, value)
            return
        file, line = self._source.locate(path)
        self.warnings.append(str(ConfigError(f"{message}, ignored", path, file, line)))

    def _message(self, message: Message, value: Any, path: str) -> None:
        descriptor = message.DESCRIPTOR
        special = self._special.get(descriptor.full_name)
        if special is not None:
            self._deeper(special, message, value, path)
        elif isinstance(value, dict):
            self._deeper(self._fields, message, value, path)
        else:
            self._fail(path, f"expected a mapping, the fields of {descriptor.full_name}", value)

    def _deeper(self, fill: Callable[[Any, Any, str], None], message: Any, value: Any, path: str) -> None:
        """Go one level down, unless that is too deep (aliases can nest without end in few lines)."""
        if self._depth >= MAX_DEPTH:
            self._fail(path, f"nested more than {MAX_DEPTH} deep")
            return
        self._depth += 1
        fill(message, value, path)
        self._depth -= 1

    def _fields(self, message: Message, value: Mapping[str, Any], path: str) -> None:
        descriptor = message.DESCRIPTOR
        by_name = descriptor.fields_by_name
        for name, inner in value.items():
            field = by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
            at = f"{path}.{name}" if path else name
            if field is None:
                self._unknown(at, f"unknown field of {descriptor.full_name}")
                continue
            at = f"{path}.{field.name}" if path else field.name
            if inner is None and (field.message_type is None or field.message_type.full_name != wellknown.VALUE):
                continue
            if field.containing_oneof is not None and not self._is_free(message, field, at):
                continue
            self._field(message, field, inner, at)

    def _is_free(self, message: Message, field: Any, path: str) -> bool:
        """Tell whether no other member of the field's oneof is set, and fail if one is."""
        member = message.WhichOneof(field.containing_oneof.name)
        if member is None or member == field.name:
            return True
        self._fail(path, f"only one of the fields of {field.containing_oneof.name} may be set, and {member} is")
        return False

    def _field(self, message: Message, field: Any, value: Any, path: str) -> None:
        if not field.is_repeated:
            if field.message_type is not None:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self._message(inner, value, path)
            else:
                self._scalar(field, value, path, lambda converted: setattr(message, field.name, converted))
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._map(getattr(message, field.name), field.message_type, value, path)
        else:
            self._repeated(getattr(message, field.name), field, value, path)

    def _repeated(self, target: Any, field: Any, value: Any, path: str) -> None:
        """Add each element; a single value stands for a list of one, as in Envoy."""
        for index, element in enumerate(value if isinstance(value, list) else [value]):
            at = f"{path}[{index}]"
            if field.message_type is not None:
                added = target.add()
                if element is not None:
                    self._message(added, element, at)
            elif element is None:
                target.append(field.default_value if field.enum_type is not None else _zero(field))
            else:
                self._scalar(field, element, at, target.append)

    def _map(self, target: Any, entry: Any, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self._fail(path, "expected a mapping", value)
            return
        key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for name, inner in value.items():
            at = f"{path}[{name}]"
            keys: list[Any] = []
            self._scalar(key_field, name, at, keys.append)
            for key in keys:
                self._map_value(target, key, value_field, inner, at)

    def _map_value(self, target: Any, key: Any, field: Any, value: Any, path: str) -> None:
        if field.message_type is None:
            self._scalar(field, value, path, functools.partial(target.__setitem__, key))
        elif value is None:
            # Asking for a message of a map adds it.
            target[key].SetInParent()
        else:
            self._message(target[key], value, path)

    def _scalar(self, field: Any, value: Any, path: str, store: Callable[[Any], Any]) -> None:
        try:
            store(_convert(field, value))
        except ValueError as error:
            if field.enum_type is not None and isinstance(value, str):
                self._unknown(path, f"unknown enum value, {error}", value)
            else:
                # Bytes are mostly keys: an error must not show them.
                self._fail(path, str(error), None if field.type == FieldDescriptor.TYPE_BYTES else value)

    def _wrapper(self, message: Any, value: Any, path: str) -> None:
        if isinstance(value, dict):
            self._fields(message, value, path)
            return
        field = message.DESCRIPTOR.fields_by_name["value"]
        self._scalar(field, value, path, lambda converted: setattr(message, "value", converted))

    def _duration(self, message: Any, value: Any, path: str) -> None:
        if isinstance(value, dict):
            self._fields(message, value, path)
            return
        try:
            message.seconds, message.nanos = values.to_duration(value)
        except ValueError as error:
            self._fail(path, str(error), value)

    def _from_json_string(self, message: Any, value: Any, path: str) -> None:
        if isinstance(value, dict):
            self._fields(message, value, path)
            return
        try:
            message.FromJsonString(values.to_string(value))
        except ValueError as error:
            self._fail(path, str(error), value)

    def _any(self, message: Any, value: Any, path: str) -> None:
        """Fill an Any; a TypedStruct becomes the message that it stands for, as Envoy makes it one. One of a type that
        only this proxy knows (and no .proto describes) stays what it is."""
        if not isinstance(value, dict):
            self._fail(path, "expected a mapping with '@type'", value)
            return
        if not value:
            return
        type_url = value.get("@type")
        if not isinstance(type_url, str):
            self._fail(path, "'@type' is missing", type_url)
            return
        try:
            inner: Any = class_of_url(type_url, path, self._source)()
        except ConfigError as error:
            self._fail(path, error.message)
            return
        rest: dict[str, Any] = {name: field for name, field in value.items() if name != "@type"}
        before = len(self.errors)
        self._message(inner, rest.get("value") if inner.DESCRIPTOR.full_name in self._special else rest, path)
        if len(self.errors) > before:
            return
        if inner.DESCRIPTOR.full_name in wellknown.TYPED_STRUCTS and inner.type_url and not wellknown.own_type(inner):
            self._any(message, {**(rest.get("value") or {}), "@type": inner.type_url}, f"{path}.value")
        else:
            message.type_url = type_url
            message.value = inner.SerializeToString(deterministic=True)

    def _struct(self, message: Any, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self._fail(path, "expected a mapping", value)
            return
        for key, inner in value.items():
            self._plain(message.fields[key], inner, f"{path}[{key}]")

    def _list_value(self, message: Any, value: Any, path: str) -> None:
        if not isinstance(value, list):
            self._fail(path, "expected a list", value)
            return
        for index, inner in enumerate(value):
            self._plain(message.values.add(), inner, f"{path}[{index}]")

    def _plain(self, message: Any, value: Any, path: str) -> None:
        """Fill a google.protobuf.Value."""
        if value is None:
            message.null_value = 0
        elif isinstance(value, bool):
            message.bool_value = value
        elif isinstance(value, int | float):
            self._scalar(message.DESCRIPTOR.fields_by_name["number_value"], value, path, _setter(message))
        elif isinstance(value, str):
            message.string_value = value
        elif isinstance(value, list):
            message.list_value.SetInParent()
            self._deeper(self._list_value, message.list_value, value, path)
        else:
            message.struct_value.SetInParent()
            self._deeper(self._struct, message.struct_value, value, path)


def _setter(message: Any) -> Callable[[float], None]:
    return lambda number: setattr(message, "number_value", number)


def _zero(field: Any) -> Any:
    return "" if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else 0


def _convert(field: Any, value: Any) -> Any:
    """Turn a plain value into what a scalar field holds, or raise ValueError."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return values.to_bytes(value) if field.type == FieldDescriptor.TYPE_BYTES else values.to_string(value)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return values.to_enum(value, field.enum_type.values_by_name)
    if kind in _INTEGERS:
        return values.to_integer(value, *_INTEGERS[kind])
    return _SCALARS[kind](value)


_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


def show(value: Any) -> str:
    """Show a plain value in an error, on one line and not at length."""
    text = str(value).lower() if isinstance(value, bool) else _SHOWN.repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
