"""Which routes of a virtual host fit a path, found without asking each of them.

Routes are divided into runs of one kind, in their order: the regexes of a run are one automaton, its exact paths and
prefixes are dictionaries with a look-up for each length that there is. A run gives those of its routes whose path fits,
in the order of the configuration, which still decides. Where the kinds alternate too often, all routes of a kind make
one run, and the answers are merged. This module must not look at anything but the path.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from envoymesh.matching.strings import RegexMatcher, RegexSet
from envoymesh.router.paths import ExactPath, PathMatcher, PrefixPath, RegexPath, TemplatePath

Positions = Sequence[int]
"""Places in the virtual host's list of routes, in ascending order."""

NOTHING: Final[Positions] = ()

EVERY_PATH: Final = PrefixPath(b"")

MOST_RUNS: Final = 4
"""From more runs on they are merged: a look-up for each would cost more than asking for all at once."""

_SLASH: Final = 47

Entry = tuple[int, PathMatcher]
"""A route's place and its path."""


class Run:
    """Some routes, whose paths are compared one by one.

    Args:
        entries: their places, in ascending order, and their path matchers.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits; `path` is without its query."""
        return [place for place, each in self.entries if each.matches(path)]


class Texts:
    """Exact paths, prefixes and prefixes that end at a slash, all in dictionaries."""

    __slots__ = ("_exact", "_lengths", "_prefixes", "_separated")

    def __init__(self) -> None:
        self._exact: dict[bytes, list[int]] = {}
        self._prefixes: dict[bytes, list[int]] = {}
        self._separated: dict[bytes, list[int]] = {}
        self._lengths: tuple[int, ...] = ()

    def add(self, place: int, path: PathMatcher, fold: bool) -> None:
        """Take a path in."""
        if isinstance(path, ExactPath):
            group, text = self._exact, path.path
        elif isinstance(path, PrefixPath):
            group, text = self._separated if path.separated else self._prefixes, path.prefix
        else:
            raise TypeError(f"{path!r} is no text")
        group.setdefault(text.lower() if fold else text, []).append(place)

    def freeze(self) -> None:
        """All have been added: make what look-ups need."""
        self._lengths = tuple(sorted({len(each) for each in (*self._prefixes, *self._separated)}))

    def find(self, path: bytes) -> Positions:
        """The places whose path fits."""
        found = self._exact.get(path)
        prefixes, separated, size, several = self._prefixes, self._separated, len(path), False
        for length in self._lengths:
            if length > size:
                break
            head = path[:length]
            some = prefixes.get(head)
            if some is not None:
                several = found is not None
                found = some if found is None else found + some
            if separated and (length == size or path[length] == _SLASH):
                some = separated.get(head)
                if some is not None:
                    several = found is not None
                    found = some if found is None else found + some
        if found is None:
            return NOTHING
        return sorted(found) if several else found


class TextRun(Run):
    """Exact paths and prefixes; those that ignore case are looked up in lower case."""

    __slots__ = ("_any_case", "_as_it_is")

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(())
        self._as_it_is: Texts | None = None
        self._any_case: Texts | None = None
        for place, path in entries:
            if _ignores_case(path):
                self._any_case = self._any_case or Texts()
                self._any_case.add(place, path, True)
            else:
                self._as_it_is = self._as_it_is or Texts()
                self._as_it_is.add(place, path, False)
        for each in (self._as_it_is, self._any_case):
            if each is not None:
                each.freeze()

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits."""
        found = NOTHING if self._as_it_is is None else self._as_it_is.find(path)
        if self._any_case is None:
            return found
        more = self._any_case.find(path.lower())
        return sorted([*found, *more]) if found and more else found or more


class RegexRun(Run):
    """Regexes and URI templates, one automaton."""

    __slots__ = ("_places", "_regexes")

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(entries)
        self._places = [place for place, _ in entries]
        self._regexes = RegexSet([_regex_of(path).pattern for _, path in entries])

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits."""
        found = self._regexes.find(path)
        if found is None:
            return super().find(path)
        return [self._places[each] for each in found] if found else NOTHING


class MergedRun(Run):
    """Several runs, of routes that alternate in the configuration: their answers are merged."""

    __slots__ = ("runs",)

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(())
        self.runs = tuple(runs)

    def find(self, path: bytes) -> Positions:
        """The routes whose path fits."""
        found: list[int] = []
        for run in self.runs:
            found.extend(run.find(path))
        found.sort()
        return found


def runs_of(paths: Sequence[PathMatcher | None]) -> tuple[Run, ...]:
    """Cut a virtual host's paths into runs; None fits every path."""
    entries = [(place, path or EVERY_PATH) for place, path in enumerate(paths)]
    runs = tuple(_run(kind, list(group)) for kind, group in itertools.groupby(entries, _kind))
    if len(runs) <= MOST_RUNS:
        return runs
    together = [_run(kind, list(group)) for kind, group in itertools.groupby(sorted(entries, key=_kind), _kind)]
    return (MergedRun(together),)


_TEXT: Final = 0
_REGEX: Final = 1
_OTHER: Final = 2


def _run(kind: int, entries: Sequence[Entry]) -> Run:
    if kind == _TEXT:
        return TextRun(entries)
    return RegexRun(entries) if kind == _REGEX else Run(entries)


def _kind(entry: Entry) -> int:
    path = entry[1]
    if isinstance(path, RegexPath | TemplatePath):
        return _REGEX
    return _TEXT if isinstance(path, ExactPath | PrefixPath) else _OTHER


def _ignores_case(path: PathMatcher) -> bool:
    return isinstance(path, ExactPath | PrefixPath) and path.ignore_case


def _regex_of(path: PathMatcher) -> RegexMatcher:
    if isinstance(path, RegexPath | TemplatePath):
        return path.regex
    raise TypeError(f"{path!r} is no regex")
