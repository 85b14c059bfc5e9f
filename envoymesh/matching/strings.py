"""Matchers of one value: strings, regexes and numbers (envoy.type.matcher.v3).

A matcher is built once and asked many times; each is a small object with a `matches` method, so that a
table of routes can be printed and compared. Nothing here may allocate more than the answer needs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import re2
from mypy_extensions import trait

_REGEX_MEMORY: Final = 8 << 20
"""RE2's own limit, in bytes."""
_PATTERN_MEMORY: Final = 64 << 10
"""What each pattern of a large set adds to it."""
_EVERYTHING: Final = rb"(?s).*"
_MOST_DIGITS: Final = 4000
NO_PLACES: Final[list[int]] = []


@trait
class BytesMatcher:
    """Decides on one value."""

    __slots__ = ()

    @abstractmethod
    def matches(self, value: bytes) -> bool:
        """Whether the value fits."""

    def describe(self) -> str:
        """What it wants, for people."""
        return repr(self)


def quoted(value: bytes) -> str:
    """A value for people, in quotes."""
    return repr(value.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class StringMatcher(BytesMatcher):
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

    def describe(self) -> str:
        """The message's field and text."""
        return f"{self.kind} {quoted(self.pattern)}{' in any case' if self.ignore_case else ''}"


def _regex_options(patterns: int) -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = max(_REGEX_MEMORY, patterns * _PATTERN_MEMORY)
    return options


class RegexSet:
    """Several RE2 regexes as one automaton: one pass over a value tells which of them match the whole of it.

    Where the automaton would need too much memory it gives up and reports no match. That is noticed, since the last
    pattern matches everything and must be among the matches.

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


class RegexMatcher(BytesMatcher):
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
        # A set of one pattern takes half the time of a search: it finds no groups and makes no match object.
        self._set = RegexSet([pattern])

    def matches(self, value: bytes) -> bool:
        """Whether the whole value fits."""
        found = self._set.find(value)
        return self._fullmatch(value) is not None if found is None else bool(found)

    def describe(self) -> str:
        """The pattern."""
        return f"safe_regex {self.pattern!r}"

    def __repr__(self) -> str:
        return f"RegexMatcher({self.pattern!r})"


@dataclass(frozen=True, slots=True)
class RangeMatcher(BytesMatcher):
    """envoy.type.v3.Int64Range: start inclusive, end exclusive, decimal values only."""

    start: int
    end: int

    def matches(self, value: bytes) -> bool:
        """Whether the value is a number in the range."""
        digits = value[1:] if value[:1] in (b"-", b"+") else value
        # Python refuses to convert very many digits.
        if not digits.isdigit() or len(digits) > _MOST_DIGITS:
            return False
        return self.start <= int(value) < self.end

    def describe(self) -> str:
        """The range."""
        return f"a number from {self.start} to less than {self.end}"
