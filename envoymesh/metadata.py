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
    """The value at a path, whose first part is the name space; None where there is none, or no path."""
    value: Any = None if metadata is None or not path else metadata.get(kind)
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
