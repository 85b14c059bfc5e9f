"""The grammar of format strings: text, ``%%``, and ``%COMMAND(argument):length%``.

It must not know what a command means.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_COMMAND = re.compile(r"%([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]+))?%", re.DOTALL)


class Syntax(enum.Enum):
    """What may stand behind a command's name: whether an argument, and whether a length."""

    BARE = (False, False, False)
    OPTIONAL = (False, True, False)
    OPTIONAL_LENGTH = (False, True, True)
    REQUIRED = (True, True, False)
    REQUIRED_LENGTH = (True, True, True)


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `argument` is empty where there is none, `length` None where nothing is cut."""

    name: str
    argument: str = ""
    length: int | None = None

    def check(self, syntax: Syntax) -> None:
        """Errors: ValueError in Envoy's words where argument or length are missing or not allowed."""
        required, allowed, length_allowed = syntax.value
        if not allowed and (self.argument or self.length is not None):
            raise ValueError(f"{self.name} does not take any parameters or length")
        if required and not self.argument:
            raise ValueError(f"{self.name} requires parameters")
        if not length_allowed and self.length is not None:
            raise ValueError(f"{self.name} does not allow length to be specified.")


def parse(text: str) -> list[str | Command]:
    """The parts of a format, texts joined. Errors: ValueError with the place of a ``%`` that begins no command."""
    parts: list[str | Command] = []
    plain: list[str] = []
    at = 0
    while (percent := text.find("%", at)) >= 0:
        plain.append(text[at:percent])
        if text.startswith("%%", percent):
            plain.append("%")
            at = percent + 2
            continue
        match = _COMMAND.match(text, percent)
        if match is None:
            raise ValueError(f"Incorrect configuration: {text}. Couldn't find valid command at position {percent}")
        parts += [joined] if (joined := "".join(plain)) else []
        plain.clear()
        parts.append(Command(match[1], match[2] or "", None if match[3] is None else int(match[3])))
        at = match.end()
    plain.append(text[at:])
    parts += [joined] if (joined := "".join(plain)) else []
    return parts
