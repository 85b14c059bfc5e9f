"""A configuration message as JSON that is made as it is printed, without its secrets.

A small message is converted at once, a large one field by field, so that what one step does is bounded, however long a
bootstrap or a route table is. The values are those of `to_json_value`. It must not know its messages, nor change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from envoymesh.admin.json_text import LazyList, LazyObject
from envoymesh.admin.proto.answers import to_json_value
from envoymesh.admin.proto.trim import copied, is_sensitive, redact, unpacked

AT_ONCE: Final = 256
"""Bytes, as protobuf writes them, of a message that is converted in one step: about half a millisecond."""

_WELL_KNOWN: Final = "google.protobuf."


def lazy_value(message: Message, *, sensitive: bool = False) -> object:
    """The message as a JSON value, perhaps a lazy one, redacted; `sensitive`: it stands in a field that is secret."""
    if isinstance(message, Any) and message.ByteSize() > AT_ONCE:
        return _any(message, sensitive)
    if message.ByteSize() <= AT_ONCE or message.DESCRIPTOR.full_name.startswith(_WELL_KNOWN):
        return _at_once(message, sensitive)
    return LazyObject(_members(message, sensitive))


def lazy_any(message: Message) -> object:
    """A message as it is printed when it is held by an Any."""
    return LazyObject(_typed(f"type.googleapis.com/{message.DESCRIPTOR.full_name}", message, False))


def _any(message: Any, sensitive: bool) -> object:
    held = unpacked(message)
    if held.DESCRIPTOR.full_name.startswith(_WELL_KNOWN):
        return _at_once(message, sensitive)
    return LazyObject(_typed(message.type_url, held, sensitive))


def _typed(type_url: str, message: Message, sensitive: bool) -> Iterator[tuple[str, object]]:
    yield "@type", type_url
    yield from _members(message, sensitive)


def _at_once(message: Message, sensitive: bool) -> object:
    copy = copied(message)
    redact(copy, sensitive=sensitive)
    return to_json_value(copy)


def _members(message: Message, sensitive: bool) -> Iterator[tuple[str, object]]:
    """The fields that are set, by number."""
    for field, value in message.ListFields():
        secret = sensitive or is_sensitive(field)
        kind = field.message_type
        if kind is None or _is_map_of_scalars(field):
            yield from _alone(message, field, value, secret)
        elif kind.GetOptions().map_entry:
            yield field.name, LazyObject((str(key), lazy_value(value[key], sensitive=secret)) for key in value)
        elif field.is_repeated:
            yield field.name, LazyList(lazy_value(item, sensitive=secret) for item in value)
        else:
            yield field.name, lazy_value(value, sensitive=secret)


def _is_map_of_scalars(field: FieldDescriptor) -> bool:
    entry = field.message_type
    return entry is not None and entry.GetOptions().map_entry and entry.fields_by_name["value"].message_type is None


def _alone(message: Message, field: FieldDescriptor, value: object, secret: bool) -> Iterator[tuple[str, object]]:
    """A field without messages, converted in a message that has no other; none where redaction clears it."""
    shell = type(message)()
    if field.is_repeated:
        getattr(shell, field.name).MergeFrom(value)
    else:
        setattr(shell, field.name, value)
    redact(shell, sensitive=secret)
    yield from to_json_value(shell).items()
