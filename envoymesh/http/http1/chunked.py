"""The chunked transfer coding, decoded strictly and in whatever pieces it arrives (RFC 9112 section 7.1).

This module must not know of streams, and keeps no more than one unfinished line, or the trailers up to their limit.
"""

from __future__ import annotations

import re
from typing import Final

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import TURN_SHARE
from envoymesh.http.headers import HeaderField
from envoymesh.http.http1.head import CODEC_ERROR, parse_trailers

MAX_CHUNK_LINE: Final = 4096
"""Bytes of a chunk's first line, extensions and CRLF included."""

# At most 15 digits: no size reaches 2^63. White space before an extension is refused: nobody needs it, and requests
# have been smuggled with it.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")


class ChunkedDecoder:
    """Decodes one body. After its end `trailers` holds what came behind it.

    Args:
        max_trailer_bytes: of the trailer section.
        max_trailer_count: fields in it.

    Attributes:
        work: what the last `feed` did, in the units of TURN_SHARE: a line is one.
    """

    __slots__ = (
        "_in_trailers",
        "_left",
        "_line",
        "_line_size",
        "_max_count",
        "_max_trailers",
        "_trailer_lines",
        "done",
        "trailers",
        "work",
    )

    def __init__(self, max_trailer_bytes: int, max_trailer_count: int) -> None:
        self._max_trailers = max_trailer_bytes
        self._max_count = max_trailer_count
        self._left = 0  # bytes to come of the present chunk and its CRLF
        self._line: list[bytes] = []  # pieces of an unfinished line
        self._line_size = 0
        self._in_trailers = False
        self._trailer_lines: list[bytes] = []
        self.done = False
        self.trailers: list[HeaderField] = []
        self.work = 0

    def __repr__(self) -> str:
        return f"<ChunkedDecoder left={self._left} done={self.done}>"

    def feed(self, data: bytes, pos: int) -> tuple[bytes, int]:
        """Decode `data[pos:]`, TURN_SHARE lines at most; returns the body bytes found and the position behind what was
        taken.

        Raises:
            CodecProtocolError: malformed or over a limit; do not feed again.
        """
        found: list[bytes] = []
        size = len(data)
        self.work = 0
        while pos < size and not self.done:
            if self._left:
                pos = self._take_chunk(data, pos, found)
                continue
            if self.work >= TURN_SHARE:
                break
            self.work += 1
            line, pos = self._take_line(data, pos)
            if not line:
                break
            if self._in_trailers:
                self._on_trailer_line(line)
            else:
                self._on_chunk_line(line)
        return (found[0] if len(found) == 1 else b"".join(found)), pos

    def _take_chunk(self, data: bytes, pos: int, found: list[bytes]) -> int:
        left = self._left
        if left > 2:
            piece = data[pos : pos + left - 2]
            found.append(piece)
            pos += len(piece)
            left -= len(piece)
        if left <= 2:
            ending = data[pos : pos + left]
            if not b"\r\n"[2 - left :].startswith(ending):
                raise CodecProtocolError(CODEC_ERROR)
            pos += len(ending)
            left -= len(ending)
        self._left = left
        return pos

    def _take_line(self, data: bytes, pos: int) -> tuple[bytes, int]:
        """The next whole line, b"" when there is none yet, and the position behind what was taken."""
        end = data.find(b"\n", pos) + 1
        line = data[pos : end or len(data)]
        self._line_size += len(line)
        self._check_length(self._line_size)
        if not end:
            self._line.append(line)
            return b"", len(data)
        if self._line:
            self._line.append(line)
            line = b"".join(self._line)
            self._line = []
        self._line_size = 0
        return line, end

    def _check_length(self, length: int) -> None:
        if not self._in_trailers:
            if length > MAX_CHUNK_LINE:
                raise CodecProtocolError(CODEC_ERROR)
        elif length > self._max_trailers:
            raise CodecProtocolError("http1.headers_too_large", 431)

    def _on_chunk_line(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise CodecProtocolError(CODEC_ERROR)
        size = int(match[1], 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _on_trailer_line(self, line: bytes) -> None:
        if line != b"\r\n":
            if line[-2:] != b"\r\n":
                raise CodecProtocolError(CODEC_ERROR)
            self._max_trailers -= len(line)
            if (
                len(self._trailer_lines) <= self._max_count
            ):  # one field over the limit is kept, to be noticed at the end
                self._trailer_lines.append(line)
            return
        self.done = True
        if self._trailer_lines:
            self.trailers = parse_trailers(b"".join(self._trailer_lines), self._max_count)
