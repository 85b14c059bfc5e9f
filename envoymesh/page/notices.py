"""What has happened between two snapshots, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_STATES = {
    "stopped": ("killed", "{} has stopped."),
    "unreachable": ("unreachable", "{} does not answer any more."),
    "unhealthy": ("unhealthy", "{} fails its health check."),
    "starting": ("starting", "{} is starting."),
    "healthy": ("recovered", "{} is healthy."),
}
_FLAGS = {
    "failed_outlier_check": ("ejected", "{to} was ejected by {by}: too many of its answers were failures."),
    "failed_active_hc": ("unhealthy", "{to} fails the health check of {by}."),
}


def notices(before: Json, after: Json) -> Iterator[tuple[str, str]]:
    """(kind, sentence) of each change."""
    yield from _nodes(_by_id(before["nodes"]), _by_id(after["nodes"]))
    yield from _edges(_by_id(before["edges"]), _by_id(after["edges"]))
    if before["example"] != after["example"]:
        yield "example", f"The example {after['example']} runs." if after["example"] else "The plain mesh runs."


def _by_id(things: list[Json]) -> dict[str, Json]:
    return {each["id"]: each for each in things}


def _nodes(before: dict[str, Json], after: dict[str, Json]) -> Iterator[tuple[str, str]]:
    for id_, node in after.items():
        known = before.get(id_)
        if node["kind"] == "group" and known is not None and known.get("count") != node["count"]:
            yield "scaled", f"{id_} has {node['count']} replicas."
        elif known is None and node["kind"] != "external":
            yield "scaled", f"{id_} has come."
        elif known is not None and known["state"] != node["state"]:
            kind, sentence = _STATES[node["state"]]
            yield kind, sentence.format(id_)
    for id_ in before.keys() - after.keys():
        if before[id_]["kind"] != "external":
            yield "scaled", f"{id_} has gone."


def _edges(before: dict[str, Json], after: dict[str, Json]) -> Iterator[tuple[str, str]]:
    for id_, edge in after.items():
        known = before.get(id_)
        if known is None:
            continue
        for flag, (kind, sentence) in _FLAGS.items():
            if flag in edge["flags"] and flag not in known["flags"]:
                yield kind, sentence.format(to=edge["to"], by=edge["from"])
            elif flag in known["flags"] and flag not in edge["flags"]:
                yield "recovered", f"{edge['to']} gets requests of {edge['from']} again."
