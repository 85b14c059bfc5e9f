"""Which routes of a virtual host fit a path, found without asking each of them.

Routes are cut into runs of one kind, in their order: regexes of a run are one automaton, exact paths one dictionary,
prefixes a look-up for each length there is. A run answers with its routes whose path fits, first one first, so that the
order of the configuration stays what decides. This module must not look at anything but the path.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from envoymesh.matching.matchers import RegexSet
from envoymesh.router.paths import ExactPath, PathMatcher, PrefixPath, RegexPath

Positions = Sequence[int]
"""Places in the virtual host's list of routes, in ascending order."""

NOTHING: Final[Positions] = ()

EVERY_PATH: Final = PrefixPath(b"")


class Run:
    """Consecutive routes whose paths are asked for one by one.

    Args:
        first: the first one's place in the list of routes.
        paths: their path matchers.
    """

    __slots__ = ("_first", "_paths")

    def __init__(self, first: int, paths: Sequence[PathMatcher]) -> None:
        self._first = first
        self._paths = tuple(paths)

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits; `path` is without its query."""
        return [self._first + place for place, each in enumerate(self._paths) if each.matches(path)]


class ExactRun(Run):
    """Exact paths."""

    __slots__ = ("_places",)

    def __init__(self, first: int, paths: Sequence[ExactPath]) -> None:
        super().__init__(first, paths)
        self._places: dict[bytes, list[int]] = {}
        for place, each in enumerate(paths, first):
            self._places.setdefault(each.path, []).append(place)

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits."""
        return self._places.get(path, NOTHING)


class PrefixRun(Run):
    """Prefixes, one dictionary of all and the lengths there are."""

    __slots__ = ("_lengths", "_places")

    def __init__(self, first: int, paths: Sequence[PrefixPath]) -> None:
        super().__init__(first, paths)
        self._places: dict[bytes, list[int]] = {}
        for place, each in enumerate(paths, first):
            self._places.setdefault(each.prefix, []).append(place)
        self._lengths = tuple(sorted({len(prefix) for prefix in self._places}))

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits."""
        places, size = self._places, len(path)
        found: list[int] | None = None
        for length in self._lengths:
            if length > size:
                break
            some = places.get(path[:length])
            if some is not None:
                found = some if found is None else sorted(found + some)
        return NOTHING if found is None else found


class RegexRun(Run):
    """Regexes, one automaton."""

    __slots__ = ("_regexes",)

    def __init__(self, first: int, paths: Sequence[RegexPath]) -> None:
        super().__init__(first, paths)
        self._regexes = RegexSet([each.regex.pattern for each in paths])

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits."""
        places = self._regexes.find(path)
        if places is None:
            return super().find(path)
        return [self._first + place for place in places] if places else NOTHING


def runs_of(paths: Sequence[PathMatcher | None]) -> tuple[Run, ...]:
    """Cut a virtual host's paths into runs; None fits every path."""
    runs, first = [], 0
    for kind, group in itertools.groupby((path or EVERY_PATH for path in paths), _kind):
        members = list(group)
        runs.append(kind(first, members))
        first += len(members)
    return tuple(runs)


def _kind(path: PathMatcher) -> type[Run]:
    if isinstance(path, RegexPath):
        return RegexRun
    if isinstance(path, ExactPath) and not path.ignore_case:
        return ExactRun
    if isinstance(path, PrefixPath) and not (path.ignore_case or path.separated):
        return PrefixRun
    return Run
