"""What the buffer filter would do with a request, for people."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.http.buffer.filter import BufferSettings
from envoymesh.filters.http.explanation import FILTER, PER_ROUTE, FilterCase, Saying


def explain_buffer(case: FilterCase) -> Sequence[Saying]:
    """Whether the request waits here for its end, and how much of it may."""
    own = case.per_route[-1] if case.per_route else None
    limit = int(case.settings.get("max_request_bytes", 0))
    if isinstance(own, BufferSettings):
        if own.disabled:
            return [Saying("the route switches it off: the request passes as it comes", PER_ROUTE, "disabled")]
        limit = own.max_request_bytes
    if not case.has_body:
        return [Saying("the request has no body, so there is nothing to wait for")]
    text = f"the request is kept until it is whole; a body of more than {limit} bytes is answered 413"
    level, field = (FILTER, "max_request_bytes") if own is None else (PER_ROUTE, "buffer.max_request_bytes")
    return [Saying(text, level, field)]
