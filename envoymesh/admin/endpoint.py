"""Endpoint: a path with its handler, and what help and the home page say of it.

The texts are those of the real Envoy, so that tools and people find what they know. It must not handle a request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from envoymesh.admin.context import AdminParts
from envoymesh.admin.messages import Preparation, Request, Response

Handler = Callable[[AdminParts, Request], Response | Preparation]


class ParameterKind(Enum):
    """How a form asks for a parameter."""

    BOOLEAN = "boolean"  # true by presence
    STRING = "string"
    ENUM = "enum"


@dataclass(frozen=True)
class Parameter:
    """A query parameter; `choices` belong to ENUM."""

    kind: ParameterKind
    name: str
    help: str
    choices: Sequence[str] = ()

    def help_line(self) -> str:
        """The parameter's line in /help."""
        choices = f"; One of ({', '.join(self.choices)})" if self.kind is ParameterKind.ENUM else ""
        return f"      {self.name}: {self.help}{choices}\n"


@dataclass(frozen=True)
class Endpoint:
    """A path, its help, its handler, and whether it changes something (then it wants POST).

    `shows_counts` says that it shows what workers count, which must be gathered first where they are other processes.
    `hidden` endpoints are not Envoy's, and stand in no list: what reads /help finds what it knows. `prepare` gets ready
    what the handler needs, then calls back, at once or later; None where nothing has to be.
    """

    path: str
    help: str
    handler: Handler
    mutates: bool = False
    parameters: Sequence[Parameter] = ()
    shows_counts: bool = False
    hidden: bool = False
    prepare: Callable[[AdminParts, Callable[[], None]], None] | None = None

    def help_lines(self) -> str:
        """The endpoint's lines in /help."""
        method = " (POST)" if self.mutates else ""
        return f"  {self.path}{method}: {self.help}\n" + "".join(each.help_line() for each in self.parameters)
