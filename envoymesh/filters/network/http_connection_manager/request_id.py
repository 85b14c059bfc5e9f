"""x-request-id values: version 4 UUIDs (RFC 9562), cut from blocks of random bytes.

A system call and a UUID object for each request would cost more than the rest of the header work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_IDS_A_BLOCK: Final = 256
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class RequestIdGenerator:
    """Makes request ids.

    Args:
        random_bytes: gives that many random bytes, such as `os.urandom`.
    """

    __slots__ = ("_block", "_next", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._block = ""
        self._next = 0

    def generate(self) -> bytes:
        """A new id, 36 bytes in lower case."""
        at = self._next
        if at >= len(self._block):
            self._block = self._random_bytes(16 * _IDS_A_BLOCK).hex()
            at = 0
        self._next = at + 32
        raw = self._block[at : at + 32]
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-{_VARIANT[raw[16]]}{raw[17:20]}-{raw[20:]}".encode()
