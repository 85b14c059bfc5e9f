"""Access loggers: a compiled format, and a file to write to.

The format language is in `formatter.py`. Writing and buffering is the server room's `LogFile`;
this module only knows that something takes bytes.
"""

from __future__ import annotations

from typing import Protocol

from envoymesh.http.formatter import Formatter
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo

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


class AccessLog:
    """Writes one line for each finished request (envoy.extensions.access_loggers.file.v3.FileAccessLog and kin)."""

    __slots__ = ("_file", "_formatter")

    def __init__(self, formatter: Formatter, file: AccessLogFile) -> None:
        self._formatter = formatter
        self._file = file

    def log(
        self,
        info: StreamInfo,
        request: RequestHeaders | None,
        response: ResponseHeaders | None,
        trailers: HeaderMap | None,
    ) -> None:
        """Write the line of one request."""
        self._file.write(self._formatter.format(info, request, response, trailers))
