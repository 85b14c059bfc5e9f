"""Matchers of a request's headers (envoy.config.route.v3.HeaderMatcher). They must not look at anything else of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envoymesh.http.headers import PSEUDO_HEADERS, RequestHeaders
from envoymesh.matching.strings import BytesMatcher, quoted


def request_header_value(headers: RequestHeaders, name: bytes) -> bytes | None:
    """A header's value, several joined with commas; pseudo-headers and Host included."""
    pseudo = PSEUDO_HEADERS.get(name)
    if pseudo is not None:
        return pseudo(headers)
    return headers.joined(name)


def request_header_values(headers: RequestHeaders, name: bytes) -> list[bytes]:
    """All values of a header, pseudo-headers and Host included."""
    pseudo = PSEUDO_HEADERS.get(name)
    if pseudo is None:
        return headers.get_all(name)
    value = pseudo(headers)
    return [] if value is None else [value]


@dataclass(frozen=True, slots=True)
class HeaderMatcher:
    """envoy.config.route.v3.HeaderMatcher.

    Args:
        value: decides on the value; None matches presence alone.
        present: with `value` None, whether the header must be there or must not.
        missing_as_empty: `treat_missing_header_as_empty`.
    """

    name: bytes
    value: BytesMatcher | None = None
    present: bool = True
    invert: bool = False
    missing_as_empty: bool = False

    def matches(self, headers: RequestHeaders) -> bool:
        """Whether the headers fit."""
        values = request_header_values(headers, self.name)
        if not values and self.missing_as_empty:
            values = [b""]
        if self.value is None:
            return (bool(values) == self.present) != self.invert
        # As in Envoy (HeaderUtility) each value is compared by itself; an absent header never fits, inverted or not.
        return bool(values) and any(map(self.value.matches, values)) != self.invert

    def why_not(self, headers: RequestHeaders) -> str:
        """Why the headers do not fit, for people; empty where they do."""
        if self.matches(headers):
            return ""
        name, values = self.name.decode("latin-1"), request_header_values(headers, self.name)
        shown = f"{name} is {', '.join(map(quoted, values))}" if values else f"there is no {name}"
        if self.value is None:
            return shown if values else f"{shown}, which must be present"
        return f"{shown}, and the route wants {'anything but ' if self.invert else ''}{self.value.describe()}"


def all_match(matchers: Sequence[HeaderMatcher], headers: RequestHeaders) -> bool:
    """Whether every header matcher fits; true for none."""
    return all(matcher.matches(headers) for matcher in matchers)
