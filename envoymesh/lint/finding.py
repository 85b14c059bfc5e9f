"""What `envoymesh check` says of one place in a configuration. Plain data, and the comments that silence it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from envoymesh.config.files import FileError, read_file
from envoymesh.config.reader import Reader

ERROR: Final = "error"
WARNING: Final = "warning"
INVALID: Final = "invalid"
"""The rule of what the proxy itself refuses; no comment silences it."""

_SILENCED: Final = re.compile(r"#\s*envoymesh:\s*ignore\[([a-z0-9-]+(?:\s*,\s*[a-z0-9-]+)*)\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say.

    Attributes:
        rule: its name, such as ``route-shadowed``.
        severity: ``error`` or ``warning``.
        path: the field's, such as ``static_resources.clusters[0]``.
        line: 1-based; None where it is not known.
    """

    rule: str
    severity: str
    message: str
    path: str = ""
    file: str = ""
    line: int | None = None


def finding(rule: str, reader: Reader, message: str, field: str = "") -> Finding:
    """A warning about a message, or about one of its fields."""
    error = reader.error(field, message)
    return Finding(rule, WARNING, message, error.path, error.source, error.line)


def is_silenced(lines: Sequence[str], each: Finding) -> bool:
    """Whether a comment ``# envoymesh: ignore[RULE, ...]`` stands at the finding's line, or alone on the one above."""
    if each.rule == INVALID or each.line is None or each.line > len(lines):
        return False
    own, above = lines[each.line - 1], lines[each.line - 2] if each.line > 1 else ""
    texts = [own, above] if above.lstrip().startswith("#") else [own]
    return any(each.rule in re.split(r"\s*,\s*", match[1]) for text in texts for match in _SILENCED.finditer(text))


def without_silenced(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that no comment silences, in the order of the file."""
    texts: dict[str, list[str]] = {}
    kept = [each for each in findings if not is_silenced(texts.setdefault(each.file, _lines(each.file)), each)]
    return sorted(kept, key=lambda each: (each.file, each.line or 0, each.path))


def _lines(file: str) -> list[str]:
    try:
        return read_file(file).decode(errors="replace").splitlines() if file else []
    except FileError:
        return []  # the text came from --config-yaml, not from a file


Rule = Callable[[Reader], Iterable[Finding]]
"""Looks at a whole bootstrap."""
