"""The tree of errors that envoymesh raises on purpose.

Errors here are for people: they say what is wrong and where. What happens to a
*stream* (a reset, a timeout, a full pool) is not an exception but a value, and
lives in `envoymesh.http.codec.StreamResetReason` and in the local reply table.
This module imports nothing of the package.
"""

from __future__ import annotations


class EnvoymeshError(Exception):
    """Base of all errors that end in one clear line for the user."""


class ConfigError(EnvoymeshError):
    """A configuration that cannot be used.

    Args:
        message: what is wrong, in one line.
        path: the field path, such as ``static_resources.clusters[0].name``; may be empty.
        source: the file that the field came from, or an empty string.
        line: the 1-based line in that file, or None where it is not known.
    """

    def __init__(self, message: str, path: str = "", source: str = "", line: int | None = None) -> None:
        super().__init__(message, path, source, line)
        self.message = message
        self.path = path
        self.source = source
        self.line = line

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.source, self.path) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} (line {self.line})" if self.line is not None else text


class CodecProtocolError(EnvoymeshError):
    """A peer broke the protocol and the connection cannot go on.

    Args:
        details: Envoy's response_code_details, such as ``http1.codec_error``.
        status: the status of the reply that a server sends, or 0 for none.

    Attributes:
        is_flood: what the peer sent broke no rule, but was too much.
        stream: HTTP/2: the codec's stream that it happened on, whose details are `stream_details`; None is none.
    """

    def __init__(self, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.details = details
        self.status = status
        self.is_flood = False
        self.stream: object = None
        self.stream_details = ""


class BindError(EnvoymeshError):
    """A listener could not take its address."""
