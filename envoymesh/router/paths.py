"""What a route's path must be: the path specifiers of envoy.config.route.v3.RouteMatch. Pure functions on bytes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final

from mypy_extensions import trait

from envoymesh.matching.strings import RegexMatcher, quoted
from envoymesh.matching.uri_template import UriTemplate

_NEVER: Final = "[^\\x00-\\xff]"


def _text(value: bytes, ignore_case: bool) -> str:
    return f"{quoted(value)} in any case" if ignore_case else quoted(value)


@trait
class PathMatcher:
    """Decides on a path without its query."""

    __slots__ = ()

    @abstractmethod
    def matches(self, path: bytes) -> bool:
        """Whether the path fits."""

    @abstractmethod
    def rewritten(self, path: bytes, replacement: bytes) -> bytes:
        """The path with its matched part replaced."""

    @abstractmethod
    def describe(self) -> tuple[str, str]:
        """What it wants, for people: the field of RouteMatch, and its value."""


@dataclass(frozen=True, slots=True)
class PrefixPath(PathMatcher):
    """`prefix`, and `path_separated_prefix` where `separated`."""

    prefix: bytes
    ignore_case: bool = False
    separated: bool = False

    def matches(self, path: bytes) -> bool:
        """Whether the path begins so (and, if separated, goes on with ``/`` or ends)."""
        begins = path.startswith(self.prefix)
        if not begins and self.ignore_case:
            begins = path.lower().startswith(self.prefix.lower())
        return begins and (not self.separated or path[len(self.prefix) : len(self.prefix) + 1] in (b"", b"/"))

    def rewritten(self, path: bytes, replacement: bytes) -> bytes:
        """The path with the prefix replaced."""
        return replacement + path[len(self.prefix) :]

    def describe(self) -> tuple[str, str]:
        """The prefix."""
        return "path_separated_prefix" if self.separated else "prefix", _text(self.prefix, self.ignore_case)


@dataclass(frozen=True, slots=True)
class ExactPath(PathMatcher):
    """`path`."""

    path: bytes
    ignore_case: bool = False

    def matches(self, path: bytes) -> bool:
        """Whether the path is this one."""
        return path == self.path or (self.ignore_case and path.lower() == self.path.lower())

    def rewritten(self, path: bytes, replacement: bytes) -> bytes:
        """The replacement alone."""
        return replacement

    def describe(self) -> tuple[str, str]:
        """The path."""
        return "path", _text(self.path, self.ignore_case)


@dataclass(frozen=True, slots=True)
class RegexPath(PathMatcher):
    """`safe_regex`: the whole path must match."""

    regex: RegexMatcher

    def matches(self, path: bytes) -> bool:
        """Whether the whole path fits."""
        return self.regex.matches(path)

    def rewritten(self, path: bytes, replacement: bytes) -> bytes:
        """The replacement alone (a regex matches the whole path)."""
        return replacement

    def describe(self) -> tuple[str, str]:
        """The pattern, which the whole path must match."""
        return "safe_regex", repr(self.regex.pattern)


class TemplatePath(PathMatcher):
    """`path_match_policy` with a URI template: the whole path must fit."""

    __slots__ = ("regex", "template")

    def __init__(self, template: UriTemplate) -> None:
        self.template = template
        try:
            self.regex = RegexMatcher(template.regex)
        except ValueError:
            self.regex = RegexMatcher(_NEVER)

    def matches(self, path: bytes) -> bool:
        """Whether the whole path fits."""
        return self.regex.matches(path)

    def rewritten(self, path: bytes, replacement: bytes) -> bytes:
        """The replacement alone (a template matches the whole path)."""
        return replacement

    def describe(self) -> tuple[str, str]:
        """The template."""
        return "path_match_policy", repr(self.template)

    def __repr__(self) -> str:
        return f"TemplatePath({self.template!r})"


@dataclass(frozen=True, slots=True)
class ConnectPath(PathMatcher):
    """`connect_matcher`: any path, or none; that the request is a CONNECT is a condition of the route."""

    def matches(self, path: bytes) -> bool:
        """Yes."""
        return True

    def rewritten(self, path: bytes, replacement: bytes) -> bytes:
        """As a prefix that is the whole path."""
        return replacement

    def describe(self) -> tuple[str, str]:
        """No path in particular."""
        return "connect_matcher", "a CONNECT request"
