"""JSON as the admin prints it: indented by one space, ending in a line feed, with `<` and `>` written as escapes, so
that no browser takes them for HTML.

What may be long is printed in pieces, from values that are made on the way. It must not know messages (proto/ does).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "\x7f": "\\u007f", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True)
class LazyObject:
    """A JSON object whose members are made as they are printed, once."""

    members: Iterable[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class LazyList:
    """A JSON list whose items are made as they are printed, once."""

    items: Iterable[object]


def pretty(value: object) -> str:
    """A JSON value over as many lines as it takes."""
    return _spelt(value) + "\n"


def pretty_pieces(value: object) -> Iterator[str]:
    """The text of `pretty`, in pieces; the value, and anything in a lazy one, may be a LazyObject or a LazyList."""
    yield from _pieces(value, "\n")
    yield "\n"


def _spelt(value: object, newline: str = "\n") -> str:
    # Not json.dumps with an indent: each call of it leaves a reference cycle for the garbage collector.
    inner = f"{newline} "
    if isinstance(value, dict) and value:
        members = [f"{_scalar(name)}: {_spelt(member, inner)}" for name, member in value.items()]
        return f"{{{inner}{f',{inner}'.join(members)}{newline}}}"
    if isinstance(value, list | tuple) and value:
        return f"[{inner}{f',{inner}'.join([_spelt(item, inner) for item in value])}{newline}]"
    return _scalar(value)


def _scalar(value: object) -> str:
    return _ENCODER.encode(value).translate(_SAFE)


def _pieces(value: object, newline: str) -> Iterator[str]:
    if isinstance(value, LazyObject):
        yield from _bracketed("{}", ((f"{_scalar(name)}: ", member) for name, member in value.members), newline)
    elif isinstance(value, LazyList):
        yield from _bracketed("[]", (("", item) for item in value.items), newline)
    else:
        yield _spelt(value, newline)


def _bracketed(brackets: str, entries: Iterable[tuple[str, object]], newline: str) -> Iterator[str]:
    inner = f"{newline} "
    before, after = brackets[0] + inner, brackets
    for label, value in entries:
        yield before + label
        yield from _pieces(value, inner)
        before, after = f",{inner}", newline + brackets[1]
    yield after
