"""Which sites' pages may read the answers of a route (CORS), by its settings; `filters/http/cors` applies them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from envoymesh.matching.strings import BytesMatcher

_ANY = b"*"


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """envoy.extensions.filters.http.cors.v3.CorsPolicy; what is empty or None is for the next level to say.

    Args:
        filter_enabled: asked for each request; None is always.
        shadow_enabled: the same, for counting only; None is never.
    """

    allow_origins: Sequence[BytesMatcher] = ()
    allow_methods: bytes = b""
    allow_headers: bytes = b""
    expose_headers: bytes = b""
    max_age: bytes = b""
    allow_credentials: bool | None = None
    allow_private_network_access: bool | None = None
    forward_not_matching_preflights: bool | None = None
    filter_enabled: Callable[[], bool] | None = None
    shadow_enabled: Callable[[], bool] | None = None

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may read the answers. A matcher that takes ``*`` takes every origin."""
        return any(matcher.matches(_ANY) or matcher.matches(origin) for matcher in self.allow_origins)

    def enabled(self) -> bool:
        """Whether it is in force for this request."""
        return self.filter_enabled is None or self.filter_enabled()

    def shadowed(self) -> bool:
        """Whether it is at least counted."""
        return self.shadow_enabled is not None and self.shadow_enabled()


def effective_policy(levels: Sequence[CorsPolicy]) -> CorsPolicy | None:
    """What is in force where several levels have a policy, the most specific one last (CorsFilter's accessors).

    Each value comes from the most specific level that has it; but only the last level says whether it is in force.
    """
    if len(levels) < 2:
        return levels[0] if levels else None
    policies = levels[::-1]
    return CorsPolicy(
        allow_origins=next((each.allow_origins for each in policies if each.allow_origins), ()),
        allow_methods=next((each.allow_methods for each in policies if each.allow_methods), b""),
        allow_headers=next((each.allow_headers for each in policies if each.allow_headers), b""),
        expose_headers=next((each.expose_headers for each in policies if each.expose_headers), b""),
        max_age=next((each.max_age for each in policies if each.max_age), b""),
        allow_credentials=_first([each.allow_credentials for each in policies]),
        allow_private_network_access=_first([each.allow_private_network_access for each in policies]),
        forward_not_matching_preflights=_first([each.forward_not_matching_preflights for each in policies]),
        filter_enabled=policies[0].filter_enabled,
        shadow_enabled=policies[0].shadow_enabled,
    )


def _first(values: Sequence[bool | None]) -> bool | None:
    return next((value for value in values if value is not None), None)
