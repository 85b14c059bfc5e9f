"""Matchers of what filters leave for others (envoy.type.matcher.v3.FilterStateMatcher)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envoymesh.http.stream_info import FilterState
from envoymesh.matching.addresses import AddressMatcher
from envoymesh.matching.strings import BytesMatcher


@dataclass(frozen=True, slots=True)
class FilterStateMatcher:
    """Looks at one object's text.

    Args:
        text: decides on the text, or
        address: on the address that the text is; one of both is None.
    """

    key: str
    text: BytesMatcher | None = None
    address: AddressMatcher | None = None

    def matches(self, states: Mapping[str, FilterState] | None) -> bool:
        """Whether the object is there, has a text, and the text fits; `states` None is none at all."""
        state = None if states is None else states.get(self.key)
        value = None if state is None else state.as_text()
        if value is None:
            return False
        if self.text is not None:
            return self.text.matches(value.encode())
        return self.address is not None and self.address.matches(value)
