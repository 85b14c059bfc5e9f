"""/requests: the last requests as JSON, those after a number, and at most so many."""

import json
from dataclasses import replace

import pytest

from envoymesh.admin.context import AdminParts
from envoymesh.admin.handlers.requests import requests
from envoymesh.admin.messages import Request, parse_target
from envoymesh.http.recent_requests import Recent, RecentRequest


def record(sequence: int) -> RecentRequest:
    facts = ("GET", "host", "/x", "HTTP/1.1", f"id-{sequence}", "http", 200, "-", "via_upstream", "backend", "2")
    return RecentRequest(sequence, 1000.5, 3.25, *facts, "service1", "127.0.1.1:8000", 1, 0, 5, 0.5, 0.25, 2.0, -1.0)


def ask(context: AdminParts, target: str) -> dict[str, object]:
    known = Recent("abc", 4, 70, 3, [record(number) for number in (1, 2, 3)])
    path, params = parse_target(target)
    answer = requests(replace(context, recent=lambda: known), Request("GET", path, params, target))
    assert answer.status == 200
    return json.loads(str(answer.body))


def test_the_whole(context: AdminParts) -> None:
    told = ask(context, "/requests")
    assert (told["source"], told["share"], told["seen"], told["failed"]) == ("abc", 4, 70, 3)
    first = told["requests"][0]
    assert (first["sequence"], first["request_id"], first["upstream"]) == (1, "id-1", "127.0.1.1:8000")
    assert first["phases"] == {"request": 0.5, "connect": 0.25, "upstream": 2.0, "response": None}


@pytest.mark.parametrize(
    ("query", "expected"),
    [("since=1", [2, 3]), ("since=3", []), ("limit=1", [3]), ("since=1&limit=1", [3]), ("limit=0", [])],
)
def test_a_part(context: AdminParts, query: str, expected: list[int]) -> None:
    assert [each["sequence"] for each in ask(context, f"/requests?{query}")["requests"]] == expected


@pytest.mark.parametrize("query", ["since=x", "limit=-1", "since=" + "9" * 30, "since=²"])
def test_what_is_no_number(context: AdminParts, query: str) -> None:
    answer = requests(context, Request("GET", *parse_target(f"/requests?{query}")))
    assert (answer.status, answer.body) == (400, "usage: /requests?since=SEQUENCE&limit=NUMBER\n")
