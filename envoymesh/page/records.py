"""The requests that the proxies told of, joined over proxies by x-request-id. Bounded; it asks nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from envoymesh.page.runtime import REPLICA_TIER, Place

KEPT = 4000
SENT_AT_ONCE = 50

Record = dict[str, Any]


def record_of(place: Place, source: str, told: dict[str, Any], upstream: str) -> Record:
    """A request as the page shows it. `upstream`: the replica's name, or the host's address."""
    same = ("time", "method", "path", "authority", "status", "flags", "details", "route", "virtual_host", "cluster")
    return {
        "id": f"{source}-{told['sequence']}",
        "proxy": place.name,
        **{name: told[name] for name in same},
        "upstream": upstream,
        "ms": told["duration"],
        "protocol": told["protocol"],
        "bytes_in": told["bytes_received"],
        "bytes_out": told["bytes_sent"],
        "phases": told["phases"],
        "request_id": told["request_id"],
        "listener": told["listener"],
    }


def is_check(place: Place, told: dict[str, Any]) -> bool:
    """Whether a request is the runtime's own health check, which comes to the sidecar itself."""
    return place.tier == REPLICA_TIER and told["path"] in place.checks


class Records:
    """The last KEPT."""

    def __init__(self) -> None:
        self._kept: deque[Record] = deque()
        self._by_id: dict[str, Record] = {}
        self._by_request: dict[str, list[Record]] = {}

    def add(self, record: Record) -> None:
        """The newest one."""
        if len(self._kept) >= KEPT:
            self._forget(self._kept.popleft())
        self._kept.append(record)
        self._by_id[record["id"]] = record
        if record["request_id"]:
            self._by_request.setdefault(record["request_id"], []).append(record)

    def _forget(self, record: Record) -> None:
        self._by_id.pop(record["id"], None)
        same = [each for each in self._by_request.pop(record["request_id"], []) if each is not record]
        if same:
            self._by_request[record["request_id"]] = same

    def find(self, id_: str) -> Record | None:
        """One by its id."""
        return self._by_id.get(id_)

    def tiers(self, record: Record, tier_of: Callable[[str], int]) -> list[Record]:
        """What each proxy told of the same request, the first one's first."""
        same = self._by_request.get(record["request_id"], [record])
        return sorted(same, key=lambda each: (tier_of(each["proxy"]), each["time"]))


def to_send(records: Iterable[Record], tier_of: Callable[[str], int]) -> list[Record]:
    """At most SENT_AT_ONCE of the new ones, whole requests where there are more: those that the front took last."""
    ordered = sorted(records, key=lambda each: each["time"] + each["ms"] / 1000)
    if len(ordered) <= SENT_AT_ONCE:
        return ordered
    size: dict[str, int] = {}
    for each in ordered:
        size[each["request_id"]] = size.get(each["request_id"], 0) + 1
    chosen: set[str] = set()
    room = SENT_AT_ONCE
    for each in reversed(ordered):
        name = each["request_id"]
        if name not in chosen and size[name] <= room and tier_of(each["proxy"]) == 1:
            chosen.add(name)
            room -= size[name]
    return [each for each in ordered if each["request_id"] in chosen]
