"""What a fuzz target is, and the ways of cutting its bytes that must not matter.

A target is a function of bytes that raises when a promise is broken, and a hypothesis strategy (a grammar of valid
inputs, then mutations of them) that makes such bytes. Everything else drives targets and must not know what they test.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Check = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """One thing to fuzz.

    Attributes:
        check: takes one input; raises (mostly AssertionError) where a promise is broken.
        inputs: structured inputs for hypothesis, which are also the first ones of the coverage-guided fuzzer.
        max_size: bytes of the largest input that the coverage-guided fuzzer makes.
    """

    name: str
    check: Check
    inputs: SearchStrategy[bytes]
    max_size: int = 1024


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data, cut at these places; no piece is empty."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    return [data[start:stop] for start, stop in pairwise([0, *places, len(data)])] if data else []


def ways_to_cut(data: bytes) -> list[list[bytes]]:
    """In one piece, byte by byte, and twice at places that the data itself decides, so that a replay cuts the same."""
    chance = random.Random(zlib.crc32(data))
    some = [[chance.randrange(len(data) + 1) for _ in range(count)] for count in (2, 6)]
    return [pieces(data, cuts) for cuts in ([], range(len(data)), *some)]


def same_however_cut(data: bytes, run: Callable[[list[bytes]], Any], same: Callable[[Any, Any], bool] = Any) -> Any:
    """Run the data cut in every way, on something new each time; gives the outcome, which must always be the same."""
    first, *others = ways_to_cut(data)
    expected = run(first)
    for way in others:
        found = run(way)
        if found != expected and (same is Any or not same(expected, found)):
            sizes = [len(piece) for piece in way]
            raise AssertionError(f"cut into {sizes} bytes:\n  in one piece {expected}\n  when cut     {found}")
    return expected


@st.composite
def mutated(draw: Any, valid: SearchStrategy[bytes], tokens: Sequence[bytes], most: int = 3) -> bytes:
    """A valid input, and up to `most` changes to it: bytes, slices and tokens of the format at odd places."""
    data = draw(valid)
    for _ in range(draw(st.sampled_from([0, *range(most + 1)]))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 8)))
        kind = draw(st.sampled_from(["token", "bytes", "drop", "double", "end", "flip"]))
        if kind == "token":
            data = data[:start] + draw(st.sampled_from(list(tokens))) + data[stop:]
        elif kind == "bytes":
            data = data[:start] + draw(st.binary(max_size=4)) + data[stop:]
        elif kind == "drop":
            data = data[:start] + data[stop:]
        elif kind == "double":
            data = data[:stop] + data[start:]
        elif kind == "end":
            data = data[:start]
        elif start < len(data):
            data = data[:start] + bytes([data[start] ^ 1 << draw(st.integers(0, 7))]) + data[start + 1 :]
    return data
