"""Work that is done in steps, done at once."""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def finished(work: Generator[object, None, T]) -> T:
    """What comes of the work when all its steps are taken."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        return end.value
