"""Access loggers: the default line, and the filter."""

from __future__ import annotations

from envoymesh.access_loggers import DEFAULT_FORMAT, AccessLog
from envoymesh.formatter import Formatter
from tests.support.logged import full


class Lines:
    """A log file in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def test_the_default_line() -> None:
    lines = Lines()
    AccessLog(Formatter(DEFAULT_FORMAT), lines).log(full())
    assert lines.data == (
        b'[2020-07-06T06:20:00.123Z] "GET /x?y=1&z=%20 HTTP/1.1" 200 - 3 4 5 - "-" "\xe9" "id" "a.com" "9.9.9.9:80"\n'
    )


def test_what_is_not_wanted_is_not_written() -> None:
    lines = Lines()
    AccessLog(Formatter("x"), lines, lambda context: False).log(full())
    AccessLog(Formatter("y"), lines, lambda context: True).log(full())
    assert lines.data == b"y"
