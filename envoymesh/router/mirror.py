"""Mirroring of requests (envoy.config.route.v3.RouteAction.RequestMirrorPolicy): which cluster gets a copy of what.

Pure functions on settings and headers; sending is the router filter's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from envoymesh.formatter import FormatterContext
from envoymesh.http.headers import PSEUDO_HEADERS, HeaderMap, RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.strings import BytesMatcher
from envoymesh.router.header_parser import HeaderParser

_SUFFIX: Final = b"-shadow"


@dataclass(frozen=True, slots=True)
class RemoveOnMatch:
    """Removes the headers whose names match (envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch)."""

    key_matcher: BytesMatcher

    def evaluate_headers(self, headers: HeaderMap, context: FormatterContext) -> None:
        """Change the headers."""
        headers.remove_all([name for name in headers.index if self.key_matcher.matches(name)])


@dataclass(frozen=True, slots=True)
class MirrorPolicy:
    """One mirror.

    Args:
        cluster: its name; empty where a header of the request names it.
        cluster_header: that header, in lower case.
        chance: whether this request gets a copy, asked once for each; None is always.
        host_rewrite: what the copy is addressed to in the place of the request's host; empty leaves that.
        mutations: what to change in the copy's headers, one after another, before its host is changed.
        add_suffix: mark the copy's host with ``-shadow`` (`disable_shadow_host_suffix_append` unset).
    """

    cluster: str = ""
    cluster_header: bytes = b""
    chance: Callable[[], bool] | None = None
    host_rewrite: bytes = b""
    mutations: Sequence[HeaderParser | RemoveOnMatch] = ()
    add_suffix: bool = True

    def applies(self) -> bool:
        """Whether the request at hand gets a copy."""
        return self.chance is None or self.chance()

    def cluster_of(self, headers: RequestHeaders) -> str:
        """The mirror's cluster, empty where the request names none."""
        if not self.cluster_header:
            return self.cluster
        pseudo = PSEUDO_HEADERS.get(self.cluster_header)
        value = headers.get(self.cluster_header) if pseudo is None else pseudo(headers)
        return (value or b"").decode("latin-1")

    def headers_of(self, headers: RequestHeaders, info: StreamInfo, now: float) -> RequestHeaders:
        """The copy's headers; `now` is monotonic seconds."""
        copy = headers.copy()
        for mutation in self.mutations:
            mutation.evaluate_headers(copy, FormatterContext(info, copy, None, None, now))
        if self.host_rewrite:
            copy.authority = self.host_rewrite
        elif self.add_suffix and copy.authority is not None:
            copy.authority = shadow_host(copy.authority)
        return copy


def shadow_host(host: bytes) -> bytes:
    """A host with the suffix in front of its port."""
    name, colon, port = host.rpartition(b":")
    if not colon or host.endswith(b"]"):  # an IPv6 literal without a port
        return host + _SUFFIX
    return name + _SUFFIX + colon + port
