"""String, header and query parameter matchers (envoy.type.matcher.v3, envoy.config.route.v3).

A matcher is built once and asked many times; each is a small object with a `matches` method, so that a
table of routes can be printed and compared. Nothing here may allocate more than the answer needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import re2

from envoymesh.http.headers import PSEUDO_HEADERS, RequestHeaders

_REGEX_MEMORY: Final = 8 << 20
"""RE2's own limit, in bytes."""
_PATTERN_MEMORY: Final = 64 << 10
"""What each pattern of a large set adds to it."""
_EVERYTHING: Final = rb"(?s).*"
NO_PLACES: Final[list[int]] = []


def request_header_value(headers: RequestHeaders, name: bytes) -> bytes | None:
    """A header's value, several joined with commas; pseudo-headers and Host included."""
    pseudo = PSEUDO_HEADERS.get(name)
    if pseudo is not None:
        return pseudo(headers)
    return headers.joined(name)


def request_header_values(headers: RequestHeaders, name: bytes) -> list[bytes]:
    """All values of a header, pseudo-headers and Host included."""
    pseudo = PSEUDO_HEADERS.get(name)
    if pseudo is None:
        return headers.get_all(name)
    value = pseudo(headers)
    return [] if value is None else [value]


class BytesMatcher(Protocol):
    """Decides on one value."""

    def matches(self, value: bytes) -> bool:
        """Whether the value fits."""


@dataclass(frozen=True, slots=True)
class StringMatcher:
    """envoy.type.matcher.v3.StringMatcher without safe_regex.

    Args:
        kind: ``exact``, ``prefix``, ``suffix`` or ``contains``.
        pattern: what to compare with; already lower-case where `ignore_case`.
    """

    kind: str
    pattern: bytes
    ignore_case: bool = False

    def matches(self, value: bytes) -> bool:
        """Whether the value fits."""
        if self.ignore_case:
            value = value.lower()
        if self.kind == "exact":
            return value == self.pattern
        if self.kind == "prefix":
            return value.startswith(self.pattern)
        if self.kind == "suffix":
            return value.endswith(self.pattern)
        return self.pattern in value


def _regex_options(patterns: int) -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = max(_REGEX_MEMORY, patterns * _PATTERN_MEMORY)
    return options


class RegexSet:
    """Several RE2 regexes as one automaton: one pass over a value tells which of them match the whole of it.

    The automaton gives up where it would need too much memory, and then says nothing instead of something wrong: that
    is known by a last pattern which matches everything.

    Args:
        patterns: valid ones.
    """

    __slots__ = ("_match", "_size")

    def __init__(self, patterns: Sequence[str]) -> None:
        automaton = re2.Set.FullMatchSet(_regex_options(len(patterns)))
        self._size = len(patterns)
        self._match: Callable[[bytes], list[int] | None] = automaton.Match
        try:
            for pattern in patterns:
                automaton.Add(pattern.encode())
            automaton.Add(_EVERYTHING)
            automaton.Compile()
        except re2.error:
            self._match = _give_up

    def find(self, value: bytes) -> list[int] | None:
        """The places of the patterns that match, in ascending order; None where each must be tried by itself."""
        found = self._match(value)
        if found is None:
            return None
        if len(found) == 1:
            return NO_PLACES
        return sorted(found)[:-1]


def _give_up(_value: bytes) -> list[int] | None:
    return None


class RegexMatcher:
    """envoy.type.matcher.v3.RegexMatcher: RE2, the whole value must match."""

    __slots__ = ("_fullmatch", "_set", "pattern")

    def __init__(self, pattern: str) -> None:
        """Errors: ValueError with RE2's text for a bad pattern."""
        self.pattern = pattern
        try:
            self._fullmatch = re2.compile(pattern.encode(), _regex_options(1)).fullmatch
        except re2.error as error:
            reason = error.args[0]
            raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
        # A set of one answers in half the time: it looks for no groups and makes no match object.
        self._set = RegexSet([pattern])

    def matches(self, value: bytes) -> bool:
        """Whether the whole value fits."""
        found = self._set.find(value)
        return self._fullmatch(value) is not None if found is None else bool(found)

    def __repr__(self) -> str:
        return f"RegexMatcher({self.pattern!r})"


@dataclass(frozen=True, slots=True)
class RangeMatcher:
    """envoy.type.v3.Int64Range: start inclusive, end exclusive, decimal values only."""

    start: int
    end: int

    def matches(self, value: bytes) -> bool:
        """Whether the value is a number in the range."""
        digits = value[1:] if value[:1] in (b"-", b"+") else value
        return digits.isdigit() and self.start <= int(value) < self.end


@dataclass(frozen=True, slots=True)
class HeaderMatcher:
    """envoy.config.route.v3.HeaderMatcher.

    Args:
        value: decides on the value; None matches presence alone.
        present: with `value` None, whether the header must be there or must not.
        missing_as_empty: `treat_missing_header_as_empty`.
    """

    name: bytes
    value: BytesMatcher | None = None
    present: bool = True
    invert: bool = False
    missing_as_empty: bool = False

    def matches(self, headers: RequestHeaders) -> bool:
        """Whether the headers fit."""
        values = request_header_values(headers, self.name)
        if not values and self.missing_as_empty:
            values = [b""]
        if self.value is None:
            return (bool(values) == self.present) != self.invert
        # Values are looked at one by one; an absent header fits no value, inverted or not (HeaderUtility).
        return bool(values) and any(map(self.value.matches, values)) != self.invert


@dataclass(frozen=True, slots=True)
class QueryParameterMatcher:
    """envoy.config.route.v3.QueryParameterMatcher; `value` None matches presence."""

    name: bytes
    value: BytesMatcher | None = None
    present: bool = True

    def matches(self, parameters: dict[bytes, bytes]) -> bool:
        """Whether the parameters (first value by name) fit."""
        found = parameters.get(self.name)
        if self.value is None:
            return (found is not None) == self.present
        return found is not None and self.value.matches(found)


def parse_query(path: bytes) -> dict[bytes, bytes]:
    """First value of each query parameter, undecoded (Envoy's QueryParamsMulti::parseQueryString)."""
    _, _, query = path.partition(b"?")
    found: dict[bytes, bytes] = {}
    for pair in query.partition(b"#")[0].split(b"&"):
        name, _, value = pair.partition(b"=")
        found.setdefault(name, value)
    return found


def all_match(matchers: Sequence[HeaderMatcher], headers: RequestHeaders) -> bool:
    """Whether every header matcher fits; true for none."""
    return all(matcher.matches(headers) for matcher in matchers)


class ValueMatcher(Protocol):
    """Decides on a value as JSON knows them (envoy.type.matcher.v3.ValueMatcher)."""

    def matches(self, value: Any) -> bool:
        """Whether the value fits."""


@dataclass(frozen=True, slots=True)
class NullMatcher:
    """`null_match`."""

    def matches(self, value: Any) -> bool:
        """Whether it is null."""
        return value is None


@dataclass(frozen=True, slots=True)
class NumberMatcher:
    """`double_match`: from `start` on, and less than `end`; or, without an `end`, equal to `start`."""

    start: float
    end: float | None = None

    def matches(self, value: Any) -> bool:
        """Whether it is such a number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return value == self.start if self.end is None else self.start <= value < self.end


@dataclass(frozen=True, slots=True)
class TextMatcher:
    """`string_match`."""

    matcher: BytesMatcher

    def matches(self, value: Any) -> bool:
        """Whether it is such a text."""
        return isinstance(value, str) and self.matcher.matches(value.encode())


@dataclass(frozen=True, slots=True)
class BooleanMatcher:
    """`bool_match`."""

    expected: bool

    def matches(self, value: Any) -> bool:
        """Whether it is this truth value."""
        return value is self.expected


@dataclass(frozen=True, slots=True)
class PresenceMatcher:
    """`present_match`, asked of a value that is there."""

    expected: bool

    def matches(self, value: Any) -> bool:
        """Whether a value is what is wanted."""
        return self.expected


@dataclass(frozen=True, slots=True)
class ListMatcher:
    """`list_match`: a list with a member that fits."""

    one_of: ValueMatcher

    def matches(self, value: Any) -> bool:
        """Whether it is such a list."""
        return isinstance(value, list | tuple) and any(map(self.one_of.matches, value))


@dataclass(frozen=True, slots=True)
class AnyOfMatcher:
    """`or_match`."""

    matchers: Sequence[ValueMatcher]

    def matches(self, value: Any) -> bool:
        """Whether any of them fits."""
        return any(matcher.matches(value) for matcher in self.matchers)
