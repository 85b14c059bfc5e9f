"""A view of one protobuf message that remembers which of its fields were asked for.

The other rooms read their settings through a `Reader`, and `Reader.finish`
then names every field that is set but was read by nobody: so a field that
envoymesh doesn't support is refused by its path, without a list of such fields
to keep. This module must not know what any message means; it only knows the
types that Envoy uses everywhere (wrappers, Duration, Percent, Any, Struct,
DataSource, Address).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from envoymesh.config import wellknown
from envoymesh.config.errors import raise_all
from envoymesh.config.files import FileError, read_file
from envoymesh.config.messages import unpack_any
from envoymesh.config.source import Source
from envoymesh.errors import ConfigError
from envoymesh.metadata import Metadata

T = TypeVar("T")

UNREAD = "field is set but not supported by envoymesh"
"""What `Reader.finish` says of a field."""


class Reader:
    """Reads one protobuf message and remembers which fields were asked for.

    Asking for a field that the message type doesn't have is a mistake of the
    program and raises KeyError. A reader that is asked twice for the same
    sub-message gives the same reader.

    Args:
        message: the message to read; it must not change afterwards.
        path: where it stands, such as ``static_resources.clusters[0]``.
        source: the file and lines for errors.
    """

    __slots__ = ("_children", "_fields", "_read", "_read_all", "message", "path", "source", "type_name")

    def __init__(self, message: Message, path: str = "", source: Source | None = None) -> None:
        self.message = message
        self.path = path
        self.source = source if source is not None else Source()
        self.type_name: str = wellknown.own_type(message) or message.DESCRIPTOR.full_name
        self._fields = message.DESCRIPTOR.fields_by_name
        self._read: set[str] = set()
        self._read_all = False
        self._children: dict[str, dict[str, Reader]] = {}

    def __repr__(self) -> str:
        return f"Reader({self.type_name} at {self.path or 'the root'})"

    # Presence: none of these marks a field as read.

    def has(self, field: str) -> bool:
        """Tell whether a field is set: present, or not the default where proto3 keeps no presence."""
        descriptor = self._fields[field]
        if descriptor.is_repeated:
            return len(getattr(self.message, field)) > 0
        if descriptor.has_presence:
            return self.message.HasField(field)
        return bool(getattr(self.message, field) != descriptor.default_value)

    def which(self, oneof: str) -> str | None:
        """Give the name of the set member of a oneof, or None."""
        if oneof not in self.message.DESCRIPTOR.oneofs_by_name:
            raise KeyError(oneof)
        member: str | None = self.message.WhichOneof(oneof)
        return member

    # Scalars, and the wrappers that stand for them.

    def string(self, field: str, default: str = "") -> str:
        """Read a string or StringValue; the default if it is unset."""
        return str(self._scalar(field, default))

    def bytes_(self, field: str) -> bytes:
        """Read a bytes field or BytesValue; empty if it is unset."""
        return bytes(self._scalar(field, b""))

    def boolean(self, field: str, default: bool = False) -> bool:
        """Read a bool or BoolValue; the default if it is unset."""
        return bool(self._scalar(field, default))

    def integer(self, field: str, default: int = 0) -> int:
        """Read a field of any integer type or integer wrapper; the default if it is unset."""
        return int(self._scalar(field, default))

    def number(self, field: str, default: float = 0.0) -> float:
        """Read a float, double or their wrapper (an integer too); the default if it is unset."""
        return float(self._scalar(field, default))

    def enum(self, field: str) -> str:
        """Read an enum as the name of its value, such as ``STRICT_DNS``.

        Raises:
            ConfigError: the number has no name.
        """
        value = self._take(field)
        return self._enum_name(field, value, field)

    def duration(self, field: str, default: float | None = None) -> float | None:
        """Read a google.protobuf.Duration in seconds; the default if it is unset."""
        value = self._present(field)
        return default if value is None else float(value.seconds + value.nanos / 1e9)

    def percent(self, field: str) -> float | None:
        """Read an envoy.type.v3.Percent as a fraction from 0 to 1; None if it is unset."""
        value = self._present(field)
        return None if value is None else float(value.value / 100.0)

    def fractional(self, field: str) -> float | None:
        """Read an envoy.type.v3.FractionalPercent as a fraction from 0 to 1; None if it is unset."""
        value = self._present(field)
        if value is None:
            return None
        return min(1.0, float(value.numerator / wellknown.FRACTION_DENOMINATORS[value.denominator]))

    # Messages.

    def message_(self, field: str) -> Reader | None:
        """Give a reader of a sub-message, or None if it is unset."""
        value = self._present(field)
        return None if value is None else self._child(field, "", value)

    def required(self, field: str) -> Reader:
        """Give a reader of a sub-message.

        Raises:
            ConfigError: it is unset.
        """
        reader = self.message_(field)
        if reader is None:
            raise self.error(field, "field is required")
        return reader

    def repeated(self, field: str) -> list[Reader]:
        """Give a reader for each element of a repeated message field."""
        return [self._child(field, f"[{index}]", value) for index, value in enumerate(self._take(field))]

    def element(self, field: str, index: int) -> Reader:
        """Give a reader of one element of a repeated message field.

        Raises:
            IndexError: there is no such element.
        """
        return self._child(field, f"[{index}]", self._take(field)[index])

    def each(self, field: str, read: Callable[[Reader], T]) -> list[T]:
        """Give what `read` makes of each element of a repeated message field; refused ones are left out (`attempt`)."""
        made = [element.attempt(read) for element in self.repeated(field)]
        return [one for one in made if one is not None]

    def message_map(self, field: str) -> dict[str, Reader]:
        """Give a reader for each value of a map of messages, by its key as text."""
        values = self._take(field)
        return {str(key): self._child(field, f"[{key}]", values[key]) for key in sorted(values)}

    def any_(self, field: str = "typed_config") -> Reader | None:
        """Give a reader of the message in an Any, or in a TypedExtensionConfig; None if it is unset.

        The message's type is the reader's `type_name`; its path is the Any's.

        Raises:
            ConfigError: the type is unknown, or the bytes aren't a message of it.
        """
        value = self._present(field)
        if value is None:
            return None
        if value.DESCRIPTOR.full_name in wellknown.TYPED_EXTENSION_CONFIGS:
            inner = self._child(field, "", value)
            inner.accept("name")
            return inner.any_("typed_config")
        return self._unpacked(field, "", value)

    def repeated_any(self, field: str) -> list[Reader]:
        """Give a reader of the message in each element of a repeated Any or TypedExtensionConfig."""
        kind = self._fields[field].message_type
        if kind is None or kind.full_name not in wellknown.TYPED_EXTENSION_CONFIGS:
            return [self._unpacked(field, f"[{i}]", value) for i, value in enumerate(self._take(field))]
        found = []
        for element in self.repeated(field):
            element.accept("name")
            inner = element.any_("typed_config")
            if inner is None:
                raise element.error("typed_config", "field is required")
            found.append(inner)
        return found

    def any_map(self, field: str) -> dict[str, Reader]:
        """Give a reader of the message in each value of a ``map<string, Any>``."""
        values = self._take(field)
        return {key: self._unpacked(field, f"[{key}]", values[key]) for key in sorted(values)}

    # Lists, maps and structures of plain values.

    def strings(self, field: str) -> list[str]:
        """Read a repeated string."""
        return [str(value) for value in self._take(field)]

    def integers(self, field: str) -> list[int]:
        """Read a repeated field of any integer type."""
        return [int(value) for value in self._take(field)]

    def enums(self, field: str) -> list[str]:
        """Read a repeated enum as the names of its values.

        Raises:
            ConfigError: a number has no name.
        """
        return [self._enum_name(field, value, f"{field}[{i}]") for i, value in enumerate(self._take(field))]

    def struct(self, field: str) -> dict[str, Any]:
        """Read a google.protobuf.Struct, or the filter_metadata of an envoy Metadata; empty if it is unset."""
        value = self._present(field)
        if value is None:
            return {}
        if value.DESCRIPTOR.full_name == wellknown.METADATA:
            spaces = self._child(field, "", value)._take("filter_metadata")
            return {key: wellknown.struct_to_dict(inner) for key, inner in spaces.items()}
        return wellknown.struct_to_dict(value)

    def metadata(self, kind: str) -> Metadata | None:
        """Read the field `metadata` (envoy.config.core.v3.Metadata) of a thing of this kind; None if it is unset."""
        spaces = self.struct("metadata")
        return {kind: spaces} if spaces else None

    def json(self) -> dict[str, Any]:
        """Give the whole message as JSON with the proto field names; everything below it counts as read."""
        from google.protobuf import json_format

        self._read_all = True
        return dict(json_format.MessageToDict(self.message, preserving_proto_field_name=True))

    # Envoy's own common messages.

    def data_source(self, field: str) -> bytes:
        """Read an envoy.config.core.v3.DataSource: the bytes themselves, wherever they are kept; empty if unset.

        A relative file name is relative to the working directory, as in Envoy. A file or variable is read once;
        `Source.contents` has it from then on, so that a worker that starts later gets what was checked.

        Raises:
            ConfigError: the file can't be read, or the environment variable isn't set.
        """
        source = self.message_(field)
        if source is None:
            return b""
        kind = source.which("specifier")
        if kind in ("filename", "environment_variable"):
            return source._content(kind)
        if kind == "inline_bytes":
            return source.bytes_(kind)
        return source.string("inline_string").encode()

    def file_contents(self, field: str, name: str) -> bytes:
        """Give what a file holds, or held when first read, whose name stands in a Struct at `field`.

        Raises:
            ConfigError: the file can't be read.
        """
        known, key = self.source.contents, ("filename", name)
        if key not in known:
            try:
                known[key] = read_file(name)
            except FileError as error:
                raise self.error(field, f"cannot read the file: {error} (value: {name})") from error
        return known[key]

    def variable(self, field: str) -> bytes | None:
        """Read an environment variable's name: what it holds, or held when first read; None where it is not set."""
        known, key = self.source.contents, ("environment_variable", self.string(field))
        value = known.get(key)
        if value is None:
            value = os.environb.get(os.fsencode(key[1]))
            if value is not None:
                known[key] = value
        return value

    def socket_address(self) -> tuple[str, int]:
        """Read this envoy.config.core.v3.Address as (host, port): TCP with a port number only.

        Raises:
            ConfigError: it is a pipe, an internal address, UDP or a named port.
        """
        if not self.has("socket_address"):
            raise self.error(self.which("address") or "socket_address", "only a socket_address is supported")
        socket = self.required("socket_address")
        if socket.enum("protocol") != "TCP":
            raise socket.error("protocol", "only TCP is supported (value: UDP)")
        socket.refuse("named_port")
        return socket.string("address"), socket.integer("port_value")

    def ipv4_compat(self, field: str) -> bool:
        """Read socket_address.ipv4_compat of an Address: an IPv6 listener that takes IPv4 too."""
        address = self.message_(field)
        socket = address.message_("socket_address") if address is not None else None
        return socket.boolean("ipv4_compat") if socket is not None else False

    # Saying what is known, and what is wrong.

    def accept(self, field: str, *more: str) -> None:
        """Count fields as read with everything below them; the caller says why they need no reading."""
        for name in (field, *more):
            self._take(name)
            self._children.pop(name, None)

    def error(self, field: str, message: str) -> ConfigError:
        """Make an error at a field of this message, or at the message itself for an empty name."""
        path = join(self.path, field)
        file, line = self.source.locate(path)
        return ConfigError(message, path, file, line)

    def note(self, error: ConfigError) -> None:
        """Note a problem after which reading can go on.

        Raises:
            ConfigError: the problem, where problems are not gathered.
        """
        if self.source.refused is None:
            raise error
        self.source.refused.append(error)

    def refuse(self, field: str, why: str = "is not supported") -> None:
        """Note, if a field is set, that it ``field WHY``.

        Raises:
            ConfigError: it is set, and problems are not gathered.
        """
        if self.has(field):
            self.accept(field)
            self.note(self.error(field, f"field {why}"))

    def gather(self) -> None:
        """From now on `attempt` notes problems, in every reader of the same source; `finish` raises them all."""
        self.source.refused = []

    @property
    def has_refused(self) -> bool:
        """Whether problems were noted: what seems to be missing may then have been left out because of them."""
        return bool(self.source.refused)

    def attempt(self, read: Callable[[Reader], T]) -> T | None:
        """Give what `read` makes of this message, or None where that is refused, and noted by a source that gathers.

        A problem that is met after one of this message's parts was refused is not noted, since the refused part may be
        its cause.

        Raises:
            ConfigError: from `read`, where problems are not gathered.
        """
        refused = self.source.refused
        if refused is None:
            return read(self)
        known = len(refused)
        try:
            return read(self)
        except ConfigError as error:
            if len(refused) == known:
                refused.append(error)
            self._read_all = True  # reading stopped here: fields that were not reached may well be supported
            return None

    def unread(self) -> list[ConfigError]:
        """List the set fields that nobody read, here and in every reader handed out, in field order."""
        found: list[ConfigError] = []
        if self._read_all:
            return found
        for descriptor, _ in self.message.ListFields():
            if descriptor.name not in self._read:
                found.append(self.error(descriptor.name, UNREAD))
            for child in self._children.get(descriptor.name, {}).values():
                found.extend(child.unread())
        return found

    def finish(self) -> None:
        """Raise for what was noted, and for the set fields that nobody read, in the order of their lines.

        Raises:
            ConfigError: one problem.
            MultipleConfigError: several of them.
        """
        found = [*(self.source.refused or ()), *self.unread()]
        raise_all(sorted(found, key=lambda error: error.line or 0))

    # How it is done.

    def _take(self, field: str) -> Any:
        """Give the raw value and count the field as read."""
        self._read.add(self._fields[field].name)
        return getattr(self.message, field)

    def _present(self, field: str) -> Any:
        """Give a sub-message and count it as read; None if it is unset."""
        value = self._take(field)
        return value if self.message.HasField(field) else None

    def _scalar(self, field: str, default: Any) -> Any:
        value = self._take(field)
        descriptor = self._fields[field]
        if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
            return value.value if self.message.HasField(field) else default
        return value if self.has(field) else default

    def _enum_name(self, field: str, value: int, at: str) -> str:
        kind = self._fields[field].enum_type
        named = kind.values_by_number.get(value) if kind is not None else None
        if named is None:
            raise self.error(at, f"unknown enum value (value: {value})")
        return str(named.name)

    def _child(self, field: str, suffix: str, value: Message) -> Reader:
        return self._cached(field, suffix, lambda path: Reader(value, path, self.source))

    def _unpacked(self, field: str, suffix: str, value: Message) -> Reader:
        return self._cached(field, suffix, lambda path: Reader(unpack_any(value, path, self.source), path, self.source))

    def _cached(self, field: str, suffix: str, make: Callable[[str], Reader]) -> Reader:
        children = self._children.setdefault(field, {})
        if suffix not in children:
            children[suffix] = make(join(self.path, field) + suffix)
        return children[suffix]

    def _content(self, kind: str) -> bytes:
        known, key = self.source.contents, (kind, self.string(kind))
        if key not in known:
            known[key] = self._file(kind) if kind == "filename" else self._environment(kind)
        return known[key]

    def _file(self, field: str) -> bytes:
        name = self.string(field)
        try:
            return read_file(name)
        except FileError as error:
            raise self.error(field, f"cannot read the file: {error} (value: {name})") from error

    def _environment(self, field: str) -> bytes:
        name = self.string(field)
        value = os.environb.get(os.fsencode(name))
        if value is None:
            raise self.error(field, f"the environment variable is not set (value: {name})")
        return value


def join(path: str, field: str) -> str:
    """Put a field name after a path; either may be empty."""
    return f"{path}.{field}" if path and field else path or field
