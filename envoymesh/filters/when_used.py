"""Functions that are imported when they are first called, so that a start pays only for the filters it has.

The registries name every filter there is; most configurations have few. This module must not know any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def when_used(module: str, function: str) -> Callable[..., Any]:
    """A function that stands for another module's, which it imports at the first call.

    `tests/unit/filters/test_when_used.py` imports what the registries name, so that a wrong name fails there.

    Args:
        module: its dotted name below ``envoymesh.filters``.
    """

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"envoymesh.filters.{module}"), function)(*arguments)

    call.__qualname__ = f"{module}.{function}"
    return call
