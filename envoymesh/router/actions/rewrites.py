"""Rewrites of a request's path and host (`prefix_rewrite`, `regex_rewrite`, `host_rewrite_literal` and the like).

Pure functions on header maps: settings are compiled when routes are loaded. This module must not decide when a rewrite
takes place; the router filter does.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2
from mypy_extensions import trait

from envoymesh.formatter import Formatter, FormatterContext
from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import request_header_values
from envoymesh.matching.uri_template import LITERAL_CHARACTERS, UriTemplate
from envoymesh.router.paths import PathMatcher

ORIGINAL_PATH: Final = b"x-envoy-original-path"
ORIGINAL_HOST: Final = b"x-envoy-original-host"
FORWARDED_HOST: Final = b"x-forwarded-host"

_VARIABLE: Final = re.compile(r"\{([a-zA-Z][a-zA-Z0-9_]*)\}")
_REWRITE_LITERAL: Final = re.compile(f"[{LITERAL_CHARACTERS}/]+")


def split_path(path: bytes) -> tuple[bytes, bytes]:
    """A request's path, and its query and fragment with their marks."""
    bare = path.partition(b"?")[0].partition(b"#")[0]
    return bare, path[len(bare) :]


class RegexSubstitution:
    """envoy.type.matcher.v3.RegexMatchAndSubstitute: every match replaced, as RE2's GlobalReplace does it.

    Errors: ValueError with RE2's text for a bad pattern.
    """

    __slots__ = ("_parts", "_pattern", "_search", "_substitution")

    def __init__(self, pattern: str, substitution: str) -> None:
        options = re2.Options()
        options.log_errors = False
        options.encoding = re2.Options.Encoding.LATIN1
        try:
            compiled = re2.compile(pattern.encode(), options)
        except re2.error as error:
            reason = error.args[0]
            raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
        self._pattern = pattern
        self._substitution = substitution
        self._search: Any = compiled.search
        parts = parse_substitution(substitution.encode())
        # RE2 leaves the text as it is where the substitution names a group that the pattern does not have.
        known = all(isinstance(part, bytes) or part <= compiled.groups for part in parts)
        self._parts: Sequence[bytes | int] | None = parts if known else None

    def __repr__(self) -> str:
        return f"RegexSubstitution({self._pattern!r}, {self._substitution!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegexSubstitution) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash((self._pattern, self._substitution))

    def replace_all(self, text: bytes) -> bytes:
        """The text with each match replaced."""
        if self._parts is None:
            return text
        made: list[bytes] = []
        at, last_end = 0, -1
        while at <= len(text):
            found = self._search(text, at)
            if found is None:
                break
            start, end = found.span()
            made.append(text[at:start])
            if start == end == last_end:
                # An empty match right behind the last one does not count.
                made.append(text[start : start + 1])
                at = start + 1
                continue
            made += self._filled(found)
            at = last_end = end
        made.append(text[at:])
        return b"".join(made)

    def _filled(self, found: Any) -> list[bytes]:
        return [part if isinstance(part, bytes) else found.group(part) or b"" for part in self._parts or ()]


def parse_substitution(text: bytes) -> list[bytes | int]:
    r"""Text and numbers of groups of an RE2 rewrite: ``\0`` to ``\9``, ``\\``. As RE2's it ends at any other escape."""
    parts: list[bytes | int] = []
    at = 0
    while at < len(text):
        mark = text.find(b"\\", at)
        if mark < 0:
            parts.append(text[at:])
            break
        if mark > at:
            parts.append(text[at:mark])
        escaped = text[mark + 1 : mark + 2]
        if escaped.isdigit():
            parts.append(int(escaped))
        elif escaped == b"\\":
            parts.append(b"\\")
        else:
            break
        at = mark + 2
    return parts


@trait
class PathRewrite:
    """Gives a request another path."""

    __slots__ = ()

    @abstractmethod
    def rewritten(self, bare: bytes, matcher: PathMatcher | None, context: FormatterContext) -> bytes:
        """The new path, both without a query; empty for no change.

        Args:
            matcher: what the route wanted of the path.
            context: of the request.
        """


@dataclass(frozen=True, slots=True)
class PrefixRewrite(PathRewrite):
    """`prefix_rewrite`: another text for the part that matched, which is all of the path but for prefixes."""

    replacement: bytes

    def rewritten(self, bare: bytes, matcher: PathMatcher | None, context: FormatterContext) -> bytes:
        """The new path."""
        return self.replacement if matcher is None else matcher.rewritten(bare, self.replacement)


@dataclass(frozen=True, slots=True)
class RegexRewrite(PathRewrite):
    """`regex_rewrite`, whatever matched."""

    substitution: RegexSubstitution

    def rewritten(self, bare: bytes, matcher: PathMatcher | None, context: FormatterContext) -> bytes:
        """The new path."""
        return self.substitution.replace_all(bare)


@dataclass(frozen=True, slots=True)
class FormatPathRewrite(PathRewrite):
    """`path_rewrite`: a format; what is not known prints as nothing."""

    formatter: Formatter

    def rewritten(self, bare: bytes, matcher: PathMatcher | None, context: FormatterContext) -> bytes:
        """The new path."""
        return self.formatter.format(context)


class TemplateRewrite(PathRewrite):
    """`path_rewrite_policy` with a URI template: literals, and what the match's variables stand for.

    Args:
        template: what the route's path must be.
    Errors: ValueError where the rewrite is malformed; KeyError for a variable that the template does not have.
    """

    __slots__ = ("_fullmatch", "_parts", "_rewrite", "_template")

    def __init__(self, template: UriTemplate, rewrite: str) -> None:
        self._rewrite, self._template = rewrite, template
        parts: list[bytes | int] = []
        for place, part in enumerate(parse_rewrite(rewrite)):
            if place % 2 and part not in template.variables:
                raise KeyError(part)
            parts.append(template.variables.index(part) + 1 if place % 2 else part.encode())
        self._parts: Sequence[bytes | int] = parts
        self._fullmatch: Any = compile_template(template)

    def __repr__(self) -> str:
        return f"TemplateRewrite({self._template!r}, {self._rewrite!r})"

    def rewritten(self, bare: bytes, matcher: PathMatcher | None, context: FormatterContext) -> bytes:
        """The new path; none where the path does not fit, for filters may have changed it since it was matched."""
        found = self._fullmatch(bare)
        if found is None:
            return b""
        return b"".join([part if isinstance(part, bytes) else found.group(part) for part in self._parts])


def compile_template(template: UriTemplate) -> Any:
    """What matches a whole path and tells its variables; None for any path where RE2 refuses the template."""
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(template.regex.encode(), options).fullmatch
    except re2.error:
        return lambda path: None


def parse_rewrite(rewrite: str) -> list[str]:
    """Literals (at even places, maybe empty) and names of variables, in turn. Errors: ValueError."""
    literals = _VARIABLE.sub("", rewrite)
    if not rewrite.startswith("/") or "//" in rewrite or _REWRITE_LITERAL.fullmatch(literals) is None:
        raise ValueError(rewrite)
    return _VARIABLE.split(rewrite)


@trait
class HostRewrite:
    """Gives a request another host."""

    __slots__ = ()

    @abstractmethod
    def rewritten(self, headers: RequestHeaders, context: FormatterContext) -> bytes:
        """The new host; empty for no change."""


@dataclass(frozen=True, slots=True)
class LiteralHost(HostRewrite):
    """`host_rewrite_literal`."""

    host: bytes

    def rewritten(self, headers: RequestHeaders, context: FormatterContext) -> bytes:
        """The configured host."""
        return self.host


@dataclass(frozen=True, slots=True)
class HeaderHost(HostRewrite):
    """`host_rewrite_header`: the first value of a header (its name in lower case)."""

    name: bytes

    def rewritten(self, headers: RequestHeaders, context: FormatterContext) -> bytes:
        """The header's value."""
        values = request_header_values(headers, self.name)
        return values[0] if values else b""


@dataclass(frozen=True, slots=True)
class PathRegexHost(HostRewrite):
    """`host_rewrite_path_regex`: what a substitution makes of the path."""

    substitution: RegexSubstitution

    def rewritten(self, headers: RequestHeaders, context: FormatterContext) -> bytes:
        """The path, without its query, with matches replaced."""
        return self.substitution.replace_all(split_path(headers.path)[0])


@dataclass(frozen=True, slots=True)
class FormatHost(HostRewrite):
    """`host_rewrite`: a format; what is not known prints as ``-``."""

    formatter: Formatter

    def rewritten(self, headers: RequestHeaders, context: FormatterContext) -> bytes:
        """The new host."""
        return self.formatter.format(context)


@dataclass(frozen=True, slots=True)
class Rewrites:
    """The rewrites of one route action.

    Args:
        auto_host: `auto_host_rewrite`: the upstream host's name becomes the host, once there is an upstream host.
        append_x_forwarded_host: the former host is appended to x-forwarded-host.
    """

    path: PathRewrite | None = None
    host: HostRewrite | None = None
    auto_host: bool = False
    append_x_forwarded_host: bool = False

    def apply(
        self, headers: RequestHeaders, matcher: PathMatcher | None, context: FormatterContext, keep_original: bool
    ) -> None:
        """Rewrite host and path; `keep_original` puts the former ones into x-envoy-original-host and -path."""
        if self.host is not None:
            self.set_host(headers, self.host.rewritten(headers, context), keep_original)
        if self.path is not None:
            rewrite_path(headers, self.path, matcher, context, keep_original)

    def set_host(self, headers: RequestHeaders, host: bytes, keep_original: bool) -> None:
        """Take another host, unless it is empty (`Utility::updateAuthority`)."""
        if not host:
            return
        present = headers.authority or b""
        if keep_original:
            headers.set(ORIGINAL_HOST, present)
        if self.append_x_forwarded_host and present:
            _append_forwarded_host(headers, present)
        headers.authority = host


def _append_forwarded_host(headers: RequestHeaders, host: bytes) -> None:
    forwarded = headers.joined(FORWARDED_HOST)
    if not forwarded:
        headers.set(FORWARDED_HOST, host)
    elif forwarded.split(b",")[-1] != host:
        headers.set(FORWARDED_HOST, forwarded + b"," + host)


def rewrite_path(
    headers: RequestHeaders,
    rewrite: PathRewrite,
    matcher: PathMatcher | None,
    context: FormatterContext,
    keep_original: bool,
) -> None:
    """Rewrite the path and keep its query."""
    bare, rest = split_path(headers.path)
    new = rewrite.rewritten(bare, matcher, context)
    if not new:
        return
    if keep_original:
        headers.set(ORIGINAL_PATH, headers.path)
    headers.path = new + rest
