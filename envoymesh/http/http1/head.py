"""The head of a message: start line and header fields, read with llhttp (httptools), once for each message.

A parser sees exactly one head and is then thrown away: llhttp never learns of bodies, pipelining, HEAD or upgrades,
where its state would have to be kept in step with ours. This module must not know of streams or connections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httptools

from envoymesh.errors import CodecProtocolError
from envoymesh.http.headers import HeaderField

HEAD_END: Final = b"\r\n\r\n"
CODEC_ERROR: Final = "http1.codec_error"
INVALID_TRANSFER_ENCODING: Final = "http1.invalid_transfer_encoding"
LOW_VERSION: Final = "low_version"

_NOT_FOUND: Final = -1
_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 64
_TRAILER_PREFIX: Final = b"GET / HTTP/1.1\r\n"
# Fields that say how a message is framed or routed mean nothing, or harm, behind it (RFC 9110 section 6.5.1).
_NEVER_TRAILERS: Final = frozenset({b"content-length", b"host", b"transfer-encoding"})


_lower_names: Final[dict[bytes, bytes]] = {}


def _lower(name: bytes) -> bytes:
    """The name in lower case, remembered: peers use few names, and a bytes object keeps its hash."""
    lower = name.lower()
    if len(name) <= _LONGEST_REMEMBERED:
        if len(_lower_names) >= _REMEMBERED:
            _lower_names.clear()
        _lower_names[name] = lower
    return lower


class HeadParser:
    """Collects one head after another; `complete` tells when one has ended, and `raw` then has its bytes.

    Args:
        make_parser: httptools' HttpRequestParser or HttpResponseParser.
        max_bytes: of the whole head, white space and line ends included.
        max_count: header fields.
        allow_chunked_length: let Content-Length stand beside Transfer-Encoding.
    """

    __slots__ = (
        "_allow_chunked_length",
        "_in_fields",
        "_make_parser",
        "_max_bytes",
        "_max_count",
        "_parser",
        "_pieces",
        "_tail",
        "_unparsed",
        "_urls",
        "complete",
        "fields",
        "method",
        "raw",
        "size",
        "status",
        "url",
        "version",
    )

    def __init__(
        self, make_parser: Callable[[object], Any], max_bytes: int, max_count: int, allow_chunked_length: bool = False
    ) -> None:
        self._make_parser = make_parser
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._allow_chunked_length = allow_chunked_length
        self._parser: Any = None
        self._pieces: list[bytes] = []
        self._tail = b""
        self._in_fields = False  # the head comes in pieces, and its start line is complete
        self._unparsed: list[bytes] = []  # the beginning of a header line
        self._urls: list[bytes] = []  # the rest of a target that came in pieces
        self.raw = b""
        self.complete = False
        self.fields: list[HeaderField] = []
        self.size = 0
        self.url = b""
        self.method = b""
        self.status = 0
        self.version = ""

    def __repr__(self) -> str:
        return f"<HeadParser size={self.size} complete={self.complete}>"

    @property
    def started(self) -> bool:
        """Whether part of a head has arrived."""
        return self._parser is not None

    def feed(self, data: bytes, pos: int) -> int:
        """Take `data[pos:]` up to the head's end; returns the position behind what was taken.

        Raises:
            CodecProtocolError: malformed or too large; do not feed again.
        """
        parser = self._parser
        if parser is None:
            parser = self._begin()
        tail = self._tail
        end = self._find_end(data, pos)
        stop = end if end != _NOT_FOUND else len(data)
        piece = data[pos:stop]
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise CodecProtocolError("http1.headers_too_large", 431)
        lines = piece if end != _NOT_FOUND and not tail else self._whole_lines(piece, end != _NOT_FOUND)
        try:
            if lines:
                parser.feed_data(lines)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise refusal(str(error)) from None
        if self.complete:
            self._finish(piece, bool(tail))
        elif end == _NOT_FOUND:
            self._tail = (tail + piece)[-3:]
            self._pieces.append(piece)
        else:
            raise CodecProtocolError(CODEC_ERROR)
        return stop

    def _whole_lines(self, piece: bytes, is_last: bool) -> bytes:
        """What the parser is given of a head that comes in pieces: the start line as it comes, then whole lines.

        At each piece the parser copies what it has of a field, which in one-byte pieces costs the square of its length.
        """
        stop = len(piece)
        if not is_last:
            behind_line = piece.rfind(b"\n") + 1
            if behind_line or self._in_fields:
                self._in_fields = True
                stop = behind_line
        unparsed = self._unparsed
        if not unparsed and stop == len(piece):
            return piece
        unparsed.append(piece[:stop])
        if not stop:
            unparsed[-1] = piece
            return b""
        lines = b"".join(unparsed)
        self._unparsed = [piece[stop:]] if stop < len(piece) else []
        return lines

    def _begin(self) -> Any:
        self.fields = []
        self.url = b""
        self.size = 0
        self.complete = False
        self._in_fields = False
        parser = self._parser = self._make_parser(self)
        if self._allow_chunked_length:
            parser.set_dangerous_leniencies(lenient_chunked_length=True)
        return parser

    def _find_end(self, data: bytes, pos: int) -> int:
        """The position behind an empty line that may have begun in earlier bytes, or _NOT_FOUND."""
        tail = self._tail
        if tail:
            place = (tail + data[pos : pos + 3]).find(HEAD_END)
            if place >= 0:
                return pos + place + len(HEAD_END) - len(tail)
        end = data.find(HEAD_END, pos)
        return _NOT_FOUND if end < 0 else end + len(HEAD_END)

    def _finish(self, piece: bytes, in_parts: bool) -> None:
        parser = self._parser
        self._parser = None
        self._tail = b""
        if in_parts:
            self.raw = b"".join([*self._pieces, piece])
            self._pieces.clear()
        else:
            self.raw = piece
        if len(self.fields) > self._max_count:
            raise CodecProtocolError("http1.too_many_headers", 431)
        version = "" if in_parts else _version_of(piece)
        self.version = version or parser.get_http_version()
        if self._urls:
            self.url = b"".join([self.url, *self._urls])
            self._urls = []
        if self.url:
            self.method = parser.get_method()
        else:
            self.status = parser.get_status_code()

    # Called by httptools

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        if self.url:
            self._urls.append(url)
        else:
            self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field. llhttp leaves optional white space behind a value."""
        known = _lower_names.get(name)
        if known is None:
            known = _lower(name)
        if value and value[-1] <= 32:
            value = value.rstrip(b" \t")
        if len(self.fields) <= self._max_count:  # one field over the limit is kept, to be noticed at the end
            self.fields.append((known, value))

    def on_headers_complete(self) -> None:
        """The empty line behind the fields."""
        self.complete = True


def skip_empty_lines(data: bytes, pos: int) -> int:
    """The position behind line ends, which are to be ignored before a request line (RFC 9112 section 2.2)."""
    return len(data) - len(data[pos:].lstrip(b"\r\n"))


def _version_of(head: bytes) -> str:
    """The version that a start line gives in its usual place; empty where it stands elsewhere, or is another."""
    if head.startswith(b"HTTP/"):
        return "1.1" if head.startswith(b"HTTP/1.1 ") else ""
    end = head.find(b"\r\n")
    return "1.1" if end > 8 and head[end - 9 : end] == b" HTTP/1.1" else ""


def field_bytes(raw: bytes) -> int:
    """The fields of a head as Envoy counts received ones: names and values, and three bytes each.

    A head without fields counts three as well.
    """
    total = 0
    for line in raw.strip(b"\r\n").split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        total += len(name) + len(value.strip(b" \t")) + 3
    return total or 3


def refusal(reason: str) -> CodecProtocolError:
    """The error with Envoy's status and details for a reason that llhttp gives."""
    if "Transfer-Encoding" in reason:
        if "Content-Length" in reason:
            return CodecProtocolError("http1.content_length_and_chunked_not_allowed")
        return CodecProtocolError(INVALID_TRANSFER_ENCODING, 501)
    if reason == "Invalid header value char":
        return CodecProtocolError("http1.invalid_characters")
    if reason == "Invalid HTTP version":
        return CodecProtocolError(LOW_VERSION, 426)
    return CodecProtocolError(CODEC_ERROR)


def parse_trailers(lines: bytes, max_count: int) -> list[HeaderField]:
    """The fields of a trailer section, given as whole lines without the empty one that ends it.

    Raises:
        CodecProtocolError: not header fields, or too many.
    """
    parser = HeadParser(httptools.HttpRequestParser, len(lines) + 64, max_count, allow_chunked_length=True)
    parser.feed(_TRAILER_PREFIX + lines + b"\r\n", 0)
    return [field for field in parser.fields if field[0] not in _NEVER_TRAILERS]
