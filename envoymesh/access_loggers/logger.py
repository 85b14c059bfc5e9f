"""Access loggers: a compiled format, a filter, and a file to write to.

The format language is the formatter room's. Writing and buffering is the server room's `LogFile`;
this module only knows that something takes bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from envoymesh.access_loggers.filters import LogFilter
from envoymesh.formatter import FormatterContext

DEFAULT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'
)
"""Envoy's default format string (SubstitutionFormatUtils)."""


class AccessLogFile(Protocol):
    """Where lines go."""

    def write(self, data: bytes) -> None:
        """Append; buffered."""


class LineFormatter(Protocol):
    """Makes lines: a `Formatter` or a `JsonFormatter`."""

    def format(self, context: FormatterContext) -> bytes:
        """The line of one request."""


class AccessLog:
    """Writes a line for each request that its filter lets through (envoy.config.accesslog.v3.AccessLog).

    Args:
        wanted: None logs everything.
    """

    __slots__ = ("_file", "_formatter", "_wanted")

    def __init__(self, formatter: LineFormatter, file: AccessLogFile, wanted: LogFilter | None = None) -> None:
        self._formatter = formatter
        self._file = file
        self._wanted = wanted

    def log(self, context: FormatterContext) -> None:
        """Write the line of one request."""
        if self._wanted is None or self._wanted(context):
            self._file.write(self._formatter.format(context))


def log_all(access_logs: Iterable[AccessLog], context: FormatterContext) -> None:
    """Tell every logger."""
    for access_log in access_logs:
        access_log.log(context)
