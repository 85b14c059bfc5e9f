"""How much of a body is kept for another try: `request_body_buffer_limit`, `per_request_buffer_limit_bytes`."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import message
from tests.integration.harness import Peer, Request, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts

AREA = "body limits"
NEW, OLD = "request_body_buffer_limit", "per_request_buffer_limit_bytes"
FIELDS: dict[str, Json] = {
    "none": {},
    "new-5": {NEW: 5},
    "new-10": {NEW: 10},
    "new-0": {NEW: 0},
    "new-large": {NEW: 1_000_000},
    "old-5": {OLD: 5},
    "old-10": {OLD: 10},
    "old-0": {OLD: 0},
    "old-large": {OLD: 1_000_000},
    "both": {NEW: 10, OLD: 5},
    "both-other": {NEW: 5, OLD: 10},
}


def fails(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")


def redirects(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 302 Found\r\nlocation: http://a.com/moved\r\ncontent-length: 0\r\n\r\n")


def _table(**host: Any) -> Json:
    policy = {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.002s"}}
    routes = [
        {**to_cluster("up", f"/{name}/", retry_policy=policy, timeout="0s"), **limit} for name, limit in FIELDS.items()
    ]
    follow = {"internal_redirect_policy": {}}
    moved = [{**to_cluster("up", f"/moves/{name}", **follow), **limit} for name, limit in FIELDS.items()]
    table = catch_all(*moved, *routes, to_cluster("up"))
    table["virtual_hosts"][0].update(host)
    return table


def _configuration(places: Places) -> Json:
    listeners = [
        http_listener("main", _table()),
        http_listener("new", _table(**{NEW: 7})),
        http_listener("old", _table(**{OLD: 7})),
        http_listener("both", _table(**{NEW: 12, OLD: 7})),
        {**http_listener("small", _table()), "per_connection_buffer_limit_bytes": 8},
    ]
    return bootstrap_of(listeners, [static_cluster("up", *places.group("one"))])


SETUP = Setup("body-limits", _configuration, hosts("one", 1, **{f"{name}/": fails for name in FIELDS}, moves=redirects))


def case(path: str, on: str, size: int) -> Case:
    steps = (message(f"POST /{path}", f"content-length: {size}", body=b"a" * size),)
    return Case(AREA, f"{size} bytes to {path} on {on}", steps, on, setup=SETUP)


CASES = [
    *[case(f"{name}/a", "main", size) for name in FIELDS for size in (10, 11)],
    *[
        case(f"{name}/a", on, size)
        for on in ("new", "old", "both")
        for name in ("none", "new-10", "old-10")
        for size in (8, 11)
    ],
    *[case(f"{name}/a", "small", 9) for name in ("none", "new-large", "old-large", "old-10")],
    *[case(f"moves/{name}", "main", 10) for name in ("new-5", "new-10", "old-5", "new-0")],
]
