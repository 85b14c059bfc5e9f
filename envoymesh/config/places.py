"""A reader of the message at any path of a bootstrap, for who explains what stands there. It must not judge."""

from __future__ import annotations

from typing import Any

from envoymesh.config import wellknown
from envoymesh.config.reader import Reader
from envoymesh.config.source import Key, path_key
from envoymesh.errors import ConfigError

_ANY = "google.protobuf.Any"


def reader_at(root: Reader, path: str) -> Reader | None:
    """The message at a path such as ``static_resources.listeners[0]``; None where there is none, or no message."""
    reader: Reader | None = root
    key = path_key(path)
    try:
        while key and reader is not None:
            reader, key = _step(reader, key)
    except (ConfigError, IndexError, KeyError):
        return None
    return reader


def _step(reader: Reader, key: Key) -> tuple[Reader | None, Key]:
    """One field further, with its index or key where it has one."""
    name = str(key[0])
    descriptor: Any = reader.message.DESCRIPTOR.fields_by_name[name]
    kind = descriptor.message_type
    if kind is None:
        return None, ()
    if kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"].message_type
        if inner is None:
            return None, ()
        entries = reader.any_map(name) if inner.full_name == _ANY else reader.message_map(name)
        return entries[str(key[1])], key[2:]
    holds_any = kind.full_name == _ANY or kind.full_name in wellknown.TYPED_EXTENSION_CONFIGS
    if descriptor.is_repeated:
        index = int(key[1])
        return reader.repeated_any(name)[index] if holds_any else reader.element(name, index), key[2:]
    if holds_any:
        # What is below a TypedExtensionConfig has the path of its Any.
        return reader.any_(name), key[1:]
    return reader.message_(name), key[1:]
