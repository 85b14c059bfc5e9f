"""/requests: the last requests of all kinds, which are kept while somebody asks. It must not know how they are kept."""

import json
from typing import Any

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, Request, Response, bad_request
from envoymesh.http.recent_requests import KEPT, Recent, RecentRequest


def requests(context: AdminParts, request: Request) -> Response:
    """Those after `since`, the newest `limit` of them, the oldest first."""
    numbers = [request.params.get("since", "0"), request.params.get("limit", str(KEPT))]
    if not all(each.isascii() and each.isdigit() and len(each) < 18 for each in numbers):
        return bad_request("usage: /requests?since=SEQUENCE&limit=NUMBER\n")
    since, limit = map(int, numbers)
    return Response(json.dumps(_told(context.recent(), since, limit)) + "\n", content_type=JSON)


def _told(recent: Recent, since: int, limit: int) -> dict[str, Any]:
    found = [each for each in recent.requests if each.sequence > since]
    return {
        "schema": 1,
        "source": recent.source,
        "share": recent.share,
        "seen": recent.seen,
        "failed": recent.failed,
        "requests": [_record(each) for each in found[max(0, len(found) - limit) :]],
    }


def _record(each: RecentRequest) -> dict[str, Any]:
    """As data: phases in one object, null where one has not happened."""
    told: dict[str, Any] = each._asdict()
    names = {"request": "request", "connect": "connect", "upstream": "upstream_wait", "response": "response"}
    times = {name: told.pop(field) for name, field in names.items()}
    return {**told, "phases": {name: None if ms < 0 else ms for name, ms in times.items()}}


ENDPOINTS = (
    Endpoint(
        "/requests",
        "list the last requests, kept for ten seconds after each look",
        requests,
        parameters=(
            Parameter(ParameterKind.STRING, "since", "Only those after this sequence number"),
            Parameter(ParameterKind.STRING, "limit", "At most so many, the newest"),
        ),
        shows_counts=True,
        hidden=True,
    ),
)
