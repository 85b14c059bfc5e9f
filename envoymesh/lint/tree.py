"""The messages of a bootstrap, however deep they stand. It must not judge them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError

ROUTE_CONFIGURATION: Final = "envoy.config.route.v3.RouteConfiguration"
HTTP_CONNECTION_MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ANY: Final = "google.protobuf.Any"
_PLAIN: Final = ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue")


def walk(reader: Reader) -> Iterator[Reader]:
    """The message itself and every message below it, those inside of Any too, in field order."""
    yield reader
    for descriptor, value in reader.message.ListFields():
        for child in _children(reader, descriptor, value):
            yield from walk(child)


def _children(reader: Reader, descriptor: Any, value: Any) -> Iterator[Reader]:
    kind = descriptor.message_type
    if kind is None or kind.full_name in _PLAIN:
        return
    if kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"].message_type
        if inner is not None:
            yield from (reader.any_map if inner.full_name == _ANY else reader.message_map)(descriptor.name).values()
    elif kind.full_name == _ANY:
        try:
            found = reader.repeated_any(descriptor.name) if descriptor.is_repeated else [reader.any_(descriptor.name)]
        except ConfigError:
            return  # a type that is not known: the proxy itself reports it
        yield from (each for each in found if each is not None)
    elif descriptor.is_repeated:
        yield from reader.repeated(descriptor.name)
    elif reader.has(descriptor.name):
        yield reader.required(descriptor.name)


def of_type(root: Reader, name: str) -> Iterator[Reader]:
    """Every message of one type."""
    return (each for each in walk(root) if each.type_name == name)


def clusters(root: Reader) -> list[Reader]:
    """The static clusters."""
    resources = root.message_("static_resources")
    return [] if resources is None else resources.repeated("clusters")


def routes_of(virtual_host: Reader) -> list[Reader]:
    """A virtual host's routes."""
    return virtual_host.repeated("routes")


def has(reader: Reader, field: str) -> bool:
    """Whether a field is there in this version of the API, and set."""
    return field in reader.message.DESCRIPTOR.fields_by_name and reader.has(field)
