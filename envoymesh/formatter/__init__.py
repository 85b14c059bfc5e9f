"""Envoy's substitution format strings (``%START_TIME%`` and so on), compiled once and asked for each request.

`parse.py` finds the commands, `operators.py` and the tables it lists give each one its function, `text.py` and
`structure.py` put them together. Nothing here writes anywhere or knows who asks.
"""

from envoymesh.formatter.context import FormatterContext
from envoymesh.formatter.structure import JsonFormatter
from envoymesh.formatter.text import Formatter

__all__ = ["Formatter", "FormatterContext", "JsonFormatter"]
