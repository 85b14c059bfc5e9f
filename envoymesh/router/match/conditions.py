"""Conditions of routes that look at more than headers: chance, TLS, metadata, filter state.

Each is made at load, and a route without any pays nothing. They must not change anything.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from mypy_extensions import trait

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.runtime import RuntimeShare

if TYPE_CHECKING:
    from envoymesh.matching.filter_state import FilterStateMatcher
    from envoymesh.matching.values import MetadataMatcher

GOLDEN_RATIO: Final = 0.6180339887498949
"""Its multiples, without their whole parts, are spread as evenly as can be."""


@trait
class RouteCondition:
    """Something that a request must be."""

    __slots__ = ()

    @abstractmethod
    def holds(self, headers: RequestHeaders, info: StreamInfo | None) -> bool:
        """Whether it is; `info` is None where nothing but the headers is known."""

    @abstractmethod
    def describe(self) -> tuple[str, str]:
        """What it wants, for people: the field of RouteMatch, and a few words."""


class RuntimeFraction(RouteCondition):
    """`runtime_fraction`. As in Envoy one number decides for all routes that a request is held against.

    Args:
        share: of all requests.
        start: from 0 to 1, the same for all routes of a table.
    """

    __slots__ = ("_start", "share")

    def __init__(self, share: RuntimeShare, start: float) -> None:
        self.share = share
        self._start = start

    def holds(self, headers: RequestHeaders, info: StreamInfo | None) -> bool:
        """Whether this request is one of the share."""
        share = self.share.share
        if share >= 1.0 or share <= 0.0:
            return share > 0.0
        number = 0 if info is None else info.stream_id
        return (self._start + number * GOLDEN_RATIO) % 1.0 < share

    def describe(self) -> tuple[str, str]:
        """The share as it is now."""
        key = f" (runtime key {self.share.key})" if self.share.key else ""
        return "runtime_fraction", f"{self.share.share:.4%} of the requests{key}"


class TlsContext(RouteCondition):
    """`tls_context`: None leaves open whether a certificate was presented, or found valid."""

    __slots__ = ("presented", "validated")

    def __init__(self, presented: bool | None, validated: bool | None) -> None:
        self.presented = presented
        self.validated = validated

    def holds(self, headers: RequestHeaders, info: StreamInfo | None) -> bool:
        """Whether the client's certificate is as wanted; without TLS there is none."""
        tls = None if info is None else info.downstream.tls
        if self.presented is not None and self.presented != (tls is not None and tls.peer_certificate_presented):
            return False
        return self.validated is None or self.validated == (tls is not None and tls.peer_certificate_validated)

    def describe(self) -> tuple[str, str]:
        """What the client's certificate must be."""
        wanted = (("presented", self.presented), ("validated", self.validated))
        words = [name if value else f"not {name}" for name, value in wanted if value is not None]
        return "tls_context", f"a client certificate that is {' and '.join(words) or 'of any kind'}"


class DynamicMetadata(RouteCondition):
    """One of `dynamic_metadata`."""

    __slots__ = ("matcher",)

    def __init__(self, matcher: MetadataMatcher) -> None:
        self.matcher = matcher

    def holds(self, headers: RequestHeaders, info: StreamInfo | None) -> bool:
        """Whether the value that filters have left fits."""
        return self.matcher.matches(None if info is None else info.dynamic_metadata)

    def describe(self) -> tuple[str, str]:
        """Where the value stands."""
        return "dynamic_metadata", f"a value at {self.matcher.namespace}: {'.'.join(self.matcher.path)}"


class FilterStateCondition(RouteCondition):
    """One of `filter_state`."""

    __slots__ = ("matcher",)

    def __init__(self, matcher: FilterStateMatcher) -> None:
        self.matcher = matcher

    def holds(self, headers: RequestHeaders, info: StreamInfo | None) -> bool:
        """Whether the object that filters have left fits."""
        return self.matcher.matches(None if info is None else info.filter_state)

    def describe(self) -> tuple[str, str]:
        """Which object it asks for."""
        return "filter_state", f"an object {self.matcher.key}"


class IsConnect(RouteCondition):
    """`connect_matcher`: RFC 9110's CONNECT, which has no path, or RFC 9298's connect-udp."""

    __slots__ = ()

    def holds(self, headers: RequestHeaders, info: StreamInfo | None) -> bool:
        """Whether the request asks for a tunnel."""
        return headers.method == b"CONNECT" or (headers.get(b"upgrade") or b"").lower() == b"connect-udp"

    def describe(self) -> tuple[str, str]:
        """What the request must be."""
        return "connect_matcher", "a CONNECT request"
