"""The head of a response, which may end its lines with LF alone, as RFC 9112 section 2.2 lets a recipient forgive.

There are such upstreams, and Envoy takes their answers too. It must not be used for requests: two servers that see
different lines see different requests.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from envoymesh.errors import CodecProtocolError
from envoymesh.http.http1.head import HeadParser

_END: Final = re.compile(rb"\n\r?\n")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class ResponseHeadParser(HeadParser):
    """As HeadParser. A head with CRLF everywhere costs nothing more; at the first bare LF the rest of it is collected,
    and the whole is parsed with its lines mended, which is what `raw` then has."""

    __slots__ = ("_kept",)

    def __init__(self, max_bytes: int, max_count: int, allow_chunked_length: bool = False) -> None:
        super().__init__(httptools.HttpResponseParser, max_bytes, max_count, allow_chunked_length)
        self._kept: bytearray | None = None  # of a head that is being collected

    def feed(self, data: bytes, pos: int) -> int:
        """As HeadParser.feed."""
        if self._kept is not None:
            return self._collect(self._kept, data, pos)
        try:
            return super().feed(data, pos)
        except CodecProtocolError:
            head = bytearray(b"".join(self._pieces))
            bare = None if self.complete else _BARE_LF.search(head + data[pos:])
            if bare is None:
                raise
            # However the head came in pieces: what is wrong before its first bare LF is not forgiven.
            before = HeadParser(httptools.HttpResponseParser, self._max_bytes, self._max_count)
            before.feed((bytes(head) + data[pos:])[: bare.start()], 0)
            self._kept = head
            return self._collect(head, data, pos)

    def _collect(self, kept: bytearray, data: bytes, pos: int) -> int:
        looked_at = max(len(kept) - 2, 0)
        kept += data[pos:]
        end = _END.search(kept, looked_at)
        if (len(kept) if end is None else end.end()) > self._max_bytes:
            raise CodecProtocolError("http1.headers_too_large", 431)
        if end is None:
            return len(data)
        rest = len(kept) - end.end()
        self._kept = None
        self._parser = None
        self._tail = b""
        self._pieces.clear()
        self._unparsed.clear()
        super().feed(_BARE_LF.sub(b"\r\n", kept[: end.end()]), 0)
        return len(data) - rest
