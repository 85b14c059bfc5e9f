"""Bodies that a format makes: those of local replies and of direct responses. It must not know who answers, or why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from envoymesh.formatter.context import FormatterContext


class MessageFormatter(Protocol):
    """A `Formatter` or a `JsonFormatter`."""

    def format(self, context: FormatterContext) -> bytes:
        """The text of one request."""


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """envoy.config.core.v3.SubstitutionFormatString of a body.

    Args:
        content_type: of what it makes; empty is text/plain.
        ends_line: what it makes ends with a line feed, as JSON formats do.
    """

    formatter: MessageFormatter
    content_type: bytes = b""
    ends_line: bool = False

    def format(self, context: FormatterContext, body: bytes) -> bytes:
        """The body to send in the place of `body`, which is the format's ``%LOCAL_REPLY_BODY%``."""
        return self.formatter.format(replace(context, local_reply_body=body))
