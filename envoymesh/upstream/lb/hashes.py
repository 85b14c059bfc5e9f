"""Hashes whose values Envoy's hashing balancers depend on: xxHash (64 bits) and MurmurHash2 (64 bits, as in libstdc++).

This module must not know what is hashed.
"""

from __future__ import annotations

import random
from typing import Final

import xxhash

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_MULTIPLIER: Final = 0xC6A4A7935BD1E995
STD_HASH_SEED: Final = 0xC70F6907
"""The seed of libstdc++'s std::hash, which Envoy's ring takes."""


def xx_hash64(data: bytes, seed: int = 0) -> int:
    """XXH64."""
    return xxhash.xxh64_intdigest(data, seed)


def murmur_hash2(data: bytes, seed: int = STD_HASH_SEED) -> int:
    """MurmurHash64A, as libstdc++'s `_Hash_bytes` computes it."""
    value = (seed ^ (len(data) * _MULTIPLIER)) & _MASK
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        value = _mixed_in(
            value, _shift_mix(int.from_bytes(data[at : at + 8], "little") * _MULTIPLIER & _MASK) * _MULTIPLIER
        )
    if len(data) > whole:
        value = _mixed_in(value, int.from_bytes(data[whole:], "little"))
    return _shift_mix(_shift_mix(value) * _MULTIPLIER & _MASK)


def _mixed_in(value: int, data: int) -> int:
    return (value ^ (data & _MASK)) * _MULTIPLIER & _MASK


def _shift_mix(value: int) -> int:
    return value ^ (value >> 47)


class MersenneTwister:
    """C++'s std::mt19937 of a seed: 32-bit numbers (Python's own seeding goes another way)."""

    __slots__ = ("_random",)

    def __init__(self, seed: int) -> None:
        word = seed & 0xFFFFFFFF
        state = [word]
        for index in range(1, 624):
            word = (1812433253 * (word ^ (word >> 30)) + index) & 0xFFFFFFFF
            state.append(word)
        self._random = random.Random()
        self._random.setstate((3, (*state, 624), None))

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1, as Envoy draws it."""
        size = 0x100000000 // limit
        while True:
            number = self._random.getrandbits(32) // size
            if number < limit:
                return number
