"""An explanation as a guide for people, in colour where that is wanted. It must not know anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

Json = dict[str, Any]

_RESET: Final = "\x1b[0m"
_STYLES: Final = {"head": "\x1b[1m", "place": "\x1b[2m", "yes": "\x1b[32m", "no": "\x1b[31m", "": ""}
_SHORT: Final = 100


class Painter:
    """Puts styles around words; without colour it leaves them."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def paint(self, text: str, style: str) -> str:
        """Styled text."""
        return f"{_STYLES[style]}{text}{_RESET}" if self._colour and style else text

    def line(self, depth: int, text: str, place: Json | None = None, style: str = "") -> str:
        """One line: what there is to say, and where that stands."""
        where = shown_place(place)
        return "  " * depth + self.paint(text.rstrip(), style) + (f"  {self.paint(where, 'place')}" if where else "")


def shown_place(place: Json | None) -> str:
    """``file:line``; empty where it is not known."""
    if not place or place.get("line") is None:
        return ""
    return f"{place['file']}:{place['line']}"


def as_text(told: Json, colour: bool = False) -> str:
    """The whole explanation."""
    return "\n".join(_lines(told, Painter(colour))) + "\n"


def _lines(told: Json, painter: Painter) -> Iterator[str]:
    request = told["request"]
    yield painter.line(
        0, f"{request['method']} {request['authority']}{request['path']} from {request['from']}", style="head"
    )
    yield from (painter.line(1, each) for each in told["notes"])
    yield ""
    yield from _connection(told, painter)
    if told["problem"]:
        yield painter.line(1, told["problem"], style="no")
    if "answer" not in told:
        if not told["problem"]:
            yield painter.line(1, "it ends in a filter that is no HTTP connection manager: there are no requests here")
        return
    for section in (_edge, _routing, _filters, _action, _upstream, _way_back, _answer, _log):
        yield from section(told, painter)


def _connection(told: Json, painter: Painter) -> Iterator[str]:
    listener, chain = told["listener"], told["filter_chain"]
    name = listener["name"] or "(no name)"
    yield painter.line(0, f"Listener {name} at {listener['address']}", listener["place"], "head")
    yield painter.line(1, f"{listener['why']}")
    if chain["name"] is not None:
        kind = "the default filter chain" if chain["is_default"] else f"filter chain {chain['name']}".rstrip()
        yield painter.line(1, f"{kind}{', TLS' if chain['tls'] else ''}", chain["place"])
    for each in chain["others"]:
        yield painter.line(2, f"not {each['name'] or 'a chain'}: {each['why']}", each["place"])
    for each in told["network_filters"]:
        yield painter.line(1, f"network filter {each['name']}", each["place"])
        if "settings" in each:
            yield painter.line(2, _compact(each["settings"]))


def _edge(told: Json, painter: Painter) -> Iterator[str]:
    manager = told["connection_manager"]
    path = manager["path"]
    yield ""
    yield painter.line(0, f"HTTP connection manager {manager['stat_prefix']}", manager["place"], "head")
    changed = path["asked"] != path["normalised"]
    yield painter.line(1, f"path {path['asked']}" + (f" becomes {path['normalised']}" if changed else ", as it came"))
    yield from _changes(manager["request_changes"], painter, 1)


def _changes(changes: Sequence[Json], painter: Painter, depth: int) -> Iterator[str]:
    for each in changes:
        before, after = each["before"], each["after"]
        if before is None:
            text, style = f"+ {each['name']}: {', '.join(after)}", "yes"
        elif after is None:
            text, style = f"- {each['name']}: {', '.join(before)}", "no"
        else:
            text, style = f"~ {each['name']}: {', '.join(before)} -> {', '.join(after)}", ""
        yield painter.line(depth, text, style=style)


def _routing(told: Json, painter: Painter) -> Iterator[str]:
    table, host = told["route_table"], told["virtual_host"]
    if table is None:
        return
    yield ""
    yield painter.line(0, f"Route configuration {table['name'] or '(no name)'}", table["place"], "head")
    if host["name"] is None:
        yield painter.line(1, host["why"], style="no")
        return
    text = f"virtual host {host['name']}: {host['looked_up']} belongs to its domain {host['domain']}"
    yield painter.line(1, text, host["place"])
    if not told["routes"] and told["action"] and told["action"].get("by_require_tls"):
        yield painter.line(1, f"require_tls is {host['require_tls']}, and the request came without TLS")
        return
    last = 0
    for each in told["routes"]:
        if each["number"] > last + 1:
            yield painter.line(1, f"... {each['number'] - last - 1} routes whose paths do not fit", style="no")
        last = each["number"]
        name = f" {each['name']}" if each["name"] else ""
        head = f"{each['number']}. route{name} ({each['match']})"
        if each["matches"]:
            yield painter.line(1, f"{head} matches", each["place"], "yes")
        else:
            yield painter.line(1, f"{head} does not match", each["place"], "no")
            yield painter.line(2, each["why_not"]["text"], each["why_not"]["place"])
    if not any(each["matches"] for each in told["routes"]):
        yield painter.line(1, "no route matches", style="no")


def _filters(told: Json, painter: Painter) -> Iterator[str]:
    if not told["filters"]:
        return
    yield ""
    yield painter.line(0, "HTTP filters, in order", style="head")
    for each in told["filters"]:
        part = {"disabled": " is disabled for this route", "not reached": " is not reached"}.get(each["part"], "")
        text = f"{each['name']}{part}{' answers' if each['answers'] else ''}"
        yield painter.line(1, text, each["place"])
        if each["settings"]:
            yield painter.line(2, f"settings {_compact(each['settings'])}")
        for level in each["per_route"]:
            yield painter.line(
                2, f"{level['level'].replace('_', ' ')} says {_compact(level['settings'])}", level["place"]
            )
        for said in each["says"]:
            yield painter.line(
                2, said["text"], said["place"] if said["place"]["path"] != each["place"]["path"] else None
            )
        yield from _changes(each["request_changes"], painter, 2)


def _compact(settings: Json) -> str:
    text = json.dumps(settings, ensure_ascii=False)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def _action(told: Json, painter: Painter) -> Iterator[str]:
    action = told["action"]
    if action is None:
        return
    yield ""
    if action["kind"] != "cluster":
        words = {"direct_response": "The route answers", "redirect": "The route redirects"}
        yield painter.line(0, f"{words[action['kind']]}: {action['status']}", action["place"], "head")
        return
    sends = "would send" if told["answer"]["local"] else "sends"
    yield painter.line(0, f"The route {sends} it to the cluster {action['cluster']}", action["place"], "head")
    for each in action["clusters"]:
        mark = "taken here" if each["taken"] else ""
        text = f"{each['chance']:7.2%}  {each['cluster']} (weight {each['weight']}) {mark}".rstrip()
        yield painter.line(1, text, each["place"], "yes" if each["taken"] else "")


def _upstream(told: Json, painter: Painter) -> Iterator[str]:
    upstream = told["upstream"]
    if upstream is None:
        return
    yield ""
    if not upstream["exists"]:
        yield painter.line(0, upstream["why"], style="no")
        return
    yield painter.line(0, f"Cluster {upstream['cluster']}", upstream["place"], "head")
    total = upstream["hosts_total"]
    yield painter.line(1, f"{upstream['policy']} among {total} host{'' if total == 1 else 's'}")
    for each in upstream["hosts"]:
        health = "".join(f", {flag}" for flag in each["flags"])
        weight = "" if each["weight"] == 1 else f", weight {each['weight']}"
        yield painter.line(2, f"{each['name']}{weight}{health}", style="" if each["healthy"] else "no")
    if total > len(upstream["hosts"]):
        yield painter.line(2, f"and {total - len(upstream['hosts'])} more")
    yield from (painter.line(1, each) for each in upstream["state"])
    if upstream["host"] is None:
        if upstream["why_none"] and told["answer"]["details"] == "no_healthy_upstream":
            yield painter.line(1, upstream["why_none"], style="no")
        return
    how = "the request's key leads to" if upstream["by_hash"] else "a host that it may go to is"
    yield painter.line(1, f"{how} {upstream['host']}", style="yes")


def _way_back(told: Json, painter: Painter) -> Iterator[str]:
    """Who changes the answer's headers."""
    steps = [(each["name"], each["place"], each["response_changes"]) for each in reversed(told["filters"])]
    manager = told["connection_manager"]
    steps.append((manager["stat_prefix"], manager["place"], told["answer"]["connection_manager_changes"]))
    if not any(changes for _, _, changes in steps):
        return
    yield ""
    yield painter.line(0, "On the way back", style="head")
    for name, place, changes in steps:
        if changes:
            yield painter.line(1, name, place)
            yield from _changes(changes, painter, 2)


def _answer(told: Json, painter: Painter) -> Iterator[str]:
    answer = told["answer"]
    yield ""
    if answer["status"] is None:
        why = answer["reset"] or answer["details"] or "the connection is closed"
        yield painter.line(0, f"No answer: {why}", style="head")
        return
    if answer["local"]:
        flags = "" if answer["flags"] == "-" else f" {answer['flags']}"
        yield painter.line(0, f"The proxy answers itself: {answer['status']}{flags} {answer['details']}", style="head")
    else:
        yield painter.line(0, "The upstream answers; of a 200 the client gets", style="head")
    if answer["why"] is not None:
        yield painter.line(1, answer["why"]["text"])
        yield painter.line(1, f"more: envoymesh why {answer['why']['word']}")
    for name, value in answer["headers"]:
        yield painter.line(1, f"{name}: {value}")
    if answer["body"]:
        yield from (painter.line(1, f"| {line}") for line in answer["body"].splitlines()[:20])


def _log(told: Json, painter: Painter) -> Iterator[str]:
    if told["access_log"]:
        yield ""
        yield painter.line(0, "Access log", style="head")
        yield from (painter.line(1, f"{each['file']}: {each['line']}") for each in told["access_log"])
