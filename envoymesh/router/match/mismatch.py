"""Why a request does not take a route: what route matchers tell people. It must not decide anything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first condition that did not hold.

    Attributes:
        field: of envoy.config.route.v3.RouteMatch, such as ``headers[0]``.
        why: what the route wants and what the request has.
    """

    field: str
    why: str
