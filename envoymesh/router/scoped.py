"""Several route tables, of which a request's headers choose one (HttpConnectionManager's `scoped_routes`, inline).

It must not know what the tables say.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from mypy_extensions import trait

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.headers import request_header_values
from envoymesh.router.table import Route, RouteTable

ScopeKey = tuple[bytes, ...]
"""What stands for one scope: a text for each fragment."""

NO_ROUTES: Final = RouteTable("", ())
"""The table of requests whose key nobody has, or that have none."""


@trait
class FragmentBuilder:
    """Takes one part of a scope's key out of headers."""

    __slots__ = ()

    @abstractmethod
    def fragment(self, headers: RequestHeaders) -> bytes | None:
        """The part, or None where there is none: then the request is of no scope."""


class HeaderIndex(FragmentBuilder):
    """`header_value_extractor` with an `index`: one element of a header's first value.

    Args:
        separator: stands between elements; without one the value is the only element.
    """

    __slots__ = ("_index", "_name", "_separator")

    def __init__(self, name: bytes, separator: bytes, index: int) -> None:
        self._name = name
        self._separator = separator
        self._index = index

    def fragment(self, headers: RequestHeaders) -> bytes | None:
        """The element at the index; None where the header has fewer."""
        found = _elements(headers, self._name, self._separator)
        return found[self._index] if self._index < len(found) else None


class HeaderElement(FragmentBuilder):
    """`header_value_extractor` with an `element`: the value of the first element that has this key.

    Args:
        between: stands between an element's key and its value; an element without it is a key without a value.
    """

    __slots__ = ("_between", "_key", "_name", "_separator")

    def __init__(self, name: bytes, separator: bytes, key: bytes, between: bytes) -> None:
        self._name = name
        self._separator = separator
        self._key = key
        self._between = between

    def fragment(self, headers: RequestHeaders) -> bytes | None:
        """The value."""
        for element in _elements(headers, self._name, self._separator):
            key, _, value = element.partition(self._between)
            if key == self._key:
                return value
        return None


def _elements(headers: RequestHeaders, name: bytes, separator: bytes) -> list[bytes]:
    values = request_header_values(headers, name)
    if not values:
        return []
    return values[0].split(separator) if separator else [values[0]]


class ScopedRouteTable(RouteTable):
    """Stands for the tables of all scopes.

    Args:
        scopes: name, key and table of each, in order. As in Envoy a later one takes the place of an earlier one of the
            same name or key.
        fragments: what a request's key is made of.
    """

    __slots__ = ("_by_key", "_fragments", "_tables")

    def __init__(
        self, name: str, scopes: Sequence[tuple[str, ScopeKey, RouteTable]], fragments: Sequence[FragmentBuilder]
    ) -> None:
        super().__init__(name, ())
        self._fragments = tuple(fragments)
        self._tables = tuple(table for _, _, table in scopes)
        self._by_key: dict[ScopeKey, RouteTable] = {}
        keys: dict[str, ScopeKey] = {}
        for scope, key, table in scopes:
            if scope in keys:
                self._by_key.pop(keys[scope], None)
            keys[scope] = key
            self._by_key[key] = table

    def table_of(self, headers: RequestHeaders) -> RouteTable:
        """The table of a request's scope."""
        key = []
        for builder in self._fragments:
            part = builder.fragment(headers)
            if part is None:
                return NO_ROUTES
            key.append(part)
        return self._by_key.get(tuple(key), NO_ROUTES)

    def route(self, headers: RequestHeaders, info: StreamInfo | None = None) -> Route | None:
        """The route of a request in its scope, which is looked for each time: filters may change the headers."""
        return self.table_of(headers).route(headers, info)

    def tables(self) -> Sequence[RouteTable]:
        """Those of all scopes, in order."""
        return self._tables

    def routes(self) -> list[Route]:
        """All routes of all scopes."""
        return [route for table in self._tables for route in table.routes()]
