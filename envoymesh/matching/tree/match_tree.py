"""Matcher trees (Envoy's `MatchTree`): predicates and maps that lead to an action.

Three answers are possible everywhere: yes, no, and that what is needed has not come yet (`INSUFFICIENT`); a tree that
is asked again when more is here may answer then. A branch that leads to nothing is no match: the tree goes on behind
it, and in the end takes `on_no_match`. This module must not know what actions are, nor where its parts come from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from mypy_extensions import trait

from envoymesh.matching.addresses import AddressMatcher, AddressTable, Network, is_address
from envoymesh.matching.strings import BytesMatcher
from envoymesh.matching.tree.data import MatchingData
from envoymesh.matching.tree.inputs import DataInput, MetadataInput
from envoymesh.matching.values import ValueMatcher
from envoymesh.stats.primitives import Counter

NO: Final = 0
YES: Final = 1
INSUFFICIENT: Final = 2

INSUFFICIENT_DATA: Final = object()
"""In the place of an action: ask again when more of the request is here."""


# Predicates


@trait
class Predicate:
    """Decides whether a branch is taken."""

    __slots__ = ()

    @abstractmethod
    def matches(self, data: MatchingData) -> int:
        """YES, NO or INSUFFICIENT."""


class TextPredicate(Predicate):
    """`single_predicate`: an input's text and a matcher. A text that is not there fits nothing."""

    __slots__ = ("input", "matcher")

    def __init__(self, source: DataInput, matcher: BytesMatcher) -> None:
        self.input = source
        self.matcher = matcher

    def matches(self, data: MatchingData) -> int:
        """Ask the matcher."""
        if not self.input.available(data):
            return INSUFFICIENT
        text = self.input.text(data)
        return YES if text is not None and self.matcher.matches(text) else NO


class AddressText(BytesMatcher):
    """envoy.extensions.matching.input_matchers.ip.v3.Ip: whether a text is an address in some ranges.

    Args:
        failed: counts texts that are no addresses (`ip_parsing_failed`); None: not counted.
    """

    __slots__ = ("failed", "ranges")

    def __init__(self, ranges: AddressMatcher, failed: Counter | None = None) -> None:
        self.ranges = ranges
        self.failed = failed

    def matches(self, value: bytes) -> bool:
        """Whether it is."""
        text = value.decode("latin-1")
        if self.ranges.matches(text):
            return True
        if self.failed is not None and text and not is_address(text):
            self.failed.inc()
        return False


class MetadataPredicate(Predicate):
    """envoy.extensions.matching.input_matchers.metadata.v3.Metadata, asked of dynamic metadata."""

    __slots__ = ("input", "invert", "matcher")

    def __init__(self, source: MetadataInput, matcher: ValueMatcher, invert: bool) -> None:
        self.input = source
        self.matcher = matcher
        self.invert = invert

    def matches(self, data: MatchingData) -> int:
        """Ask the matcher."""
        return YES if self.matcher.matches(self.input.value(data)) != self.invert else NO


class NeverPredicate(Predicate):
    """A matcher of metadata asked of a text, or the other way round: as in Envoy it fits nothing."""

    __slots__ = ()

    def matches(self, data: MatchingData) -> int:
        """No."""
        return NO


class _Several(Predicate):
    """Several predicates, asked in order, as long as each gives the same answer."""

    __slots__ = ("_same", "predicates")

    def __init__(self, predicates: Sequence[Predicate], same: int) -> None:
        self.predicates = tuple(predicates)
        self._same = same

    def matches(self, data: MatchingData) -> int:
        """The first answer that is another one, or else the one that all have given."""
        for predicate in self.predicates:
            found = predicate.matches(data)
            if found != self._same:
                return found
        return self._same


class AnyOf(_Several):
    """`or_matcher`: asked until one says yes or cannot say."""

    __slots__ = ()

    def __init__(self, predicates: Sequence[Predicate]) -> None:
        super().__init__(predicates, NO)


class AllOf(_Several):
    """`and_matcher`: asked until one says no or cannot say."""

    __slots__ = ()

    def __init__(self, predicates: Sequence[Predicate]) -> None:
        super().__init__(predicates, YES)


class Not(Predicate):
    """`not_matcher`."""

    __slots__ = ("predicate",)

    def __init__(self, predicate: Predicate) -> None:
        self.predicate = predicate

    def matches(self, data: MatchingData) -> int:
        """The other answer, if there is one."""
        found = self.predicate.matches(data)
        return found if found == INSUFFICIENT else YES - found


# Trees


@trait
class MatchTree:
    """From facts to an action."""

    __slots__ = ()

    @abstractmethod
    def match(self, data: MatchingData) -> object | None:
        """The action; None for no match; INSUFFICIENT_DATA."""


class OnMatch:
    """Where a branch leads: an action, or another tree.

    Args:
        keep_matching: the tree goes on behind this branch as if it led nowhere.
    """

    __slots__ = ("action", "keep_matching", "tree")

    def __init__(
        self, action: object | None = None, tree: MatchTree | None = None, keep_matching: bool = False
    ) -> None:
        self.action = action
        self.tree = tree
        self.keep_matching = keep_matching

    def resolve(self, data: MatchingData) -> object | None:
        """As `MatchTree.match`."""
        found = self.action if self.tree is None else self.tree.match(data)
        return None if self.keep_matching and found is not INSUFFICIENT_DATA else found


class ListTree(MatchTree):
    """`matcher_list`: branches in order, the first that fits and leads somewhere counts. Without any, `on_no_match`."""

    __slots__ = ("branches", "on_no_match")

    def __init__(self, branches: Sequence[tuple[Predicate, OnMatch]], on_no_match: OnMatch | None) -> None:
        self.branches = tuple(branches)
        self.on_no_match = on_no_match

    def match(self, data: MatchingData) -> object | None:
        """Ask the branches."""
        for predicate, on_match in self.branches:
            answer = predicate.matches(data)
            if answer == INSUFFICIENT:
                return INSUFFICIENT_DATA
            if answer == YES:
                found = on_match.resolve(data)
                if found is not None:
                    return found
        return None if self.on_no_match is None else self.on_no_match.resolve(data)


class TextTree(MatchTree):
    """A tree that looks a text up; `candidates` says where it leads."""

    __slots__ = ("input", "on_no_match")

    def __init__(self, source: DataInput, on_no_match: OnMatch | None) -> None:
        self.input = source
        self.on_no_match = on_no_match

    @abstractmethod
    def candidates(self, text: bytes) -> Sequence[OnMatch]:
        """The branches that fit a text, the best one first."""

    def match(self, data: MatchingData) -> object | None:
        """Look the text up."""
        if not self.input.available(data):
            return INSUFFICIENT_DATA
        text = self.input.text(data)
        if text is not None:
            for on_match in self.candidates(text):
                found = on_match.resolve(data)
                if found is not None:
                    return found
        return None if self.on_no_match is None else self.on_no_match.resolve(data)


class ExactMap(TextTree):
    """`exact_match_map`."""

    __slots__ = ("children",)

    def __init__(self, source: DataInput, on_no_match: OnMatch | None, children: Mapping[bytes, OnMatch]) -> None:
        super().__init__(source, on_no_match)
        self.children = dict(children)

    def candidates(self, text: bytes) -> Sequence[OnMatch]:
        """The one of this text."""
        found = self.children.get(text)
        return () if found is None else (found,)


class PrefixMap(TextTree):
    """`prefix_match_map`: the longest prefix first."""

    __slots__ = ("_lengths", "children")

    def __init__(self, source: DataInput, on_no_match: OnMatch | None, children: Mapping[bytes, OnMatch]) -> None:
        super().__init__(source, on_no_match)
        self.children = dict(children)
        self._lengths = sorted({len(prefix) for prefix in children}, reverse=True)

    def candidates(self, text: bytes) -> Sequence[OnMatch]:
        """Those of its prefixes."""
        size = len(text)
        found = [self.children.get(text[:length]) for length in self._lengths if length <= size]
        return [each for each in found if each is not None]


class DomainMap(TextTree):
    """xds.type.matcher.v3.ServerNameMatcher: the name itself, then ``*.`` of what is behind each dot, then ``*``."""

    __slots__ = ("children",)

    def __init__(self, source: DataInput, on_no_match: OnMatch | None, children: Mapping[bytes, OnMatch]) -> None:
        super().__init__(source, on_no_match)
        self.children = dict(children)

    def candidates(self, text: bytes) -> Sequence[OnMatch]:
        """Those of its name and its wildcards."""
        names, dot = [text], text.find(b".")
        while dot >= 0:
            names.append(b"*" + text[dot:])
            dot = text.find(b".", dot + 1)
        found = [self.children.get(name) for name in ([*names, b"*"] if text else [])]
        return [each for each in found if each is not None]


class AddressRange:
    """One branch of an AddressTree; `exclusive` is not taken where a longer prefix led nowhere."""

    __slots__ = ("exclusive", "on_match")

    def __init__(self, on_match: OnMatch, exclusive: bool) -> None:
        self.on_match = on_match
        self.exclusive = exclusive


class AddressTree(TextTree):
    """xds.type.matcher.v3.IPMatcher: the longest prefix first, and of two alike the first one."""

    __slots__ = ("_table",)

    def __init__(
        self, source: DataInput, on_no_match: OnMatch | None, ranges: Sequence[tuple[Network, AddressRange]]
    ) -> None:
        super().__init__(source, on_no_match)
        self._table = AddressTable(ranges)

    def candidates(self, text: bytes) -> Sequence[OnMatch]:
        """Those that hold the address; a text that is none is in no range."""
        found = self._table.find(text.decode("latin-1"))
        return [each.on_match for place, each in enumerate(found) if place == 0 or not each.exclusive]
