"""The classes of the official messages, found by type name and imported when first asked for.

A message can only be unpacked from an Any once its generated module has been
imported. The generated modules lie where their protobuf package says
(``envoy.config.cluster.v3`` is a directory), so a type name is enough to find
the one to import, and a start pays only for the extensions that its
configuration uses. This module must not import anything outside the trees in
`ROOTS`, whatever a type name says.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from envoymesh.config.source import Source
from envoymesh.errors import ConfigError

ROOTS = ("envoy", "xds", "udpa")
"""The top-level packages of generated modules."""

WELL_KNOWN = {
    "Any": "any",
    "Duration": "duration",
    "Empty": "empty",
    "FieldMask": "field_mask",
    "ListValue": "struct",
    "Struct": "struct",
    "Timestamp": "timestamp",
    "Value": "struct",
    **dict.fromkeys(
        ("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "Int32Value", "Int64Value", "StringValue"), "wrappers"
    ),
    **dict.fromkeys(("UInt32Value", "UInt64Value"), "wrappers"),
}
"""google.protobuf's types that an Any may hold, and the module of each."""

BOOTSTRAP = "envoy.config.bootstrap.v3.Bootstrap"

_TYPE_NAME = re.compile(r"((?:[a-z][a-z0-9_]*\.)+)([A-Z]\w*)(?:\.[A-Z]\w*)*")
_V2 = re.compile(r"envoy\.(?:[a-z0-9_]+\.)*(?:v1|v2|v2alpha\d*)\..*")


def message_class(full_name: str) -> type[Message]:
    """Give the class of a message type such as ``envoy.config.cluster.v3.Cluster``.

    Raises:
        KeyError: there is no such type.
    """
    pool = descriptor_pool.Default()
    for module in (None, *_modules(full_name)):
        if module is not None:
            importlib.import_module(module)
        try:
            return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))
        except KeyError:
            continue
    raise KeyError(full_name)


def new_bootstrap() -> Any:
    """Make an empty envoy.config.bootstrap.v3.Bootstrap."""
    return message_class(BOOTSTRAP)()


def _modules(full_name: str) -> list[str]:
    """List the modules that may define a type: those in the directory of its package."""
    match = _TYPE_NAME.fullmatch(full_name)
    if match is None:
        return []
    package = match.group(1).rstrip(".")
    if package == "google.protobuf":
        stem = WELL_KNOWN.get(match.group(2))
        return [f"google.protobuf.{stem}_pb2"] if stem else []
    root, *below = package.split(".")
    if root not in ROOTS:
        return []
    found: set[str] = set()
    for tree in importlib.import_module(root).__path__:
        found.update(file.stem for file in Path(tree, *below).glob("*_pb2.py"))
    return [f"{package}.{stem}" for stem in sorted(found)]


def class_of_url(type_url: str, path: str, source: Source) -> type[Message]:
    """Give the class that the type URL of an Any names.

    Args:
        type_url: such as ``type.googleapis.com/envoy.config.cluster.v3.Cluster``.
        path: the path of the Any, for the error.
        source: the file and lines, for the error.

    Raises:
        ConfigError: the URL is not one, or names an unknown type.
    """
    file, line = source.locate(path)
    host, _, name = type_url.rpartition("/")
    if not host or not name:
        raise ConfigError(f"'@type' must be a type URL, host/name (value: {type_url!r})", path, file, line)
    if _V2.fullmatch(name):
        raise ConfigError(
            f"a type of API v2, which Envoy no longer has, in '@type' (value: {type_url})", path, file, line
        )
    try:
        return message_class(name)
    except KeyError:
        raise ConfigError(f"unknown type in '@type' (value: {type_url})", path, file, line) from None


def unpack_any(value: Any, path: str, source: Source) -> Message:
    """Give the message in a google.protobuf.Any.

    Raises:
        ConfigError: the type is unknown, or the bytes aren't a message of it.
    """
    if not value.type_url:
        file, line = source.locate(path)
        raise ConfigError("'@type' is missing", path, file, line)
    message = class_of_url(value.type_url, path, source)()
    try:
        message.ParseFromString(value.value)
    except DecodeError as error:
        file, line = source.locate(path)
        raise ConfigError(f"not a message of its type (value: {value.type_url})", path, file, line) from error
    return message
