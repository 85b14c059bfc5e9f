"""Reads the server name and the ALPN protocols from the first bytes of a TLS connection.

Sans-I/O, on untrusted bytes: any input gives a result or asks for more, and never more than `MAX_CLIENT_HELLO` of it.
Formats: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3, RFC 7301 section 3.1. It must not negotiate anything.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_CLIENT_HELLO = 16 * 1024
"""Bytes; Envoy's tls_inspector default of max_client_hello_size."""

_HANDSHAKE_RECORD = 22
_HEADER_START = bytes((_HANDSHAKE_RECORD, 3))
_MAX_RECORDS = 64
"""A ClientHello in more records than this is an attack on the parser: each new byte makes it read all again."""

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
    """The bytes are no ClientHello."""


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


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Read the first bytes of a connection, from its very start; None asks for more of them."""
    try:
        hello = _handshake_bytes(data)
        if hello is None:
            return TOO_LARGE if len(data) >= MAX_CLIENT_HELLO else None
        if len(hello) < 4:
            return None
        if hello[0] != _CLIENT_HELLO:
            return NOT_TLS
        size = int.from_bytes(hello[1:4], "big")
        if size > MAX_CLIENT_HELLO:
            return TOO_LARGE
        if len(hello) < 4 + size:
            return TOO_LARGE if len(data) >= MAX_CLIENT_HELLO + 5 else None
        return _read_hello(Cursor(hello, 4, 4 + size))
    except MalformedError:
        return NOT_TLS


def bytes_wanted(data: bytes) -> int:
    """How many of the first bytes `parse_client_hello` needs before it can tell more than of `data`, which it cannot.

    A hello may come in pieces of a byte, and each look at it reads it all.
    """
    position = 0
    if len(data) < 9:  # the headers of the first record and message, which show what is no hello
        return len(data) + 1
    while position + 5 <= len(data):
        position += 5 + int.from_bytes(data[position + 3 : position + 5], "big")
    return min(max(position, len(data) + 1), MAX_CLIENT_HELLO)


def _handshake_bytes(data: bytes) -> bytes | None:
    """The content of the handshake records so far, which may end within one; None before the first header is whole."""
    if not _HEADER_START.startswith(data[:2]):
        raise MalformedError
    if len(data) < 5:
        return None
    found = bytearray()
    position = records = 0
    while position + 5 <= len(data):
        if data[position] != _HANDSHAKE_RECORD:
            raise MalformedError
        size = int.from_bytes(data[position + 3 : position + 5], "big")
        # RFC 8446 section 5.1: a record holds at most 2^14 bytes, and a handshake record is never empty.
        records += 1
        if not 0 < size <= 1 << 14 or records > _MAX_RECORDS:
            raise MalformedError
        found += data[position + 5 : position + 5 + size]
        position += 5 + size
    return bytes(found)


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
