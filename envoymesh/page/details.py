"""What a click shows: the stats and the configuration of a part of the mesh, and a request's explanation."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from envoymesh.page.collector import Collector
from envoymesh.page.configuration import cluster_text, without_secrets
from envoymesh.page.errors import PageError
from envoymesh.page.origin import lines, moved
from envoymesh.page.picture import CLIENTS
from envoymesh.page.records import Record
from envoymesh.page.runtime import Place
from envoymesh.page.watch import Watch

MOST_STATS = 5000
NOTHING: dict[str, Any] = {"stats": [], "yaml": None}


async def part(collector: Collector, id_: str) -> dict[str, Any]:
    """Stats and YAML of a node or an edge. Errors: PageError (404) where there is none of this id."""
    known = {each["id"] for each in [*collector.snapshot.get("nodes", []), *collector.snapshot.get("edges", [])]}
    if id_ not in known:
        raise PageError(f"There is no {id_} in the mesh.", 404)
    source, _, _ = id_.partition(">")
    if ">" not in id_:
        watch = collector.watches.get(id_)
        return NOTHING if watch is None else await _of_proxy(collector, watch)
    if source == CLIENTS:
        return await _of_proxy(collector, collector.watch_of(id_.partition(">")[2]))
    watch = collector.watches.get(source)
    edge = next(each for each in collector.snapshot["edges"] if each["id"] == id_)
    return NOTHING if watch is None else await _of_clusters(collector, watch, edge["cluster"].split(", "))


async def _of_proxy(collector: Collector, watch: Watch) -> dict[str, Any]:
    if not watch.place.admin:
        return NOTHING
    file, text = await _text(collector, watch)
    return {"stats": await _stats(collector, watch, ""), "yaml": {"file": file, "line": 1, "text": text}}


async def _of_clusters(collector: Collector, watch: Watch, names: list[str]) -> dict[str, Any]:
    if not watch.place.admin:
        return NOTHING
    file, text = await _text(collector, watch)
    found = [each for each in (cluster_text(text, name) for name in names) if each is not None]
    pattern = "^cluster\\.(" + "|".join(re.escape(name).replace(":", "_") for name in names) + ")\\."
    shown = {"file": file, "line": found[0][0], "text": "\n".join(each[1] for each in found)} if found else None
    return {"stats": await _stats(collector, watch, pattern), "yaml": shown}


async def _stats(collector: Collector, watch: Watch, pattern: str) -> list[list[Any]]:
    """Names and values of those that were ever written."""
    query = f"/stats?usedonly&filter={quote(pattern, safe='')}" if pattern else "/stats?usedonly"
    pairs = [line.partition(": ") for line in (await collector.admin.text(watch.place.admin, query)).splitlines()]
    return [[name, int(value) if value.isdigit() else value] for name, found, value in pairs if found][:MOST_STATS]


async def _text(collector: Collector, watch: Watch) -> tuple[str, str]:
    """A proxy's configuration: the file that people edit; where that is out of reach, what the admin tells."""
    if watch.place.text:
        return watch.place.source, without_secrets(watch.place.text)
    dump = await collector.admin.json(watch.place.admin, "/config_dump", patient=True)
    made = yaml.safe_dump(dump["configs"][0]["bootstrap"], sort_keys=False, width=120)
    return "/config_dump", without_secrets(made)


async def explanation(collector: Collector, record: Record) -> dict[str, Any] | None:
    """What the proxy says of a request: what it would do with it now, and why it failed, where it did."""
    watch = collector.watches.get(record["proxy"])
    if watch is None or not watch.place.admin:
        return None
    failed = None
    if record["flags"] != "-" or record["status"] >= 500:
        failed = await _failure(collector, watch, record)
    try:
        told = await collector.admin.json(watch.place.admin, _question(record), patient=True)
    except PageError:
        return failed
    told = await asyncio.to_thread(_at_origin, told, watch.place)
    return {**told, "why": failed["why"]} if failed else told


def _at_origin(told: dict[str, Any], place: Place) -> dict[str, Any]:
    """An explanation that points to the file which people edit."""
    if not (place.runs and place.text):
        return told
    try:
        copy = Path(place.runs).read_text(encoding="utf-8")
    except OSError:
        return told
    found: dict[str, Any] = moved(told, place.runs, place.source, lines(copy, place.text))
    return found


async def _failure(collector: Collector, watch: Watch, record: Record) -> dict[str, Any] | None:
    told = await collector.admin.json(watch.place.admin, "/failures?format=json")
    same = (each for each in told["failures"] if each["request_id"] == record["request_id"] and record["request_id"])
    return next(same, None)


def _question(record: Record) -> str:
    pairs = {
        "url": f"http://{record['authority'] or 'localhost'}{record['path']}",
        "method": record["method"],
        "listener": record["listener"],
        "format": "json",
    }
    return "/explain?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items() if value)
