"""Header maps: what codecs produce, filters change and codecs write.

Rules of this module:
- Names are lower-case bytes, values are bytes without surrounding white space; codecs see to both.
- Pseudo-headers are attributes (`RequestHeaders.path`), never entries of `fields`.
- Order is kept, duplicates are kept: what a peer sent is what the next one gets (but for `inline_headers.py`).

It must not know of any protocol version, socket or setting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

HeaderField = tuple[bytes, bytes]


class HeaderMap:
    """An ordered multi-map of header fields; also what trailers are.

    `fields` may be read directly, and is on the hot path; it is changed only through the methods,
    which keep the index (first value by name, made at the first look-up, or by whoever made the map) in step.
    """

    __slots__ = ("_index", "fields")

    def __init__(self, fields: list[HeaderField] | None = None) -> None:
        self.fields: list[HeaderField] = [] if fields is None else fields
        self._index: dict[bytes, bytes] | None = None

    @property
    def index(self) -> dict[bytes, bytes]:
        """First value by name. Read only."""
        index = self._index
        return self._make_index() if index is None else index

    def _make_index(self) -> dict[bytes, bytes]:
        index = dict(self.fields)
        if len(index) != len(self.fields):
            index = dict(reversed(self.fields))
        self._index = index
        return index

    def get(self, name: bytes) -> bytes | None:
        """The first value of a name, or None."""
        index = self._index
        return (self._make_index() if index is None else index).get(name)

    def get_all(self, name: bytes) -> list[bytes]:
        """All values of a name, in order."""
        return [value for key, value in self.fields if key == name]

    def joined(self, name: bytes) -> bytes | None:
        """All values of a name joined with commas, or None (Envoy's `getAllOfHeaderAsString`)."""
        values = self.get_all(name)
        return b",".join(values) if values else None

    def __contains__(self, name: bytes) -> bool:
        return name in self.index

    def __len__(self) -> int:
        return len(self.fields)

    def add(self, name: bytes, value: bytes) -> None:
        """Append one more field."""
        self.fields.append((name, value))
        if self._index is not None:
            self._index.setdefault(name, value)

    def set(self, name: bytes, value: bytes) -> None:
        """Make `value` the only value of a name, in the place of its first one, else at the end."""
        index = self._index
        if index is None:
            index = self._make_index()
        fields = self.fields
        if name not in index:
            fields.append((name, value))
            index[name] = value
            return
        place = next(i for i, field in enumerate(fields) if field[0] == name)
        fields[place] = (name, value)
        index[name] = value
        if len(index) != len(fields):
            fields[place + 1 :] = [field for field in fields[place + 1 :] if field[0] != name]

    def join(self, name: bytes) -> bytes:
        """Join all fields of a name into one, as Envoy does with its inline headers, and give the value."""
        values = self.get_all(name)
        if len(values) < 2:
            return values[0] if values else b""
        value = b",".join([each for each in values if each])
        self.set(name, value)
        return value

    def append(self, name: bytes, value: bytes, separator: bytes = b",") -> None:
        """Append to the only field of a name, which joins those there are (Envoy's `appendCopy` of inline headers)."""
        present = self.joined(name)
        self.set(name, value if present is None else present + separator + value)

    def remove(self, name: bytes) -> bool:
        """Take all fields of a name out; tells whether there were any."""
        index = self.index
        if name not in index:
            return False
        del index[name]
        self.fields[:] = [field for field in self.fields if field[0] != name]
        return True

    def remove_all(self, names: Collection[bytes]) -> None:
        """Take all fields of several names out."""
        index = self.index
        found = [name for name in names if name in index]
        for name in found:
            del index[name]
        if found:
            self.fields = [field for field in self.fields if field[0] not in found]

    def byte_size(self) -> int:
        """Bytes of all names and values (Envoy's `HeaderMap::byteSize`, without pseudo-headers)."""
        return weight(self.fields)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fields!r}>"


def weight(fields: Iterable[HeaderField]) -> int:
    """Bytes of names and values."""
    return sum([len(name) + len(value) for name, value in fields])


class RequestHeaders(HeaderMap):
    """A request's headers.

    Attributes:
        method: as sent, such as b"GET".
        scheme: b"http" or b"https"; the HTTP/1 codec leaves b"" and the connection manager fills it in.
        authority: HTTP/1's Host or HTTP/2's :authority; None when absent.
        path: path and query as sent; b"" for CONNECT.
        protocol: the :protocol of a CONNECT that is a byte stream, else None: other extended CONNECTs (RFC 8441) are
            upgrades here, as HTTP/1 has them.
    """

    __slots__ = ("authority", "method", "path", "protocol", "scheme")

    def __init__(
        self,
        method: bytes,
        path: bytes,
        authority: bytes | None = None,
        scheme: bytes = b"",
        fields: list[HeaderField] | None = None,
        protocol: bytes | None = None,
        index: dict[bytes, bytes] | None = None,
    ) -> None:
        self.fields = [] if fields is None else fields
        self._index = index
        self.method = method
        self.path = path
        self.authority = authority
        self.scheme = scheme
        self.protocol = protocol

    def copy(self) -> RequestHeaders:
        """An independent copy, for a retry or a shadow request."""
        return RequestHeaders(self.method, self.path, self.authority, self.scheme, list(self.fields), self.protocol)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method!r} {self.authority!r} {self.path!r} {self.fields!r}>"


class Http2RequestHeaders(RequestHeaders):
    """The headers of a request that came by HTTP/2. They differ only in the order of their pseudo-headers upstream."""

    __slots__ = ()

    def copy(self) -> RequestHeaders:
        """An independent copy, for a retry or a shadow request."""
        fields = list(self.fields)
        return Http2RequestHeaders(self.method, self.path, self.authority, self.scheme, fields, self.protocol)


class ResponseHeaders(HeaderMap):
    """A response's headers; `status` is the three-digit code as an int."""

    __slots__ = ("status",)

    def __init__(
        self, status: int, fields: list[HeaderField] | None = None, index: dict[bytes, bytes] | None = None
    ) -> None:
        self.fields = [] if fields is None else fields
        self._index = index
        self.status = status

    def __repr__(self) -> str:
        return f"<ResponseHeaders {self.status} {self.fields!r}>"


PSEUDO_HEADERS: Final[dict[bytes, Callable[[RequestHeaders], bytes | None]]] = {
    b":method": lambda h: h.method or None,
    b":path": lambda h: h.path or None,
    b":authority": lambda h: h.authority,
    b":scheme": lambda h: h.scheme or None,
    b":protocol": lambda h: h.protocol,
    b"host": lambda h: h.authority,
}
"""What configurations call a request's attributes, and Host; None where it has none."""


def is_grpc(headers: RequestHeaders) -> bool:
    """Whether the content-type names gRPC (Grpc::Common::isGrpcRequestHeaders)."""
    kind = headers.get(b"content-type") or b""
    return kind == b"application/grpc" or kind.startswith(b"application/grpc+")


def is_upgrade(headers: HeaderMap) -> bool:
    """Whether Connection names `upgrade` and there is an Upgrade (Utility::isUpgrade)."""
    connection = headers.joined(b"connection")
    if connection is None or b"upgrade" not in headers.index:
        return False
    return b"upgrade" in [token.strip() for token in connection.lower().split(b",")]


def upgrade_fields_removed(headers: HeaderMap) -> list[HeaderField]:
    """The fields without those of an upgrade, and without a content-length of nothing: as HTTP/2 has them."""
    gone = (b"upgrade", b"connection")
    return [field for field in headers.fields if field[0] not in gone and field != (b"content-length", b"0")]
