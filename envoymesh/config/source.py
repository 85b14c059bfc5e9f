"""Where a configuration comes from: file and line of each path, and what the files that it names held.

A path is text such as ``static_resources.clusters[0].name``; the key of a map
stands in brackets, as an index does. This module must not read files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from envoymesh.errors import ConfigError

Key = tuple[str | int, ...]
"""A path in parts: field names and map keys as text, list indexes as numbers."""

Contents = dict[tuple[str, str], bytes]
"""What DataSources hold, by kind (``filename``, ``environment_variable``) and name, as it was when first read."""

_PART = re.compile(r"\[([^\[\]]*)\]|([^.\[\]]+)")
_CAMEL = re.compile(r"_([a-z0-9])")


def path_key(path: str) -> Key:
    """Split a path into its parts: ``a.b[0]`` is ``("a", "b", 0)``."""
    return tuple(_parts(path))


def _parts(path: str) -> Iterator[str | int]:
    for match in _PART.finditer(path):
        bracket, name = match.groups()
        if bracket is None:
            yield name
        else:
            yield int(bracket) if bracket.isdigit() else bracket


class Source:
    """The file (or files, after a merge) that a message was read from, and what its DataSources held.

    Args:
        file: the name shown in errors; empty for text without a file.
        lines: 1-based line numbers by path.
        override: the source of a text that was merged over this one, its
            paths already those of the merged message.
        contents: what DataSources are known to hold; a reader asks the
            system for what is not among it, and adds it.
        aliases: for the path of each YAML alias that of its anchor, below which the lines are.

    Attributes:
        refused: the problems that readers went on after, to find more of them (`Reader.gather`); None where the first
            one ends the reading.
    """

    __slots__ = ("aliases", "contents", "file", "lines", "override", "refused")

    def __init__(
        self,
        file: str = "",
        lines: Mapping[Key, int] | None = None,
        override: Source | None = None,
        contents: Contents | None = None,
        aliases: Mapping[Key, Key] | None = None,
    ) -> None:
        self.file = file
        self.lines: Mapping[Key, int] = lines or {}
        self.override = override
        self.aliases: Mapping[Key, Key] = aliases or {}
        self.contents: Contents = {} if contents is None else contents
        self.refused: list[ConfigError] | None = None

    def locate(self, path: str) -> tuple[str, int | None]:
        """Give the file and line of a path, or of its nearest written parent; the line is None if none is."""
        key = path_key(path)
        own, own_line = self._nearest(key)
        if self.override is not None:
            other, other_line = self.override._nearest(key)
            if other >= own and other_line is not None:
                return self.override.file, other_line
        return self.file, own_line

    def _nearest(self, key: Key) -> tuple[int, int | None]:
        """How many parts of a path are written, and the line of the last of them."""
        written: Key = ()
        found, line = 0, None
        for part in key:
            for spelling in spellings(part):
                if (*written, spelling) in self.lines:
                    written = (*written, spelling)
                    line = self.lines[written]
                    found += 1
                    break
            else:
                break
            written = self.aliases.get(written, written)
        return found, line

    def __repr__(self) -> str:
        return f"Source({self.file!r}, {len(self.lines)} lines)"


def spellings(part: str | int) -> tuple[str | int, ...]:
    """List the ways in which a part may be written in a file: proto name, JSON name, number as a map's key."""
    if isinstance(part, int):
        return (part, str(part))
    return (part, _CAMEL.sub(lambda match: match.group(1).upper(), part))
