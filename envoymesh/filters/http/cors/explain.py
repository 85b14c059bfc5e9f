"""What the CORS filter would do with a request, for people."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.http.cors.filter import is_preflight, policy_of
from envoymesh.filters.http.explanation import FILTER, PER_ROUTE, FilterCase, Saying
from envoymesh.matching.strings import quoted
from envoymesh.router.cors import CorsPolicy


def explain_cors(case: FilterCase) -> Sequence[Saying]:
    """Whether the origin is allowed, and who answers."""
    origin = case.headers.joined(b"origin")
    if not origin:
        return [Saying("the request has no origin header: no browser's page of another site asks, so nothing is done")]
    policy = policy_of(case.route, case.per_route)
    if policy is None:
        return [Saying("neither the route nor its virtual host has a CorsPolicy, so the answer allows no other site")]
    return _of_policy(case, policy, origin)


def _of_policy(case: FilterCase, policy: CorsPolicy, origin: bytes) -> list[Saying]:
    level = PER_ROUTE if case.per_route else FILTER
    wanted = ", ".join(each.describe() for each in policy.allow_origins) or "none"
    if not policy.enabled():
        text = f"the policy is not in force (filter_enabled); it would allow these origins: {wanted}"
        return [Saying(text, level, "filter_enabled")]
    allowed = policy.allows(origin)
    verdict = "is allowed" if allowed else "is not allowed: the browser will not show the answer to the page"
    text = f"the origin {quoted(origin)} {verdict} (allowed origins: {wanted})"
    sayings = [Saying(text, level, "allow_origin_string_match")]
    if not is_preflight(case.headers):
        return sayings
    if allowed or policy.forward_not_matching_preflights is False:
        return [*sayings, Saying("it is a preflight request: answered here, with 200, and no upstream sees it")]
    return [
        *sayings,
        Saying("it is a preflight request that goes on to the upstream (forward_not_matching_preflights)"),
    ]
