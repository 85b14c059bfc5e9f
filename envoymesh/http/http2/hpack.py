"""HPACK (RFC 7541): header lists to header blocks and back.

Rules of this module:
- Lists are of (name, value) bytes. Entries of a table are shared, not copied: a field that a peer repeats is the
  same tuple each time, which costs nothing to keep and lets a validator remember it. So that this holds for compiled
  code too, a field that is only passed on is of type Any there: what has the type HeaderField is taken apart, and
  another tuple is made of it wherever an object is needed.
- Strings are sent without Huffman coding (section 5.2 leaves that to the sender): within a mesh, time matters more
  than bytes. Strings that arrive are decoded by jh2's Rust where it is installed, else by `hpack`; whether
  their padding is right is checked here, for neither backend is to be trusted with it.
- A block that breaks a rule raises HpackError, and the tables are not to be used again (section 2.3: the
  connection ends).

It must not know of frames, nor of what header names mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from envoymesh.http.http2.hpack_tables import HUFFMAN_CODE_BITS, STATIC_TABLE

try:
    from jh2 import _hazmat
except ImportError:  # jh2 is built for many platforms, not for all
    _hazmat = None

HeaderField = tuple[bytes, bytes]

DEFAULT_TABLE_SIZE: Final = 4096
"""SETTINGS_HEADER_TABLE_SIZE until the peer says otherwise (RFC 9113 section 6.5.2)."""

ENTRY_OVERHEAD: Final = 32
"""What an entry counts beyond its bytes (RFC 7541 section 4.1)."""

UNINDEXED_NAMES: Final = frozenset((b"x-request-id", b"etag", b"set-cookie", b"location"))
"""Names whose values hardly repeat: kept out of the table, where they would push out what does."""

NEVER_INDEXED_NAMES: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie"))
"""Secrets (section 7.1.3): no intermediary may put them into a table, where they can be probed for."""

_STATIC_COUNT: Final = len(STATIC_TABLE)
_STATIC: Final[list[Any]] = [(b"", b""), *STATIC_TABLE]  # of HeaderField
_STATIC_FIELDS: Final = {field: -index for index, field in reversed(list(enumerate(STATIC_TABLE, 1)))}
_STATIC_NAMES: Final = {field[0]: index for index, field in reversed(list(enumerate(STATIC_TABLE, 1)))}
_MAX_INTEGER: Final = 1 << 28
_REMEMBERED_BLOCKS: Final = 32
_LONGEST_REMEMBERED_BLOCK: Final = 512  # in bytes; each byte may stand for a field as large as the table
_LONGEST_REMEMBERED: Final = 64


class HpackError(Exception):
    """A header block that cannot be decoded (COMPRESSION_ERROR)."""


class CutShortError(HpackError):
    """A block that ends within a field."""


def rust_huffman_decode(data: bytes) -> bytes:
    """Decode with jh2's Rust: a block of one literal field whose value is the string."""
    length = len(data)
    prefix = b"\x10\x01a"
    if length < 127:
        prefix += bytes((0x80 | length,))
    else:
        out = bytearray(prefix)
        _append_integer(out, length, 0x7F, 0x80)
        prefix = bytes(out)
    try:
        value = _hazmat.Decoder(length * 2 + 64).decode(prefix + data, raw=True)[0][1]
    except (_hazmat.HPACKError, _hazmat.OversizedHeaderListError) as error:
        raise HpackError(f"bad Huffman string: {error}") from None
    return bytes(value)


def pure_huffman_decode(data: bytes) -> bytes:
    """Decode with the `hpack` package."""
    # Not at the top: where there is jh2 it is not needed.
    from hpack.exceptions import HPACKDecodingError
    from hpack.huffman_table import decode_huffman

    try:
        return bytes(decode_huffman(data))
    except HPACKDecodingError as error:
        raise HpackError(f"bad Huffman string: {error}") from None


HuffmanDecode = Callable[[bytes], bytes]
default_huffman_decode: Final[HuffmanDecode] = pure_huffman_decode if _hazmat is None else rust_huffman_decode


def _huffman_string(decode: HuffmanDecode, data: bytes) -> bytes:
    """A decoded string (section 5.2). Errors: HpackError."""
    value = decode(data)
    # Padding is less than a byte, and ones (the start of EOS): what the codes of the value don't take up.
    padding = len(data) * 8 - sum(value.translate(HUFFMAN_CODE_BITS))
    ones = (1 << padding) - 1 if 0 <= padding < 8 else -1
    if ones < 0 or data[-1] & ones != ones:
        raise HpackError("bad padding of a Huffman string")
    return value


# Peers that index little (nginx) send the same few strings again and again: 7 us each otherwise.
_remembered_string: Final = lru_cache(maxsize=1024)(_huffman_string)


class Decoder:
    """Decodes the blocks of one connection, in order.

    Args:
        table_size: the largest dynamic table that the peer may use, in bytes as RFC 7541 section 4.1 counts.
    """

    __slots__ = ("_begun", "_huffman_decode", "_limit", "_max_size", "_recent", "_rest", "_size", "_table", "_whole")

    def __init__(
        self, table_size: int = DEFAULT_TABLE_SIZE, huffman_decode: HuffmanDecode = default_huffman_decode
    ) -> None:
        self._table: deque[Any] = deque()  # of HeaderField
        self._size = 0
        self._max_size = DEFAULT_TABLE_SIZE
        self._limit = max(table_size, DEFAULT_TABLE_SIZE)
        self._huffman_decode = huffman_decode
        # Blocks that are nothing but references, and their fields, as long as the table does not change.
        self._recent: dict[bytes, tuple[HeaderField, ...]] = {}
        # Of a block that comes in parts: its fields so far, and the bytes of one that is cut.
        self._begun: list[HeaderField] | None = None
        self._rest = b""
        self._whole = 0  # the position in a block behind its last whole field

    def set_limit(self, table_size: int) -> None:
        """The peer acknowledged our SETTINGS_HEADER_TABLE_SIZE; it now holds (section 4.2)."""
        self._limit = table_size
        if self._max_size > table_size:
            self._resize(table_size)

    @property
    def table_size_limit(self) -> int:
        """The largest size of an entry that a one-byte reference can stand for."""
        return self._limit

    def decode(self, block: bytes) -> Sequence[HeaderField]:
        """The fields of a whole block. Errors: HpackError.

        A block whose every field is in the tables gives the same tuple each time it is repeated, so that what
        else was found out about it can be remembered too; any other block gives a new list. After `decode_part` this
        is the last part, and the fields are those of all parts.
        """
        if self._begun is not None:
            return self._decode_last(block, self._begun)
        recent = self._recent
        known = recent.get(block)
        if known is not None:
            return known
        fields: list[HeaderField] = []
        try:
            self._decode(block, fields)
        except IndexError:
            raise HpackError("the header block is cut short, or refers to no entry") from None
        if len(block) != len(fields) or len(block) > _LONGEST_REMEMBERED_BLOCK:
            return fields
        if len(recent) >= _REMEMBERED_BLOCKS:
            recent.clear()
        known = recent[block] = tuple(fields)
        return known

    def decode_part(self, part: bytes, most: int) -> None:
        """Part of a block that goes on; of its fields one more than `most` are kept at the most. Errors: HpackError.

        Decoding each part when it is here spreads the work of a block that has hundreds of thousands of fields.
        """
        fields = self._begun
        if fields is None:
            fields = self._begun = []
        block = self._rest + part
        try:
            self._decode(block, fields)
            self._rest = b""
        except (IndexError, CutShortError):
            self._rest = block[self._whole :]
        del fields[most + 1 :]

    def _decode_last(self, part: bytes, fields: list[HeaderField]) -> list[HeaderField]:
        block = self._rest + part
        self._begun = None
        self._rest = b""
        try:
            self._decode(block, fields)
        except IndexError:
            raise HpackError("the header block is cut short, or refers to no entry") from None
        return fields

    def _decode(self, block: bytes, fields: list[HeaderField]) -> None:
        position = 0
        end = len(block)
        table = self._table
        while position < end:
            self._whole = position
            byte = block[position]
            position += 1
            if byte >= 0xBE:  # section 6.1, the dynamic table
                if byte < 0xFF:
                    fields.append(table[byte - 0xBE])
                else:
                    index, position = _integer(block, position, 0x7F)
                    fields.append(table[index - _STATIC_COUNT - 1])
            elif byte > 0x80:  # section 6.1, the static table
                fields.append(_STATIC[byte - 0x80])
            elif byte & 0x40:  # section 6.2.1
                name, value, position = self._literal(block, position, byte & 0x3F, 0x3F)
                field: Any = (name, value)
                self._insert(field, len(name) + len(value) + ENTRY_OVERHEAD)
                fields.append(field)
            elif byte & 0x20:  # section 6.3
                size = byte & 0x1F
                if size == 0x1F:
                    size, position = _integer(block, position, 0x1F)
                self._update_size(size, bool(fields))
            elif byte == 0x80:
                raise HpackError("index 0")
            else:  # sections 6.2.2 and 6.2.3
                name, value, position = self._literal(block, position, byte & 0x0F, 0x0F)
                fields.append((name, value))

    def _literal(self, block: bytes, position: int, index: int, prefix: int) -> tuple[bytes, bytes, int]:
        if index:
            if index == prefix:
                index, position = _integer(block, position, prefix)
            known: HeaderField = _STATIC[index] if index <= _STATIC_COUNT else self._table[index - _STATIC_COUNT - 1]
            name = known[0]
        else:
            name, position = self._string(block, position)
        value, position = self._string(block, position)
        return name, value, position

    def _string(self, block: bytes, position: int) -> tuple[bytes, int]:
        byte = block[position]
        position += 1
        length = byte & 0x7F
        if length == 0x7F:
            length, position = _integer(block, position, 0x7F)
        end = position + length
        data = block[position:end]
        if len(data) != length:
            raise CutShortError("a string is longer than its block")
        if byte & 0x80 and length:
            data = self._huffman(data)
        return data, end

    def _huffman(self, data: bytes) -> bytes:
        if len(data) <= _LONGEST_REMEMBERED:
            return _remembered_string(self._huffman_decode, data)
        return _huffman_string(self._huffman_decode, data)

    def _update_size(self, size: int, late: bool) -> None:
        if late:
            raise HpackError("a table size update after the first field")  # section 4.2
        if size > self._limit:
            raise HpackError(f"table size {size}, over {self._limit}")
        self._resize(size)

    def _insert(self, field: Any, size: int) -> None:
        self._size += size
        self._recent.clear()
        if self._size > self._max_size:
            # Section 4.4: an entry larger than the table empties it, and is no error.
            self._evict(self._max_size)
            if size > self._max_size:
                return
        self._table.appendleft(field)

    def _resize(self, size: int) -> None:
        self._max_size = size
        self._recent.clear()
        self._evict(size)

    def _evict(self, size: int) -> None:
        table = self._table
        while self._size > size and table:
            field: HeaderField = table.pop()
            self._size -= len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        if not table and self._size > size:
            self._size = 0

    def __repr__(self) -> str:
        return f"<hpack.Decoder {len(self._table)} entries, {self._size} of {self._max_size} bytes>"


class Encoder:
    """Encodes the blocks of one connection, in order.

    Args:
        table_size: the largest dynamic table we want to keep; the peer may only make it smaller.
    """

    __slots__ = ("_cap", "_fields", "_index", "_inserted", "_max_size", "_pending_minimum", "_size")

    def __init__(self, table_size: int = DEFAULT_TABLE_SIZE) -> None:
        # Field -> number of its insertion (from 0), or minus its static index.
        self._index: dict[HeaderField, int] = dict(_STATIC_FIELDS)
        self._fields: deque[HeaderField] = deque()
        self._inserted = 0
        self._size = 0
        self._cap = table_size
        self._max_size = DEFAULT_TABLE_SIZE
        self._pending_minimum: int | None = None
        if table_size < DEFAULT_TABLE_SIZE:
            self.set_peer_limit(DEFAULT_TABLE_SIZE)

    def set_peer_limit(self, table_size: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE; announced in the next block (section 4.2)."""
        size = min(table_size, self._cap)
        if size == self._max_size and self._pending_minimum is None:
            return
        self._pending_minimum = size if self._pending_minimum is None else min(size, self._pending_minimum)
        self._max_size = size
        self._evict(size)

    def encode(self, fields: list[HeaderField]) -> bytes:
        """The block of a header list."""
        out = bytearray()
        if self._pending_minimum is not None:
            self._announce_size(out)
        newest = self._inserted + _STATIC_COUNT
        passed_on: list[Any] = fields
        for field in passed_on:
            number = self._index.get(field)
            if number is None:
                self._append_literal(out, field)
                newest = self._inserted + _STATIC_COUNT
            elif number < 0:
                out.append(0x80 - number)
            elif newest - number < 0x7F:
                out.append(0x80 + newest - number)
            else:
                _append_integer(out, newest - number, 0x7F, 0x80)
        return bytes(out)

    def _announce_size(self, out: bytearray) -> None:
        # Section 4.2: the smallest size in between is announced too, so that the peer evicts as we did.
        if self._pending_minimum is not None and self._pending_minimum < self._max_size:
            _append_integer(out, self._pending_minimum, 0x1F, 0x20)
        _append_integer(out, self._max_size, 0x1F, 0x20)
        self._pending_minimum = None

    def _append_literal(self, out: bytearray, field: Any) -> None:
        taken_apart: HeaderField = field
        name, value = taken_apart
        size = len(name) + len(value) + ENTRY_OVERHEAD
        if name in NEVER_INDEXED_NAMES:
            self._append_name(out, name, 0x0F, 0x10)
        elif size > self._max_size >> 1 or name in UNINDEXED_NAMES:
            self._append_name(out, name, 0x0F, 0x00)
        else:
            self._append_name(out, name, 0x3F, 0x40)
            self._insert(field, size)
        _append_string(out, value)

    def _append_name(self, out: bytearray, name: bytes, prefix: int, pattern: int) -> None:
        index = _STATIC_NAMES.get(name)
        if index is None:
            out.append(pattern)
            _append_string(out, name)
        else:
            _append_integer(out, index, prefix, pattern)

    def _insert(self, field: Any, size: int) -> None:
        self._evict(self._max_size - size)
        self._fields.append(field)
        self._index[field] = self._inserted
        self._inserted += 1
        self._size += size

    def _evict(self, size: int) -> None:
        fields = self._fields
        while self._size > size:
            field = fields.popleft()
            self._size -= len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
            del self._index[field]  # a field is in the table once: it is inserted only when not found

    def __repr__(self) -> str:
        return f"<hpack.Encoder {len(self._fields)} entries, {self._size} of {self._max_size} bytes>"


def _integer(block: bytes, position: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix is full (section 5.1), and the position after it."""
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if value > _MAX_INTEGER or shift > 35:
            raise HpackError("an integer is too large")
        if byte < 0x80:
            return value, position


def _append_integer(out: bytearray, value: int, prefix: int, pattern: int) -> None:
    if value < prefix:
        out.append(pattern | value)
        return
    out.append(pattern | prefix)
    value -= prefix
    while value >= 0x80:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    out.append(value)


def _append_string(out: bytearray, data: bytes) -> None:
    length = len(data)
    if length < 0x7F:
        out.append(length)
    else:
        _append_integer(out, length, 0x7F, 0x00)
    out += data
