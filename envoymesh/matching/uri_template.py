"""URI templates, as routes match paths with them (envoy.extensions.path.match.uri_template.v3), turned into a regex.

``*`` is one segment and ``**`` any number of them; either may be followed by a literal where it is the last. ``{name}``
and ``{name=pattern}`` are the same with a name, and may have literals on both sides. It must not look at paths.
"""

from __future__ import annotations

import re
from typing import Final

MOST_VARIABLES: Final = 5
LONGEST_NAME: Final = 16

LITERAL_CHARACTERS: Final = r"a-zA-Z0-9\-._~%!$&'()*+,;:=@"
"""RFC 3986's `pchar`."""
_LITERAL: Final = re.compile(f"[{LITERAL_CHARACTERS}]+")
_PRINTABLE: Final = re.compile(r"/[\x21-\x7e]*")
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
# As in Envoy a star within a literal is not escaped: in the regex it repeats the character before it.
_SPECIAL: Final = re.compile(r"([$()+.])")
SEGMENT: Final = f"[{LITERAL_CHARACTERS}]+"
"""The regex of ``*``."""
ANYTHING: Final = f"[{LITERAL_CHARACTERS}/]*"
"""The regex of ``**``."""


class UriTemplate:
    """One template.

    Attributes:
        regex: what a whole path must match; each variable is a named group. RE2 may refuse it: then no path does.
        variables: their names, in order.
    Errors: ValueError, in Envoy's words.
    """

    __slots__ = ("_after_anything", "regex", "template", "variables")

    def __init__(self, template: str) -> None:
        self.template = template
        self.variables: list[str] = []
        self._after_anything = False
        if _PRINTABLE.fullmatch(template) is None:
            raise ValueError(f'Invalid pattern: "{template}"')
        self.regex = "/" + self._segments(template[1:])

    def __repr__(self) -> str:
        return f"UriTemplate({self.template!r})"

    def _segments(self, rest: str) -> str:
        """The regex of everything behind the first slash."""
        found = []
        while rest:
            glob = rest[0] == "*"
            part, rest = self._segment(rest)
            found.append(part)
            if rest == "/":
                found.append("")
                break
            if glob and rest and rest[0] != "/":
                return "/".join(found) + self._ending(rest)
            rest = rest[1:]
        return "/".join(found)

    def _segment(self, text: str) -> tuple[str, str]:
        """The regex of the first segment, and what follows it."""
        if text[0] == "*":
            return self._glob(text)
        segment, slash, rest = text.partition("/")
        if text[0] == "{" or ("{" in segment and "}" in segment):
            return self._mixed(text)
        return _literal(segment), slash + rest

    def _mixed(self, text: str) -> tuple[str, str]:
        """A variable with literals before and behind it."""
        prefix, _, behind = text.partition("{")
        if prefix and _LITERAL.fullmatch(prefix) is None:
            raise ValueError(f'Invalid prefix literal: "{prefix}"')
        inside, bracket, behind = behind.partition("}")
        if not bracket:
            raise ValueError(f'Unmatched variable bracket in mixed pattern: "{text}"')
        variable = self._variable(inside)
        suffix, slash, rest = behind.partition("/")
        if suffix and _LITERAL.fullmatch(suffix) is None:
            raise ValueError(f'Invalid suffix literal: "{suffix}"')
        return _quoted(prefix) + variable + _quoted(suffix), slash + rest

    def _ending(self, text: str) -> str:
        """What follows a last glob without a slash."""
        literal, slash, _ = text.partition("/")
        found = _literal(literal)
        if slash:
            raise ValueError("Prefix match not supported.")
        return found

    def _glob(self, text: str) -> tuple[str, str]:
        if self._after_anything:
            raise ValueError("Glob after text glob.")
        if text.startswith("**"):
            self._after_anything = True
            return ANYTHING, text[2:]
        return SEGMENT, text[1:]

    def _variable(self, inside: str) -> str:
        """The regex of what stands between a variable's brackets."""
        name, equals, pattern = inside.partition("=")
        self._add(name)
        if equals:
            return f"(?P<{name}>{self._pattern(pattern)})"
        if self._after_anything:
            raise ValueError("Implicit variable path glob after text glob.")
        return f"(?P<{name}>{SEGMENT})"

    def _add(self, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f'Invalid variable name: "{name}"')
        if len(self.variables) >= MOST_VARIABLES:
            raise ValueError(f"Exceeded variable count limit ({MOST_VARIABLES})")
        if len(name) > LONGEST_NAME:
            limits = f'(length of "{name}" should be at least 1 and no more than {LONGEST_NAME})'
            raise ValueError(f"Invalid variable name length {limits}")
        if name in self.variables:
            raise ValueError(f'Repeated variable name: "{name}"')
        self.variables.append(name)

    def _pattern(self, text: str) -> str:
        """What a variable stands for: literals and globs with slashes between them."""
        if not text:
            raise ValueError("Empty variable match")
        found = []
        while text:
            if text[0] == "*":
                part, text = self._glob(text)
            else:
                literal, slash, rest = text.partition("/")
                part, text = _literal(literal), slash + rest
            found.append(part)
            if text and (text[0] != "/" or len(text) == 1):
                raise ValueError(f'Invalid variable match: "{text}"')
            text = text[1:]
        return "/".join(found)


def _literal(text: str) -> str:
    if _LITERAL.fullmatch(text) is None:
        raise ValueError(f'Invalid literal: "{text}"')
    return _quoted(text)


def _quoted(literal: str) -> str:
    return _SPECIAL.sub(r"\\\1", literal)
