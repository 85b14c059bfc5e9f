"""Static metadata (envoy.config.core.v3.Metadata) as plain values, of what a connection and a request passed.

Read at load, looked at by ``%METADATA(KIND:...)%``. This module must not know who has metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Metadata = Mapping[str, Mapping[str, Any]]
"""By kind (LISTENER, ROUTE, ...): name space -> Struct."""


def joined(one: Metadata | None, other: Metadata | None) -> Metadata | None:
    """The metadata of two kinds of things as one; None is none."""
    return {**one, **other} if one and other else one or other


def found(metadata: Metadata | None, kind: str, path: Sequence[str]) -> Any:
    """The value at a path, whose first part is the namespace; None where there is none, or no path."""
    value: Any = None if metadata is None or not path else metadata.get(kind)
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


MatchValue = tuple[str, Any]
"""A metadata value that can be looked up: its kind (null, bool, number, string, list, struct), and the value, in which
lists are tuples of such values and structs are MatchCriteria. Equal are values that protobuf calls equal."""

MatchCriteria = tuple[tuple[str, MatchValue], ...]
"""What a host's metadata should have (Envoy's `MetadataMatchCriteria`): names in order, each once, with values."""


def match_value(value: Any) -> MatchValue:
    """A plain value as one that can be looked up."""
    if value is None:
        return "null", None
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return "number", float(value)
    if isinstance(value, Mapping):
        return "struct", match_criteria(value)
    if isinstance(value, str):
        return "string", value
    return "list", tuple([match_value(each) for each in value])


def match_criteria(values: Mapping[str, Any]) -> MatchCriteria:
    """Criteria of a Struct."""
    return tuple([(name, match_value(values[name])) for name in sorted(values)])


def merged_criteria(criteria: MatchCriteria, more: MatchCriteria) -> MatchCriteria:
    """Criteria with others put over them, as a weighted cluster's are put over its route's."""
    return tuple(sorted({**dict(criteria), **dict(more)}.items())) if more else criteria
