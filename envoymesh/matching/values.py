"""Matchers of values as JSON knows them (envoy.type.matcher.v3.ValueMatcher), and of metadata, which holds such values.

What is missing is `MISSING`, which fits no matcher; None is JSON's null.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mypy_extensions import trait

from envoymesh.matching.strings import BytesMatcher


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()
"""Stands for a value that is not there."""


@trait
class ValueMatcher:
    """Decides on a value."""

    __slots__ = ()

    @abstractmethod
    def matches(self, value: Any) -> bool:
        """Whether the value fits; `MISSING` fits nothing."""


@dataclass(frozen=True, slots=True)
class NullMatcher(ValueMatcher):
    """`null_match`."""

    def matches(self, value: Any) -> bool:
        """Whether it is null."""
        return value is None


@dataclass(frozen=True, slots=True)
class NumberMatcher(ValueMatcher):
    """`double_match`: from `start` on, and less than `end`; or, without an `end`, equal to `start`."""

    start: float
    end: float | None = None

    def matches(self, value: Any) -> bool:
        """Whether it is such a number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return value == self.start if self.end is None else self.start <= value < self.end


@dataclass(frozen=True, slots=True)
class TextMatcher(ValueMatcher):
    """`string_match`."""

    matcher: BytesMatcher

    def matches(self, value: Any) -> bool:
        """Whether it is such a text."""
        return isinstance(value, str) and self.matcher.matches(value.encode())


@dataclass(frozen=True, slots=True)
class BooleanMatcher(ValueMatcher):
    """`bool_match`."""

    expected: bool

    def matches(self, value: Any) -> bool:
        """Whether it is this truth value."""
        return value is self.expected


@dataclass(frozen=True, slots=True)
class PresenceMatcher(ValueMatcher):
    """`present_match`; as in Envoy a matcher that is set to false matches nothing."""

    expected: bool

    def matches(self, value: Any) -> bool:
        """Whether there is a value, and one is wanted."""
        return self.expected and value is not MISSING


@dataclass(frozen=True, slots=True)
class ListMatcher(ValueMatcher):
    """`list_match`: a list with a member that fits."""

    one_of: ValueMatcher

    def matches(self, value: Any) -> bool:
        """Whether it is such a list."""
        return isinstance(value, list | tuple) and any(map(self.one_of.matches, value))


@dataclass(frozen=True, slots=True)
class AnyOfMatcher(ValueMatcher):
    """`or_match`."""

    matchers: Sequence[ValueMatcher]

    def matches(self, value: Any) -> bool:
        """Whether any of them fits."""
        return any(matcher.matches(value) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class MetadataMatcher:
    """envoy.type.matcher.v3.MetadataMatcher.

    Args:
        namespace: the `filter`.
        path: keys, one below the other.
        invert: the answer is the other one, also where there is no value.
    """

    namespace: str
    path: Sequence[str]
    value: ValueMatcher
    invert: bool = False

    def matches(self, metadata: Mapping[str, Mapping[str, Any]] | None) -> bool:
        """Whether the value at the path fits; `metadata` is values by namespace, or None for none at all."""
        return self.value.matches(value_at(metadata, self.namespace, self.path)) != self.invert


def value_at(metadata: Mapping[str, Mapping[str, Any]] | None, namespace: str, path: Sequence[str]) -> Any:
    """The value below a namespace at a path, or `MISSING` (Envoy's `Metadata::metadataValue`)."""
    if metadata is None or not path:
        return MISSING
    found: Any = metadata.get(namespace, MISSING)
    for key in path:
        if not isinstance(found, Mapping):
            return MISSING
        found = found.get(key, MISSING)
    return found
