"""Names of stats that ours shows and never counts (`ConstantStats`), so that reports do not call them compared.

It must not know which there are: it asks the package's structs.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import envoymesh
from envoymesh.stats import ConstantStats, Named, StatsStruct

PACKAGE = Path(envoymesh.__file__).parent


class _Names:
    """A scope that only writes names down."""

    def __init__(self, prefix: str, into: set[str]) -> None:
        self._prefix, self._into = prefix, into

    def _add(self, name: str, *more: Any) -> None:
        self._into.add(self._prefix + name)

    counter = gauge = histogram = text_readout = _add

    def scope(self, name: str) -> _Names:
        return _Names(f"{self._prefix}{name.rstrip('.')}.", self._into)


@cache
def _endings() -> frozenset[str]:
    """What names of constants end with, where no struct that counts has a stat of the same ending."""
    constant: set[str] = set()
    counted: set[str] = set()
    for kind in _structs():
        if issubclass(kind, ConstantStats):
            kind.create(_Names("", constant))  # type: ignore[arg-type]
        else:
            counted |= _own(kind)
    return frozenset(constant - counted)


def _structs() -> set[type[StatsStruct]]:
    found: set[type[StatsStruct]] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        if "stats_struct" in path.read_text() and path.parent.name != "native":
            module = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
            found |= {each for each in vars(module).values() if isinstance(each, type) and _is_struct(each)}
    return found


def _is_struct(kind: type) -> bool:
    return issubclass(kind, StatsStruct) and kind not in (StatsStruct, ConstantStats)


def _own(kind: type[StatsStruct]) -> set[str]:
    """Names of a struct's own stats, without those of structs in it."""
    names: set[str] = set()
    for field, hint in get_type_hints(kind, include_extras=True).items():
        held, *extras = get_args(hint) or (hint,)
        if field != "_plan" and not (isinstance(held, type) and issubclass(held, StatsStruct)):
            names.add(next((each.name for each in extras if isinstance(each, Named)), field))
    return names


def is_constant(name: str) -> bool:
    """Whether a stat is of a struct that nobody counts."""
    parts = name.split(".")
    return any(".".join(parts[at:]) in _endings() for at in range(len(parts)))
