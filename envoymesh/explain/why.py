"""`envoymesh why`: what a response flag, a response code detail or a status means, and what to look at.

The texts are those of `reasons.toml`. Words come from the command line, or out of log lines in Envoy's default format
or in JSON. It must not know a running proxy.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

REASONS: Final = Path(__file__).with_name("reasons.toml")

INTRODUCTION: Final = (
    "Generated from `envoymesh/explain/reasons.toml` by `python -m envoymesh.explain.why`; `envoymesh why WORD` shows "
    "one entry, and `envoymesh why < access.log` explains lines of a log."
)

_DEFAULT_LINE: Final = re.compile(r'" (?P<code>\d{1,3}) (?P<flags>-|[A-Z]+(?:,[A-Z]+)*)(?P<rest> .*|$)')
"""The middle of Envoy's default line: the request in quotes, then status and flags."""

_DETAILS: Final = re.compile(r"\b[a-z][a-z0-9]*_[a-z0-9_]+(?:\{[^}]*\}|\([^)]*\))?|\bhttp[12]\.[a-z_.]+")

_JSON_KEYS: Final = {
    "flags": ("response_flags", "responseFlags", "flags"),
    "details": ("response_code_details", "responseCodeDetails", "details"),
    "code": ("response_code", "responseCode", "status", "code"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """What is told of one word.

    Attributes:
        kind: ``flag``, ``details`` or ``status``.
        word: as it is looked up; details of which only the beginning counts end in a bracket or a dot.
        title: the word, for a flag with its long name.
        status: what a client gets with a flag, 0 where that is no single one.
        causes: the most frequent first.
    """

    kind: str
    word: str
    title: str
    what: str
    causes: tuple[str, ...]
    look: str
    status: int = 0


@cache
def reasons() -> dict[str, Reason]:
    """All reasons by their words."""
    found = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    entries = {word: ("flag", entry) for word, entry in found["flags"].items()}
    entries |= {word: ("details", entry) for word, entry in found["details"].items()}
    entries |= {word: ("status", entry) for word, entry in found["status"].items()}
    return {word: _reason(word, kind, entry, entries) for word, (kind, entry) in entries.items()}


def _reason(word: str, kind: str, entry: dict[str, Any], entries: dict[str, tuple[str, dict[str, Any]]]) -> Reason:
    seen = entry
    while "see" in seen:
        seen = entries[seen["see"]][1]
    title = f"{word} ({entry['name']})" if "name" in entry else word
    what = str(entry.get("what", seen["what"]))
    return Reason(kind, word, title, what, tuple(seen["causes"]), seen["look"], int(entry.get("status", 0)))


def explain(word: str) -> Reason | None:
    """What is known of a flag (or its long name), of details (also with what they have in brackets), or of a status."""
    known = reasons()
    text = word.strip()
    if text in known:
        return known[text]
    if text.upper() in known:
        return known[text.upper()]
    for reason in known.values():
        if reason.kind == "flag" and f"({text.lower()})" in reason.title.lower():
            return reason
    beginnings = [each for each in known if each[-1] in "{(." and text.startswith(each)]
    return known[max(beginnings, key=len)] if beginnings else None


def words_of(line: str) -> list[str]:
    """The words of a log line that can be explained: flags, then details, then the status."""
    words = _json_words(line) if line.lstrip().startswith("{") else _text_words(line)
    return [word for word in dict.fromkeys(words) if explain(word) is not None]


def _json_words(line: str) -> Iterator[str]:
    try:
        fields = json.loads(line)
    except ValueError:
        return
    values = {kind: next((fields[key] for key in keys if key in fields), None) for kind, keys in _JSON_KEYS.items()}
    yield from str(values["flags"] or "").split(",")
    yield from (str(values[kind]) for kind in ("details", "code") if values[kind] is not None)


def _text_words(line: str) -> Iterator[str]:
    found = _DEFAULT_LINE.search(line)
    if found is None:
        yield line.strip()
        return
    yield from (flag for flag in found["flags"].split(",") if flag != "-")
    yield from _DETAILS.findall(found["rest"])
    yield found["code"]


def shown(reason: Reason) -> str:
    """A reason as text for a terminal."""
    answer = f", the client gets {reason.status}" if reason.status else ""
    causes = "\n".join(f"  {number}. {cause}" for number, cause in enumerate(reason.causes, 1))
    return f"{reason.title}{answer}\n  {reason.what}\nUsual causes:\n{causes}\nLook at: {reason.look}\n"


def answer(words: Sequence[str], lines: Iterator[str]) -> tuple[str, int]:
    """The command's whole output, and its exit code: 1 where a word is not known, or nothing was asked.

    Args:
        words: of the command line; without any, `lines` of a log are read.
    """
    if not words:
        return _answer_lines(lines)
    unknown = [word for word in words if explain(word) is None]
    texts = [shown(reason) for word in words if (reason := explain(word)) is not None]
    texts += [f"{word}: not a response flag, response code detail or status that is known here\n" for word in unknown]
    return "\n".join(texts), 1 if unknown else 0


def _answer_lines(lines: Iterator[str]) -> tuple[str, int]:
    texts = []
    for line in lines:
        found = [reason for word in words_of(line) if (reason := explain(word)) is not None]
        if found:
            # The flag says most; where there is none, the details do.
            texts.append(f"{line.strip()}\n{shown(found[0])}")
    if not texts:
        return "no response flag, details or status was found in what was read\n", 1
    return "\n".join(texts), 0


def document() -> str:
    """docs/why.md."""
    parts = ["# Why did my request get this answer?", INTRODUCTION]
    headings = {
        "flag": "Response flags (%RESPONSE_FLAGS%)",
        "details": "Response code details (%RESPONSE_CODE_DETAILS%)",
        "status": "Statuses",
    }
    for kind, heading in headings.items():
        rows = [_row(reason) for reason in reasons().values() if reason.kind == kind]
        parts.append(f"## {heading}")
        parts.append("| | what happened | usual causes | look at |\n|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _row(reason: Reason) -> str:
    name = f"`{reason.word}`" + (f" {reason.title.partition('(')[2][:-1]}" if reason.kind == "flag" else "")
    name += f", {reason.status}" if reason.status else ""
    cells = (name, reason.what, "; ".join(f"{n}. {cause}" for n, cause in enumerate(reason.causes, 1)), reason.look)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(document(), end="")
