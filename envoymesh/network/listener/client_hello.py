"""Reads the server name and the ALPN protocols from the first bytes of a TLS connection.

Sans-I/O, on untrusted bytes: any input gives a result or asks for more, and never more than `MAX_CLIENT_HELLO` of it.
Formats: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3, RFC 7301 section 3.1. It must not negotiate anything.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_CLIENT_HELLO = 16 * 1024
"""Bytes; Envoy's tls_inspector default of max_client_hello_size."""

_HEADER_START = bytes((22, 3))
"""Of each record: a handshake's, of any version of TLS."""

_MAX_RECORDS = 64
"""No client cuts its ClientHello into more records than this."""

_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ALPN = 16


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What the first bytes are. `is_tls` False is anything else; then the rest is empty."""

    is_tls: bool
    server_name: str = ""
    application_protocols: tuple[str, ...] = ()
    too_large: bool = False


NOT_TLS = ClientHello(is_tls=False)
TOO_LARGE = ClientHello(is_tls=False, too_large=True)


class MalformedError(Exception):
    """The bytes are not a ClientHello."""


class Cursor:
    """Reads big-endian fields; refuses to read beyond its end."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self.data = data
        self.position = position
        self.end = end

    def number(self, size: int) -> int:
        return int.from_bytes(self.data[self.skip(size) : self.position], "big")

    def skip(self, size: int) -> int:
        """Go on by `size` bytes and give where they began."""
        start = self.position
        if start + size > self.end:
            raise MalformedError
        self.position = start + size
        return start

    def vector(self, length_size: int) -> Cursor:
        """A cursor over a vector that its length precedes."""
        size = self.number(length_size)
        start = self.skip(size)
        return Cursor(self.data, start, self.position)

    def rest(self) -> bytes:
        return self.data[self.position : self.end]

    def __bool__(self) -> bool:
        return self.position < self.end


class ClientHelloReader:
    """Reads one connection's first bytes, in whatever pieces they come; each byte is looked at once."""

    __slots__ = ("_header", "_hello", "_left", "_records", "_taken")

    def __init__(self) -> None:
        self._taken = 0
        self._header = b""  # of a record, while it is unfinished
        self._left = 0  # bytes to come of the present record
        self._records = 0
        self._hello = bytearray()  # the content of the records so far

    def feed(self, data: bytes) -> ClientHello | None:
        """Take more bytes; None asks for more of them. What follows the ClientHello does not matter."""
        data = data[: MAX_CLIENT_HELLO - self._taken]
        position = 0
        try:
            while position < len(data):
                position += self._take(data, position)
                found = self._found()
                if found is not None:
                    return found
        except MalformedError:
            return NOT_TLS
        self._taken += len(data)
        return TOO_LARGE if self._taken >= MAX_CLIENT_HELLO else None

    def _take(self, data: bytes, position: int) -> int:
        """Take some of the present record, or of its header; gives how many bytes that was."""
        if self._left:
            piece = data[position : position + self._left]
            self._hello += piece
            self._left -= len(piece)
            return len(piece)
        piece = data[position : position + 5 - len(self._header)]
        self._header += piece
        if not _HEADER_START.startswith(self._header[:2]):
            raise MalformedError
        if len(self._header) == 5:
            self._begin_record(int.from_bytes(self._header[3:], "big"))
        return len(piece)

    def _begin_record(self, size: int) -> None:
        # RFC 8446 section 5.1: a record holds at most 2^14 bytes, and a handshake record is never empty.
        self._header = b""
        self._left = size
        self._records += 1
        if not 0 < size <= 1 << 14 or self._records > _MAX_RECORDS:
            raise MalformedError

    def _found(self) -> ClientHello | None:
        hello = self._hello
        if len(hello) < 4:
            return None
        if hello[0] != _CLIENT_HELLO:
            return NOT_TLS
        size = int.from_bytes(hello[1:4], "big")
        if size > MAX_CLIENT_HELLO:
            return TOO_LARGE
        return _read_hello(Cursor(bytes(hello), 4, 4 + size)) if len(hello) >= 4 + size else None


def _read_hello(hello: Cursor) -> ClientHello:
    hello.skip(2 + 32)
    hello.vector(1)
    hello.vector(2)
    hello.vector(1)
    server_name = ""
    protocols: tuple[str, ...] = ()
    # TLS 1.2 clients may send no extensions at all.
    extensions = hello.vector(2) if hello else hello
    while extensions:
        kind = extensions.number(2)
        body = extensions.vector(2)
        if kind == _SERVER_NAME:
            server_name = _read_server_name(body)
        elif kind == _ALPN:
            protocols = _read_protocols(body)
    return ClientHello(True, server_name, protocols)


def _read_server_name(body: Cursor) -> str:
    names = body.vector(2)
    while names:
        kind = names.number(1)
        name = names.vector(2).rest()
        if kind == 0:
            # Envoy compares names in lower case.
            return name.decode("latin-1").lower()
    return ""


def _read_protocols(body: Cursor) -> tuple[str, ...]:
    names = body.vector(2)
    found = []
    while names:
        found.append(names.vector(1).rest().decode("latin-1"))
    return tuple(found)
