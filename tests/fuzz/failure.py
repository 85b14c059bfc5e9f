"""What a failure is known by, and the smallest input that still shows it. It must not run anything else."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.target import Check

MOST_TRIES = 2000


@dataclass(frozen=True)
class Failure:
    """An input that broke a promise of a target, and how."""

    target: str
    data: bytes
    text: str

    def __str__(self) -> str:
        shown = self.data.hex()
        return (
            f"{self.target} FAILED: {self.text}\n  input  {self.data!r}\n  hex    {shown}\n"
            f"  replay .venv/bin/python -m tests.fuzz replay {self.target} {shown}\n"
            f"  keep   tests/fuzz/corpus/{self.target}.txt: a line with the input as above, when it is mended"
        )


def kind_of(check: Check, data: bytes) -> tuple[str, str, int] | None:
    """The exception that an input ends in, by its type and place; None where it ends well."""
    try:
        check(data)
    except Exception as error:  # noqa: BLE001 whatever it is, it is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return type(error).__name__, last.filename, last.lineno or 0
    return None


def describe(target: str, check: Check, data: bytes) -> Failure:
    """The failure of an input that fails, made as small as may be."""
    kind = kind_of(check, data)
    small = smallest(data, lambda tried: kind_of(check, tried) == kind)
    try:
        check(small)
    except Exception as error:  # noqa: BLE001 as above
        return Failure(target, small, "".join(traceback.format_exception(error, limit=-4)).strip())
    return Failure(target, small, "it fails now and then only")


def smallest(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Take slices out, larger ones first, while what is left still fails."""
    tries = 0
    size = len(data) // 2
    while size:
        start = 0
        while start < len(data) and tries < MOST_TRIES:
            tries += 1
            shorter = data[:start] + data[start + size :]
            if fails(shorter):
                data = shorter
            else:
                start += size
        size //= 2
    return data
