"""What HTTP filters tell people: each says from its own folder what it would do with a request, and why.

A filter's `explain` (`registry.HttpFilter.explain`) is asked about a request that has been through a dry run; it uses
the functions that serve, and decides nothing anew. This module must not know any filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.table import Route

FILTER = "filter"
ROUTE = "route"
VIRTUAL_HOST = "virtual_host"
PER_ROUTE = "per_route"


@dataclass(frozen=True, slots=True)
class FilterCase:
    """A request at a filter.

    Args:
        settings: the filter's message in `http_filters` as JSON, with the proto's field names.
        per_route: its settings of all levels of the route, as its own reader made them, the most specific one last.
        route: the matched route; of weighted clusters the variant that was taken.
        headers: as they came to the filter. A copy: it may be changed.
        has_body: whether more than headers came.
    """

    settings: Mapping[str, Any]
    per_route: Sequence[Any]
    route: Route | None
    headers: RequestHeaders
    has_body: bool
    info: StreamInfo


@dataclass(frozen=True, slots=True)
class Saying:
    """One sentence of a filter.

    Args:
        level: where `field` stands: FILTER (its own message), PER_ROUTE (its most specific settings in
            `typed_per_filter_config`), ROUTE or VIRTUAL_HOST.
        field: what the sentence is about, a path below that level; empty for the whole of it.
    """

    text: str
    level: str = FILTER
    field: str = ""


Explain = Callable[[FilterCase], Sequence[Saying]]
