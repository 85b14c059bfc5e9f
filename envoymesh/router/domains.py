"""Which virtual host a name belongs to (Envoy's `RouteMatcher`): exact, longest suffix, longest prefix, then ``*``.

A look-up asks one dictionary for each length of suffix and prefix that there is. This module must not know what a
virtual host is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Domains(Generic[T]):
    """Values by domain.

    Args:
        table: the route configuration's name, for errors.
        entries: domains as they are configured, and what they stand for.
    Attributes:
        default: what ``*`` stands for.
        only_default: there is nothing else, so that names do not matter.
    Errors: ValueError, in Envoy's words, where a domain stands twice.
    """

    __slots__ = ("_exact", "_prefix_lengths", "_prefixes", "_suffix_lengths", "_suffixes", "default", "only_default")

    def __init__(self, table: str, entries: Sequence[tuple[Sequence[bytes], T]]) -> None:
        self._exact: dict[bytes, T] = {}
        self._suffixes: dict[bytes, T] = {}
        self._prefixes: dict[bytes, T] = {}
        self.default: T | None = None
        for domains, value in entries:
            for domain in domains:
                self._add(domain.lower(), value, table)
        self._suffix_lengths = _lengths(self._suffixes)
        self._prefix_lengths = _lengths(self._prefixes)
        self.only_default = not (self._exact or self._suffixes or self._prefixes)

    def _add(self, domain: bytes, value: T, table: str) -> None:
        if domain == b"*":
            if self.default is not None:
                raise ValueError(f"Only a single wildcard domain is permitted in route {table}")
            self.default = value
            return
        if domain.startswith(b"*"):
            group, key = self._suffixes, domain[1:]
        elif domain.endswith(b"*"):
            group, key = self._prefixes, domain[:-1]
        else:
            group, key = self._exact, domain
        if key in group:
            shown = f"Duplicate entry of domain {domain.decode('latin-1')} in route {table}"
            raise ValueError(f"Only unique values for domains are permitted. {shown}")
        group[key] = value

    def find(self, name: bytes) -> T | None:
        """The value of a name, in any case. A wildcard stands for one character at least."""
        name = name.lower()
        found = self._exact.get(name)
        if found is not None:
            return found
        size = len(name)
        for length in self._suffix_lengths:
            if length < size:
                found = self._suffixes.get(name[size - length :])
                if found is not None:
                    return found
        for length in self._prefix_lengths:
            if length < size:
                found = self._prefixes.get(name[:length])
                if found is not None:
                    return found
        return self.default


def _lengths(group: dict[bytes, T]) -> tuple[int, ...]:
    """The lengths of the keys, the longest first."""
    return tuple(sorted({len(key) for key in group}, reverse=True))
