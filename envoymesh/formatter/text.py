"""Text formats: one ``%``-template for the texts, one tuple of values for a request.

It must not know what operators mean.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.formatter.context import FormatterContext, Operator, as_latin1
from envoymesh.formatter.operators import make_operator
from envoymesh.formatter.parse import parse


class Formatter:
    """A compiled text format.

    Args:
        omit_empty_values: what is not known prints as nothing instead of ``-``.
        extensions: types of formatter extensions whose commands there are besides Envoy's own.
    Errors: ValueError, in Envoy's words, for an unknown or malformed command.
    """

    __slots__ = ("_empty", "_operators", "_template", "text")

    def __init__(self, text: str, omit_empty_values: bool = False, extensions: Sequence[str] = ()) -> None:
        self.text = text
        self._empty = "" if omit_empty_values else "-"
        operators: list[Operator] = []
        template = ""
        for part in parse(text):
            if isinstance(part, str):
                template += as_latin1(part).replace("%", "%%")
            else:
                template += "%s"
                operators.append(make_operator(part, extensions))
        self._template = template
        self._operators = tuple(operators)

    @property
    def constant(self) -> bytes | None:
        """The text itself where it asks for nothing."""
        return None if self._operators else (self._template % ()).encode("latin-1")

    def format(self, context: FormatterContext) -> bytes:
        """The text of one request."""
        empty = self._empty
        values = [empty if (value := operator(context)) is None else value for operator in self._operators]
        return (self._template % tuple(values)).encode("latin-1", "replace")
